//! Making pairs anew by the rules in force: what a person asks, and what was or would be done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{GenerationInfo, MailCounts, PlanLine, WriteCounts};

/// Which pairs the rules in force are to make anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReapplyOrder {
    /// Do it; else only tell what would be done.
    #[serde(default)]
    pub yes: bool,
    /// Only pairs in which this rule sets something, by the name `rules list` shows.
    #[serde(default)]
    pub rule: Option<String>,
    /// Only pairs with their Exchange copy in one of these mailboxes; empty for all.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// At most so many pairs.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// What the rules in force make, or would make, different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReapplyReport {
    /// False for a preview.
    pub done: bool,
    pub generation: GenerationInfo,
    /// Pairs held against the rules.
    pub looked_at: u64,
    /// Pairs that change.
    pub pairs: u64,
    /// The limit was reached: there may be more.
    pub more: bool,
    /// In how many pairs each field changes.
    pub fields: BTreeMap<String, u64>,
    /// Mails the writes make Exchange send.
    pub mail: MailCounts,
    /// Fields that stay because somebody changed them on the target's side.
    pub kept: u64,
    /// Pairs the rules refuse, or at which a rule or server failed.
    pub failed: u64,
    /// One per pair that changes or failed, at most [`super::SYNC_LINES_MAX`]; `left_out` counts the rest.
    pub lines: Vec<PlanLine>,
    pub left_out: u64,
    /// Writes made; none in a preview.
    pub writes: WriteCounts,
    /// Pairs that wait in the queue or are parked; the host goes on with them.
    pub unfinished: u64,
}
