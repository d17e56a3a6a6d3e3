//! Items by the ids that clients hold: found, and allowed.
//!
//! Promises: an item of another mailbox looks like a missing one. Must not know: XML, JSON.

use chrono::{DateTime, TimeDelta, Utc};

use super::error::{ExchangeError, not_found};
use super::ids::{self, Named};
use super::item::{Item, View};
use super::store::World;

/// An item that a request names, found and allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub key: u64,
    /// One instance of the series, by original start.
    pub instance: Option<DateTime<Utc>>,
    /// The version the client believes to be the last one.
    pub change_key: Option<u64>,
}

impl Target {
    /// The item itself.
    pub fn whole(key: u64) -> Self {
        Self { key, instance: None, change_key: None }
    }
}

impl World {
    /// What an id names in a mailbox; either kind of id will do.
    pub fn target(&self, mailbox: Option<usize>, id: &str) -> Result<Target, ExchangeError> {
        let (id, instance) = match ids::parse(id)? {
            Named::Item(id) => (id, None),
            Named::Occurrence(master, start) => (master, Some(start)),
        };
        if self.folders.iter().any(|folder| folder.id == id) {
            let text = "The id is the id of a folder.";
            return Err(ExchangeError::new("ErrorCannotUseFolderIdForItemId", text));
        }
        let item = self.item_by_id(&id).filter(|item| Some(item.mailbox) == mailbox).ok_or_else(not_found)?;
        if let Some(start) = instance {
            let series =
                item.series.as_ref().filter(|series| !series.deleted.contains(&start)).ok_or_else(not_found)?;
            let known = series.exceptions.contains_key(&start)
                || item.instances_before(start + TimeDelta::seconds(1)).last() == Some(&start);
            if !known {
                return Err(not_found());
            }
        }
        Ok(Target { key: item.key, instance, change_key: None })
    }

    pub fn item(&self, target: &Target) -> Result<&Item, ExchangeError> {
        self.items.get(&target.key).ok_or_else(not_found)
    }

    /// What a target looks like.
    pub fn view(&self, target: &Target) -> Result<View<'_>, ExchangeError> {
        let item = self.item(target)?;
        Ok(target.instance.map_or_else(|| item.view(), |start| item.instance(start)))
    }
}
