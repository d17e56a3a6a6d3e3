//! Durable queue, one entry per appointment.
//!
//! Promises: what a method confirmed survives power loss; nothing is dropped but by [`Queue::ack`] and a person's
//! [`Queue::discard`]; a key is leased to one worker at a time; a change that comes while its key is leased causes one
//! more run; a feed's cursor is never ahead of its changes. Attempts are counted when leased, so that an entry that
//! kills the process is counted too (the count is written with the lease, but not waited for). Leases live in memory: a
//! host that died holds none.
//!
//! A parked entry takes in new changes. With one that a feed or a person reports it begins anew at attempt one, since new
//! content may well mend what failed; one from a sweep or from the host itself repeats what is known and leaves it parked,
//! so that a poison item does not spin. A change that came while the failing attempt ran counts the same way.
//!
//! Must not know: connectors, rules, what a change leads to.

mod collect;
mod entry;
mod index;
mod parked;
mod rename;
pub mod retry;
mod room;
mod view;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::entry::{Entry, StoredEntry, span};
use self::index::{Index, Stand};
use crate::clock::Clock;
use crate::model::{Change, Container, Key};
use crate::store::record::{self, Record, RecordError};
use crate::store::{Batch, Durable, SCAN_ROWS_MAX, Store, StoreError, Tree};

pub use self::entry::CHANGES_MAX;
pub use self::index::Blocked;
pub use self::retry::RetrySettings;
pub use self::room::BACKLOG_MAX;
pub use self::view::{EntryState, EntryView, FailureRecord, ParkedBy, QueueCounts, RuleFailure};

const ENTRIES: Tree = Tree("queue");
const CURSORS: Tree = Tree("cursor");
/// Changes folded in one commit; a longer list becomes several, the cursor with the last.
const PUT_PART: usize = 1000;
/// A wait ends at the latest after this long, so that a clock that was set and a pause that ended are noticed.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// For [`Queue::lease`] and [`Queue::wait`] when no work has to wait.
pub fn nothing_blocked(_: &Key, _: &[Container]) -> bool {
    false
}

/// Tokens tell the leases of one process apart.
static NEXT_TOKEN: AtomicU64 = AtomicU64::new(1);

/// How the queue waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a new change waits for others of the same appointment before it is due.
    pub settle: Duration,
    pub retry: RetrySettings,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { settle: Duration::from_millis(200), retry: RetrySettings::default() }
    }
}

/// The queue of one host.
#[derive(Debug)]
pub struct Queue {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: QueueSettings,
    /// Held while an entry is read, changed and committed, so that commits are made in the order of the index.
    index: Mutex<Index>,
    wake: Notify,
}

/// An entry given to one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub key: Key,
    /// Where to look; at most one per item, the newest last.
    pub changes: Vec<Change>,
    /// There were more changes than are kept: look at every copy the ledger knows.
    pub overflow: bool,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    token: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("{act} the queue")]
    Store {
        act: &'static str,
        #[source]
        cause: StoreError,
    },
    /// The lease ended by time and the entry may be with another worker.
    #[error("the lease of {key} has ended")]
    LeaseLost { key: Key },
    #[error("{key} is being worked on")]
    Busy { key: Key },
}

impl QueueError {
    /// Stable code under which people find this failure.
    pub fn code(&self) -> &'static str {
        match self {
            QueueError::Store { cause, .. } => cause.code(),
            QueueError::LeaseLost { .. } => "lease-ended",
            QueueError::Busy { .. } => "entry-busy",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            QueueError::Store { cause, .. } => cause.hint(),
            QueueError::LeaseLost { .. } => "nothing to do: the entry is tried again".into(),
            QueueError::Busy { .. } => "try again in a moment".into(),
        }
    }
}

impl Queue {
    /// Opens the queue kept in a store.
    ///
    /// # Errors
    /// [`QueueError::Store`] if an entry cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: QueueSettings,
    ) -> Result<Self, QueueError> {
        let mut index = Index::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let rows = store.scan(ENTRIES, b"", after.as_deref(), SCAN_ROWS_MAX).map_err(failed("open"))?;
            for row in &rows {
                index.file(&parse_key(&row.key)?, &decode(&row.value)?);
            }
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last.key),
                None => break,
            }
        }
        Ok(Self { store, clock, settings, index: Mutex::new(index), wake: Notify::new() })
    }

    /// Queues changes, each under its key, durably.
    ///
    /// # Errors
    /// [`QueueError::Store`]; then some of the changes may be queued.
    pub async fn put(&self, changes: Vec<(Key, Change)>) -> Result<(), QueueError> {
        self.put_parts(changes, None).await
    }

    /// Queues a page of a feed's changes, and with the last of them stores where the feed stands.
    ///
    /// # Errors
    /// [`QueueError::Store`]; then the cursor may be the old one, and the page comes again.
    pub async fn put_with_cursor(
        &self,
        changes: Vec<(Key, Change)>,
        container: &Container,
        cursor: &str,
    ) -> Result<(), QueueError> {
        self.put_parts(changes, Some((container, cursor))).await
    }

    /// Where the feed of a container stands; nothing if it has to start over.
    ///
    /// # Errors
    /// [`QueueError::Store`] if it cannot be read.
    pub async fn cursor(&self, container: &Container) -> Result<Option<String>, QueueError> {
        let bytes = self.store.get(CURSORS, container.key().as_bytes()).map_err(failed("read a cursor in"))?;
        let stored = bytes.as_deref().map(record::decode::<StoredCursor>).transpose().map_err(bad(CURSORS))?;
        Ok(stored.map(|stored| stored.cursor))
    }

    /// Makes the feed of a container start over.
    ///
    /// # Errors
    /// [`QueueError::Store`] if it cannot be written.
    pub async fn clear_cursor(&self, container: &Container) -> Result<(), QueueError> {
        let mut batch = Batch::new();
        batch.remove(CURSORS, container.key());
        let durable = self.store.commit(batch).map_err(failed("clear a cursor in"))?;
        durable.await.map_err(failed("clear a cursor in"))
    }

    /// The entry that is due first, is not leased and not blocked, for `time`. Does not wait: see [`Queue::wait`].
    ///
    /// # Errors
    /// [`QueueError::Store`] if it cannot be read or written.
    pub async fn lease(&self, time: Duration, blocked: Blocked<'_>) -> Result<Option<Lease>, QueueError> {
        let now = self.clock.now();
        let mut index = self.index();
        index.expire(now);
        let Some(key) = index.first_due(now, blocked) else { return Ok(None) };
        let mut entry = self.entry(&key)?.ok_or_else(|| missing(&key))?;
        entry.merge();
        entry.attempts = entry.attempts.saturating_add(1);
        // Not waited for: the commits of this lease's end follow it, and whoever is told of those is told of this.
        let _written = self.commit_entry(Batch::new(), &key, &entry)?;
        let token = NEXT_TOKEN.fetch_add(1, Ordering::Relaxed);
        index.file_leased(&key, &entry, token, entry.next_number, now + span(time));
        let changes = entry.changes.into_iter().map(|(_, change)| change).collect();
        Ok(Some(Lease { key, changes, overflow: entry.overflow, attempt: entry.attempts, token }))
    }

    /// Returns when something may be due that is not blocked, or soon after. Call [`Queue::lease`] then; it may still
    /// have nothing. Whoever unblocks something calls [`Queue::nudge`]. Safe to drop at any time.
    pub async fn wait(&self, blocked: Blocked<'_>) {
        let mut woken = std::pin::pin!(self.wake.notified());
        // From here on a wake-up is not missed.
        woken.as_mut().enable();
        let now = self.clock.now();
        let next = {
            let mut index = self.index();
            index.expire(now);
            index.next_event(blocked)
        };
        // In the past is at once.
        let wait = next.map_or(WAIT_MAX, |at| (at - now).to_std().unwrap_or_default());
        if !wait.is_zero() {
            // At the limit the caller looks again, and comes back.
            let _ = tokio::time::timeout(wait.min(WAIT_MAX), woken).await;
        }
    }

    /// Ends all waits, so that their conditions are looked at again.
    pub fn nudge(&self) {
        self.wake.notify_waiters();
    }

    /// Keeps a lease for another `time` from now.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if it has ended.
    pub async fn extend(&self, lease: &Lease, time: Duration) -> Result<(), QueueError> {
        let end = self.clock.now() + span(time);
        let mut index = self.index();
        below(&index, lease)?;
        index.extend(&lease.key, end);
        Ok(())
    }

    /// The work is done: forgets the changes of the lease, durably. Changes that came meanwhile are due next.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if the lease has ended, [`QueueError::Store`]; then the work is done once more.
    pub async fn ack(&self, lease: &Lease) -> Result<(), QueueError> {
        self.end(lease, |entry, below, now| entry.done_below(below, now)).await
    }

    /// Tries again later. `after` is the server's own word on when; without it the delay grows with the attempts.
    /// `burn: false` does not count the attempt (the server is down, a rule asked to wait).
    ///
    /// # Errors
    /// As [`Queue::ack`].
    pub async fn retry(
        &self,
        lease: &Lease,
        after: Option<Duration>,
        failure: FailureRecord,
        burn: bool,
    ) -> Result<(), QueueError> {
        let chance = self.clock.chance();
        self.end(lease, |entry, _, now| {
            entry.due = now + span(retry::delay(&self.settings.retry, entry.attempts, chance, after));
            if !burn {
                entry.attempts = entry.attempts.saturating_sub(1);
            }
            entry.failure = Some(failure.cut());
        })
        .await
    }

    /// Gives a lease back unworked, as if it had not been taken: it is due at once.
    ///
    /// # Errors
    /// As [`Queue::ack`].
    pub async fn release(&self, lease: &Lease) -> Result<(), QueueError> {
        self.end(lease, |entry, _, now| {
            entry.due = now;
            entry.attempts = entry.attempts.saturating_sub(1);
        })
        .await
    }

    /// Sets an entry aside until a person retries or discards it, or a feed reports a new change. False if such a change
    /// came while the lease lasted: the entry is then tried again at once, from its first attempt.
    ///
    /// # Errors
    /// As [`Queue::ack`].
    pub async fn park(&self, lease: &Lease, failure: FailureRecord) -> Result<bool, QueueError> {
        let mut parked = true;
        self.end(lease, |entry, below, now| {
            entry.failure = Some(failure.cut());
            parked = !entry.fresh(below).any(entry::is_news);
            if parked {
                entry.parked = true;
            } else {
                entry.begin_again(now, now);
            }
        })
        .await?;
        Ok(parked)
    }

    /// The changes belong to another key: moves them there in one commit, due at once.
    ///
    /// # Errors
    /// As [`Queue::ack`].
    pub async fn move_to(&self, lease: &Lease, other: &Key) -> Result<(), QueueError> {
        if *other == lease.key {
            return self.release(lease).await;
        }
        let durable = {
            let now = self.clock.now();
            let mut index = self.index();
            below(&index, lease)?;
            let mut from = self.entry(&lease.key)?.ok_or_else(|| missing(&lease.key))?;
            from.merge();
            let mut to = self.entry(other)?.unwrap_or_else(|| Entry::new(now));
            to.overflow |= from.overflow;
            for (_, change) in from.changes {
                to.fold(change, now, Duration::ZERO, leased_below(&index, other));
            }
            let mut batch = Batch::new();
            batch.remove(ENTRIES, lease.key.to_string());
            let durable = self.commit_entry(batch, other, &to)?;
            index.remove(&lease.key);
            index.refile(other, &to);
            durable
        };
        durable.await.map_err(failed("move an entry in"))?;
        self.nudge();
        Ok(())
    }

    /// Entries in key order behind `after`, at most `limit`; in one state, or all.
    ///
    /// # Errors
    /// [`QueueError::Store`] if one cannot be read.
    pub async fn list(
        &self,
        state: Option<EntryState>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<EntryView>, QueueError> {
        let mut found = Vec::new();
        let mut after = after.map(|key| key.to_string().into_bytes());
        while found.len() < limit {
            let page = limit.clamp(1, PUT_PART);
            let rows = self.store.scan(ENTRIES, b"", after.as_deref(), page).map_err(failed("list"))?;
            let Some(last) = rows.last() else { break };
            after = Some(last.key.clone());
            for row in rows {
                let view = self.view(parse_key(&row.key)?, decode(&row.value)?);
                if state.is_none_or(|state| state == view.state) && found.len() < limit {
                    found.push(view);
                }
            }
        }
        Ok(found)
    }

    /// One entry.
    ///
    /// # Errors
    /// [`QueueError::Store`] if it cannot be read.
    pub async fn show(&self, key: &Key) -> Result<Option<EntryView>, QueueError> {
        Ok(self.entry(key)?.map(|entry| self.view(key.clone(), entry)))
    }

    /// A person wants an entry tried now, from its first attempt: a parked one, or one that waits for its next attempt.
    /// False if there is none.
    ///
    /// # Errors
    /// [`QueueError::Busy`] if it is under way, [`QueueError::Store`].
    pub async fn retry_now(&self, key: &Key) -> Result<bool, QueueError> {
        let durable = {
            let now = self.clock.now();
            let mut index = self.index();
            free(&index, key)?;
            let Some(mut entry) = self.entry(key)? else { return Ok(false) };
            entry.begin_again(now, now);
            let durable = self.commit_entry(Batch::new(), key, &entry)?;
            index.file(key, &entry);
            durable
        };
        durable.await.map_err(failed("retry an entry of"))?;
        self.nudge();
        Ok(true)
    }

    /// A person gives an entry up, whatever its state; returns what it was, for the audit.
    ///
    /// # Errors
    /// [`QueueError::Busy`] if it is under way, [`QueueError::Store`].
    pub async fn discard(&self, key: &Key) -> Result<Option<EntryView>, QueueError> {
        let (view, durable) = {
            let mut index = self.index();
            free(&index, key)?;
            let Some(entry) = self.entry(key)? else { return Ok(None) };
            let state = EntryState::of(index.stand(key));
            let mut batch = Batch::new();
            batch.remove(ENTRIES, key.to_string());
            let durable = self.store.commit(batch).map_err(failed("discard an entry of"))?;
            index.remove(key);
            (EntryView::new(key.clone(), state, entry), durable)
        };
        durable.await.map_err(failed("discard an entry of"))?;
        Ok(Some(view))
    }

    pub fn counts(&self) -> QueueCounts {
        let mut index = self.index();
        index.expire(self.clock.now());
        QueueCounts {
            waiting: index.waiting(),
            leased: index.leased(),
            parked: index.parked(),
            earliest_due: index.earliest_due(),
        }
    }

    async fn put_parts(
        &self,
        mut changes: Vec<(Key, Change)>,
        cursor: Option<(&Container, &str)>,
    ) -> Result<(), QueueError> {
        loop {
            let rest = changes.split_off(changes.len().min(PUT_PART));
            let cursor = cursor.filter(|_| rest.is_empty());
            let durable = self.put_part(changes, cursor)?;
            if rest.is_empty() {
                // Commits become durable in order: the last speaks for all.
                durable.await.map_err(failed("add to"))?;
                self.nudge();
                return Ok(());
            }
            changes = rest;
        }
    }

    fn put_part(&self, changes: Vec<(Key, Change)>, cursor: Option<(&Container, &str)>) -> Result<Durable, QueueError> {
        let mut by_key: BTreeMap<Key, Vec<Change>> = BTreeMap::new();
        for (key, change) in changes {
            by_key.entry(key).or_default().push(change);
        }
        let now = self.clock.now();
        let mut index = self.index();
        let mut batch = Batch::new();
        let mut entries = Vec::with_capacity(by_key.len());
        for (key, changes) in by_key {
            // A key that does not read back would be lost at the next start.
            parse_key(key.to_string().as_bytes())?;
            let mut entry = self.entry(&key)?.unwrap_or_else(|| Entry::new(now));
            let leased_below = leased_below(&index, &key);
            for change in changes {
                entry.fold(change, now, self.settings.settle, leased_below);
            }
            batch.put(ENTRIES, key.to_string(), encode(ENTRIES, &StoredEntry::from(entry.clone()))?);
            entries.push((key, entry));
        }
        if let Some((container, cursor)) = cursor {
            let stored = StoredCursor { cursor: cursor.to_owned() };
            batch.put(CURSORS, container.key(), encode(CURSORS, &stored)?);
        }
        let durable = self.store.commit(batch).map_err(failed("add to"))?;
        for (key, entry) in entries {
            index.refile(&key, &entry);
        }
        Ok(durable)
    }

    /// Ends a lease: changes its entry, and removes it if no change is left.
    async fn end(&self, lease: &Lease, change: impl FnOnce(&mut Entry, u64, DateTime<Utc>)) -> Result<(), QueueError> {
        let durable = {
            let now = self.clock.now();
            let mut index = self.index();
            let below = below(&index, lease)?;
            let mut entry = self.entry(&lease.key)?.ok_or_else(|| missing(&lease.key))?;
            change(&mut entry, below, now);
            entry.merge();
            if entry.changes.is_empty() {
                let mut batch = Batch::new();
                batch.remove(ENTRIES, lease.key.to_string());
                let durable = self.store.commit(batch).map_err(failed("write to"))?;
                index.remove(&lease.key);
                durable
            } else {
                let durable = self.commit_entry(Batch::new(), &lease.key, &entry)?;
                index.file(&lease.key, &entry);
                durable
            }
        };
        durable.await.map_err(failed("write to"))?;
        self.nudge();
        Ok(())
    }

    fn commit_entry(&self, mut batch: Batch, key: &Key, entry: &Entry) -> Result<Durable, QueueError> {
        batch.put(ENTRIES, key.to_string(), encode(ENTRIES, &StoredEntry::from(entry.clone()))?);
        self.store.commit(batch).map_err(failed("write to"))
    }

    fn entry(&self, key: &Key) -> Result<Option<Entry>, QueueError> {
        let bytes = self.store.get(ENTRIES, key.to_string().as_bytes()).map_err(failed("read"))?;
        bytes.as_deref().map(decode).transpose()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // A panic while it was held stops the host; until then the index is no worse than before.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self, key: Key, entry: Entry) -> EntryView {
        let state = EntryState::of(self.index().stand(&key));
        EntryView::new(key, state, entry)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredCursor {
    cursor: String,
}

impl Record for StoredCursor {
    const KIND: &'static str = "cursor";
}

/// The first change number the lease does not hold, if the lease still stands.
fn below(index: &Index, lease: &Lease) -> Result<u64, QueueError> {
    match index.stand(&lease.key) {
        Some(Stand::Leased { token, below }) if token == lease.token => Ok(below),
        _ => Err(QueueError::LeaseLost { key: lease.key.clone() }),
    }
}

fn leased_below(index: &Index, key: &Key) -> Option<u64> {
    match index.stand(key) {
        Some(Stand::Leased { below, .. }) => Some(below),
        _ => None,
    }
}

fn free(index: &Index, key: &Key) -> Result<(), QueueError> {
    if leased_below(index, key).is_some() { Err(QueueError::Busy { key: key.clone() }) } else { Ok(()) }
}

fn parse_key(bytes: &[u8]) -> Result<Key, QueueError> {
    let text = String::from_utf8_lossy(bytes);
    record::key(&text).map_err(bad(ENTRIES))
}

fn decode(bytes: &[u8]) -> Result<Entry, QueueError> {
    record::decode::<StoredEntry>(bytes).and_then(TryInto::try_into).map_err(bad(ENTRIES))
}

fn encode<T: Record>(tree: Tree, record: &T) -> Result<Vec<u8>, QueueError> {
    record::encode(record).map_err(bad(tree))
}

fn missing(key: &Key) -> QueueError {
    bad(ENTRIES)(RecordError::Content { what: "queue entry (it is missing)", found: key.to_string() })
}

fn bad(tree: Tree) -> impl Fn(RecordError) -> QueueError {
    move |cause| QueueError::Store { act: "read", cause: StoreError::Record { tree: tree.0, cause: Arc::new(cause) } }
}

fn failed(act: &'static str) -> impl Fn(StoreError) -> QueueError {
    move |cause| QueueError::Store { act, cause }
}
