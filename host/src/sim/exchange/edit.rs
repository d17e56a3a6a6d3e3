//! Writing fields: what CreateItem's element and UpdateItem's changes do to an item's content.
//!
//! Promises: either all changes of one item take effect or none; afterwards start, end, zones and all-day days fit
//! together as the server guarantees. Must not know: meetings, mails, the store.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::item::{Attendee, Content, Person, Reply, Role, Value};
use super::property::{PropertyName, PropertyValue};
use super::schema::{self, Field, Write};
use super::series::{Range, Recurrence};
use super::xml::{Element, EwsError, Read, boolean, integer, schema_violation};
use super::zones::{self, Zone};

/// The longest appointment: five years.
const DURATION_DAYS_MAX: i64 = 5 * 366;
/// Attendees of one meeting; real servers stop at the size of a message.
const ATTENDEES_MAX: usize = 5_000;

/// One change to one property.
pub enum Change<'a> {
    Set(&'static Field, Element<'a>),
    Append(&'static Field, Element<'a>),
    Delete(&'static Field),
    SetProperty(PropertyName, PropertyValue),
    DeleteProperty(PropertyName),
}

/// An item while it is written.
pub struct Edit<'a> {
    pub content: Content,
    pub uid: String,
    pub recurrence: Option<Recurrence>,
    /// One instance of a series: it has no recurrence and no UID of its own.
    pub is_instance: bool,
    /// New: what is not given gets a default.
    pub is_new: bool,
    /// The request's TimeZoneContext.
    pub context: Option<&'a Zone>,
    /// Looks people up by address and given name.
    pub person: &'a dyn Fn(&str, Option<&str>) -> Person,
}

/// Reads the element of CreateItem, checking its order.
pub fn changes_of(item: Element<'_>) -> Result<Vec<Change<'_>>, EwsError> {
    let mut changes = Vec::new();
    let mut last = (0, "");
    for kid in item.kids() {
        let name = kid.local();
        let (place, field) =
            schema::calendar_field(name).ok_or_else(|| unexpected(name, "is not an element of CalendarItem"))?;
        if place < last.0 || (place == last.0 && last.1 == name && name != "ExtendedProperty") {
            return Err(unexpected(name, &format!("is out of order: it may not follow {}", last.1)));
        }
        last = (place, field.name);
        if name == "ExtendedProperty" {
            let property = PropertyName::read(kid.need("ExtendedFieldURI")?)?;
            let value = property.read_value(kid)?;
            changes.push(Change::SetProperty(property, value));
        } else {
            changes.push(Change::Set(field, kid));
        }
    }
    Ok(changes)
}

/// Reads the `Updates` of one ItemChange.
pub fn updates_of(updates: Element<'_>) -> Result<Vec<Change<'_>>, EwsError> {
    updates.kids().map(update_of).collect()
}

fn update_of(update: Element<'_>) -> Result<Change<'_>, EwsError> {
    let path = update.kids().next().ok_or_else(|| schema_violation("a change names no property"))?;
    let property = (path.local() == "ExtendedFieldURI").then(|| PropertyName::read(path)).transpose()?;
    let field = match (path.local(), &property) {
        (_, Some(_)) => None,
        ("FieldURI", None) => {
            let uri = path.need_attribute("FieldURI")?;
            Some(schema::by_uri(uri).ok_or_else(|| schema_violation(format!("{uri:?} is not a field")))?)
        }
        (other, None) => return Err(schema_violation(format!("{other} does not name a property of an appointment"))),
    };
    if update.local() == "DeleteItemField" {
        return match (property, field) {
            (Some(property), _) => Ok(Change::DeleteProperty(property)),
            (None, Some(field)) => Ok(Change::Delete(field)),
            (None, None) => Err(schema_violation("a change names no property")),
        };
    }
    let item = update.kids().nth(1).ok_or_else(|| schema_violation("a change holds no item"))?;
    let mut values = item.kids();
    let count_wrong =
        || EwsError::new("ErrorIncorrectUpdatePropertyCount", "An update change must hold exactly one property.");
    let value = values.next().ok_or_else(count_wrong)?;
    if values.next().is_some() {
        return Err(count_wrong());
    }
    let mismatch =
        || EwsError::new("ErrorUpdatePropertyMismatch", "The property does not match the path of its change.");
    match (update.local(), property, field) {
        ("SetItemField", Some(property), _) => {
            if PropertyName::read(value.need("ExtendedFieldURI")?)? != property {
                return Err(mismatch());
            }
            let value = property.read_value(value)?;
            Ok(Change::SetProperty(property, value))
        }
        (_, _, Some(field)) if field.name != value.local() => Err(mismatch()),
        ("SetItemField", None, Some(field)) => Ok(Change::Set(field, value)),
        ("AppendToItemField", None, Some(field)) => Ok(Change::Append(field, value)),
        (other, _, _) => Err(schema_violation(format!("{other} is not a change to this property"))),
    }
}

impl Edit<'_> {
    /// Applies the changes. Zones come first, as they say how times are read.
    pub fn apply(&mut self, changes: &[Change<'_>]) -> Result<(), EwsError> {
        if self.is_new {
            self.defaults();
        }
        let given = self.zones(changes)?;
        let mut times = Times { start: None, end: None };
        for change in changes {
            match change {
                Change::SetProperty(name, value) => {
                    if name.is_global_object_id() {
                        return Err(read_only("an extended property the server fills"));
                    }
                    self.content.extended.insert(name.clone(), value.clone());
                }
                Change::DeleteProperty(name) => {
                    self.content.extended.remove(name);
                }
                Change::Set(field, value) => self.set(field, *value, &given, &mut times)?,
                Change::Append(field, value) => self.append(field, *value)?,
                Change::Delete(field) => self.delete(field)?,
            }
        }
        self.settle(&times)
    }

    fn defaults(&mut self) {
        let half_hour = TimeDelta::minutes(30);
        let now =
            self.content.start.with_minute(0).and_then(|at| at.with_second(0)).and_then(|at| at.with_nanosecond(0));
        self.content.start = now.unwrap_or(self.content.start) + TimeDelta::hours(1);
        self.content.end = self.content.start + half_hour;
        if let Some(zone) = self.context {
            self.content.start_zone = zone.clone();
            self.content.end_zone = zone.clone();
        }
        self.content.plain.extend(default_fields("Busy"));
    }

    /// Takes the zones from the changes, and answers those that were given.
    fn zones(&mut self, changes: &[Change<'_>]) -> Result<GivenZones, EwsError> {
        let mut given = GivenZones { start: None, end: None };
        for change in changes {
            let Change::Set(field, value) = change else { continue };
            let name =
                value.attribute("Id").or_else(|| value.attribute("Name")).or_else(|| value.attribute("TimeZoneName"));
            match (field.name, name) {
                ("StartTimeZone", Some(name)) => given.start = Some(Zone::named(name)?),
                ("EndTimeZone", Some(name)) => given.end = Some(Zone::named(name)?),
                ("MeetingTimeZone", Some(name)) => {
                    let zone = Zone::named(name)?;
                    given.start.get_or_insert_with(|| zone.clone());
                    given.end.get_or_insert(zone);
                }
                _ => {}
            }
        }
        if let Some(zone) = &given.start {
            self.content.start_zone = zone.clone();
            // An end zone that was never chosen follows the start.
            if self.is_new && given.end.is_none() {
                self.content.end_zone = zone.clone();
            }
        }
        if let Some(zone) = &given.end {
            self.content.end_zone = zone.clone();
        }
        Ok(given)
    }

    fn set(
        &mut self,
        field: &'static Field,
        value: Element<'_>,
        given: &GivenZones,
        times: &mut Times,
    ) -> Result<(), EwsError> {
        let utc = Zone::utc();
        let zone = |given: &Option<Zone>| given.as_ref().or(self.context).unwrap_or(&utc).clone();
        let text = value.content();
        let plain = match field.write {
            Write::No => return Err(read_only(&field.uri())),
            Write::Text => Value::Text(text),
            Write::Boolean => Value::Boolean(boolean(&text)?),
            Write::Integer(least, most) => {
                let number = integer(&text)?;
                let is_mark = number == REMINDER_DEFAULT_MARK && field.name == "ReminderMinutesBeforeStart";
                if !(least..=most).contains(&number) && !is_mark {
                    return Err(schema_violation(format!("{} must be between {least} and {most}", field.uri())));
                }
                Value::Integer(number)
            }
            Write::Choice(choices) => {
                let text = text.trim();
                if !choices.contains(&text) {
                    return Err(schema_violation(format!("{text:?} is not a value of {}", field.uri())));
                }
                Value::Text(text.to_owned())
            }
            Write::Strings => Value::Strings(value.kids().map(|kid| kid.content()).collect()),
            Write::Body => Value::Body { html: is_html(value)?, text },
            Write::Special => {
                match field.name {
                    "Start" => times.start = Some(zones::instant(&text, &zone(&given.start))?),
                    "End" => times.end = Some(zones::instant(&text, &zone(&given.end))?),
                    "IsAllDayEvent" => self.content.all_day = boolean(&text)?,
                    "UID" if self.is_instance => return Err(not_for_instances("calendar:UID")),
                    "UID" if !text.trim().is_empty() => self.uid = text.trim().to_owned(),
                    "Recurrence" if self.is_instance => return Err(not_for_instances("calendar:Recurrence")),
                    "Recurrence" => self.recurrence = Some(Recurrence::read(value)?),
                    "RequiredAttendees" => self.set_attendees(Role::Required, value, false)?,
                    "OptionalAttendees" => self.set_attendees(Role::Optional, value, false)?,
                    "Resources" => self.set_attendees(Role::Resource, value, false)?,
                    // Zones were read before; ReminderDueBy is Start minus the minutes, so it has nothing to say.
                    _ => {}
                }
                return Ok(());
            }
        };
        self.content.plain.insert(field.name, plain);
        Ok(())
    }

    fn append(&mut self, field: &'static Field, value: Element<'_>) -> Result<(), EwsError> {
        match (field.name, self.content.plain.get_mut(field.name)) {
            ("RequiredAttendees", _) => self.set_attendees(Role::Required, value, true),
            ("OptionalAttendees", _) => self.set_attendees(Role::Optional, value, true),
            ("Resources", _) => self.set_attendees(Role::Resource, value, true),
            ("Body", Some(Value::Body { text, .. })) => {
                text.push_str(&value.content());
                Ok(())
            }
            ("Body", _) => {
                let body = Value::Body { html: is_html(value)?, text: value.content() };
                self.content.plain.insert("Body", body);
                Ok(())
            }
            _ => {
                Err(EwsError::new("ErrorAppendPropertyNotSupported", format!("{} cannot be appended to.", field.uri())))
            }
        }
    }

    fn delete(&mut self, field: &'static Field) -> Result<(), EwsError> {
        match field.name {
            "RequiredAttendees" => self.content.attendees.retain(|attendee| attendee.role != Role::Required),
            "OptionalAttendees" => self.content.attendees.retain(|attendee| attendee.role != Role::Optional),
            "Resources" => self.content.attendees.retain(|attendee| attendee.role != Role::Resource),
            "Recurrence" => self.recurrence = None,
            "Start" | "End" | "IsAllDayEvent" | "UID" | "StartTimeZone" | "EndTimeZone" => {
                return Err(EwsError::new(
                    "ErrorDeletePropertyNotSupported",
                    format!("{} cannot be deleted.", field.uri()),
                ));
            }
            _ if field.write == Write::No => return Err(read_only(&field.uri())),
            name => {
                self.content.plain.remove(name);
            }
        }
        Ok(())
    }

    /// Replaces the attendees of one role, or adds to them. Answers that were given are kept by address.
    fn set_attendees(&mut self, role: Role, list: Element<'_>, append: bool) -> Result<(), EwsError> {
        let known: Vec<Attendee> = self.content.attendees.clone();
        if !append {
            self.content.attendees.retain(|attendee| attendee.role != role);
        }
        for attendee in list.kids() {
            let mailbox = attendee.need("Mailbox")?;
            let address = mailbox.kid_text("EmailAddress").unwrap_or_default();
            if address.is_empty() || !address.contains('@') {
                return Err(EwsError::new("ErrorInvalidRecipients", "An attendee has no usable e-mail address."));
            }
            let person = (self.person)(&address, mailbox.kid_text("Name").as_deref());
            let before = known.iter().find(|known| known.person.is(&person.address));
            let (reply, replied) = before.map_or((Reply::Unknown, None), |before| (before.reply, before.replied));
            if self.content.attendees.iter().any(|other| other.role == role && other.person.is(&person.address)) {
                continue;
            }
            if self.content.attendees.len() >= ATTENDEES_MAX {
                return Err(EwsError::new("ErrorInvalidRecipients", format!("More than {ATTENDEES_MAX} attendees.")));
            }
            self.content.attendees.push(Attendee { person, role, reply, replied });
        }
        Ok(())
    }

    /// Makes times, all-day days and recurrence fit together, and checks them.
    fn settle(&mut self, times: &Times) -> Result<(), EwsError> {
        let content = &mut self.content;
        let length = content.end - content.start;
        content.start = times.start.unwrap_or(content.start);
        content.end = times
            .end
            .unwrap_or_else(|| if times.start.is_some() && self.is_new { content.start + length } else { content.end });
        if content.end < content.start {
            return Err(EwsError::new(
                "ErrorCalendarEndDateIsEarlierThanStartDate",
                "EndDate is earlier than StartDate.",
            ));
        }
        if content.all_day {
            content.start = content.start_zone.midnight_before(content.start);
            content.end = content.end_zone.midnight_after(content.end);
            if content.end <= content.start {
                content.end = content.end_zone.next_midnight(content.start);
            }
        }
        if content.end - content.start > TimeDelta::days(DURATION_DAYS_MAX) {
            return Err(EwsError::new(
                "ErrorCalendarDurationIsTooLong",
                "An appointment may not last longer than five years.",
            ));
        }
        let Some(recurrence) = &self.recurrence else { return Ok(()) };
        let far = match recurrence.range {
            Range::Until(end) => end,
            Range::NoEnd | Range::Count(_) => recurrence.start + TimeDelta::days(3_660),
        };
        let Some(first) = recurrence.days(far).first().copied() else {
            return Err(EwsError::new("ErrorCalendarInvalidRecurrence", "The series has no occurrence."));
        };
        // The master is the first occurrence, whatever day it was sent with.
        let local = content.start_zone.local(content.start);
        let length = content.end - content.start;
        content.start = content.start_zone.instant(first.and_time(local.time()));
        content.end = content.start + length;
        Ok(())
    }
}

/// The fields of a fresh appointment, with the server's default reminder.
pub fn default_fields(free_busy: &str) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("Sensitivity", Value::Text("Normal".into())),
        ("Importance", Value::Text("Normal".into())),
        ("LegacyFreeBusyStatus", Value::Text(free_busy.into())),
        ("ReminderIsSet", Value::Boolean(true)),
        ("ReminderMinutesBeforeStart", Value::Integer(15)),
        ("IsResponseRequested", Value::Boolean(true)),
        ("AllowNewTimeProposal", Value::Boolean(true)),
        ("ConferenceType", Value::Integer(0)),
    ])
}

/// Means "the user's default reminder" in ReminderMinutesBeforeStart.
const REMINDER_DEFAULT_MARK: i64 = 1_525_252_321;

struct GivenZones {
    start: Option<Zone>,
    end: Option<Zone>,
}

struct Times {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

fn is_html(body: Element<'_>) -> Result<bool, EwsError> {
    match body.attribute("BodyType") {
        Some("HTML") => Ok(true),
        Some("Text") => Ok(false),
        _ => Err(schema_violation("Body needs BodyType HTML or Text")),
    }
}

fn unexpected(name: &str, why: &str) -> EwsError {
    schema_violation(format!("The element '{name}' {why}."))
}

fn read_only(what: &str) -> EwsError {
    EwsError::new("ErrorInvalidPropertySet", format!("Set action is invalid for property {what}."))
}

fn not_for_instances(what: &str) -> EwsError {
    EwsError::new("ErrorInvalidPropertySet", format!("Set action is invalid for {what} on one occurrence of a series."))
}
