//! The store on sled, in one folder that belongs to one host.
//!
//! Promises: those of [`super::Store`]. sled 0.34 alone does not keep them: its `flush` only asks the kernel to start
//! writing (`sync_file_range`), values above a quarter segment go to files that are never synced, and damage may show as a
//! panic. Therefore: segments of 16 MiB; values cut into rows far below that quarter, with a check that no such file
//! appears; one thread that flushes, then calls `fdatasync` on the engine's file, and only then wakes everyone who waits
//! (a group commit: whoever commits meanwhile is served by the next round); flushes are counted beside the log, so that
//! a log that lost its end is noticed; and panics inside the engine become errors.
//! Must not know: what is kept.

mod guard;
mod layout;
mod open;
mod witness;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use self::guard::guarded;
use self::open::Opened;
use self::witness::Witness;
use super::{Batch, Durable, Row, SCAN_ROWS_MAX, Store, StoreError, Tree};
use crate::error::Chain;

/// Commits that wait for one flush at most; a further one blocks until the flusher takes them, which is never longer than one flush.
const WAITING_MAX: usize = 4096;
/// Every how many flushes the folder of oversized values is looked at: it stays empty by construction, this is the proof.
const FLUSHES_PER_LOOK: u64 = 256;

type Waiter = oneshot::Sender<Result<(), StoreError>>;

/// Trees in a sled database. Dropping it waits for the flush under way and frees the folder.
#[derive(Debug)]
pub struct SledStore {
    engine: Arc<Engine>,
    /// Held while a batch is checked and applied, and while a value of several rows is read.
    writing: Mutex<()>,
    flusher: Option<(SyncSender<Waiter>, JoinHandle<()>)>,
    /// Released last: see the order of fields.
    _lock: File,
}

#[derive(Debug)]
struct Engine {
    rows: ::sled::Db,
    folder: PathBuf,
    /// The first failed write: memory and disk may disagree since.
    failed: OnceLock<Arc<StoreError>>,
}

impl SledStore {
    /// Opens the store in a data folder, creating both if need be (readable by this user alone).
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it open, [`StoreError::Damaged`] if it cannot be read,
    /// [`StoreError::File`] if the folder cannot be used.
    pub fn open(data_folder: &Path) -> Result<Self, StoreError> {
        let lock = open::lock(data_folder)?;
        let Opened { rows, folder, file, mut witness } = open::engine(data_folder)?;
        let engine = Arc::new(Engine { rows, folder, failed: OnceLock::new() });
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let flushed = engine.clone();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || flush_for_waiters(&flushed, &file, &mut witness, &receiver))
            .map_err(|cause| engine.failure("start the flushing thread of", cause))?;
        Ok(Self { engine, writing: Mutex::new(()), flusher: Some((sender, thread)), _lock: lock })
    }

    /// The engine's own folder inside the data folder.
    pub fn folder(&self) -> &Path {
        &self.engine.folder
    }

    /// A whole value from its first row.
    fn value(&self, tree: Tree, key: &[u8], head: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(value) = layout::inline(head) {
            return Ok(Some(value.to_vec()));
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.engine.value(tree, key)
    }
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.usable()?;
        match self.engine.row(&layout::head_key(tree, key))? {
            Some(head) => self.value(tree, key, &head),
            None => Ok(None),
        }
    }

    fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.engine.usable()?;
        let limit = limit.min(SCAN_ROWS_MAX);
        let tree_bytes = layout::head_key(tree, b"").len();
        let heads = guarded(&self.engine.folder, "read", || {
            layout::range(&self.engine.rows, tree, prefix, after).take(limit).collect::<Result<Vec<_>, _>>()
        })?;
        let mut rows = Vec::with_capacity(heads.len());
        for (row_key, head) in heads {
            let key = row_key.get(tree_bytes..).unwrap_or_default();
            // A row that was removed meanwhile is left out.
            if let Some(value) = self.value(tree, key, &head)? {
                rows.push(Row { key: key.to_vec(), value });
            }
        }
        Ok(rows)
    }

    fn commit(&self, batch: Batch) -> Result<Durable, StoreError> {
        let Some((flusher, _)) = &self.flusher else { return Err(StoreError::Closed) };
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.engine.usable()?;
        batch.check(|tree, key| self.engine.value(tree, key))?;
        if let Err(error) = self.engine.apply(batch) {
            return Err(self.engine.fail(error));
        }
        let (waiter, receiver) = oneshot::channel();
        flusher.send(waiter).map_err(|_| StoreError::Closed)?;
        Ok(Durable::wait_for(receiver))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.flusher.take() {
            drop(sender);
            if thread.join().is_err() {
                tracing::error!("The store's flushing thread died");
            }
        }
    }
}

impl Engine {
    fn row(&self, row_key: &[u8]) -> Result<Option<::sled::IVec>, StoreError> {
        guarded(&self.folder, "read", || self.rows.get(row_key))
    }

    /// A whole value; the caller sees to it that nobody writes meanwhile.
    fn value(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(head) = self.row(&layout::head_key(tree, key))? else { return Ok(None) };
        if let Some(value) = layout::inline(&head) {
            return Ok(Some(value.to_vec()));
        }
        let mut value = Vec::new();
        for index in 0..layout::parts(&head) {
            let part = self.row(&layout::part_key(tree, key, index))?;
            let part = part.ok_or_else(|| self.damaged("a part of a large value is missing"))?;
            value.extend_from_slice(&part);
        }
        if layout::length(&head) != Some(value.len() as u64) {
            return Err(self.damaged("a large value has another length than recorded"));
        }
        Ok(Some(value))
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut rows = ::sled::Batch::default();
        for ((tree, key), value) in batch.writes {
            let old = self.row(&layout::head_key(tree, &key))?;
            let old_parts = old.as_deref().map_or(0, layout::parts);
            layout::write(&mut rows, tree, &key, old_parts, value.as_deref());
        }
        guarded(&self.folder, "write to", || self.rows.apply_batch(rows))
    }

    /// Everything applied so far reaches the disk.
    fn flush(&self, file: &File, witness: &mut Witness, look: bool) -> Result<(), StoreError> {
        self.usable()?;
        witness.announce(&self.folder)?;
        guarded(&self.folder, "flush", || self.rows.flush())?;
        file.sync_data().map_err(|cause| self.failure("sync", cause))?;
        witness.confirm()?;
        if look { open::no_oversized_values(&self.folder) } else { Ok(()) }
    }

    fn usable(&self) -> Result<(), StoreError> {
        match self.failed.get() {
            Some(cause) => Err(StoreError::Refused { folder: self.folder.clone(), cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Makes the store refuse everything from now on.
    fn fail(&self, error: StoreError) -> StoreError {
        // Only the first failure is the cause.
        let _ = self.failed.set(Arc::new(error.clone()));
        error
    }

    fn damaged(&self, detail: &str) -> StoreError {
        StoreError::Damaged { folder: self.folder.clone(), detail: detail.to_owned() }
    }

    fn failure(&self, act: &'static str, cause: std::io::Error) -> StoreError {
        StoreError::Failed { act, folder: self.folder.clone(), cause: Arc::new(cause) }
    }
}

/// The flushing thread: one flush for all who wait, until the store is dropped.
fn flush_for_waiters(engine: &Engine, file: &File, witness: &mut Witness, waiters: &Receiver<Waiter>) {
    let mut flushes: u64 = 0;
    while let Ok(first) = waiters.recv() {
        let mut served = vec![first];
        served.extend(waiters.try_iter().take(WAITING_MAX));
        flushes += 1;
        let look = flushes.is_multiple_of(FLUSHES_PER_LOOK);
        let result = engine.flush(file, witness, look).map_err(|error| engine.fail(error));
        for waiter in served {
            // Whoever stopped waiting does not need the answer.
            let _ = waiter.send(result.clone());
        }
    }
    if let Err(error) = witness.sync() {
        tracing::debug!(error = %Chain(&error), "The count of flushes was not synced; it only proves less then");
    }
}
