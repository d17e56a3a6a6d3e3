//! What follows from a rule being set aside, and from another chain being in force: appointments that waited for it go on,
//! and people are told.
//!
//! Promises: an appointment that is parked because its rule is set aside goes on by itself, in the order in which it was due,
//! as soon as the rule works again, another version of it is in force, or the host was started again. One that is parked
//! with a fault of a version that is no longer in force is tried once with the version that is.
//! Must not know: why a rule fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{App, line};
use crate::control;
use crate::notify::Notice;
use crate::plugin::{Breaker, Duty, News, RuleInfo, RuleVersion, SetAside, Stand};
use crate::queue::{ParkedBy, QueueError};
use crate::rules::Rules;

/// The code of appointments that wait for a rule that is set aside.
pub(super) const SET_ASIDE: &str = "rule-set-aside";
/// How often waits that end by time are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the host keeps for this.
pub(crate) struct Keeper {
    pub breaker: Arc<Breaker>,
    /// The generation that was in force at the last look. Held for a look, so that two never cross.
    seen: Mutex<Option<u64>>,
}

impl Keeper {
    pub fn new(breaker: Arc<Breaker>) -> Self {
        Self { breaker, seen: Mutex::new(None) }
    }
}

impl App {
    /// Looks now and then, and at once when a rule is set aside or works again.
    pub(super) fn keep_rules(self: &Arc<Self>) {
        let (app, stop) = (Arc::clone(self), self.tasks.stopping());
        self.tasks.spawn("rule keeper", async move {
            loop {
                if let Err(error) = app.mind_rules().await {
                    tracing::error!(error = %line(&error), hint = error.hint(), "The store failed; the host stops");
                    return app.tasks.give_up();
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = app.keeper.breaker.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
    }

    /// One look. Answers how many appointments go on.
    ///
    /// # Errors
    /// [`QueueError::Store`]
    pub(super) async fn mind_rules(&self) -> Result<usize, QueueError> {
        let mut seen = self.keeper.seen.lock().await;
        let (breaker, mut gone_on) = (&self.keeper.breaker, 0);
        let chain = self.rules.current();
        let number = chain.generation().number;
        if *seen != Some(number) {
            let enabled = chain.list().iter().filter(|rule| rule.enabled);
            let version = |rule: &RuleInfo| RuleVersion {
                rule: rule.name.clone(),
                version: rule.version.clone(),
                digest: rule.digest.clone(),
            };
            let versions: Vec<RuleVersion> = enabled.map(version).collect();
            breaker.in_force(&versions);
            gone_on += self.retry_for_new_versions(&versions).await?;
            *seen = Some(number);
        }
        let now = self.clock.now();
        for news in breaker.news() {
            self.notifier.tell(notice(&news), now);
        }
        for (cause, _) in self.queue.parked_by() {
            if cause.code != SET_ASIDE {
                continue;
            }
            let keys = match breaker.stand(&cause.origin) {
                Stand::Free => self.queue.parked_keys(&cause, usize::MAX),
                Stand::OneMay => {
                    let keys = self.queue.parked_keys(&cause, usize::MAX);
                    keys.into_iter().find(|key| breaker.may_try(&cause.origin, &key.to_string())).into_iter().collect()
                }
                Stand::Wait => continue,
            };
            let count = self.queue.unpark(&keys).await?;
            tracing::debug!(rule.name = cause.origin, rules.generation = number, "{count} appointments go on");
            gone_on += count;
        }
        Ok(gone_on)
    }

    /// Tries what is parked with a fault of a rule's version that is not in force any more: the new one may be mended.
    async fn retry_for_new_versions(&self, versions: &[RuleVersion]) -> Result<usize, QueueError> {
        let in_force: BTreeSet<&str> = versions.iter().map(|version| version.digest.as_str()).collect();
        let mut keys = Vec::new();
        for (cause, _) in self.queue.parked_by().into_iter().filter(|(cause, _)| is_fault(cause)) {
            for key in self.queue.parked_keys(&cause, usize::MAX) {
                let view = self.queue.show(&key).await?;
                let rule = view.and_then(|view| view.failure).and_then(|failure| failure.rule);
                if rule.is_some_and(|rule| !in_force.contains(rule.digest.as_str())) {
                    keys.push(key);
                }
            }
        }
        let count = self.queue.unpark(&keys).await?;
        if count > 0 {
            tracing::info!("{count} appointments are tried with the rules' new versions");
        }
        Ok(count)
    }

    /// The rules that are set aside, as people see them.
    pub(super) fn set_aside(&self) -> Vec<control::SetAside> {
        let parked = self.queue.parked_by();
        let waiting = |aside: &SetAside| {
            let of = |(cause, count): &(ParkedBy, usize)| {
                (cause.code == SET_ASIDE && cause.origin == aside.rule.rule).then_some(*count as u64)
            };
            if aside.duty == Duty::Judging { parked.iter().filter_map(of).sum() } else { 0 }
        };
        let show = |aside: SetAside| control::SetAside {
            parked: waiting(&aside),
            rule: aside.rule.rule,
            version: aside.rule.version,
            digest: aside.rule.digest,
            duty: aside.duty.name().to_owned(),
            since: aside.since,
            until: aside.until,
            kind: aside.kind.to_owned(),
        };
        self.keeper.breaker.set_aside().into_iter().map(show).collect()
    }
}

/// Whether a rule failed: not refused, and not set aside, which has its own way back.
pub(super) fn is_fault(cause: &ParkedBy) -> bool {
    cause.kind.as_deref().is_some_and(|kind| kind != "refusal" && kind != "set-aside")
}

fn notice(news: &News) -> Notice {
    let (code, rule, title, text, hint) = match news {
        News::Opened(SetAside { rule, duty, until, kind, .. }) => (
            SET_ASIDE,
            rule,
            "is set aside",
            format!(
                "it failed for one appointment after another (last: {kind}) and is not asked for {} any more until {}; nothing is lost",
                duty.name(),
                until.format("%Y-%m-%d %H:%M:%S UTC")
            ),
            "mend the rule or go back to the version before it; appointments that wait for it then go on by themselves",
        ),
        News::Closed { rule, duty } => (
            "rule-works-again",
            rule,
            "works again",
            format!("a trial went well; it is asked for {} again, and what waited goes on", duty.name()),
            "nothing to do; why it failed: daybridge queue list --state parked",
        ),
        News::Replaced { rule, .. } => (
            "rule-works-again",
            rule,
            "is replaced",
            "the version that was set aside is no longer in force, and what waited for it goes on".to_owned(),
            "nothing to do",
        ),
    };
    Notice {
        code: code.to_owned(),
        about: rule.rule.clone(),
        title: format!("Rule {} {} {title}", rule.rule, rule.version),
        text,
        hint: hint.to_owned(),
    }
}
