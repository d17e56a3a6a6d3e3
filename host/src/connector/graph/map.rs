//! Events of Graph to appointments and back.
//!
//! Promises: pure. An all-day appointment is two dates on both ways; zones are only asked where its midnights are. A zone that
//! no table knows is kept as it came. Must not know: requests, answers, connections.

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use super::config::GraphConfig;
use super::recurrence;
use super::wire::{self, DateTimeTimeZone, Event};
use crate::connector::exchange::{self, NoPattern, REMINDER_MAX, one_line, plain, scalar};
use crate::connector::property::NamedProperty;
use crate::connector::{html, zones};
use crate::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Container, Field, Importance, Item, ItemRef, Key, Person,
    Recurrence, Response, Role, Scalar, Sensitivity, ShowAs, Status, Time, Version, Zone,
};

/// An event that cannot be read as an appointment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("the event has no readable {0}")]
    Missing(&'static str),
    #[error("the event's body is not readable")]
    Body(#[source] html::Unreadable),
}

/// The event of a mailbox, with version, keys and role. `home` is the mailbox's zone, where it is known. To which series an
/// occurrence belongs, its event does not say: that is the caller's to add.
///
/// # Errors
/// [`MapError`] if it has no version, start, end or readable body.
pub fn item(event: &Event, mailbox: &Address, home: Option<Tz>, config: &GraphConfig) -> Result<Item, MapError> {
    let role = role(event, mailbox);
    let mut appointment = appointment(event, home, config)?;
    if role == Role::Attendee {
        // Only this mailbox's own answer is known on an attendee's copy, and it stands apart from the list.
        let own = appointment.attendees.iter_mut().find(|attendee| attendee.person.address == *mailbox);
        if let (Some(own), Some(status)) = (own, &event.response_status) {
            own.response = response(status.response.as_deref());
            own.responded = status.time.as_deref().and_then(answered);
        }
    }
    // An occurrence shows the properties of its series, which must not lead to it; so does its UID, which is its own.
    let is_part = event.master_id().is_some();
    Ok(Item {
        at: ItemRef { container: Container::Mailbox(mailbox.clone()), id: event.id.clone() },
        version: Version(event.version().ok_or(MapError::Missing("version"))?),
        uid: event.uid.clone().filter(|uid| !is_part && !uid.is_empty()),
        stamp: stamp(event, config).filter(|_| !is_part),
        role,
        // It mails whenever attendees are written, and has no property for it.
        sent: true,
        series: None,
        appointment,
    })
}

/// Our stamp on the event, where the answer shows it.
pub fn stamp(event: &Event, config: &GraphConfig) -> Option<Key> {
    event.extended(&config.stamp).and_then(|text| Key::parse(&text))
}

/// Whose copy the event is.
pub fn role(event: &Event, mailbox: &Address) -> Role {
    if event.attendees.as_ref().is_none_or(Vec::is_empty) && event.is_organizer != Some(false) {
        return Role::Organizer;
    }
    let organizer = event.organizer.as_ref().and_then(|organizer| organizer.email_address.as_ref());
    let is_organizer = event.is_organizer == Some(true)
        || event.response_status.as_ref().and_then(|status| status.response.as_deref()) == Some("organizer")
        || organizer.and_then(|own| own.address.as_deref()).is_some_and(|own| Address::new(own) == *mailbox);
    if is_organizer { Role::Organizer } else { Role::Attendee }
}

/// The appointment an event shows.
///
/// # Errors
/// [`MapError`] if it has no start, end or readable body.
pub fn appointment(event: &Event, home: Option<Tz>, config: &GraphConfig) -> Result<Appointment, MapError> {
    let organizer = organizer(event);
    let mut categories = event.categories.clone().unwrap_or_default();
    categories.sort();
    categories.dedup();
    let join_url = event.online_meeting.as_ref().and_then(|meeting| meeting.join_url.clone());
    let fields = config.fields.iter();
    Ok(Appointment {
        subject: event.subject.clone().unwrap_or_default(),
        body: body(event)?,
        location: event.location.as_ref().and_then(|location| location.display_name.clone()).unwrap_or_default(),
        time: time(event, home)?,
        attendees: attendees(event, organizer.as_ref()),
        organizer,
        reminder_minutes: reminder(event),
        sensitivity: match event.sensitivity.as_deref() {
            Some("personal") => Sensitivity::Personal,
            Some("private") => Sensitivity::Private,
            Some("confidential") => Sensitivity::Confidential,
            _ => Sensitivity::Normal,
        },
        show_as: match event.show_as.as_deref() {
            Some("free") => ShowAs::Free,
            Some("tentative") => ShowAs::Tentative,
            Some("oof") => ShowAs::OutOfOffice,
            Some("workingElsewhere") => ShowAs::WorkingElsewhere,
            _ => ShowAs::Busy,
        },
        importance: match event.importance.as_deref() {
            Some("low") => Importance::Low,
            Some("high") => Importance::High,
            _ => Importance::Normal,
        },
        status: if event.is_cancelled == Some(true) { Status::Cancelled } else { Status::Pending },
        categories,
        online_meeting: join_url.or_else(|| event.online_meeting_url.clone()).filter(|url| !url.is_empty()),
        recurrence: event.recurrence.as_ref().map(|found| Recurrence { rule: recurrence::rule(found) }),
        regarding: Vec::new(),
        responses: String::new(),
        custom: fields.filter_map(|(name, at)| Some((name.clone(), scalar(at.kind, &event.extended(at)?)?))).collect(),
    })
}

fn body(event: &Event) -> Result<Body, MapError> {
    let Some(body) = &event.body else { return Ok(Body::default()) };
    let raw = body.content.as_deref().unwrap_or_default();
    if body.content_type.as_deref() == Some("text") {
        return Ok(Body::plain(plain(raw)));
    }
    let text = html::text(raw).map_err(MapError::Body)?;
    Ok(Body { text, html: Some(raw.to_owned()) })
}

fn time(event: &Event, home: Option<Tz>) -> Result<Time, MapError> {
    let start = event.start.as_ref().ok_or(MapError::Missing("start"))?;
    let end = event.end.as_ref().ok_or(MapError::Missing("end"))?;
    let start_zone = zone(event);
    let (from, to) = (instant(start).ok_or(MapError::Missing("start"))?, instant(end).ok_or(MapError::Missing("end"))?);
    if event.is_all_day != Some(true) {
        return Ok(Time::timed(from, to, start_zone.unwrap_or(Zone::UTC)));
    }
    let end_zone = named_zone(event.original_end_time_zone.as_deref()).or_else(|| start_zone.clone());
    let first = exchange::nearest_midnight(from, start_zone.as_ref(), home);
    let after = exchange::nearest_midnight(to, end_zone.as_ref(), home);
    Ok(Time::AllDay { first, last: after.pred_opt().unwrap_or(after).max(first) })
}

/// The zone an event is reckoned in: that of its recurrence, else the one it was made in.
pub fn zone(event: &Event) -> Option<Zone> {
    let range = event.recurrence.as_ref().and_then(|recurrence| recurrence.range.as_ref());
    let of_series = range.and_then(|range| named_zone(range.recurrence_time_zone.as_deref()));
    of_series
        .filter(|zone| matches!(zone, Zone::Iana(_)))
        .or_else(|| named_zone(event.original_start_time_zone.as_deref()))
}

fn named_zone(name: Option<&str>) -> Option<Zone> {
    name.filter(|name| !name.is_empty()).map(zones::from_any)
}

/// The day that names an occurrence of a master.
pub fn original_day(start: DateTime<Utc>, master: &Event, home: Option<Tz>) -> NaiveDate {
    exchange::original_day(start, master.is_all_day == Some(true), zone(master).as_ref(), home)
}

/// A moment with its offset.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc())
}

/// The instant of a date and time of an answer. Every request asks for UTC; a server that answers in a zone says which.
pub fn instant(at: &DateTimeTimeZone) -> Option<DateTime<Utc>> {
    if let Some(moment) = moment(&at.date_time) {
        return Some(moment);
    }
    let local: NaiveDateTime = at.date_time.trim().parse().ok()?;
    match at.time_zone.as_deref().map_or(Zone::UTC, zones::from_any) {
        Zone::Iana(zone) => match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.to_utc()),
            LocalResult::None => None,
        },
        Zone::Unknown(_) => None,
    }
}

fn reminder(event: &Event) -> Option<u32> {
    let minutes = event.reminder_minutes_before_start.filter(|_| event.is_reminder_on == Some(true))?;
    Some(u32::try_from(minutes.max(0)).unwrap_or(REMINDER_MAX))
}

fn person(address: &wire::EmailAddress) -> Person {
    Person {
        name: address.name.clone().unwrap_or_default(),
        address: Address::new(address.address.as_deref().unwrap_or_default()),
    }
}

fn organizer(event: &Event) -> Option<Person> {
    event.organizer.as_ref().and_then(|organizer| organizer.email_address.as_ref()).map(person)
}

/// Whom the organizer's server mails about the event: those with an address.
pub fn those_mailed(event: &Event) -> Vec<Attendee> {
    let mut people = attendees(event, organizer(event).as_ref());
    people.retain(|attendee| !attendee.person.address.is_empty());
    people
}

fn attendees(event: &Event, organizer: Option<&Person>) -> Vec<Attendee> {
    let attendee = |found: &wire::Attendee| Attendee {
        person: found.email_address.as_ref().map(person).unwrap_or_default(),
        user: None,
        kind: match found.kind.as_deref() {
            Some("optional") => AttendeeKind::Optional,
            Some("resource") => AttendeeKind::Resource,
            _ => AttendeeKind::Required,
        },
        response: response(found.status.as_ref().and_then(|status| status.response.as_deref())),
        responded: found.status.as_ref().and_then(|status| status.time.as_deref()).and_then(answered),
    };
    exchange::invited(event.attendees.iter().flatten().map(attendee).collect(), organizer)
}

fn response(word: Option<&str>) -> Response {
    match word {
        Some("organizer") => Response::Organizer,
        Some("tentativelyAccepted") => Response::Tentative,
        Some("accepted") => Response::Accepted,
        Some("declined") => Response::Declined,
        _ => Response::None,
    }
}

/// When somebody answered; the year 1 stands for "never".
fn answered(text: &str) -> Option<DateTime<Utc>> {
    moment(text).filter(|at| at.year() > 1)
}

/// A new event: all fields, the stamp, and the token that keeps a repeat from making a second one.
pub fn new_event(draft: &Appointment, stamp: &Key, transaction: &str, day_zone: Tz, config: &GraphConfig) -> Value {
    let fields = draft.fields().collect::<Vec<_>>();
    let mut event = changes(draft, fields.iter(), day_zone, config);
    event.insert("transactionId".into(), transaction.into());
    let own = json!({ "id": wire::property_id(&config.stamp), "value": stamp.to_string() });
    let properties = event.entry("singleValueExtendedProperties").or_insert_with(|| json!([]));
    if let Value::Array(list) = properties {
        // A field without a value is left out of something new.
        list.retain(|property| !property.get("value").is_none_or(Value::is_null));
        list.push(own);
    }
    Value::Object(event)
}

/// The recurrence of a new series, in the zone its times are written in.
///
/// # Errors
/// [`NoPattern`] if it is not understood, or Graph cannot say its zone.
pub fn written_recurrence(found: &Recurrence, time: &Time, day_zone: Tz) -> Result<Value, NoPattern> {
    let (rule, first) = exchange::new_series(found, time)?;
    let zone = match time {
        Time::Timed(span) => span.zone.clone(),
        Time::AllDay { .. } => Zone::Iana(day_zone),
    };
    Ok(recurrence::written(rule, first, zones::to_windows(&zone).ok_or(NoPattern)?))
}

/// What carries some fields of an appointment. A field Graph lets nobody write, or a custom field without a property in the
/// settings, gives nothing. The body is the caller's: it depends on what is there.
pub fn changes<'a>(
    after: &Appointment,
    fields: impl IntoIterator<Item = &'a Field>,
    day_zone: Tz,
    config: &GraphConfig,
) -> Map<String, Value> {
    let mut event = Map::new();
    let mut properties = Vec::new();
    for field in fields {
        match field {
            Field::Subject => {
                event.insert("subject".into(), one_line(&after.subject).into());
            }
            Field::Body => {
                event.insert("body".into(), text_body(&after.body.text));
            }
            Field::Location => {
                event.insert("location".into(), json!({ "displayName": one_line(&after.location) }));
            }
            Field::Time => event.extend(written_time(&after.time, day_zone)),
            Field::Attendees => {
                event.insert("attendees".into(), people(after).into());
            }
            Field::Reminder => {
                event.insert("isReminderOn".into(), after.reminder_minutes.is_some().into());
                if let Some(minutes) = after.reminder_minutes {
                    event.insert("reminderMinutesBeforeStart".into(), minutes.min(REMINDER_MAX).into());
                }
            }
            Field::Sensitivity => {
                event.insert("sensitivity".into(), sensitivity(after.sensitivity).into());
            }
            Field::ShowAs => {
                event.insert("showAs".into(), show_as(after.show_as).into());
            }
            Field::Importance => {
                event.insert("importance".into(), importance(after.importance).into());
            }
            Field::Categories => {
                event.insert("categories".into(), after.categories.clone().into());
            }
            Field::Custom(name) => {
                properties.extend(config.fields.get(name).map(|at| custom(at, after.custom.get(name))));
            }
            Field::Organizer
            | Field::Status
            | Field::OnlineMeeting
            | Field::Recurrence
            | Field::Regarding
            | Field::Responses => {}
        }
    }
    if !properties.is_empty() {
        event.insert("singleValueExtendedProperties".into(), properties.into());
    }
    event
}

fn sensitivity(value: Sensitivity) -> &'static str {
    match value {
        Sensitivity::Normal => "normal",
        Sensitivity::Personal => "personal",
        Sensitivity::Private => "private",
        Sensitivity::Confidential => "confidential",
    }
}

fn show_as(value: ShowAs) -> &'static str {
    match value {
        ShowAs::Free => "free",
        ShowAs::Tentative => "tentative",
        ShowAs::Busy => "busy",
        ShowAs::OutOfOffice => "oof",
        ShowAs::WorkingElsewhere => "workingElsewhere",
    }
}

fn importance(value: Importance) -> &'static str {
    match value {
        Importance::Low => "low",
        Importance::Normal => "normal",
        Importance::High => "high",
    }
}

/// A body of plain text.
pub fn text_body(text: &str) -> Value {
    json!({ "contentType": "text", "content": plain(text) })
}

/// Start, end and all-ness always go together.
fn written_time(time: &Time, day_zone: Tz) -> Map<String, Value> {
    let (start, end) = match time {
        Time::Timed(span) => (written(span.start, &span.zone), written(span.end, &span.zone)),
        Time::AllDay { first, last } => {
            let after = last.succ_opt().unwrap_or(*last);
            (midnight(*first, day_zone), midnight(after, day_zone))
        }
    };
    let mut event = Map::new();
    event.insert("start".into(), start);
    event.insert("end".into(), end);
    event.insert("isAllDay".into(), time.is_all_day().into());
    event
}

/// An instant as wall time of its zone, by the zone's Windows name. In the hour that autumn repeats, and in a zone no table
/// knows, wall time cannot say which instant is meant: it is written in UTC then.
fn written(at: DateTime<Utc>, zone: &Zone) -> Value {
    if let Zone::Iana(known) = zone
        && let Some(name) = zones::to_windows(zone)
    {
        let local = at.with_timezone(known).naive_local();
        if matches!(known.from_local_datetime(&local), LocalResult::Single(_)) {
            return json!({ "dateTime": wall(local), "timeZone": name });
        }
    }
    json!({ "dateTime": wall(at.naive_utc()), "timeZone": "UTC" })
}

fn midnight(day: NaiveDate, zone: Tz) -> Value {
    let name = zones::to_windows(&Zone::Iana(zone)).unwrap_or("UTC").to_owned();
    json!({ "dateTime": wall(day.and_time(chrono::NaiveTime::MIN)), "timeZone": name })
}

fn wall(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Attendees who can be mailed. Those without an address take part in the CRM only.
fn people(after: &Appointment) -> Vec<Value> {
    let wanted = after.attendees.iter().filter(|attendee| !attendee.person.address.is_empty());
    wanted
        .map(|attendee| {
            let kind = match attendee.kind {
                AttendeeKind::Required => "required",
                AttendeeKind::Optional => "optional",
                AttendeeKind::Resource => "resource",
            };
            let (name, address) = (one_line(&attendee.person.name), attendee.person.address.as_str());
            json!({ "emailAddress": { "name": name, "address": address }, "type": kind })
        })
        .collect()
}

/// A named property with its value as text; `null` takes the value away (inferred).
fn custom(property: &NamedProperty, value: Option<&Scalar>) -> Value {
    let text = exchange::property_text(property, value);
    json!({ "id": wire::property_id(property), "value": text })
}
