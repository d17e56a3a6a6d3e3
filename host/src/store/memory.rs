//! A store in memory, for tests: the same semantics, and power cuts at will.
//!
//! Promises: what [`MemoryStore::power_lost`] keeps is what a disk would: every commit whose [`Durable`] resolved, and as
//! many of the commits after it as asked for, in order. Must not know: files.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Batch, Durable, Row, SCAN_ROWS_MAX, Store, StoreError, Tree};

type Rows = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;
type Writes = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

/// Trees in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What reads see.
    live: Rows,
    /// What a power cut leaves.
    durable: Rows,
    pending: VecDeque<Pending>,
    lost: bool,
}

#[derive(Debug)]
struct Pending {
    writes: Writes,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl MemoryStore {
    /// A store whose commits are durable at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store whose commits become durable when [`MemoryStore::flush`] is called, and not before.
    pub fn held() -> Self {
        Self { held: true, state: Mutex::default() }
    }

    /// Makes all pending commits durable.
    pub fn flush(&self) {
        let mut state = self.state();
        while let Some(pending) = state.pending.pop_front() {
            apply(&mut state.durable, pending.writes);
            // The committer may have stopped waiting.
            let _ = pending.done.send(Ok(()));
        }
    }

    /// Number of commits that are not durable yet.
    pub fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// Power is lost: what the next start finds. The first `written` pending commits had reached the disk, though nobody
    /// was told; the others are gone. This store refuses everything from now on.
    #[must_use]
    pub fn power_lost(&self, written: usize) -> Self {
        let mut state = self.state();
        let mut rows = std::mem::take(&mut state.durable);
        let pending = std::mem::take(&mut state.pending);
        for pending in pending.into_iter().take(written) {
            apply(&mut rows, pending.writes);
        }
        state.lost = true;
        Self { held: self.held, state: Mutex::new(State { live: rows.clone(), durable: rows, ..State::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.state();
        if state.lost { Err(StoreError::Closed) } else { Ok(state) }
    }
}

impl Store for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.powered()?.live.get(&(tree, key.to_vec())).cloned())
    }

    fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        let state = self.powered()?;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((tree, after.to_vec())),
            _ => Bound::Included((tree, prefix.to_vec())),
        };
        Ok(state
            .live
            .range((start, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == tree && key.starts_with(prefix))
            .take(limit.min(SCAN_ROWS_MAX))
            .map(|((_, key), value)| Row { key: key.clone(), value: value.clone() })
            .collect())
    }

    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        let mut state = self.powered()?;
        batch.check(|tree, key| Ok(state.live.get(&(tree, key.to_vec())).cloned()))?;
        apply(&mut state.live, batch.writes.clone());
        if !self.held {
            apply(&mut state.durable, batch.writes);
            return Ok(Durable::done());
        }
        let (done, receiver) = oneshot::channel();
        state.pending.push_back(Pending { writes: batch.writes, done });
        Ok(Durable::wait_for(receiver))
    }
}

fn apply(rows: &mut Rows, writes: Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}
