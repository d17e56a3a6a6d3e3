//! Patterns found in lists of days.

use chrono::{TimeDelta, Weekday};
use chrono_tz::Tz;
use daybridge::model::Recurrence;
use daybridge::model::recurrence::{Days, Index, Pattern, Range, Rule, Window, expand, recognise};
use proptest::prelude::*;

use super::{at, date};

fn found(days: &[&str]) -> Option<String> {
    let days: Vec<_> = days.iter().copied().map(date).collect();
    recognise(&days, Weekday::Mon).map(|rule| rule.to_string())
}

#[test]
fn the_pattern_people_would_name() {
    for (days, rule) in [
        (&["2027-02-01", "2027-02-02", "2027-02-03"][..], "FREQ=DAILY;COUNT=3"),
        (&["2027-02-01", "2027-02-08"], "FREQ=WEEKLY;BYDAY=MO;WKST=MO;COUNT=2"),
        (&["2027-02-01", "2027-02-15", "2027-03-01"], "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=MO;COUNT=3"),
        (&["2027-02-02", "2027-02-04", "2027-02-09", "2027-02-11"], "FREQ=WEEKLY;BYDAY=TU,TH;WKST=MO;COUNT=4"),
        (&["2027-01-15", "2027-02-15", "2027-03-15"], "FREQ=MONTHLY;BYMONTHDAY=15;COUNT=3"),
        (
            &["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"],
            "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1;COUNT=4",
        ),
        (&["2027-01-12", "2027-02-09", "2027-03-09", "2027-04-13"], "FREQ=MONTHLY;BYDAY=2TU;COUNT=4"),
        (&["2027-01-29", "2027-02-26", "2027-03-31"], "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3"),
        (&["2027-10-03", "2028-10-03", "2029-10-03"], "FREQ=YEARLY;BYMONTH=10;BYMONTHDAY=3;COUNT=3"),
    ] {
        assert_eq!(found(days).as_deref(), Some(rule), "{days:?}");
    }
}

#[test]
fn what_is_no_pattern_is_none() {
    assert_eq!(found(&[]), None);
    assert_eq!(found(&["2027-02-01"]), None, "one day is no series");
    assert_eq!(found(&["2027-02-01", "2027-02-01"]), None, "twice the same day");
    assert_eq!(found(&["2027-02-08", "2027-02-01"]), None, "out of order");
    assert_eq!(found(&["2027-02-01", "2027-02-02", "2027-02-05", "2027-03-17"]), None);
    assert_eq!(found(&["2027-02-01", "2027-02-08", "2027-02-22"]), None, "one of them is missing");
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let index = (0usize..5).prop_map(|at| Index::ALL[at]);
    let weekday = (0u8..7).prop_map(|day| Weekday::try_from(day).expect("a day"));
    let of_week = prop_oneof![Just(Days::WEEKDAYS), Just(Days::WEEKEND), weekday.clone().prop_map(Days::one)];
    let some = proptest::collection::vec(weekday, 1..4).prop_map(|days| Days::of(days).expect("days"));
    prop_oneof![
        (1u32..40).prop_map(|interval| Pattern::Daily { interval }),
        (1u32..5, some).prop_map(|(interval, days)| Pattern::Weekly { interval, days, week_start: Weekday::Mon }),
        (1u32..7, 1u32..=31).prop_map(|(interval, day)| Pattern::AbsoluteMonthly { interval, day }),
        (1u32..7, of_week, index).prop_map(|(interval, days, index)| Pattern::RelativeMonthly {
            interval,
            days,
            index
        }),
    ]
}

proptest! {
    /// Whatever pattern made the days, the one found gives the very same days.
    #[test]
    fn a_pattern_found_gives_the_days_it_was_found_in(pattern in pattern(), count in 2u32..40, offset in 0i64..2_000) {
        let first = pattern.first_from(date("2026-01-01") + TimeDelta::days(offset)).expect("a day");
        let days = |rule: Rule| -> Vec<_> {
            let window = Window { from: at("2025-01-01T00:00:00Z"), until: at("2100-01-01T00:00:00Z"), limit: 1_000 };
            let found = expand(&Recurrence::from(rule), first.and_hms_opt(9, 0, 0).expect("a time"), Tz::UTC, window);
            found.expect("a rule").occurrences.iter().map(|one| one.date).collect()
        };
        let made = days(Rule { pattern, range: Range::Count(count) });
        // A few days of a pattern can look like another one; enough of them must be recognised.
        match recognise(&made, Weekday::Mon) {
            Some(rule) => prop_assert_eq!(days(rule), made),
            None => prop_assert!(false, "not recognised: {:?}", made),
        }
    }
}
