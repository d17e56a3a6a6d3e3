//! Entries that are parked for a reason that can go away by itself, and their way back.
//!
//! Promises: an entry comes back in the place in line that it had. Must not know: what the reason is.

use super::entry::StoredEntry;
use super::index::Stand;
use super::{ENTRIES, FailureRecord, Lease, PUT_PART, ParkedBy, Queue, QueueError, encode, failed};
use crate::model::Key;
use crate::store::Batch;

impl Queue {
    /// As [`Queue::park`], without counting the attempt: something else has to be mended first, and whoever knows when it is
    /// calls [`Queue::unpark`].
    ///
    /// # Errors
    /// As [`Queue::ack`].
    pub async fn set_aside(&self, lease: &Lease, failure: FailureRecord) -> Result<(), QueueError> {
        self.end(lease, |entry, _, _| {
            entry.failure = Some(failure.cut());
            entry.attempts = entry.attempts.saturating_sub(1);
            entry.parked = true;
        })
        .await
    }

    /// What has parked entries, and how many.
    pub fn parked_by(&self) -> Vec<(ParkedBy, usize)> {
        self.index().parked_by()
    }

    /// The entries that a cause has parked, in the order in which they were due, at most `most`.
    pub fn parked_keys(&self, cause: &ParkedBy, most: usize) -> Vec<Key> {
        self.index().parked_keys(cause, most)
    }

    /// Makes parked entries due again, each in the place in line that it had. Those that are no longer parked are left as
    /// they are. Answers how many there were.
    ///
    /// # Errors
    /// [`QueueError::Store`]; then some of them may be due.
    pub async fn unpark(&self, keys: &[Key]) -> Result<usize, QueueError> {
        let mut count = 0;
        for keys in keys.chunks(PUT_PART) {
            let durable = {
                let mut index = self.index();
                let (mut batch, mut entries) = (Batch::new(), Vec::new());
                for key in keys.iter().filter(|key| index.stand(key) == Some(Stand::Parked)) {
                    let Some(mut entry) = self.entry(key)? else { continue };
                    entry.unpark();
                    batch.put(ENTRIES, key.to_string(), encode(ENTRIES, &StoredEntry::from(entry.clone()))?);
                    entries.push((key, entry));
                }
                if entries.is_empty() {
                    continue;
                }
                let durable = self.store.commit(batch).map_err(failed("write to"))?;
                entries.iter().for_each(|(key, entry)| index.file(key, entry));
                count += entries.len();
                durable
            };
            durable.await.map_err(failed("write to"))?;
            self.nudge();
        }
        Ok(count)
    }
}
