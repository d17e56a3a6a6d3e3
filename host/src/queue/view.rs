//! What people see of the queue.
//!
//! Promises: texts of failures are bounded. Must not know: store, index.

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
    /// Cuts texts to what the queue keeps.
    pub(super) fn cut(mut self) -> Self {
        for text in [&mut self.message, &mut self.hint] {
            if let Some((at, _)) = text.char_indices().nth(FAILURE_TEXT_MAX) {
                text.truncate(at);
                text.push('…');
            }
        }
        self
    }
}
