//! Items: appointments, their occurrences, and meeting messages; what each field of theirs shows.
//!
//! Promises: a [`View`] answers every field of the schema the same way for all operations. Must not know: requests,
//! other mailboxes, XML, JSON.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

use super::ids;
use super::mime;
use super::property::{OfServer, PropertyName, PropertyValue};
use super::schema::Field;
use super::series::Recurrence;
use super::zones::{self, Zone};

/// FindItem cuts strings to this many characters [finditem-operation].
pub const FOUND_TEXT_MAX: usize = 255;
/// How far a master looks for its last occurrence: ten years.
const LISTED_DAYS_MAX: i64 = 3_660;
/// Line width of the text projection: bodies are not wrapped again.
const TEXT_WIDTH: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Appointment,
    Request,
    Response,
    Cancellation,
}

impl Kind {
    pub fn element(self) -> &'static str {
        match self {
            Kind::Appointment => "t:CalendarItem",
            Kind::Request => "t:MeetingRequest",
            Kind::Response => "t:MeetingResponse",
            Kind::Cancellation => "t:MeetingCancellation",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub address: String,
    /// Whether there is a mailbox here.
    pub local: bool,
}

impl Person {
    pub fn is(&self, address: &str) -> bool {
        self.address.eq_ignore_ascii_case(address)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Required,
    Optional,
    Resource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Unknown,
    Organizer,
    Tentative,
    Accept,
    Decline,
    NoResponseReceived,
}

impl Reply {
    pub fn name(self) -> &'static str {
        match self {
            Reply::Unknown => "Unknown",
            Reply::Organizer => "Organizer",
            Reply::Tentative => "Tentative",
            Reply::Accept => "Accept",
            Reply::Decline => "Decline",
            Reply::NoResponseReceived => "NoResponseReceived",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendee {
    pub person: Person,
    pub role: Role,
    pub reply: Reply,
    pub replied: Option<DateTime<Utc>>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Boolean(bool),
    Integer(i64),
    Time(DateTime<Utc>),
    Strings(Vec<String>),
    Body { html: bool, text: String },
    Attendees(Vec<Attendee>),
    Person(Person),
    People(Vec<Person>),
    Zone(Zone),
    Recurrence(Recurrence),
    Id { id: String, change_key: String },
    Occurrence(Instance),
    Occurrences(Vec<Instance>),
    DeletedOccurrences(Vec<DateTime<Utc>>),
    Rights,
    ResponseObjects(Vec<&'static str>),
}

/// One instance of a series, as the master lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub change_key: String,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub original_start: DateTime<Utc>,
}

/// What an item says, and what an exception to a series may say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Fields without a meaning of their own here, by element name.
    pub plain: BTreeMap<&'static str, Value>,
    pub extended: BTreeMap<PropertyName, PropertyValue>,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub all_day: bool,
    pub start_zone: Zone,
    pub end_zone: Zone,
    pub attendees: Vec<Attendee>,
}

impl Content {
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.plain.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn subject(&self) -> &str {
        self.text("Subject").unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub recurrence: Recurrence,
    /// By original start.
    pub exceptions: BTreeMap<DateTime<Utc>, Content>,
    /// Original starts.
    pub deleted: BTreeSet<DateTime<Utc>>,
    /// What the mailbox's owner answered for one instance, by original start.
    pub replies: BTreeMap<DateTime<Utc>, Reply>,
}

/// What only a meeting message has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub sender: Person,
    pub to: Person,
    /// Id of the calendar item it is about, in the same mailbox.
    pub about: Option<String>,
    pub reply: Reply,
    pub is_update: bool,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub key: u64,
    pub id: String,
    pub kind: Kind,
    pub mailbox: usize,
    pub folder: usize,
    /// World versions at which it entered its folder and changed, ascending; the last one is the change key.
    pub versions: Vec<u64>,
    pub created: DateTime<Utc>,
    pub modified: DateTime<Utc>,
    pub modified_by: String,
    pub content: Content,
    pub uid: String,
    pub organizer: Person,
    pub is_organizer: bool,
    pub my_reply: Reply,
    pub replied: Option<DateTime<Utc>>,
    pub sequence: i64,
    pub request_sent: bool,
    pub cancelled: bool,
    pub series: Option<Series>,
    pub message: Option<Message>,
    /// Names the item wherever it is moved within its mailbox.
    pub immutable_id: String,
    /// The token that a client created it with, to find out that it was created already.
    pub transaction: Option<String>,
    /// What the series was before it was moved or its pattern changed, oldest first.
    pub former: Vec<Former>,
    /// The world version at which a single appointment became a series.
    pub became_series: Option<u64>,
}

/// The instances that a series had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// The world version at which it had them no longer.
    pub left: u64,
    pub recurrence: Recurrence,
    pub start: DateTime<Utc>,
    pub zone: Zone,
}

impl Former {
    /// Original starts of its instances that begin before `until`.
    pub fn instances_before(&self, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        instances_before(&self.recurrence, &self.zone, self.start, until)
    }
}

impl Item {
    pub fn version(&self) -> u64 {
        self.versions.last().copied().unwrap_or_default()
    }

    pub fn change_key(&self) -> String {
        ids::change_key(self.version())
    }

    pub fn is_meeting(&self) -> bool {
        !self.is_organizer || !self.content.attendees.is_empty()
    }

    /// Original starts of all instances of a series that begin before `until`, deleted ones too.
    pub fn instances_before(&self, until: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let Some(series) = &self.series else { return Vec::new() };
        instances_before(&series.recurrence, &self.content.start_zone, self.content.start, until)
    }

    /// Original starts from the first instance to well beyond the one after `original_start`.
    pub fn instances_around(&self, original_start: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        self.instances_before(original_start + TimeDelta::days(LISTED_DAYS_MAX))
    }

    /// The series as it is now, to be remembered when it changes at version `left`.
    pub fn as_former(&self, left: u64) -> Option<Former> {
        let recurrence = self.series.as_ref()?.recurrence.clone();
        Some(Former { left, recurrence, start: self.content.start, zone: self.content.start_zone.clone() })
    }

    /// The item itself: a single appointment, a master, a message.
    pub fn view(&self) -> View<'_> {
        View {
            item: self,
            content: &self.content,
            start: self.content.start,
            end: self.content.end,
            original_start: None,
        }
    }

    /// One instance of a series; the caller knows that it exists.
    pub fn instance(&self, original_start: DateTime<Utc>) -> View<'_> {
        let exception = self.series.as_ref().and_then(|series| series.exceptions.get(&original_start));
        let original_start = Some(original_start);
        match (exception, original_start) {
            (Some(content), _) => View { item: self, content, start: content.start, end: content.end, original_start },
            (None, start) => {
                let start = start.unwrap_or(self.content.start);
                let end = start + (self.content.end - self.content.start);
                View { item: self, content: &self.content, start, end, original_start }
            }
        }
    }
}

/// How a body and long texts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyShape {
    Best,
    Html,
    Text,
    /// FindItem: no bodies, no recipients, texts cut.
    Found,
}

/// An item or one instance of a series, as a client sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub item: &'a Item,
    pub content: &'a Content,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub original_start: Option<DateTime<Utc>>,
}

impl View<'_> {
    pub fn id(&self) -> String {
        match self.original_start {
            Some(original_start) => ids::occurrence_id(&self.item.id, original_start),
            None => self.item.id.clone(),
        }
    }

    /// The id that stays when the item is moved.
    pub fn immutable_id(&self) -> String {
        match self.original_start {
            Some(original_start) => ids::occurrence_id(&self.item.immutable_id, original_start),
            None => self.item.immutable_id.clone(),
        }
    }

    /// What the mailbox's owner answered.
    pub fn my_reply(&self) -> Reply {
        let replies = self.item.series.as_ref().map(|series| &series.replies);
        let own = self.original_start.and_then(|start| replies?.get(&start).copied());
        own.unwrap_or(self.item.my_reply)
    }

    pub fn is_exception(&self) -> bool {
        self.original_start.is_some_and(|original_start| {
            self.item.series.as_ref().is_some_and(|series| series.exceptions.contains_key(&original_start))
        })
    }

    /// The value of a field, or nothing if the item does not show it. `folder_id` is the id of its folder.
    pub fn get(&self, field: &Field, folder_id: &str) -> Option<Value> {
        match field.area {
            "item" => self.item_part(field.name, folder_id),
            "calendar" => self.calendar_part(field.name),
            _ => self.message_part(field.name),
        }
    }

    /// The value of an extended property.
    pub fn property(&self, name: &PropertyName) -> Option<PropertyValue> {
        let own = match name.of_server() {
            Some(OfServer::GlobalObjectId) => Some(ids::global_object_id(&self.item.uid)),
            Some(OfServer::Recurring) if self.item.kind == Kind::Appointment => {
                Some(self.item.series.is_some().to_string())
            }
            Some(OfServer::ArticleNumber) => Some(self.item.key.to_string()),
            Some(OfServer::Created) => Some(zones::written(self.item.created)),
            Some(OfServer::Modified) => Some(zones::written(self.item.modified)),
            Some(OfServer::Recurring) | None => None,
        };
        if let Some(own) = own {
            return Some(PropertyValue::Single(own));
        }
        self.content.extended.get(name).or_else(|| self.item.content.extended.get(name)).cloned()
    }

    fn item_part(&self, name: &str, folder_id: &str) -> Option<Value> {
        let item = self.item;
        let recipients = |required: bool| {
            let fits = |attendee: &&Attendee| (attendee.role == Role::Required) == required;
            let names = self.content.attendees.iter().filter(fits).map(|attendee| attendee.person.name.clone());
            Value::Text(names.collect::<Vec<_>>().join("; "))
        };
        Some(match name {
            "MimeContent" if item.kind == Kind::Appointment => Value::Text(STANDARD.encode(mime::render(*self))),
            "ItemId" => Value::Id { id: self.id(), change_key: item.change_key() },
            "ParentFolderId" => Value::Id { id: folder_id.to_owned(), change_key: ids::FOLDER_CHANGE_KEY.into() },
            "ItemClass" if self.original_start.is_none() || item.kind != Kind::Appointment => {
                Value::Text(self.content.text("ItemClass").unwrap_or_else(|| item_class(item)).to_owned())
            }
            "ItemClass" => Value::Text("IPM.Appointment.Occurrence".into()),
            "Size" => Value::Integer(i64::try_from(self.text_body().len()).unwrap_or(i64::MAX) + 1_024),
            "DateTimeReceived" | "DateTimeSent" | "DateTimeCreated" => Value::Time(item.created),
            "LastModifiedTime" => Value::Time(item.modified),
            "LastModifiedName" => Value::Text(item.modified_by.clone()),
            "IsSubmitted" | "IsDraft" | "IsFromMe" | "IsResend" | "IsUnmodified" | "HasAttachments"
            | "IsAssociated" => Value::Boolean(false),
            "ResponseObjects" => Value::ResponseObjects(response_objects(item)),
            "ReminderDueBy" => Value::Time(self.start),
            "ReminderNextTime" if self.content.plain.get("ReminderIsSet") == Some(&Value::Boolean(true)) => {
                match self.content.plain.get("ReminderMinutesBeforeStart") {
                    Some(Value::Integer(minutes)) => Value::Time(self.start - TimeDelta::minutes(*minutes)),
                    _ => return None,
                }
            }
            "DisplayTo" => recipients(true),
            "DisplayCc" => recipients(false),
            "Culture" => Value::Text(self.content.text("Culture").unwrap_or("en-US").to_owned()),
            "EffectiveRights" => Value::Rights,
            "UniqueBody" | "NormalizedBody" => self.content.plain.get("Body")?.clone(),
            "TextBody" => Value::Body { html: false, text: self.text_body() },
            "Preview" => Value::Text(self.text_body().chars().take(FOUND_TEXT_MAX).collect()),
            name => self.content.plain.get(name)?.clone(),
        })
    }

    fn calendar_part(&self, name: &str) -> Option<Value> {
        let (item, content) = (self.item, self.content);
        let is_single = self.original_start.is_none();
        Some(match name {
            "UID" => Value::Text(item.uid.clone()),
            "RecurrenceId" | "OriginalStart" => Value::Time(self.original_start?),
            "DateTimeStamp" => Value::Time(item.modified),
            "Start" => Value::Time(self.start),
            "End" => Value::Time(self.end),
            "IsAllDayEvent" => Value::Boolean(content.all_day),
            "When" => return content.plain.get("When").cloned(),
            "IsMeeting" => Value::Boolean(item.is_meeting()),
            "IsCancelled" => Value::Boolean(item.cancelled),
            "IsRecurring" => Value::Boolean(!is_single),
            "MeetingRequestWasSent" => Value::Boolean(item.request_sent),
            "CalendarItemType" => Value::Text(self.item_type().into()),
            "MyResponseType" => Value::Text(self.my_reply().name().into()),
            "Organizer" => Value::Person(item.organizer.clone()),
            "RequiredAttendees" => return self.attendees(Role::Required),
            "OptionalAttendees" => return self.attendees(Role::Optional),
            "Resources" => return self.attendees(Role::Resource),
            "Duration" => Value::Text(duration(self.end - self.start)),
            "TimeZone" | "StartTimeZoneId" => Value::Text(content.start_zone.id.clone()),
            "EndTimeZoneId" => Value::Text(content.end_zone.id.clone()),
            "StartTimeZone" => Value::Zone(content.start_zone.clone()),
            "EndTimeZone" => Value::Zone(content.end_zone.clone()),
            "StartWallClock" => Value::Text(wall_clock(&content.start_zone, self.start)),
            "EndWallClock" => Value::Text(wall_clock(&content.end_zone, self.end)),
            "AppointmentReplyTime" => Value::Time(item.replied?),
            "AppointmentSequenceNumber" => Value::Integer(item.sequence),
            "AppointmentState" => Value::Integer(
                i64::from(item.is_meeting()) + 2 * i64::from(!item.is_organizer) + 4 * i64::from(item.cancelled),
            ),
            "Recurrence" if is_single => Value::Recurrence(item.series.as_ref()?.recurrence.clone()),
            "FirstOccurrence" | "LastOccurrence" | "ModifiedOccurrences" | "DeletedOccurrences" if is_single => {
                return self.series_part(name);
            }
            "IsOnlineMeeting" => content.plain.get(name).cloned().unwrap_or(Value::Boolean(false)),
            "IntendedFreeBusyStatus" => content.plain.get("LegacyFreeBusyStatus")?.clone(),
            "IsOrganizer" => Value::Boolean(item.is_organizer),
            name => content.plain.get(name)?.clone(),
        })
    }

    fn message_part(&self, name: &str) -> Option<Value> {
        let message = self.item.message.as_ref()?;
        Some(match name {
            "Sender" | "From" => Value::Person(message.sender.clone()),
            "ReceivedBy" | "ReceivedRepresenting" => Value::Person(message.to.clone()),
            "ToRecipients" => Value::People(vec![message.to.clone()]),
            "InternetMessageId" => Value::Text(format!("<{}@exchange.invalid>", self.item.key)),
            "ConversationTopic" => Value::Text(self.content.subject().to_owned()),
            "IsRead" => self.content.plain.get("IsRead").cloned().unwrap_or(Value::Boolean(false)),
            "AssociatedCalendarItemId" => Value::Id { id: message.about.clone()?, change_key: self.item.change_key() },
            "IsDelegated" | "IsOutOfDate" => Value::Boolean(false),
            "HasBeenProcessed" => Value::Boolean(true),
            "ResponseType" => Value::Text(message.reply.name().into()),
            "MeetingRequestType" if self.item.kind == Kind::Request => {
                Value::Text(if message.is_update { "FullUpdate" } else { "NewMeetingRequest" }.into())
            }
            "IntendedFreeBusyStatus" if self.item.kind == Kind::Request => {
                self.content.plain.get("LegacyFreeBusyStatus")?.clone()
            }
            _ => return None,
        })
    }

    fn series_part(&self, name: &str) -> Option<Value> {
        let series = self.item.series.as_ref()?;
        let listed = |original_start: &DateTime<Utc>| {
            let view = self.item.instance(*original_start);
            Instance {
                id: view.id(),
                change_key: self.item.change_key(),
                start: view.start,
                end: view.end,
                original_start: *original_start,
            }
        };
        let all = || self.item.instances_before(self.item.content.start + TimeDelta::days(LISTED_DAYS_MAX));
        let living = |start: &&DateTime<Utc>| !series.deleted.contains(start);
        Some(match name {
            "FirstOccurrence" => Value::Occurrence(listed(all().iter().find(living)?)),
            "LastOccurrence" if series.recurrence.is_bounded() => {
                Value::Occurrence(listed(all().iter().rev().find(living)?))
            }
            "ModifiedOccurrences" if !series.exceptions.is_empty() => {
                Value::Occurrences(series.exceptions.keys().map(listed).collect())
            }
            "DeletedOccurrences" if !series.deleted.is_empty() => {
                Value::DeletedOccurrences(series.deleted.iter().copied().collect())
            }
            _ => return None,
        })
    }

    fn attendees(&self, role: Role) -> Option<Value> {
        let fitting: Vec<_> = self.content.attendees.iter().filter(|attendee| attendee.role == role).cloned().collect();
        (!fitting.is_empty()).then_some(Value::Attendees(fitting))
    }

    fn item_type(&self) -> &'static str {
        match (self.original_start, &self.item.series) {
            (Some(_), _) if self.is_exception() => "Exception",
            (Some(_), _) => "Occurrence",
            (None, Some(_)) => "RecurringMaster",
            (None, None) => "Single",
        }
    }

    /// The body as text.
    pub fn text_body(&self) -> String {
        match self.content.plain.get("Body") {
            Some(Value::Body { html, text }) => as_text(*html, text),
            _ => String::new(),
        }
    }
}

/// The text projection of a body.
pub fn as_text(html: bool, text: &str) -> String {
    if !html {
        return text.to_owned();
    }
    html2text::config::plain_no_decorate()
        .string_from_read(text.as_bytes(), TEXT_WIDTH)
        .unwrap_or_else(|_| text.to_owned())
}

fn instances_before(
    recurrence: &Recurrence,
    zone: &Zone,
    start: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let time = zone.local(start).time();
    let days = recurrence.days(zone.local(until).date());
    days.into_iter().map(|day| zone.instant(day.and_time(time))).filter(|start| *start < until).collect()
}

fn item_class(item: &Item) -> &'static str {
    match (item.kind, item.message.as_ref().map(|message| message.reply)) {
        (Kind::Appointment, _) => "IPM.Appointment",
        (Kind::Request, _) => "IPM.Schedule.Meeting.Request",
        (Kind::Cancellation, _) => "IPM.Schedule.Meeting.Canceled",
        (Kind::Response, Some(Reply::Accept)) => "IPM.Schedule.Meeting.Resp.Pos",
        (Kind::Response, Some(Reply::Decline)) => "IPM.Schedule.Meeting.Resp.Neg",
        (Kind::Response, _) => "IPM.Schedule.Meeting.Resp.Tent",
    }
}

fn response_objects(item: &Item) -> Vec<&'static str> {
    match (item.kind, item.is_organizer) {
        (Kind::Appointment, true) if item.is_meeting() => vec!["CancelCalendarItem", "ForwardItem"],
        (Kind::Appointment, false) | (Kind::Request, _) => {
            vec!["AcceptItem", "TentativelyAcceptItem", "DeclineItem", "ReplyToItem", "ReplyAllToItem", "ForwardItem"]
        }
        _ => vec!["ForwardItem"],
    }
}

fn wall_clock(zone: &Zone, at: DateTime<Utc>) -> String {
    at.with_timezone(&zone.tz).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// An xs:duration such as `PT1H30M` or `P2D`.
fn duration(span: TimeDelta) -> String {
    let (days, hours, minutes) = (span.num_days(), span.num_hours() % 24, span.num_minutes() % 60);
    let part = |number: i64, unit: &str| if number == 0 { String::new() } else { format!("{number}{unit}") };
    match (part(days, "D"), part(hours, "H"), part(minutes, "M")) {
        (days, hours, minutes) if hours.is_empty() && minutes.is_empty() && !days.is_empty() => format!("P{days}"),
        (days, hours, minutes) if days.is_empty() && hours.is_empty() && minutes.is_empty() => "PT0S".into(),
        (days, hours, minutes) => format!("P{days}T{hours}{minutes}"),
    }
}
