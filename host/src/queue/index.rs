//! What the queue keeps in memory of every entry: where it stands and when it is due. Pure.
//!
//! Promises: a key is leased at most once at a time; entries come out in the order they are due. Must not know: store,
//! clock, what the changes say.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::entry::Entry;
use crate::model::{Container, Key};

/// Whether work on an entry has to wait (a throttled mailbox, a server that is down), by its key and its containers.
pub type Blocked<'a> = &'a (dyn Fn(&Key, &[Container]) -> bool + Sync);

#[derive(Debug, Default)]
pub struct Index {
    slots: HashMap<Key, Slot>,
    waiting: BTreeSet<(DateTime<Utc>, Key)>,
    leases: BTreeSet<(DateTime<Utc>, Key)>,
    parked: usize,
}

#[derive(Debug)]
struct Slot {
    stand: Stand,
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
        let stand = if entry.parked { Stand::Parked } else { Stand::Waiting };
        self.set(key, stand, entry.due, entry.containers());
    }

    /// Files an entry as leased until `end`.
    pub fn file_leased(&mut self, key: &Key, entry: &Entry, token: u64, below: u64, end: DateTime<Utc>) {
        self.set(key, Stand::Leased { token, below }, end, entry.containers());
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
                Stand::Parked => self.parked -= 1,
            }
        }
    }

    fn set(&mut self, key: &Key, stand: Stand, at: DateTime<Utc>, containers: Vec<Container>) {
        self.remove(key);
        match stand {
            Stand::Waiting => {
                self.waiting.insert((at, key.clone()));
            }
            Stand::Leased { .. } => {
                self.leases.insert((at, key.clone()));
            }
            Stand::Parked => self.parked += 1,
        }
        self.slots.insert(key.clone(), Slot { stand, at, containers });
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
        self.parked
    }

    pub fn earliest_due(&self) -> Option<DateTime<Utc>> {
        self.waiting.first().map(|(due, _)| *due)
    }
}
