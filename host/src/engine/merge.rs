//! Merges two present copies, atom by atom, through what the rules make of them.
//!
//! A field counts as moved by a side if the rules' draft of that side now differs from their draft of what the side
//! showed when both last agreed. So what the target's people typed elsewhere is left alone, and swapping a rule moves
//! nothing. Attendees are merged per person. Without an agreed state every difference is a conflict.
//! Promises: pure; a value the target already shows is never written. Must not know: who runs the rules.

use std::collections::{BTreeMap, BTreeSet};

use super::planner::{Policy, Winner};
use crate::model::{Appointment, Attendee, Field, Patch, Response, Side, Value};
use crate::rules::{Conflict, Resolution};

/// Both copies, and what the rules make of them now and at the last agreement.
#[derive(Clone, Debug)]
pub struct MergeInput<'a> {
    pub crm: &'a Appointment,
    pub exchange: &'a Appointment,
    /// Drafts for Exchange from the CRM copy: now, and from the agreed state. Absent: the direction is switched off or may not write.
    pub for_exchange: Option<(&'a Appointment, Option<&'a Appointment>)>,
    pub for_crm: Option<(&'a Appointment, Option<&'a Appointment>)>,
    /// Fields a side cannot hold or lets nobody write.
    pub exchange_unwritable: &'a [Field],
    pub crm_unwritable: &'a [Field],
    /// What rules decided about conflicts found by an earlier call with the same input.
    pub resolutions: &'a BTreeMap<Field, Resolution>,
}

/// The outcome: what to write where, what was overruled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    pub to_crm: Patch,
    pub to_exchange: Patch,
    pub conflicts: Vec<Conflict>,
    pub losers: Vec<Loser>,
}

/// A value that gave way, kept in the pair's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Loser {
    pub field: Field,
    pub side: Side,
    pub value: Value,
    pub winner: Value,
}

/// Whether the sync ever moves this field by itself. The organizer is set once, at creation (see [`merge`] for a creation that
/// was cut off); the join link is the server's.
pub fn mergeable(field: &Field) -> bool {
    !matches!(field, Field::Organizer | Field::OnlineMeeting | Field::Recurrence)
}

/// Fields in which two appointments differ (as the sync compares them).
pub fn moved(before: &Appointment, now: &Appointment) -> BTreeSet<Field> {
    before
        .fields()
        .chain(now.fields())
        .filter(mergeable)
        .filter(|field| !same_value(&before.get(field), &now.get(field)))
        .collect()
}

/// Equality of values as the sync sees it: attendees by address, kind and response, in any order; times of answers and
/// display names do not count.
pub fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Attendees(a), Value::Attendees(b)) => same_people(a, b),
        (Value::Texts(a), Value::Texts(b)) => a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>(),
        _ => a == b,
    }
}

/// The same people in the same roles with the same answers.
pub fn same_people(a: &[Attendee], b: &[Attendee]) -> bool {
    let key = |attendee: &Attendee| (identity(attendee), attendee.kind, attendee.response);
    a.iter().map(key).collect::<BTreeSet<_>>() == b.iter().map(key).collect::<BTreeSet<_>>()
}

/// Merges. Call once, ask the rules about `conflicts`, and call again with their `resolutions`.
pub fn merge(input: &MergeInput<'_>, policy: &Policy) -> Merged {
    let mut merged = Merged::default();
    let mut by_crm = input.for_exchange.map(|(now, base)| Moves::of(now, base, input.exchange)).unwrap_or_default();
    let mut by_exchange = input.for_crm.map(|(now, base)| Moves::of(now, base, input.crm)).unwrap_or_default();
    by_crm.without_say(input.for_exchange, input.crm, input.crm_unwritable);
    by_exchange.without_say(input.for_crm, input.exchange, input.exchange_unwritable);
    by_crm.without_agreed(input.for_crm, input.crm);
    by_exchange.without_agreed(input.for_exchange, input.exchange);
    let fields: BTreeSet<&Field> = by_crm.fields.union(&by_exchange.fields).collect();
    for field in fields {
        if *field == Field::Attendees {
            merge_attendees(input, &mut merged);
            continue;
        }
        let from_crm = input.for_exchange.map(|(now, _)| now.get(field)).filter(|_| by_crm.fields.contains(field));
        let from_exchange = input.for_crm.map(|(now, _)| now.get(field)).filter(|_| by_exchange.fields.contains(field));
        let (crm_shows, exchange_shows) = (input.crm.get(field), input.exchange.get(field));
        match (from_crm, from_exchange) {
            (Some(value), None) => {
                write(&mut merged.to_exchange, field, value, &exchange_shows, input.exchange_unwritable)
            }
            (None, Some(value)) => write(&mut merged.to_crm, field, value, &crm_shows, input.crm_unwritable),
            (Some(for_exchange), Some(for_crm)) => {
                if same_value(&for_exchange, &exchange_shows) || same_value(&for_crm, &crm_shows) {
                    continue; // both moved it to the same value
                }
                settle_conflict(input, policy, field, for_exchange, for_crm, &mut merged);
            }
            (None, None) => {}
        }
    }
    // A copy in the CRM without an organizer was made by half: the host was stopped between the row and its people.
    if let (None, Some((now, _))) = (&input.crm.organizer, input.for_crm) {
        write(&mut merged.to_crm, &Field::Organizer, now.get(&Field::Organizer), &Value::Empty, input.crm_unwritable);
    }
    merged
}

/// Fields of the side just patched that, seen through the rules, no longer give what the other side shows although nobody
/// moved them there: a description whose first line is the subject, for example. The caller writes the other side's view
/// of these fields too.
///
/// `before` and `after`: drafts for `other` from the side without and with its patch.
pub fn disturbed(before: &Appointment, after: &Appointment, other: &Appointment) -> BTreeSet<Field> {
    moved(before, after)
        .into_iter()
        .filter(|field| *field != Field::Attendees && !same_value(&after.get(field), &other.get(field)))
        .collect()
}

#[derive(Default)]
struct Moves {
    fields: BTreeSet<Field>,
}

impl Moves {
    /// What a side moved; without an agreed state, all in which its draft differs from what the target shows.
    fn of(now: &Appointment, base: Option<&Appointment>, target: &Appointment) -> Self {
        let fields = match base {
            Some(base) => moved(base, now),
            None => moved(target, now),
        };
        Self { fields }
    }

    /// Without an agreed state, a side has no say in a field it cannot hold, unless a rule sets it: what it shows there is
    /// nobody's choice.
    fn without_say(
        &mut self,
        draft: Option<(&Appointment, Option<&Appointment>)>,
        source: &Appointment,
        unwritable: &[Field],
    ) {
        if let Some((now, None)) = draft {
            self.fields.retain(|field| !unwritable.contains(field) || !same_value(&now.get(field), &source.get(field)));
        }
    }

    /// Without an agreed state, a field in which the other side's draft is what this side shows is the same under the rules:
    /// what a rule keeps from this side must not be taken from the other.
    fn without_agreed(&mut self, others: Option<(&Appointment, Option<&Appointment>)>, shown: &Appointment) {
        if let Some((now, None)) = others {
            self.fields.retain(|field| *field == Field::Attendees || !same_value(&now.get(field), &shown.get(field)));
        }
    }
}

fn write(patch: &mut Patch, field: &Field, value: Value, shown: &Value, unwritable: &[Field]) {
    if !same_value(&value, shown) && !unwritable.contains(field) {
        patch.set.insert(field.clone(), value);
    }
}

fn settle_conflict(
    input: &MergeInput<'_>,
    policy: &Policy,
    field: &Field,
    for_exchange: Value,
    for_crm: Value,
    merged: &mut Merged,
) {
    let (crm_shows, exchange_shows) = (input.crm.get(field), input.exchange.get(field));
    let base = input.for_crm.and_then(|(_, base)| base).map_or(Value::Empty, |base| base.get(field));
    merged.conflicts.push(Conflict { field: field.clone(), base, crm: crm_shows.clone(), exchange: for_crm.clone() });
    let winner = match input.resolutions.get(field) {
        Some(Resolution::Crm) => Winner::Crm,
        Some(Resolution::Exchange) => Winner::Exchange,
        Some(Resolution::Value(value)) => {
            merged.losers.push(Loser {
                field: field.clone(),
                side: Side::Crm,
                value: crm_shows.clone(),
                winner: value.clone(),
            });
            merged.losers.push(Loser {
                field: field.clone(),
                side: Side::Exchange,
                value: exchange_shows.clone(),
                winner: value.clone(),
            });
            write(&mut merged.to_crm, field, value.clone(), &crm_shows, input.crm_unwritable);
            write(&mut merged.to_exchange, field, value.clone(), &exchange_shows, input.exchange_unwritable);
            return;
        }
        None => policy.winner_of(field),
    };
    match winner {
        Winner::Crm => {
            merged.losers.push(Loser {
                field: field.clone(),
                side: Side::Exchange,
                value: exchange_shows.clone(),
                winner: for_exchange.clone(),
            });
            write(&mut merged.to_exchange, field, for_exchange, &exchange_shows, input.exchange_unwritable);
        }
        Winner::Exchange => {
            merged.losers.push(Loser {
                field: field.clone(),
                side: Side::Crm,
                value: crm_shows.clone(),
                winner: for_crm.clone(),
            });
            write(&mut merged.to_crm, field, for_crm, &crm_shows, input.crm_unwritable);
        }
    }
}

/// Each side's additions, removals and changes of people are carried to the other; nobody is lost because both sides
/// touched the list.
fn merge_attendees(input: &MergeInput<'_>, merged: &mut Merged) {
    if let Some((now, base)) = input.for_exchange {
        let list = carried(
            base.map(|base| base.attendees.as_slice()),
            &now.attendees,
            &input.exchange.attendees,
            Side::Exchange,
        );
        write(
            &mut merged.to_exchange,
            &Field::Attendees,
            people(list),
            &people(input.exchange.attendees.clone()),
            input.exchange_unwritable,
        );
    }
    if let Some((now, base)) = input.for_crm {
        let list = carried(base.map(|base| base.attendees.as_slice()), &now.attendees, &input.crm.attendees, Side::Crm);
        write(
            &mut merged.to_crm,
            &Field::Attendees,
            people(list),
            &people(input.crm.attendees.clone()),
            input.crm_unwritable,
        );
    }
}

/// The target's list with the source's changes applied. Answers travel to the CRM only: in Exchange a person answers from
/// the own calendar. People without an address cannot exist in Exchange.
pub(super) fn carried(base: Option<&[Attendee]>, now: &[Attendee], target: &[Attendee], to: Side) -> Vec<Attendee> {
    let index = |list: &[Attendee]| -> BTreeMap<String, Attendee> {
        list.iter().map(|attendee| (identity(attendee), attendee.clone())).collect()
    };
    let now = index(now);
    let base = base.map(index);
    let mut result = index(target);
    for (id, attendee) in &now {
        let addressed = to == Side::Crm || !attendee.person.address.is_empty();
        match (base.as_ref().map(|base| base.get(id)), result.get_mut(id)) {
            (_, None) if !addressed => {}
            // New with the source, or no agreed state: bring them in.
            (None | Some(None), None) => {
                result.insert(id.clone(), attendee.clone());
            }
            // The target's people removed somebody the source did not touch: leave them out.
            (Some(Some(_)), None) => {}
            (before, Some(shown)) => {
                let before = before.flatten();
                if before.is_some_and(|before| before.kind != attendee.kind) {
                    shown.kind = attendee.kind;
                }
                // Without an agreed state an answer is taken over; that there is none takes none away (a meeting made anew).
                let answered =
                    before.map_or(attendee.response != Response::None, |before| before.response != attendee.response);
                if to == Side::Crm && answered {
                    shown.response = attendee.response;
                    shown.responded = attendee.responded;
                }
            }
        }
    }
    for id in base.iter().flat_map(|base| base.keys()) {
        if !now.contains_key(id) {
            result.remove(id);
        }
    }
    result.into_values().collect()
}

pub(super) fn people(list: Vec<Attendee>) -> Value {
    if list.is_empty() { Value::Empty } else { Value::Attendees(list) }
}

/// People are told apart by address; those without one, by name.
fn identity(attendee: &Attendee) -> String {
    if attendee.person.address.is_empty() {
        format!("name:{}", attendee.person.name.to_lowercase())
    } else {
        attendee.person.address.folded()
    }
}
