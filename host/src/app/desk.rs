//! What a person may ask of this host: the answers to [`Desk`].
//!
//! Promises: no answer holds a subject, a body or a secret; a dry run and a trace are made by the very code that would do
//! the work. Must not know: HTTP, the command line.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::Instant;

use super::{App, entries, line};
use crate::control::{
    Affected, CaptureOrder, Captured, ClaimOrder, ClaimReport, ContainerStatus, Desk, EntryState, GenerationInfo,
    MailCounts, MigrateOrder, MigrateReport, PlanLine, QUEUE_PAGE_MAX, QueueCounts, QueueEntry, QueueFilter, QueuePage,
    ReapplyOrder, ReapplyReport, Reason, Refusal, RefusalKind, RuleChain, RuleFailure, SYNC_LINES_MAX, SideName,
    Status, Story, SyncOrder, SyncReport, Which, WriteCounts,
};
use crate::feed::FeedFailure;
use crate::model::{Cause, Change, Container, Key, Side};
use crate::queue::{EntryView, FailureRecord, Queue, QueueError};
use crate::rules::Rules;
use crate::worker::Summary;

/// Longest time a pass asked for by a person may take to work off what it found; what is left then goes on by itself.
const PASS_LIMIT: Duration = Duration::from_secs(600);
/// Between two looks at whether the queue has come to rest.
const REST_PAUSE: Duration = Duration::from_millis(10);

#[async_trait]
impl Desk for App {
    async fn status(&self) -> Result<Status, Refusal> {
        let now = self.clock.now();
        let counts = self.queue.counts();
        let (invitations, updates, cancellations) = self.worker.counts().mail();
        let waiting = self.worker.waiting();
        let containers = self
            .feeds
            .containers()
            .into_iter()
            .map(|container| {
                let feed = self.feeds.status(&container);
                let server = self.servers.of(&container).map(|server| server.name().to_owned()).unwrap_or_default();
                let open = waiting.iter().find(|open| open.name == server || open.name == container.key());
                let failure = feed.failure.map(|failure| Reason {
                    code: failure.code,
                    message: failure.message,
                    hint: failure.hint,
                });
                let paused = match (open, failure) {
                    (None, None) => None,
                    (open, failure) => Some(crate::control::Paused {
                        reason: failure.unwrap_or_else(|| Reason {
                            code: open.map(|open| open.code.to_owned()).unwrap_or_default(),
                            message: "the server is being waited for".into(),
                            hint: "nothing is lost; the work goes on when it answers".into(),
                        }),
                        until: open.map(|open| open.until),
                    }),
                };
                ContainerStatus {
                    side: container.side().into(),
                    server,
                    container: container.key(),
                    last_pass: feed.last_pass,
                    last_sweep: feed.last_sweep,
                    paused,
                }
            })
            .collect();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            uptime_s: (now - self.started).num_seconds().try_into().unwrap_or(0),
            generation: generation(&self.rules.current().generation()),
            set_aside: self.set_aside(),
            containers,
            queue: QueueCounts {
                waiting: counts.waiting as u64,
                leased: counts.leased as u64,
                parked: counts.parked as u64,
            },
            pairs: self.pairs(),
            writes: self.writes(),
            looked_at: self.worker.counts().looked_at.load(Ordering::Relaxed),
            mail: MailCounts { invitations, updates, cancellations },
            notices: self.notices(),
            stopped: self.worker.halted().map(entries::stopped),
            fail_open: entries::fail_open(&self.rules.current()),
            rules_pending: self.rules.pending().map(|notice| Reason {
                code: notice.code.to_owned(),
                message: format!("{}: {}", notice.title, notice.text),
                hint: notice.hint,
            }),
        })
    }

    async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, Refusal> {
        let limit = filter.limit.unwrap_or(QUEUE_PAGE_MAX).min(QUEUE_PAGE_MAX);
        let state = filter.state.map(|state| match state {
            EntryState::Waiting => crate::queue::EntryState::Waiting,
            EntryState::Leased => crate::queue::EntryState::Leased,
            EntryState::Parked => crate::queue::EntryState::Parked,
        });
        if let Some(code) = &filter.code {
            let mut total = 0;
            let shown = |view: EntryView| {
                let failed = failed_with(&view, code);
                total += usize::from(failed);
                (failed && total <= limit).then(|| entry(&view))
            };
            let entries = self.queue.collect(state, shown).await.map_err(queue_failed)?;
            return Ok(QueuePage { entries, total: total as u64 });
        }
        let entries = self.queue.list(state, None, limit).await.map_err(queue_failed)?;
        let counts = self.queue.counts();
        let total = match filter.state {
            Some(EntryState::Waiting) => counts.waiting,
            Some(EntryState::Leased) => counts.leased,
            Some(EntryState::Parked) => counts.parked,
            None => counts.waiting + counts.leased + counts.parked,
        };
        Ok(QueuePage { entries: entries.iter().map(entry).collect(), total: total as u64 })
    }

    async fn queue_entry(&self, key: &str) -> Result<QueueEntry, Refusal> {
        let view = self.queue.show(&parse(key)?).await.map_err(queue_failed)?;
        view.as_ref().map(entry).ok_or_else(|| Refusal::unknown(key))
    }

    async fn queue_retry(&self, which: &Which) -> Result<Affected, Refusal> {
        let keys = match which {
            Which::Key(key) => vec![parse(key)?],
            Which::All => self.keys(|_| true).await?,
            Which::Code(code) => self.keys(|view| failed_with(view, code)).await?,
        };
        let mut entries = 0;
        for key in keys {
            let view = self.queue.show(&key).await.map_err(queue_failed)?;
            let Some(view) = view else {
                if matches!(which, Which::Key(_)) {
                    return Err(Refusal::unknown(&key.to_string()));
                }
                continue;
            };
            // The person's word travels with the entry: held deletions go ahead on it.
            if let Some(change) = view.changes.last() {
                let asked = Change { cause: Cause::Person, ..change.clone() };
                self.queue.put(vec![(key.clone(), asked)]).await.map_err(queue_failed)?;
            }
            match self.queue.retry_now(&key).await {
                Ok(true) => {
                    self.worker.let_try(&key);
                    entries += 1;
                }
                Ok(false) | Err(QueueError::Busy { .. }) => {}
                Err(error) => return Err(queue_failed(error)),
            }
        }
        Ok(Affected { entries })
    }

    async fn queue_discard(&self, key: &str) -> Result<Affected, Refusal> {
        match self.queue.discard(&parse(key)?).await.map_err(queue_failed)? {
            Some(view) => {
                self.ledger.clear_mark(&view.key).await.map_err(|error| Refusal::failed("use the ledger", &error))?;
                self.worker.judged(&view.key);
                tracing::warn!(appointment.key = %view.key, "A person discarded the work waiting for {}", view.key);
                Ok(Affected { entries: 1 })
            }
            None => Err(Refusal::unknown(key)),
        }
    }

    async fn trace(&self, id: &str) -> Result<Story, Refusal> {
        self.story(id).await
    }

    async fn rules(&self) -> Result<RuleChain, Refusal> {
        let (chain, set_aside) = (self.rules.current(), self.set_aside());
        Ok(RuleChain {
            generation: generation(&chain.generation()),
            rules: chain.list().iter().map(|rule| entries::rule_info(rule, &set_aside)).collect(),
        })
    }

    async fn capture(&self, order: &CaptureOrder) -> Result<Captured, Refusal> {
        self.captured(&self.key_of(&order.id).await?, order.rule.as_deref()).await
    }

    async fn reload_rules(&self) -> Result<RuleChain, Refusal> {
        // Entries may have changed as well as files.
        super::rules_desk::reload(self.rules.clone(), self.chain_asked_for()?).await?;
        self.rules().await
    }

    async fn metrics(&self) -> Result<String, Refusal> {
        self.figures().map_err(|error| Refusal::failed("write the figures", &error))
    }

    async fn reapply(&self, order: &ReapplyOrder) -> Result<ReapplyReport, Refusal> {
        self.make_anew(order).await
    }

    async fn migrate(&self, order: &MigrateOrder) -> Result<MigrateReport, Refusal> {
        self.carry_over(order).await
    }

    async fn claim(&self, order: &ClaimOrder) -> Result<ClaimReport, Refusal> {
        self.take_over(order).await
    }

    async fn sync(&self, order: &SyncOrder) -> Result<SyncReport, Refusal> {
        let trouble = |trouble: crate::worker::Trouble| {
            Refusal::new(RefusalKind::NotNow, &trouble.code(), trouble.to_string(), trouble.hint())
        };
        self.feeds.refresh_people().await.map_err(trouble)?;
        let containers = self.chosen(&order.containers)?;
        if order.dry_run {
            return self.dry_run(&containers, order.sweep).await;
        }
        self.worker.claim_calendars();
        let mut outcomes = self.worker.watch();
        let before =
            (self.writes(), self.worker.counts().mail(), self.worker.counts().looked_at.load(Ordering::Relaxed));
        let (failures, unread) = self.read_and_work(&containers, order.sweep).await?;
        self.work_off().await?;
        let mut report = SyncReport::default();
        loop {
            match outcomes.try_recv() {
                Ok(summary) => push(&mut report, &summary),
                // Of a long pass only the end is listed.
                Err(TryRecvError::Lagged(count)) => report.left_out += count,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        for (container, failure) in failures {
            report.unfinished += 1;
            push_line(&mut report, failed_line(&container, &failure));
        }
        let counts = self.queue.counts();
        let mail = self.worker.counts().mail();
        let writes = self.writes();
        report.unfinished += (counts.waiting + counts.leased) as u64 + unread;
        report.looked_at = self.worker.counts().looked_at.load(Ordering::Relaxed) - before.2;
        report.writes = WriteCounts { crm: writes.crm - before.0.crm, exchange: writes.exchange - before.0.exchange };
        report.mail = MailCounts {
            invitations: mail.0 - before.1.0,
            updates: mail.1 - before.1.1,
            cancellations: mail.2 - before.1.2,
        };
        Ok(report)
    }

    async fn doorbell(&self, side: SideName) -> Result<(), Refusal> {
        let side = Side::from(side);
        self.feeds.containers().iter().filter(|container| container.side() == side).for_each(|container| {
            self.feeds.ring(container);
        });
        Ok(())
    }

    async fn stop(&self) -> Result<(), Refusal> {
        self.tasks.stop();
        Ok(())
    }
}

impl App {
    /// What waits with this failure is due now.
    pub(super) async fn end_wait(&self, code: &str) -> Result<(), QueueError> {
        for key in self.queue.collect(None, |view| failed_with(&view, code).then_some(view.key)).await? {
            match self.queue.retry_now(&key).await {
                Ok(_) | Err(QueueError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn writes(&self) -> WriteCounts {
        let counts = self.worker.counts();
        WriteCounts {
            crm: counts.crm_writes.load(Ordering::Relaxed),
            exchange: counts.exchange_writes.load(Ordering::Relaxed),
        }
    }

    fn notices(&self) -> Vec<Reason> {
        self.notifier
            .told()
            .into_iter()
            .map(|told| Reason {
                code: told.notice.code,
                message: format!("{}: {}", told.notice.title, told.notice.text),
                hint: told.notice.hint,
            })
            .collect()
    }

    /// Reads containers into the queue. Where more is found than may wait there, it is worked off meanwhile. Answers what
    /// could not be read, and how many containers have more than could be read in the time of a pass.
    async fn read_and_work(
        &self,
        containers: &[Container],
        sweep: bool,
    ) -> Result<(Vec<(Container, FeedFailure)>, u64), Refusal> {
        let (end, read) = (Instant::now() + PASS_LIMIT, Notify::new());
        let reading = async {
            let (mut failures, mut unread) = (Vec::new(), 0);
            for container in containers {
                match self.feeds.pass(container, Some(end)).await {
                    Ok(passed) if passed.more => unread += 1,
                    Ok(_) if sweep => {
                        if let Err(failure) = self.feeds.sweep(container).await {
                            failures.push((container.clone(), failure));
                        }
                    }
                    Ok(_) => {}
                    Err(failure) => failures.push((container.clone(), failure)),
                }
            }
            read.notify_one();
            Ok((failures, unread))
        };
        let working = async {
            loop {
                tokio::select! {
                    biased;
                    () = read.notified() => return Ok(()),
                    () = self.queue.until(Queue::is_full) => self.work_off().await?,
                }
            }
        };
        tokio::try_join!(reading, working).map(|(read, ())| read)
    }

    /// Works until nothing is due: beside the workers of a running host, or alone in a single pass.
    pub(super) async fn work_off(&self) -> Result<(), Refusal> {
        let end = Instant::now() + PASS_LIMIT;
        while Instant::now() < end {
            self.mind_rules().await.map_err(queue_failed)?;
            self.worker.work_off().await.map_err(queue_failed)?;
            let counts = self.queue.counts();
            let settling = counts.earliest_due.is_some_and(|due| due - self.clock.now() <= self.settle());
            let settling = settling && self.worker.halted().is_none();
            // What the work did to the rules may let parked appointments go on, and they belong to the pass too.
            if counts.leased == 0
                && !(counts.waiting > 0 && settling)
                && self.mind_rules().await.map_err(queue_failed)? == 0
            {
                break;
            }
            tokio::time::sleep(REST_PAUSE).await;
        }
        Ok(())
    }

    /// How far ahead an entry may be due and still belong to the pass: changes wait this long for their neighbours.
    fn settle(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::from_std(self.config.sync.settle() * 4).unwrap_or_default()
    }

    async fn keys(&self, wanted: impl Fn(&EntryView) -> bool) -> Result<Vec<Key>, Refusal> {
        self.queue.collect(None, |view| wanted(&view).then_some(view.key)).await.map_err(queue_failed)
    }

    /// The containers a person named; all without a name.
    pub(super) fn chosen(&self, names: &[String]) -> Result<Vec<Container>, Refusal> {
        let all = self.feeds.containers();
        if names.is_empty() {
            return Ok(all);
        }
        names
            .iter()
            .map(|name| {
                let key = name.to_lowercase();
                all.iter().find(|container| container.key() == key).cloned().ok_or_else(|| {
                    Refusal::new(
                        RefusalKind::Unknown,
                        "container-not-known",
                        format!("{name} is not synchronized"),
                        "use `crm` or the address of a mailbox that `daybridge status` lists",
                    )
                })
            })
            .collect()
    }
}

fn parse(key: &str) -> Result<Key, Refusal> {
    Key::parse(key).ok_or_else(|| Refusal::unknown(key))
}

pub(super) fn queue_failed(error: QueueError) -> Refusal {
    Refusal::new(RefusalKind::Failed, error.code(), line(&error), error.hint())
}

pub(super) fn generation(generation: &crate::rules::Generation) -> GenerationInfo {
    GenerationInfo { number: generation.number, digest: generation.digest.clone() }
}

fn failed_with(view: &EntryView, code: &str) -> bool {
    view.failure.as_ref().is_some_and(|failure| failure.code == code)
}

pub(super) fn entry(view: &EntryView) -> QueueEntry {
    let state = match view.state {
        crate::queue::EntryState::Waiting => EntryState::Waiting,
        crate::queue::EntryState::Leased => EntryState::Leased,
        crate::queue::EntryState::Parked => EntryState::Parked,
    };
    let mut causes: Vec<String> = view.changes.iter().map(|change| change.cause.name().to_owned()).collect();
    causes.sort();
    causes.dedup();
    QueueEntry {
        key: view.key.to_string(),
        state,
        attempts: view.attempts,
        queued: view.since,
        due: (state == EntryState::Waiting).then_some(view.due),
        causes,
        reason: view.failure.as_ref().map(|failure| Reason {
            code: failure.code.clone(),
            message: failure.message.clone(),
            hint: failure.hint.clone(),
        }),
        failure: view.failure.as_ref().and_then(|failure| rule_failure(&view.key, failure)),
    }
}

fn rule_failure(key: &Key, failure: &FailureRecord) -> Option<RuleFailure> {
    let rule = failure.rule.as_ref()?;
    Some(RuleFailure {
        rule: rule.rule.clone(),
        version: rule.version.clone(),
        digest: rule.digest.clone(),
        step: rule.step,
        function: rule.function.clone(),
        kind: rule.kind.clone(),
        appointment: key.to_string(),
        field: rule.field.clone(),
        message: rule.message.clone(),
        backtrace: rule.backtrace.clone(),
        elapsed_us: u64::try_from(rule.elapsed.as_micros()).unwrap_or(u64::MAX),
        memory_peak: rule.memory_peak,
        generation: GenerationInfo { number: rule.generation, digest: rule.generation_digest.clone() },
        correlation: rule.correlation.clone(),
        at: failure.at,
    })
}

pub(super) fn push(report: &mut SyncReport, summary: &Summary) {
    if summary.op == "nothing" {
        return;
    }
    push_line(
        report,
        PlanLine {
            key: summary.key.to_string(),
            op: summary.op.to_owned(),
            target: summary.target.map(SideName::from),
            container: summary.container.as_ref().map(Container::key),
            fields: summary.fields.iter().map(crate::model::Field::name).collect(),
            mail: summary.mail.into(),
            reason: summary.reason.clone(),
        },
    );
}

pub(super) fn push_line(report: &mut SyncReport, line: PlanLine) {
    if report.lines.len() < SYNC_LINES_MAX {
        report.lines.push(line);
    } else {
        report.left_out += 1;
    }
}

pub(super) fn failed_line(container: &Container, failure: &FeedFailure) -> PlanLine {
    PlanLine {
        key: container.key(),
        op: "failed".into(),
        target: None,
        container: Some(container.key()),
        fields: Vec::new(),
        mail: MailCounts::default(),
        reason: failure.message.clone(),
    }
}
