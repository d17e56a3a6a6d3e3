//! Mailboxes whose items the ledger knows by another server's names: nothing is asked of them until they were carried over.
//!
//! Asked by a name it never gave, a server says that there is no such item, and that must not be taken for a deletion.
//! Promises: while a mailbox is held nobody looks into it for the sync; what concerns it waits and spends no try.
//! Must not know: how names are carried over.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Trouble, Worker};
use crate::model::Container;

/// How soon an appointment of a held mailbox is looked at again by itself; the end of the hold makes it due at once.
pub(super) const HELD_DUE: Duration = Duration::from_secs(600);

/// From which server to which a mailbox has moved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    pub from: String,
    pub to: String,
}

impl Worker {
    /// Holds these mailboxes, and no others.
    pub(crate) fn hold(&self, moved: BTreeMap<Container, Moved>) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = moved;
    }

    /// Holds a mailbox no longer.
    #[cfg(feature = "program")]
    pub(crate) fn let_go(&self, mailbox: &Container) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).remove(mailbox);
    }

    /// Whether a mailbox is held.
    pub(crate) fn held(&self, mailbox: &Container) -> Option<Moved> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).get(mailbox).cloned()
    }

    /// Waits for the appointments under way, and lets no other be begun while the answer lives.
    #[cfg(feature = "program")]
    pub(crate) async fn stand_still(&self) -> tokio::sync::RwLockWriteGuard<'_, ()> {
        self.still.write().await
    }

    pub(super) fn not_held(&self, container: &Container) -> Result<(), Trouble> {
        self.held(container).map_or(Ok(()), |Moved { from, to }| Err(Trouble::Moved { from, to }))
    }
}
