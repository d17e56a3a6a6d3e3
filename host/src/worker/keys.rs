//! Which key an item is worked on under.
//!
//! Promises: both copies of an appointment lead to one key, with or without the ledger; reads the ledger only.
//! Must not know: servers.

use crate::ledger::{Ledger, LedgerError};
use crate::model::{Change, ItemRef, Key, Side};

/// The key for a change: the ledger's, else the one the item is stamped with, else the one it is born with. Nothing for a
/// change that leads nowhere: an item nobody knows, without a UID, of which only its id is left.
pub(crate) async fn key_for(ledger: &Ledger, change: &Change) -> Result<Option<Key>, LedgerError> {
    if let Some(key) = ledger.find_item(&change.at).await? {
        return Ok(Some(key));
    }
    if let Some(stamp) = &change.stamp
        && !duplicated(ledger, stamp, &change.at).await?
    {
        return Ok(Some(stamp.clone()));
    }
    match (change.at.side(), &change.uid) {
        (Side::Crm, _) => Ok(Some(Key::Crm(change.at.id.clone()))),
        (Side::Exchange, None) => Ok(None),
        (Side::Exchange, Some(uid)) => {
            let own = || Key::Uid(uid.clone());
            Ok(Some(ledger.find_uid(uid).await?.unwrap_or_else(own)))
        }
    }
}

/// Whether the pair under this stamp already has another item in the same place: a person copied the appointment, and the
/// stamp came along. The copy is an appointment of its own.
async fn duplicated(ledger: &Ledger, stamp: &Key, at: &ItemRef) -> Result<bool, LedgerError> {
    let Some(entry) = ledger.get(stamp).await? else { return Ok(false) };
    let known = entry.side(at.side());
    Ok(known.is_some_and(|known| known.at.container == at.container && known.at != *at))
}
