//! What a pass would do: planned by the very code that would do it, written nowhere.
//!
//! Promises: reads only; an appointment met from several places is counted once, as it was met first; a page at a time is
//! in memory, and a few bytes for each appointment. Must not know: HTTP, the command line.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::App;
use super::desk::{failed_line, push, push_line, queue_failed};
use crate::control::{MailCounts, PlanLine, Preview, QUEUE_PAGE_MAX, Refusal, SyncReport};
use crate::model::{Change, Container, Key, Side};
use crate::worker::{Summary, Trouble};

/// What was planned so far. Of each appointment a few bytes are kept, so that it is planned once.
#[derive(Default)]
struct Planned {
    report: SyncReport,
    keys: HashSet<u64>,
    /// The items of pairs that are to be linked.
    linked: HashSet<u64>,
}

impl App {
    /// What a pass would do, planned by the same code, written nowhere.
    pub(super) async fn dry_run(&self, containers: &[Container], sweep: bool) -> Result<SyncReport, Refusal> {
        let mut planned =
            Planned { report: SyncReport { dry_run: true, ..SyncReport::default() }, ..Planned::default() };
        let mut after = None;
        loop {
            let page = self.queue.list(None, after.as_ref(), QUEUE_PAGE_MAX).await.map_err(queue_failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let changes = page.into_iter().flat_map(|view| {
                let key = view.key;
                view.changes.into_iter().map(move |change| (key.clone(), change))
            });
            self.plan_page(changes.collect(), &mut planned).await;
        }
        for container in containers {
            if let Err(trouble) = self.plan_container(container, sweep, &mut planned).await {
                planned.report.unfinished += 1;
                push_line(&mut planned.report, failed_line(container, &self.feeds.failure(&trouble)));
            }
        }
        let mut report = planned.report;
        report.lines.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(report)
    }

    async fn plan_container(&self, container: &Container, sweep: bool, planned: &mut Planned) -> Result<(), Trouble> {
        let mut from = None;
        loop {
            let (changes, next) = self.feeds.peek(container, from).await?;
            self.plan_page(changes, planned).await;
            from = next;
            if from.is_none() {
                break;
            }
        }
        if sweep {
            let mut comparison = self.feeds.compare(container);
            while let Some(changes) = comparison.next().await? {
                self.plan_page(changes, planned).await;
            }
        }
        Ok(())
    }

    /// Plans the appointments of a page that were not met before.
    async fn plan_page(&self, changes: Vec<(Key, Change)>, planned: &mut Planned) {
        let mut work: BTreeMap<Key, Vec<Change>> = BTreeMap::new();
        for (key, change) in changes {
            work.entry(key).or_default().push(change);
        }
        for (key, changes) in work {
            if !planned.keys.insert(digest(&key)) {
                continue;
            }
            let report = &mut planned.report;
            report.looked_at += 1;
            match self.worker.plan(&key, &changes).await {
                // Met from both sides: it is one link.
                Ok(summary) if summary.links && summary.items.iter().any(|at| planned.linked.contains(&digest(at))) => {
                }
                Ok(summary) => {
                    count(&mut report.preview, &summary);
                    if summary.links {
                        planned.linked.extend(summary.items.iter().map(digest));
                    }
                    report.writes.crm += u64::from(summary.crm_writes);
                    report.writes.exchange += u64::from(summary.exchange_writes);
                    report.mail += summary.mail.into();
                    push(report, &summary);
                }
                Err(trouble) if trouble.leaves_alone() => {
                    *report.preview.skipped.entry(trouble.to_string()).or_default() += 1;
                }
                Err(trouble) => {
                    report.unfinished += 1;
                    report.preview.failed += 1;
                    push_line(
                        report,
                        PlanLine {
                            key: key.to_string(),
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
    }
}

fn digest(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn count(preview: &mut Preview, summary: &Summary) {
    if summary.links {
        preview.linked += 1;
        return;
    }
    match (summary.op, summary.target) {
        ("create", Some(Side::Crm)) => preview.created_in_crm += 1,
        ("create", _) => preview.created_in_exchange += 1,
        ("update", _) => preview.updated += 1,
        ("delete", _) => preview.deleted += 1,
        ("skip", _) => *preview.skipped.entry(summary.reason.clone()).or_default() += 1,
        // Nothing to do, or nothing that would be seen.
        (_, _) => {}
    }
}
