//! Instants, zones and midnight: how an Exchange server reads dateTimes.
//!
//! Promises: a dateTime with `Z` or an offset is taken literally; one without is read in the zone it is given for.
//! Must not know: items.

use chrono::{
    DateTime, Datelike, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;
use localzone::{iana_to_win_zone, win_zone_to_iana};

use super::error::{ExchangeError, schema_violation};

/// A Windows zone name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub id: String,
    pub tz: Tz,
}

impl Zone {
    pub fn utc() -> Self {
        Self { id: "UTC".into(), tz: Tz::UTC }
    }

    /// The zone of a Windows name.
    pub fn named(id: &str) -> Result<Self, ExchangeError> {
        let id = id.trim();
        if matches!(id, "UTC" | "Etc/UTC" | "tzone://Microsoft/Utc") {
            return Ok(Self::utc());
        }
        win_zone_to_iana(id, Some("001"))
            .or_else(|| win_zone_to_iana(id, None))
            .and_then(|iana| iana.parse().ok())
            .map(|tz| Self { id: id.to_owned(), tz })
            .ok_or_else(|| ExchangeError::new("ErrorTimeZone", format!("The time zone {id:?} is not known here.")))
    }

    /// The zone of a Windows or an IANA name; it is known by its Windows name from then on.
    pub fn named_either_way(id: &str) -> Result<Self, ExchangeError> {
        Self::named(id).or_else(|unknown| {
            let tz: Tz = id.trim().parse().map_err(|_| unknown.clone())?;
            let (windows, _) = iana_to_win_zone(tz.name()).ok_or(unknown)?;
            Ok(Self { id: windows.to_owned(), tz })
        })
    }

    /// The local date and time of an instant.
    pub fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.tz).naive_local()
    }

    /// The instant of a local date and time: the earlier one if the clock shows it twice, an hour later if never.
    pub fn instant(&self, local: NaiveDateTime) -> DateTime<Utc> {
        match self.tz.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
            LocalResult::None => match self.tz.from_local_datetime(&(local + TimeDelta::hours(1))) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
                LocalResult::None => Utc.from_utc_datetime(&local),
            },
        }
    }

    /// The last midnight at or before an instant.
    pub fn midnight_before(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.instant(self.local(at).date().and_time(NaiveTime::MIN))
    }

    /// The first midnight at or after an instant.
    pub fn midnight_after(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let before = self.midnight_before(at);
        if before == at { at } else { self.next_midnight(at) }
    }

    /// The first midnight after an instant.
    pub fn next_midnight(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.instant(next_day(self.local(at).date()).and_time(NaiveTime::MIN))
    }
}

/// The Windows names of all zones this server knows, in order.
pub fn server_zones() -> Vec<&'static str> {
    let mut known: Vec<&str> =
        chrono_tz::TZ_VARIANTS.iter().filter_map(|tz| iana_to_win_zone(tz.name())).map(|(name, _)| name).collect();
    known.sort_unstable();
    known.dedup();
    known
}

/// A date and time as a client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(DateTime<Utc>),
    /// Without a zone of its own.
    Local(NaiveDateTime),
}

impl When {
    /// The instant; `zone` is used only if the text named none itself.
    pub fn in_zone(self, zone: &Zone) -> DateTime<Utc> {
        match self {
            When::At(at) => at,
            When::Local(local) => zone.instant(local),
        }
    }
}

/// Reads a dateTime.
pub fn when(text: &str) -> Result<When, ExchangeError> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return storable(at.year()).map(|()| When::At(at.to_utc()));
    }
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|date| date.and_time(NaiveTime::MIN)))
        .map_err(|_| schema_violation(format!("{text:?} is not a dateTime")))?;
    storable(local.year()).map(|()| When::Local(local))
}

/// Reads a dateTime; `zone` is used only if the text names none itself.
pub fn instant(text: &str, zone: &Zone) -> Result<DateTime<Utc>, ExchangeError> {
    when(text).map(|when| when.in_zone(zone))
}

/// Reads a date; an offset behind it carries no meaning.
pub fn date(text: &str) -> Result<NaiveDate, ExchangeError> {
    let text = text.trim();
    let day = text.get(..10).unwrap_or(text);
    let date =
        NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| schema_violation(format!("{text:?} is not a date")))?;
    storable(date.year()).map(|()| date)
}

/// The years that a mailbox can hold.
fn storable(year: i32) -> Result<(), ExchangeError> {
    if (1601..=4500).contains(&year) { Ok(()) } else { Err(schema_violation("the year must be between 1601 and 4500")) }
}

/// Writes an instant; answers always carry a zone, here `Z`.
pub fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The day after; the last day chrono knows stays itself.
pub fn next_day(date: NaiveDate) -> NaiveDate {
    date.checked_add_days(Days::new(1)).unwrap_or(date)
}
