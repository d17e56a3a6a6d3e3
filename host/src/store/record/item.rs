//! The stored forms of items, changes and what the ledger knows of a side.
//!
//! Promises: ids and versions are kept to the letter. Must not know: trees, appointments' fields.

use serde::{Deserialize, Serialize};

use super::{RecordError, StoredAppointment, twin};
use crate::model::{Address, Cause, Change, Container, ItemRef, Key, Known, Side, Version};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredItemRef {
    /// Address of the mailbox; absent for the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailbox: Option<String>,
    id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKnown {
    at: StoredItemRef,
    version: String,
    appointment: StoredAppointment,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChange {
    at: StoredItemRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    cause: StoredCause,
}

twin!(StoredCause = Cause { Feed, First, Sweep, Person, Again });
twin!(StoredSide = Side { Crm, Exchange });

/// The key written in a record.
pub(crate) fn key(text: &str) -> Result<Key, RecordError> {
    Key::parse(text).ok_or_else(|| RecordError::Content { what: "key", found: text.to_owned() })
}

impl From<ItemRef> for StoredItemRef {
    fn from(from: ItemRef) -> Self {
        let mailbox = match from.container {
            Container::Crm => None,
            Container::Mailbox(address) => Some(address.as_str().to_owned()),
        };
        Self { mailbox, id: from.id }
    }
}

impl From<StoredItemRef> for ItemRef {
    fn from(from: StoredItemRef) -> Self {
        let container = from.mailbox.map_or(Container::Crm, |address| Container::Mailbox(Address::new(&address)));
        Self { container, id: from.id }
    }
}

impl From<Known> for StoredKnown {
    fn from(from: Known) -> Self {
        Self { at: from.at.into(), version: from.version.0, appointment: from.appointment.into() }
    }
}

impl From<StoredKnown> for Known {
    fn from(from: StoredKnown) -> Self {
        Self { at: from.at.into(), version: Version(from.version), appointment: from.appointment.into() }
    }
}

impl From<Change> for StoredChange {
    fn from(from: Change) -> Self {
        Self {
            at: from.at.into(),
            uid: from.uid,
            stamp: from.stamp.map(|stamp| stamp.to_string()),
            cause: from.cause.into(),
        }
    }
}

impl TryFrom<StoredChange> for Change {
    type Error = RecordError;

    fn try_from(from: StoredChange) -> Result<Self, RecordError> {
        Ok(Self {
            at: from.at.into(),
            uid: from.uid,
            stamp: from.stamp.as_deref().map(key).transpose()?,
            cause: from.cause.into(),
        })
    }
}
