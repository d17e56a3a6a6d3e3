//! The elements of items: their order, the path that names each, and what a client may write in them.
//!
//! Promises: answers follow this order, and requests that do not are refused, as the schema is an `xs:sequence`
//! (MS-OXWSCORE, MS-OXWSMTGS). Must not know: the values.

use super::item::Kind;

/// What a client may write in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing: the server fills it.
    No,
    Text,
    Boolean,
    Integer(i64, i64),
    Choice(&'static [&'static str]),
    Strings,
    Body,
    /// One of the fields that [`super::item`] treats by name.
    Special,
}

/// One element of an item.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    /// The prefix of its FieldURI.
    pub area: &'static str,
    pub write: Write,
    /// Whether BaseShape `Default` shows it.
    pub by_default: bool,
}

impl Field {
    /// The FieldURI, such as `calendar:Start`.
    pub fn uri(&self) -> String {
        format!("{}:{}", self.area, self.name)
    }
}

const fn field(area: &'static str, name: &'static str, write: Write) -> Field {
    Field { name, area, write, by_default: false }
}

const fn default(area: &'static str, name: &'static str, write: Write) -> Field {
    Field { name, area, write, by_default: true }
}

/// Minutes before start: the schema's range; its marker value means the user's default.
const REMINDER_MINUTES: Write = Write::Integer(0, 2_629_800);
const FREE_BUSY: Write = Write::Choice(&["Free", "Tentative", "Busy", "OOF", "WorkingElsewhere", "NoData"]);

/// The item part, in order.
static ITEM: &[Field] = &[
    field("item", "MimeContent", Write::No),
    default("item", "ItemId", Write::No),
    field("item", "ParentFolderId", Write::No),
    field("item", "ItemClass", Write::Text),
    default("item", "Subject", Write::Text),
    field("item", "Sensitivity", Write::Choice(&["Normal", "Personal", "Private", "Confidential"])),
    field("item", "Body", Write::Body),
    field("item", "Attachments", Write::No),
    field("item", "DateTimeReceived", Write::No),
    field("item", "Size", Write::No),
    field("item", "Categories", Write::Strings),
    field("item", "Importance", Write::Choice(&["Low", "Normal", "High"])),
    field("item", "InReplyTo", Write::Text),
    field("item", "IsSubmitted", Write::No),
    field("item", "IsDraft", Write::No),
    field("item", "IsFromMe", Write::No),
    field("item", "IsResend", Write::No),
    field("item", "IsUnmodified", Write::No),
    field("item", "InternetMessageHeaders", Write::No),
    field("item", "DateTimeSent", Write::No),
    field("item", "DateTimeCreated", Write::No),
    field("item", "ResponseObjects", Write::No),
    field("item", "ReminderDueBy", Write::Special),
    field("item", "ReminderIsSet", Write::Boolean),
    field("item", "ReminderNextTime", Write::No),
    field("item", "ReminderMinutesBeforeStart", REMINDER_MINUTES),
    field("item", "DisplayCc", Write::No),
    field("item", "DisplayTo", Write::No),
    default("item", "HasAttachments", Write::No),
    field("item", "ExtendedProperty", Write::Special),
    field("item", "Culture", Write::Text),
    field("item", "EffectiveRights", Write::No),
    field("item", "LastModifiedName", Write::No),
    field("item", "LastModifiedTime", Write::No),
    field("item", "IsAssociated", Write::No),
    field("item", "WebClientReadFormQueryString", Write::No),
    field("item", "WebClientEditFormQueryString", Write::No),
    field("item", "ConversationId", Write::No),
    field("item", "UniqueBody", Write::No),
    field("item", "Flag", Write::No),
    field("item", "StoreEntryId", Write::No),
    field("item", "InstanceKey", Write::No),
    field("item", "NormalizedBody", Write::No),
    field("item", "EntityExtractionResult", Write::No),
    field("item", "PolicyTag", Write::No),
    field("item", "ArchiveTag", Write::No),
    field("item", "RetentionDate", Write::No),
    field("item", "Preview", Write::No),
    field("item", "RightsManagementLicenseData", Write::No),
    field("item", "NextPredictedAction", Write::No),
    field("item", "GroupingAction", Write::No),
    field("item", "PredictedActionReasons", Write::No),
    field("item", "IsClutter", Write::No),
    field("item", "BlockStatus", Write::No),
    field("item", "HasBlockedImages", Write::No),
    field("item", "TextBody", Write::No),
    field("item", "IconIndex", Write::No),
];

/// The message part of meeting messages.
static MESSAGE: &[Field] = &[
    field("message", "Sender", Write::No),
    field("message", "ToRecipients", Write::No),
    field("message", "CcRecipients", Write::No),
    field("message", "BccRecipients", Write::No),
    field("message", "IsReadReceiptRequested", Write::No),
    field("message", "IsDeliveryReceiptRequested", Write::No),
    field("message", "ConversationIndex", Write::No),
    field("message", "ConversationTopic", Write::No),
    field("message", "From", Write::No),
    field("message", "InternetMessageId", Write::No),
    field("message", "IsRead", Write::Boolean),
    field("message", "IsResponseRequested", Write::No),
    field("message", "References", Write::No),
    field("message", "ReplyTo", Write::No),
    field("message", "ReceivedBy", Write::No),
    field("message", "ReceivedRepresenting", Write::No),
    field("message", "ApprovalRequestData", Write::No),
    field("message", "VotingInformation", Write::No),
    field("message", "ReminderMessageData", Write::No),
    field("meeting", "AssociatedCalendarItemId", Write::No),
    field("meeting", "IsDelegated", Write::No),
    field("meeting", "IsOutOfDate", Write::No),
    field("meeting", "HasBeenProcessed", Write::No),
    field("meeting", "ResponseType", Write::No),
    field("meetingRequest", "MeetingRequestType", Write::No),
    field("meetingRequest", "IntendedFreeBusyStatus", Write::No),
    field("meetingRequest", "ChangeHighlights", Write::No),
    field("meeting", "ProposedStart", Write::No),
    field("meeting", "ProposedEnd", Write::No),
];

/// The calendar part, in order.
static CALENDAR: &[Field] = &[
    field("calendar", "UID", Write::Special),
    field("calendar", "RecurrenceId", Write::No),
    field("calendar", "DateTimeStamp", Write::No),
    default("calendar", "Start", Write::Special),
    default("calendar", "End", Write::Special),
    field("calendar", "OriginalStart", Write::No),
    field("calendar", "IsAllDayEvent", Write::Special),
    default("calendar", "LegacyFreeBusyStatus", FREE_BUSY),
    default("calendar", "Location", Write::Text),
    field("calendar", "When", Write::Text),
    field("calendar", "IsMeeting", Write::No),
    field("calendar", "IsCancelled", Write::No),
    field("calendar", "IsRecurring", Write::No),
    field("calendar", "MeetingRequestWasSent", Write::No),
    field("calendar", "IsResponseRequested", Write::Boolean),
    default("calendar", "CalendarItemType", Write::No),
    field("calendar", "MyResponseType", Write::No),
    default("calendar", "Organizer", Write::No),
    field("calendar", "RequiredAttendees", Write::Special),
    field("calendar", "OptionalAttendees", Write::Special),
    field("calendar", "Resources", Write::Special),
    field("calendar", "InboxReminders", Write::No),
    field("calendar", "ConflictingMeetingCount", Write::No),
    field("calendar", "AdjacentMeetingCount", Write::No),
    field("calendar", "ConflictingMeetings", Write::No),
    field("calendar", "AdjacentMeetings", Write::No),
    field("calendar", "Duration", Write::No),
    field("calendar", "TimeZone", Write::No),
    field("calendar", "AppointmentReplyTime", Write::No),
    field("calendar", "AppointmentSequenceNumber", Write::No),
    field("calendar", "AppointmentState", Write::No),
    field("calendar", "Recurrence", Write::Special),
    field("calendar", "FirstOccurrence", Write::No),
    field("calendar", "LastOccurrence", Write::No),
    field("calendar", "ModifiedOccurrences", Write::No),
    field("calendar", "DeletedOccurrences", Write::No),
    field("calendar", "MeetingTimeZone", Write::Special),
    field("calendar", "StartTimeZone", Write::Special),
    field("calendar", "EndTimeZone", Write::Special),
    field("calendar", "ConferenceType", Write::Integer(0, 2)),
    field("calendar", "AllowNewTimeProposal", Write::Boolean),
    field("calendar", "IsOnlineMeeting", Write::Boolean),
    field("calendar", "MeetingWorkspaceUrl", Write::Text),
    field("calendar", "NetShowUrl", Write::Text),
    field("calendar", "EnhancedLocation", Write::No),
    field("calendar", "StartWallClock", Write::No),
    field("calendar", "EndWallClock", Write::No),
    field("calendar", "StartTimeZoneId", Write::No),
    field("calendar", "EndTimeZoneId", Write::No),
    field("calendar", "IntendedFreeBusyStatus", Write::No),
    field("calendar", "JoinOnlineMeetingUrl", Write::No),
    field("calendar", "OnlineMeetingSettings", Write::No),
    field("calendar", "IsOrganizer", Write::No),
];

/// Areas of items that are never found here; clients that fetch items of unknown kind name their fields too.
const OTHER_AREAS: &[&str] = &["contacts", "conversation", "distributionlist", "persona", "postitem", "task"];

/// The fields of an item, in order.
pub fn fields(kind: Kind) -> impl Iterator<Item = &'static Field> {
    let message: &[Field] = if kind == Kind::Appointment { &[] } else { MESSAGE };
    ITEM.iter().chain(message).chain(CALENDAR)
}

/// The field of a calendar item by element name, with its place in the order.
pub fn calendar_field(name: &str) -> Option<(usize, &'static Field)> {
    fields(Kind::Appointment).enumerate().find(|(_, field)| field.name == name)
}

/// The field that a FieldURI names, if an appointment or a meeting message has it.
pub fn by_uri(uri: &str) -> Option<&'static Field> {
    let (area, name) = uri.split_once(':')?;
    fields(Kind::Request).find(|field| field.area == area && field.name == name)
}

/// Whether a FieldURI names a field of a kind of item that is never found here.
pub fn is_of_other_items(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(area, _)| OTHER_AREAS.contains(&area))
}
