//! The directory: users, their mailbox settings, and the zones a mailbox knows.
//!
//! Promises: everyone is listed, also who has no mailbox; settings come one user at a time. Must not know: calendars.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Refused};
use super::filter::{self, Filter, Subject};
use super::query::{page, pick, select};
use super::request::Request;
use crate::sim::exchange::Role;
use crate::sim::exchange::store::{Account, World};
use crate::sim::exchange::zones::server_zones;

/// Users of a page where the client names no number [user-list].
const PAGE_SIZE: usize = 100;
/// What is shown of a user that is not selected from [user-list].
const SHOWN: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];

pub fn list(world: &World, request: &Request) -> Result<Answer, Refused> {
    let eventual = request.header("consistencylevel").is_some_and(|level| level.eq_ignore_ascii_case("eventual"));
    let advanced =
        || Refused::bad("Request_UnsupportedQuery", "This query needs ConsistencyLevel: eventual and $count.");
    let mut users: Vec<Value> = world.accounts.iter().map(|account| all(account).into()).collect();
    if request.option("search").is_some() && !eventual {
        return Err(advanced());
    }
    if let Some(text) = request.option("filter") {
        let filter = Filter::read(text)?;
        if (filter.has_end() || request.option("orderby").is_some()) && !eventual {
            return Err(advanced());
        }
        users.retain(|user| filter.fits(user));
    }
    if let Some(wanted) = request.option("search") {
        users.retain(|user| searched(user, wanted));
    }
    if let Some(text) = request.option("orderby") {
        let by = filter::read_order(text);
        users.sort_by(|one, other| filter::order(&by, one, other));
    }
    let names = selected(request);
    page(request, "users", PAGE_SIZE, users, |user| shown(user, &names)).map(Answer::ok)
}

pub fn one(world: &World, request: &Request, name: &str) -> Result<Answer, Refused> {
    let (_, account) = find(world, name).ok_or_else(|| {
        let text = format!(
            "Resource '{name}' does not exist or one of its queried reference-property objects are not present."
        );
        Refused::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", text)
    })?;
    let mut user = shown(&all(account).into(), &selected(request));
    if let Some(user) = user.as_object_mut() {
        user.insert("@odata.context".into(), format!("{}/$metadata#users/$entity", request.base).into());
    }
    Ok(Answer::ok(user))
}

/// The account that a user's id or principal name names.
pub fn find<'w>(world: &'w World, name: &str) -> Option<(usize, &'w Account)> {
    let is_meant = |account: &Account| {
        account.address.eq_ignore_ascii_case(name) || account.directory_id.to_string().eq_ignore_ascii_case(name)
    };
    world.accounts.iter().enumerate().find(|(_, account)| is_meant(account))
}

pub fn mailbox_settings(
    world: &World,
    request: &Request,
    mailbox: usize,
    part: Option<&str>,
) -> Result<Answer, Refused> {
    let zone = world.accounts.get(mailbox).map(|account| account.zone.clone()).unwrap_or_default();
    let context = format!("{}/$metadata#users('{mailbox}')/mailboxSettings", request.base);
    match part {
        None => Ok(Answer::ok(json!({
            "@odata.context": context,
            "archiveFolder": "",
            "timeZone": zone,
            "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
            "dateFormat": "yyyy-MM-dd",
            "timeFormat": "HH:mm",
            "automaticRepliesSetting": { "status": "disabled", "externalAudience": "all" },
            "language": { "locale": "en-US", "displayName": "English (United States)" },
            "workingHours": { "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
                "startTime": "08:00:00.0000000", "endTime": "17:00:00.0000000", "timeZone": { "name": zone } },
        }))),
        Some("timeZone") => Ok(Answer::ok(json!({ "@odata.context": format!("{context}/timeZone"), "value": zone }))),
        Some(other) => {
            let text = format!("Resource not found for the segment '{other}'.");
            Err(Refused::new(StatusCode::NOT_FOUND, "ResourceNotFound", text))
        }
    }
}

/// `supportedTimeZones`, or `supportedTimeZones(TimeZoneStandard=microsoft.graph.timeZoneStandard'Iana')`.
pub fn time_zones(request: &Request, segment: &str) -> Result<Answer, Refused> {
    let argument = segment.split_once('(').map(|(_, argument)| argument.to_ascii_lowercase());
    let iana = match argument.as_deref() {
        None | Some(")") => false,
        Some(argument) if argument.contains("'iana'") => true,
        Some(argument) if argument.contains("'windows'") => false,
        Some(_) => return Err(Refused::bad("BadRequest", "TimeZoneStandard is Windows or Iana.")),
    };
    let zones: Vec<Value> = match iana {
        true => {
            let names = chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name());
            names.map(|name| json!({ "alias": name, "displayName": name })).collect()
        }
        false => server_zones().into_iter().map(|name| json!({ "alias": name, "displayName": name })).collect(),
    };
    let context = format!("{}/$metadata#Collection(microsoft.graph.timeZoneInformation)", request.base);
    Ok(Answer::ok(json!({ "@odata.context": context, "value": zones })))
}

/// Every property of a user that this directory holds.
fn all(account: &Account) -> Map<String, Value> {
    let (given, family) = account.name.rsplit_once(' ').unwrap_or((&account.name, ""));
    let has_mailbox = account.role == Role::User;
    let mail = has_mailbox.then(|| account.address.clone());
    let proxies = account.aliases.iter().map(|alias| format!("smtp:{alias}"));
    let proxies: Vec<String> =
        mail.iter().map(|mail| format!("SMTP:{mail}")).chain(proxies.filter(|_| has_mailbox)).collect();
    let user = json!({
        "id": account.directory_id.to_string(),
        "displayName": account.name,
        "givenName": given,
        "surname": family,
        "userPrincipalName": account.address,
        "mail": mail,
        "proxyAddresses": proxies,
        "accountEnabled": true,
        "userType": "Member",
        "mailNickname": account.login,
        "businessPhones": [],
        "jobTitle": null,
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
    });
    match user {
        Value::Object(user) => user,
        _ => Map::new(),
    }
}

fn selected(request: &Request) -> Vec<String> {
    select(request).unwrap_or_else(|| SHOWN.iter().map(|name| (*name).to_owned()).collect())
}

fn shown(user: &Value, names: &[String]) -> Value {
    let mut shown = user.as_object().cloned().unwrap_or_default();
    pick(&mut shown, Some(names));
    shown.into()
}

/// `"displayName:ann"`: a word of the value begins with it.
fn searched(user: &Value, wanted: &str) -> bool {
    let wanted = wanted.trim_matches('"');
    let Some((path, word)) = wanted.split_once(':') else { return false };
    let Some(Value::String(text)) = user.value(path) else { return false };
    let word = word.to_lowercase();
    text.to_lowercase().split_whitespace().any(|part| part.starts_with(&word))
}
