//! A series with what people changed in single occurrences.
//!
//! Promises: an exception and a cancelled occurrence are named by the day the rule gives, whatever became of them; an
//! occurrence may not be moved onto or past the day of its neighbour, as Exchange has it. Must not know: any server.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::{ExpandError, Expansion, Window, expand};
use crate::model::Recurrence;

/// Neighbours are looked for this far: no pattern leaves a longer gap but a yearly one of many years.
const NEIGHBOUR_DAYS: i64 = 366 * 9;
/// A moved occurrence is looked for this far from where the rule has it.
const MOVED_DAYS: i64 = 366 * 2;

/// A rule, where it begins, and its exceptions by original day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub recurrence: Recurrence,
    /// Wall time of the first occurrence in `zone`.
    pub first: NaiveDateTime,
    pub zone: Tz,
    /// Start of occurrences that were moved.
    pub moved: BTreeMap<NaiveDate, DateTime<Utc>>,
    pub cancelled: BTreeSet<NaiveDate>,
}

/// An occurrence that would change places with its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the occurrence of {date} cannot be moved to {to}: the one of {neighbour} is on that day or in between")]
pub struct Crossing {
    pub date: NaiveDate,
    pub to: NaiveDate,
    pub neighbour: NaiveDate,
}

impl Series {
    /// A series without exceptions.
    pub fn new(recurrence: Recurrence, first: NaiveDateTime, zone: Tz) -> Self {
        Self { recurrence, first, zone, moved: BTreeMap::new(), cancelled: BTreeSet::new() }
    }

    /// What takes place in a window: cancelled occurrences left out, moved ones where they are now, in order of their start.
    ///
    /// # Errors
    /// [`ExpandError`] as [`expand`] has it.
    pub fn occurrences(&self, window: Window) -> Result<Expansion, ExpandError> {
        let wide = Window {
            from: window.from - TimeDelta::days(if self.moved.is_empty() { 0 } else { MOVED_DAYS }),
            until: window.until + TimeDelta::days(if self.moved.is_empty() { 0 } else { MOVED_DAYS }),
            limit: usize::MAX,
        };
        let mut found = expand(&self.recurrence, self.first, self.zone, wide)?;
        found.occurrences.retain_mut(|one| {
            one.start = self.moved.get(&one.date).copied().unwrap_or(one.start);
            !self.cancelled.contains(&one.date) && one.start >= window.from && one.start < window.until
        });
        found.occurrences.sort_by_key(|one| (one.start, one.date));
        found.cut = found.occurrences.len() > window.limit;
        found.occurrences.truncate(window.limit);
        Ok(found)
    }

    /// Whether an occurrence may begin at `to`.
    ///
    /// # Errors
    /// [`Crossing`] if another occurrence is on that day or in between. A rule that is not understood refuses nothing: the
    /// server judges then.
    pub fn may_move(&self, date: NaiveDate, to: DateTime<Utc>) -> Result<(), Crossing> {
        let day = to.with_timezone(&self.zone).date_naive();
        let (low, high) = (date.min(day), date.max(day));
        let midnight = |day: NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
        let window = Window {
            from: midnight(low) - TimeDelta::days(NEIGHBOUR_DAYS),
            until: midnight(high) + TimeDelta::days(NEIGHBOUR_DAYS),
            limit: usize::MAX,
        };
        let Ok(found) = self.occurrences(window) else { return Ok(()) };
        let shown = |start: DateTime<Utc>| start.with_timezone(&self.zone).date_naive();
        // Neighbours in the order of the rule, on the days where they are now.
        let before = found.occurrences.iter().filter(|one| one.date < date).max_by_key(|one| one.date);
        let after = found.occurrences.iter().filter(|one| one.date > date).min_by_key(|one| one.date);
        let hit = before.filter(|one| shown(one.start) >= day).or_else(|| after.filter(|one| shown(one.start) <= day));
        hit.map_or(Ok(()), |one| Err(Crossing { date, to: day, neighbour: one.date }))
    }
}
