//! What a series asks for, as values: which occurrences are to be looked at, and what a plan means for one of them.
//!
//! Promises: an occurrence that both sides show as last agreed is not looked at again, however often its master changes;
//! one that the series lost is never made a single appointment in Exchange. Must not know: how occurrences are read.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{Op, PlanInput, moved};
use crate::model::recurrence::Window;
use crate::model::{Instance, ItemRef, Known as KnownSide, Seen, Side, Time};

/// What the ledger holds of one occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The pair lives; else it was removed, and what is kept keeps it from coming back.
    pub live: bool,
    pub exchange: Option<KnownSide>,
}

/// One occurrence to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub date: NaiveDate,
    pub at: ItemRef,
    /// It was removed once, and its series has it again: what was kept of it no longer holds.
    pub anew: bool,
}

/// Which occurrences are to be looked at: new ones, changed ones, and those the window should show and does not.
pub fn looks(shown: &[Instance], known: &BTreeMap<NaiveDate, Known>, window: Window) -> Vec<Look> {
    let mut looks: Vec<Look> = shown.iter().filter_map(|one| look(one, known.get(&one.date))).collect();
    let cut = shown.len() >= window.limit;
    let last = shown.iter().map(|one| one.date).max();
    for (date, known) in known.iter().filter(|(_, known)| known.live) {
        let Some(exchange) = &known.exchange else { continue };
        if shown.iter().any(|one| one.date == *date) || !begins_in(&exchange.appointment.time, window) {
            continue;
        }
        // Beyond a listing that was cut nothing is missing.
        if cut && last.is_none_or(|last| *date > last) {
            continue;
        }
        looks.push(Look { date: *date, at: exchange.at.clone(), anew: false });
    }
    looks
}

fn look(one: &Instance, known: Option<&Known>) -> Option<Look> {
    let look = |anew| Some(Look { date: one.date, at: one.item.at.clone(), anew });
    match known {
        None => look(false),
        Some(known) if !known.live => look(true),
        Some(known) => match &known.exchange {
            Some(exchange)
                if exchange.at == one.item.at && moved(&exchange.appointment, &one.item.appointment).is_empty() =>
            {
                None
            }
            Some(_) | None => look(false),
        },
    }
}

fn begins_in(time: &Time, window: Window) -> bool {
    let start = match time {
        Time::Timed(span) => span.start,
        Time::AllDay { first, .. } => first.and_time(chrono::NaiveTime::MIN).and_utc(),
    };
    start >= window.from && start < window.until
}

/// The window of a series at a moment. Its end lies on the beginning of a day, so that it does not move with every look.
pub fn series_window(now: DateTime<Utc>, past: TimeDelta, ahead: TimeDelta, limit: usize) -> Window {
    let day = |at: DateTime<Utc>| at.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    Window { from: day(now - past), until: day(now + ahead) + TimeDelta::days(1), limit }
}

/// A plan for an occurrence. Exchange cannot bring back a deleted occurrence, and an occurrence is no appointment of its
/// own: what its series does not have stays away.
pub fn of_occurrence(op: Op, linked: bool, input: &PlanInput<'_>) -> Op {
    match op {
        Op::Create { on: Side::Exchange, .. } if linked && matches!(input.exchange, Seen::Deleted) => {
            if input.past {
                Op::Note("deleted in Exchange after it was over; the CRM keeps it as history")
            } else {
                Op::Delete { on: Side::Crm, why: "deleted from its series in Exchange, which cannot bring it back" }
            }
        }
        Op::Create { on: Side::Exchange, .. } => Op::Skip("its series in Exchange has no such occurrence"),
        Op::Nothing | Op::Note(_) | Op::Create { .. } | Op::Merge | Op::Delete { .. } | Op::Skip(_) => op,
    }
}
