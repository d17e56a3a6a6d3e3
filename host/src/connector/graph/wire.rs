//! What Graph sends: events, lists, errors, users, subscriptions, parts of a batch.
//!
//! Promises: a field that is missing or null is nothing, a field that is not known is passed over; only JSON of the wrong shape
//! is an error. Must not know: appointments.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::recurrence::PatternedRecurrence;
use crate::connector::property::{NamedProperty, PropertyKind};

/// The fields an appointment is made of. Own properties are asked for by [`expand`].
pub const SELECT: &str = "id,changeKey,iCalUId,transactionId,subject,body,start,end,originalStartTimeZone,originalEndTimeZone,isAllDay,location,attendees,organizer,isOrganizer,responseStatus,isReminderOn,reminderMinutesBeforeStart,showAs,sensitivity,importance,categories,isCancelled,type,seriesMasterId,recurrence,isOnlineMeeting,onlineMeeting,onlineMeetingUrl,originalStart";
/// What leads an event to its pair.
pub const SELECT_KEYS: &str = "id,changeKey,iCalUId,type,seriesMasterId";
/// What a master says of its occurrences, with [`EXPAND_EXCEPTIONS`].
pub const SELECT_MASTER: &str =
    "id,changeKey,iCalUId,type,seriesMasterId,isAllDay,originalStartTimeZone,recurrence,exceptionOccurrences";
/// Who is invited.
pub const SELECT_PEOPLE: &str = "id,attendees,organizer";
pub const EXPAND_EXCEPTIONS: &str = "exceptionOccurrences($select=id,originalStart)";

/// `event`, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    pub id: String,
    #[serde(rename = "@odata.etag")]
    pub etag: Option<String>,
    pub change_key: Option<String>,
    #[serde(rename = "iCalUId")]
    pub uid: Option<String>,
    pub transaction_id: Option<String>,
    pub subject: Option<String>,
    pub body: Option<ItemBody>,
    pub start: Option<DateTimeTimeZone>,
    pub end: Option<DateTimeTimeZone>,
    pub original_start_time_zone: Option<String>,
    pub original_end_time_zone: Option<String>,
    pub is_all_day: Option<bool>,
    pub location: Option<Location>,
    pub attendees: Option<Vec<Attendee>>,
    pub organizer: Option<Recipient>,
    pub is_organizer: Option<bool>,
    pub response_status: Option<ResponseStatus>,
    pub is_reminder_on: Option<bool>,
    pub reminder_minutes_before_start: Option<i64>,
    pub show_as: Option<String>,
    pub sensitivity: Option<String>,
    pub importance: Option<String>,
    pub categories: Option<Vec<String>>,
    pub is_cancelled: Option<bool>,
    /// `singleInstance`, `occurrence`, `exception`, `seriesMaster`
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub series_master_id: Option<String>,
    pub recurrence: Option<PatternedRecurrence>,
    /// Of an instance: when its series has it begin, wherever it was moved since.
    pub original_start: Option<String>,
    /// Of a master that was asked for them: its changed instances.
    pub exception_occurrences: Option<Vec<Event>>,
    #[serde(rename = "exceptionOccurrences@odata.nextLink")]
    pub exceptions_next: Option<String>,
    pub is_online_meeting: Option<bool>,
    pub online_meeting: Option<OnlineMeeting>,
    pub online_meeting_url: Option<String>,
    pub single_value_extended_properties: Option<Vec<ExtendedProperty>>,
    /// Only in a delta: it is gone, or has left what the delta covers.
    #[serde(rename = "@removed")]
    pub removed: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ItemBody {
    /// `html` or `text`
    pub content_type: Option<String>,
    pub content: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DateTimeTimeZone {
    /// `2027-02-07T08:00:00.0000000`
    pub date_time: String,
    pub time_zone: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Location {
    pub display_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Recipient {
    pub email_address: Option<EmailAddress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EmailAddress {
    pub name: Option<String>,
    pub address: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Attendee {
    pub email_address: Option<EmailAddress>,
    /// `required`, `optional`, `resource`
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub status: Option<ResponseStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResponseStatus {
    /// `none`, `organizer`, `tentativelyAccepted`, `accepted`, `declined`, `notResponded`
    pub response: Option<String>,
    /// Year 1 for "never".
    pub time: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OnlineMeeting {
    pub join_url: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExtendedProperty {
    pub id: String,
    /// A text; some write other JSON values.
    pub value: Value,
}

/// A page of a list or a delta.
#[derive(Clone, Debug, Deserialize)]
pub struct Page<T> {
    // Not defaulted: an answer without rows is none.
    pub value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub next: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub delta: Option<String>,
}

/// The body of a refusal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Failure {
    pub error: FailureBody,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FailureBody {
    pub code: String,
    pub message: String,
    #[serde(alias = "innererror", rename = "innerError")]
    pub inner: Option<Inner>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Inner {
    pub code: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    pub id: String,
    pub user_principal_name: Option<String>,
    pub mail: Option<String>,
    pub given_name: Option<String>,
    pub surname: Option<String>,
    pub display_name: Option<String>,
    pub account_enabled: Option<bool>,
    /// `SMTP:` before the primary address, `smtp:` before the others.
    pub proxy_addresses: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MailboxSettings {
    pub time_zone: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subscription {
    pub id: String,
    pub resource: Option<String>,
    pub notification_url: Option<String>,
    pub expiration_date_time: Option<String>,
}

/// One answer of translateExchangeIds; what could not be translated has no target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Translated {
    pub source_id: String,
    pub target_id: Option<String>,
}

/// Answers to the parts of a batch, in any order.
#[derive(Clone, Debug, Deserialize)]
pub struct Parts {
    pub responses: Vec<Part>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    pub id: String,
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
}

impl Part {
    /// The wait the server asked for, in whole seconds rounded up.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        let text = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?.1;
        let seconds = text.trim().parse::<f64>().ok().filter(|seconds| (0.0..86_400.0).contains(seconds))?;
        Some(std::time::Duration::from_secs_f64(seconds))
    }
}

impl Event {
    /// What changes with every change. `changeKey`, or what stands in the entity tag.
    pub fn version(&self) -> Option<String> {
        let from_tag = || self.etag.as_deref().map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        self.change_key.clone().or_else(from_tag).filter(|version| !version.is_empty())
    }

    /// The value of a named property as text.
    pub fn extended(&self, property: &NamedProperty) -> Option<String> {
        extended(&self.single_value_extended_properties, property)
    }

    /// Of an instance of a series its master.
    pub fn master_id(&self) -> Option<&str> {
        let is_instance = matches!(self.kind.as_deref(), Some("occurrence" | "exception"));
        self.series_master_id.as_deref().filter(|master| is_instance && !master.is_empty())
    }

    /// An instance of a series stands for its master.
    pub fn whole_id(&self) -> &str {
        self.master_id().unwrap_or(&self.id)
    }
}

/// The entity tag of a version. That it is the change key in quotes is what answers show (inferred).
pub fn entity_tag(version: &str) -> String {
    format!("W/\"{version}\"")
}

/// What is asked of a calendar.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Calendar {
    single_value_extended_properties: Option<Vec<ExtendedProperty>>,
}

impl Calendar {
    /// The value of a named property as text.
    pub fn extended(&self, property: &NamedProperty) -> Option<String> {
        extended(&self.single_value_extended_properties, property)
    }
}

fn extended(list: &Option<Vec<ExtendedProperty>>, property: &NamedProperty) -> Option<String> {
    let id = property_id(property);
    let found = list.iter().flatten().find(|own| own.id.eq_ignore_ascii_case(&id))?;
    match &found.value {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// `String {66f5a359-...} Name CrmId`: how Graph names a property. EWS reaches the same one by set and name (inferred from
/// both being MAPI's named properties).
pub fn property_id(property: &NamedProperty) -> String {
    let kind = match property.kind {
        PropertyKind::String => "String",
        PropertyKind::Integer => "Integer",
        PropertyKind::Boolean => "Boolean",
    };
    let set = property.set_id();
    match (&property.name, property.id) {
        (Some(name), _) => format!("{kind} {{{set}}} Name {name}"),
        (None, id) => format!("{kind} {{{set}}} Id 0x{:x}", id.unwrap_or_default()),
    }
}

/// The value of `$expand` that brings these properties.
pub fn expand<'a>(properties: impl IntoIterator<Item = &'a NamedProperty>) -> String {
    let ids: Vec<_> = properties.into_iter().map(|own| format!("id eq '{}'", quoted(&property_id(own)))).collect();
    format!("singleValueExtendedProperties($filter={})", ids.join(" or "))
}

/// The value of `$filter` that finds a property's value.
pub fn filter_property(property: &NamedProperty, value: &str) -> String {
    let (id, value) = (quoted(&property_id(property)), quoted(value));
    format!("singleValueExtendedProperties/Any(ep: ep/id eq '{id}' and ep/value eq '{value}')")
}

/// A text inside quotes of OData: a quote is doubled.
pub fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}
