//! Calendar items of EWS to appointments and back.
//!
//! Promises: pure. What is written as plain text is read back as the same text, but for line breaks at its end, which are
//! nobody's wish. An all-day appointment is two dates on both ways; the item's zone is only asked where its midnights are.
//! Must not know: requests, answers, connections.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::config::{EwsConfig, NamedProperty};
use super::recurrence;
use super::wire::{self, CalendarItem, Property};
use crate::connector::exchange::{self, NoPattern, REMINDER_MAX, one_line, plain, scalar};
use crate::connector::{html, zones};
use crate::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Container, Field, Importance, Item, ItemRef, Key, Person,
    Recurrence, Response, Role, Scalar, Sensitivity, ShowAs, Status, Time, Version, Zone,
};

/// MS-OXORMDR: "the client's own default", which is 15 minutes in Outlook.
const REMINDER_DEFAULT_MARK: u32 = 1_525_252_321;
const REMINDER_DEFAULT: u32 = 15;

/// An item that cannot be read as an appointment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("the item has no readable {0}")]
    Missing(&'static str),
    #[error("the item's body is not readable")]
    Body(#[source] html::Unreadable),
}

/// The item of a mailbox, with version, keys and role.
///
/// # Errors
/// [`MapError`] if it has no start, end or readable body.
pub fn item(wire: &CalendarItem, mailbox: &Address, config: &EwsConfig) -> Result<Item, MapError> {
    let role = role(wire, mailbox);
    let mut appointment = appointment(wire, config)?;
    if role == Role::Attendee {
        // Only this mailbox's own answer is known on an attendee's copy, and it stands apart from the list.
        let own = appointment.attendees.iter_mut().find(|attendee| attendee.person.address == *mailbox);
        if let Some(own) = own {
            own.response = response(wire.my_response.as_deref());
            own.responded = wire.my_reply_time.as_deref().and_then(instant);
        }
    }
    // An occurrence shows UID and properties of its series, which must not lead to it.
    let is_part = matches!(wire.item_type.as_deref(), Some("Occurrence" | "Exception"));
    Ok(Item {
        at: ItemRef { container: Container::Mailbox(mailbox.clone()), id: wire.id.id.clone() },
        version: Version(wire.id.change_key.clone()),
        uid: wire.uid.clone().filter(|_| !is_part),
        stamp: stamp(wire, config).filter(|_| !is_part),
        role,
        sent: wire.request_was_sent,
        series: wire.uid.clone().filter(|_| is_part),
        appointment,
    })
}

/// The day that names an occurrence of a master in that zone.
pub fn original_day(start: DateTime<Utc>, master: &Appointment, zone: Option<&str>) -> NaiveDate {
    exchange::original_day(start, master.time.is_all_day(), Some(&self::zone(zone)), None)
}

/// Our stamp on the item.
pub fn stamp(wire: &CalendarItem, config: &EwsConfig) -> Option<Key> {
    wire.extended(&config.stamp).and_then(Key::parse)
}

/// Whose copy the item is.
pub fn role(wire: &CalendarItem, mailbox: &Address) -> Role {
    let has_people = !(wire.required.is_empty() && wire.optional.is_empty() && wire.resources.is_empty());
    if !wire.is_meeting && !has_people {
        return Role::Organizer;
    }
    let is_organizer = wire.is_organizer == Some(true)
        || wire.my_response.as_deref() == Some("Organizer")
        || wire.organizer.as_ref().is_some_and(|person| Address::new(&person.address) == *mailbox);
    if is_organizer { Role::Organizer } else { Role::Attendee }
}

/// The appointment an item shows.
///
/// # Errors
/// [`MapError`] if it has no start, end or readable body.
pub fn appointment(wire: &CalendarItem, config: &EwsConfig) -> Result<Appointment, MapError> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let organizer = wire.organizer.as_ref().map(person);
    let mut categories = wire.categories.clone();
    categories.sort();
    categories.dedup();
    let fields = config.fields.iter();
    Ok(Appointment {
        subject: text(&wire.subject),
        body: body(wire)?,
        location: text(&wire.location),
        time: time(wire)?,
        attendees: attendees(wire, organizer.as_ref()),
        organizer,
        reminder_minutes: reminder(wire),
        sensitivity: match wire.sensitivity.as_deref() {
            Some("Personal") => Sensitivity::Personal,
            Some("Private") => Sensitivity::Private,
            Some("Confidential") => Sensitivity::Confidential,
            _ => Sensitivity::Normal,
        },
        show_as: match wire.show_as.as_deref() {
            Some("Free") => ShowAs::Free,
            Some("Tentative") => ShowAs::Tentative,
            Some("OOF") => ShowAs::OutOfOffice,
            Some("WorkingElsewhere") => ShowAs::WorkingElsewhere,
            _ => ShowAs::Busy,
        },
        importance: match wire.importance.as_deref() {
            Some("Low") => Importance::Low,
            Some("High") => Importance::High,
            _ => Importance::Normal,
        },
        status: if wire.is_cancelled { Status::Cancelled } else { Status::Pending },
        categories,
        online_meeting: wire.join_url.clone(),
        recurrence: wire.recurrence.as_ref().map(|found| Recurrence { rule: recurrence::rule(found) }),
        regarding: Vec::new(),
        responses: String::new(),
        custom: fields.filter_map(|(name, at)| Some((name.clone(), scalar(at.kind, wire.extended(at)?)?))).collect(),
    })
}

fn body(wire: &CalendarItem) -> Result<Body, MapError> {
    let raw = wire.body.as_deref().unwrap_or_default();
    if wire.body_is_html {
        let text = html::text(raw).map_err(MapError::Body)?;
        Ok(Body { text, html: Some(raw.to_owned()) })
    } else {
        Ok(Body::plain(plain(raw)))
    }
}

fn time(wire: &CalendarItem) -> Result<Time, MapError> {
    let start = wire.start.as_deref().and_then(instant).ok_or(MapError::Missing("start"))?;
    let end = wire.end.as_deref().and_then(instant).ok_or(MapError::Missing("end"))?;
    let start_zone = zone(wire.start_zone.as_deref());
    if !wire.all_day {
        return Ok(Time::timed(start, end, start_zone));
    }
    let end_zone = wire.end_zone.as_deref().map_or_else(|| start_zone.clone(), |name| zone(Some(name)));
    let first = exchange::nearest_midnight(start, Some(&start_zone), None);
    let after = exchange::nearest_midnight(end, Some(&end_zone), None);
    Ok(Time::AllDay { first, last: after.pred_opt().unwrap_or(after).max(first) })
}

fn zone(name: Option<&str>) -> Zone {
    name.map_or(Zone::UTC, zones::from_windows)
}

/// A date and time of an answer: always with `Z` or an offset, by Microsoft's word; UTC where a server forgets it.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => Some(time.to_utc()),
        Err(_) => text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc()),
    }
}

fn reminder(wire: &CalendarItem) -> Option<u32> {
    if !wire.reminder_is_set {
        return None;
    }
    match wire.reminder_minutes.as_deref().unwrap_or_default().trim().parse() {
        Ok(REMINDER_DEFAULT_MARK) | Err(_) => Some(REMINDER_DEFAULT),
        Ok(minutes) => Some(minutes),
    }
}

fn person(mailbox: &wire::Mailbox) -> Person {
    Person { name: mailbox.name.clone(), address: Address::new(&mailbox.address) }
}

fn attendees(wire: &CalendarItem, organizer: Option<&Person>) -> Vec<Attendee> {
    let lists = [
        (AttendeeKind::Required, &wire.required),
        (AttendeeKind::Optional, &wire.optional),
        (AttendeeKind::Resource, &wire.resources),
    ];
    let mut attendees = Vec::new();
    for (kind, list) in lists {
        attendees.extend(list.iter().map(|found| Attendee {
            person: person(&found.mailbox),
            user: None,
            kind,
            response: response(found.response.as_deref()),
            responded: found.responded.as_deref().and_then(instant),
        }));
    }
    exchange::invited(attendees, organizer)
}

fn response(word: Option<&str>) -> Response {
    match word {
        Some("Organizer") => Response::Organizer,
        Some("Tentative") => Response::Tentative,
        Some("Accept") => Response::Accepted,
        Some("Decline") => Response::Declined,
        _ => Response::None,
    }
}

/// All properties of a new item, the stamp among them.
pub fn new_item(draft: &Appointment, stamp: &Key, config: &EwsConfig) -> Vec<Property> {
    let fields = draft.fields().collect::<Vec<_>>();
    let mut properties = changes(draft, fields.iter(), config);
    properties.push(Property::Extended(config.stamp.clone(), Some(stamp.to_string())));
    properties
}

/// The properties that carry some fields of an appointment. A field EWS lets nobody write, or a custom field without a
/// property in the settings, gives none.
pub fn changes<'a>(
    after: &Appointment,
    fields: impl IntoIterator<Item = &'a Field>,
    config: &EwsConfig,
) -> Vec<Property> {
    let mut properties = Vec::new();
    for field in fields {
        match field {
            Field::Subject => properties.push(Property::Subject(one_line(&after.subject))),
            Field::Body => properties.push(Property::Body(plain(&after.body.text))),
            Field::Location => properties.push(Property::Location(one_line(&after.location))),
            Field::Time => properties.extend(written_time(&after.time, config)),
            Field::Attendees => properties.extend([
                Property::Required(people(after, AttendeeKind::Required)),
                Property::Optional(people(after, AttendeeKind::Optional)),
                Property::Resources(people(after, AttendeeKind::Resource)),
            ]),
            Field::Reminder => {
                properties.push(Property::ReminderIsSet(after.reminder_minutes.is_some()));
                let minutes = after.reminder_minutes.map(|count| Property::ReminderMinutes(count.min(REMINDER_MAX)));
                properties.extend(minutes);
            }
            Field::Sensitivity => properties.push(Property::Sensitivity(match after.sensitivity {
                Sensitivity::Normal => "Normal",
                Sensitivity::Personal => "Personal",
                Sensitivity::Private => "Private",
                Sensitivity::Confidential => "Confidential",
            })),
            Field::ShowAs => properties.push(Property::ShowAs(match after.show_as {
                ShowAs::Free => "Free",
                ShowAs::Tentative => "Tentative",
                ShowAs::Busy => "Busy",
                ShowAs::OutOfOffice => "OOF",
                ShowAs::WorkingElsewhere => "WorkingElsewhere",
            })),
            Field::Importance => properties.push(Property::Importance(match after.importance {
                Importance::Low => "Low",
                Importance::Normal => "Normal",
                Importance::High => "High",
            })),
            Field::Categories => properties.push(Property::Categories(after.categories.clone())),
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
    properties
}

/// The recurrence of a new series.
///
/// # Errors
/// [`NoPattern`] if it is not understood or EWS cannot say it.
pub fn written_recurrence(found: &Recurrence, time: &Time) -> Result<Property, NoPattern> {
    let (rule, first) = exchange::new_series(found, time)?;
    recurrence::written(rule, first).map(Property::Recurrence)
}

/// The zone in which the server is to read and align the times of a write, by its Windows name.
pub fn write_zone(time: &Time, config: &EwsConfig) -> Option<String> {
    match time {
        Time::Timed(span) => windows_name(&span.zone),
        Time::AllDay { .. } => windows_name(&Zone::Iana(config.all_day_zone)),
    }
}

/// The name a server accepts. Names such as `Customized Time Zone` stand for a definition that lies elsewhere and cannot be
/// written: without a zone in the request the item keeps the one it has.
fn windows_name(zone: &Zone) -> Option<String> {
    let name = zones::to_windows(zone)?;
    let is_written = matches!(zone, Zone::Iana(_)) || name.ends_with("Standard Time");
    is_written.then(|| name.to_owned())
}

/// Start, end, all-ness and zones always go together: the server aligns the times of an all-day item to the zone's
/// midnights.
fn written_time(time: &Time, config: &EwsConfig) -> Vec<Property> {
    let (start, end) = match time {
        Time::Timed(span) => (written(span.start), written(span.end)),
        Time::AllDay { first, last } => {
            let zone = config.all_day_zone;
            let after = last.succ_opt().unwrap_or(*last);
            (midnight(*first, zone), midnight(after, zone))
        }
    };
    let mut properties = vec![Property::Start(start), Property::End(end), Property::AllDay(time.is_all_day())];
    if let Some(zone) = write_zone(time, config) {
        properties.push(Property::StartZone(zone.clone()));
        properties.push(Property::EndZone(zone));
    }
    properties
}

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The beginning of a day in a zone, with its offset. Where the clock skips midnight, the day begins when the clock goes on.
fn midnight(day: NaiveDate, zone: Tz) -> String {
    let mut local = day.and_time(NaiveTime::MIN);
    for _ in 0..48 {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                return at.to_rfc3339_opts(SecondsFormat::Secs, true);
            }
            LocalResult::None => local += TimeDelta::minutes(15),
        }
    }
    // No zone skips half a day except for whole days dropped from the calendar; UTC names the date at least.
    written(day.and_time(NaiveTime::MIN).and_utc())
}

/// Attendees of one kind who can be mailed. Those without an address take part in the CRM only.
fn people(after: &Appointment, kind: AttendeeKind) -> Vec<wire::Mailbox> {
    let wanted = after.attendees.iter().filter(|attendee| attendee.kind == kind && !attendee.person.address.is_empty());
    wanted
        .map(|attendee| wire::Mailbox {
            name: one_line(&attendee.person.name),
            address: attendee.person.address.as_str().to_owned(),
        })
        .collect()
}

fn custom(property: &NamedProperty, value: Option<&Scalar>) -> Property {
    let text = exchange::property_text(property, value);
    Property::Extended(property.clone(), text)
}

/// Whether a row of a calendar view can be at that time; the whole item decides.
pub fn could_be_at(row: &CalendarItem, time: &Time) -> bool {
    match time {
        Time::AllDay { .. } => row.all_day,
        Time::Timed(span) => {
            let same = |text: &Option<String>, at| text.as_deref().and_then(instant).is_none_or(|found| found == at);
            !row.all_day && same(&row.start, span.start) && same(&row.end, span.end)
        }
    }
}

/// The binary `CleanGlobalObjectId` of an iCalendar UID (MS-OXCICAL 2.1.3.1.1.20.26): Exchange's own UIDs are its hex form,
/// foreign ones are wrapped.
pub fn global_object_id(uid: &str) -> Vec<u8> {
    const MARKER: [u8; 16] = [4, 0, 0, 0, 0x82, 0, 0xE0, 0, 0x74, 0xC5, 0xB7, 0x10, 0x1A, 0x82, 0xE0, 8];
    const FOREIGN: &[u8] = b"vCal-Uid\x01\0\0\0";
    if let Some(mut bytes) = from_hex(uid).filter(|bytes| bytes.starts_with(&MARKER)) {
        // The date of an instance is not part of the clean form.
        bytes.iter_mut().skip(MARKER.len()).take(4).for_each(|byte| *byte = 0);
        return bytes;
    }
    let length = FOREIGN.len() + uid.len() + 1;
    let mut bytes = MARKER.to_vec();
    // Instance date, creation time and padding stay zero.
    bytes.extend([0; 4 + 8 + 8]);
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(FOREIGN);
    bytes.extend_from_slice(uid.as_bytes());
    bytes.push(0);
    bytes
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
