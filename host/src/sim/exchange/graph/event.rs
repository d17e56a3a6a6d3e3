//! An appointment as Graph shows it.
//!
//! Promises: the same item looks the same in every answer, but for what the request prefers (zone, body, ids) or selects.
//! Must not know: requests, how items are found.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::recurrence;
use crate::sim::exchange::ids;
use crate::sim::exchange::item::{Attendee, Person, Reply, Role, Value as Field, View};
use crate::sim::exchange::zones::Zone;

/// Stands for "never" [responsestatus].
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Length of `bodyPreview` [event].
const PREVIEW_MAX: usize = 255;

/// How a request wants events shown.
#[derive(Clone, Debug)]
pub struct Look {
    pub zone: Zone,
    /// The zone as the client called it.
    pub zone_name: String,
    pub text_body: bool,
    pub immutable_ids: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self { zone: Zone::utc(), zone_name: "UTC".into(), text_body: false, immutable_ids: false }
    }
}

/// Words of both protocols for the same thing: ours, theirs.
pub const SENSITIVITIES: &[(&str, &str)] =
    &[("Normal", "normal"), ("Personal", "personal"), ("Private", "private"), ("Confidential", "confidential")];
pub const IMPORTANCES: &[(&str, &str)] = &[("Low", "low"), ("Normal", "normal"), ("High", "high")];
pub const FREE_BUSY: &[(&str, &str)] = &[
    ("Free", "free"),
    ("Tentative", "tentative"),
    ("Busy", "busy"),
    ("OOF", "oof"),
    ("WorkingElsewhere", "workingElsewhere"),
    ("NoData", "unknown"),
];

/// The id in the form that URLs bear: `/` and `+` give way.
pub fn rest_id(id: &str) -> String {
    id.replace('/', "-").replace('+', "_")
}

/// The id as the store knows it.
pub fn store_id(id: &str) -> String {
    id.replace('-', "/").replace('_', "+")
}

/// The id of a view in the form that the request prefers.
pub fn id_of(view: View<'_>, look: &Look) -> String {
    rest_id(&if look.immutable_ids { view.immutable_id() } else { view.id() })
}

pub fn etag(view: View<'_>) -> String {
    format!("W/\"{}\"", view.item.change_key())
}

/// All that an event shows without being asked for more.
pub fn write(view: View<'_>, look: &Look) -> Map<String, Value> {
    let (item, content) = (view.item, view.content);
    let text = |name: &str| content.text(name).unwrap_or_default();
    let flag = |name: &str, otherwise: bool| match content.plain.get(name) {
        Some(Field::Boolean(value)) => *value,
        _ => otherwise,
    };
    let words = |pairs: &[(&'static str, &'static str)], name: &str, otherwise: &'static str| {
        pairs.iter().find(|(ours, _)| *ours == text(name)).map_or(otherwise, |(_, theirs)| theirs)
    };
    let minutes = match content.plain.get("ReminderMinutesBeforeStart") {
        Some(Field::Integer(minutes)) => *minutes,
        _ => 15,
    };
    let categories = match content.plain.get("Categories") {
        Some(Field::Strings(names)) => names.clone(),
        _ => Vec::new(),
    };
    let series_master = view.original_start.map(|_| id_of(item.view(), look));
    let location = text("Location");
    let online = flag("IsOnlineMeeting", false);
    let mut event = Map::new();
    for part in [
        json!({
            "@odata.etag": etag(view),
            "id": id_of(view, look),
            "createdDateTime": stamp(item.created),
            "lastModifiedDateTime": stamp(item.modified),
            "changeKey": item.change_key(),
            "categories": categories,
            "transactionId": item.transaction,
            "originalStartTimeZone": content.start_zone.id,
            "originalEndTimeZone": content.end_zone.id,
            "iCalUId": uid(view),
            "reminderMinutesBeforeStart": minutes,
            "isReminderOn": flag("ReminderIsSet", false),
            "hasAttachments": false,
            "subject": text("Subject"),
            "bodyPreview": view.text_body().chars().take(PREVIEW_MAX).collect::<String>(),
            "importance": words(IMPORTANCES, "Importance", "normal"),
            "sensitivity": words(SENSITIVITIES, "Sensitivity", "normal"),
            "isAllDay": content.all_day,
            "isCancelled": item.cancelled,
            "isOrganizer": item.is_organizer,
            "responseRequested": flag("IsResponseRequested", true),
            "allowNewTimeProposals": flag("AllowNewTimeProposal", true),
        }),
        json!({
            "hideAttendees": flag("HideAttendees", false),
            "isDraft": false,
            "seriesMasterId": series_master,
            "showAs": words(FREE_BUSY, "LegacyFreeBusyStatus", "unknown"),
            "type": kind(view),
            "webLink": format!("https://outlook.example.test/owa/?itemid={}", id_of(view, look)),
            "onlineMeetingUrl": null,
            "isOnlineMeeting": online,
            "onlineMeetingProvider": if online { "teamsForBusiness" } else { "unknown" },
            "responseStatus": own_response(view),
            "body": body(view, look),
            "start": time(view.start, look),
            "end": time(view.end, look),
            "location": place(location),
            "locations": if location.is_empty() { json!([]) } else { json!([place(location)]) },
            "recurrence": recurrence_of(view),
            "attendees": content.attendees.iter().map(attendee).collect::<Vec<_>>(),
            "organizer": person(&item.organizer),
            "onlineMeeting": content.text("JoinOnlineMeetingUrl").map(|url| json!({ "joinUrl": url })),
        }),
    ] {
        if let Value::Object(part) = part {
            event.extend(part);
        }
    }
    // Only instances have one.
    if let Some(original_start) = view.original_start {
        event.insert("originalStart".into(), stamp(original_start).into());
        event.insert("occurrenceId".into(), occurrence_id(view, original_start, look).into());
    }
    // Echoed only if the client set it [event].
    if item.transaction.is_none() {
        event.remove("transactionId");
    }
    event
}

/// One of the parts that clients search by, as [`write`] shows it in UTC; nothing for any other path.
pub fn part(view: View<'_>, path: &str) -> Option<Value> {
    let utc = |at| time(at, &Look::default()).get("dateTime").cloned();
    match path {
        "iCalUId" => Some(uid(view).into()),
        "subject" => Some(view.content.subject().into()),
        "start/dateTime" => utc(view.start),
        "end/dateTime" => utc(view.end),
        "isAllDay" => Some(view.content.all_day.into()),
        "type" => Some(kind(view).into()),
        "lastModifiedDateTime" => Some(stamp(view.item.modified).into()),
        _ => None,
    }
}

/// Names an occurrence also when it is cancelled. (inferred: the form is not in our sources)
pub fn occurrence_id(view: View<'_>, original_start: DateTime<Utc>, look: &Look) -> String {
    let day = view.item.content.start_zone.local(original_start).date();
    format!("OID.{}.{day}", id_of(view.item.view(), look))
}

/// Which of the four kinds an event is.
pub fn kind(view: View<'_>) -> &'static str {
    match (view.original_start, &view.item.series) {
        (Some(_), _) if view.is_exception() => "exception",
        (Some(_), _) => "occurrence",
        (None, Some(_)) => "seriesMaster",
        (None, None) => "singleInstance",
    }
}

/// A time in the zone that the request prefers.
pub fn time(at: DateTime<Utc>, look: &Look) -> Value {
    let local = look.zone.local(at).format("%Y-%m-%dT%H:%M:%S.0000000").to_string();
    json!({ "dateTime": local, "timeZone": look.zone_name })
}

/// The iCalendar UID: each instance of a series shows its own.
fn uid(view: View<'_>) -> String {
    let uid = &view.item.uid;
    match view.original_start {
        Some(start) => ids::instance_uid(uid, view.item.content.start_zone.local(start).date()),
        None => uid.clone(),
    }
}

fn recurrence_of(view: View<'_>) -> Value {
    match (&view.item.series, view.original_start) {
        (Some(series), None) => recurrence::write(&series.recurrence, &view.item.content.start_zone.id),
        _ => Value::Null,
    }
}

fn own_response(view: View<'_>) -> Value {
    let item = view.item;
    let response = match item.is_organizer {
        true => "organizer",
        false => response(view.my_reply()),
    };
    json!({ "response": response, "time": item.replied.map_or_else(|| NEVER.to_owned(), stamp) })
}

fn response(reply: Reply) -> &'static str {
    match reply {
        Reply::Unknown => "none",
        Reply::Organizer => "organizer",
        Reply::Tentative => "tentativelyAccepted",
        Reply::Accept => "accepted",
        Reply::Decline => "declined",
        Reply::NoResponseReceived => "notResponded",
    }
}

fn attendee(attendee: &Attendee) -> Value {
    let kind = match attendee.role {
        Role::Required => "required",
        Role::Optional => "optional",
        Role::Resource => "resource",
    };
    let Value::Object(mut shown) = person(&attendee.person) else { return Value::Null };
    shown.insert("type".into(), kind.into());
    let time = attendee.replied.map_or_else(|| NEVER.to_owned(), stamp);
    shown.insert("status".into(), json!({ "response": response(attendee.reply), "time": time }));
    Value::Object(shown)
}

fn person(person: &Person) -> Value {
    json!({ "emailAddress": { "name": person.name, "address": person.address } })
}

fn place(name: &str) -> Value {
    if name.is_empty() {
        return json!({ "displayName": "", "locationType": "default", "uniqueIdType": "unknown", "address": {},
            "coordinates": {} });
    }
    json!({ "displayName": name, "locationType": "default", "uniqueId": name, "uniqueIdType": "private" })
}

/// HTML unless the request prefers text; HTML is always a whole document.
fn body(view: View<'_>, look: &Look) -> Value {
    if look.text_body {
        return json!({ "contentType": "text", "content": view.text_body() });
    }
    let content = match view.content.plain.get("Body") {
        Some(Field::Body { html: true, text }) => document(text),
        Some(Field::Body { html: false, text }) if !text.is_empty() => {
            document(&quick_xml::escape::escape(text.as_str()).replace('\n', "<br>\n"))
        }
        _ => String::new(),
    };
    json!({ "contentType": "html", "content": content })
}

fn document(html: &str) -> String {
    if html.to_ascii_lowercase().contains("<html") {
        return html.to_owned();
    }
    format!(
        "<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n</head>\r\n\
         <body>\r\n{html}\r\n</body>\r\n</html>\r\n"
    )
}

pub fn stamp(at: DateTime<Utc>) -> String {
    let text = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    // Seven digits, as this server's clock counts in 100 ns.
    text.strip_suffix('Z').map_or_else(|| text.clone(), |text| format!("{text}0Z"))
}
