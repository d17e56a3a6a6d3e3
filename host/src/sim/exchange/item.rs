//! Items: appointments, their occurrences, and meeting messages; what each field of theirs shows.
//!
//! Promises: a [`View`] answers every field of the schema the same way for all operations. Must not know: requests,
//! other mailboxes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::ids;
use super::property::{PropertyName, PropertyValue};
use super::schema::Field;
use super::series::Recurrence;
use super::xml::Xml;
use super::zones::{Zone, written};

/// FindItem cuts strings to this many characters [finditem-operation].
const FOUND_TEXT_MAX: usize = 255;
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
        let zone = &self.content.start_zone;
        let time = zone.local(self.content.start).time();
        let days = series.recurrence.days(zone.local(until).date());
        days.into_iter().map(|day| zone.instant(day.and_time(time))).filter(|start| *start < until).collect()
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
        if name.is_global_object_id() {
            return Some(PropertyValue::Single(ids::global_object_id(&self.item.uid)));
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
            "MyResponseType" => Value::Text(item.my_reply.name().into()),
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

    fn text_body(&self) -> String {
        match self.content.plain.get("Body") {
            Some(Value::Body { html, text }) => as_text(*html, text),
            _ => String::new(),
        }
    }
}

impl Value {
    /// Writes the element of a field, in the shape asked for.
    pub fn write(&self, name: &str, shape: BodyShape, xml: &mut Xml) {
        let tag = format!("t:{name}");
        let found = shape == BodyShape::Found;
        match self {
            Value::Text(text) if found => xml.text(&tag, text.chars().take(FOUND_TEXT_MAX).collect::<String>()),
            Value::Text(text) => xml.text(&tag, text),
            Value::Boolean(value) => xml.text(&tag, value),
            Value::Integer(value) => xml.text(&tag, value),
            Value::Time(at) => xml.text(&tag, written(*at)),
            Value::Strings(texts) => xml.open(&tag, |xml| texts.iter().for_each(|text| xml.text("t:String", text))),
            Value::Body { .. } | Value::Attendees(_) | Value::People(_) if found => {}
            Value::Body { html, text } => write_body(&tag, *html, text, shape, xml),
            Value::Attendees(list) => xml.open(&tag, |xml| list.iter().for_each(|attendee| attendee.write(xml))),
            Value::Person(person) => xml.open(&tag, |xml| person.write(xml)),
            Value::People(list) => xml.open(&tag, |xml| list.iter().for_each(|person| person.write(xml))),
            Value::Zone(zone) => xml.empty(&tag, &[("Id", &zone.id), ("Name", &zone.id)]),
            Value::Recurrence(recurrence) => xml.open(&tag, |xml| recurrence.write(xml)),
            Value::Id { id, change_key } => xml.empty(&tag, &[("Id", id), ("ChangeKey", change_key)]),
            Value::Occurrence(instance) => instance.write(&tag, xml),
            Value::Occurrences(list) => {
                xml.open(&tag, |xml| list.iter().for_each(|instance| instance.write("t:Occurrence", xml)));
            }
            Value::DeletedOccurrences(list) => xml.open(&tag, |xml| {
                for at in list {
                    xml.open("t:DeletedOccurrence", |xml| xml.text("t:Start", written(*at)));
                }
            }),
            Value::Rights => xml.open(&tag, write_rights),
            Value::ResponseObjects(names) => {
                xml.open(&tag, |xml| names.iter().for_each(|name| xml.empty(&format!("t:{name}"), &[])));
            }
        }
    }
}

impl Person {
    pub fn write(&self, xml: &mut Xml) {
        xml.open("t:Mailbox", |xml| {
            xml.text("t:Name", &self.name);
            xml.text("t:EmailAddress", &self.address);
            xml.text("t:RoutingType", "SMTP");
            xml.text("t:MailboxType", if self.local { "Mailbox" } else { "OneOff" });
        });
    }
}

impl Attendee {
    fn write(&self, xml: &mut Xml) {
        xml.open("t:Attendee", |xml| {
            self.person.write(xml);
            xml.text("t:ResponseType", self.reply.name());
            if let Some(at) = self.replied {
                xml.text("t:LastResponseTime", written(at));
            }
        });
    }
}

impl Instance {
    fn write(&self, tag: &str, xml: &mut Xml) {
        xml.open(tag, |xml| {
            xml.empty("t:ItemId", &[("Id", &self.id), ("ChangeKey", &self.change_key)]);
            xml.text("t:Start", written(self.start));
            xml.text("t:End", written(self.end));
            xml.text("t:OriginalStart", written(self.original_start));
        });
    }
}

pub fn write_rights(xml: &mut Xml) {
    for right in
        ["CreateAssociated", "CreateContents", "CreateHierarchy", "Delete", "Modify", "Read", "ViewPrivateItems"]
    {
        xml.text(&format!("t:{right}"), true);
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

fn write_body(tag: &str, html: bool, text: &str, shape: BodyShape, xml: &mut Xml) {
    match (shape, html) {
        (BodyShape::Text, true) => xml.text_with(tag, &[("BodyType", "Text")], as_text(true, text)),
        (BodyShape::Html, false) => {
            let escaped = quick_xml::escape::escape(text).replace('\n', "<br>");
            xml.text_with(tag, &[("BodyType", "HTML")], format_args!("<html><body>{escaped}</body></html>"));
        }
        (_, true) => xml.text_with(tag, &[("BodyType", "HTML")], text),
        (_, false) => xml.text_with(tag, &[("BodyType", "Text")], text),
    }
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
