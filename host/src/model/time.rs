//! When an appointment is: timed (two instants and the zone people think in) or all-day (two dates, no zone).
//!
//! Promises: an all-day appointment never goes through zone arithmetic. Must not know: any server's date format.

use std::fmt;

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// The time atom: start, end, zone and all-ness move together in a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Time {
    Timed(Span),
    /// First and last day, both included, as dates of nobody's zone.
    AllDay {
        first: NaiveDate,
        last: NaiveDate,
    },
}

/// Two instants, half-open, and the zone they were entered in.
#[derive(Clone, Debug, Eq)]
pub struct Span {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    /// Display zone. Not part of equality: the same instants in another zone are no change for a
    /// single appointment, and servers rewrite zone names freely.
    pub zone: Zone,
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.end == other.end
    }
}

/// A zone by name. Known names are IANA; a name no table knows is kept as it came and never guessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Zone {
    Iana(chrono_tz::Tz),
    /// A server's own name (for example `Customized Time Zone`), kept for writing back.
    Unknown(String),
}

impl Zone {
    pub const UTC: Zone = Zone::Iana(chrono_tz::UTC);

    /// The zone of that IANA name, or [`Zone::Unknown`] holding the name.
    pub fn named(name: &str) -> Self {
        name.parse::<chrono_tz::Tz>().map_or_else(|_| Zone::Unknown(name.to_owned()), Zone::Iana)
    }

    /// The name to show and to store.
    pub fn name(&self) -> &str {
        match self {
            Zone::Iana(zone) => zone.name(),
            Zone::Unknown(name) => name,
        }
    }
}

/// The instant of a wall time. An hour that clocks show twice is taken as its first time; a time that clocks skip is
/// counted on from the last one they showed.
pub fn instant_of(zone: Tz, wall: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(date) => date.to_utc(),
        LocalResult::Ambiguous(one, other) => one.min(other).to_utc(),
        LocalResult::None => {
            // Walk back to a wall time that existed and count on from there. Zones skip up to a whole day (Samoa, 2011).
            let back = (15..=26 * 60).step_by(15).map(TimeDelta::minutes);
            back.filter_map(|back| Some(zone.from_local_datetime(&(wall - back)).latest()?.to_utc() + back))
                .next()
                .unwrap_or_else(|| wall.and_utc())
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Time {
    /// A timed span in UTC terms.
    pub fn timed(start: DateTime<Utc>, end: DateTime<Utc>, zone: Zone) -> Self {
        Time::Timed(Span { start, end, zone })
    }

    pub fn is_all_day(&self) -> bool {
        matches!(self, Time::AllDay { .. })
    }

    /// Whether the appointment is over at `now`. An all-day one is over when its last day has ended everywhere on Earth (UTC-12).
    pub fn is_past(&self, now: DateTime<Utc>) -> bool {
        match self {
            Time::Timed(span) => span.end <= now,
            Time::AllDay { last, .. } => {
                let end = last.and_time(chrono::NaiveTime::MIN).and_utc() + chrono::TimeDelta::hours(24 + 12);
                end <= now
            }
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Time::Timed(span) => write!(
                f,
                "{} to {} ({})",
                span.start.format("%Y-%m-%dT%H:%M:%SZ"),
                span.end.format("%Y-%m-%dT%H:%M:%SZ"),
                span.zone
            ),
            Time::AllDay { first, last } => write!(f, "{first} to {last}, all day"),
        }
    }
}
