//! Durable record of pairs: ids, versions, content as last agreed on each side, and history.
//!
//! Promises: an entry, its indexes and its history are written in one commit; an item and a UID belong to one key only;
//! histories are bounded. [`Ledger::record`] returns when all is on disk: only then may the queue forget the change.
//! Must not know: connectors, queue, what the content means.

mod begun;
mod entry;
mod event;
mod guards;
mod home;
mod reapply;
mod series;
mod writing;

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use self::entry::StoredEntry;
use self::event::StoredEvent;
use crate::model::{Container, ItemRef, Key, Version};
use crate::store::record::{self, Record, RecordError};
use crate::store::{Batch, SCAN_ROWS_MAX, Store, StoreError, Tree};

pub use self::begun::Begun;
use self::begun::put_begun;
pub use self::entry::{Entry, State};
pub use self::event::{EVENT_FIELDS_MAX, EVENT_LIST_MAX, EVENT_TEXT_MAX, Event, FieldChange, Lost};
pub use self::guards::Counted;
pub use self::home::{Claimed, Home, Moving};
pub use self::reapply::Mark;
pub use self::series::SeriesState;
pub use self::writing::Writing;

const ENTRIES: Tree = Tree("ledger");
const EVENTS: Tree = Tree("ledger-event");
const ITEMS: Tree = Tree("ledger-item");
const UIDS: Tree = Tree("ledger-uid");
const COUNTS: Tree = Tree("ledger-counts");
const COUNTS_KEY: &[u8] = b"counts";

/// Index rows read before others have their turn.
const PAGE_ROWS: usize = 500;
/// Events kept per pair; the oldest go first.
pub const HISTORY_MAX: u64 = 50;
/// Most copies of a meeting kept: one per attendee whose mailbox is synced.
pub const COPIES_MAX: usize = 5000;

/// The ledger of one host.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<dyn Store>,
    /// Held while an entry is read, compared and committed.
    counts: Mutex<LedgerCounts>,
}

/// How far [`Ledger::items_in`] has come.
#[derive(Clone, Debug, Default)]
pub struct Place(Option<Vec<u8>>);

/// How many entries there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCounts {
    pub live: u64,
    pub gone: u64,
}

impl Record for LedgerCounts {
    const KIND: &'static str = "ledger-counts";
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{act} the ledger")]
    Store {
        act: &'static str,
        #[source]
        cause: StoreError,
    },
    /// An item or a UID of the entry belongs to another appointment; nothing was written.
    #[error("{key} claims {what}, which belongs to {by}")]
    Taken { key: Key, what: &'static str, by: Key },
    #[error("{key} has {count} copies, more than {COPIES_MAX}")]
    TooManyCopies { key: Key, count: usize },
}

impl LedgerError {
    /// Stable code under which people find this failure.
    pub fn code(&self) -> &'static str {
        match self {
            LedgerError::Store { cause, .. } => cause.code(),
            LedgerError::Taken { .. } => "item-taken",
            LedgerError::TooManyCopies { .. } => "too-many-copies",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            LedgerError::Store { cause, .. } => cause.hint(),
            LedgerError::Taken { by, .. } => format!("look at both appointments: daybridge trace {by}"),
            LedgerError::TooManyCopies { .. } => "take some of the attendees' mailboxes out of the sync".into(),
        }
    }
}

impl Ledger {
    /// Opens the ledger kept in a store.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, LedgerError> {
        let bytes = store.get(COUNTS, COUNTS_KEY).map_err(failed("open"))?;
        let counts = bytes.as_deref().map(|bytes| decode::<LedgerCounts>(COUNTS, bytes)).transpose()?;
        Ok(Self { store, counts: Mutex::new(counts.unwrap_or_default()) })
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn get(&self, key: &Key) -> Result<Option<Entry>, LedgerError> {
        Ok(self.stored(key)?.map(|(entry, _)| entry))
    }

    /// The key an item belongs to, as one side of a pair or as a copy.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn find_item(&self, at: &ItemRef) -> Result<Option<Key>, LedgerError> {
        self.owner(ITEMS, &item_row(at))
    }

    /// The key of the appointment with this iCalendar UID.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn find_uid(&self, uid: &str) -> Result<Option<Key>, LedgerError> {
        self.owner(UIDS, uid.as_bytes())
    }

    /// The key an item belongs to, and its version as last agreed on; no version for a copy in an attendee's calendar.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn known(&self, at: &ItemRef) -> Result<Option<(Key, Option<Version>)>, LedgerError> {
        let Some(key) = self.owner(ITEMS, &item_row(at))? else { return Ok(None) };
        let version = self.version_of(at, &key)?;
        Ok(Some((key, version)))
    }

    /// The next items of a container that belong to pairs, as [`Ledger::known`] tells them; nothing behind the last.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn items_in(
        &self,
        container: &Container,
        place: &mut Place,
    ) -> Result<Option<Vec<(ItemRef, Key, Option<Version>)>>, LedgerError> {
        // Reading so many entries takes a while: others have their turn.
        tokio::task::yield_now().await;
        let Some(page) = self.page_in(container, &mut place.0)? else { return Ok(None) };
        let items = page.into_iter().map(|(id, key)| {
            let at = ItemRef { container: container.clone(), id };
            let version = self.version_of(&at, &key)?;
            Ok((at, key, version))
        });
        items.collect::<Result<_, LedgerError>>().map(Some)
    }

    /// The keys of a container's items, each once: those of occurrences last, since a series leads to them.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn keys_in(&self, container: &Container) -> Result<Vec<Key>, LedgerError> {
        let mut keys = Vec::new();
        let mut after = None;
        while let Some(page) = self.page_in(container, &mut after)? {
            keys.extend(page.into_iter().map(|(_, key)| key));
            tokio::task::yield_now().await;
        }
        keys.sort_by(Self::in_order);
        keys.dedup();
        Ok(keys)
    }

    /// The order of [`Ledger::keys_in`].
    pub fn in_order(one: &Key, other: &Key) -> Ordering {
        let place = |key: &Key| matches!(key, Key::Occurrence { .. });
        (place(one), one).cmp(&(place(other), other))
    }

    /// How many items of a container belong to pairs.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn count_in(&self, container: &Container) -> Result<u64, LedgerError> {
        let mut count = 0;
        let mut after = None;
        while let Some(page) = self.page_in(container, &mut after)? {
            count += page.len() as u64;
            tokio::task::yield_now().await;
        }
        Ok(count)
    }

    /// Writes an entry with its indexes and adds to its history, durably and as one.
    ///
    /// # Errors
    /// [`LedgerError::Taken`] if an item or the UID belongs to another key, [`LedgerError::TooManyCopies`],
    /// [`LedgerError::Store`]. Nothing was written then.
    pub async fn record(&self, entry: &Entry, events: Vec<Event>) -> Result<(), LedgerError> {
        self.keep(entry, events, None).await
    }

    /// Records a whole of which parts are still to be paired: its creation stays under way.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub async fn record_begun(&self, entry: &Entry, events: Vec<Event>, begun: Begun) -> Result<(), LedgerError> {
        self.keep(entry, events, Some(begun)).await
    }

    async fn keep(&self, entry: &Entry, events: Vec<Event>, begun: Option<Begun>) -> Result<(), LedgerError> {
        if entry.copies.len() > COPIES_MAX {
            return Err(LedgerError::TooManyCopies { key: entry.key.clone(), count: entry.copies.len() });
        }
        let durable = {
            let mut counts = self.counts_held();
            let old = self.stored(&entry.key)?;
            let mut batch = Batch::new();
            self.index(&mut batch, old.as_ref().map(|(old, _)| old), entry)?;
            match begun {
                Some(begun) => put_begun(&mut batch, &entry.key, begun)?,
                None => self.end(&mut batch, &entry.key)?,
            }
            self.write_ends(&mut batch, &entry.key)?;
            let next_event = self.history(&mut batch, &entry.key, old.as_ref().map_or(0, |(_, next)| *next), events)?;
            let stored = StoredEntry::new(entry.clone(), next_event);
            batch.put(ENTRIES, entry.key.to_string(), encode(ENTRIES, &stored)?);
            let counted = counts.moved(old.map(|(old, _)| old.state), Some(entry.state));
            batch.put(COUNTS, COUNTS_KEY, encode(COUNTS, &counted)?);
            let durable = self.store.commit(batch).map_err(failed("write to"))?;
            *counts = counted;
            durable
        };
        durable.await.map_err(failed("write to"))
    }

    /// Forgets a key with its indexes and history, durably. False if it was not known.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be written.
    pub async fn remove(&self, key: &Key) -> Result<bool, LedgerError> {
        let durable = {
            let mut counts = self.counts_held();
            let Some((old, next_event)) = self.stored(key)? else { return Ok(false) };
            let mut batch = Batch::new();
            for at in old.items() {
                batch.remove(ITEMS, item_row(at));
            }
            if let Some(uid) = &old.uid {
                batch.remove(UIDS, uid.as_bytes());
            }
            for number in next_event.saturating_sub(HISTORY_MAX)..next_event {
                batch.remove(EVENTS, event_row(key, number));
            }
            batch.remove(ENTRIES, key.to_string());
            self.end(&mut batch, key)?;
            self.write_ends(&mut batch, key)?;
            let counted = counts.moved(Some(old.state), None);
            batch.put(COUNTS, COUNTS_KEY, encode(COUNTS, &counted)?);
            let durable = self.store.commit(batch).map_err(failed("remove an entry of"))?;
            *counts = counted;
            durable
        };
        durable.await.map_err(failed("remove an entry of"))?;
        Ok(true)
    }

    /// Entries in key order behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if one cannot be read.
    pub async fn scan(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        let after = after.map(|key| key.to_string().into_bytes());
        let rows = self.store.scan(ENTRIES, b"", after.as_deref(), limit).map_err(failed("list"))?;
        rows.iter().map(|row| entry_in(&row.value).map(|(entry, _)| entry)).collect()
    }

    /// The history of a key, oldest first, at most [`HISTORY_MAX`] events.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn events(&self, key: &Key) -> Result<Vec<Event>, LedgerError> {
        let prefix = event_prefix(key);
        let rows = self.store.scan(EVENTS, &prefix, None, SCAN_ROWS_MAX).map_err(failed("read"))?;
        rows.iter()
            // A UID that continues this one behind the separator is another key.
            .filter(|row| row.key.len() == prefix.len() + size_of::<u64>())
            .map(|row| decode::<StoredEvent>(EVENTS, &row.value)?.try_into().map_err(bad(EVENTS)))
            .collect()
    }

    pub fn counts(&self) -> LedgerCounts {
        *self.counts_held()
    }

    /// The next ids of a container behind `after`, with their keys; nothing behind the last.
    fn page_in(
        &self,
        container: &Container,
        after: &mut Option<Vec<u8>>,
    ) -> Result<Option<Vec<(String, Key)>>, LedgerError> {
        let prefix = format!("{}\n", container.key());
        let rows = self.store.scan(ITEMS, prefix.as_bytes(), after.as_deref(), PAGE_ROWS).map_err(failed("list"))?;
        let Some(last) = rows.last() else { return Ok(None) };
        *after = Some(last.key.clone());
        let ids = rows.iter().map(|row| {
            let id = String::from_utf8_lossy(row.key.get(prefix.len()..).unwrap_or_default()).into_owned();
            Ok((id, record::key(&String::from_utf8_lossy(&row.value)).map_err(bad(ITEMS))?))
        });
        ids.collect::<Result<_, LedgerError>>().map(Some)
    }

    /// Puts the entry's index rows into a batch and takes out those it no longer has.
    fn index(&self, batch: &mut Batch, old: Option<&Entry>, new: &Entry) -> Result<(), LedgerError> {
        let taken = |what, by| LedgerError::Taken { key: new.key.clone(), what, by };
        for at in old.iter().flat_map(|old| old.items()) {
            batch.remove(ITEMS, item_row(at));
        }
        for at in new.items() {
            let row = item_row(at);
            if let Some(by) = self.owner(ITEMS, &row)?.filter(|by| *by != new.key) {
                return Err(taken("an item", by));
            }
            batch.put(ITEMS, row, new.key.to_string());
        }
        if let Some(uid) = old.and_then(|old| old.uid.as_ref()) {
            batch.remove(UIDS, uid.as_bytes());
        }
        if let Some(uid) = &new.uid {
            if let Some(by) = self.owner(UIDS, uid.as_bytes())?.filter(|by| *by != new.key) {
                return Err(taken("a UID", by));
            }
            batch.put(UIDS, uid.as_bytes(), new.key.to_string());
        }
        Ok(())
    }

    /// Adds events to a history and takes the oldest out. Returns the number of the next event.
    fn history(&self, batch: &mut Batch, key: &Key, next: u64, events: Vec<Event>) -> Result<u64, LedgerError> {
        let end = next + events.len() as u64;
        for number in next.saturating_sub(HISTORY_MAX)..end.saturating_sub(HISTORY_MAX).min(next) {
            batch.remove(EVENTS, event_row(key, number));
        }
        for (number, event) in (next..end).zip(events) {
            if number + HISTORY_MAX >= end {
                batch.put(EVENTS, event_row(key, number), encode(EVENTS, &StoredEvent::from(event))?);
            }
        }
        Ok(end)
    }

    fn stored(&self, key: &Key) -> Result<Option<(Entry, u64)>, LedgerError> {
        let bytes = self.store.get(ENTRIES, key.to_string().as_bytes()).map_err(failed("read"))?;
        bytes.as_deref().map(entry_in).transpose()
    }

    fn version_of(&self, at: &ItemRef, key: &Key) -> Result<Option<Version>, LedgerError> {
        let entry = self.stored(key)?.map(|(entry, _)| entry);
        let known = entry.as_ref().and_then(|entry| entry.side(at.side()));
        Ok(known.filter(|known| known.at == *at).map(|known| known.version.clone()))
    }

    fn owner(&self, tree: Tree, row: &[u8]) -> Result<Option<Key>, LedgerError> {
        let bytes = self.store.get(tree, row).map_err(failed("read"))?;
        bytes.map(|bytes| record::key(&String::from_utf8_lossy(&bytes)).map_err(bad(tree))).transpose()
    }

    fn counts_held(&self) -> MutexGuard<'_, LedgerCounts> {
        // A panic while it was held stops the host; until then the counts are no worse than before.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerCounts {
    fn moved(mut self, from: Option<State>, to: Option<State>) -> Self {
        match from {
            Some(State::Live) => self.live = self.live.saturating_sub(1),
            Some(State::Gone) => self.gone = self.gone.saturating_sub(1),
            None => {}
        }
        match to {
            Some(State::Live) => self.live += 1,
            Some(State::Gone) => self.gone += 1,
            None => {}
        }
        self
    }
}

/// Container and id, told apart by a byte that neither has.
fn item_row(at: &ItemRef) -> Vec<u8> {
    format!("{}\n{}", at.container.key(), at.id).into_bytes()
}

fn event_prefix(key: &Key) -> Vec<u8> {
    format!("{key}\n").into_bytes()
}

fn event_row(key: &Key, number: u64) -> Vec<u8> {
    [event_prefix(key).as_slice(), &number.to_be_bytes()].concat()
}

fn entry_in(bytes: &[u8]) -> Result<(Entry, u64), LedgerError> {
    decode::<StoredEntry>(ENTRIES, bytes)?.into_entry().map_err(bad(ENTRIES))
}

fn decode<T: Record>(tree: Tree, bytes: &[u8]) -> Result<T, LedgerError> {
    record::decode(bytes).map_err(bad(tree))
}

fn encode<T: Record>(tree: Tree, record: &T) -> Result<Vec<u8>, LedgerError> {
    record::encode(record).map_err(bad(tree))
}

fn bad(tree: Tree) -> impl Fn(RecordError) -> LedgerError {
    move |cause| LedgerError::Store { act: "read", cause: StoreError::Record { tree: tree.0, cause: Arc::new(cause) } }
}

fn failed(act: &'static str) -> impl Fn(StoreError) -> LedgerError {
    move |cause| LedgerError::Store { act, cause }
}
