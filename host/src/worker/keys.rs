//! Which key an item is worked on under.
//!
//! Promises: both copies of an appointment lead to one key, with or without the ledger; reads the ledger only.
//! Must not know: servers.

use crate::ledger::{Ledger, LedgerError};
use crate::model::{Change, ItemRef, Key, Side};

/// The key for a change: the ledger's, else the one of the pair that the item's stamp leads to, else the one it is born with.
/// Nothing for a change that leads nowhere: an item nobody knows, without a UID, of which only its id is left.
pub(crate) async fn key_for(ledger: &Ledger, change: &Change) -> Result<Option<Key>, LedgerError> {
    if let Some(key) = ledger.find_item(&change.at).await? {
        return Ok(Some(key));
    }
    if let Some(stamp) = &change.stamp {
        let key = owner(ledger, stamp).await?;
        if !duplicated(ledger, &key, &change.at).await? {
            return Ok(Some(key));
        }
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

/// The pair that what a stamp names is part of by now; it may have been linked under another key, when the ledger was lost.
async fn owner(ledger: &Ledger, stamp: &Key) -> Result<Key, LedgerError> {
    let found = match stamp {
        Key::Crm(id) => ledger.find_item(&ItemRef::crm(id)).await?,
        Key::Uid(uid) => ledger.find_uid(uid).await?,
        Key::Occurrence { .. } | Key::CrmSeries(_) => None,
    };
    Ok(found.unwrap_or_else(|| stamp.clone()))
}

/// Whether the pair under this key already has another item in the same place: a person copied the appointment, and the
/// stamp came along. The copy is an appointment of its own; but one that appears while a creation was begun and never recorded is what
/// the host made in the place of the lost one.
async fn duplicated(ledger: &Ledger, key: &Key, at: &ItemRef) -> Result<bool, LedgerError> {
    let Some(entry) = ledger.get(key).await? else { return Ok(false) };
    let known = entry.side(at.side());
    let other = known.is_some_and(|known| known.at.container == at.container && known.at != *at);
    Ok(other && ledger.begun(key).await?.is_none())
}
