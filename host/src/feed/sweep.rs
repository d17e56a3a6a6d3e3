//! The full sweep of a container: everything it lists against everything the ledger knows of it.
//!
//! Promises: only tells where to look; nothing is judged missing here. Costs one listing, however many pairs there are; a
//! page and eight bytes for each item are in memory.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{FeedFailure, Feeds};
use crate::connector::{Cursor, Error, Listed, Problem};
use crate::ledger::Place;
use crate::model::{Cause, Change, Container, Key, Side};
use crate::worker::Trouble;
use crate::worker::keys::key_for;

/// Pages of one listing; beyond it the server repeats itself.
const PAGES_MAX: usize = 20_000;

impl Feeds {
    /// Sweeps a container; answers how many items are to be looked at.
    pub async fn sweep(&self, container: &Container) -> Result<usize, FeedFailure> {
        let outcome = self.swept(container).await.map_err(|trouble| self.failed(container, &trouble));
        let mut statuses = self.statuses.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let status = statuses.entry(container.clone()).or_default();
        match &outcome {
            Ok(_) => status.last_sweep = Some(self.clock.now()),
            Err(failure) => status.failure = Some(failure.clone()),
        }
        outcome
    }

    async fn swept(&self, container: &Container) -> Result<usize, Trouble> {
        let mut comparison = self.compare(container);
        let mut total = 0;
        while let Some(changes) = comparison.next().await? {
            total += changes.len();
            if !changes.is_empty() {
                self.admit(changes, None).await?;
            }
        }
        Ok(total)
    }

    /// Items whose version differs from the ledger's, that it does not know, or that are no longer listed.
    pub(crate) fn compare<'a>(&'a self, container: &'a Container) -> Comparison<'a> {
        Comparison { feeds: self, container, stage: Stage::Listing(None), listed: HashSet::new(), pages: 0 }
    }
}

/// A sweep under way.
pub(crate) struct Comparison<'a> {
    feeds: &'a Feeds,
    container: &'a Container,
    stage: Stage,
    /// Digests of the ids that were listed.
    listed: HashSet<u64>,
    pages: usize,
}

/// What is gone through next.
enum Stage {
    Listing(Option<Cursor>),
    Ledger(Place),
    Series,
    Done,
}

impl Comparison<'_> {
    /// The next items to be looked at, which may be none; nothing behind the last.
    pub async fn next(&mut self) -> Result<Option<Vec<(Key, Change)>>, Trouble> {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Listing(from) => self.list(from).await.map(Some),
            Stage::Ledger(place) => self.known(place).await.map(Some),
            Stage::Series => self.feeds.worker.series_to_roll(self.container).await.map(Some),
            Stage::Done => Ok(None),
        }
    }

    async fn list(&mut self, from: Option<Cursor>) -> Result<Vec<(Key, Change)>, Trouble> {
        let (feeds, container) = (self.feeds, self.container);
        let server = feeds.servers.of(container).ok_or(Trouble::NotSynchronized)?;
        let page = feeds.worker.ask(&server, container, server.list(container, from.as_ref())).await?;
        self.pages += 1;
        if self.pages > PAGES_MAX {
            let error = Error::new(format!("list all items of {}", server.name()), Problem::Malformed);
            let error = error.caused_by("the list has no end");
            return Err(Trouble::Server { server: server.name().to_owned(), container: container.clone(), error });
        }
        let mut changes = Vec::new();
        for item in page.items {
            if self.listed.insert(digest(&item.at.id)) && self.is_news(&item).await? {
                let change = Change { at: item.at, uid: item.uid, stamp: item.stamp, cause: Cause::Sweep };
                if let Some(key) = key_for(&feeds.ledger, &change).await? {
                    changes.push((key, change));
                }
            }
        }
        self.stage = page.next.map_or(Stage::Ledger(Place::default()), |next| Stage::Listing(Some(next)));
        Ok(changes)
    }

    async fn is_news(&self, item: &Listed) -> Result<bool, Trouble> {
        Ok(match self.feeds.ledger.known(&item.at).await? {
            // A copy in an attendee's calendar has no version of its own in the ledger: the organizer's counts.
            Some((_, version)) => version.is_some_and(|version| version != item.version),
            None => true,
        })
    }

    async fn known(&mut self, mut place: Place) -> Result<Vec<(Key, Change)>, Trouble> {
        let Some(items) = self.feeds.ledger.items_in(self.container, &mut place).await? else {
            self.stage = Stage::Series;
            return Ok(Vec::new());
        };
        self.stage = Stage::Ledger(place);
        let mut changes = Vec::new();
        for (at, key, version) in items {
            // Listings show masters of series, not their occurrences: the master stands for them.
            let is_occurrence = at.side() == Side::Exchange && matches!(key, Key::Occurrence { .. });
            if version.is_some() && !is_occurrence && !self.listed.contains(&digest(&at.id)) {
                changes.push((key, Change { at, uid: None, stamp: None, cause: Cause::Sweep }));
            }
        }
        Ok(changes)
    }
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
