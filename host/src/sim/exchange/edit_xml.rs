//! Reading changes from EWS: CreateItem's element and UpdateItem's list.
//!
//! Promises: elements that are out of the schema's order, or that no client may write, are refused before anything is
//! done. Must not know: items.

use super::edit::{Change, Invited, read_only};
use super::error::{ExchangeError, schema_violation};
use super::item::{Role, Value};
use super::property::PropertyName;
use super::schema::{self, Field, Write};
use super::series::Recurrence;
use super::xml::{Element, Read, boolean, integer};
use super::zones::{Zone, when};

/// Means "the user's default reminder" in ReminderMinutesBeforeStart.
const REMINDER_DEFAULT_MARK: i64 = 1_525_252_321;

/// Reads the element of CreateItem, checking its order.
pub fn changes_of(item: Element<'_>) -> Result<Vec<Change>, ExchangeError> {
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
        if name == "MimeContent" {
            // Comes first and is read apart: the elements behind it win.
            continue;
        }
        if name == "ExtendedProperty" {
            let property = PropertyName::read(kid.need("ExtendedFieldURI")?)?;
            let value = property.read_value(kid)?;
            changes.push(Change::Property(property, value));
        } else {
            changes.extend(set(field, kid)?);
        }
    }
    Ok(changes)
}

/// Reads the `Updates` of one ItemChange.
pub fn updates_of(updates: Element<'_>) -> Result<Vec<Change>, ExchangeError> {
    let mut changes = Vec::new();
    for update in updates.kids() {
        changes.extend(update_of(update)?);
    }
    Ok(changes)
}

fn update_of(update: Element<'_>) -> Result<Option<Change>, ExchangeError> {
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
            (Some(property), _) => Ok(Some(Change::NoProperty(property))),
            (None, Some(field)) => delete(field).map(Some),
            (None, None) => Err(schema_violation("a change names no property")),
        };
    }
    let item = update.kids().nth(1).ok_or_else(|| schema_violation("a change holds no item"))?;
    let mut values = item.kids();
    let count_wrong =
        || ExchangeError::new("ErrorIncorrectUpdatePropertyCount", "An update change must hold exactly one property.");
    let value = values.next().ok_or_else(count_wrong)?;
    if values.next().is_some() {
        return Err(count_wrong());
    }
    let mismatch =
        || ExchangeError::new("ErrorUpdatePropertyMismatch", "The property does not match the path of its change.");
    match (update.local(), property, field) {
        ("SetItemField", Some(property), _) => {
            if PropertyName::read(value.need("ExtendedFieldURI")?)? != property {
                return Err(mismatch());
            }
            let value = property.read_value(value)?;
            Ok(Some(Change::Property(property, value)))
        }
        (_, _, Some(field)) if field.name != value.local() => Err(mismatch()),
        ("SetItemField", None, Some(field)) => set(field, value),
        ("AppendToItemField", None, Some(field)) => append(field, value).map(Some),
        (other, _, _) => Err(schema_violation(format!("{other} is not a change to this property"))),
    }
}

/// What setting a field asks for; nothing for those that follow from others.
fn set(field: &'static Field, value: Element<'_>) -> Result<Option<Change>, ExchangeError> {
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
        Write::Special => return special(field.name, value, &text),
    };
    Ok(Some(Change::Plain(field.name, plain)))
}

fn special(name: &str, value: Element<'_>, text: &str) -> Result<Option<Change>, ExchangeError> {
    let attendees =
        |role: Role| Ok(Change::Attendees { role, people: people(value)?, append: false }) as Result<_, ExchangeError>;
    let zone = || {
        let name =
            value.attribute("Id").or_else(|| value.attribute("Name")).or_else(|| value.attribute("TimeZoneName"));
        name.map(Zone::named).transpose()
    };
    Ok(match name {
        "Start" => Some(Change::Start(when(text)?)),
        "End" => Some(Change::End(when(text)?)),
        "IsAllDayEvent" => Some(Change::AllDay(boolean(text)?)),
        "UID" => Some(Change::Uid(text.trim().to_owned())),
        "Recurrence" => Some(Change::Recurrence(Some(Recurrence::read(value)?))),
        "RequiredAttendees" => Some(attendees(Role::Required)?),
        "OptionalAttendees" => Some(attendees(Role::Optional)?),
        "Resources" => Some(attendees(Role::Resource)?),
        "StartTimeZone" => zone()?.map(Change::StartZone),
        "EndTimeZone" => zone()?.map(Change::EndZone),
        "MeetingTimeZone" => zone()?.map(Change::BothZones),
        // ReminderDueBy is Start minus the minutes, so it has nothing to say.
        _ => None,
    })
}

fn append(field: &'static Field, value: Element<'_>) -> Result<Change, ExchangeError> {
    let attendees = |role: Role| Ok(Change::Attendees { role, people: people(value)?, append: true });
    match field.name {
        "RequiredAttendees" => attendees(Role::Required),
        "OptionalAttendees" => attendees(Role::Optional),
        "Resources" => attendees(Role::Resource),
        "Body" => Ok(Change::AppendBody { html: is_html(value)?, text: value.content() }),
        _ => Err(ExchangeError::new(
            "ErrorAppendPropertyNotSupported",
            format!("{} cannot be appended to.", field.uri()),
        )),
    }
}

fn delete(field: &'static Field) -> Result<Change, ExchangeError> {
    let nobody = |role: Role| Ok(Change::Attendees { role, people: Vec::new(), append: false });
    match field.name {
        "RequiredAttendees" => nobody(Role::Required),
        "OptionalAttendees" => nobody(Role::Optional),
        "Resources" => nobody(Role::Resource),
        "Recurrence" => Ok(Change::Recurrence(None)),
        "Start" | "End" | "IsAllDayEvent" | "UID" | "StartTimeZone" | "EndTimeZone" => {
            Err(ExchangeError::new("ErrorDeletePropertyNotSupported", format!("{} cannot be deleted.", field.uri())))
        }
        _ if field.write == Write::No => Err(read_only(&field.uri())),
        name => Ok(Change::Clear(name)),
    }
}

fn people(list: Element<'_>) -> Result<Vec<Invited>, ExchangeError> {
    let invited = |attendee: Element<'_>| {
        let mailbox = attendee.need("Mailbox")?;
        let address = mailbox.kid_text("EmailAddress").unwrap_or_default();
        Ok(Invited { address, name: mailbox.kid_text("Name") })
    };
    list.kids().map(invited).collect()
}

fn is_html(body: Element<'_>) -> Result<bool, ExchangeError> {
    match body.attribute("BodyType") {
        Some("HTML") => Ok(true),
        Some("Text") => Ok(false),
        _ => Err(schema_violation("Body needs BodyType HTML or Text")),
    }
}

fn unexpected(name: &str, why: &str) -> ExchangeError {
    schema_violation(format!("The element '{name}' {why}."))
}
