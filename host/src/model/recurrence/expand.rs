//! The occurrences of a series in a window of time.
//!
//! The rule is reckoned on the wall clock of the series' own zone and each wall time is turned into an instant afterwards, so
//! that 09:00 stays 09:00 when clocks change. Promises: bounded by the caller's limit and by [`STEPS_MAX`]; the window is
//! half-open; takes any RRULE, also one that is none of the patterns. Must not know: exceptions.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rrule::{RRule, RRuleSet, Unvalidated};

use crate::model::{Recurrence, instant_of};

/// Most occurrences looked at from the start of a series: a daily one of 179 years.
const STEPS_MAX: u16 = u16::MAX;

/// One occurrence as the rule has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    /// The day it falls on in the series' own zone, which names it for its whole life.
    pub date: NaiveDate,
    pub start: DateTime<Utc>,
    /// Its place in the series, from 1, deleted occurrences counted.
    pub number: u32,
}

/// The occurrences found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    pub occurrences: Vec<Occurrence>,
    /// There are more than were asked for.
    pub cut: bool,
}

/// From `from` on and before `until`, by the occurrence's start; at most `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub limit: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    #[error("the recurrence {0:?} is not understood")]
    Unknown(String),
    #[error("the recurrence goes on longer than {STEPS_MAX} occurrences before the time that is looked at")]
    TooLong,
}

/// The occurrences of a series that begins at a wall time in a zone.
///
/// # Errors
/// [`ExpandError`] for a text that is no rule, or a window too far behind the start.
pub fn expand(
    recurrence: &Recurrence,
    first: NaiveDateTime,
    zone: Tz,
    window: Window,
) -> Result<Expansion, ExpandError> {
    let unknown = || ExpandError::Unknown(recurrence.rule.clone());
    let start = first.and_utc().with_timezone(&rrule::Tz::UTC);
    let text = wall_until(&recurrence.rule, zone).ok_or_else(unknown)?;
    let rule: RRule<Unvalidated> = text.parse().map_err(|_| unknown())?;
    let rule = rule.validate(start).map_err(|_| unknown())?;
    // No zone is further than a day from UTC; what the margin lets in is sorted out below.
    let last = (window.until.naive_utc() + TimeDelta::days(2)).and_utc();
    let set = RRuleSet::new(start).rrule(rule).before(last.with_timezone(&rrule::Tz::UTC));
    let mut expansion = Expansion::default();
    for (number, wall) in (1..).zip(&set) {
        if number > u32::from(STEPS_MAX) {
            return Err(ExpandError::TooLong);
        }
        let wall = wall.naive_utc();
        let start = instant_of(zone, wall);
        if start < window.from {
            continue;
        }
        if start >= window.until {
            break;
        }
        if expansion.occurrences.len() == window.limit {
            expansion.cut = true;
            break;
        }
        expansion.occurrences.push(Occurrence { date: wall.date(), start, number });
    }
    Ok(expansion)
}

/// The rule with its end as the crate wants it beside a start on the wall clock: a date is the end of that day, an instant
/// is what clocks in the zone show then.
fn wall_until(rule: &str, zone: Tz) -> Option<String> {
    let part = |part: &str| {
        let Some(until) = part.strip_prefix("UNTIL=") else { return Some(part.to_owned()) };
        let wall = if let Ok(date) = NaiveDate::parse_from_str(until, "%Y%m%d") {
            date.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN) - TimeDelta::seconds(1)
        } else if let Some(utc) = until.strip_suffix('Z') {
            let instant = NaiveDateTime::parse_from_str(utc, "%Y%m%dT%H%M%S").ok()?.and_utc();
            instant.with_timezone(&zone).naive_local()
        } else {
            NaiveDateTime::parse_from_str(until, "%Y%m%dT%H%M%S").ok()?
        };
        Some(format!("UNTIL={}Z", wall.format("%Y%m%dT%H%M%S")))
    };
    let parts: Option<Vec<String>> = rule.split(';').map(part).collect();
    Some(parts?.join(";"))
}
