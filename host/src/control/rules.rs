//! What a person may ask of a running host about its rules: propose a change, put it in force, go back, compare.
//!
//! Promises: a proposal changes nothing; what is put in force is exactly what was shown. Must not know: how rules are kept.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{Refusal, RuleChain};
use crate::plugin::{Compared, GateReport, HistoryLine, SIZE_MAX, VersionLine};

/// Bytes of a request that brings one rule file, or two to compare: as text, with room for the rest.
pub const UPLOAD_BYTES_MAX: usize = 2 * (SIZE_MAX as usize / 3 * 4) + (1 << 20);

/// What a person may ask about rules.
#[async_trait]
pub trait RuleDesk: Send + Sync {
    /// Builds and tries what a change would make of the chain in force, and keeps it until [`RuleDesk::commit_rules`]. What it
    /// says of recorded calls names fields; with `values`, it holds their values, too: personal data.
    async fn propose_rules(&self, order: ChangeOrder, values: bool) -> Result<Proposal, Refusal>;

    /// Puts a proposal in force, unless the rules in force are no longer those it was compared with.
    async fn commit_rules(&self, order: &CommitOrder) -> Result<RuleChain, Refusal>;

    /// The generations and the versions of rules that are kept.
    async fn rule_history(&self) -> Result<RuleHistory, Refusal>;

    /// What differs between two generations, versions or files.
    async fn diff_rules(&self, order: DiffOrder) -> Result<Compared, Refusal>;
}

/// A change somebody proposes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOrder {
    /// What configuration and rules folder ask for; with `fresh`, as if nothing had been installed or restored.
    Reload {
        #[serde(default)]
        fresh: bool,
    },
    Install(InstallOrder),
    /// `RULE@VERSION`, the first letters of a digest, or a generation's number.
    Swap(String),
    /// A generation's number; none for the one before.
    Rollback(Option<u64>),
}

/// A file that is to become a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstallOrder {
    pub file: FileOrder,
    /// Its signature in minisign's format.
    #[serde(default)]
    pub signature: Option<String>,
    /// A script's fixtures, as a JSON array; a component carries its own.
    #[serde(default)]
    pub fixtures: Option<String>,
    /// The file name it is to have.
    #[serde(default)]
    pub name: Option<String>,
    /// A rule it is to stand before.
    #[serde(default)]
    pub before: Option<String>,
    /// A rule it is to stand behind.
    #[serde(default)]
    pub after: Option<String>,
    #[serde(default)]
    pub settings: Option<Map<String, Json>>,
    /// Look-ups it may use.
    #[serde(default)]
    pub grant: Vec<String>,
}

/// A file that travels within a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOrder {
    pub name: String,
    pub base64: String,
}

impl FileOrder {
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), base64: STANDARD.encode(bytes) }
    }

    /// The file's bytes; nothing if the text is no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.base64).ok()
    }
}

/// A change that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// What [`CommitOrder`] calls it; none if it cannot be put in force.
    pub proposal: Option<String>,
    pub report: GateReport,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitOrder {
    pub proposal: String,
    /// Only keep the file that came with it, beside those in force.
    #[serde(default)]
    pub store_only: bool,
}

/// What there is to go back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHistory {
    /// Newest first.
    pub generations: Vec<HistoryLine>,
    pub versions: Vec<VersionLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffOrder {
    pub old: DiffOrderSide,
    pub new: DiffOrderSide,
    /// Also take the recorded calls through both.
    #[serde(default)]
    pub replay: bool,
    /// Show values of what comes out otherwise, not names of fields alone: personal data.
    #[serde(default)]
    pub values: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiffOrderSide {
    Generation(u64),
    Version(String),
    File(FileOrder),
}
