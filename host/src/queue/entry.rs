//! One entry of the queue as it is kept, and how changes fold into it. Pure.
//!
//! Promises: at most [`CHANGES_MAX`] changes, one per item; what came after a lease is told from what the lease holds by
//! its number, and joins it when the lease ends without success. Must not know: store, locks, other entries.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::view::{FailureRecord, ParkedBy, RuleFailure};
use crate::model::{Cause, Change, Container};
use crate::store::record::{Record, RecordError, StoredChange};

/// Most changes kept for one key. A meeting changes in as many mailboxes as it has attendees who are synced; beyond this
/// the oldest is let go and the entry says so ([`super::Lease::overflow`]): the worker then looks at all copies it knows.
pub const CHANGES_MAX: usize = 256;
/// New changes put an entry off by the settling time, but by no more than this many times it since its first change.
pub const SETTLINGS_MAX: u32 = 4;

/// An entry in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// In the order they came, with their numbers. An item stands once among those a lease holds and once among those
    /// that came after it.
    pub changes: Vec<(u64, Change)>,
    pub next_number: u64,
    pub overflow: bool,
    /// When the present round began.
    pub since: DateTime<Utc>,
    pub due: DateTime<Utc>,
    /// Attempts counted so far, the one under way included.
    pub attempts: u32,
    pub parked: bool,
    /// Why the last attempt failed.
    pub failure: Option<FailureRecord>,
}

impl Entry {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            changes: Vec::new(),
            next_number: 0,
            overflow: false,
            since: now,
            due: now,
            attempts: 0,
            parked: false,
            failure: None,
        }
    }

    /// Takes in a change. `leased_below` is the first number that the lease under way does not hold, if there is one.
    pub fn fold(&mut self, change: Change, now: DateTime<Utc>, settle: Duration, leased_below: Option<u64>) {
        let asked = matches!(change.cause, Cause::Person | Cause::Again);
        let news = is_news(&change);
        let settled = now + if asked { TimeDelta::zero() } else { span(settle) };
        let first_of_round = match leased_below {
            Some(below) => self.fresh(below).next().is_none(),
            None => self.changes.is_empty(),
        };
        if first_of_round {
            self.due = settled;
        } else if self.parked {
            if news {
                self.begin_again(now, settled);
            }
        } else if self.attempts > 0 || self.failure.is_some() {
            // It waits for its next attempt, or is at work. New content may mend it; what is known need not hurry it.
            if news || asked {
                self.due = self.due.min(settled);
            }
        } else if asked {
            self.due = self.due.min(settled);
        } else {
            self.due = settled.min(self.since + span(settle) * SETTLINGS_MAX as i32);
        }
        self.insert(change, leased_below);
    }

    /// Adds a change. While a lease is under way it only joins changes that came after the lease.
    fn insert(&mut self, change: Change, leased_below: Option<u64>) {
        let mut fresh = match leased_below {
            Some(below) => self.changes.split_off(self.changes.partition_point(|(number, _)| *number < below)),
            None => {
                self.merge();
                std::mem::take(&mut self.changes)
            }
        };
        join(&mut fresh, self.next_number, change);
        self.next_number += 1;
        self.changes.append(&mut fresh);
        if self.changes.len() > CHANGES_MAX {
            self.changes.remove(0);
            self.overflow = true;
        }
    }

    /// Joins what a lease held with what came after it: the lease ended without success.
    pub fn merge(&mut self) {
        let mut merged = Vec::with_capacity(self.changes.len());
        for (number, change) in self.changes.drain(..) {
            join(&mut merged, number, change);
        }
        self.changes = merged;
    }

    /// Waits for its first attempt again, as if new.
    pub fn begin_again(&mut self, now: DateTime<Utc>, due: DateTime<Utc>) {
        self.parked = false;
        self.attempts = 0;
        self.since = now;
        self.due = due;
    }

    /// What parked it; none if it is not parked. One without a failure has the empty cause.
    pub fn parked_by(&self) -> Option<ParkedBy> {
        let none = || ParkedBy { code: String::new(), origin: String::new(), kind: None };
        self.parked.then(|| self.failure.as_ref().map_or_else(none, FailureRecord::parked_by))
    }

    /// Parked no longer, in the place in line that it had.
    pub fn unpark(&mut self) {
        self.parked = false;
        self.attempts = 0;
    }

    /// Changes that came after the lease.
    pub fn fresh(&self, below: u64) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |(number, _)| *number >= below).map(|(_, change)| change)
    }

    /// Forgets what the lease held; what came after it begins a new round.
    pub fn done_below(&mut self, below: u64, now: DateTime<Utc>) {
        self.since = now;
        self.changes.retain(|(number, _)| *number >= below);
        // Of what came meanwhile something was let go only if it fills the list.
        self.overflow &= self.changes.len() >= CHANGES_MAX;
        self.attempts = 0;
        self.failure = None;
    }

    /// The containers its changes lie in, each once.
    pub fn containers(&self) -> Vec<Container> {
        let mut containers: Vec<_> = self.changes.iter().map(|(_, change)| change.at.container.clone()).collect();
        containers.sort();
        containers.dedup();
        containers
    }
}

/// Adds a change to a list in which each item stands once. The later one is kept, with what only the earlier one knew, and
/// the weightier cause: that a person asked, or that the item was there before the sync, stays true whatever comes later.
fn join(list: &mut Vec<(u64, Change)>, number: u64, mut change: Change) {
    if let Some(at) = list.iter().position(|(_, known)| known.at == change.at) {
        let (_, known) = list.remove(at);
        change.uid = change.uid.or(known.uid);
        change.stamp = change.stamp.or(known.stamp);
        if weight(known.cause) > weight(change.cause) {
            change.cause = known.cause;
        }
    }
    list.push((number, change));
}

fn weight(cause: Cause) -> u8 {
    match cause {
        Cause::Sweep => 0,
        Cause::Again => 1,
        Cause::Feed => 2,
        Cause::First => 3,
        Cause::Person => 4,
    }
}

/// Whether a change may bring content that mends what failed: sweeps and the host itself repeat what is known.
pub fn is_news(change: &Change) -> bool {
    weight(change.cause) >= weight(Cause::Feed)
}

/// A span of time as chrono counts it.
pub fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX / 4)
}

#[derive(Debug, Serialize, Deserialize)]
pub struct StoredEntry {
    changes: Vec<NumberedChange>,
    next_number: u64,
    #[serde(default)]
    overflow: bool,
    since: DateTime<Utc>,
    due: DateTime<Utc>,
    attempts: u32,
    #[serde(default)]
    parked: bool,
    #[serde(default)]
    failure: Option<StoredFailure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NumberedChange {
    number: u64,
    change: StoredChange,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredFailure {
    code: String,
    class: String,
    message: String,
    hint: String,
    origin: String,
    at: DateTime<Utc>,
    attempts: u32,
    /// Hosts before this field existed kept the texts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<StoredRuleFailure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredRuleFailure {
    rule: String,
    version: String,
    digest: String,
    step: u32,
    function: String,
    kind: String,
    #[serde(default)]
    field: Option<String>,
    message: String,
    #[serde(default)]
    backtrace: Vec<String>,
    elapsed_us: u64,
    memory_peak: u64,
    generation: u64,
    generation_digest: String,
    correlation: String,
}

impl Record for StoredEntry {
    const KIND: &'static str = "queue-entry";
}

impl From<Entry> for StoredEntry {
    fn from(from: Entry) -> Self {
        let changes = from.changes.into_iter();
        Self {
            changes: changes.map(|(number, change)| NumberedChange { number, change: change.into() }).collect(),
            next_number: from.next_number,
            overflow: from.overflow,
            since: from.since,
            due: from.due,
            attempts: from.attempts,
            parked: from.parked,
            failure: from.failure.map(Into::into),
        }
    }
}

impl TryFrom<StoredEntry> for Entry {
    type Error = RecordError;

    fn try_from(from: StoredEntry) -> Result<Self, RecordError> {
        let changes = from.changes.into_iter();
        Ok(Self {
            changes: changes.map(|of| Ok((of.number, of.change.try_into()?))).collect::<Result<_, RecordError>>()?,
            next_number: from.next_number,
            overflow: from.overflow,
            since: from.since,
            due: from.due,
            attempts: from.attempts,
            parked: from.parked,
            failure: from.failure.map(Into::into),
        })
    }
}

impl From<FailureRecord> for StoredFailure {
    fn from(from: FailureRecord) -> Self {
        let FailureRecord { code, class, message, hint, origin, at, attempts, rule } = from;
        Self { code, class, message, hint, origin, at, attempts, rule: rule.map(Into::into) }
    }
}

impl From<StoredFailure> for FailureRecord {
    fn from(from: StoredFailure) -> Self {
        let StoredFailure { code, class, message, hint, origin, at, attempts, rule } = from;
        Self { code, class, message, hint, origin, at, attempts, rule: rule.map(Into::into) }
    }
}

impl From<RuleFailure> for StoredRuleFailure {
    fn from(from: RuleFailure) -> Self {
        Self {
            rule: from.rule,
            version: from.version,
            digest: from.digest,
            step: from.step,
            function: from.function,
            kind: from.kind,
            field: from.field,
            message: from.message,
            backtrace: from.backtrace,
            elapsed_us: u64::try_from(from.elapsed.as_micros()).unwrap_or(u64::MAX),
            memory_peak: from.memory_peak,
            generation: from.generation,
            generation_digest: from.generation_digest,
            correlation: from.correlation,
        }
    }
}

impl From<StoredRuleFailure> for RuleFailure {
    fn from(from: StoredRuleFailure) -> Self {
        Self {
            rule: from.rule,
            version: from.version,
            digest: from.digest,
            step: from.step,
            function: from.function,
            kind: from.kind,
            field: from.field,
            message: from.message,
            backtrace: from.backtrace,
            elapsed: Duration::from_micros(from.elapsed_us),
            memory_peak: from.memory_peak,
            generation: from.generation,
            generation_digest: from.generation_digest,
            correlation: from.correlation,
        }
    }
}
