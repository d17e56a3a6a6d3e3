//! What people see of the queue.
//!
//! Promises: texts of failures are bounded. Must not know: store, index.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::index::Stand;
use crate::model::{Change, Key};

/// Longest text kept of a failure, in characters; servers may answer with a page of HTML.
const FAILURE_TEXT_MAX: usize = 4000;

/// Why an attempt failed, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRecord {
    /// Stable code, for example `sign-in-refused`.
    pub code: String,
    /// Name of the [`crate::error::Class`].
    pub class: String,
    pub message: String,
    pub hint: String,
    /// Which side or rule it came from.
    pub origin: String,
    pub at: DateTime<Utc>,
    pub attempts: u32,
    /// What is known of the call, if a rule failed or refused.
    pub rule: Option<RuleFailure>,
}

/// The call of a rule that failed, or in which it refused the appointment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleFailure {
    pub rule: String,
    pub version: String,
    /// Hex SHA-256 of the rule's file.
    pub digest: String,
    /// Position in the chain, from 1.
    pub step: u32,
    /// `apply`, `resolve`, ...
    pub function: String,
    /// Kind of the fault, or `refusal`.
    pub kind: String,
    /// The field that is to blame, where the rule named one.
    pub field: Option<String>,
    /// What happened, as it was before anybody reworded it for people.
    pub message: String,
    /// Function names of the guest, innermost first, where known.
    pub backtrace: Vec<String>,
    pub elapsed: Duration,
    pub memory_peak: u64,
    /// Number and short digest of the chain it ran in.
    pub generation: u64,
    pub generation_digest: String,
    /// The same in the log.
    pub correlation: String,
}

/// What parked an entry: entries with the same cause wait for the same thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParkedBy {
    /// See [`FailureRecord::code`].
    pub code: String,
    /// See [`FailureRecord::origin`].
    pub origin: String,
    /// See [`RuleFailure::kind`]; none if it was not a rule.
    pub kind: Option<String>,
}

/// An entry as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryView {
    pub key: Key,
    pub state: EntryState,
    pub changes: Vec<Change>,
    /// Attempts counted so far.
    pub attempts: u32,
    /// When the present round began.
    pub since: DateTime<Utc>,
    pub due: DateTime<Utc>,
    /// Why the last attempt failed; for a parked entry the reason it is parked.
    pub failure: Option<FailureRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Due now or later.
    Waiting,
    Leased,
    /// Will not be tried by itself.
    Parked,
}

impl EntryState {
    pub(super) fn of(stand: Option<Stand>) -> Self {
        match stand {
            Some(Stand::Leased { .. }) => EntryState::Leased,
            Some(Stand::Parked) => EntryState::Parked,
            Some(Stand::Waiting) | None => EntryState::Waiting,
        }
    }

    /// `waiting`, `leased` or `parked`.
    pub fn name(self) -> &'static str {
        match self {
            EntryState::Waiting => "waiting",
            EntryState::Leased => "leased",
            EntryState::Parked => "parked",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    pub waiting: usize,
    pub leased: usize,
    pub parked: usize,
    /// Due time of the entry that is first in line.
    pub earliest_due: Option<DateTime<Utc>>,
}

impl QueueCounts {
    /// Nothing waits and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.waiting == 0 && self.leased == 0
    }
}

impl EntryView {
    pub(super) fn new(key: Key, state: EntryState, mut entry: Entry) -> Self {
        entry.merge();
        Self {
            key,
            state,
            changes: entry.changes.into_iter().map(|(_, change)| change).collect(),
            attempts: entry.attempts,
            since: entry.since,
            due: entry.due,
            failure: entry.failure,
        }
    }
}

impl FailureRecord {
    /// The cause under which an entry with this failure is parked.
    pub fn parked_by(&self) -> ParkedBy {
        ParkedBy {
            code: self.code.clone(),
            origin: self.origin.clone(),
            kind: self.rule.as_ref().map(|rule| rule.kind.clone()),
        }
    }

    /// Cuts texts to what the queue keeps.
    pub(super) fn cut(mut self) -> Self {
        let rule = self.rule.as_mut().map(|rule| &mut rule.message);
        for text in [&mut self.message, &mut self.hint].into_iter().chain(rule) {
            if let Some((at, _)) = text.char_indices().nth(FAILURE_TEXT_MAX) {
                text.truncate(at);
                text.push('…');
            }
        }
        self
    }
}
