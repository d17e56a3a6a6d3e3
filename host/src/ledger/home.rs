//! Whose names for items the ledger holds, mailbox by mailbox: the server they were read from; and which calendars are this host's.
//!
//! Promises: durable when set; a mailbox that is half carried over to another server says how far. Must not know: servers, names.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, decode, encode, failed};
use crate::model::Container;
use crate::store::record::Record;
use crate::store::{Batch, Tree};

const HOMES: Tree = Tree("ledger-home");
const CLAIMS: Tree = Tree("ledger-claims");

/// The server whose names the ledger holds for the items of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// As the configuration called it.
    pub server: String,
    /// What it speaks: `ews` or `graph`.
    pub kind: String,
    /// Where the mailbox is being carried to, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Moving>,
}

/// A mailbox that is being carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moving {
    pub server: String,
    pub kind: String,
    /// The last appointment that bears the new names, in the order of [`Ledger::keys_in`]; those behind it bear the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A calendar that is this host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// When the calendar last said so.
    pub seen: DateTime<Utc>,
    /// It said so on another occasion than when it was claimed: nobody claimed it at the same time.
    pub sure: bool,
}

impl Record for Claimed {
    const KIND: &'static str = "ledger-claim";
}

impl Record for Home {
    const KIND: &'static str = "ledger-home";
}

impl Ledger {
    /// Whose names the ledger holds for the items of a mailbox; nothing for one that was never synchronized.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn home(&self, mailbox: &Container) -> Result<Option<Home>, LedgerError> {
        let bytes = self.store.get(HOMES, mailbox.key().as_bytes()).map_err(failed("read"))?;
        bytes.as_deref().map(|bytes| decode(HOMES, bytes)).transpose()
    }

    /// Notes whose names the ledger holds, durably.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be written.
    pub async fn set_home(&self, mailbox: &Container, home: &Home) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        batch.put(HOMES, mailbox.key(), encode(HOMES, home)?);
        let durable = self.store.commit(batch).map_err(failed("write to"))?;
        durable.await.map_err(failed("write to"))
    }

    /// When a calendar was last seen to be this host's; nothing if it never was.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be read.
    pub async fn claimed(&self, mailbox: &Container) -> Result<Option<Claimed>, LedgerError> {
        let bytes = self.store.get(CLAIMS, mailbox.key().as_bytes()).map_err(failed("read"))?;
        bytes.as_deref().map(|bytes| decode(CLAIMS, bytes)).transpose()
    }

    /// Notes that a calendar is this host's, or is not (any more), durably.
    ///
    /// # Errors
    /// [`LedgerError::Store`] if it cannot be written.
    pub async fn set_claimed(&self, mailbox: &Container, claimed: Option<&Claimed>) -> Result<(), LedgerError> {
        let mut batch = Batch::new();
        match claimed {
            Some(claimed) => batch.put(CLAIMS, mailbox.key(), encode(CLAIMS, claimed)?),
            None => batch.remove(CLAIMS, mailbox.key()),
        };
        let durable = self.store.commit(batch).map_err(failed("write to"))?;
        durable.await.map_err(failed("write to"))
    }
}
