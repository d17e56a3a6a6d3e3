//! Mailboxes that another host keeps: what a person asks, and what became of each.

use serde::{Deserialize, Serialize};

use super::Reason;

/// Which mailboxes this host is to take over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOrder {
    /// Addresses of synchronized mailboxes.
    #[serde(default)]
    pub mailboxes: Vec<String>,
    /// All synchronized mailboxes.
    #[serde(default)]
    pub all: bool,
}

/// What became of each mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimReport {
    pub mailboxes: Vec<ClaimedMailbox>,
}

/// One mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedMailbox {
    pub mailbox: String,
    /// Why it is not this host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Reason>,
}
