//! One request: who asks, for which mailbox, in which zone; and how it names folders and items.
//!
//! Promises: a caller reaches the own mailbox only, or the one it may impersonate; a foreign item looks like a missing
//! one. Must not know: HTTP.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::Role;
use super::error::{ExchangeError, not_found, schema_violation};
use super::ids;
use super::item::{Item, View};
use super::store::World;
use super::target::Target;
use super::xml::{Element, Read};
use super::zones::Zone;

/// Versions a server of this generation speaks.
const VERSIONS: &[&str] = &[
    "Exchange2007",
    "Exchange2007_SP1",
    "Exchange2010",
    "Exchange2010_SP1",
    "Exchange2010_SP2",
    "Exchange2013",
    "Exchange2013_SP1",
    "Exchange2015",
    "Exchange2016",
];
/// Instances of a series that an index may reach: ten years of a daily one.
const INDEX_DAYS_MAX: i64 = 3_660;

/// The caller and the world during one operation.
pub struct Call<'w> {
    pub world: &'w mut World,
    /// Whose mailbox is acted on; none for a service account that does not impersonate.
    pub mailbox: Option<usize>,
    /// Signed in as a service account, which reaches every mailbox.
    pub by_service: bool,
    /// The request's TimeZoneContext.
    pub zone: Option<Zone>,
}

impl<'w> Call<'w> {
    /// Reads the SOAP header of a request by an account.
    pub fn new(world: &'w mut World, account: usize, header: Option<Element<'_>>) -> Result<Self, ExchangeError> {
        let mut seen = BTreeSet::new();
        for block in header.iter().flat_map(|header| header.children()).filter(|block| block.is_element()) {
            if !seen.insert(block.tag_name().name().to_owned()) {
                let text = format!("The SOAP header {} appears more than once.", block.tag_name().name());
                return Err(ExchangeError::new("ErrorDuplicateSOAPHeader", text));
            }
        }
        let block = |name: &str| header.and_then(|header| header.kid(name));
        let version = block("RequestServerVersion").and_then(|node| node.attribute("Version"));
        if version.is_some_and(|version| !VERSIONS.contains(&version)) {
            return Err(ExchangeError::new("ErrorInvalidServerVersion", "The specified server version is invalid."));
        }
        let zone = match block("TimeZoneContext").and_then(|node| node.kid("TimeZoneDefinition")) {
            Some(zone) => zone.attribute("Id").or_else(|| zone.attribute("Name")).map(Zone::named).transpose()?,
            None => None,
        };
        let impersonated = block("ExchangeImpersonation").map(|node| impersonated(world, account, node)).transpose()?;
        let role = world.accounts.get(account).map(|account| account.role);
        let mailbox = impersonated.or_else(|| (role == Some(Role::User)).then_some(account));
        Ok(Self { world, mailbox, by_service: role == Some(Role::Service), zone })
    }

    /// Name of the mailbox's owner, for LastModifiedName.
    pub fn owner(&self) -> String {
        let account = self.mailbox.and_then(|mailbox| self.world.accounts.get(mailbox));
        account.map(|account| account.name.clone()).unwrap_or_default()
    }

    /// The mailbox, for operations that name none themselves.
    pub fn own_mailbox(&self) -> Result<usize, ExchangeError> {
        self.mailbox.ok_or_else(|| {
            ExchangeError::new("ErrorMissingEmailAddress", "The caller has no mailbox, and the request names none.")
        })
    }

    /// The folder that a FolderId or DistinguishedFolderId names.
    pub fn folder(&self, node: Element<'_>) -> Result<usize, ExchangeError> {
        let id = node.need_attribute("Id")?;
        if node.local() == "FolderId" {
            ids::parse(id)?;
            let known = self.world.folders.iter().position(|folder| folder.id == id);
            let folder = known.and_then(|position| self.world.folders.get(position));
            return match (known, folder) {
                (Some(position), Some(folder)) if Some(folder.mailbox) == self.mailbox => Ok(position),
                (Some(_), Some(_)) => Err(denied()),
                _ => Err(ExchangeError::new("ErrorItemNotFound", "The folder was not found in the store.")),
            };
        }
        let mailbox = match node.kid("Mailbox").and_then(|mailbox| mailbox.kid_text("EmailAddress")) {
            Some(address) => self.addressed(&address)?,
            None => self.own_mailbox()?,
        };
        self.world.folder(mailbox, id).ok_or_else(|| {
            ExchangeError::new("ErrorFolderNotFound", "The specified folder could not be found in the store.")
        })
    }

    /// All folders that a list of folder ids names.
    pub fn folders(&self, list: Element<'_>) -> Result<Vec<usize>, ExchangeError> {
        list.kids().map(|node| self.folder(node)).collect()
    }

    /// The item that an ItemId, OccurrenceItemId, RecurringMasterItemId or ReferenceItemId names.
    pub fn target(&self, node: Element<'_>) -> Result<Target, ExchangeError> {
        let change_key = node.attribute("ChangeKey").map(ids::version).transpose()?;
        match node.local() {
            "OccurrenceItemId" => {
                let master = self.find(node.need_attribute("RecurringMasterId")?)?;
                let index = super::xml::integer(node.need_attribute("InstanceIndex")?)?;
                let instance = Some(self.nth(master.key, index)?);
                Ok(Target { key: master.key, instance, change_key })
            }
            "RecurringMasterItemId" => {
                let occurrence = self.find(node.need_attribute("OccurrenceId")?)?;
                Ok(Target { key: occurrence.key, instance: None, change_key })
            }
            _ => Ok(Target { change_key, ..self.find(node.need_attribute("Id")?)? }),
        }
    }

    pub fn item(&self, target: &Target) -> Result<&Item, ExchangeError> {
        self.world.item(target)
    }

    /// What a target looks like.
    pub fn view(&self, target: &Target) -> Result<View<'_>, ExchangeError> {
        self.world.view(target)
    }

    fn find(&self, id: &str) -> Result<Target, ExchangeError> {
        // Ids that stay over moves belong to the other protocol.
        if ids::is_immutable(id) {
            return Err(ExchangeError::new("ErrorInvalidIdMalformed", "Id is malformed."));
        }
        self.world.target(self.mailbox, id)
    }

    fn nth(&self, master: u64, index: i64) -> Result<DateTime<Utc>, ExchangeError> {
        let item = self.world.items.get(&master).ok_or_else(not_found)?;
        let not_a_master = || {
            ExchangeError::new("ErrorCalendarCannotUseIdForOccurrenceId", "The id is not one of a recurring master.")
        };
        let series = item.series.as_ref().ok_or_else(not_a_master)?;
        let starts = item.instances_before(item.content.start + chrono::TimeDelta::days(INDEX_DAYS_MAX));
        let out_of_range = || {
            ExchangeError::new(
                "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
                "The occurrence index is out of the range of the series.",
            )
        };
        let place = usize::try_from(index - 1).map_err(|_| out_of_range())?;
        let start = *starts.get(place).ok_or_else(out_of_range)?;
        if series.deleted.contains(&start) {
            let text = "The occurrence was deleted from the series.";
            return Err(ExchangeError::new("ErrorCalendarOccurrenceIsDeletedFromRecurrence", text));
        }
        Ok(start)
    }

    /// The mailbox of a primary address that the caller may open.
    fn addressed(&self, address: &str) -> Result<usize, ExchangeError> {
        let (account, is_primary) = self.world.account_of(address).ok_or_else(no_mailbox)?;
        let known =
            self.world.accounts.get(account).filter(|account| account.role == Role::User).ok_or_else(no_mailbox)?;
        if !is_primary {
            let text = format!("The primary SMTP address must be used: {}", known.address);
            return Err(ExchangeError::new("ErrorNonPrimarySmtpAddress", text));
        }
        if self.mailbox == Some(account) { Ok(account) } else { Err(denied()) }
    }
}

fn impersonated(world: &World, account: usize, node: Element<'_>) -> Result<usize, ExchangeError> {
    let sid = node.need("ConnectingSID")?;
    let name = sid.kids().next().ok_or_else(|| schema_violation("ConnectingSID is empty"))?;
    let value = name.content().trim().to_owned();
    let found = match name.local() {
        "PrimarySmtpAddress" | "SmtpAddress" => world.account_of(&value),
        "PrincipalName" => world
            .accounts
            .iter()
            .position(|account| {
                account.login.eq_ignore_ascii_case(&value) || account.address.eq_ignore_ascii_case(&value)
            })
            .map(|account| (account, true)),
        "SID" => None,
        other => return Err(schema_violation(format!("{other} is not a kind of identity"))),
    };
    if world.accounts.get(account).is_none_or(|account| account.role != Role::Service) {
        let text = "The account does not have permission to impersonate the requested user.";
        return Err(ExchangeError::new("ErrorImpersonateUserDenied", text));
    }
    let (found, is_primary) = found.ok_or_else(no_mailbox)?;
    let target = world.accounts.get(found).filter(|account| account.role == Role::User).ok_or_else(no_mailbox)?;
    if !is_primary && name.local() == "PrimarySmtpAddress" {
        let text = format!("The primary SMTP address must be used: {}", target.address);
        return Err(ExchangeError::new("ErrorNonPrimarySmtpAddress", text));
    }
    Ok(found)
}

fn denied() -> ExchangeError {
    ExchangeError::new("ErrorAccessDenied", "Access is denied. Check credentials and try again.")
}

fn no_mailbox() -> ExchangeError {
    ExchangeError::new("ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.")
}
