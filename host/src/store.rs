//! Durable key-value trees, and what is kept in them.
//!
//! Promises: a commit is all or nothing, over however many trees it spans. [`Store::commit`] puts it in its place among
//! the others and makes it visible to reads at once; it is on disk, and survives power loss, when the [`Durable`] it
//! returned resolves. Commits become durable in the order they were made: what survives a power cut is a prefix of them.
//! After a failed write the store refuses everything further, since memory and disk may disagree then.
//! Values are versioned records ([`record`]). Must not know: queue, ledger, connectors, rules.
//!
//! The engine behind the trait can be replaced: nothing outside this module names it, except `app` when it opens one.

mod kv;
mod memory;
pub mod record;
mod sled;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

pub use self::kv::{KV_ROWS_MAX, Kv};
pub use self::memory::MemoryStore;
pub use self::sled::SledStore;

/// Longest key in bytes. Item ids and iCalendar UIDs are a few hundred bytes; the limit keeps a hostile one from bloating pages.
pub const KEY_BYTES_MAX: usize = 16 << 10;
/// Largest value in bytes: an appointment with a long HTML body on both sides is a few megabytes at most.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// Most rows one [`Store::scan`] returns.
pub const SCAN_ROWS_MAX: usize = 10_000;

/// Trees that agree with each other. All methods are cheap enough to be called from async code.
pub trait Store: Send + Sync + fmt::Debug {
    /// The value of a key, as of the last commit made, durable or not yet.
    ///
    /// # Errors
    /// [`StoreError`] if the store is damaged or has failed.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows whose key starts with `prefix` and lies behind `after`, in key order, at most `limit` (and [`SCAN_ROWS_MAX`]).
    /// Each row is whole; the page as a whole is no snapshot.
    ///
    /// # Errors
    /// [`StoreError`] if the store is damaged or has failed.
    fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Applies a batch as one. It is visible to reads when this returns, and durable when the returned future resolves;
    /// dropping the future does not undo it.
    ///
    /// # Errors
    /// [`StoreError::Expectation`] if one of the batch's expectations is not met: nothing was changed. Other errors mean
    /// that the store has failed.
    fn commit(&self, batch: Batch) -> Result<Durable, StoreError>;
}

/// Name of a tree; lower-case letters and `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tree(pub &'static str);

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// Writes that happen together or not at all, and what must hold for them to happen. The last write to a key counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    expectations: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>,
    writes: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(&mut self, tree: Tree, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.writes.insert((tree, key.into()), Some(value.into()));
        self
    }

    pub fn remove(&mut self, tree: Tree, key: impl Into<Vec<u8>>) -> &mut Self {
        self.writes.insert((tree, key.into()), None);
        self
    }

    /// The batch is refused unless the key has exactly this value (or, with `None`, does not exist) before it.
    pub fn expect(&mut self, tree: Tree, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) -> &mut Self {
        self.expectations.insert((tree, key.into()), value);
        self
    }

    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Checks sizes, then the expectations against `get`.
    fn check(&self, get: impl Fn(Tree, &[u8]) -> Result<Option<Vec<u8>>, StoreError>) -> Result<(), StoreError> {
        for ((tree, key), value) in &self.writes {
            let bytes = value.as_ref().map_or(0, Vec::len);
            if key.len() > KEY_BYTES_MAX || bytes > VALUE_BYTES_MAX {
                return Err(StoreError::TooLarge { tree: tree.0, key_bytes: key.len(), value_bytes: bytes });
            }
        }
        for ((tree, key), expected) in &self.expectations {
            if get(*tree, key)? != *expected {
                return Err(StoreError::Expectation { tree: tree.0 });
            }
        }
        Ok(())
    }
}

/// Resolves when a commit has reached the disk.
#[must_use = "a commit is durable only when this resolved"]
#[derive(Debug)]
pub struct Durable(Waiting);

#[derive(Debug)]
enum Waiting {
    Done,
    For(oneshot::Receiver<Result<(), StoreError>>),
}

impl Durable {
    fn done() -> Self {
        Self(Waiting::Done)
    }

    fn wait_for(receiver: oneshot::Receiver<Result<(), StoreError>>) -> Self {
        Self(Waiting::For(receiver))
    }
}

impl Future for Durable {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Waiting::Done => Poll::Ready(Ok(())),
            Waiting::For(receiver) => {
                Pin::new(receiver).poll(context).map(|sent| sent.unwrap_or(Err(StoreError::Closed)))
            }
        }
    }
}

/// A store that cannot be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another host runs on the data folder {}", folder.display())]
    InUse { folder: PathBuf },
    #[error("the store in {} is damaged: {detail}", folder.display())]
    Damaged { folder: PathBuf, detail: String },
    #[error("{act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        cause: Arc<std::io::Error>,
    },
    #[error("{act} the store in {}", folder.display())]
    Failed {
        act: &'static str,
        folder: PathBuf,
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    #[error("the store in {} failed before; the host has to be started again", folder.display())]
    Refused {
        folder: PathBuf,
        /// The failure itself.
        #[source]
        cause: Arc<StoreError>,
    },
    #[error("the store is closed")]
    Closed,
    #[error("a row of {tree} is not as expected")]
    Expectation { tree: &'static str },
    #[error("a row for {tree} is too large: key {key_bytes} bytes, value {value_bytes} bytes")]
    TooLarge { tree: &'static str, key_bytes: usize, value_bytes: usize },
    #[error("read a row of {tree}")]
    Record {
        tree: &'static str,
        #[source]
        cause: Arc<record::RecordError>,
    },
}

impl StoreError {
    /// Stable code under which people find this failure.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::InUse { .. } => "data-folder-in-use",
            StoreError::Damaged { .. } => "store-damaged",
            StoreError::File { .. } => "data-folder-not-usable",
            StoreError::Failed { .. } | StoreError::Refused { .. } | StoreError::Closed => "store-failed",
            StoreError::Expectation { .. } => "changed-meanwhile",
            StoreError::TooLarge { .. } => "record-too-large",
            StoreError::Record { .. } => "record-not-understood",
        }
    }

    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            StoreError::InUse { .. } => {
                "stop the other host first, or give this one its own folder with --data; a running host answers the command line without stopping"
                    .into()
            }
            StoreError::Damaged { folder, .. } => format!(
                "restore the folder {0} from a backup, or move it away and start again: pairs are then rebuilt from the stamps the items carry and nothing is created twice; waiting and parked entries and the history of pairs are lost with it",
                folder.display()
            ),
            StoreError::File { path, .. } => {
                format!("check that {} exists, that this user may write to it, and that its disk is not full", path.display())
            }
            StoreError::Failed { .. } | StoreError::Refused { .. } | StoreError::Closed => {
                "check that the disk is not full and not failing (the system log tells), then start the host again; everything that was acknowledged is kept".into()
            }
            StoreError::Expectation { .. } => "nothing to do: the host reads again".into(),
            StoreError::TooLarge { .. } => "shorten the appointment's body in its calendar; it is larger than the host keeps".into(),
            StoreError::Record { cause, .. } => cause.hint().into(),
        }
    }
}
