//! What EWS and Graph have in common: the days of all-day items and of occurrences.
//!
//! Promises: pure; both connectors name the same occurrence by the same day. Must not know: requests, either wire format.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::model::recurrence::Rule;
use crate::model::{Recurrence, Time, Zone};

/// A recurrence that Exchange has no pattern for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Exchange has no pattern for this recurrence")]
pub struct NoPattern;

/// The day whose beginning is nearest to the instant: in the item's own zone, else in the mailbox's where that is known. Some
/// clients write another zone's midnight, or a zone no table knows, and are off by some hours, never by half a day.
pub fn nearest_midnight(at: DateTime<Utc>, zone: Option<&Zone>, home: Option<Tz>) -> NaiveDate {
    let local = match (zone, home) {
        (Some(Zone::Iana(zone)), _) => at.with_timezone(zone).naive_local(),
        (Some(Zone::Unknown(_)) | None, Some(home)) => at.with_timezone(&home).naive_local(),
        (Some(Zone::Unknown(_)) | None, None) => at.naive_utc(),
    };
    (local + TimeDelta::hours(12)).date()
}

/// The day that names an occurrence: what clocks in the series' zone show at its original start. Of a series in a zone that no
/// table knows the day in UTC, which names it as well.
pub fn original_day(start: DateTime<Utc>, all_day: bool, zone: Option<&Zone>, home: Option<Tz>) -> NaiveDate {
    match zone {
        _ if all_day => nearest_midnight(start, zone, home),
        Some(Zone::Iana(zone)) => start.with_timezone(zone).date_naive(),
        Some(Zone::Unknown(_)) | None => start.date_naive(),
    }
}

/// The rule of a new series, and the day it begins on.
///
/// # Errors
/// [`NoPattern`] if the rule is not understood, or its days cannot be told because no table knows its zone.
pub fn new_series(recurrence: &Recurrence, time: &Time) -> Result<(Rule, NaiveDate), NoPattern> {
    let first = match time {
        Time::AllDay { first, .. } => *first,
        Time::Timed(span) => match &span.zone {
            Zone::Iana(zone) => span.start.with_timezone(zone).date_naive(),
            Zone::Unknown(_) => return Err(NoPattern),
        },
    };
    Ok((recurrence.rule().ok_or(NoPattern)?, first))
}
