//! An event as a client writes it: JSON into the changes that the store knows.
//!
//! Promises: names are read without case, as real clients differ; what the server fills itself is passed over; what no
//! event has is refused. Must not know: the store, meetings.

use serde_json::{Map, Value};

use super::answer::Refused;
use super::event::{FREE_BUSY, IMPORTANCES, SENSITIVITIES};
use super::recurrence;
use crate::sim::exchange::edit::{Change, Invited};
use crate::sim::exchange::item::{Role, Value as Field};
use crate::sim::exchange::property::{PropertyName, PropertyValue};
use crate::sim::exchange::zones::{When, Zone, when};

/// Attendees of one event [event].
const ATTENDEES_MAX: usize = 500;
/// Longest transactionId, as the store's own tokens are.
const TRANSACTION_MAX: usize = 255;

/// Properties that the server fills, and navigations that are not written here: passed over, as clients send back what
/// they read.
const FILLED: &[&str] = &[
    "id",
    "icaluid",
    "uid",
    "changekey",
    "createddatetime",
    "lastmodifieddatetime",
    "bodypreview",
    "originalstart",
    "originalstarttimezone",
    "originalendtimezone",
    "iscancelled",
    "isorganizer",
    "isdraft",
    "hasattachments",
    "type",
    "seriesmasterid",
    "occurrenceid",
    "responsestatus",
    "organizer",
    "onlinemeeting",
    "onlinemeetingurl",
    "onlinemeetingprovider",
    "weblink",
    "cancelledoccurrences",
    "exceptionoccurrences",
    "instances",
    "attachments",
    "calendar",
    "extensions",
    "multivalueextendedproperties",
];

/// What a client wants of an event.
#[derive(Debug, Default)]
pub struct Wanted {
    pub changes: Vec<Change>,
    pub transaction: Option<String>,
    /// Asks for an online meeting.
    pub online: bool,
    pub has_start: bool,
    pub has_end: bool,
}

/// Reads an event; `all_day` says whether the event is an all-day one already.
pub fn read(body: &Map<String, Value>, all_day: bool) -> Result<Wanted, Refused> {
    let mut wanted = Wanted::default();
    let all_day = find(body, "isAllDay").and_then(Value::as_bool).unwrap_or(all_day);
    for (name, value) in body {
        field(&mut wanted, &name.to_ascii_lowercase(), name, value)?;
    }
    let start = find(body, "start").map(|value| time("start", value)).transpose()?;
    let end = find(body, "end").map(|value| time("end", value)).transpose()?;
    if all_day {
        for (name, time) in [("Start", &start), ("End", &end)] {
            if time.as_ref().is_some_and(|(when, zone)| !is_midnight(*when, zone)) {
                let text = format!("The Event.{name} property for an all-day event needs to be set to midnight.");
                return Err(Refused::property(text));
            }
        }
        if let (Some((_, one)), Some((_, other))) = (&start, &end)
            && one != other
        {
            let text = "The start and end of an all-day event must be in the same time zone.";
            return Err(Refused::property(text));
        }
    }
    let series_zone = find(body, "recurrence").map(|value| series(&mut wanted, value, &start)).transpose()?.flatten();
    (wanted.has_start, wanted.has_end) = (start.is_some(), end.is_some());
    if let Some((when, zone)) = start {
        // A series is expanded in its own zone, so that becomes the zone of its times.
        let at = When::At(when.in_zone(&zone));
        wanted.changes.extend([Change::StartZone(series_zone.clone().unwrap_or(zone)), Change::Start(at)]);
    }
    if let Some((when, zone)) = end {
        let at = When::At(when.in_zone(&zone));
        wanted.changes.extend([Change::EndZone(series_zone.unwrap_or(zone)), Change::End(at)]);
    }
    Ok(wanted)
}

fn field(wanted: &mut Wanted, name: &str, given: &str, value: &Value) -> Result<(), Refused> {
    let changes = &mut wanted.changes;
    let mut plain = |field: &'static str, value: Option<Field>| {
        changes.push(value.map_or(Change::Clear(field), |value| Change::Plain(field, value)));
    };
    match name {
        "subject" => plain("Subject", text(given, value)?.map(Field::Text)),
        "body" => plain("Body", body(value)?),
        "location" => plain("Location", place(value)),
        "locations" => plain("Location", value.as_array().and_then(|places| places.first()).and_then(place)),
        "importance" => plain("Importance", word(given, value, IMPORTANCES)?),
        "sensitivity" => plain("Sensitivity", word(given, value, SENSITIVITIES)?),
        "showas" => plain("LegacyFreeBusyStatus", word(given, value, FREE_BUSY)?),
        "isreminderon" => plain("ReminderIsSet", flag(given, value)?),
        "responserequested" => plain("IsResponseRequested", flag(given, value)?),
        "allownewtimeproposals" => plain("AllowNewTimeProposal", flag(given, value)?),
        "hideattendees" => plain("HideAttendees", flag(given, value)?),
        "reminderminutesbeforestart" => plain("ReminderMinutesBeforeStart", minutes(given, value)?),
        "categories" => plain("Categories", categories(given, value)?),
        "isallday" => changes.push(Change::AllDay(value.as_bool().unwrap_or(false))),
        "attendees" => changes.extend(attendees(value)?),
        "singlevalueextendedproperties" => changes.extend(properties(value)?),
        "isonlinemeeting" => wanted.online = value.as_bool().unwrap_or(false),
        "transactionid" => wanted.transaction = transaction(value)?,
        // Read together.
        "start" | "end" | "recurrence" => {}
        name if FILLED.contains(&name) || name.contains('@') => {}
        _ => {
            let text = format!("The property '{given}' does not exist on type 'microsoft.graph.event'.");
            return Err(Refused::bad("RequestBodyRead", text));
        }
    }
    Ok(())
}

/// Reads the recurrence, and answers its own zone.
fn series(wanted: &mut Wanted, value: &Value, start: &Option<(When, Zone)>) -> Result<Option<Zone>, Refused> {
    if value.is_null() {
        wanted.changes.push(Change::Recurrence(None));
        return Ok(None);
    }
    let recurrence::Read { recurrence, zone } = recurrence::read(value)?;
    let zone = zone.map(|name| Zone::named_either_way(&name)).transpose()?;
    if let Some((when, own)) = start {
        let in_zone = zone.as_ref().unwrap_or(own);
        if in_zone.local(when.in_zone(own)).date() != recurrence.start {
            // [recurrencerange: startDate must equal the start of the event]
            return Err(Refused::property("The startDate of the recurrence is not the day the event starts."));
        }
    }
    wanted.changes.push(Change::Recurrence(Some(recurrence)));
    Ok(zone)
}

/// A `dateTimeTimeZone`.
fn time(name: &str, value: &Value) -> Result<(When, Zone), Refused> {
    let part = |part: &str| value.as_object().and_then(|object| find(object, part)).and_then(Value::as_str);
    let text = part("dateTime").ok_or_else(|| Refused::property(format!("The property '{name}' has no dateTime.")))?;
    let zone = part("timeZone").filter(|zone| !zone.is_empty()).unwrap_or("UTC");
    Ok((when(text)?, Zone::named_either_way(zone)?))
}

fn is_midnight(when: When, zone: &Zone) -> bool {
    let local = zone.local(when.in_zone(zone));
    zone.midnight_before(when.in_zone(zone)) == when.in_zone(zone) && local.time() == chrono::NaiveTime::MIN
}

fn text(name: &str, value: &Value) -> Result<Option<String>, Refused> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(wrong_type(name)),
    }
}

fn flag(name: &str, value: &Value) -> Result<Option<Field>, Refused> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(Field::Boolean(*value))),
        _ => Err(wrong_type(name)),
    }
}

fn minutes(name: &str, value: &Value) -> Result<Option<Field>, Refused> {
    match value {
        Value::Null => Ok(None),
        value => value.as_i64().map(|minutes| Some(Field::Integer(minutes))).ok_or_else(|| wrong_type(name)),
    }
}

fn word(name: &str, value: &Value, words: &[(&'static str, &'static str)]) -> Result<Option<Field>, Refused> {
    let Some(text) = text(name, value)? else { return Ok(None) };
    let known = words.iter().find(|(_, theirs)| theirs.eq_ignore_ascii_case(&text));
    let unknown = || Refused::bad("RequestBodyRead", format!("The value '{text}' is none of the property '{name}'."));
    known.map(|(ours, _)| Some(Field::Text((*ours).to_owned()))).ok_or_else(unknown)
}

fn categories(name: &str, value: &Value) -> Result<Option<Field>, Refused> {
    if value.is_null() {
        return Ok(None);
    }
    let names = value.as_array().ok_or_else(|| wrong_type(name))?;
    let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    let names = names.ok_or_else(|| wrong_type(name))?;
    Ok((!names.is_empty()).then_some(Field::Strings(names)))
}

fn body(value: &Value) -> Result<Option<Field>, Refused> {
    let Some(object) = value.as_object() else { return Ok(None) };
    let content = find(object, "content").and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = find(object, "contentType").and_then(Value::as_str).unwrap_or("text");
    match kind.to_ascii_lowercase().as_str() {
        "html" => Ok(Some(Field::Body { html: true, text: content })),
        "text" => Ok(Some(Field::Body { html: false, text: content })),
        _ => Err(Refused::bad("RequestBodyRead", "The contentType of a body is text or html.")),
    }
}

fn place(value: &Value) -> Option<Field> {
    let name = find(value.as_object()?, "displayName")?.as_str()?;
    (!name.is_empty()).then(|| Field::Text(name.to_owned()))
}

/// The list replaces everyone.
fn attendees(value: &Value) -> Result<[Change; 3], Refused> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    if list.len() > ATTENDEES_MAX {
        let text = format!("An event takes at most {ATTENDEES_MAX} attendees.");
        return Err(Refused::bad("ErrorInvalidRecipients", text));
    }
    let mut people: [Vec<Invited>; 3] = Default::default();
    for attendee in list {
        let object = attendee.as_object().ok_or_else(|| wrong_type("attendees"))?;
        let mailbox = find(object, "emailAddress").and_then(Value::as_object);
        let part = |name: &str| mailbox.and_then(|mailbox| find(mailbox, name)).and_then(Value::as_str);
        let invited = Invited {
            address: part("address").unwrap_or_default().trim().to_owned(),
            name: part("name").map(str::to_owned),
        };
        let kind = find(object, "type").and_then(Value::as_str).unwrap_or("required").to_ascii_lowercase();
        let [required, optional, resource] = &mut people;
        match kind.as_str() {
            "optional" => optional.push(invited),
            "resource" => resource.push(invited),
            _ => required.push(invited),
        }
    }
    let roles = [Role::Required, Role::Optional, Role::Resource];
    let mut lists = people.into_iter();
    Ok(roles.map(|role| Change::Attendees { role, people: lists.next().unwrap_or_default(), append: false }))
}

/// The extended properties that a change of a calendar sets, or removes.
pub fn calendar_properties(body: &Map<String, Value>) -> Result<Vec<(PropertyName, Option<PropertyValue>)>, Refused> {
    let other = body.keys().find(|name| !name.eq_ignore_ascii_case("singleValueExtendedProperties"));
    if let Some(name) = other {
        return Err(Refused::property(format!("This server does not change the {name} of a calendar.")));
    }
    let changes = find(body, "singleValueExtendedProperties").map(properties).transpose()?.unwrap_or_default();
    let read = |change| match change {
        Change::Property(name, value) => Some((name, Some(value))),
        Change::NoProperty(name) => Some((name, None)),
        _ => None,
    };
    Ok(changes.into_iter().filter_map(read).collect())
}

fn properties(value: &Value) -> Result<Vec<Change>, Refused> {
    let mut changes = Vec::new();
    for property in value.as_array().into_iter().flatten() {
        let object = property.as_object().ok_or_else(|| wrong_type("singleValueExtendedProperties"))?;
        let id = find(object, "id").and_then(Value::as_str).unwrap_or_default();
        let name = PropertyName::from_words(id)?;
        changes.push(match find(object, "value") {
            None | Some(Value::Null) => Change::NoProperty(name),
            Some(Value::String(text)) => {
                let value = name.value(text)?;
                Change::Property(name, value)
            }
            // Clients send booleans and numbers as such.
            Some(other) => {
                let value = name.value(&other.to_string())?;
                Change::Property(name, value)
            }
        });
    }
    Ok(changes)
}

fn transaction(value: &Value) -> Result<Option<String>, Refused> {
    let Some(token) = text("transactionId", value)?.filter(|token| !token.is_empty()) else { return Ok(None) };
    if token.len() > TRANSACTION_MAX {
        return Err(Refused::property("The transactionId is too long."));
    }
    Ok(Some(token))
}

/// A member by its name, without case.
pub fn find<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object
        .get(name)
        .or_else(|| object.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn wrong_type(name: &str) -> Refused {
    Refused::bad("RequestBodyRead", format!("The value of the property '{name}' is not of its type."))
}
