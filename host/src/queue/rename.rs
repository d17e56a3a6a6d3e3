//! Other names for the items of a container: changes that wait follow them.
//!
//! Promises: a change of an item without a new name is let go, since nobody can look at it any more; the feed, which starts over under
//! the new names, tells of the item if it is there. Must not know: where the names come from.

use std::collections::HashMap;

use super::entry::StoredEntry;
use super::{ENTRIES, EntryView, PUT_PART, Queue, QueueError, encode, failed, parse_key};
use crate::model::{Container, Key};
use crate::store::Batch;

impl Queue {
    /// The names of a container's items that changes wait for.
    ///
    /// # Errors
    /// [`QueueError::Store`] if an entry cannot be read.
    pub async fn names_in(&self, container: &Container) -> Result<Vec<String>, QueueError> {
        let names = |view: EntryView| {
            let changes = view.changes.into_iter().map(|change| change.at);
            Some(changes.filter(|at| at.container == *container).map(|at| at.id).collect::<Vec<_>>())
        };
        let mut names = self.collect(None, names).await?.concat();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Renames the items of a container. Answers the keys that have nothing left to look at and are gone. Nothing may be leased.
    ///
    /// # Errors
    /// [`QueueError::Store`]; then some may be renamed, and a repeat does no harm.
    pub async fn rename(&self, container: &Container, names: &HashMap<String, String>) -> Result<Vec<Key>, QueueError> {
        let (mut gone, mut after) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(ENTRIES, b"", after.as_deref(), PUT_PART).map_err(failed("list"))?;
            let Some(last) = rows.last() else { return Ok(gone) };
            after = Some(last.key.clone());
            let durable = {
                let mut index = self.index();
                let (mut batch, mut filed) = (Batch::new(), Vec::new());
                for row in &rows {
                    let key = parse_key(&row.key)?;
                    let Some(mut entry) = self.entry(&key)? else { continue };
                    let before = entry.changes.len();
                    let mut renamed = false;
                    entry.changes.retain_mut(|(_, change)| {
                        if change.at.container != *container {
                            return true;
                        }
                        renamed = true;
                        names.get(&change.at.id).map(|name| change.at.id.clone_from(name)).is_some()
                    });
                    if !renamed {
                        continue;
                    }
                    if entry.changes.is_empty() && before > 0 {
                        batch.remove(ENTRIES, row.key.clone());
                        filed.push((key, None));
                    } else {
                        batch.put(ENTRIES, row.key.clone(), encode(ENTRIES, &StoredEntry::from(entry.clone()))?);
                        filed.push((key, Some(entry)));
                    }
                }
                if filed.is_empty() {
                    continue;
                }
                let durable = self.store.commit(batch).map_err(failed("write to"))?;
                for (key, entry) in filed {
                    match entry {
                        Some(entry) => index.refile(&key, &entry),
                        None => {
                            index.remove(&key);
                            gone.push(key);
                        }
                    }
                }
                durable
            };
            durable.await.map_err(failed("write to"))?;
        }
    }
}
