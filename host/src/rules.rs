//! What the sync asks of rules, whoever runs them.
//!
//! Promises: rules are pure; the same call gives the same answer. A refusal (the author's words for people) and a fault
//! (ours) are different types. Must not know: wasm, WIT, files.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Appointment, Direction, Field, Person, User, UserId, Value};

/// A chain of rules in force. One value of this trait is one immutable generation.
#[async_trait]
pub trait Rules: Send + Sync {
    /// Number and short digest of this generation, for the ledger and every log line.
    fn generation(&self) -> Generation;

    /// Runs the chain over a source appointment. `id` names the appointment in faults and rule logs.
    async fn judge(&self, call: Call<'_>) -> Result<Verdict, Fault>;

    /// Asks the rules who wins a conflict; `None` for a field no rule decides.
    async fn resolve(&self, conflicts: &[Conflict], call: Call<'_>) -> Result<BTreeMap<Field, Resolution>, Fault>;

    /// Lets a rule word a failure for people; `None` if no rule has something to say.
    async fn explain(&self, failure: &Failure) -> Result<Option<Explanation>, Fault>;

    /// Asks the rules which of the candidates somebody of the Exchange directory is; `None` if no rule says.
    async fn match_user(&self, person: &Person, candidates: &[User]) -> Result<Option<UserId>, Fault> {
        let _ = (person, candidates);
        Ok(None)
    }
}

/// Which generation of the chain did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    pub number: u64,
    /// First 12 hex digits of the digest over all rules and settings.
    pub digest: String,
}

/// One appointment to judge.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub id: &'a str,
    pub direction: Direction,
    /// The source as its side shows it.
    pub source: &'a Appointment,
}

/// What the chain says about an appointment.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Goes to the other side in this form.
    Pass(Box<Draft>),
    /// Is none of the sync's business; nothing is written, an existing copy is left alone.
    Skip { rule: String, reason: String },
    /// Look again later.
    Hold { rule: String, reason: String, after: Duration },
    /// The author refuses it with words for people.
    Refuse(Refusal),
}

/// The target as the chain wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub appointment: Appointment,
    /// The target's copy should not exist (a cancelled communication, for example).
    pub removed: bool,
    /// Mail may be caused. A rule can only take the permission away.
    pub mail_allowed: bool,
}

impl Draft {
    /// What a chain begins with: the source as it is.
    pub fn of(source: &Appointment) -> Self {
        Self { appointment: source.clone(), removed: false, mail_allowed: true }
    }
}

/// A rule author's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub rule: String,
    /// Stable code chosen by the author.
    pub code: String,
    pub message: String,
    pub field: Option<String>,
    /// Whether trying again later can help; else the entry is parked.
    pub retry: bool,
}

/// A field that both sides moved to different values, in terms of the CRM's own field.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub field: Field,
    pub base: Value,
    pub crm: Value,
    pub exchange: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    Crm,
    Exchange,
    Value(Value),
}

/// A failure about to be told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code, for example `sign-in-refused` or an author's own.
    pub code: String,
    pub class: String,
    /// Which side or rule it came from.
    pub origin: String,
    pub message: String,
    pub hint: String,
    pub appointment: String,
    pub attempts: u32,
}

/// A rule's wording of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub rule: String,
    pub title: String,
    pub text: String,
    pub hint: String,
}

/// A rule that did not do its work: ours to report, never a business matter.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("rule {rule} {version} (step {step}, {function}) stopped: {kind}")]
pub struct Fault {
    pub rule: String,
    pub version: String,
    /// Hex SHA-256 of the component.
    pub digest: String,
    /// Position in the chain, from 1.
    pub step: u32,
    /// `apply`, `resolve`, `explain`, `describe`.
    pub function: String,
    pub kind: FaultKind,
    /// The appointment's key.
    pub appointment: String,
    pub elapsed: Duration,
    pub memory_peak: u64,
    /// Function names of the guest, innermost first, where known.
    pub backtrace: Vec<String>,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FaultKind {
    #[error("ran longer than {limit:?}")]
    Deadline { limit: Duration },
    #[error("asked for {asked} bytes of memory, limit {limit}")]
    Memory { asked: u64, limit: u64 },
    #[error("asked for {asked} table elements, limit {limit}")]
    Table { asked: u64, limit: u64 },
    #[error("recursed deeper than its stack of {limit} bytes")]
    Stack { limit: u64 },
    #[error("answered with more than {limit} bytes")]
    Output { limit: u64 },
    #[error("panicked: {message} ({place})")]
    Panic { message: String, place: String },
    #[error("trapped: {0}")]
    Trap(String),
    #[error("gave a bad answer: {0}")]
    Answer(String),
    #[error("could not be started: {0}")]
    Start(String),
}

impl Fault {
    /// Stable name of the kind: `deadline`, `memory`, `table`, `stack`, `output`, `panic`, `trap`, `answer`, `start`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            FaultKind::Deadline { .. } => "deadline",
            FaultKind::Memory { .. } => "memory",
            FaultKind::Table { .. } => "table",
            FaultKind::Stack { .. } => "stack",
            FaultKind::Output { .. } => "output",
            FaultKind::Panic { .. } => "panic",
            FaultKind::Trap(_) => "trap",
            FaultKind::Answer(_) => "answer",
            FaultKind::Start(_) => "start",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self.kind {
            FaultKind::Deadline { .. }
            | FaultKind::Memory { .. }
            | FaultKind::Table { .. }
            | FaultKind::Stack { .. }
            | FaultKind::Output { .. } => {
                format!(
                    "mend rule {} or raise its limit in the configuration; the appointment is kept: daybridge queue list",
                    self.rule
                )
            }
            FaultKind::Panic { .. } | FaultKind::Trap(_) | FaultKind::Answer(_) | FaultKind::Start(_) => {
                format!(
                    "mend rule {} and put the new file in its place; the appointment is kept: daybridge queue list",
                    self.rule
                )
            }
        }
    }
}
