//! Series in the ledger: how far their occurrences are kept in the CRM, and the entries of their occurrences.
//!
//! The series itself is an entry like others (its Exchange side is the master, its CRM side nothing); each occurrence is an
//! entry under a key of UID and original day. An occurrence that was removed keeps its entry, gone: that is what keeps it
//! from coming back. Promises: an item passes from one entry to another in one commit. Must not know: what a rule says.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::StoredEvent;
use super::{
    COUNTS, COUNTS_KEY, ENTRIES, EVENTS, Entry, Event, ITEMS, Ledger, LedgerError, StoredEntry, UIDS, bad, decode,
    encode, entry_in, event_row, failed, item_row,
};
use crate::model::Key;
use crate::store::record::{self, Record};
use crate::store::{Batch, SCAN_ROWS_MAX, Tree};

const SERIES: Tree = Tree("ledger-series");

/// A series whose occurrences are kept in the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesState {
    /// Occurrences that begin before this moment were looked at.
    pub until: DateTime<Utc>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredSeries {
    until: DateTime<Utc>,
}

impl Record for StoredSeries {
    const KIND: &'static str = "ledger-series";
}

impl Ledger {
    /// The series under a key, if it is one.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn series(&self, key: &Key) -> Result<Option<SeriesState>, LedgerError> {
        let bytes = self.store.get(SERIES, key.to_string().as_bytes()).map_err(failed("read"))?;
        let stored = bytes.as_deref().map(|bytes| decode::<StoredSeries>(SERIES, bytes)).transpose()?;
        Ok(stored.map(|stored| SeriesState { until: stored.until }))
    }

    /// Notes how far a series was looked at, or that it is none any more; durably.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be written.
    pub async fn set_series(&self, key: &Key, state: Option<&SeriesState>) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        match state {
            Some(state) => batch.put(SERIES, key.to_string(), encode(SERIES, &StoredSeries { until: state.until })?),
            None => batch.remove(SERIES, key.to_string()),
        };
        let durable = self.store.commit(batch).map_err(failed("write to"))?;
        durable.await.map_err(failed("write to"))
    }

    /// Every series whose occurrences were looked at up to an earlier moment than this.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if one cannot be read.
    pub async fn series_before(&self, moment: DateTime<Utc>) -> Result<Vec<Key>, LedgerError> {
        let (mut due, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(SERIES, b"", after.as_deref(), SCAN_ROWS_MAX).map_err(failed("list"))?;
            let Some(last) = rows.last() else { return Ok(due) };
            after = Some(last.key.clone());
            for row in rows {
                if decode::<StoredSeries>(SERIES, &row.value)?.until < moment {
                    due.push(record::key(&String::from_utf8_lossy(&row.key)).map_err(bad(SERIES))?);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// The entries of a series' occurrences, in the order of their days, gone ones too.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if one cannot be read.
    pub async fn occurrences(&self, uid: &str) -> Result<Vec<Entry>, LedgerError> {
        let prefix = format!("occ:{uid}:").into_bytes();
        let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(ENTRIES, &prefix, after.as_deref(), SCAN_ROWS_MAX).map_err(failed("list"))?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = Some(last.key.clone());
            for row in rows {
                let entry = entry_in(&row.value)?.0;
                // A UID that continues this one behind a colon is another series.
                if matches!(&entry.key, Key::Occurrence { uid: own, .. } if own == uid) {
                    found.push(entry);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes two entries as one, the second of which may take over items of the first.
    ///
    /// # Errors
    /// [`LedgerError::Taken`] if an item or UID belongs to a third key, [`LedgerError::Store`]. Nothing was written then.
    pub async fn hand_over(&self, from: &Entry, to: &Entry, event: Event) -> Result<(), LedgerError> {
        let durable = {
            let mut counts = self.counts_held();
            let mut batch = Batch::new();
            let mut counted = *counts;
            let old = [self.stored(&from.key)?, self.stored(&to.key)?];
            for (old, _) in old.iter().flatten() {
                for at in old.items() {
                    batch.remove(ITEMS, item_row(at));
                }
                if let Some(uid) = &old.uid {
                    batch.remove(UIDS, uid.as_bytes());
                }
            }
            for (entry, old) in [from, to].into_iter().zip(&old) {
                let taken = |what, by| LedgerError::Taken { key: entry.key.clone(), what, by };
                let foreign = |by: &Key| *by != from.key && *by != to.key;
                for at in entry.items() {
                    if let Some(by) = self.owner(ITEMS, &item_row(at))?.filter(foreign) {
                        return Err(taken("an item", by));
                    }
                    batch.put(ITEMS, item_row(at), entry.key.to_string());
                }
                if let Some(uid) = &entry.uid {
                    if let Some(by) = self.owner(UIDS, uid.as_bytes())?.filter(foreign) {
                        return Err(taken("a UID", by));
                    }
                    batch.put(UIDS, uid.as_bytes(), entry.key.to_string());
                }
                let mut next = old.as_ref().map_or(0, |(_, next)| *next);
                if entry.key == to.key {
                    batch.put(EVENTS, event_row(&entry.key, next), encode(EVENTS, &StoredEvent::from(event.clone()))?);
                    next += 1;
                }
                batch.put(ENTRIES, entry.key.to_string(), encode(ENTRIES, &StoredEntry::new(entry.clone(), next))?);
                counted = counted.moved(old.as_ref().map(|(old, _)| old.state), Some(entry.state));
            }
            batch.put(COUNTS, COUNTS_KEY, encode(COUNTS, &counted)?);
            let durable = self.store.commit(batch).map_err(failed("write to"))?;
            *counts = counted;
            durable
        };
        durable.await.map_err(failed("write to"))
    }
}
