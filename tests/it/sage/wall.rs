//! Wall time of the CRM's zone: the odd hours, and that nothing drifts.

use chrono::TimeDelta;
use chrono_tz::Tz;
use daybridge::connector::sage::map::Mapping;
use daybridge::connector::sage::wall::{instant_of, parse, wall_of};
use daybridge::model::{Appointment, Body, Key, Sensitivity, Time, Zone};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value as Json, json};

use super::{at, config, people, row};

#[test]
fn the_odd_hours_of_the_year() {
    let berlin = chrono_tz::Europe::Berlin;
    for (zone, wall, instant, why) in [
        (berlin, "2027-10-31T01:59:59", "2027-10-30T23:59:59Z", "before the repeated hour"),
        (berlin, "2027-10-31T02:30:00", "2027-10-31T00:30:00Z", "the first pass"),
        (berlin, "2027-10-31T03:00:00", "2027-10-31T02:00:00Z", "after it"),
        (berlin, "2027-03-28T02:30:00", "2027-03-28T01:30:00Z", "a skipped hour, moved forward"),
        (berlin, "2027-03-28T03:00:00", "2027-03-28T01:00:00Z", "after it"),
        (chrono_tz::America::New_York, "2027-03-14T02:00:00", "2027-03-14T07:00:00Z", "skipped"),
        (chrono_tz::America::New_York, "2027-11-07T01:59:00", "2027-11-07T05:59:00Z", "the first pass"),
        (chrono_tz::Australia::Lord_Howe, "2027-10-03T02:15:00", "2027-10-02T15:45:00Z", "half an hour skipped"),
        (chrono_tz::Pacific::Apia, "2011-12-30T12:00:00", "2011-12-30T22:00:00Z", "a whole day skipped"),
    ] {
        assert_eq!(instant_of(zone, wall.parse().unwrap()), at(instant), "{why}: {wall} {zone}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, rng_seed: RngSeed::Fixed(20_270_207), ..ProptestConfig::default() })]

    /// Whatever stands in the CRM maps to an instant that maps back to what stands there, so an unchanged row is never
    /// written; and any instant written once reads back as one that stays.
    #[test]
    fn wall_time_is_stable_over_the_year(minute in 0_i64..366 * 24 * 60, zone in 0_usize..2) {
        let zone: Tz = [chrono_tz::Europe::Berlin, chrono_tz::America::New_York][zone];
        let wall = "2027-01-01T00:00:00".parse::<chrono::NaiveDateTime>().unwrap() + TimeDelta::minutes(minute);
        let instant = instant_of(zone, wall);
        let shown = wall_of(zone, instant);
        let skipped = TimeDelta::hours(1);
        prop_assert!(shown == wall || shown == wall + skipped, "{wall} became {shown}");
        prop_assert_eq!(instant_of(zone, shown), instant);
        let written = wall_of(zone, wall.and_utc());
        let kept = instant_of(zone, written);
        prop_assert!(kept == wall.and_utc() || kept == wall.and_utc() - TimeDelta::hours(1));
        prop_assert_eq!(wall_of(zone, kept), written);
    }

    /// Dates are never guessed and never crash.
    #[test]
    fn any_text_is_a_date_or_none(text in "[0-9TZ:+. -]{0,30}") {
        let _ = parse(&text);
    }

    /// What was written of an appointment reads back as that appointment.
    #[test]
    fn what_is_written_reads_back(
        start in 1_800_000_000_i64..1_830_000_000, length in 0_i64..100_000, reminder in proptest::option::of(0_u32..20_000),
        subject in "[a-zäß🙂 ]{0,40}", note in "[a-z\n]{0,40}", private in any::<bool>(), days in any::<bool>(),
    ) {
        let start = chrono::DateTime::from_timestamp(start, 0).unwrap();
        let wall = wall_of(chrono_tz::Europe::Berlin, start);
        // The second pass of the repeated hour cannot be kept; see the_odd_hours_of_the_year.
        prop_assume!(instant_of(chrono_tz::Europe::Berlin, wall) == start);
        let end = instant_of(chrono_tz::Europe::Berlin, wall + TimeDelta::seconds(length)).max(start);
        prop_assume!(instant_of(chrono_tz::Europe::Berlin, wall_of(chrono_tz::Europe::Berlin, end)) == end);
        let time = if days {
            Time::AllDay { first: wall.date(), last: wall.date() + TimeDelta::seconds(length) }
        } else {
            Time::timed(start, end, Zone::Iana(chrono_tz::Europe::Berlin))
        };
        let mut draft = Appointment::new(subject, time);
        draft.body = Body::plain(note);
        draft.reminder_minutes = reminder;
        draft.sensitivity = if private { Sensitivity::Private } else { Sensitivity::Normal };
        let mapping = Mapping::new(&config());
        let mut columns = mapping.new_columns(&draft, &Key::Uid("1".into()), &people());
        columns.insert("$key".into(), json!(1));
        let item = mapping.item(&row(Json::Object(columns)), &[], &people()).unwrap();
        prop_assert_eq!(item.appointment, draft);
    }
}
