//! What can keep an appointment from being worked off.
//!
//! Promises: every trouble has a stable code, a message without personal data, and a hint. Must not know: what is done
//! about it (that is [`super`]).

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::connector;
use crate::error::{Chain, Class};
use crate::ledger::LedgerError;
use crate::model::recurrence::Crossing;
use crate::model::{Container, Key, Side, WrongType};
use crate::queue::{QueueError, RuleFailure};
use crate::rules::{AfterFault, DefaultMessage, Fault, Refusal};

/// [`Trouble::code`] of what waits for a mailbox to be carried over.
pub(crate) const MOVED: &str = "mailbox-moved";
/// [`Trouble::code`] of what waits for a mailbox of another host.
pub(crate) const ELSEWHERE: &str = "mailbox-of-another-host";

#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{}", Chain(error))]
    Server { server: String, container: Container, error: connector::Error },
    /// The server is being waited for; no request was made.
    #[error("{name} is being waited for")]
    Waiting { name: String, after: Duration },
    /// The ledger knows the mailbox's items by the names of another server.
    #[error("the mailbox has moved from {from} to {to}, and its appointments are not carried over yet")]
    Moved { from: String, to: String },
    /// Another host keeps the mailbox.
    #[error("the mailbox is kept by another Daybridge, on {machine}{}", since_when(*since))]
    Elsewhere { machine: String, since: Option<DateTime<Utc>> },
    /// It is a series: its occurrences are worked on, each by itself.
    #[error("it is a series")]
    Series,
    /// An occurrence would change places with its neighbour, which Exchange refuses.
    #[error("{0}")]
    Crossing(Crossing),
    /// The item is worked on under another key.
    #[error("the item belongs to {0}")]
    Belongs(Key),
    #[error("held by rule {rule}: {reason}")]
    Held { rule: String, reason: String, after: Duration },
    #[error("rule {} refuses it: {}", .0.rule, .0.message)]
    Refused(Refusal),
    #[error("{0}")]
    Fault(Fault),
    #[error("the ledger could not be used: {}", Chain(.0))]
    Ledger(LedgerError),
    #[error("the queue could not be used: {}", Chain(.0))]
    Queue(QueueError),
    #[error("a rule gave a value that does not fit: {0}")]
    WrongType(WrongType),
    /// More would be deleted than usual: in one mailbox, or in all together.
    #[error("the deletion is held: more than usual would be deleted {}", if *overall { "in all mailboxes together" } else { "in that mailbox" })]
    Braked { side: Side, overall: bool },
    /// The pair is written to again and again. People were told when it was set aside.
    #[error("{what}: something undoes what the sync carries over, or the other way round")]
    KeepsChanging { what: String },
    #[error("the write would make Exchange send {wanted} mails, and with them more than {cap} within an hour")]
    MailCap { wanted: u32, cap: u32 },
    #[error("the mailbox takes no part in the sync (any more)")]
    NotSynchronized,
    #[error("the organizer has no synchronized mailbox")]
    NoCalendar,
    #[error("the organizer's copy of this meeting was not found in the organizer's calendar")]
    Orphan,
    #[error("the decision does not fit what was seen")]
    Undecided,
}

impl Trouble {
    /// Stable code under which people find this failure.
    pub fn code(&self) -> String {
        match self {
            Trouble::Server { error, .. } => error.problem.code().into(),
            Trouble::Waiting { .. } => "waiting".into(),
            Trouble::Moved { .. } => MOVED.into(),
            Trouble::Elsewhere { .. } => ELSEWHERE.into(),
            Trouble::Belongs(_) => "belongs-elsewhere".into(),
            Trouble::Series => "series".into(),
            Trouble::Crossing(_) => "occurrence-crosses-neighbour".into(),
            Trouble::Held { .. } => "held-by-rule".into(),
            Trouble::Refused(refusal) => refusal.code.clone(),
            Trouble::Fault(fault) => format!("rule-{}", fault.kind_name()),
            Trouble::Ledger(error) => error.code().into(),
            Trouble::Queue(error) => error.code().into(),
            Trouble::WrongType(_) => "rule-answer".into(),
            Trouble::Braked { .. } => "deletions-held".into(),
            Trouble::KeepsChanging { .. } => "keeps-changing".into(),
            Trouble::MailCap { .. } => "mail-cap".into(),
            Trouble::NotSynchronized => "mailbox-not-synchronized".into(),
            Trouble::NoCalendar => "organizer-not-synchronized".into(),
            Trouble::Orphan => "organizer-copy-missing".into(),
            Trouble::Undecided => "not-decided".into(),
        }
    }

    /// The server or rule it came from.
    pub fn origin(&self) -> String {
        match self {
            Trouble::Server { server, .. } => server.clone(),
            Trouble::Waiting { name, .. } => name.clone(),
            Trouble::Moved { to, .. } => to.clone(),
            Trouble::Elsewhere { machine, .. } => machine.clone(),
            Trouble::Held { rule, .. } => rule.clone(),
            Trouble::Refused(refusal) => refusal.rule.clone(),
            Trouble::Fault(fault) => fault.rule.clone(),
            Trouble::Braked { side, .. } => format!("brake on {side}"),
            Trouble::Belongs(_)
            | Trouble::Series
            | Trouble::Crossing(_)
            | Trouble::Ledger(_)
            | Trouble::Queue(_)
            | Trouble::WrongType(_)
            | Trouble::KeepsChanging { .. }
            | Trouble::MailCap { .. }
            | Trouble::NotSynchronized
            | Trouble::NoCalendar
            | Trouble::Orphan
            | Trouble::Undecided => "daybridge".into(),
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            Trouble::Server { error, .. } => error.hint().into(),
            Trouble::Fault(fault) => fault.hint(),
            Trouble::Refused(_) => "correct the appointment as the message says; it is tried again when it changes, or with: daybridge queue retry".into(),
            Trouble::WrongType(_) => "mend the rule and put the new file in its place, then: daybridge queue retry".into(),
            Trouble::Braked { .. } => "look at what would be deleted (daybridge trace KEY); to let it go: daybridge queue retry KEY, or all that are held: daybridge queue retry --code deletions-held; to keep the copies: daybridge queue discard KEY".into(),
            Trouble::KeepsChanging { .. } => "find out who changes it back (daybridge trace KEY tells each change; a rule, another tool, a script of the CRM) and stop that; then: daybridge queue retry KEY".into(),
            Trouble::MailCap { .. } => "if these mails are wanted: daybridge queue retry KEY; to allow more of them, raise sync.mail_cap".into(),
            Trouble::Queue(error) => error.hint(),
            Trouble::Ledger(error) => error.hint(),
            Trouble::NotSynchronized => "if the mailbox should take part: check the CRM user (active, with this e-mail address) and the configuration's mailboxes".into(),
            Trouble::NoCalendar => "give the organizer's CRM user an e-mail address with a mailbox on a configured Exchange server".into(),
            Trouble::Orphan => "nothing to do if the organizer deleted the meeting; else wait for the next pass over that calendar".into(),
            Trouble::Crossing(_) => "move it to a day between its neighbours, or move these first; it is tried again when it changes, or with: daybridge queue retry".into(),
            Trouble::Moved { from, to } => format!("nothing is lost: it waits. See what would be carried over: daybridge exchange migrate --from {from} --to {to}; if it has not moved, correct `mailboxes` in the configuration"),
            Trouble::Elsewhere { .. } => "nothing is lost: it waits. Two hosts on one mailbox would double its appointments: stop the other host, or leave the mailbox to it (daybridge users disable USER). If the other one is gone for good: daybridge exchange claim --mailbox ADDRESS (or --all)".into(),
            Trouble::Waiting { .. } | Trouble::Belongs(_) | Trouble::Series | Trouble::Held { .. } | Trouble::Undecided => {
                "nothing to do: it is tried again".into()
            }
        }
    }

    /// The call of a rule that it came from, for the queue's record.
    pub fn rule(&self) -> Option<RuleFailure> {
        match self {
            Trouble::Fault(fault) => Some(of_fault(fault)),
            Trouble::Refused(refusal) => Some(of_refusal(refusal)),
            _ => None,
        }
    }

    /// Whether this is no failure at all: the appointment is none of the sync's business as things stand. A sweep looks at
    /// it again, and `daybridge trace` tells the reason.
    pub fn leaves_alone(&self) -> bool {
        matches!(self, Trouble::NotSynchronized | Trouble::NoCalendar | Trouble::Orphan)
    }

    /// Whether the server refused a write because the item is no longer what was planned for.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Trouble::Server { error, .. } if error.class() == Class::Conflict)
    }

    /// Whether Exchange refused a write as out of date and carried nothing of it out.
    pub fn mailed_nobody(&self) -> bool {
        let Trouble::Server { error, container, .. } = self else { return false };
        // The CRM is written to last: what it refuses comes after Exchange's part.
        self.is_conflict() && container.side() == Side::Exchange && !error.written
    }

    /// Whether trying again by itself can help (where that is not the server's to say).
    pub fn retry(&self) -> bool {
        match self {
            Trouble::Refused(refusal) => refusal.retry,
            Trouble::Fault(fault) => matches!(fault.then, AfterFault::Retry { .. }),
            Trouble::Ledger(_) | Trouble::Queue(_) | Trouble::Undecided => true,
            Trouble::Server { .. }
            | Trouble::Waiting { .. }
            | Trouble::Moved { .. }
            | Trouble::Elsewhere { .. }
            | Trouble::Belongs(_)
            | Trouble::Series
            | Trouble::Crossing(_)
            | Trouble::Held { .. }
            | Trouble::WrongType(_)
            | Trouble::Braked { .. }
            | Trouble::KeepsChanging { .. }
            | Trouble::MailCap { .. }
            | Trouble::NotSynchronized
            | Trouble::NoCalendar
            | Trouble::Orphan => false,
        }
    }

    /// How long to wait before the next try, where the operator said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Trouble::Fault(Fault { then: AfterFault::Retry { after }, .. }) => *after,
            _ => None,
        }
    }

    /// What the operator wants people to read.
    pub fn default_message(&self) -> Option<&DefaultMessage> {
        match self {
            Trouble::Refused(refusal) => refusal.default_message.as_ref(),
            Trouble::Fault(fault) => fault.default_message.as_ref(),
            _ => None,
        }
    }
}

fn of_fault(fault: &Fault) -> RuleFailure {
    RuleFailure {
        rule: fault.rule.clone(),
        version: fault.version.clone(),
        digest: fault.digest.clone(),
        step: fault.step,
        function: fault.function.clone(),
        kind: fault.kind_name().to_owned(),
        field: None,
        message: fault.kind.to_string(),
        backtrace: fault.backtrace.clone(),
        elapsed: fault.elapsed,
        memory_peak: fault.memory_peak,
        generation: fault.generation.number,
        generation_digest: fault.generation.digest.clone(),
        correlation: fault.correlation.clone(),
    }
}

fn of_refusal(refusal: &Refusal) -> RuleFailure {
    RuleFailure {
        rule: refusal.rule.clone(),
        version: refusal.place.version.clone(),
        digest: refusal.place.digest.clone(),
        step: refusal.place.step,
        function: "apply".to_owned(),
        kind: "refusal".to_owned(),
        field: refusal.field.clone(),
        message: format!("{}: {}", refusal.code, refusal.message),
        elapsed: refusal.place.elapsed,
        memory_peak: refusal.place.memory_peak,
        generation: refusal.place.generation.number,
        generation_digest: refusal.place.generation.digest.clone(),
        correlation: refusal.place.correlation.clone(),
        backtrace: Vec::new(),
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Trouble::Fault(fault)
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Trouble::Ledger(error)
    }
}

impl From<WrongType> for Trouble {
    fn from(error: WrongType) -> Self {
        Trouble::WrongType(error)
    }
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        Trouble::Queue(error)
    }
}

fn since_when(since: Option<DateTime<Utc>>) -> String {
    since.map(|since| format!(" since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))).unwrap_or_default()
}
