//! What a person may ask of a running host: as calls ([`Desk`]), as JSON on a loopback address ([`http`]), and the client
//! the command line uses ([`client`]).
//!
//! Promises: every answer is a plain value that travels as JSON; nothing here changes state by another road than the
//! [`Desk`]; no secret is in any answer. Subjects and bodies are not either, but for values that lost a conflict, in a trace.
//! Must not know: store, queue, connectors, how the host does what it is asked.

mod claim;
pub mod client;
pub mod http;
mod migrate;
mod reapply;
pub mod rules;
mod sync;
mod users;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::claim::{ClaimOrder, ClaimReport, ClaimedMailbox};
pub use self::migrate::{MailboxMove, MigrateOrder, MigrateReport, NotCarried};
pub use self::reapply::{ReapplyOrder, ReapplyReport};
pub use self::sync::{PlanLine, Preview, SYNC_LINES_MAX, SyncOrder, SyncReport};
pub use self::users::{UserDesk, UserInfo, UserList, UserOrder, UserState};
use crate::model::{MailBudget, Side};
pub use rules::{
    ChangeOrder, CommitOrder, DiffOrder, DiffOrderSide, FileOrder, InstallOrder, Proposal, RuleDesk, RuleHistory,
};

/// Entries in one answer of [`Desk::queue`] unless the filter asks for fewer: one page of a terminal, many times over.
pub const QUEUE_PAGE_MAX: usize = 1000;

/// What a person may ask of a running host.
///
/// Every call answers [`Refusal`] when it cannot be done; its kind says whose move it is.
#[async_trait]
pub trait Desk: RuleDesk + UserDesk {
    /// How the host is: versions, what waits where and why, mail declared so far.
    async fn status(&self) -> Result<Status, Refusal>;

    /// Entries of the queue, oldest first, at most [`QUEUE_PAGE_MAX`].
    async fn queue(&self, filter: &QueueFilter) -> Result<QueuePage, Refusal>;

    /// One entry by its key (`crm:4711`, `uid:0400...`).
    async fn queue_entry(&self, key: &str) -> Result<QueueEntry, Refusal>;

    /// Makes parked and waiting entries due now.
    async fn queue_retry(&self, which: &Which) -> Result<Affected, Refusal>;

    /// Forgets a parked entry. The appointment itself is left as it is on both sides; its next change is worked again.
    async fn queue_discard(&self, key: &str) -> Result<Affected, Refusal>;

    /// The life of one appointment by CRM id, Exchange item id, iCalendar UID or key.
    async fn trace(&self, id: &str) -> Result<Story, Refusal>;

    /// The chain of rules in force.
    async fn rules(&self) -> Result<RuleChain, Refusal>;

    /// The newest recorded call of an appointment as a fixture, people and texts masked.
    async fn capture(&self, order: &CaptureOrder) -> Result<Captured, Refusal>;

    /// Loads entries and rules again. If one of them is refused or something speaks against the chain, the one in force stays and
    /// the refusal says why.
    async fn reload_rules(&self) -> Result<RuleChain, Refusal>;

    /// Figures for a Prometheus server, in the OpenMetrics text format.
    async fn metrics(&self) -> Result<String, Refusal>;

    /// Has the pairs made anew by the rules in force, through the queue; without `yes`, only tells what that would change.
    async fn reapply(&self, order: &ReapplyOrder) -> Result<ReapplyReport, Refusal>;

    /// Carries mailboxes that have moved to another Exchange server over to it, pair by pair; without `yes`, only tells what that would
    /// do. One that was cut off is gone on with.
    async fn migrate(&self, order: &MigrateOrder) -> Result<MigrateReport, Refusal>;

    /// Takes mailboxes over that another host keeps, or kept.
    async fn claim(&self, order: &ClaimOrder) -> Result<ClaimReport, Refusal>;

    /// Runs a pass now and answers when everything it found has been worked off, parked or put off; with `dry_run`, only
    /// plans it and writes nothing anywhere.
    async fn sync(&self, order: &SyncOrder) -> Result<SyncReport, Refusal>;

    /// "Something changed on that side": the feed looks now. Carries no data and answers at once.
    async fn doorbell(&self, side: SideName) -> Result<(), Refusal>;

    /// Asks the host to stop; answers before it has.
    async fn stop(&self) -> Result<(), Refusal>;
}

/// A side in an answer: `crm` or `exchange`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SideName {
    Crm,
    Exchange,
}

/// How a running host is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub started: DateTime<Utc>,
    pub uptime_s: u64,
    pub generation: GenerationInfo,
    /// Rules that are not called at present because they kept failing.
    #[serde(default)]
    pub set_aside: Vec<SetAside>,
    /// One per container: the CRM, and every mailbox.
    pub containers: Vec<ContainerStatus>,
    pub queue: QueueCounts,
    /// Writes carried out since the host started.
    pub writes: WriteCounts,
    /// Appointments looked at since the host started.
    #[serde(default)]
    pub looked_at: u64,
    /// Pairs both sides have a copy of.
    pub pairs: u64,
    /// Mails declared by writes carried out since the host started.
    pub mail: MailCounts,
    /// What people were told since the host started, oldest first.
    pub notices: Vec<Reason>,
    /// Why nothing is written at present: a rule that must never be passed by failed.
    #[serde(default)]
    pub stopped: Option<Stopped>,
    /// Rules without which appointments go on when they fail, by the operator's choice.
    #[serde(default)]
    pub fail_open: Vec<FailOpen>,
    /// What configuration or rules folder ask for that is not in force, and why.
    #[serde(default)]
    pub rules_pending: Option<Reason>,
}

/// A rule stopped the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    pub rule: String,
    /// The appointments it failed at.
    pub keys: Vec<String>,
    pub since: DateTime<Utc>,
    pub reason: Reason,
}

/// A rule whose entry says `on_error = "skip"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailOpen {
    pub rule: String,
    /// How often the chain went on without it since these rules are in force.
    pub times: u64,
}

/// Which generation of the rule chain is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationInfo {
    pub number: u64,
    pub digest: String,
}

/// A rule that kept failing and is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    pub rule: String,
    pub version: String,
    /// Hex SHA-256 of its file.
    pub digest: String,
    /// What it is no longer asked: `judging appointments`, `wording failures`, `matching users`.
    pub duty: String,
    pub since: DateTime<Utc>,
    /// When it is tried again with one appointment.
    pub until: DateTime<Utc>,
    /// Kind of its last fault: `deadline`, `panic` ...
    pub kind: String,
    /// Appointments that wait for it.
    pub parked: u64,
}

/// What the host watches, and how that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub side: SideName,
    /// The server's name in the configuration.
    pub server: String,
    /// `crm`, or the mailbox address.
    pub container: String,
    /// When the feed last read it to its end.
    pub last_pass: Option<DateTime<Utc>>,
    /// When a full sweep last ended.
    pub last_sweep: Option<DateTime<Utc>>,
    /// Why nothing is asked of it at present.
    pub paused: Option<Paused>,
}

/// A container or server that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    pub reason: Reason,
    /// When the host tries again by itself; none if it waits for a person.
    pub until: Option<DateTime<Utc>>,
}

/// A failure in words for people, under its stable code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub message: String,
    pub hint: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Due now or later.
    pub waiting: u64,
    /// Being worked on.
    pub leased: u64,
    /// Waiting for a person.
    pub parked: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteCounts {
    pub crm: u64,
    pub exchange: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailCounts {
    pub invitations: u64,
    pub updates: u64,
    pub cancellations: u64,
}

/// Which entries [`Desk::queue`] lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFilter {
    /// Only entries in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<EntryState>,
    /// Only entries whose last failure has this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// At most this many; [`QUEUE_PAGE_MAX`] at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    Waiting,
    Leased,
    Parked,
}

impl EntryState {
    /// The word for it in commands, answers and messages.
    pub fn name(self) -> &'static str {
        match self {
            EntryState::Waiting => "waiting",
            EntryState::Leased => "leased",
            EntryState::Parked => "parked",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuePage {
    pub entries: Vec<QueueEntry>,
    /// All entries the filter matches, listed or not.
    pub total: u64,
}

/// One appointment's work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueEntry {
    pub key: String,
    pub state: EntryState,
    /// Times it was begun.
    pub attempts: u32,
    pub queued: DateTime<Utc>,
    /// When it is worked on next; none while leased or parked.
    pub due: Option<DateTime<Utc>>,
    /// Why it was queued: `feed`, `sweep`, `person`, `again`.
    pub causes: Vec<String>,
    /// Why it failed last, or why it is parked.
    pub reason: Option<Reason>,
    /// The call of a rule that failed, or in which the rule refused the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RuleFailure>,
}

/// All that is known of a call of a rule that failed, or in which it refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFailure {
    pub rule: String,
    pub version: String,
    /// Hex SHA-256 of the rule's file.
    pub digest: String,
    /// Position in the chain, from 1.
    pub step: u32,
    pub function: String,
    /// `deadline`, `memory`, `table`, `stack`, `output`, `panic`, `trap`, `answer`, `start`, `set-aside`; or `refusal`, which
    /// is the author's and no fault.
    pub kind: String,
    /// The appointment's key.
    pub appointment: String,
    pub field: Option<String>,
    /// What happened, before a rule reworded it for people.
    pub message: String,
    /// Function names of the guest, innermost first, where known.
    pub backtrace: Vec<String>,
    pub elapsed_us: u64,
    /// Bytes.
    pub memory_peak: u64,
    pub generation: GenerationInfo,
    /// The same in the log.
    pub correlation: String,
    pub at: DateTime<Utc>,
}

/// Which entries to act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    All,
    Key(String),
    /// All whose last failure has this code: `deletions-held`, `mail-cap` ...
    Code(String),
}

/// How many entries an act changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    pub entries: u64,
}

/// The life of one appointment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    pub key: String,
    pub crm_id: Option<String>,
    pub mailbox: Option<String>,
    pub exchange_id: Option<String>,
    pub uid: Option<String>,
    /// Where its work stands, if there is any.
    pub entry: Option<QueueEntry>,
    /// Oldest first.
    pub lines: Vec<StoryLine>,
}

/// One step in an appointment's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoryLine {
    pub at: DateTime<Utc>,
    /// What was done: `create`, `update`, `delete`, `conflict`, `skip`, `hold`, `failed` ...
    pub step: String,
    /// One sentence with the reason, without subject, body or address.
    pub text: String,
    /// Values that gave way because both sides had changed the field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostValue>,
}

/// A value that gave way. It is personal data: it is shown to whoever asks for a trace, and is in no log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostValue {
    pub field: String,
    /// The side it stood on.
    pub side: SideName,
    pub value: String,
    /// What stands there now.
    pub kept: String,
}

/// Names the field alone, for logs.
impl std::fmt::Debug for LostValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LostValue").field("field", &self.field).field("side", &self.side).finish_non_exhaustive()
    }
}

/// The chain of rules in force, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChain {
    pub generation: GenerationInfo,
    pub rules: Vec<RuleInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInfo {
    pub name: String,
    pub version: String,
    /// The version of the rule contract it speaks.
    #[serde(default)]
    pub api: String,
    pub purpose: String,
    pub enabled: bool,
    /// `crm-to-exchange`, `exchange-to-crm`.
    pub directions: Vec<String>,
    /// Functions of the contract it uses: `apply`, `resolve`, `explain`, `match-user`.
    pub hooks: Vec<String>,
    /// File it came from; `built in` for the default set; with `(installed)` if a person installed it.
    pub file: String,
    /// Hex SHA-256 of the component.
    pub digest: String,
    /// Set while it is not called because it kept failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<SetAside>,
    /// What its entry says besides.
    #[serde(default)]
    pub options: RuleOptions,
}

/// The options of a rule's entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOptions {
    /// For which appointments it runs; for all where there is none.
    pub condition: Option<String>,
    /// `park`, `retry`, `skip`, `stop`.
    pub on_error: String,
    /// Seconds between two tries, where they do not grow.
    pub retry_after_s: Option<u64>,
    pub default_message: Option<String>,
    pub only_default_message: bool,
    /// Which of its own lines are written to the log: `off`, `error`, `warn`, `info`, `debug`; where there is none: all, at debug.
    pub log_level: Option<String>,
}

/// A fixture a person asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureOrder {
    /// CRM id, Exchange item id, iCalendar UID or key.
    pub id: String,
    /// For this rule alone, as the chain calls it; none: for all rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// A recorded call as a fixture, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    pub name: String,
    /// The fixture's file.
    pub fixture: String,
}

/// Why something asked of the host was not done, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    #[serde(skip)]
    pub kind: RefusalKind,
    /// Stable code.
    pub code: String,
    pub message: String,
    pub hint: String,
}

/// Whose move it is after a [`Refusal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalKind {
    /// The request makes no sense (HTTP 400).
    Invalid,
    /// No valid token (401).
    NotAllowed,
    /// No such entry or appointment (404).
    Unknown,
    /// Not possible in the present state; a later try may succeed (409).
    NotNow,
    /// The host itself failed (500).
    #[default]
    Failed,
}

impl Refusal {
    pub fn new(kind: RefusalKind, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), hint: hint.into() }
    }

    /// Nothing is known under that key or id.
    pub fn unknown(what: &str) -> Self {
        Self::new(
            RefusalKind::Unknown,
            "not-known",
            format!("nothing is known about {what}"),
            "give the CRM's communication id, an Exchange item id, an iCalendar UID, or a key as `daybridge queue list` shows it",
        )
    }

    /// The host failed at something that should not fail.
    pub fn failed(doing: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(
            RefusalKind::Failed,
            "host-failed",
            format!("{doing}: {}", crate::error::Chain(error)),
            "see the host's log around this time",
        )
    }
}

impl From<Side> for SideName {
    fn from(side: Side) -> Self {
        match side {
            Side::Crm => SideName::Crm,
            Side::Exchange => SideName::Exchange,
        }
    }
}

impl From<SideName> for Side {
    fn from(side: SideName) -> Self {
        match side {
            SideName::Crm => Side::Crm,
            SideName::Exchange => Side::Exchange,
        }
    }
}

impl From<MailBudget> for MailCounts {
    fn from(budget: MailBudget) -> Self {
        Self {
            invitations: budget.invitations.into(),
            updates: budget.updates.into(),
            cancellations: budget.cancellations.into(),
        }
    }
}

impl MailCounts {
    pub fn total(self) -> u64 {
        self.invitations + self.updates + self.cancellations
    }
}

impl std::ops::AddAssign for MailCounts {
    fn add_assign(&mut self, more: Self) {
        self.invitations += more.invitations;
        self.updates += more.updates;
        self.cancellations += more.cancellations;
    }
}
