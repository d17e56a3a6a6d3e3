//! Every zone of the zone database, and every change of its clocks from 2020 to 2035: what either server is told comes back
//! as the same instant or the same days, and a second reading changes nothing.

use chrono::{DateTime, Days, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use daybridge::connector::ews::config::EwsConfig;
use daybridge::connector::http::Secret;
use daybridge::connector::sage::config::SageConfig;
use daybridge::connector::sage::wall::{DateFormat, instant_of, parse, wall_of, window_start, write_instant};
use daybridge::connector::zones::{from_windows, to_windows};
use daybridge::model::Zone;

const YEARS: std::ops::Range<i32> = 2020..2036;
const QUARTER: TimeDelta = TimeDelta::minutes(15);

fn offset(zone: Tz, at: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
}

fn new_year(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 1, 1).expect("a day").and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The first instant of each new offset, found to the second.
fn edges(zone: Tz) -> Vec<DateTime<Utc>> {
    let (mut found, mut at, end) = (Vec::new(), new_year(YEARS.start), new_year(YEARS.end));
    while at < end {
        let next = at + TimeDelta::days(3);
        if offset(zone, at) != offset(zone, next) {
            let (mut before, mut after) = (at, next);
            while after - before > TimeDelta::seconds(1) {
                let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
                if offset(zone, middle) == offset(zone, before) { before = middle } else { after = middle }
            }
            found.push(after);
        }
        at = next;
    }
    found
}

#[test]
fn every_edge_of_every_zone_gives_defined_instants_that_stay() {
    let (mut tried, mut repeated, mut skipped) = (0, 0, 0);
    for zone in TZ_VARIANTS {
        for edge in edges(zone) {
            let step = TimeDelta::seconds(i64::from((offset(zone, edge) - offset(zone, edge - QUARTER)).abs()));
            let mut at = edge - step - QUARTER * 2;
            while at <= edge + step + QUARTER * 2 {
                // An instant, as the CRM keeps it: the same again, or the first of the two that show this wall time.
                let wall = wall_of(zone, at);
                let read = instant_of(zone, wall);
                assert!(read == at || (read < at && at - read == step), "{zone} {at}: {read}");
                assert_eq!(wall_of(zone, read), wall, "{zone} {at}");
                assert_eq!(instant_of(zone, wall_of(zone, read)), read, "{zone} {at}: a second reading");
                repeated += u32::from(read != at);
                let told = write_instant(zone, DateFormat::Local, at);
                assert_eq!(parse(&told).expect("a date").to_instant(zone), read, "{zone} {told}");
                let told = write_instant(zone, DateFormat::Utc, at);
                assert_eq!(parse(&told).expect("a date").to_instant(zone), at, "{zone} {told}: nothing is lost in UTC");
                // A poll never looks past rows that bear an earlier stamp although they are later.
                assert!(window_start(zone, wall, TimeDelta::zero()) <= wall_of(zone, read), "{zone} {at}");
                // A wall time near the edge, also one that does not exist.
                let typed =
                    edge.naive_utc() + (at - edge) + TimeDelta::seconds(i64::from(offset(zone, edge - QUARTER)));
                let meant = instant_of(zone, typed);
                let shown = wall_of(zone, meant);
                assert!(shown == typed || shown - typed == step, "{zone} {typed}: {shown}");
                assert_eq!(instant_of(zone, shown), meant, "{zone} {typed}: stable once it was written");
                skipped += u32::from(shown != typed);
                tried += 1;
                at += QUARTER;
            }
        }
    }
    assert!(tried > 50_000 && repeated > 10_000 && skipped > 10_000, "{tried} {repeated} {skipped}");
}

#[test]
fn every_zone_keeps_its_clock_under_its_windows_name_or_is_written_as_utc() {
    let (mut named, mut nameless) = (0, Vec::new());
    for zone in TZ_VARIANTS {
        let Some(windows) = to_windows(&Zone::Iana(zone)).map(str::to_owned) else {
            nameless.push(zone.name());
            continue;
        };
        let back = from_windows(&windows);
        assert_eq!(to_windows(&back), Some(windows.as_str()), "{zone}: the name is stable");
        assert!(matches!(back, Zone::Iana(_)), "{zone}: {windows} is known");
        named += 1;
    }
    assert!(named > 500, "{named} zones have a Windows name; without: {nameless:?}");
}

#[test]
fn days_stay_days_around_every_edge_of_every_zone() {
    let mut ews = EwsConfig::new("http://127.0.0.1:1/EWS/Exchange.asmx", "sync", Secret::new("secret"));
    let mut sage = SageConfig::new("http://127.0.0.1:1/sdata/crmj/sagecrm2/-/", "sync", Secret::new("secret"), Tz::UTC);
    let mut tried = 0;
    for zone in TZ_VARIANTS {
        (ews.all_day_zone, sage.time_zone) = (zone, zone);
        let mut days: Vec<NaiveDate> = edges(zone).into_iter().map(|edge| wall_of(zone, edge).date()).collect();
        days.extend(["2020-02-29", "2027-12-31"].map(|day| day.parse::<NaiveDate>().expect("a day")));
        for edge in days {
            for (before, length) in [(0, 0), (1, 2)] {
                let first = edge - Days::new(before);
                let last = first + Days::new(length);
                assert_eq!(super::ews::round_trip_of_days(first, last, &ews), (first, last), "{zone} in Exchange");
                assert_eq!(super::sage::round_trip_of_days(first, last, &sage), (first, last), "{zone} in the CRM");
                tried += 1;
            }
        }
    }
    assert!(tried > 8_000, "{tried}");
}
