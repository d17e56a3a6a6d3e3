//! Creations under way: from what a copy is being made, and as what.
//!
//! A host that is stopped between the write and the ledger finds its copy again by the stamp; by this it also knows what both
//! sides showed then, so that what people changed meanwhile is told from what it wrote itself.
//! Promises: it is kept durably before a server is asked, and gone when the pair is recorded. Must not know: who creates, where.

use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, decode, encode, failed};
use crate::model::{Appointment, ItemRef, Key};
use crate::store::record::{Record, StoredAppointment, StoredItemRef};
use crate::store::{Batch, Tree};

pub(super) const BEGUN: Tree = Tree("ledger-begun");

/// Both sides as they will be if nobody but the host writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    pub crm: Appointment,
    pub exchange: Appointment,
    /// What the copy is made of, where that is one item.
    pub source: Option<ItemRef>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredBegun {
    crm: StoredAppointment,
    exchange: StoredAppointment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<StoredItemRef>,
}

impl Record for StoredBegun {
    const KIND: &'static str = "ledger-begun";
}

impl Ledger {
    /// Notes durably that a copy is about to be made.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be kept.
    pub async fn begin(&self, key: &Key, begun: Begun) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        put_begun(&mut batch, key, begun)?;
        self.store.commit(batch).map_err(failed("write to"))?.await.map_err(failed("write to"))
    }

    /// The creation under way for a key, if it was never recorded.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn begun(&self, key: &Key) -> Result<Option<Begun>, LedgerError> {
        let bytes = self.store.get(BEGUN, key.to_string().as_bytes()).map_err(failed("read"))?;
        let stored = bytes.as_deref().map(|bytes| decode::<StoredBegun>(BEGUN, bytes)).transpose()?;
        let begun = |stored: StoredBegun| Begun {
            crm: stored.crm.into(),
            exchange: stored.exchange.into(),
            source: stored.source.map(ItemRef::from),
        };
        Ok(stored.map(begun))
    }

    /// Puts the end of a creation into a batch.
    pub(super) fn end(&self, batch: &mut Batch, key: &Key) -> Result<(), LedgerError> {
        let row = key.to_string();
        if self.store.get(BEGUN, row.as_bytes()).map_err(failed("read"))?.is_some() {
            batch.remove(BEGUN, row);
        }
        Ok(())
    }
}

pub(super) fn put_begun(batch: &mut Batch, key: &Key, begun: Begun) -> Result<(), LedgerError> {
    let source = begun.source.map(StoredItemRef::from);
    let stored = StoredBegun { crm: begun.crm.into(), exchange: begun.exchange.into(), source };
    batch.put(BEGUN, key.to_string(), encode(BEGUN, &stored)?);
    Ok(())
}
