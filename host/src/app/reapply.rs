//! Making pairs anew by the rules in force, when a person asks for it: swapping a rule rewrites nothing by itself.
//!
//! First every pair is held against the rules by what the ledger holds of it, which asks no server; those that would change are planned by the
//! very code that would do the work. Doing it marks them in the ledger and queues them: they are written like any other change, with brake and mail
//! cap, and a run that is cut off goes on. Promises: a preview writes nothing; what was made anew by these rules is not looked at again.
//! Must not know: what is written, how.

use std::collections::BTreeSet;

use super::App;
use super::desk::{generation, push, push_line, queue_failed};
use crate::control::{
    MailCounts, PlanLine, ReapplyOrder, ReapplyReport, Refusal, RefusalKind, SyncReport, WriteCounts,
};
use crate::ledger::{Entry, LedgerError, Mark, State};
use crate::model::{Cause, Change, Container, Direction, Key};
use crate::plugin::{Chain, Observers};
use crate::rules::{Call, Rules};
use crate::worker::Summary;

/// Entries of the ledger read at one time.
const PAGE: usize = 500;

impl App {
    /// Tells what the rules in force would make different, and has it done if the order says so.
    pub(super) async fn make_anew(&self, order: &ReapplyOrder) -> Result<ReapplyReport, Refusal> {
        // Nobody is told of these calls: no appointment depends on them.
        let chain = (*self.rules.current()).clone().observed(&Observers::default());
        self.known_rule(&chain, order)?;
        let mailboxes: BTreeSet<Container> = self.chosen_mailboxes(order)?;
        let digest = chain.generation().digest;
        let mut found = Found::default();
        found.report.generation = generation(&chain.generation());
        let mut after = None;
        'all: loop {
            let page = self.ledger.scan(after.as_ref(), PAGE).await.map_err(ledger_failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in page.iter().filter(|entry| within(entry, &mailboxes)) {
                let mark = self.ledger.mark(&entry.key).await.map_err(ledger_failed)?;
                found.report.looked_at += 1;
                if mark.is_some_and(|mark| mark.done && mark.digest == digest)
                    || !self.worker.may_change(&chain, entry).await
                    || !sets(&chain, entry, order.rule.as_deref()).await
                {
                    continue;
                }
                if order.limit.is_some_and(|limit| found.report.pairs >= limit) {
                    found.report.more = true;
                    break 'all;
                }
                found.take(entry, self.worker.plan_anew(&entry.key).await);
            }
        }
        if !order.yes {
            return Ok(ReapplyReport { writes: WriteCounts::default(), ..found.report() });
        }
        self.do_anew(&digest, found).await
    }

    /// Marks and queues what was found, works it off, and tells what became of it.
    async fn do_anew(&self, digest: &str, found: Found) -> Result<ReapplyReport, Refusal> {
        let Found { keys, changes, report: planned, .. } = found;
        let mark = Mark { digest: digest.to_owned(), done: false };
        let mut outcomes = self.worker.watch();
        self.ledger.set_marks(&keys, &mark).await.map_err(ledger_failed)?;
        self.queue.put(changes).await.map_err(queue_failed)?;
        let keys: BTreeSet<Key> = keys.into_iter().collect();
        let mut found = Found::default();
        let mut count = |summary: &Summary| {
            if keys.contains(&summary.key) {
                found.count(summary);
            }
        };
        // Heard of while the work goes on: more outcomes than are kept may come.
        let mut work = std::pin::pin!(self.work_off());
        loop {
            tokio::select! {
                worked = &mut work => {
                    worked?;
                    break;
                }
                // An error says that some outcomes were let go: only the report suffers.
                outcome = outcomes.recv() => outcome.iter().for_each(&mut count),
            }
        }
        while let Ok(summary) = outcomes.try_recv() {
            count(&summary);
        }
        let mut report = found.report();
        for key in &keys {
            report.unfinished += u64::from(self.queue.show(key).await.map_err(queue_failed)?.is_some());
        }
        report.done = true;
        let ReapplyReport { generation, looked_at, more, failed, .. } = planned;
        Ok(ReapplyReport { generation, looked_at, more, failed, ..report })
    }

    fn known_rule(&self, chain: &Chain, order: &ReapplyOrder) -> Result<(), Refusal> {
        let Some(rule) = &order.rule else { return Ok(()) };
        if chain.list().iter().any(|info| info.enabled && info.name == *rule) {
            return Ok(());
        }
        let message = format!("no rule in force is called {rule}");
        Err(Refusal::new(RefusalKind::Unknown, "rule-not-known", message, "see their names with: daybridge rules list"))
    }

    fn chosen_mailboxes(&self, order: &ReapplyOrder) -> Result<BTreeSet<Container>, Refusal> {
        if order.mailboxes.is_empty() {
            return Ok(BTreeSet::new());
        }
        Ok(self.chosen(&order.mailboxes)?.into_iter().collect())
    }
}

/// What was found, pair by pair.
#[derive(Default)]
struct Found {
    keys: Vec<Key>,
    changes: Vec<(Key, Change)>,
    report: ReapplyReport,
    lines: SyncReport,
}

impl Found {
    fn take(&mut self, entry: &Entry, planned: Result<Summary, crate::worker::Trouble>) {
        match planned {
            Ok(summary) => {
                if summary.crm_writes + summary.exchange_writes > 0
                    && let Some(known) = &entry.crm
                {
                    let change = Change { at: known.at.clone(), uid: None, stamp: None, cause: Cause::Again };
                    self.keys.push(entry.key.clone());
                    self.changes.push((entry.key.clone(), change));
                }
                self.count(&summary);
            }
            Err(trouble) if trouble.leaves_alone() => {}
            Err(trouble) => {
                self.report.failed += 1;
                push_line(
                    &mut self.lines,
                    PlanLine {
                        key: entry.key.to_string(),
                        op: "failed".into(),
                        target: None,
                        container: None,
                        fields: Vec::new(),
                        mail: MailCounts::default(),
                        reason: trouble.to_string(),
                    },
                );
            }
        }
    }

    fn count(&mut self, summary: &Summary) {
        self.report.kept += summary.kept.len() as u64;
        if summary.crm_writes + summary.exchange_writes == 0 {
            return;
        }
        self.report.pairs += 1;
        self.report.writes.crm += u64::from(summary.crm_writes);
        self.report.writes.exchange += u64::from(summary.exchange_writes);
        for field in &summary.fields {
            *self.report.fields.entry(field.name()).or_default() += 1;
        }
        self.report.mail += summary.mail.into();
        push(&mut self.lines, summary);
    }

    fn report(self) -> ReapplyReport {
        ReapplyReport { lines: self.lines.lines, left_out: self.lines.left_out, ..self.report }
    }
}

/// Pairs alone, and only those of the mailboxes a person named.
fn within(entry: &Entry, mailboxes: &BTreeSet<Container>) -> bool {
    let Some(exchange) = entry.exchange.as_ref().filter(|_| entry.state == State::Live && entry.crm.is_some()) else {
        return false;
    };
    mailboxes.is_empty() || mailboxes.contains(&exchange.at.container)
}

/// Whether a rule sets something in a pair, one way or the other; true without a rule.
async fn sets(chain: &Chain, entry: &Entry, rule: Option<&str>) -> bool {
    let Some(rule) = rule else { return true };
    let id = entry.key.to_string();
    for (direction, known) in [(Direction::CrmToExchange, &entry.crm), (Direction::ExchangeToCrm, &entry.exchange)] {
        let Some(known) = known else { continue };
        let trace = chain.trace(Call { id: &id, direction, source: &known.appointment }).await;
        if trace.steps.iter().any(|step| step.rule == rule && !step.edited.is_empty()) {
            return true;
        }
    }
    false
}

fn ledger_failed(error: LedgerError) -> Refusal {
    Refusal::failed("use the ledger", &error)
}
