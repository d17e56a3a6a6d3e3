//! What an earlier run wrote to a pair before it was stopped, and what both sides agree on since.
//!
//! Promises: pure; a write counts as carried out only if its side shows all that was written, so that what did not arrive is
//! carried over again, and never taken for agreed. Must not know: how it is kept, why the run was stopped.

use crate::engine::same_value;
use crate::ledger::{Entry, Writing};
use crate::model::{Appointment, Field, Item};

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
    // What was still to be written to the CRM stays a change of Exchange's.
    let carried = |field: &Field| !writing.to_crm.contains(field);
    let fields: Vec<Field> = writing.crm.fields().chain(crm_known.appointment.fields()).filter(carried).collect();
    adopt(&mut crm_known.appointment, &writing.crm, &fields);
    adopt(&mut exchange_known.appointment, &writing.exchange, &writing.to_exchange);
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
