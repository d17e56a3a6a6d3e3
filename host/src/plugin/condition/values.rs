//! An appointment as a condition sees it: the fields [`super::check`] knows, under the same names.

use std::collections::HashMap;

use cel::Value;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::model::{
    Appointment, Attendee, AttendeeKind, Importance, Person, Response, Scalar, Sensitivity, ShowAs, Status, Time,
};

pub fn appointment(of: &Appointment) -> Value {
    let (start, end, zone) = span(&of.time);
    let mut fields: HashMap<&str, Value> = HashMap::from([
        ("subject", text(&of.subject)),
        ("body", text(&of.body.text)),
        ("location", text(&of.location)),
        ("start", Value::Timestamp(start.fixed_offset())),
        ("end", Value::Timestamp(end.fixed_offset())),
        ("all_day", Value::Bool(of.time.is_all_day())),
        ("zone", text(&zone)),
        ("organizer", person(of.organizer.as_ref().unwrap_or(&Person::default()))),
        ("attendees", list(of.attendees.iter().map(attendee))),
        ("meeting", Value::Bool(of.is_meeting())),
        ("sensitivity", text(sensitivity(of.sensitivity))),
        ("show_as", text(show_as(of.show_as))),
        ("importance", text(importance(of.importance))),
        ("status", text(status(of.status))),
        ("categories", list(of.categories.iter().map(|category| text(category)))),
        ("online_meeting", text(of.online_meeting.as_deref().unwrap_or_default())),
        ("recurring", Value::Bool(of.recurrence.is_some())),
        (
            "regarding",
            list(of.regarding.iter().map(|link| {
                record([("entity", text(&link.entity)), ("id", text(&link.id)), ("name", text(&link.name))])
            })),
        ),
        ("responses", text(&of.responses)),
        (
            "custom",
            Value::from(of.custom.iter().map(|(name, value)| (name.clone(), scalar(value))).collect::<HashMap<_, _>>()),
        ),
    ]);
    if let Some(minutes) = of.reminder_minutes {
        fields.insert("reminder", Value::Int(minutes.into()));
    }
    Value::from(fields)
}

/// Ids of the CRM users who are asked to come, each once.
pub fn users(of: &Appointment) -> Value {
    let mut ids: Vec<&str> = of.attendees.iter().filter_map(|one| one.user.as_ref()).map(|id| id.0.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    list(ids.into_iter().map(text))
}

/// Elements of the longest list a condition can go through.
pub fn longest_list(of: &Appointment) -> u64 {
    [of.attendees.len(), of.categories.len(), of.regarding.len()].into_iter().max().unwrap_or_default() as u64
}

/// Bytes of the longest text.
pub fn longest_text(of: &Appointment) -> u64 {
    let custom = of.custom.values().map(|value| if let Scalar::Text(text) = value { text.len() } else { 0 });
    let own = [of.subject.len(), of.body.text.len(), of.location.len(), of.responses.len()];
    own.into_iter().chain(custom).chain(of.categories.iter().map(String::len)).max().unwrap_or_default() as u64
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::from(values.collect::<Vec<_>>())
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::from(HashMap::from(fields))
}

fn person(of: &Person) -> Value {
    record([("name", text(&of.name)), ("address", text(&of.address.folded()))])
}

fn attendee(of: &Attendee) -> Value {
    let kind = match of.kind {
        AttendeeKind::Required => "required",
        AttendeeKind::Optional => "optional",
        AttendeeKind::Resource => "resource",
    };
    let response = match of.response {
        Response::None => "none",
        Response::Tentative => "tentative",
        Response::Accepted => "accepted",
        Response::Declined => "declined",
        Response::Organizer => "organizer",
    };
    record([
        ("name", text(&of.person.name)),
        ("address", text(&of.person.address.folded())),
        ("user", text(of.user.as_ref().map_or("", |user| user.0.as_str()))),
        ("kind", text(kind)),
        ("response", text(response)),
    ])
}

fn scalar(of: &Scalar) -> Value {
    match of {
        Scalar::Text(value) => text(value),
        Scalar::Number(number) => Value::Int(*number),
        Scalar::Flag(flag) => Value::Bool(*flag),
    }
}

/// Start, end (not included) and zone. Days of an all-day appointment are nobody's zone's: they begin at midnight UTC.
fn span(time: &Time) -> (DateTime<Utc>, DateTime<Utc>, String) {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    match time {
        Time::Timed(span) => (span.start, span.end, span.zone.name().to_owned()),
        Time::AllDay { first, last } => {
            let end = midnight(*last).checked_add_signed(TimeDelta::days(1)).unwrap_or(DateTime::<Utc>::MAX_UTC);
            (midnight(*first), end, "UTC".to_owned())
        }
    }
}

fn sensitivity(of: Sensitivity) -> &'static str {
    match of {
        Sensitivity::Normal => "normal",
        Sensitivity::Personal => "personal",
        Sensitivity::Private => "private",
        Sensitivity::Confidential => "confidential",
    }
}

fn show_as(of: ShowAs) -> &'static str {
    match of {
        ShowAs::Free => "free",
        ShowAs::Tentative => "tentative",
        ShowAs::Busy => "busy",
        ShowAs::OutOfOffice => "out-of-office",
        ShowAs::WorkingElsewhere => "working-elsewhere",
    }
}

fn importance(of: Importance) -> &'static str {
    match of {
        Importance::Low => "low",
        Importance::Normal => "normal",
        Importance::High => "high",
    }
}

fn status(of: Status) -> &'static str {
    match of {
        Status::Pending => "pending",
        Status::InProgress => "in-progress",
        Status::Complete => "complete",
        Status::Cancelled => "cancelled",
    }
}
