//! The full sweep of a container: everything it lists against everything the ledger knows of it.
//!
//! Promises: only tells where to look; nothing is judged missing here. Costs one listing, however many pairs there are.

use std::collections::BTreeMap;

use super::{FeedFailure, Feeds};
use crate::model::{Cause, Change, Container, ItemRef, Key, Side, Version};
use crate::worker::Trouble;
use crate::worker::keys::key_for;

/// Changes queued in one commit: large enough to be quick, small enough not to hold the store up.
const COMMIT_MAX: usize = 500;

impl Feeds {
    /// Sweeps a container; answers how many items are to be looked at.
    pub async fn sweep(&self, container: &Container) -> Result<usize, FeedFailure> {
        let outcome = match self.compare(container).await {
            Ok(changes) => self.enqueue(changes).await,
            Err(trouble) => Err(trouble),
        };
        let outcome = outcome.map_err(|trouble| self.failed(container, &trouble));
        let mut statuses = self.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let status = statuses.entry(container.clone()).or_default();
        match &outcome {
            Ok(_) => status.last_sweep = Some(self.clock.now()),
            Err(failure) => status.failure = Some(failure.clone()),
        }
        outcome
    }

    /// Items whose version differs from the ledger's, that it does not know, or that are no longer listed.
    pub(crate) async fn compare(&self, container: &Container) -> Result<Vec<(Key, Change)>, Trouble> {
        let server = self.servers.of(container).ok_or(Trouble::NotSynchronized)?;
        let listed = self.worker.ask(&server, container, server.list(container)).await?;
        let mut known: BTreeMap<ItemRef, (Key, Option<Version>)> =
            self.ledger.items_in(container).await?.into_iter().map(|(at, key, version)| (at, (key, version))).collect();
        let mut changes = Vec::new();
        for item in listed {
            match known.remove(&item.at) {
                Some((_, Some(version))) if version == item.version => {}
                // A copy in an attendee's calendar has no version of its own in the ledger: the organizer's counts.
                Some((_, None)) => {}
                Some(_) | None => {
                    let change = Change { at: item.at, uid: item.uid, stamp: item.stamp, cause: Cause::Sweep };
                    if let Some(key) = key_for(&self.ledger, &change).await? {
                        changes.push((key, change));
                    }
                }
            }
        }
        for (at, (key, version)) in known {
            // Listings show masters of series, not their occurrences: the master stands for them.
            let is_occurrence = at.side() == Side::Exchange && matches!(key, Key::Occurrence { .. });
            if version.is_some() && !is_occurrence {
                changes.push((key, Change { at, uid: None, stamp: None, cause: Cause::Sweep }));
            }
        }
        changes.extend(self.worker.series_to_roll(container).await?);
        Ok(changes)
    }

    async fn enqueue(&self, changes: Vec<(Key, Change)>) -> Result<usize, Trouble> {
        let total = changes.len();
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let page: Vec<_> = changes.by_ref().take(COMMIT_MAX).collect();
            self.queue.put(page).await?;
        }
        Ok(total)
    }
}
