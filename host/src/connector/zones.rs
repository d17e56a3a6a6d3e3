//! Windows zone names to IANA and back, by CLDR's table (crate `localzone`).
//!
//! Promises: a name no table knows is kept as [`Zone::Unknown`] and never guessed; what came from a Windows name goes back
//! to the same Windows name. Must not know: who asks, dates, rules of daylight saving.

use std::collections::HashMap;
use std::sync::OnceLock;

use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::model::Zone;

/// Exchange's name for UTC in answers (MS-OXWSCDATA, time zone ids of the `tzone` form).
const EXCHANGE_UTC: &str = "tzone://Microsoft/Utc";
/// CLDR's code for "the whole world": the one place that stands for a Windows zone.
const WORLD: &str = "001";

/// The zone of a Windows name (`W. Europe Standard Time`), in any letter case.
pub fn from_windows(name: &str) -> Zone {
    if name.eq_ignore_ascii_case(EXCHANGE_UTC) {
        return Zone::UTC;
    }
    let known = windows_names()
        .get(&name.to_ascii_lowercase())
        .and_then(|name| localzone::win_zone_to_iana(name, Some(WORLD)))
        .and_then(|iana| iana.parse::<Tz>().ok());
    match known {
        Some(Tz::Etc__UTC) => Zone::UTC,
        Some(zone) => Zone::Iana(zone),
        None => Zone::Unknown(name.to_owned()),
    }
}

/// The zone of a name that may be a Windows or an IANA one.
pub fn from_any(name: &str) -> Zone {
    match from_windows(name) {
        Zone::Unknown(name) => Zone::named(&name),
        known @ Zone::Iana(_) => known,
    }
}

/// The Windows name of a zone; the server's own name for one that no table knows. Nothing for an IANA zone without a
/// Windows counterpart: the writer then uses UTC.
pub fn to_windows(zone: &Zone) -> Option<&str> {
    match zone {
        Zone::Unknown(name) => Some(name),
        Zone::Iana(Tz::UTC | Tz::Etc__UTC) => Some("UTC"),
        Zone::Iana(zone) => direct(*zone).or_else(|| twin(*zone).and_then(direct)),
    }
}

fn direct(zone: Tz) -> Option<&'static str> {
    localzone::iana_to_win_zone(zone.name()).map(|(windows, _)| windows)
}

/// CLDR keeps a zone under the name it had first (`Asia/Calcutta`). A renamed zone is recognised by having had the same
/// clock ever since 1970, which links in the zone database have by definition.
fn twin(zone: Tz) -> Option<Tz> {
    TZ_VARIANTS.iter().copied().find(|other| *other != zone && direct(*other).is_some() && same_clock(zone, *other))
}

fn same_clock(left: Tz, right: Tz) -> bool {
    const STEP: TimeDelta = TimeDelta::days(7);
    /// 1970 to 2040: beyond it both follow the rule of the last year.
    const STEPS: i32 = 70 * 53;
    let first: NaiveDateTime = DateTime::UNIX_EPOCH.naive_utc();
    let offset = |zone: Tz, at: &NaiveDateTime| zone.offset_from_utc_datetime(at).fix();
    (0..STEPS).map(|step| first + STEP * step).all(|at| offset(left, &at) == offset(right, &at))
}

/// Every Windows name of the table, by its lower-case form. The table itself compares with letter case, Exchange and
/// people do not.
fn windows_names() -> &'static HashMap<String, &'static str> {
    static NAMES: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let names = TZ_VARIANTS.iter().filter_map(|zone| direct(*zone));
        names.map(|name| (name.to_ascii_lowercase(), name)).collect()
    })
}
