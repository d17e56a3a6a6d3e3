//! Which pairs are to be made anew by the rules in force, and which were.
//!
//! Promises: a mark is durable when set, and stays through retries, parking and restarts until the pair was made anew under the rules it
//! names. Must not know: rules, how a pair is made anew.

use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, decode, encode, failed};
use crate::model::Key;
use crate::store::record::Record;
use crate::store::{Batch, Tree};

const MARKS: Tree = Tree("ledger-reapply");
/// Marks set in one commit.
const PART: usize = 1000;

/// A pair that is to be, or was, made anew by the rules of one generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Digest of the generation.
    pub digest: String,
    /// It was made anew, and nothing was written under other rules since.
    pub done: bool,
}

impl Record for Mark {
    const KIND: &'static str = "ledger-reapply";
}

impl Ledger {
    /// The mark of a pair.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn mark(&self, key: &Key) -> Result<Option<Mark>, LedgerError> {
        let bytes = self.store.get(MARKS, key.to_string().as_bytes()).map_err(failed("read"))?;
        bytes.as_deref().map(|bytes| decode(MARKS, bytes)).transpose()
    }

    /// Sets a mark on pairs, durably.
    ///
    /// # Errors
    /// [`LedgerError::Store`]; then some of the marks may be set.
    pub async fn set_marks(&self, keys: &[Key], mark: &Mark) -> Result<(), LedgerError> {
        for part in keys.chunks(PART) {
            let mut batch = Batch::new();
            for key in part {
                batch.put(MARKS, key.to_string(), encode(MARKS, mark)?);
            }
            let durable = self.store.commit(batch).map_err(failed("write to"))?;
            durable.await.map_err(failed("write to"))?;
        }
        Ok(())
    }

    /// Takes a mark away, durably.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be written.
    pub async fn clear_mark(&self, key: &Key) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        batch.remove(MARKS, key.to_string());
        let durable = self.store.commit(batch).map_err(failed("write to"))?;
        durable.await.map_err(failed("write to"))
    }
}
