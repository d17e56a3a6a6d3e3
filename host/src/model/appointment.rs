//! The canonical appointment both sides are mapped to.
//!
//! Promises: holds everything the sync moves, in neutral terms. Must not know: column names, XML, JSON.

use std::collections::BTreeMap;

use super::{Attendee, Person, Scalar, Time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    pub subject: String,
    pub body: Body,
    pub location: String,
    pub time: Time,
    pub organizer: Option<Person>,
    /// Sorted by address by whoever builds the value; the organizer is not among them.
    pub attendees: Vec<Attendee>,
    /// Minutes before the start, or no reminder.
    pub reminder_minutes: Option<u32>,
    pub sensitivity: Sensitivity,
    pub show_as: ShowAs,
    pub importance: Importance,
    pub status: Status,
    /// Sorted, without repeats.
    pub categories: Vec<String>,
    /// Join address of an online meeting, read-only.
    pub online_meeting: Option<String>,
    /// Present on a series master. Series are recognised, kept apart and reported, never flattened by accident.
    pub recurrence: Option<Recurrence>,
    /// What the appointment is about in the CRM (company, person, case ...): never leaves the CRM unless a rule says so.
    pub regarding: Vec<Link>,
    /// Text of the CRM's "Responses From Exchange" column.
    pub responses: String,
    /// CRM columns by name and Exchange named properties, typed.
    pub custom: BTreeMap<String, Scalar>,
}

/// Body text and, where the side has one, the HTML it was projected from.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pub text: String,
    pub html: Option<String>,
}

/// Bodies are compared by their text: the HTML around it is the side's own affair.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Body {}

impl Body {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), html: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sensitivity {
    #[default]
    Normal,
    Personal,
    Private,
    Confidential,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ShowAs {
    Free,
    Tentative,
    #[default]
    Busy,
    OutOfOffice,
    WorkingElsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Importance {
    Low,
    #[default]
    Normal,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Status {
    #[default]
    Pending,
    InProgress,
    Complete,
    Cancelled,
}

/// How a series repeats, in the words of RFC 5545 (an RRULE value). What it means, where it can be known, says
/// [`super::recurrence`]; a text that is not understood is kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    pub rule: String,
}

/// A link from a CRM appointment to another CRM record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// `company`, `person`, `case`, `opportunity`, `lead`, `account`, `quote`, `order`, `solution`.
    pub entity: String,
    pub id: String,
    pub name: String,
}

impl Appointment {
    /// An appointment with that subject and time, all else at its default.
    pub fn new(subject: impl Into<String>, time: Time) -> Self {
        Self {
            subject: subject.into(),
            body: Body::default(),
            location: String::new(),
            time,
            organizer: None,
            attendees: Vec::new(),
            reminder_minutes: None,
            sensitivity: Sensitivity::default(),
            show_as: ShowAs::default(),
            importance: Importance::default(),
            status: Status::default(),
            categories: Vec::new(),
            online_meeting: None,
            recurrence: None,
            regarding: Vec::new(),
            responses: String::new(),
            custom: BTreeMap::new(),
        }
    }

    /// Whether other people are asked to come.
    pub fn is_meeting(&self) -> bool {
        !self.attendees.is_empty()
    }
}
