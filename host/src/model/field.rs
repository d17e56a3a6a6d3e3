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

/// What the names of custom fields begin with.
const CUSTOM: &str = "custom.";

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
            Field::Custom(name) => [CUSTOM, name].concat(),
            fixed => fixed.fixed_name().to_owned(),
        }
    }

    /// The name of a field that is no custom one; of those, what their names begin with.
    pub const fn fixed_name(&self) -> &'static str {
        match self {
            Field::Subject => "subject",
            Field::Body => "body",
            Field::Location => "location",
            Field::Time => "time",
            Field::Organizer => "organizer",
            Field::Attendees => "attendees",
            Field::Reminder => "reminder",
            Field::Sensitivity => "sensitivity",
            Field::ShowAs => "show-as",
            Field::Importance => "importance",
            Field::Status => "status",
            Field::Categories => "categories",
            Field::OnlineMeeting => "online-meeting",
            Field::Recurrence => "recurrence",
            Field::Regarding => "regarding",
            Field::Responses => "responses",
            Field::Custom(_) => CUSTOM,
        }
    }

    /// The field of that name, or nothing for a name this version does not know.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(custom) = name.strip_prefix(CUSTOM) {
            return (!custom.is_empty()).then(|| Field::Custom(custom.to_owned()));
        }
        Field::FIXED.into_iter().find(|field| field.fixed_name() == name)
    }

    /// Whether it can hold such a value, or be cleared by [`Value::Empty`].
    ///
    /// # Errors
    /// [`WrongType`] if not.
    pub fn takes(&self, value: &Value) -> Result<(), WrongType> {
        let fits = match self {
            Field::Time => return if matches!(value, Value::Time(_)) { Ok(()) } else { Err(self.wrong(value)) },
            Field::Subject | Field::Location | Field::OnlineMeeting | Field::Responses => {
                matches!(value, Value::Text(_))
            }
            Field::Body => matches!(value, Value::Body(_) | Value::Text(_)),
            Field::Organizer => matches!(value, Value::Person(_)),
            Field::Attendees => matches!(value, Value::Attendees(_)),
            Field::Reminder => matches!(value, Value::Minutes(_)),
            Field::Sensitivity => matches!(value, Value::Sensitivity(_)),
            Field::ShowAs => matches!(value, Value::ShowAs(_)),
            Field::Importance => matches!(value, Value::Importance(_)),
            Field::Status => matches!(value, Value::Status(_)),
            Field::Categories => matches!(value, Value::Texts(_)),
            Field::Recurrence => matches!(value, Value::Recurrence(_)),
            Field::Regarding => matches!(value, Value::Links(_)),
            Field::Custom(_) => matches!(value, Value::Scalar(_) | Value::Text(_)),
        };
        if fits || *value == Value::Empty { Ok(()) } else { Err(self.wrong(value)) }
    }

    fn wrong(&self, value: &Value) -> WrongType {
        WrongType { field: self.clone(), found: value.kind() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Address;

    #[test]
    fn a_field_takes_what_can_be_set() {
        let day = Time::AllDay { first: chrono::NaiveDate::MIN, last: chrono::NaiveDate::MIN };
        let values = [
            Value::Empty,
            Value::Text("x".into()),
            Value::Body(Body::plain("x")),
            Value::Time(day.clone()),
            Value::Person(Person { name: "x".into(), address: Address::new("x@example.com") }),
            Value::Attendees(Vec::new()),
            Value::Minutes(1),
            Value::Sensitivity(Sensitivity::default()),
            Value::ShowAs(ShowAs::default()),
            Value::Importance(Importance::default()),
            Value::Status(Status::default()),
            Value::Texts(Vec::new()),
            Value::Recurrence(Recurrence { rule: "FREQ=DAILY".into() }),
            Value::Links(Vec::new()),
            Value::Scalar(Scalar::Flag(true)),
        ];
        let mut taken = 0;
        for field in Field::FIXED.into_iter().chain([Field::Custom("x".into())]) {
            assert_eq!(Field::named(&field.name()), Some(field.clone()));
            for value in &values {
                let set = Appointment::new("", day.clone()).set(&field, value.clone());
                assert_eq!(field.takes(value), set, "{field}: {value:?}");
                taken += usize::from(set.is_ok());
            }
        }
        // Each is cleared and holds one kind, a body and a custom field another one; a time is never cleared.
        assert_eq!(taken, 2 * 17 + 2 - 1);
    }
}
