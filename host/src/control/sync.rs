//! A pass: what a person asks, and what was or would be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MailCounts, SideName, WriteCounts};

/// A pass a person asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOrder {
    /// `crm` or mailbox addresses; empty for everything.
    #[serde(default)]
    pub containers: Vec<String>,
    /// Read everything there is instead of what changed.
    #[serde(default)]
    pub sweep: bool,
    /// Plan only, write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a pass did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReport {
    pub dry_run: bool,
    /// Only what is more than "nothing to do", at most [`SYNC_LINES_MAX`]; `left_out` counts the rest.
    pub lines: Vec<PlanLine>,
    pub left_out: u64,
    /// Appointments looked at.
    pub looked_at: u64,
    pub writes: WriteCounts,
    pub mail: MailCounts,
    /// Entries that this pass could not finish and that wait in the queue or are parked.
    pub unfinished: u64,
    /// What a dry run found, counted.
    #[serde(default)]
    pub preview: Preview,
}

/// What a pass would do, counted by what becomes of each appointment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Found on both sides, and to be linked without a copy being made.
    pub linked: u64,
    pub created_in_crm: u64,
    pub created_in_exchange: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Left alone, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Rules, servers or the host itself would fail at so many.
    pub failed: u64,
}

/// Lines in a [`SyncReport`]: what a person can still read.
pub const SYNC_LINES_MAX: usize = 500;

/// What is done with one appointment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    pub key: String,
    /// `note`, `create`, `update`, `delete`, `conflict`, `skip`, `failed`.
    pub op: String,
    /// The side written to, if one is.
    pub target: Option<SideName>,
    /// Where on that side: `crm`, or the mailbox address.
    pub container: Option<String>,
    /// Names of the fields written.
    pub fields: Vec<String>,
    pub mail: MailCounts,
    /// Why, in a few words.
    pub reason: String,
}
