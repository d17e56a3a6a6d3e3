//! Changes under way: what both sides will show once a write to a pair is through.
//!
//! A host that is stopped between the write and the ledger finds its own values on the other side; by this it tells them from
//! what a person typed. Promises: it is kept durably before a server is asked, and gone when the pair is recorded. Must not
//! know: who writes, what the sides show.

use serde::{Deserialize, Serialize};

use super::event::field;
use super::{Ledger, LedgerError, bad, decode, encode, failed};
use crate::model::{Appointment, Field, Key};
use crate::store::record::{Record, StoredAppointment};
use crate::store::{Batch, Tree};

const WRITING: Tree = Tree("ledger-writing");

/// Both sides as they will be if nobody but the host writes, and what of that it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writing {
    pub crm: Appointment,
    pub exchange: Appointment,
    pub to_crm: Vec<Field>,
    pub to_exchange: Vec<Field>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredWriting {
    crm: StoredAppointment,
    exchange: StoredAppointment,
    to_crm: Vec<String>,
    to_exchange: Vec<String>,
}

impl Record for StoredWriting {
    const KIND: &'static str = "ledger-writing";
}

impl Ledger {
    /// Notes durably that a pair is about to be written to.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be kept.
    pub async fn write_begins(&self, key: &Key, writing: Writing) -> Result<(), LedgerError> {
        let names = |fields: &[Field]| fields.iter().map(Field::name).collect();
        let (to_crm, to_exchange) = (names(&writing.to_crm), names(&writing.to_exchange));
        let stored = StoredWriting { crm: writing.crm.into(), exchange: writing.exchange.into(), to_crm, to_exchange };
        let mut batch = Batch::new();
        batch.put(WRITING, key.to_string(), encode(WRITING, &stored)?);
        self.store.commit(batch).map_err(failed("write to"))?.await.map_err(failed("write to"))
    }

    /// The write under way for a key, if it was never recorded.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn writing(&self, key: &Key) -> Result<Option<Writing>, LedgerError> {
        let bytes = self.store.get(WRITING, key.to_string().as_bytes()).map_err(failed("read"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let stored = decode::<StoredWriting>(WRITING, &bytes)?;
        let fields = |names: Vec<String>| names.into_iter().map(field).collect::<Result<_, _>>().map_err(bad(WRITING));
        let (to_crm, to_exchange) = (fields(stored.to_crm)?, fields(stored.to_exchange)?);
        Ok(Some(Writing { crm: stored.crm.into(), exchange: stored.exchange.into(), to_crm, to_exchange }))
    }

    /// Puts the end of a write into a batch.
    pub(super) fn write_ends(&self, batch: &mut Batch, key: &Key) -> Result<(), LedgerError> {
        let row = key.to_string();
        if self.store.get(WRITING, row.as_bytes()).map_err(failed("read"))?.is_some() {
            batch.remove(WRITING, row);
        }
        Ok(())
    }
}
