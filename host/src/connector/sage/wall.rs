//! The CRM's dates: wall times of the server's zone as text, and the instants they stand for.
//!
//! Promises: the same text always stands for the same instant. In the hour that autumn repeats a wall time means its first
//! pass; a wall time that spring skips is moved forward by as much as was skipped. An instant of the second pass therefore
//! cannot be kept by a server that stores wall time: it reads back an hour earlier, and stays there.
//! Must not know: columns, rows.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

pub use crate::model::instant_of;

/// How dates are written to the server. Both forms are understood when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateFormat {
    /// `2027-02-07T09:00:00`, wall time of the server's zone.
    #[default]
    Local,
    /// `2027-02-07T08:00:00Z`, for servers set to universal time.
    Utc,
}

/// A date as the server sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The digits as they stand.
    pub wall: NaiveDateTime,
    /// The instant, where the text carried an offset.
    pub instant: Option<DateTime<Utc>>,
}

/// Reads ISO 8601 with or without offset, seconds, fraction or time of day.
pub fn parse(text: &str) -> Option<Stamp> {
    let text = text.trim();
    for form in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"] {
        if let Ok(date) = DateTime::parse_from_str(text, form) {
            return Some(Stamp { wall: date.naive_local(), instant: Some(date.to_utc()) });
        }
    }
    let zoneless = text.strip_suffix(['Z', 'z']);
    let naive = zoneless.unwrap_or(text);
    let wall = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(naive, form).ok())
        .or_else(|| NaiveDate::parse_from_str(naive, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN)))?;
    Some(Stamp { wall, instant: zoneless.map(|_| wall.and_utc()) })
}

impl Stamp {
    pub fn to_instant(self, zone: Tz) -> DateTime<Utc> {
        self.instant.unwrap_or_else(|| instant_of(zone, self.wall))
    }

    /// Wall time in the server's zone.
    pub fn to_wall(self, zone: Tz) -> NaiveDateTime {
        self.instant.map_or(self.wall, |instant| wall_of(zone, instant))
    }
}

/// The wall time that clocks in the zone show at an instant.
pub fn wall_of(zone: Tz, instant: DateTime<Utc>) -> NaiveDateTime {
    instant.with_timezone(&zone).naive_local()
}

/// A wall time as the server is to be told.
pub fn write(zone: Tz, format: DateFormat, wall: NaiveDateTime) -> String {
    match format {
        DateFormat::Local => literal(wall),
        DateFormat::Utc => instant_of(zone, wall).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// An instant as the server is to be told.
pub fn write_instant(zone: Tz, format: DateFormat, instant: DateTime<Utc>) -> String {
    match format {
        DateFormat::Local => literal(wall_of(zone, instant)),
        DateFormat::Utc => instant.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// A wall time to the second.
pub fn literal(wall: NaiveDateTime) -> String {
    wall.format("%Y-%m-%dT%H:%M:%S").to_string()
}

/// Where the next look at a feed begins, when its newest update stamp is `newest`: `overlap` before it, and in the night
/// when clocks go back as much earlier as they go back, because then later rows bear earlier stamps.
pub fn window_start(zone: Tz, newest: NaiveDateTime, overlap: TimeDelta) -> NaiveDateTime {
    let start = newest - overlap;
    let repeated = [newest, start].into_iter().filter_map(|wall| match zone.offset_from_local_datetime(&wall) {
        LocalResult::Ambiguous(one, other) => {
            Some(TimeDelta::seconds(i64::from((one.fix().local_minus_utc() - other.fix().local_minus_utc()).abs())))
        }
        LocalResult::Single(_) | LocalResult::None => None,
    });
    start - repeated.max().unwrap_or_default()
}
