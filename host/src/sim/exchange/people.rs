//! The people beside their mailboxes: FindPeople, ExpandDL, GetUserAvailability.
//!
//! Promises: lists are opened one level deep; who is busy is told to everybody, as a default mailbox does. Must not know: HTTP.

use chrono::{NaiveDateTime, TimeDelta};

use super::Role;
use super::call::Call;
use super::error::{ExchangeError, schema_violation};
use super::find;
use super::item::Person;
use super::store::Account;
use super::xml::{Element, Messages, Read, Xml, error_payload, integer};

/// Rows of one page.
const PAGE_MAX: usize = 1_000;
/// Mailboxes of one GetUserAvailability, and days of its window.
const MAILBOXES_MAX: usize = 100;
const WINDOW_DAYS_MAX: i64 = 62;
const CLOCK: &str = "%Y-%m-%dT%H:%M:%S";

/// Searches the directory by beginnings of words.
pub fn find_people(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let view = request.need("IndexedPageItemView")?;
    let number = |name: &str| -> Result<usize, ExchangeError> {
        let text = view.need_attribute(name)?;
        usize::try_from(integer(text)?).map_err(|_| schema_violation(format!("{name} is negative")))
    };
    let (most, offset) = (number("MaxEntriesReturned")?.min(PAGE_MAX), number("Offset")?);
    let wanted = request.kid_text("QueryString").unwrap_or_default().to_lowercase();
    let fits = |account: &&Account| {
        account.role == Role::User
            && (account.name.to_lowercase().split(' ').any(|word| word.starts_with(&wanted))
                || account.address.to_lowercase().starts_with(&wanted))
    };
    let found: Vec<&Account> = call.world.accounts.iter().filter(fits).collect();
    xml.element("m:FindPeopleResponse", &[("ResponseClass", "Success")], |xml| {
        xml.text("m:ResponseCode", "NoError");
        xml.open("m:People", |xml| {
            for account in found.iter().skip(offset).take(most) {
                xml.open("t:Persona", |xml| persona(account, xml));
            }
        });
        xml.text("m:TotalNumberOfPeopleInView", found.len());
        xml.text("m:FirstMatchingRowIndex", 0);
        xml.text("m:FirstLoadedRowIndex", offset);
    });
    Ok(())
}

fn persona(account: &Account, xml: &mut Xml) {
    let (given, surname) = account.name.split_once(' ').unwrap_or((&account.name, ""));
    xml.empty("t:PersonaId", &[("Id", &account.directory_id.to_string())]);
    xml.text("t:PersonaType", "Person");
    xml.text("t:DisplayName", &account.name);
    xml.text("t:GivenName", given);
    xml.text("t:Surname", surname);
    xml.open("t:EmailAddress", |xml| {
        xml.text("t:Name", &account.name);
        xml.text("t:EmailAddress", &account.address);
        xml.text("t:RoutingType", "SMTP");
        xml.text("t:MailboxType", "Mailbox");
    });
}

pub fn expand_dl(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let address = request.need("Mailbox")?.kid_text("EmailAddress").unwrap_or_default();
    let list = call.world.lists.iter().find(|list| list.address.eq_ignore_ascii_case(&address));
    let mut messages = Messages::new("ExpandDL");
    match list {
        None => {
            let error = ExchangeError::new("ErrorNameResolutionNoResults", "No results were found.");
            messages.add(Err::<(), _>(error), |_, ()| {});
        }
        Some(list) => messages.add(Ok(()), |xml, ()| {
            let count = list.members.len().to_string();
            let attributes = [("TotalItemsInView", count.as_str()), ("IncludesLastItemInRange", "true")];
            xml.element("m:DLExpansion", &attributes, |xml| {
                list.members.iter().for_each(|member| write_member(call, member, xml));
            });
        }),
    }
    messages.write("ExpandDL", xml);
    Ok(())
}

fn write_member(call: &Call<'_>, address: &str, xml: &mut Xml) {
    if let Some(inner) = call.world.lists.iter().find(|list| list.address.eq_ignore_ascii_case(address)) {
        xml.open("t:Mailbox", |xml| {
            xml.text("t:Name", &inner.name);
            xml.text("t:EmailAddress", &inner.address);
            xml.text("t:RoutingType", "SMTP");
            xml.text("t:MailboxType", "PublicDL");
        });
        return;
    }
    let person: Person = call.world.person(address, None);
    person.write(xml);
}

pub fn get_user_availability(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let bias = TimeDelta::minutes(integer(&request.need("TimeZone")?.need("Bias")?.content())?);
    let mailboxes: Vec<Element<'_>> = request.need("MailboxDataArray")?.kids().collect();
    if mailboxes.len() >= MAILBOXES_MAX {
        return Err(ExchangeError::new("ErrorMailboxDataArrayTooBig", "Too many mailboxes were named."));
    }
    let window = request.need("FreeBusyViewOptions")?.need("TimeWindow")?;
    let moment = |name: &str| -> Result<_, ExchangeError> {
        let text = window.need(name)?.content();
        let local = NaiveDateTime::parse_from_str(text.trim(), CLOCK);
        local.map(|local| (local + bias).and_utc()).map_err(|_| schema_violation(format!("{name} is not a time")))
    };
    let (from, to) = (moment("StartTime")?, moment("EndTime")?);
    if to <= from {
        return Err(ExchangeError::new("ErrorInvalidTimeInterval", "The window ends before it begins."));
    }
    if to - from > TimeDelta::days(WINDOW_DAYS_MAX) {
        return Err(ExchangeError::new("ErrorTimeIntervalTooBig", "The window is too long."));
    }
    xml.open("m:GetUserAvailabilityResponse", |xml| {
        xml.open("m:FreeBusyResponseArray", |xml| {
            for data in mailboxes {
                let address = data.kid("Email").and_then(|email| email.kid_text("Address")).unwrap_or_default();
                let calendar =
                    call.world.mailbox_of(&address).and_then(|mailbox| call.world.folder(mailbox, "calendar"));
                xml.open("m:FreeBusyResponse", |xml| match calendar {
                    None => {
                        let text = "The mailbox was not found in the directory.";
                        let error = ExchangeError::new("ErrorMailRecipientNotFound", text);
                        xml.element("m:ResponseMessage", &[("ResponseClass", "Error")], |xml| {
                            error_payload(xml, &error)
                        });
                    }
                    Some(calendar) => {
                        xml.element("m:ResponseMessage", &[("ResponseClass", "Success")], |xml| {
                            xml.text("m:ResponseCode", "NoError");
                        });
                        xml.open("m:FreeBusyView", |xml| {
                            xml.text("t:FreeBusyViewType", "FreeBusy");
                            xml.open("t:CalendarEventArray", |xml| events(call, calendar, (from, to), bias, xml));
                        });
                    }
                });
            }
        });
    });
    Ok(())
}

fn events(
    call: &Call<'_>,
    calendar: usize,
    (from, to): (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>),
    bias: TimeDelta,
    xml: &mut Xml,
) {
    for view in find::window(call.world.in_folder(calendar), from, to).into_iter().filter(|view| view.end > from) {
        xml.open("t:CalendarEvent", |xml| {
            xml.text("t:StartTime", (view.start - bias).format(CLOCK));
            xml.text("t:EndTime", (view.end - bias).format(CLOCK));
            xml.text("t:BusyType", view.content.text("LegacyFreeBusyStatus").unwrap_or("Busy"));
        });
    }
}
