//! Stops a run that would delete much or all of one side: a feed suddenly empty, a mailbox restored from an old backup.
//!
//! A deletion must be granted twice: for the mailbox its pair lives in, and for all pairs together, so that a little from
//! each of many mailboxes is noticed too. Promises: pure arithmetic over counts it is given. Must not know: why something
//! is deleted.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::recent::Recent;
use crate::model::Container;

/// When deletions are held for a person's yes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrakeLimits {
    /// Deletions within the period that are always let through for one mailbox.
    pub count: u32,
    /// The same for all mailboxes together.
    pub count_overall: u32,
    /// Beyond the count: the part of the pairs that may be deleted within the period, from 0 to 1.
    pub fraction: f64,
    pub period: TimeDelta,
}

impl Default for BrakeLimits {
    fn default() -> Self {
        Self { count: 10, count_overall: 50, fraction: 0.1, period: TimeDelta::hours(1) }
    }
}

/// How many pairs there are to lose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// In the mailbox of the pair.
    pub mailbox: u64,
    pub overall: u64,
}

/// Which limit a deletion would pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Braked {
    Mailbox,
    Overall,
}

/// Deletions of the recent past, per mailbox and overall.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    mailboxes: BTreeMap<Container, Recent>,
    overall: Recent,
}

impl Brake {
    /// Goes on from counts that an earlier run kept.
    pub fn new(mailboxes: BTreeMap<Container, Recent>, overall: Recent) -> Self {
        Self { mailboxes, overall }
    }

    /// Asks for one deletion of a pair that lives in `mailbox`. If granted it is counted; else it is to be held.
    ///
    /// # Errors
    /// The limit that holds it.
    pub fn ask(
        &mut self,
        mailbox: &Container,
        pairs: PairCounts,
        now: DateTime<Utc>,
        limits: BrakeLimits,
    ) -> Result<(), Braked> {
        let recent = self.mailboxes.entry(mailbox.clone()).or_default();
        if !free(recent, limits.count, pairs.mailbox, now, limits) {
            return Err(Braked::Mailbox);
        }
        if !free(&mut self.overall, limits.count_overall.max(limits.count), pairs.overall, now, limits) {
            return Err(Braked::Overall);
        }
        recent.add(1, now);
        self.overall.add(1, now);
        Ok(())
    }

    /// Takes back a deletion that was granted and then not made.
    pub fn take_back(&mut self, mailbox: &Container) {
        if let Some(recent) = self.mailboxes.get_mut(mailbox) {
            recent.take_back(1);
        }
        self.overall.take_back(1);
    }

    /// What is counted for a mailbox, and overall: to be kept for the next run.
    pub fn counts(&self, mailbox: &Container) -> (Recent, Recent) {
        (self.mailboxes.get(mailbox).cloned().unwrap_or_default(), self.overall.clone())
    }
}

fn free(recent: &mut Recent, count: u32, pairs: u64, now: DateTime<Utc>, limits: BrakeLimits) -> bool {
    let done = u64::from(recent.within(limits.period, now));
    // Pairs deleted within the period were pairs when it began.
    let whole = pairs.saturating_add(done);
    let by_fraction = (whole as f64 * limits.fraction).floor() as u64;
    done < u64::from(count).max(by_fraction)
}
