//! The rule author's view of an appointment: plain fields.
//!
//! Must not know: how fields cross to the host (see `fields`).

use std::ops::{Deref, DerefMut};

pub use crate::bindings::daybridge::rules::types::{AttendeeKind, Direction, Link, Person, Response};
pub use crate::custom::Custom;

/// An appointment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Appointment {
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// The HTML the body came from, where its side has one. For reading: a new `body` replaces both.
    pub body_html: Option<String>,
    pub location: String,
    pub time: Time,
    pub organizer: Option<Person>,
    pub attendees: Vec<Attendee>,
    /// Minutes before the start, or no reminder.
    pub reminder: Option<u32>,
    pub sensitivity: Sensitivity,
    pub show_as: ShowAs,
    pub importance: Importance,
    pub status: Status,
    pub categories: Vec<String>,
    /// Join address of an online meeting.
    pub online_meeting: Option<String>,
    /// RRULE text on the master of a series.
    pub recurrence: Option<String>,
    /// What the appointment is about in the CRM.
    pub regarding: Vec<Link>,
    /// Text of the CRM's "Responses From Exchange" column.
    pub responses: String,
    /// CRM columns and Exchange named properties.
    pub custom: Custom,
}

impl Appointment {
    pub fn new(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..Self::default() }
    }

    /// Adds a category unless it is there.
    pub fn add_category(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !self.categories.contains(&name) {
            self.categories.push(name);
        }
    }

    /// A custom field's text, if it is one.
    pub fn custom_text(&self, name: &str) -> Option<&str> {
        match self.custom.get(name) {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn is_private(&self) -> bool {
        self.sensitivity != Sensitivity::Normal
    }
}

/// What the other side will hold, and whether it may.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    appointment: Appointment,
    removed: bool,
    mail_allowed: bool,
}

impl Draft {
    /// The draft the first rule sees: a copy of the source.
    pub fn of(source: &Appointment) -> Self {
        Self::new(source.clone(), false, true)
    }

    pub(crate) fn new(appointment: Appointment, removed: bool, mail_allowed: bool) -> Self {
        Self { appointment, removed, mail_allowed }
    }

    pub(crate) fn into_parts(self) -> (Appointment, bool, bool) {
        (self.appointment, self.removed, self.mail_allowed)
    }

    /// As the host says it, which unlike a rule may take a permission back.
    pub(crate) fn set_flags(&mut self, removed: Option<bool>, mail_allowed: Option<bool>) {
        self.removed = removed.unwrap_or(self.removed);
        self.mail_allowed = mail_allowed.unwrap_or(self.mail_allowed);
    }

    /// Says that the other side's copy should not exist.
    pub fn remove(&mut self) {
        self.removed = true;
    }

    /// Takes back [`Draft::remove`] of a rule before.
    pub fn keep(&mut self) {
        self.removed = false;
    }

    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// Forbids the mail this write would make Exchange send. There is no way back.
    pub fn forbid_mail(&mut self) {
        self.mail_allowed = false;
    }

    pub fn is_mail_allowed(&self) -> bool {
        self.mail_allowed
    }
}

impl Deref for Draft {
    type Target = Appointment;
    fn deref(&self) -> &Appointment {
        &self.appointment
    }
}

impl DerefMut for Draft {
    fn deref_mut(&mut self) -> &mut Appointment {
        &mut self.appointment
    }
}

/// When an appointment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Time {
    Timed(Span),
    /// First and last day, both included, as `YYYY-MM-DD`.
    AllDay {
        first: String,
        last: String,
    },
}

impl Time {
    /// Two instants, in seconds since 1970 UTC, and the IANA name of a zone.
    pub fn timed(start: i64, end: i64, zone: &str) -> Self {
        Time::Timed(Span { start, end, zone: zone.to_owned(), ..Span::default() })
    }

    pub fn all_day(first: &str, last: &str) -> Self {
        Time::AllDay { first: first.to_owned(), last: last.to_owned() }
    }
}

impl Default for Time {
    fn default() -> Self {
        Time::Timed(Span::default())
    }
}

/// Two instants, the end not included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub start: i64,
    pub end: i64,
    /// IANA name of the zone people think in.
    pub zone: String,
    /// Start as people there read it (`2026-11-24T10:00:00+01:00`). For reading: the host writes it.
    pub local_start: String,
    pub local_end: String,
}

/// Somebody who is asked to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    pub name: String,
    pub address: String,
    /// Id of the CRM user with this address, where known.
    pub user: Option<String>,
    pub kind: AttendeeKind,
    pub response: Response,
    /// When the answer was given, in seconds since 1970 UTC.
    pub responded: Option<i64>,
}

impl Attendee {
    /// A required attendee who has not answered.
    pub fn new(name: &str, address: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: address.to_owned(),
            user: None,
            kind: AttendeeKind::Required,
            response: Response::None,
            responded: None,
        }
    }

    #[must_use]
    pub fn answered(mut self, response: Response) -> Self {
        self.response = response;
        self
    }
}

/// A user of the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: String,
    pub logon: String,
    pub first_name: String,
    pub last_name: String,
    pub address: String,
    /// Neither disabled nor deleted.
    pub active: bool,
    /// A room, a car, or a user without a licence.
    pub resource: bool,
}

/// The value of a custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// A field that both sides changed to different values since they last agreed.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The field's name in the contract, for example `subject`.
    pub field: String,
    pub base: crate::Value,
    pub crm: crate::Value,
    pub exchange: crate::Value,
}

/// Who wins a conflict.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    Crm,
    Exchange,
    /// Neither: this value.
    Other(crate::Value),
}

/// Writes an enumeration with the contract's word for each case. An unknown word reads as the default, which is then no
/// edit: a newer host's word survives a rule that does not know it.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $first:ident = $first_word:literal, $($case:ident = $word:literal),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            #[default]
            $first,
            $($case,)*
        }

        impl $name {
            /// The contract's word for it.
            pub fn word(self) -> &'static str {
                match self {
                    $name::$first => $first_word,
                    $($name::$case => $word,)*
                }
            }

            pub(crate) fn from_word(word: &str) -> Self {
                match word {
                    $($word => $name::$case,)*
                    _ => $name::$first,
                }
            }
        }
    };
}

words! {
    /// Who may see it.
    Sensitivity { Normal = "normal", Personal = "personal", Private = "private", Confidential = "confidential" }
}
words! {
    /// How the time appears in the calendar.
    ShowAs {
        Busy = "busy", Free = "free", Tentative = "tentative", OutOfOffice = "out-of-office",
        WorkingElsewhere = "working-elsewhere"
    }
}
words! {
    /// How much it matters.
    Importance { Normal = "normal", Low = "low", High = "high" }
}
words! {
    /// How far the CRM's communication is.
    Status { Pending = "pending", InProgress = "in-progress", Complete = "complete", Cancelled = "cancelled" }
}
