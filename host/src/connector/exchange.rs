//! What EWS and Graph have in common: texts, lists of people, named properties, the days of all-day items and of occurrences.
//!
//! Promises: pure; both connectors name the same occurrence by the same day, and read and write the same thing alike. Must not
//! know: requests, either wire format.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::property::{NamedProperty, PropertyKind};
use crate::model::recurrence::Rule;
use crate::model::{Attendee, Field, Person, Recurrence, Scalar, Time, Zone};

/// Largest reminder the store holds: five years in minutes. Outlook itself offers two weeks.
pub const REMINDER_MAX: u32 = 2_629_800;

/// A recurrence that Exchange has no pattern for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Exchange has no pattern for this recurrence")]
pub struct NoPattern;

/// What has no place in Exchange, or is Exchange's own: the organizer, an online meeting's link, the pattern of a series that is
/// there; status, regarding and responses.
pub fn unwritable() -> Vec<Field> {
    vec![Field::Organizer, Field::Status, Field::OnlineMeeting, Field::Recurrence, Field::Regarding, Field::Responses]
}

/// Enough of an id to find it in a trace; whole ids fill a line and a half.
pub fn short(id: &str) -> String {
    let letters: Vec<char> = id.chars().collect();
    match (letters.get(..8), letters.len().checked_sub(12).and_then(|at| letters.get(at..))) {
        (Some(head), Some(tail)) if letters.len() > 24 => {
            format!("{}…{}", head.iter().collect::<String>(), tail.iter().collect::<String>())
        }
        _ => id.to_owned(),
    }
}

/// Text in one form: line feeds only, none at the end.
pub fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned()
}

/// Subjects, places and names are one line in Exchange.
pub fn one_line(text: &str) -> String {
    if text.contains(['\n', '\r']) {
        text.split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ")
    } else {
        text.to_owned()
    }
}

/// Those who are asked to come, without the organizer, each address once.
pub fn invited(mut attendees: Vec<Attendee>, organizer: Option<&Person>) -> Vec<Attendee> {
    attendees.retain(|attendee| organizer.is_none_or(|organizer| organizer.address != attendee.person.address));
    // By kind as well, so that of two entries for one address the more binding one stays.
    attendees.sort_by(|a, b| (&a.person.address, a.kind).cmp(&(&b.person.address, b.kind)));
    attendees.dedup_by(|a, b| !a.person.address.is_empty() && a.person.address == b.person.address);
    attendees
}

/// The value of a named property.
pub fn scalar(kind: PropertyKind, text: &str) -> Option<Scalar> {
    match kind {
        PropertyKind::String => Some(Scalar::Text(text.to_owned())),
        PropertyKind::Integer => text.trim().parse().ok().map(Scalar::Number),
        PropertyKind::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(Scalar::Flag(true)),
            "false" | "0" => Some(Scalar::Flag(false)),
            _ => None,
        },
    }
}

/// The value as a named property takes it; nothing for one that is not of its kind.
pub fn property_text(property: &NamedProperty, value: Option<&Scalar>) -> Option<String> {
    match (property.kind, value?) {
        (PropertyKind::String, Scalar::Text(text)) => Some(text.clone()),
        (PropertyKind::String, Scalar::Number(number)) => Some(number.to_string()),
        (PropertyKind::String, Scalar::Flag(flag)) => Some(flag.to_string()),
        (PropertyKind::Integer, Scalar::Number(number)) => Some(number.to_string()),
        (PropertyKind::Integer, Scalar::Flag(flag)) => Some(i64::from(*flag).to_string()),
        (PropertyKind::Integer, Scalar::Text(text)) => text.trim().parse::<i64>().ok().map(|number| number.to_string()),
        (PropertyKind::Boolean, Scalar::Flag(flag)) => Some(flag.to_string()),
        (PropertyKind::Boolean, Scalar::Number(number)) => Some((*number != 0).to_string()),
        (PropertyKind::Boolean, Scalar::Text(text)) => text.trim().parse::<bool>().ok().map(|flag| flag.to_string()),
    }
}

/// The moments that everything at a time touches. Days begin at different moments around the Earth.
pub fn moments(time: &Time) -> (DateTime<Utc>, DateTime<Utc>) {
    match time {
        Time::Timed(span) => (span.start - TimeDelta::minutes(1), span.start + TimeDelta::minutes(1)),
        Time::AllDay { first, .. } => {
            let day = first.and_time(NaiveTime::MIN).and_utc();
            (day - TimeDelta::hours(15), day + TimeDelta::hours(13))
        }
    }
}

/// The day whose beginning is nearest to the instant: in the item's own zone, else in the mailbox's where that is known. Some
/// clients write another zone's midnight, or a zone no table knows, and are off by some hours, never by half a day.
pub fn nearest_midnight(at: DateTime<Utc>, zone: Option<&Zone>, home: Option<Tz>) -> NaiveDate {
    let local = match (zone, home) {
        (Some(Zone::Iana(zone)), _) => at.with_timezone(zone).naive_local(),
        (Some(Zone::Unknown(_)) | None, Some(home)) => at.with_timezone(&home).naive_local(),
        (Some(Zone::Unknown(_)) | None, None) => at.naive_utc(),
    };
    (local + TimeDelta::hours(12)).date()
}

/// The day that names an occurrence: what clocks in the series' zone show at its original start. Of a series in a zone that no
/// table knows the day in UTC, which names it as well.
pub fn original_day(start: DateTime<Utc>, all_day: bool, zone: Option<&Zone>, home: Option<Tz>) -> NaiveDate {
    match zone {
        _ if all_day => nearest_midnight(start, zone, home),
        Some(Zone::Iana(zone)) => start.with_timezone(zone).date_naive(),
        Some(Zone::Unknown(_)) | None => start.date_naive(),
    }
}

/// The rule of a new series, and the day it begins on.
///
/// # Errors
/// [`NoPattern`] if the rule is not understood, or its days cannot be told because no table knows its zone.
pub fn new_series(recurrence: &Recurrence, time: &Time) -> Result<(Rule, NaiveDate), NoPattern> {
    let first = match time {
        Time::AllDay { first, .. } => *first,
        Time::Timed(span) => match &span.zone {
            Zone::Iana(zone) => span.start.with_timezone(zone).date_naive(),
            Zone::Unknown(_) => return Err(NoPattern),
        },
    };
    Ok((recurrence.rule().ok_or(NoPattern)?, first))
}
