//! The contract's values as a rule is handed them: borrowed from the host's own.
//!
//! Promises: what a rule is shown is written into its memory from where it lies in the appointment and copied nowhere before. By
//! structure these are the contract's types, which `contract` holds against every component. Must not know: how rules are run.

use chrono::{DateTime, SecondsFormat, Utc};
use wasmtime::component::{ComponentType, Lower};

use super::bindings::daybridge::rules::types as wit;
use super::convert::{self, IMPORTANCES, SENSITIVITIES, SHOW_AS, STATUSES};
use crate::model::{self, Appointment, AttendeeKind, Response, Scalar, Zone};
use crate::rules;

/// A field by name.
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Field<'a> {
    pub name: &'a str,
    pub value: Value<'a>,
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(variant)]
pub enum Value<'a> {
    #[component(name = "empty")]
    Empty,
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "flag")]
    Flag(bool),
    #[component(name = "number")]
    Number(i64),
    #[expect(dead_code, reason = "a case of the contract's; no field of an appointment holds one")]
    #[component(name = "decimal")]
    Decimal(f64),
    #[component(name = "texts")]
    Texts(&'a [String]),
    #[component(name = "time")]
    Time(Time<'a>),
    #[component(name = "person")]
    Person(Person<'a>),
    #[component(name = "people")]
    People(Vec<Attendee<'a>>),
    #[component(name = "links")]
    Links(Vec<Link<'a>>),
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(variant)]
pub enum Time<'a> {
    #[component(name = "timed")]
    Timed(Span<'a>),
    #[component(name = "all-day")]
    AllDay(Days),
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Span<'a> {
    pub start: i64,
    pub end: i64,
    pub zone: &'a str,
    #[component(name = "local-start")]
    pub local_start: String,
    #[component(name = "local-end")]
    pub local_end: String,
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Days {
    pub first: String,
    pub last: String,
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Person<'a> {
    pub name: &'a str,
    pub address: &'a str,
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Attendee<'a> {
    pub name: &'a str,
    pub address: &'a str,
    pub user: Option<&'a str>,
    pub kind: wit::AttendeeKind,
    pub response: wit::Response,
    pub responded: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Link<'a> {
    pub entity: &'a str,
    pub id: &'a str,
    pub name: &'a str,
}

/// A field that both sides changed.
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Conflict<'a> {
    pub field: String,
    pub base: Value<'a>,
    pub crm: Value<'a>,
    pub exchange: Value<'a>,
}

impl<'a> Value<'a> {
    /// A field of an appointment.
    pub fn of(appointment: &'a Appointment, field: &model::Field) -> Self {
        use model::Field;
        match field {
            Field::Subject => text(&appointment.subject),
            Field::Body => text(&appointment.body.text),
            Field::Location => text(&appointment.location),
            Field::Time => Value::Time(time(&appointment.time)),
            Field::Organizer => appointment.organizer.as_ref().map_or(Value::Empty, |one| Value::Person(person(one))),
            Field::Attendees => people(&appointment.attendees),
            Field::Reminder => {
                appointment.reminder_minutes.map_or(Value::Empty, |minutes| Value::Number(minutes.into()))
            }
            Field::Sensitivity => word(&SENSITIVITIES, appointment.sensitivity),
            Field::ShowAs => word(&SHOW_AS, appointment.show_as),
            Field::Importance => word(&IMPORTANCES, appointment.importance),
            Field::Status => word(&STATUSES, appointment.status),
            Field::Categories => texts(&appointment.categories),
            Field::OnlineMeeting => appointment.online_meeting.as_deref().map_or(Value::Empty, text),
            Field::Recurrence => appointment.recurrence.as_ref().map_or(Value::Empty, |of| Value::Text(&of.rule)),
            Field::Regarding => links(&appointment.regarding),
            Field::Responses => text(&appointment.responses),
            Field::Custom(name) => appointment.custom.get(name).map_or(Value::Empty, scalar),
        }
    }
}

impl<'a> From<&'a model::Value> for Value<'a> {
    fn from(value: &'a model::Value) -> Self {
        match value {
            model::Value::Empty => Value::Empty,
            model::Value::Text(text) => Value::Text(text),
            model::Value::Body(body) => text(&body.text),
            model::Value::Time(of) => Value::Time(time(of)),
            model::Value::Person(one) => Value::Person(person(one)),
            model::Value::Attendees(list) => Value::People(list.iter().map(attendee).collect()),
            model::Value::Minutes(minutes) => Value::Number((*minutes).into()),
            model::Value::Sensitivity(value) => word(&SENSITIVITIES, *value),
            model::Value::ShowAs(value) => word(&SHOW_AS, *value),
            model::Value::Importance(value) => word(&IMPORTANCES, *value),
            model::Value::Status(value) => word(&STATUSES, *value),
            model::Value::Texts(texts) => Value::Texts(texts),
            model::Value::Recurrence(recurrence) => Value::Text(&recurrence.rule),
            model::Value::Links(list) => Value::Links(list.iter().map(link).collect()),
            model::Value::Scalar(value) => scalar(value),
        }
    }
}

/// A conflict as a rule is asked about it.
pub fn conflict(conflict: &rules::Conflict) -> Conflict<'_> {
    Conflict {
        field: conflict.field.name(),
        base: (&conflict.base).into(),
        crm: (&conflict.crm).into(),
        exchange: (&conflict.exchange).into(),
    }
}

/// Bytes of texts, and a small sum for everything else, as `convert::size` counts them.
pub fn size(fields: &[Field<'_>]) -> u64 {
    fields.iter().map(|field| field.name.len() + value_size(&field.value)).sum::<usize>() as u64
}

/// The same of conflicts.
pub fn conflicts_size(conflicts: &[Conflict<'_>]) -> u64 {
    let each = |conflict: &Conflict<'_>| {
        let values = [&conflict.base, &conflict.crm, &conflict.exchange];
        (conflict.field.len() + values.map(value_size).into_iter().sum::<usize>()) as u64
    };
    conflicts.iter().map(each).sum()
}

fn value_size(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Texts(list) => list.iter().map(|text| text.len() + 8).sum(),
        Value::Person(one) => one.name.len() + one.address.len(),
        Value::People(people) => people.iter().map(|one| one.name.len() + one.address.len() + 32).sum(),
        Value::Links(links) => links.iter().map(|link| link.entity.len() + link.id.len() + link.name.len() + 24).sum(),
        Value::Time(_) => 64,
        Value::Empty | Value::Flag(_) | Value::Number(_) | Value::Decimal(_) => 8,
    }
}

fn text(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Empty } else { Value::Text(text) }
}

fn texts(texts: &[String]) -> Value<'_> {
    if texts.is_empty() { Value::Empty } else { Value::Texts(texts) }
}

fn people(list: &[model::Attendee]) -> Value<'_> {
    if list.is_empty() { Value::Empty } else { Value::People(list.iter().map(attendee).collect()) }
}

fn links(list: &[model::Link]) -> Value<'_> {
    if list.is_empty() { Value::Empty } else { Value::Links(list.iter().map(link).collect()) }
}

/// The contract's word for a case.
fn word<T: PartialEq>(words: &[(T, &'static str)], value: T) -> Value<'static> {
    Value::Text(convert::word(words, value))
}

fn scalar(scalar: &Scalar) -> Value<'_> {
    match scalar {
        Scalar::Text(text) => Value::Text(text),
        Scalar::Number(number) => Value::Number(*number),
        Scalar::Flag(flag) => Value::Flag(*flag),
    }
}

fn time(time: &model::Time) -> Time<'_> {
    match time {
        model::Time::Timed(model::Span { start, end, zone }) => {
            let local = |at: &DateTime<Utc>| match zone {
                Zone::Iana(zone) => at.with_timezone(zone).to_rfc3339_opts(SecondsFormat::Secs, false),
                Zone::Unknown(_) => String::new(),
            };
            Time::Timed(Span {
                start: start.timestamp(),
                end: end.timestamp(),
                zone: zone.name(),
                local_start: local(start),
                local_end: local(end),
            })
        }
        model::Time::AllDay { first, last } => Time::AllDay(Days { first: first.to_string(), last: last.to_string() }),
    }
}

fn person(of: &model::Person) -> Person<'_> {
    Person { name: &of.name, address: of.address.as_str() }
}

fn link(model::Link { entity, id, name }: &model::Link) -> Link<'_> {
    Link { entity, id, name }
}

fn attendee(of: &model::Attendee) -> Attendee<'_> {
    Attendee {
        name: &of.person.name,
        address: of.person.address.as_str(),
        user: of.user.as_ref().map(|user| user.0.as_str()),
        kind: match of.kind {
            AttendeeKind::Required => wit::AttendeeKind::Required,
            AttendeeKind::Optional => wit::AttendeeKind::Optional,
            AttendeeKind::Resource => wit::AttendeeKind::Resource,
        },
        response: match of.response {
            Response::None => wit::Response::None,
            Response::Tentative => wit::Response::Tentative,
            Response::Accepted => wit::Response::Accepted,
            Response::Declined => wit::Response::Declined,
            Response::Organizer => wit::Response::Organizer,
        },
        responded: of.responded.map(|at| at.timestamp()),
    }
}
