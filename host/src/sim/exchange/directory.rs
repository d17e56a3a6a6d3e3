//! The directory and other questions that concern no item: ResolveNames, ConvertId, GetServerTimeZones,
//! GetUserConfiguration.
//!
//! Must not know: HTTP, calendars.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Role;
use super::call::Call;
use super::error::ExchangeError;
use super::ids;
use super::store::Account;
use super::xml::{Element, Messages, Read, Xml, boolean};
use super::zones::{Zone, server_zones};

/// Candidates of one answer [resolvenames-operation].
const CANDIDATES_MAX: usize = 100;

pub fn resolve_names(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let full = boolean(request.need_attribute("ReturnFullContactData")?)?;
    let entry = request.need("UnresolvedEntry")?.content().trim().to_lowercase();
    let wanted = entry.strip_prefix("smtp:").unwrap_or(&entry);
    let fits = |account: &&Account| {
        let words = account.name.to_lowercase();
        account.role == Role::User
            && (account.answers_to(wanted)
                || words.starts_with(wanted)
                || words.split_whitespace().any(|word| word.starts_with(wanted))
                || account.address.to_lowercase().starts_with(wanted))
    };
    let accounts = &call.world.accounts;
    let found: Vec<&Account> = accounts.iter().filter(fits).filter(|_| !wanted.is_empty()).collect();
    let shown = || found.iter().take(CANDIDATES_MAX).copied();
    let mut messages = Messages::new("ResolveNames");
    match found.len() {
        0 => messages.add(
            Err::<(), _>(ExchangeError::new("ErrorNameResolutionNoResults", "No results were found.")),
            |_, ()| {},
        ),
        1 => messages.add(Ok(()), |xml, ()| resolutions(shown(), found.len(), full, xml)),
        _ => {
            let text = "Multiple results were found.";
            let warning = ExchangeError::new("ErrorNameResolutionMultipleResults", text);
            messages.warn(&warning, |xml| resolutions(shown(), found.len(), full, xml));
        }
    }
    messages.write("ResolveNames", xml);
    Ok(())
}

pub fn convert_id(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let format = request.need_attribute("DestinationFormat")?;
    let owner = call.mailbox.and_then(|mailbox| call.world.accounts.get(mailbox));
    let owner = owner.map(|account| account.address.clone()).unwrap_or_default();
    let mut messages = Messages::new("ConvertId");
    for source in request.need("SourceIds")?.kids() {
        let id = source.need_attribute("Id")?;
        let outcome = ids::parse(id).map(|_| match format {
            "HexEntryId" => STANDARD.decode(id).unwrap_or_default().iter().map(|byte| format!("{byte:02X}")).collect(),
            "OwaId" => utf8_percent_encode(id, NON_ALPHANUMERIC).to_string(),
            _ => id.to_owned(),
        });
        messages.add(outcome, |xml, id| {
            let attributes = [
                ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
                ("xsi:type", "t:AlternateIdType"),
                ("Format", format),
                ("Id", id.as_str()),
                ("Mailbox", owner.as_str()),
            ];
            xml.empty("m:AlternateId", &attributes);
        });
    }
    messages.write("ConvertId", xml);
    Ok(())
}

/// The short form: names without their rules.
pub fn get_server_time_zones(request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let wanted: Option<Vec<String>> =
        request.kid("Ids").map(|ids| ids.kids().map(|id| id.content().trim().to_owned()).collect());
    let shown: Vec<&str> = match &wanted {
        Some(wanted) => wanted.iter().map(String::as_str).filter(|id| Zone::named(id).is_ok()).collect(),
        None => server_zones(),
    };
    let mut messages = Messages::new("GetServerTimeZones");
    messages.add(Ok(()), |xml, ()| {
        xml.open("m:TimeZoneDefinitions", |xml| {
            shown.iter().for_each(|id| xml.empty("t:TimeZoneDefinition", &[("Id", id), ("Name", id)]));
        });
    });
    messages.write("GetServerTimeZones", xml);
    Ok(())
}

/// The options of Outlook on the web, as far as they are known: the time zone. Nothing else was ever configured.
pub fn get_user_configuration(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let name = request.need("UserConfigurationName")?.attribute("Name").unwrap_or_default().to_owned();
    let owner = call.mailbox.and_then(|mailbox| call.world.accounts.get(mailbox));
    let zone = owner.filter(|_| name == "OWA.UserOptions").map(|account| account.zone.clone());
    let missing = || ExchangeError::new("ErrorItemNotFound", "The user configuration was not found.");
    let mut messages = Messages::new("GetUserConfiguration");
    messages.add(zone.ok_or_else(missing), |xml, zone| {
        xml.open("m:UserConfiguration", |xml| {
            xml.element("t:UserConfigurationName", &[("Name", &name)], |_| {});
            xml.open("t:Dictionary", |xml| {
                xml.open("t:DictionaryEntry", |xml| {
                    for (part, value) in [("t:DictionaryKey", "timezone"), ("t:DictionaryValue", &zone)] {
                        xml.open(part, |xml| {
                            xml.text("t:Type", "String");
                            xml.text("t:Value", value);
                        });
                    }
                });
            });
        });
    });
    messages.write("GetUserConfiguration", xml);
    Ok(())
}

/// Attachments are limited to nothing here, as an administrator can do.
pub fn create_attachment(request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let mut messages = Messages::new("CreateAttachment");
    for _ in request.need("Attachments")?.kids() {
        let text = "The attachment exceeds the size limit.";
        messages.add(Err::<(), _>(ExchangeError::new("ErrorAttachmentSizeLimitExceeded", text)), |_, ()| {});
    }
    messages.write("CreateAttachment", xml);
    Ok(())
}

fn resolutions<'a>(found: impl Iterator<Item = &'a Account>, total: usize, full: bool, xml: &mut Xml) {
    let shown = total.to_string();
    let is_last = if total <= CANDIDATES_MAX { "true" } else { "false" };
    let attributes = [("TotalItemsInView", shown.as_str()), ("IncludesLastItemInRange", is_last)];
    xml.element("m:ResolutionSet", &attributes, |xml| {
        for account in found {
            xml.open("t:Resolution", |xml| {
                account.person().write(xml);
                if full {
                    write_contact(account, xml);
                }
            });
        }
    });
}

fn write_contact(account: &Account, xml: &mut Xml) {
    let (given, surname) = account.name.split_once(' ').unwrap_or((&account.name, ""));
    xml.open("t:Contact", |xml| {
        xml.text("t:DisplayName", &account.name);
        xml.text("t:GivenName", given);
        xml.open("t:EmailAddresses", |xml| {
            let primary = std::iter::once(("SMTP", &account.address));
            let others = account.aliases.iter().map(|alias| ("smtp", alias));
            for (place, (kind, address)) in primary.chain(others).enumerate().take(3) {
                let key = format!("EmailAddress{}", place + 1);
                xml.text_with("t:Entry", &[("Key", &key)], format_args!("{kind}:{address}"));
            }
        });
        xml.text("t:ContactSource", "ActiveDirectory");
        xml.text("t:Surname", surname);
    });
}
