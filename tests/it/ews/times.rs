//! All-day appointments are dates on both ways, whatever the zone; timed ones are instants.

use chrono::{NaiveDate, NaiveTime, TimeDelta, TimeZone as _};
use daybridge::connector::ews::wire::{CalendarItem, Property};
use daybridge::connector::ews::{config::EwsConfig, map};
use daybridge::model::{Appointment, Field, Time, Zone};

use super::{config, item};

fn all_day(start: &str, end: &str, zone: &str) -> CalendarItem {
    item(&format!(
        r#"<t:Start>{start}</t:Start><t:End>{end}</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>
        <t:StartTimeZone Id="{zone}"/><t:EndTimeZone Id="{zone}"/>"#
    ))
}

fn days(item: &CalendarItem) -> (String, String) {
    match map::appointment(item, &config()).unwrap().time {
        Time::AllDay { first, last } => (first.to_string(), last.to_string()),
        Time::Timed(span) => panic!("{span:?}"),
    }
}

#[test]
fn the_items_zone_says_which_days() {
    let cases = [
        // (start, end, zone, first, last)
        ("2027-02-07T23:00:00Z", "2027-02-08T23:00:00Z", "W. Europe Standard Time", "2027-02-08", "2027-02-08"),
        ("2027-02-08T00:00:00+01:00", "2027-02-11T00:00:00+01:00", "Romance Standard Time", "2027-02-08", "2027-02-10"),
        ("2027-02-08T00:00:00Z", "2027-02-09T00:00:00Z", "UTC", "2027-02-08", "2027-02-08"),
        ("2027-02-07T10:00:00Z", "2027-02-08T10:00:00Z", "Line Islands Standard Time", "2027-02-08", "2027-02-08"),
        ("2027-02-08T11:00:00Z", "2027-02-09T11:00:00Z", "UTC-11", "2027-02-08", "2027-02-08"),
        ("2027-02-08T05:00:00Z", "2027-02-09T05:00:00Z", "Eastern Standard Time", "2027-02-08", "2027-02-08"),
        // Over the night in which the clock changes.
        ("2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z", "W. Europe Standard Time", "2027-03-28", "2027-03-28"),
        // A client in Berlin that says UTC.
        ("2027-02-07T23:00:00Z", "2027-02-08T23:00:00Z", "tzone://Microsoft/Utc", "2027-02-08", "2027-02-08"),
        // A zone no table knows.
        ("2027-02-07T23:00:00Z", "2027-02-08T23:00:00Z", "Customized Time Zone", "2027-02-08", "2027-02-08"),
        ("2027-02-08T08:00:00Z", "2027-02-09T08:00:00Z", "tzone://Microsoft/Custom", "2027-02-08", "2027-02-08"),
        // An end on the start does not make a day vanish.
        ("2027-02-08T00:00:00Z", "2027-02-08T00:00:00Z", "UTC", "2027-02-08", "2027-02-08"),
    ];
    for (start, end, zone, first, last) in cases {
        let found = days(&all_day(start, end, zone));
        assert_eq!(found, (first.to_owned(), last.to_owned()), "{start} {zone}");
    }
}

fn written(time: &Time, config: &EwsConfig) -> (String, String, bool, Vec<String>) {
    let appointment = Appointment::new("x", time.clone());
    let (mut start, mut end, mut is_all_day, mut zones) = (String::new(), String::new(), false, Vec::new());
    for property in map::changes(&appointment, [&Field::Time], config) {
        match property {
            Property::Start(text) => start = text,
            Property::End(text) => end = text,
            Property::AllDay(flag) => is_all_day = flag,
            Property::StartZone(zone) | Property::EndZone(zone) => zones.push(zone),
            other => panic!("{other:?}"),
        }
    }
    (start, end, is_all_day, zones)
}

/// First and last day, written in the zone of `config` and read back.
pub(crate) fn round_trip_of_days(first: NaiveDate, last: NaiveDate, config: &EwsConfig) -> (NaiveDate, NaiveDate) {
    let (start, end, _, zones) = written(&Time::AllDay { first, last }, config);
    let zone = zones.first().map_or("UTC", String::as_str);
    let (first, last) = days(&all_day(&start, &end, zone));
    (first.parse().expect("a day"), last.parse().expect("a day"))
}

#[test]
fn days_come_back_as_the_same_days_from_every_zone() {
    let mut tried = 0;
    for zone in [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Asia/Kolkata",
        "Asia/Beirut",
        "America/Santiago",
        "Australia/Lord_Howe",
    ] {
        let mut config = config();
        config.all_day_zone = zone.parse().unwrap();
        let mut first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        while first.to_string().as_str() < "2028-01-01" {
            for length in [0, 2] {
                let last = first + TimeDelta::days(length);
                let time = Time::AllDay { first, last };
                let (start, end, is_all_day, zones) = written(&time, &config);
                assert!(is_all_day && zones.len() == 2, "{zone}");
                let back = days(&all_day(&start, &end, &zones[0]));
                assert_eq!(back, (first.to_string(), last.to_string()), "{zone} {start} {end}");
                tried += 1;
            }
            first += TimeDelta::days(1);
        }
    }
    assert_eq!(tried, 9 * 730 * 2);
}

#[test]
fn a_midnight_that_the_clock_skips_is_the_first_moment_after() {
    let mut config = config();
    config.all_day_zone = "Asia/Beirut".parse().unwrap();
    let day = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap();
    let gap = config.all_day_zone.from_local_datetime(&day.and_time(NaiveTime::MIN));
    assert_eq!(gap.single(), None, "this test needs a day without midnight");
    assert_eq!(written(&Time::AllDay { first: day, last: day }, &config).0, "2026-03-29T01:00:00+03:00");
}

#[test]
fn a_timed_appointment_is_written_as_instants_with_its_zone() {
    let time = |zone: &str| {
        let (start, end) = ("2027-07-08T09:30:15.5Z".parse().unwrap(), "2027-07-08T10:00:00Z".parse().unwrap());
        written(&Time::timed(start, end, Zone::named(zone)), &config())
    };
    let (start, end, is_all_day, zones) = time("Europe/Paris");
    assert_eq!((start.as_str(), end.as_str(), is_all_day), ("2027-07-08T09:30:15Z", "2027-07-08T10:00:00Z", false));
    assert_eq!(zones, ["Romance Standard Time", "Romance Standard Time"]);
    assert_eq!(time("UTC").3, ["UTC", "UTC"]);
    // Names that stand for a definition elsewhere cannot be written; a server's own newer name can.
    assert!(time("Customized Time Zone").3.is_empty());
    assert!(time("tzone://Microsoft/Custom").3.is_empty());
    assert_eq!(time("Atlantis Standard Time").3.len(), 2);
}

#[test]
fn instants_are_read_with_any_offset() {
    let span = |start: &str| {
        let wire = item(&format!("<t:Start>{start}</t:Start><t:End>2027-02-08T10:00:00Z</t:End>"));
        match map::appointment(&wire, &config()).unwrap().time {
            Time::Timed(span) => span.start.to_rfc3339(),
            Time::AllDay { .. } => panic!(),
        }
    };
    for text in
        ["2027-02-08T09:00:00Z", "2027-02-08T10:00:00+01:00", " 2027-02-08T09:00:00.000Z ", "2027-02-08T09:00:00"]
    {
        assert_eq!(span(text), "2027-02-08T09:00:00+00:00", "{text}");
    }
}

#[test]
fn an_item_without_times_is_an_error_not_a_guess() {
    for times in
        ["<t:Start>soon</t:Start><t:End>2027-02-08T10:00:00Z</t:End>", "<t:Start>2027-02-08T10:00:00Z</t:Start>"]
    {
        assert!(map::appointment(&item(times), &config()).is_err(), "{times}");
    }
}
