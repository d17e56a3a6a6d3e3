//! What the queue keeps in memory of every entry: where it stands and when it is due. Pure.
//!
//! Promises: a key is leased at most once at a time; entries come out in the order they are due. Must not know: store,
//! clock, what the changes say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::entry::Entry;
use super::view::ParkedBy;
use crate::model::{Container, Key};

/// Whether work on an entry has to wait (a throttled mailbox, a server that is down), by its key and its containers.
pub type Blocked<'a> = &'a (dyn Fn(&Key, &[Container]) -> bool + Sync);

#[derive(Debug, Default)]
pub struct Index {
    slots: HashMap<Key, Slot>,
    waiting: BTreeSet<(DateTime<Utc>, Key)>,
    leases: BTreeSet<(DateTime<Utc>, Key)>,
    /// By cause, in the order in which they were due.
    parked: BTreeMap<ParkedBy, BTreeSet<(DateTime<Utc>, Key)>>,
}

#[derive(Debug)]
struct Slot {
    stand: Stand,
    parked_by: Option<ParkedBy>,
    /// Due, or when the lease ends.
    at: DateTime<Utc>,
    containers: Vec<Container>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Waiting,
    /// Under way: the lease's token and the first change number it does not hold.
    Leased {
        token: u64,
        below: u64,
    },
    Parked,
}

impl Index {
    pub fn stand(&self, key: &Key) -> Option<Stand> {
        self.slots.get(key).map(|slot| slot.stand)
    }

    /// Files an entry after new changes; a lease it is under stays.
    pub fn refile(&mut self, key: &Key, entry: &Entry) {
        match self.slots.get_mut(key) {
            Some(slot) if matches!(slot.stand, Stand::Leased { .. }) => slot.containers = entry.containers(),
            _ => self.file(key, entry),
        }
    }

    /// Files an entry that is not leased, or no longer.
    pub fn file(&mut self, key: &Key, entry: &Entry) {
        let parked_by = entry.parked_by();
        let stand = if parked_by.is_some() { Stand::Parked } else { Stand::Waiting };
        let slot = Slot { stand, parked_by, at: entry.due, containers: entry.containers() };
        self.set(key, slot);
    }

    /// Files an entry as leased until `end`.
    pub fn file_leased(&mut self, key: &Key, entry: &Entry, token: u64, below: u64, end: DateTime<Utc>) {
        let stand = Stand::Leased { token, below };
        self.set(key, Slot { stand, parked_by: None, at: end, containers: entry.containers() });
    }

    pub fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            match slot.stand {
                Stand::Waiting => {
                    self.waiting.remove(&(slot.at, key.clone()));
                }
                Stand::Leased { .. } => {
                    self.leases.remove(&(slot.at, key.clone()));
                }
                Stand::Parked => {
                    if let Some(cause) = slot.parked_by
                        && let Some(parked) = self.parked.get_mut(&cause)
                    {
                        parked.remove(&(slot.at, key.clone()));
                        if parked.is_empty() {
                            self.parked.remove(&cause);
                        }
                    }
                }
            }
        }
    }

    fn set(&mut self, key: &Key, slot: Slot) {
        self.remove(key);
        let place = (slot.at, key.clone());
        match (slot.stand, &slot.parked_by) {
            (Stand::Leased { .. }, _) => self.leases.insert(place),
            (Stand::Parked, Some(cause)) => self.parked.entry(cause.clone()).or_default().insert(place),
            (Stand::Waiting | Stand::Parked, _) => self.waiting.insert(place),
        };
        self.slots.insert(key.clone(), slot);
    }

    /// Moves a lease's end.
    pub fn extend(&mut self, key: &Key, end: DateTime<Utc>) {
        if let Some(slot) = self.slots.get_mut(key) {
            self.leases.remove(&(slot.at, key.clone()));
            slot.at = end;
            self.leases.insert((end, key.clone()));
        }
    }

    /// Leases that ended by time become waiting entries, due since then.
    pub fn expire(&mut self, now: DateTime<Utc>) {
        while let Some((end, key)) = self.leases.first().filter(|(end, _)| *end <= now).cloned() {
            self.leases.remove(&(end, key.clone()));
            if let Some(slot) = self.slots.get_mut(&key) {
                (slot.stand, slot.at) = (Stand::Waiting, end);
                self.waiting.insert((end, key));
            }
        }
    }

    /// The entry that is due first and not blocked.
    pub fn first_due(&self, now: DateTime<Utc>, blocked: Blocked<'_>) -> Option<Key> {
        let mut due = self.waiting.iter().take_while(|(due, _)| *due <= now);
        due.find(|(_, key)| !self.is_blocked(key, blocked)).map(|(_, key)| key.clone())
    }

    /// When something may be due next: an entry that is not blocked, or one whose lease ends.
    pub fn next_event(&self, blocked: Blocked<'_>) -> Option<DateTime<Utc>> {
        let due = self.waiting.iter().find(|(_, key)| !self.is_blocked(key, blocked)).map(|(due, _)| *due);
        let end = self.leases.first().map(|(end, _)| *end);
        due.into_iter().chain(end).min()
    }

    fn is_blocked(&self, key: &Key, blocked: Blocked<'_>) -> bool {
        let containers = self.slots.get(key).map_or(&[][..], |slot| &slot.containers);
        blocked(key, containers)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn leased(&self) -> usize {
        self.leases.len()
    }

    pub fn parked(&self) -> usize {
        self.parked.values().map(BTreeSet::len).sum()
    }

    /// How many entries each cause has parked.
    pub fn parked_by(&self) -> Vec<(ParkedBy, usize)> {
        self.parked.iter().map(|(cause, parked)| (cause.clone(), parked.len())).collect()
    }

    /// The entries that a cause has parked, first come first, at most so many.
    pub fn parked_keys(&self, cause: &ParkedBy, most: usize) -> Vec<Key> {
        self.parked.get(cause).into_iter().flatten().take(most).map(|(_, key)| key.clone()).collect()
    }

    /// How many entries are due by then, counted up to `most`.
    pub fn due_by(&self, then: DateTime<Utc>, most: usize) -> usize {
        self.waiting.iter().take_while(|(due, _)| *due <= then).take(most).count()
    }

    pub fn earliest_due(&self) -> Option<DateTime<Utc>> {
        self.waiting.first().map(|(due, _)| *due)
    }
}
