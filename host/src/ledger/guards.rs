//! What the limits of an hour have counted, kept so that a restart forgets nothing: deletions and mails.
//!
//! Promises: what was kept survives power loss. Must not know: what is counted, which limits there are.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, decode, encode, failed};
use crate::store::record::Record;
use crate::store::{Batch, SCAN_ROWS_MAX, Tree};

const GUARDS: Tree = Tree("ledger-guards");

/// Counts by the time they began at, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub counts: Vec<(DateTime<Utc>, u32)>,
}

impl Record for Counted {
    const KIND: &'static str = "ledger-guard";
}

impl Ledger {
    /// All counts kept, by name.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if they cannot be read.
    pub async fn counted(&self) -> Result<Vec<(String, Counted)>, LedgerError> {
        let rows = self.store.scan(GUARDS, b"", None, SCAN_ROWS_MAX).map_err(failed("read"))?;
        rows.iter()
            .map(|row| Ok((String::from_utf8_lossy(&row.key).into_owned(), decode(GUARDS, &row.value)?)))
            .collect()
    }

    /// Keeps counts under their names, durably; one without a count is forgotten.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if they cannot be written.
    pub async fn keep_counted(&self, counted: &[(String, Counted)]) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        for (name, counts) in counted {
            if counts.counts.is_empty() {
                batch.remove(GUARDS, name.as_str());
            } else {
                batch.put(GUARDS, name.as_str(), encode(GUARDS, counts)?);
            }
        }
        let durable = self.store.commit(batch).map_err(failed("write to"))?;
        durable.await.map_err(failed("write to"))
    }
}
