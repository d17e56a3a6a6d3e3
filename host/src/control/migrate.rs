//! Carrying mailboxes from one Exchange server over to another: what a person asks, and what was or would be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Reason;

/// Which mailboxes are to be carried over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrateOrder {
    /// Where they were: a server's name in the configuration, or `ews` or `graph`.
    pub from: String,
    /// Where the configuration has them now, likewise.
    pub to: String,
    /// Only these; empty for all that have moved so.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// Do it; else only tell what would be done.
    #[serde(default)]
    pub yes: bool,
}

/// What was carried over, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrateReport {
    /// False for a dry run.
    pub done: bool,
    pub mailboxes: Vec<MailboxMove>,
    /// Appointments that are not carried over, at most [`super::SYNC_LINES_MAX`]; `left_out` counts the rest.
    pub lines: Vec<NotCarried>,
    pub left_out: u64,
}

/// One mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxMove {
    pub mailbox: String,
    pub from: String,
    pub to: String,
    /// It is carried over and synchronized with its new server.
    pub done: bool,
    /// Pairs looked at in this run; an earlier run that was cut off may have carried others.
    pub pairs: u64,
    /// Found by the id that the new server made of the old one.
    pub by_id: u64,
    /// Found by iCalendar UID.
    pub by_uid: u64,
    /// Found by our stamp.
    pub by_stamp: u64,
    /// Occurrences found by their day in their series.
    pub by_series: u64,
    /// Not found, by reason.
    pub missing: BTreeMap<String, u64>,
    /// Attendees' copies of meetings in this mailbox, and how many of them were not found.
    pub copies: u64,
    pub copies_missing: u64,
    /// Pairs that may have been edited since they were last synchronized: the next pass carries the edits over.
    pub edited: u64,
    /// Why the mailbox is not carried over, or not to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}

/// An appointment that is not carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCarried {
    pub mailbox: String,
    pub key: String,
    pub why: String,
}

impl MailboxMove {
    /// Pairs that are, or would be, carried over.
    pub fn carried(&self) -> u64 {
        self.by_id + self.by_uid + self.by_stamp + self.by_series
    }
}
