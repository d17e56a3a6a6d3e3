//! What an earlier run made or wrote before it was stopped, and what both sides agree on since.
//!
//! Promises: writes nothing; a copy is found by its stamp, and belongs to what it was made of, whatever became of that. A write
//! counts as carried out only if its side shows all that was written, so that what did not arrive is carried over again, and
//! never taken for agreed. Must not know: how it is kept, why the run was stopped.

use super::{Trouble, Worker};
use crate::engine::same_value;
use crate::ledger::{Begun, Entry, Writing};
use crate::model::{Appointment, Container, Field, Item, ItemRef, Key, Known, Side, Version};

impl Worker {
    /// The pair of a copy that an earlier run made and could not record, with what both sides agreed on then.
    pub(super) async fn made_and_not_recorded(&self, key: &Key) -> Result<Option<Entry>, Trouble> {
        let Some(Begun { crm, exchange, source: Some(source) }) = self.ledger.begun(key).await? else {
            return Ok(None);
        };
        let target = match source.side() {
            Side::Exchange => Some(Container::Crm),
            Side::Crm => self.home(&exchange),
        };
        let Some((target, server)) = target.and_then(|target| Some((target.clone(), self.servers.of(&target)?))) else {
            return Ok(None);
        };
        let made = self.ask(&server, &target, server.find_stamped(&target, key)).await?;
        let Some(made) = self.unpaired(made).await?.into_iter().next() else { return Ok(None) };
        let source = self.where_now(key, source).await?;
        if self.ledger.find_item(&source).await?.is_some() {
            return Ok(None);
        }
        let uid = made.uid.clone().or(match key {
            Key::Uid(uid) => Some(uid.clone()),
            Key::Crm(_) | Key::Occurrence { .. } | Key::CrmSeries(_) => None,
        });
        // Versions of their own: whatever is shown there now is looked at.
        let known = |at: ItemRef, appointment| Known { at, version: Version(String::new()), appointment };
        let (crm, exchange) = match source.side() {
            Side::Crm => (known(source, crm), known(made.at, exchange)),
            Side::Exchange => (known(made.at, crm), known(source, exchange)),
        };
        Ok(Some(Entry { uid, crm: Some(crm), exchange: Some(exchange), ..Entry::new(key.clone()) }))
    }

    /// Where a copy's source is by now. Not where it was: its mailbox may have moved since, and that no item bears its old id
    /// must not look as if somebody had deleted it.
    async fn where_now(&self, key: &Key, source: ItemRef) -> Result<ItemRef, Trouble> {
        let Key::Uid(uid) = key else { return Ok(source) };
        if source.side() == Side::Crm || self.read(&source).await?.present().is_some() {
            return Ok(source);
        }
        let server = self.servers.of(&source.container).ok_or(Trouble::NotSynchronized)?;
        let found = self.ask(&server, &source.container, server.find_uid(&source.container, uid)).await?;
        Ok(found.into_iter().next().map_or(source, |item| item.at))
    }
}

/// Takes into an entry what both sides agree on since a write that was carried out and never recorded. False if it was not.
pub(super) fn take_in(entry: &mut Entry, writing: &Writing, crm: Option<&Item>, exchange: Option<&Item>) -> bool {
    let (Some(crm), Some(exchange)) = (crm, exchange) else { return false };
    let (Some(crm_known), Some(exchange_known)) = (&mut entry.crm, &mut entry.exchange) else { return false };
    if crm.at != crm_known.at || exchange.at != exchange_known.at {
        return false;
    }
    let in_crm = shows(&crm.appointment, &writing.crm, &writing.to_crm);
    let in_exchange = shows(&exchange.appointment, &writing.exchange, &writing.to_exchange);
    // Exchange is written first: what came to the CRM came to both.
    if in_crm || (in_exchange && writing.to_crm.is_empty()) {
        crm_known.appointment.clone_from(&writing.crm);
        exchange_known.appointment.clone_from(&writing.exchange);
        return true;
    }
    if !in_exchange {
        return false;
    }
    // What was still to be written to the CRM stays a change of Exchange's. So do the attendees of whom each side changed
    // some: those the CRM changed are agreed on as soon as both sides show them alike (what people change of them before that is taken
    // for a difference that Exchange made).
    let carried = |field: &Field| !writing.to_crm.contains(field);
    let fields: Vec<Field> = writing.crm.fields().chain(crm_known.appointment.fields()).filter(carried).collect();
    adopt(&mut crm_known.appointment, &writing.crm, &fields);
    let fields: Vec<Field> = writing.to_exchange.iter().filter(|field| carried(field)).cloned().collect();
    adopt(&mut exchange_known.appointment, &writing.exchange, &fields);
    true
}

/// Whether an appointment shows all that was written to it.
fn shows(now: &Appointment, written: &Appointment, fields: &[Field]) -> bool {
    !fields.is_empty() && fields.iter().all(|field| same_value(&now.get(field), &written.get(field)))
}

/// Gives these fields the values they have in the other; one that cannot take its value keeps its own.
fn adopt(known: &mut Appointment, other: &Appointment, fields: &[Field]) {
    for field in fields {
        let _ = known.set(field, other.get(field));
    }
}
