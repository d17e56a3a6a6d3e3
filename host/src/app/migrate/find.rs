//! Finds one item in the calendar that its mailbox has on another server: by the translated id, by UID, by our stamp, and an
//! occurrence by its day in its series.
//!
//! Promises: a guess is no find: where two items fit and nothing tells them apart, neither is taken; nor is an item of another pair.
//! Must not know: what becomes of it.

use std::collections::HashMap;

use super::{Run, Stopped, patiently};
use crate::connector::{Listed, Problem};
use crate::ledger::Entry;
use crate::model::{ItemRef, Key, Seen, Version};

const NOWHERE: &str = "neither its id, its UID nor our stamp leads to an appointment in that calendar";
const NO_OCCURRENCE: &str = "its series has no such occurrence in that calendar";
const NO_SERIES: &str = "that server's series are not read yet";
const ANOTHERS: &str = "what it leads to in that calendar belongs to another pair";

/// How an item was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Id,
    Uid,
    Stamp,
    Series,
}

/// Where an item is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    At(Way, String),
    Missing(&'static str),
}

/// A calendar as its server lists it.
#[derive(Default)]
pub(super) struct Calendar {
    versions: HashMap<String, Version>,
    uids: HashMap<String, Vec<String>>,
    stamps: HashMap<Key, Vec<String>>,
}

impl Calendar {
    pub(super) fn of(listed: Vec<Listed>) -> Self {
        let mut calendar = Self::default();
        for Listed { at, version, uid, stamp } in listed {
            // A listing may show an item twice.
            if calendar.versions.insert(at.id.clone(), version).is_some() {
                continue;
            }
            if let Some(uid) = uid {
                calendar.uids.entry(uid).or_default().push(at.id.clone());
            }
            if let Some(stamp) = stamp {
                calendar.stamps.entry(stamp).or_default().push(at.id);
            }
        }
        calendar
    }

    pub(super) fn version(&self, id: &str) -> Option<&Version> {
        self.versions.get(id)
    }

    /// The only item with that UID.
    pub(super) fn by_uid(&self, uid: &str) -> Option<&String> {
        only(self.uids.get(uid)?)
    }

    /// The item of a pair, without asking the server.
    pub(super) fn find(&self, key: &Key, uid: Option<&str>, new: Option<&String>) -> Option<(Way, String)> {
        if let Some(new) = new.filter(|new| self.versions.contains_key(*new)) {
            return Some((Way::Id, new.clone()));
        }
        let stamped = self.stamps.get(key).map(Vec::as_slice).unwrap_or_default();
        if let Some(uids) = uid.and_then(|uid| self.uids.get(uid)) {
            let ours: Vec<String> = uids.iter().filter(|id| stamped.contains(id)).cloned().collect();
            if let Some(id) = only(uids).or(only(&ours)) {
                return Some((Way::Uid, id.clone()));
            }
        }
        only(stamped).map(|id| (Way::Stamp, id.clone()))
    }
}

/// The UID of the series that a key is an occurrence of.
pub(super) fn series(key: &Key) -> Option<&str> {
    match key {
        Key::Occurrence { uid, .. } => Some(uid),
        Key::Crm(_) | Key::Uid(_) | Key::CrmSeries(_) => None,
    }
}

fn only(ids: &[String]) -> Option<&String> {
    match ids {
        [one] => Some(one),
        _ => None,
    }
}

impl Run<'_> {
    /// Where an item of an entry is now.
    pub(super) async fn find(
        &self,
        entry: &Entry,
        at: &ItemRef,
        names: &HashMap<String, String>,
        calendar: &Calendar,
    ) -> Result<Found, Stopped> {
        let found = self.looked_for(entry, at, names, calendar).await?;
        let Found::At(_, id) = &found else { return Ok(found) };
        let owner = self.app.ledger.find_item(&ItemRef { container: at.container.clone(), id: id.clone() }).await?;
        Ok(if owner.is_some_and(|owner| owner != entry.key) { Found::Missing(ANOTHERS) } else { found })
    }

    async fn looked_for(
        &self,
        entry: &Entry,
        at: &ItemRef,
        names: &HashMap<String, String>,
        calendar: &Calendar,
    ) -> Result<Found, Stopped> {
        let (server, new) = (&self.place.server, names.get(&at.id));
        let series = series(&entry.key);
        if series.is_none()
            && let Some((way, id)) = calendar.find(&entry.key, entry.uid.as_deref(), new)
        {
            return Ok(Found::At(way, id));
        }
        // Occurrences are in no list, nor is what a list has passed over.
        if let Some(new) = new {
            let place = ItemRef { container: at.container.clone(), id: new.clone() };
            if let Seen::Present(item) = patiently(|| server.read(&place)).await?
                && series.is_none_or(|uid| item.series.as_deref() == Some(uid))
            {
                return Ok(Found::At(Way::Id, new.clone()));
            }
        }
        let (Some(uid), Key::Occurrence { date, .. }) = (series, &entry.key) else {
            return Ok(Found::Missing(NOWHERE));
        };
        let Some(master) = calendar.by_uid(uid) else { return Ok(Found::Missing(NOWHERE)) };
        let master = ItemRef { container: at.container.clone(), id: master.clone() };
        match patiently(|| server.occurrence(&master, *date)).await {
            Ok(Seen::Present(item)) => Ok(Found::At(Way::Series, item.at.id.clone())),
            Ok(Seen::Deleted | Seen::Absent) => Ok(Found::Missing(NO_OCCURRENCE)),
            Err(error) if error.problem == Problem::Unsupported => Ok(Found::Missing(NO_SERIES)),
            Err(error) => Err(error.into()),
        }
    }
}
