//! What the ledger knows of one appointment, and its stored form.
//!
//! Promises: content is kept as the sides showed it. Must not know: store, trees.

use serde::{Deserialize, Serialize};

use super::event::StoredGeneration;
use crate::model::{ItemRef, Key, Known, Side};
use crate::rules::Generation;
use crate::store::record::{self, Record, RecordError, StoredItemRef, StoredKnown, twin};

/// A pair, or one half of it, as both sides last agreed on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    pub crm: Option<Known>,
    pub exchange: Option<Known>,
    /// iCalendar UID in Exchange.
    pub uid: Option<String>,
    pub state: State,
    /// The rules that last judged it.
    pub generation: Option<Generation>,
    /// Copies of the meeting in attendees' mailboxes.
    pub copies: Vec<ItemRef>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Live,
    /// Removed on both sides; kept so that late news of it is recognised.
    Gone,
}

impl Entry {
    /// A live entry of which nothing is known yet.
    pub fn new(key: Key) -> Self {
        Self { key, crm: None, exchange: None, uid: None, state: State::Live, generation: None, copies: Vec::new() }
    }

    pub fn side(&self, side: Side) -> Option<&Known> {
        match side {
            Side::Crm => self.crm.as_ref(),
            Side::Exchange => self.exchange.as_ref(),
        }
    }

    /// Every item that belongs to it, each once.
    pub fn items(&self) -> Vec<&ItemRef> {
        let sides = [&self.crm, &self.exchange].into_iter().flatten().map(|known| &known.at);
        let mut items: Vec<_> = sides.chain(&self.copies).collect();
        items.sort();
        items.dedup();
        items
    }
}

twin!(StoredState = State { Live, Gone });

#[derive(Debug, Serialize, Deserialize)]
pub struct StoredEntry {
    key: String,
    crm: Option<StoredKnown>,
    exchange: Option<StoredKnown>,
    uid: Option<String>,
    state: StoredState,
    #[serde(default)]
    generation: Option<StoredGeneration>,
    #[serde(default)]
    copies: Vec<StoredItemRef>,
    /// Number of the next event of its history.
    next_event: u64,
}

impl Record for StoredEntry {
    const KIND: &'static str = "ledger-entry";
}

impl StoredEntry {
    pub fn new(from: Entry, next_event: u64) -> Self {
        Self {
            key: from.key.to_string(),
            crm: from.crm.map(Into::into),
            exchange: from.exchange.map(Into::into),
            uid: from.uid,
            state: from.state.into(),
            generation: from.generation.map(Into::into),
            copies: from.copies.into_iter().map(Into::into).collect(),
            next_event,
        }
    }

    /// The entry and the number of its next event.
    pub fn into_entry(self) -> Result<(Entry, u64), RecordError> {
        let entry = Entry {
            key: record::key(&self.key)?,
            crm: self.crm.map(Into::into),
            exchange: self.exchange.map(Into::into),
            uid: self.uid,
            state: self.state.into(),
            generation: self.generation.map(Into::into),
            copies: self.copies.into_iter().map(Into::into).collect(),
        };
        Ok((entry, self.next_event))
    }
}
