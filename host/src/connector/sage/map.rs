//! Communication, its Comm_Link rows and the CRM's people to an appointment, and an appointment's fields back to columns.
//!
//! Promises: pure; what the server hides is taken as empty; an unchanged row always maps to the same appointment.
//! A version is a digest of the update stamp *and* of the content with its links: `Comm_UpdatedDate` alone counts whole
//! seconds, and link rows change without touching their communication.
//! Must not know: requests. Link rows to write: `links`.

use std::collections::BTreeMap;

use chrono::{NaiveTime, TimeDelta, Timelike};
use chrono_tz::Tz;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::config::SageConfig;
use super::people::People;
use super::wall::{self, DateFormat};
use super::wire::{self, Columns, Row};
use crate::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Importance, Item, ItemRef, Key, Link, Person, Response, Role,
    Scalar, Sensitivity, Status, Time, UserId, Version, Zone,
};
use crate::model::{Field, Patch};

/// Lengths of columns in UTF-16 units, as in the live database; longer text is cut, and the ledger keeps what stays.
const SUBJECT_MAX: usize = 255;
const LOCATION_MAX: usize = 255;
const ORGANIZER_MAX: usize = 384;
/// Length of `Comm_MeetingID` in the oldest release that has it.
const STAMP_MAX: usize = 200;
/// An all-day event is written from the first minute of its first day to the last of its last: no reading of an end at
/// midnight, inclusive or exclusive, can then move it.
const LAST_MINUTE: NaiveTime = match NaiveTime::from_hms_opt(23, 59, 0) {
    Some(time) => time,
    None => NaiveTime::MIN,
};

/// `cmli_status` of a participant.
pub const STATUS_ORGANIZER: i64 = 6;

/// Columns of Communication that make up an appointment; the custom ones come on top.
const CONTENT: [&str; 24] = [
    "Comm_Type",
    "Comm_Action",
    "Comm_Status",
    "Comm_Priority",
    "Comm_DateTime",
    "Comm_ToDateTime",
    "Comm_IsAllDayEvent",
    "Comm_Subject",
    "Comm_Note",
    "Comm_Location",
    "Comm_Private",
    "Comm_NotifyTime",
    "Comm_NotifyDelta",
    "Comm_Organizer",
    "Comm_CreatedBy",
    "Comm_RecurrenceId",
    "Comm_Deleted",
    "Comm_OpportunityId",
    "Comm_CaseId",
    "Comm_LeadID",
    "Comm_QuoteId",
    "Comm_OrderId",
    "Comm_SolutionId",
    "Comm_UpdatedDate",
];

/// Columns of Comm_Link that make up a participant or a link.
const LINK_CONTENT: [&str; 12] = [
    "CmLi_CommLinkId",
    "CmLi_Comm_UserId",
    "CmLi_Comm_PersonId",
    "CmLi_Comm_CompanyId",
    "CmLi_Comm_LeadID",
    "CmLi_Comm_AccountId",
    "CmLi_Comm_QuoteId",
    "CmLi_Comm_OrderId",
    "cmli_status",
    "cmli_recipient",
    "CmLi_IsExternalAttendee",
    "CmLi_ExternalPersonID",
];

/// What an appointment can be about, and where that stands: on the row itself or in a link row.
pub const ROW_LINKS: [(&str, &str); 6] = [
    ("opportunity", "Comm_OpportunityId"),
    ("case", "Comm_CaseId"),
    ("lead", "Comm_LeadID"),
    ("quote", "Comm_QuoteId"),
    ("order", "Comm_OrderId"),
    ("solution", "Comm_SolutionId"),
];
pub const LINK_LINKS: [(&str, &str); 6] = [
    ("company", "CmLi_Comm_CompanyId"),
    ("person", "CmLi_Comm_PersonId"),
    ("account", "CmLi_Comm_AccountId"),
    ("lead", "CmLi_Comm_LeadID"),
    ("quote", "CmLi_Comm_QuoteId"),
    ("order", "CmLi_Comm_OrderId"),
];

/// A row that is no appointment the sync can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmappable {
    #[error("communication {id} has no start time, or the account may not read Comm_DateTime")]
    NoStart { id: String },
    #[error("the answer holds a communication without an id")]
    NoId,
}

/// How this installation's columns are read and written.
#[derive(Clone, Debug)]
pub struct Mapping {
    zone: Tz,
    dates: DateFormat,
    comm_type: String,
    stamp_column: String,
    responses_column: Option<String>,
    custom: Vec<String>,
    default_action: String,
    default_status: String,
    default_channel: Option<i64>,
    default_territory: Option<i64>,
}

/// Who invites: a CRM user, or somebody by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organizer {
    pub person: Person,
    pub user: Option<UserId>,
}

impl Organizer {
    /// The organizer as the CRM knows them: a user if one has that address.
    pub fn of(person: &Person, people: &People) -> Self {
        let user = people.with_address(&person.address).map(|user| user.id.clone());
        Self { person: person.clone(), user }
    }

    /// Whether that user or address is the organizer's own.
    pub fn is(&self, user: Option<&UserId>, address: &Address) -> bool {
        (user.is_some() && user == self.user.as_ref()) || (!address.is_empty() && *address == self.person.address)
    }
}

impl Mapping {
    pub fn new(config: &SageConfig) -> Self {
        Self {
            zone: config.time_zone,
            dates: config.date_format,
            comm_type: config.comm_type.clone(),
            stamp_column: config.stamp_column.clone(),
            responses_column: config.responses_column.clone(),
            custom: config.columns.clone(),
            default_action: config.default_action.clone(),
            default_status: config.default_status.clone(),
            default_channel: config.default_channel,
            default_territory: config.default_territory,
        }
    }

    /// The appointment of a row and its link rows.
    ///
    /// # Errors
    /// [`Unmappable`] if the row has no id or no start.
    pub fn item(&self, row: &Row, links: &[Row], people: &People) -> Result<Item, Unmappable> {
        let id = row.key("Comm_CommunicationId").ok_or(Unmappable::NoId)?;
        let time = self.time(row).ok_or_else(|| Unmappable::NoStart { id: id.clone() })?;
        let live = live(links);
        let organizer = organizer(row, &live, people);
        let mut appointment = Appointment::new(row.text("Comm_Subject"), time);
        appointment.body = Body::plain(row.text("Comm_Note").replace("\r\n", "\n"));
        appointment.location = row.text("Comm_Location");
        let (uid, stamp) = self.keys(row);
        appointment.attendees = attendees(&live, organizer.as_ref(), people);
        // A row of ours whose user has no link row is in nobody's calendar: its creation was cut off. Without an organizer it
        // shows that something is missing, and an update that sets one adds the row.
        let cut_off = stamp.is_some() && !live.iter().any(|link| participant(link, people).is_some());
        appointment.organizer = organizer.filter(|found| !cut_off || found.user.is_none()).map(|found| found.person);
        appointment.reminder_minutes = self.reminder(row);
        appointment.sensitivity = if row.flag("Comm_Private") { Sensitivity::Private } else { Sensitivity::Normal };
        appointment.importance = match row.text("Comm_Priority").to_lowercase().as_str() {
            "high" => Importance::High,
            "low" => Importance::Low,
            _ => Importance::Normal,
        };
        appointment.status = match row.text("Comm_Status").to_lowercase().as_str() {
            "complete" => Status::Complete,
            "cancelled" | "canceled" => Status::Cancelled,
            "inprogress" => Status::InProgress,
            _ => Status::Pending,
        };
        appointment.regarding = regarding(row, &live, people);
        if let Some(column) = &self.responses_column {
            appointment.responses = row.text(column).replace("\r\n", "\n");
        }
        appointment.custom =
            self.custom.iter().filter_map(|name| Some((name.clone(), scalar(row.get(name)?)?))).collect();
        let version = self.version(row, links);
        // The CRM does not show the pattern of a series, only that the row belongs to one.
        let series = row.id("Comm_RecurrenceId");
        Ok(Item { at: ItemRef::crm(id), version, uid, stamp, role: Role::Organizer, sent: true, series, appointment })
    }

    /// iCalendar UID and stamp of a row. Text in the stamp column that is no stamp of ours is a meeting key of another
    /// program, which is the UID where there is one.
    pub fn keys(&self, row: &Row) -> (Option<String>, Option<Key>) {
        let kept = row.text(&self.stamp_column);
        let kept = kept.trim();
        match Key::parse(kept) {
            Some(Key::Uid(uid)) => (Some(uid.clone()), Some(Key::Uid(uid))),
            Some(key @ (Key::Crm(_) | Key::Occurrence { .. } | Key::CrmSeries(_))) => (None, Some(key)),
            None if kept.is_empty() || kept.starts_with(LONG_STAMP) => (None, None),
            None => (Some(kept.to_owned()), None),
        }
    }

    /// The version of a row with its link rows; see the module's head.
    pub fn version(&self, row: &Row, links: &[Row]) -> Version {
        let own = [Some(&self.stamp_column), self.responses_column.as_ref()].into_iter().flatten().chain(&self.custom);
        let columns = CONTENT.into_iter().chain(own.map(String::as_str));
        let text = |row: &Row, name: &str| row.get(name).map(Json::to_string).unwrap_or_default();
        let mut links = live(links);
        links.sort_by_key(|link| (link.integer("CmLi_CommLinkId"), link.text("CmLi_CommLinkId")));
        let pairs = columns.map(|name| (name, text(row, name)));
        let link_pairs = links.into_iter().flat_map(|link| LINK_CONTENT.map(|name| (name, text(link, name))));
        let mut digest = wire::digest(pairs.chain(link_pairs));
        digest.truncate(32);
        Version(digest)
    }

    fn time(&self, row: &Row) -> Option<Time> {
        let start = wall::parse(&row.text("Comm_DateTime"))?;
        let end = wall::parse(&row.text("Comm_ToDateTime")).unwrap_or(start);
        if row.flag("Comm_IsAllDayEvent") {
            let first = start.to_wall(self.zone).date();
            let until = end.to_wall(self.zone);
            // An end at midnight is the end of the day before, as calendars write it.
            let midnight = until.time() == NaiveTime::MIN && until.date() > first;
            let last = if midnight { until.date().pred_opt().unwrap_or(first) } else { until.date() };
            return Some(Time::AllDay { first, last: last.max(first) });
        }
        let start = start.to_instant(self.zone);
        Some(Time::timed(start, end.to_instant(self.zone).max(start), Zone::Iana(self.zone)))
    }

    /// Minutes before the start: `Comm_NotifyDelta`, or the distance of `Comm_NotifyTime`. A delta of zero without a time
    /// is a default of the column and no reminder.
    fn reminder(&self, row: &Row) -> Option<u32> {
        let at = wall::parse(&row.text("Comm_NotifyTime"));
        match (row.integer("Comm_NotifyDelta"), at) {
            (Some(0), None) => None,
            (Some(minutes), _) => u32::try_from(minutes).ok(),
            (None, Some(at)) => {
                let start = wall::parse(&row.text("Comm_DateTime"))?.to_instant(self.zone);
                u32::try_from((start - at.to_instant(self.zone)).num_minutes()).ok()
            }
            (None, None) => None,
        }
    }

    /// The columns of a new row.
    pub fn new_columns(&self, draft: &Appointment, stamp: &Key, people: &People) -> Columns {
        let all = Patch { set: draft.fields().map(|field| (field.clone(), draft.get(&field))).collect() };
        let mut columns = self.changed_columns(&all, draft, people);
        // Nothing needs to be cleared in a row that does not exist yet.
        columns.retain(|_, value| !value.is_null());
        columns.insert("Comm_Type".into(), json!(self.comm_type));
        columns.insert("Comm_Action".into(), json!(self.default_action));
        if draft.status == Status::Pending {
            columns.insert("Comm_Status".into(), json!(self.default_status));
        }
        let organizer =
            draft.organizer.as_ref().and_then(|person| people.crm_user(&Organizer::of(person, people).user?));
        if let Some(channel) = self.default_channel.or(organizer.and_then(|user| user.channel)) {
            columns.insert("Comm_ChannelId".into(), json!(channel));
        }
        if let Some(territory) = self.default_territory.or(organizer.and_then(|user| user.territory)) {
            columns.insert("Comm_SecTerr".into(), json!(territory));
        }
        columns.insert(self.stamp_column.clone(), json!(stamp_text(stamp)));
        columns
    }

    /// The columns that a patch moves. Attendees and links to people and companies are link rows and not among them.
    pub fn changed_columns(&self, patch: &Patch, after: &Appointment, people: &People) -> Columns {
        let mut columns = Columns::new();
        let mut put = |name: &str, value: Json| {
            columns.insert(name.to_owned(), value);
        };
        for field in patch.set.keys() {
            match field {
                Field::Subject => put("Comm_Subject", text(&after.subject, SUBJECT_MAX)),
                Field::Body => put("Comm_Note", text(&crlf(&after.body.text), usize::MAX)),
                Field::Location => put("Comm_Location", text(&after.location, LOCATION_MAX)),
                Field::Time => {
                    let (start, end) = self.write_time(&after.time);
                    put("Comm_DateTime", json!(start));
                    put("Comm_ToDateTime", json!(end));
                    put("Comm_IsAllDayEvent", if after.time.is_all_day() { json!("Y") } else { Json::Null });
                    if after.reminder_minutes.is_some() {
                        put("Comm_NotifyTime", self.notify_time(after));
                    }
                }
                Field::Organizer => put("Comm_Organizer", organizer_column(after, people)),
                Field::Reminder => {
                    put("Comm_NotifyDelta", after.reminder_minutes.map_or(Json::Null, |minutes| json!(minutes)));
                    put("Comm_NotifyTime", self.notify_time(after));
                }
                Field::Sensitivity => {
                    put("Comm_Private", if after.sensitivity == Sensitivity::Normal { Json::Null } else { json!("Y") });
                }
                Field::Importance => put(
                    "Comm_Priority",
                    json!(match after.importance {
                        Importance::Low => "Low",
                        Importance::Normal => "Normal",
                        Importance::High => "High",
                    }),
                ),
                Field::Status => put(
                    "Comm_Status",
                    json!(match after.status {
                        Status::Pending => "Pending",
                        Status::InProgress => "InProgress",
                        Status::Complete => "Complete",
                        Status::Cancelled => "Cancelled",
                    }),
                ),
                Field::Regarding => {
                    for (entity, column) in ROW_LINKS {
                        let id = after.regarding.iter().find(|link| link.entity == entity).map(|link| id(&link.id));
                        put(column, id.unwrap_or(Json::Null));
                    }
                }
                Field::Responses => {
                    if let Some(column) = &self.responses_column {
                        put(column, text(&crlf(&after.responses), usize::MAX));
                    }
                }
                Field::Custom(name) => {
                    if let Some(column) = self.custom.iter().find(|column| column.eq_ignore_ascii_case(name)) {
                        put(column, custom_value(after.custom.get(name)));
                    }
                }
                // Link rows, or nothing the CRM has a place for.
                Field::Attendees | Field::ShowAs | Field::Categories | Field::OnlineMeeting | Field::Recurrence => {}
            }
        }
        columns
    }

    /// Start and end as the server is to be told.
    pub fn write_time(&self, time: &Time) -> (String, String) {
        match time {
            Time::Timed(span) => (
                wall::write_instant(self.zone, self.dates, span.start),
                wall::write_instant(self.zone, self.dates, span.end),
            ),
            Time::AllDay { first, last } => (
                wall::write(self.zone, self.dates, first.and_time(NaiveTime::MIN)),
                wall::write(self.zone, self.dates, last.and_time(LAST_MINUTE)),
            ),
        }
    }

    fn notify_time(&self, after: &Appointment) -> Json {
        let Some(minutes) = after.reminder_minutes else { return Json::Null };
        let start = match &after.time {
            Time::Timed(span) => span.start,
            Time::AllDay { first, .. } => wall::instant_of(self.zone, first.and_time(NaiveTime::MIN)),
        };
        let at = start - TimeDelta::minutes(i64::from(minutes));
        json!(wall::write_instant(self.zone, self.dates, at.with_nanosecond(0).unwrap_or(at)))
    }
}

/// Marks a stamp that was too long for its column and is kept as a digest.
const LONG_STAMP: &str = "sha256:";

/// The text under which a key is kept in the stamp column. A key that does not fit is kept as its digest: it still finds
/// the row again.
pub fn stamp_text(stamp: &Key) -> String {
    let text = stamp.to_string();
    if text.encode_utf16().count() <= STAMP_MAX {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(LONG_STAMP.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The link rows that are not marked as deleted.
pub fn live(links: &[Row]) -> Vec<&Row> {
    links.iter().filter(|link| !link.flag("CmLi_Deleted")).collect()
}

/// The CRM user whom a row's column names as its organizer; nothing where [`organizer`] looks elsewhere.
pub fn user_in_column<'a>(row: &Row, people: &'a People) -> Option<&'a UserId> {
    let column = row.text("Comm_Organizer");
    let column = column.trim();
    let id = UserId(column.to_owned());
    let user = if column.contains('@') { people.with_address(&recipient(column).1) } else { people.user(&id) };
    user.map(|user| &user.id)
}

/// Who organizes: the column, else the participant with the organizer's status, else the first user, else the creator.
pub fn organizer(row: &Row, links: &[&Row], people: &People) -> Option<Organizer> {
    let user = |id: &UserId| {
        let user = people.user(id)?;
        let person = Person { name: user.display_name(), address: user.address.clone() };
        Some(Organizer { person, user: Some(id.clone()) })
    };
    let column = row.text("Comm_Organizer");
    let column = column.trim();
    if column.contains('@') {
        let (name, address) = recipient(column);
        if let Some(known) = people.with_address(&address) {
            return user(&known.id);
        }
        let external = links.iter().find(|link| is_external(link) && external(link, people).address == address);
        let name = external.map_or(name, |link| external_name(link, people));
        return Some(Organizer { person: Person { name, address }, user: None });
    }
    if let Some(found) = Some(UserId(column.to_owned())).filter(|id| !id.0.is_empty()).as_ref().and_then(user) {
        return Some(found);
    }
    let marked = links.iter().find(|link| link.integer("cmli_status") == Some(STATUS_ORGANIZER));
    if let Some(link) = marked {
        let found = link.id("CmLi_Comm_UserId").map(UserId).as_ref().and_then(user);
        let found = found.or_else(|| {
            is_external(link).then(|| external(link, people)).map(|person| Organizer { person, user: None })
        });
        if found.is_some() {
            return found;
        }
    }
    let first = links.iter().find_map(|link| user(&UserId(link.id("CmLi_Comm_UserId")?)));
    first.or_else(|| user(&UserId(row.id("Comm_CreatedBy")?)))
}

/// Somebody in a link row, with the row's answer.
pub fn participant(link: &Row, people: &People) -> Option<Attendee> {
    let response = match link.integer("cmli_status") {
        Some(2) => Response::Tentative,
        Some(3) => Response::Accepted,
        Some(4) => Response::Declined,
        // Some programs mark every CRM user as organizer; only one is.
        _ => Response::None,
    };
    if let Some(id) = link.id("CmLi_Comm_UserId").map(UserId) {
        let user = people.user(&id);
        let person = user
            .map_or_else(Person::default, |user| Person { name: user.display_name(), address: user.address.clone() });
        let resource = user.is_some_and(|user| user.resource);
        let kind = if resource { AttendeeKind::Resource } else { AttendeeKind::Required };
        return Some(Attendee { person, user: Some(id), kind, response, responded: None });
    }
    if !is_external(link) {
        return None;
    }
    let person = external(link, people);
    let user = people.with_address(&person.address).map(|user| user.id.clone());
    Some(Attendee { person, user, kind: AttendeeKind::Required, response, responded: None })
}

/// `cmli_status` of an answer.
pub fn response_code(response: Response) -> i64 {
    match response {
        Response::None => 0,
        Response::Tentative => 2,
        Response::Accepted => 3,
        Response::Declined => 4,
        Response::Organizer => STATUS_ORGANIZER,
    }
}

fn attendees(links: &[&Row], organizer: Option<&Organizer>, people: &People) -> Vec<Attendee> {
    // One entry per person: by address where there is one, else by user or name. A user's row wins over an external one.
    let mut found: BTreeMap<(String, String), Attendee> = BTreeMap::new();
    for attendee in links.iter().filter_map(|link| participant(link, people)) {
        if organizer.is_some_and(|organizer| organizer.is(attendee.user.as_ref(), &attendee.person.address)) {
            continue;
        }
        let address = attendee.person.address.folded();
        let other = match (&attendee.user, address.is_empty()) {
            (_, false) => String::new(),
            (Some(user), true) => user.0.clone(),
            (None, true) => attendee.person.name.clone(),
        };
        let kept = found.entry((address, other)).or_insert_with(|| attendee.clone());
        if kept.response == Response::None {
            kept.response = attendee.response;
        }
    }
    found.into_values().collect()
}

fn is_external(link: &Row) -> bool {
    link.flag("CmLi_IsExternalAttendee")
}

fn external(link: &Row, people: &People) -> Person {
    let (_, address) = recipient(&link.text("cmli_recipient"));
    Person { name: external_name(link, people), address }
}

fn external_name(link: &Row, people: &People) -> String {
    let known = link.id("CmLi_ExternalPersonID").and_then(|id| people.record_name("person", &id));
    known.map_or_else(|| recipient(&link.text("cmli_recipient")).0, str::to_owned)
}

/// Name and address of `Name <address>`, or of a bare address; a text without an address is a name.
fn recipient(text: &str) -> (String, Address) {
    let text = text.trim();
    match text.rsplit_once('<') {
        Some((name, address)) => {
            (name.trim().trim_matches('"').to_owned(), Address::new(address.trim().trim_end_matches('>')))
        }
        None if text.contains('@') => (String::new(), Address::new(text)),
        None => (text.to_owned(), Address::default()),
    }
}

fn regarding(row: &Row, links: &[&Row], people: &People) -> Vec<Link> {
    let own = ROW_LINKS.iter().filter_map(|(entity, column)| Some((*entity, row.id(column)?)));
    let linked = links
        .iter()
        .flat_map(|link| LINK_LINKS.iter().filter_map(|(entity, column)| Some((*entity, link.id(column)?))));
    let mut found: Vec<Link> = own
        .chain(linked)
        .map(|(entity, id)| {
            let name = people.record_name(entity, &id).unwrap_or_default().to_owned();
            Link { entity: entity.to_owned(), id, name }
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn organizer_column(after: &Appointment, people: &People) -> Json {
    let Some(person) = &after.organizer else { return Json::Null };
    match Organizer::of(person, people).user {
        Some(user) => json!(user.0),
        None => text(person.address.as_str(), ORGANIZER_MAX),
    }
}

fn scalar(value: &Json) -> Option<Scalar> {
    match value {
        Json::Bool(flag) => Some(Scalar::Flag(*flag)),
        Json::Number(number) => Some(number.as_i64().map_or_else(|| Scalar::Text(number.to_string()), Scalar::Number)),
        Json::String(text) => Some(Scalar::Text(text.clone())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn custom_value(value: Option<&Scalar>) -> Json {
    match value {
        Some(Scalar::Text(text)) => json!(text),
        Some(Scalar::Number(number)) => json!(number),
        Some(Scalar::Flag(true)) => json!("Y"),
        Some(Scalar::Flag(false)) | None => Json::Null,
    }
}

/// An id as the server keeps it: a number where it is one.
pub fn id(text: &str) -> Json {
    text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
}

/// A text cut to a column's length in UTF-16 units, never inside a character; an empty one clears the column.
pub fn text(text: &str, units_max: usize) -> Json {
    let mut units = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            units += c.len_utf16();
            units <= units_max
        })
        .collect();
    if kept.is_empty() { Json::Null } else { json!(kept) }
}

/// The CRM's own screens store line ends as CR LF.
fn crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}
