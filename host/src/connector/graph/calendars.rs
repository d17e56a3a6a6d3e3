//! Which events are known to lie in their mailbox's calendar.
//!
//! An event in Deleted Items may still be read by its id, so being able to read one says nothing. What a list of the calendar, its
//! feed or our own write showed last is trusted; for the rest the calendar is asked.
//! Promises: bounded in memory; forgetting costs a request, never a wrong answer. Must not know: requests.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::model::Address;

/// Ids kept for one mailbox, eight bytes each; beyond it all are forgotten.
const IDS_MAX: usize = 200_000;

/// The calendars of all mailboxes, as last seen.
#[derive(Debug, Default)]
pub struct Calendars(Mutex<HashMap<Address, HashSet<u64>>>);

impl Calendars {
    /// The calendar showed this event.
    pub fn showed(&self, mailbox: &Address, id: &str) {
        self.with(mailbox, |ids| {
            if ids.len() >= IDS_MAX {
                ids.clear();
            }
            ids.insert(digest(id));
        });
    }

    /// Something says that it is gone.
    pub fn doubted(&self, mailbox: &Address, id: &str) {
        self.with(mailbox, |ids| {
            ids.remove(&digest(id));
        });
    }

    /// The calendar is listed anew, and shows what it holds.
    pub fn forget(&self, mailbox: &Address) {
        self.with(mailbox, HashSet::clear);
    }

    pub fn shows(&self, mailbox: &Address, id: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(mailbox).is_some_and(|ids| ids.contains(&digest(id)))
    }

    fn with(&self, mailbox: &Address, change: impl FnOnce(&mut HashSet<u64>)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(mailbox.clone()).or_default());
    }
}

fn digest(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
