//! Calendar items as EWS writes them: reading a `CalendarItem`, and writing its properties in the schema's order.
//!
//! Promises: values stay the server's own words, [`super::map`] gives them meaning; properties of a new item always come
//! out in the order of the schema (an `xs:sequence`: one element out of place voids the request).
//! Source: MS-OXWSCORE and MS-OXWSMTGS. Must not know: appointments, requests, HTTP.

use roxmltree::Node;

use super::config::NamedProperty;
use super::recurrence::Written;
use super::soap::{Xml, child, child_text, content, grandchildren};

/// Id and change key of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemId {
    pub id: String,
    pub change_key: String,
}

impl ItemId {
    /// The `ItemId` child of an item or of an event.
    pub fn of(parent: Node<'_, '_>) -> Option<Self> {
        Self::read(child(parent, "ItemId")?)
    }

    /// An `ItemId` element.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        let id = node.attribute("Id").filter(|id| !id.is_empty())?;
        Some(Self { id: id.to_owned(), change_key: node.attribute("ChangeKey").unwrap_or_default().to_owned() })
    }
}

/// A person as Exchange writes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    pub name: String,
    pub address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attendee {
    pub mailbox: Mailbox,
    pub response: Option<String>,
    pub responded: Option<String>,
}

/// A recurrence: the local names of pattern and range with their child elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recurrence {
    pub pattern: String,
    pub range: String,
    /// Child elements of both, by local name.
    pub parts: Vec<(String, String)>,
}

/// A changed occurrence as its master lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modified {
    pub id: String,
    pub original_start: String,
}

/// A named property with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Attributes of its `ExtendedFieldURI`.
    pub attributes: Vec<(String, String)>,
    pub value: String,
}

impl Extended {
    /// Whether this is that property. Servers change the letter case of GUIDs and may name a set that they know.
    pub fn is(&self, property: &NamedProperty) -> bool {
        property.attributes().iter().all(|(key, wanted)| {
            self.attributes.iter().any(|(name, value)| name == key && value.eq_ignore_ascii_case(wanted))
        })
    }
}

/// A calendar item, as far as a sync reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalendarItem {
    pub id: ItemId,
    pub parent_folder: Option<String>,
    pub subject: Option<String>,
    pub sensitivity: Option<String>,
    pub body: Option<String>,
    /// The body is HTML; otherwise it is plain text.
    pub body_is_html: bool,
    pub categories: Vec<String>,
    pub importance: Option<String>,
    pub reminder_is_set: bool,
    pub reminder_minutes: Option<String>,
    pub extended: Vec<Extended>,
    pub uid: Option<String>,
    pub start: Option<String>,
    pub end: Option<String>,
    pub all_day: bool,
    pub show_as: Option<String>,
    pub location: Option<String>,
    pub is_meeting: bool,
    pub is_cancelled: bool,
    /// True where the answer does not say.
    pub request_was_sent: bool,
    pub item_type: Option<String>,
    pub my_response: Option<String>,
    pub my_reply_time: Option<String>,
    pub organizer: Option<Mailbox>,
    pub required: Vec<Attendee>,
    pub optional: Vec<Attendee>,
    pub resources: Vec<Attendee>,
    pub recurrence: Option<Recurrence>,
    /// Occurrences that people changed, on a master that was asked for them.
    pub modified: Vec<Modified>,
    pub start_zone: Option<String>,
    pub end_zone: Option<String>,
    pub join_url: Option<String>,
    pub is_organizer: Option<bool>,
}

/// What GetItem must name to fill a [`CalendarItem`]: an explicit list is answered alike by all server generations.
pub const FIELDS: &[&str] = &[
    "item:ParentFolderId",
    "item:Subject",
    "item:Sensitivity",
    "item:Body",
    "item:Categories",
    "item:Importance",
    "item:ReminderIsSet",
    "item:ReminderMinutesBeforeStart",
    "calendar:UID",
    "calendar:Start",
    "calendar:End",
    "calendar:IsAllDayEvent",
    "calendar:LegacyFreeBusyStatus",
    "calendar:Location",
    "calendar:IsMeeting",
    "calendar:IsCancelled",
    "calendar:MeetingRequestWasSent",
    "calendar:CalendarItemType",
    "calendar:MyResponseType",
    "calendar:Organizer",
    "calendar:RequiredAttendees",
    "calendar:OptionalAttendees",
    "calendar:Resources",
    "calendar:AppointmentReplyTime",
    "calendar:Recurrence",
    "calendar:StartTimeZone",
    "calendar:EndTimeZone",
    "calendar:JoinOnlineMeetingUrl",
    "calendar:IsOrganizer",
];

impl CalendarItem {
    /// Reads a `CalendarItem` element. Nothing for an element of another kind (a message in a calendar) or without an id.
    pub fn read(node: Node<'_, '_>) -> Option<Self> {
        if node.tag_name().name() != "CalendarItem" {
            return None;
        }
        let text = |name| child_text(node, name);
        let flag = |name| text(name).is_some_and(|text| is_true(&text));
        let body = child(node, "Body");
        let zone =
            |name, id| child(node, name).and_then(|zone| zone.attribute("Id").map(str::to_owned)).or_else(|| text(id));
        Some(Self {
            id: ItemId::of(node)?,
            parent_folder: child(node, "ParentFolderId").and_then(|id| id.attribute("Id").map(str::to_owned)),
            subject: text("Subject"),
            sensitivity: text("Sensitivity"),
            body: body.map(content),
            body_is_html: body.is_some_and(|body| body.attribute("BodyType") == Some("HTML")),
            categories: grandchildren(node, "Categories").into_iter().map(content).collect(),
            importance: text("Importance"),
            reminder_is_set: flag("ReminderIsSet"),
            reminder_minutes: text("ReminderMinutesBeforeStart"),
            extended: node
                .children()
                .filter(|n| n.tag_name().name() == "ExtendedProperty")
                .filter_map(extended)
                .collect(),
            uid: text("UID").filter(|uid| !uid.is_empty()),
            start: text("Start"),
            end: text("End"),
            all_day: flag("IsAllDayEvent"),
            show_as: text("LegacyFreeBusyStatus"),
            location: text("Location"),
            is_meeting: flag("IsMeeting"),
            is_cancelled: flag("IsCancelled"),
            request_was_sent: text("MeetingRequestWasSent").is_none_or(|text| is_true(&text)),
            item_type: text("CalendarItemType"),
            my_response: text("MyResponseType"),
            my_reply_time: text("AppointmentReplyTime"),
            organizer: child(node, "Organizer").and_then(mailbox),
            required: attendees(node, "RequiredAttendees"),
            optional: attendees(node, "OptionalAttendees"),
            resources: attendees(node, "Resources"),
            recurrence: child(node, "Recurrence").and_then(recurrence),
            modified: grandchildren(node, "ModifiedOccurrences").into_iter().filter_map(modified).collect(),
            start_zone: zone("StartTimeZone", "StartTimeZoneId"),
            end_zone: zone("EndTimeZone", "EndTimeZoneId"),
            join_url: text("JoinOnlineMeetingUrl").filter(|url| !url.is_empty()),
            is_organizer: text("IsOrganizer").map(|text| is_true(&text)),
        })
    }

    /// The value of a named property.
    pub fn extended(&self, property: &NamedProperty) -> Option<&str> {
        self.extended.iter().find(|extended| extended.is(property)).map(|extended| extended.value.as_str())
    }
}

/// Both spellings of `xs:boolean`.
fn is_true(text: &str) -> bool {
    matches!(text.trim(), "true" | "1")
}

fn mailbox(parent: Node<'_, '_>) -> Option<Mailbox> {
    let mailbox = child(parent, "Mailbox")?;
    Some(Mailbox {
        name: child_text(mailbox, "Name").unwrap_or_default(),
        address: child_text(mailbox, "EmailAddress").unwrap_or_default(),
    })
}

fn attendees(item: Node<'_, '_>, list: &str) -> Vec<Attendee> {
    let read = |node: Node<'_, '_>| {
        Some(Attendee {
            mailbox: mailbox(node)?,
            response: child_text(node, "ResponseType"),
            responded: child_text(node, "LastResponseTime"),
        })
    };
    grandchildren(item, list).into_iter().filter_map(read).collect()
}

fn extended(node: Node<'_, '_>) -> Option<Extended> {
    let uri = child(node, "ExtendedFieldURI")?;
    Some(Extended {
        attributes: uri.attributes().map(|a| (a.name().to_owned(), a.value().to_owned())).collect(),
        value: child_text(node, "Value")?,
    })
}

fn modified(node: Node<'_, '_>) -> Option<Modified> {
    Some(Modified { id: ItemId::of(node)?.id, original_start: child_text(node, "OriginalStart")? })
}

fn recurrence(node: Node<'_, '_>) -> Option<Recurrence> {
    let mut parts = node.children().filter(Node::is_element);
    let (pattern, range) = (parts.next()?, parts.next()?);
    let values = pattern.children().chain(range.children()).filter(Node::is_element);
    Some(Recurrence {
        pattern: pattern.tag_name().name().to_owned(),
        range: range.tag_name().name().to_owned(),
        parts: values.map(|part| (part.tag_name().name().to_owned(), content(part).trim().to_owned())).collect(),
    })
}

/// A property of a calendar item with the value to write. The order of the variants is the order of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    Subject(String),
    Sensitivity(&'static str),
    /// Plain text.
    Body(String),
    HtmlBody(String),
    Categories(Vec<String>),
    Importance(&'static str),
    ReminderIsSet(bool),
    ReminderMinutes(u32),
    /// `None` removes the property.
    Extended(NamedProperty, Option<String>),
    Start(String),
    End(String),
    AllDay(bool),
    ShowAs(&'static str),
    Location(String),
    Required(Vec<Mailbox>),
    Optional(Vec<Mailbox>),
    Resources(Vec<Mailbox>),
    Recurrence(Written),
    /// Windows name.
    StartZone(String),
    EndZone(String),
}

impl Property {
    /// Place in the schema's sequence, name of the element, name of the field.
    fn shape(&self) -> (u8, &'static str, &'static str) {
        match self {
            Property::Subject(_) => (0, "t:Subject", "item:Subject"),
            Property::Sensitivity(_) => (1, "t:Sensitivity", "item:Sensitivity"),
            Property::Body(_) | Property::HtmlBody(_) => (2, "t:Body", "item:Body"),
            Property::Categories(_) => (3, "t:Categories", "item:Categories"),
            Property::Importance(_) => (4, "t:Importance", "item:Importance"),
            Property::ReminderIsSet(_) => (5, "t:ReminderIsSet", "item:ReminderIsSet"),
            Property::ReminderMinutes(_) => (6, "t:ReminderMinutesBeforeStart", "item:ReminderMinutesBeforeStart"),
            Property::Extended(..) => (7, "t:ExtendedProperty", ""),
            Property::Start(_) => (8, "t:Start", "calendar:Start"),
            Property::End(_) => (9, "t:End", "calendar:End"),
            Property::AllDay(_) => (10, "t:IsAllDayEvent", "calendar:IsAllDayEvent"),
            Property::ShowAs(_) => (11, "t:LegacyFreeBusyStatus", "calendar:LegacyFreeBusyStatus"),
            Property::Location(_) => (12, "t:Location", "calendar:Location"),
            Property::Required(_) => (13, "t:RequiredAttendees", "calendar:RequiredAttendees"),
            Property::Optional(_) => (14, "t:OptionalAttendees", "calendar:OptionalAttendees"),
            Property::Resources(_) => (15, "t:Resources", "calendar:Resources"),
            Property::Recurrence(_) => (16, "t:Recurrence", "calendar:Recurrence"),
            Property::StartZone(_) => (17, "t:StartTimeZone", "calendar:StartTimeZone"),
            Property::EndZone(_) => (18, "t:EndTimeZone", "calendar:EndTimeZone"),
        }
    }

    /// Whether the value is nothing: left out of a new item, deleted from an old one. An empty body is written as such.
    fn is_nothing(&self) -> bool {
        match self {
            Property::Subject(text) | Property::Location(text) => text.is_empty(),
            Property::Categories(list) => list.is_empty(),
            Property::Extended(_, value) => value.is_none(),
            Property::Required(list) | Property::Optional(list) | Property::Resources(list) => list.is_empty(),
            _ => false,
        }
    }

    fn write_value(&self, xml: &mut Xml) {
        let (_, name, _) = self.shape();
        match self {
            Property::Subject(text) | Property::Start(text) | Property::End(text) | Property::Location(text) => {
                xml.text(name, &[], text);
            }
            Property::Sensitivity(word) | Property::Importance(word) | Property::ShowAs(word) => {
                xml.text(name, &[], word);
            }
            Property::Body(text) => xml.text(name, &[("BodyType", "Text")], text),
            Property::HtmlBody(html) => xml.text(name, &[("BodyType", "HTML")], html),
            Property::ReminderIsSet(flag) | Property::AllDay(flag) => xml.text(name, &[], &flag.to_string()),
            Property::ReminderMinutes(count) => xml.text(name, &[], &count.to_string()),
            Property::Categories(list) => {
                xml.element(name, &[], |xml| list.iter().for_each(|text| xml.text("t:String", &[], text)));
            }
            Property::Extended(property, value) => xml.element(name, &[], |xml| {
                write_extended_uri(xml, property);
                xml.text("t:Value", &[], value.as_deref().unwrap_or_default());
            }),
            Property::Required(list) | Property::Optional(list) | Property::Resources(list) => {
                xml.element(name, &[], |xml| list.iter().for_each(|mailbox| write_attendee(xml, mailbox)));
            }
            Property::Recurrence(written) => xml.element(name, &[], |xml| written.write(xml)),
            Property::StartZone(zone) | Property::EndZone(zone) => xml.empty(name, &[("Id", zone)]),
        }
    }

    fn write_path(&self, xml: &mut Xml) {
        match self {
            Property::Extended(property, _) => write_extended_uri(xml, property),
            _ => xml.empty("t:FieldURI", &[("FieldURI", self.shape().2)]),
        }
    }
}

/// Writes a new calendar item.
pub fn write_item(xml: &mut Xml, properties: &[Property]) {
    let mut ordered: Vec<_> = properties.iter().filter(|property| !property.is_nothing()).collect();
    ordered.sort_by_key(|property| property.shape().0);
    xml.element("t:CalendarItem", &[], |xml| ordered.iter().for_each(|property| property.write_value(xml)));
}

/// Writes the changes of an update: one property each, as the server demands.
pub fn write_updates(xml: &mut Xml, properties: &[Property]) {
    xml.element("t:Updates", &[], |xml| {
        for property in properties {
            if property.is_nothing() {
                xml.element("t:DeleteItemField", &[], |xml| property.write_path(xml));
            } else {
                xml.element("t:SetItemField", &[], |xml| {
                    property.write_path(xml);
                    xml.element("t:CalendarItem", &[], |xml| property.write_value(xml));
                });
            }
        }
    });
}

/// Writes the path of a named property.
pub fn write_extended_uri(xml: &mut Xml, property: &NamedProperty) {
    let attributes = property.attributes();
    let attributes: Vec<_> = attributes.iter().map(|(key, value)| (*key, value.as_str())).collect();
    xml.empty("t:ExtendedFieldURI", &attributes);
}

fn write_attendee(xml: &mut Xml, mailbox: &Mailbox) {
    xml.element("t:Attendee", &[], |xml| {
        xml.element("t:Mailbox", &[], |xml| {
            if !mailbox.name.is_empty() {
                xml.text("t:Name", &[], &mailbox.name);
            }
            xml.text("t:EmailAddress", &[], &mailbox.address);
            // An Exchange-internal address (`/O=ORG/OU=...`) is not SMTP and must be marked, or it cannot be resolved.
            let routing = if mailbox.address.starts_with('/') { "EX" } else { "SMTP" };
            xml.text("t:RoutingType", &[], routing);
        });
    });
}
