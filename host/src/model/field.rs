//! An appointment field by field: names, values, and patches made of them.
//!
//! Promises: `get` and `set` cover every field of [`Appointment`], so that a merge, a diff, a trace line and a rule's
//! edit all go through the same list. Field names are the ones of the rule contract (wit/) and of people's settings.

use std::collections::BTreeMap;
use std::fmt;

use super::{Appointment, Attendee, Body, Importance, Link, Person, Recurrence, Sensitivity, ShowAs, Status, Time};

/// A merge atom of an appointment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Subject,
    Body,
    Location,
    Time,
    Organizer,
    Attendees,
    Reminder,
    Sensitivity,
    ShowAs,
    Importance,
    Status,
    Categories,
    OnlineMeeting,
    Recurrence,
    Regarding,
    Responses,
    /// A CRM column or an Exchange named property.
    Custom(String),
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value; setting it clears the field.
    Empty,
    Text(String),
    Body(Body),
    Time(Time),
    Person(Person),
    Attendees(Vec<Attendee>),
    Minutes(u32),
    Sensitivity(Sensitivity),
    ShowAs(ShowAs),
    Importance(Importance),
    Status(Status),
    Texts(Vec<String>),
    Recurrence(Recurrence),
    Links(Vec<Link>),
    Scalar(Scalar),
}

/// The value of a custom field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// A value offered to a field of another type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("field {field} cannot hold {found}")]
pub struct WrongType {
    pub field: Field,
    /// The kind of value that was offered, for example `a text`.
    pub found: &'static str,
}

/// New values for some fields of an appointment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    pub set: BTreeMap<Field, Value>,
}

impl Field {
    /// All fields but the custom ones.
    pub const FIXED: [Field; 16] = [
        Field::Subject,
        Field::Body,
        Field::Location,
        Field::Time,
        Field::Organizer,
        Field::Attendees,
        Field::Reminder,
        Field::Sensitivity,
        Field::ShowAs,
        Field::Importance,
        Field::Status,
        Field::Categories,
        Field::OnlineMeeting,
        Field::Recurrence,
        Field::Regarding,
        Field::Responses,
    ];

    /// The name used in the rule contract, settings, traces and stored records.
    pub fn name(&self) -> String {
        match self {
            Field::Subject => "subject".into(),
            Field::Body => "body".into(),
            Field::Location => "location".into(),
            Field::Time => "time".into(),
            Field::Organizer => "organizer".into(),
            Field::Attendees => "attendees".into(),
            Field::Reminder => "reminder".into(),
            Field::Sensitivity => "sensitivity".into(),
            Field::ShowAs => "show-as".into(),
            Field::Importance => "importance".into(),
            Field::Status => "status".into(),
            Field::Categories => "categories".into(),
            Field::OnlineMeeting => "online-meeting".into(),
            Field::Recurrence => "recurrence".into(),
            Field::Regarding => "regarding".into(),
            Field::Responses => "responses".into(),
            Field::Custom(name) => format!("custom.{name}"),
        }
    }

    /// The field of that name, or nothing for a name this version does not know.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(custom) = name.strip_prefix("custom.") {
            return (!custom.is_empty()).then(|| Field::Custom(custom.to_owned()));
        }
        Field::FIXED.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Value {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Empty => "nothing",
            Value::Text(_) => "a text",
            Value::Body(_) => "a body",
            Value::Time(_) => "a time",
            Value::Person(_) => "a person",
            Value::Attendees(_) => "attendees",
            Value::Minutes(_) => "a number of minutes",
            Value::Sensitivity(_) => "a sensitivity",
            Value::ShowAs(_) => "a show-as state",
            Value::Importance(_) => "an importance",
            Value::Status(_) => "a status",
            Value::Texts(_) => "a list of texts",
            Value::Recurrence(_) => "a recurrence",
            Value::Links(_) => "links",
            Value::Scalar(_) => "a plain value",
        }
    }
}

impl Appointment {
    /// The value of a field; [`Value::Empty`] where it has none.
    pub fn get(&self, field: &Field) -> Value {
        match field {
            Field::Subject => text(&self.subject),
            Field::Body => {
                if self.body.text.is_empty() {
                    Value::Empty
                } else {
                    Value::Body(self.body.clone())
                }
            }
            Field::Location => text(&self.location),
            Field::Time => Value::Time(self.time.clone()),
            Field::Organizer => self.organizer.clone().map_or(Value::Empty, Value::Person),
            Field::Attendees => {
                if self.attendees.is_empty() {
                    Value::Empty
                } else {
                    Value::Attendees(self.attendees.clone())
                }
            }
            Field::Reminder => self.reminder_minutes.map_or(Value::Empty, Value::Minutes),
            Field::Sensitivity => Value::Sensitivity(self.sensitivity),
            Field::ShowAs => Value::ShowAs(self.show_as),
            Field::Importance => Value::Importance(self.importance),
            Field::Status => Value::Status(self.status),
            Field::Categories => {
                if self.categories.is_empty() {
                    Value::Empty
                } else {
                    Value::Texts(self.categories.clone())
                }
            }
            Field::OnlineMeeting => self.online_meeting.as_deref().map_or(Value::Empty, text),
            Field::Recurrence => self.recurrence.clone().map_or(Value::Empty, Value::Recurrence),
            Field::Regarding => {
                if self.regarding.is_empty() {
                    Value::Empty
                } else {
                    Value::Links(self.regarding.clone())
                }
            }
            Field::Responses => text(&self.responses),
            Field::Custom(name) => self.custom.get(name).cloned().map_or(Value::Empty, Value::Scalar),
        }
    }

    /// Sets a field. [`Value::Empty`] clears it (enumerations fall back to their default; a time cannot be cleared).
    ///
    /// # Errors
    /// [`WrongType`] if the field cannot hold such a value; nothing is changed then.
    pub fn set(&mut self, field: &Field, value: Value) -> Result<(), WrongType> {
        let found = value.kind();
        match (field, value) {
            (Field::Subject, Value::Text(v)) => self.subject = v,
            (Field::Subject, Value::Empty) => self.subject.clear(),
            (Field::Body, Value::Body(v)) => self.body = v,
            (Field::Body, Value::Text(v)) => self.body = Body::plain(v),
            (Field::Body, Value::Empty) => self.body = Body::default(),
            (Field::Location, Value::Text(v)) => self.location = v,
            (Field::Location, Value::Empty) => self.location.clear(),
            (Field::Time, Value::Time(v)) => self.time = v,
            (Field::Organizer, Value::Person(v)) => self.organizer = Some(v),
            (Field::Organizer, Value::Empty) => self.organizer = None,
            (Field::Attendees, Value::Attendees(v)) => self.attendees = v,
            (Field::Attendees, Value::Empty) => self.attendees.clear(),
            (Field::Reminder, Value::Minutes(v)) => self.reminder_minutes = Some(v),
            (Field::Reminder, Value::Empty) => self.reminder_minutes = None,
            (Field::Sensitivity, Value::Sensitivity(v)) => self.sensitivity = v,
            (Field::Sensitivity, Value::Empty) => self.sensitivity = Sensitivity::default(),
            (Field::ShowAs, Value::ShowAs(v)) => self.show_as = v,
            (Field::ShowAs, Value::Empty) => self.show_as = ShowAs::default(),
            (Field::Importance, Value::Importance(v)) => self.importance = v,
            (Field::Importance, Value::Empty) => self.importance = Importance::default(),
            (Field::Status, Value::Status(v)) => self.status = v,
            (Field::Status, Value::Empty) => self.status = Status::default(),
            (Field::Categories, Value::Texts(mut v)) => {
                v.sort();
                v.dedup();
                self.categories = v;
            }
            (Field::Categories, Value::Empty) => self.categories.clear(),
            (Field::OnlineMeeting, Value::Text(v)) => self.online_meeting = Some(v),
            (Field::OnlineMeeting, Value::Empty) => self.online_meeting = None,
            (Field::Recurrence, Value::Recurrence(v)) => self.recurrence = Some(v),
            (Field::Recurrence, Value::Empty) => self.recurrence = None,
            (Field::Regarding, Value::Links(v)) => self.regarding = v,
            (Field::Regarding, Value::Empty) => self.regarding.clear(),
            (Field::Responses, Value::Text(v)) => self.responses = v,
            (Field::Responses, Value::Empty) => self.responses.clear(),
            (Field::Custom(name), Value::Scalar(v)) => {
                self.custom.insert(name.clone(), v);
            }
            (Field::Custom(name), Value::Text(v)) => {
                self.custom.insert(name.clone(), Scalar::Text(v));
            }
            (Field::Custom(name), Value::Empty) => {
                self.custom.remove(name);
            }
            (field, _) => return Err(WrongType { field: field.clone(), found }),
        }
        Ok(())
    }

    /// Every field this appointment can have: the fixed ones and its own custom ones.
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        Field::FIXED.into_iter().chain(self.custom.keys().map(|name| Field::Custom(name.clone())))
    }
}

impl Patch {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Writes all values into an appointment.
    ///
    /// # Errors
    /// [`WrongType`] for the first value that does not fit its field.
    pub fn apply(&self, appointment: &mut Appointment) -> Result<(), WrongType> {
        self.set.iter().try_for_each(|(field, value)| appointment.set(field, value.clone()))
    }

    /// Field names, for logs and traces (values are personal data).
    pub fn names(&self) -> Vec<String> {
        self.set.keys().map(Field::name).collect()
    }
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Empty } else { Value::Text(text.to_owned()) }
}
