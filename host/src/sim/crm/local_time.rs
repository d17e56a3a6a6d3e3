//! Wall time of the server's zone, as a Sage CRM keeps it in its rows.
//!
//! Promises: what was stored is shown again unchanged; a text that names an offset is converted, one that names none is
//! already local. Must not know: rows, HTTP.

use chrono::{DateTime, Datelike, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

use crate::clock::Clock;

/// The years an SQL Server `datetime` can hold.
const YEARS: std::ops::RangeInclusive<i32> = 1753..=9999;

/// Now, on the server's wall, to the second.
pub fn now(clock: &dyn Clock, zone: Tz) -> NaiveDateTime {
    whole_seconds(clock.now().with_timezone(&zone).naive_local())
}

/// Reads `2027-02-07`, `2027-02-07T09:00`, `2027-02-07T09:00:30.5` (or with a space for the `T`), each with a time also
/// with `Z` or an offset. Fractions of a second are cut.
pub fn parse(text: &str, zone: Tz) -> Option<NaiveDateTime> {
    let text = text.trim().replacen(' ', "T", 1);
    let local = if let Ok(instant) = DateTime::parse_from_rfc3339(&text) {
        instant.with_timezone(&zone).naive_local()
    } else if let Ok(local) = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f") {
        local
    } else if let Ok(local) = NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M") {
        local
    } else {
        NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?
    };
    YEARS.contains(&local.year()).then(|| whole_seconds(local))
}

/// Shows a stored moment, with the zone's offset if wanted. An hour that happens twice shows its first offset, one that is
/// skipped the offset before it: the row does not say more.
pub fn show(local: NaiveDateTime, zone: Tz, with_offset: bool) -> String {
    let wall = local.format("%Y-%m-%dT%H:%M:%S").to_string();
    if !with_offset {
        return wall;
    }
    let offset: FixedOffset = match zone.offset_from_local_datetime(&local) {
        MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset.fix(),
        MappedLocalTime::None => zone.offset_from_utc_datetime(&(local - chrono::TimeDelta::hours(2))).fix(),
    };
    format!("{wall}{offset}")
}

fn whole_seconds(local: NaiveDateTime) -> NaiveDateTime {
    local.with_nanosecond(0).unwrap_or(local)
}
