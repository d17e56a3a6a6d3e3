//! What a pass would do: planned by the very code that would do it, written nowhere.
//!
//! Promises: reads only; an appointment met from several places is counted once. Must not know: HTTP, the command line.

use std::collections::{BTreeMap, BTreeSet};

use super::App;
use super::desk::{failed_line, push, push_line, queue_failed};
use crate::control::{MailCounts, PlanLine, Preview, Refusal, SyncReport};
use crate::model::{Change, Container, Key, Side};
use crate::worker::Summary;

impl App {
    /// What a pass would do, planned by the same code, written nowhere.
    pub(super) async fn dry_run(&self, containers: &[Container], sweep: bool) -> Result<SyncReport, Refusal> {
        let mut work: BTreeMap<Key, Vec<Change>> = BTreeMap::new();
        let mut report = SyncReport { dry_run: true, ..SyncReport::default() };
        for view in self.queue.list(None, None, usize::MAX).await.map_err(queue_failed)? {
            work.entry(view.key).or_default().extend(view.changes);
        }
        for container in containers {
            let mut found = self.feeds.peek(container).await.map(|found| found.changes);
            if let (true, Ok(changes)) = (sweep, &mut found) {
                match self.feeds.compare(container).await {
                    Ok(more) => changes.extend(more),
                    Err(trouble) => found = Err(trouble),
                }
            }
            match found {
                Ok(changes) => {
                    for (key, change) in changes {
                        work.entry(key).or_default().push(change);
                    }
                }
                Err(trouble) => {
                    report.unfinished += 1;
                    push_line(&mut report, failed_line(container, &self.feeds.failure(&trouble)));
                }
            }
        }
        let mut counted = BTreeSet::new();
        for (key, changes) in work {
            report.looked_at += 1;
            match self.worker.plan(&key, &changes).await {
                // Met from both sides: it is one link.
                Ok(summary) if summary.links && summary.items.iter().any(|at| counted.contains(at)) => {}
                Ok(summary) => {
                    count(&mut report.preview, &summary);
                    if summary.links {
                        counted.extend(summary.items.iter().cloned());
                    }
                    report.writes.crm += u64::from(summary.crm_writes);
                    report.writes.exchange += u64::from(summary.exchange_writes);
                    report.mail += summary.mail.into();
                    push(&mut report, &summary);
                }
                Err(trouble) if trouble.leaves_alone() => {
                    *report.preview.skipped.entry(trouble.to_string()).or_default() += 1;
                }
                Err(trouble) => {
                    report.unfinished += 1;
                    report.preview.failed += 1;
                    push_line(
                        &mut report,
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
        Ok(report)
    }
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
