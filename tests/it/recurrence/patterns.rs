//! Rules as text, what is no pattern, the clock over the year, exceptions by original day.

use chrono_tz::Tz;
use daybridge::model::Recurrence;
use daybridge::model::recurrence::{Days, Index, Pattern, Range, Rule, Series, Window, expand};

use super::{at, date, wall};

fn series(rule: &str, first: &str, zone: Tz) -> Series {
    Series::new(Recurrence { rule: rule.into() }, wall(first), zone)
}

fn window(from: &str, until: &str) -> Window {
    Window { from: at(from), until: at(until), limit: 1_000 }
}

#[test]
fn patterns_are_written_as_rules_and_read_again() {
    let weekly = Pattern::Weekly { interval: 2, days: Days::WEEKEND, week_start: chrono::Weekday::Sun };
    for (pattern, range, text) in [
        (Pattern::Daily { interval: 1 }, Range::NoEnd, "FREQ=DAILY"),
        (weekly, Range::Count(7), "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU;WKST=SU;COUNT=7"),
        (Pattern::AbsoluteMonthly { interval: 1, day: 15 }, Range::NoEnd, "FREQ=MONTHLY;BYMONTHDAY=15"),
        (
            Pattern::AbsoluteMonthly { interval: 3, day: 31 },
            Range::Until(date("2027-12-31")),
            "FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=28,29,30,31;BYSETPOS=-1;UNTIL=20271231",
        ),
        (
            Pattern::RelativeMonthly { interval: 1, days: Days::WEEKDAYS, index: Index::Fourth },
            Range::NoEnd,
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=4",
        ),
        (
            Pattern::RelativeYearly {
                interval: 1,
                month: 3,
                days: Days::one(chrono::Weekday::Sun),
                index: Index::Last,
            },
            Range::NoEnd,
            "FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        ),
        (
            Pattern::AbsoluteYearly { interval: 1, month: 2, day: 29 },
            Range::NoEnd,
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1",
        ),
    ] {
        let rule = Rule { pattern, range };
        assert_eq!(rule.to_string(), text);
        assert_eq!(Rule::parse(text), Some(rule), "{text}");
    }
}

#[test]
fn what_no_pattern_says_exactly_is_never_guessed() {
    for text in [
        "",
        "FREQ=DAILY;BYDAY=MO",
        "FREQ=WEEKLY",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=MONTHLY;BYMONTHDAY=1,15",
        "FREQ=MONTHLY;BYDAY=5MO",
        "FREQ=YEARLY;BYMONTHDAY=3",
        "FREQ=HOURLY",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;INTERVAL=+2",
        "FREQ=DAILY;UNTIL=20270101T000000Z",
        "FREQ=DAILY;FREQ=DAILY",
        "X-EWS=HourlyRecurrence",
    ] {
        assert_eq!(Rule::parse(text), None, "{text}");
    }
    // It is kept as it came, and its days are known all the same if it is a rule.
    let odd = Recurrence { rule: "FREQ=MONTHLY;BYMONTHDAY=31".into() };
    let year = window("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z");
    let found = expand(&odd, wall("2027-01-31T09:00:00"), Tz::UTC, year).expect("a rule");
    assert_eq!(found.occurrences.len(), 7);
    let foreign = Recurrence { rule: "X-EWS=HourlyRecurrence".into() };
    assert!(expand(&foreign, wall("2027-01-31T09:00:00"), Tz::UTC, year).is_err());
}

#[test]
fn nine_in_the_morning_stays_nine_when_clocks_change() {
    let weekly = Recurrence { rule: "FREQ=WEEKLY;BYDAY=MO;WKST=MO".into() };
    let year = window("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z");
    let found = expand(&weekly, wall("2027-01-04T09:00:00"), Tz::Europe__Berlin, year).expect("a rule").occurrences;
    assert_eq!(found.len(), 52);
    for one in &found {
        assert_eq!(one.start.with_timezone(&Tz::Europe__Berlin).format("%H:%M").to_string(), "09:00", "{}", one.date);
    }
    let hours: std::collections::BTreeSet<String> =
        found.iter().map(|one| one.start.format("%H").to_string()).collect();
    assert_eq!(hours.into_iter().collect::<Vec<_>>(), ["07", "08"]);
}

#[test]
fn a_window_is_half_open_and_bounded() {
    let daily = Recurrence { rule: "FREQ=DAILY".into() };
    let first = wall("2020-01-01T09:00:00");
    let found =
        |from, until, limit| expand(&daily, first, Tz::UTC, Window { limit, ..window(from, until) }).expect("a rule");
    let some = found("2027-03-01T09:00:00Z", "2027-03-03T09:00:00Z", 10);
    assert_eq!(
        some.occurrences.iter().map(|one| one.date).collect::<Vec<_>>(),
        [date("2027-03-01"), date("2027-03-02")]
    );
    assert!(!some.cut);
    // The number is the place in the whole series.
    assert_eq!(some.occurrences[0].number, 2_617);
    let cut = found("2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z", 10);
    assert_eq!((cut.occurrences.len(), cut.cut), (10, true));
    let far = expand(&daily, first, Tz::UTC, window("2300-01-01T00:00:00Z", "2300-02-01T00:00:00Z"));
    assert!(far.is_err(), "longer than any series is reckoned");
}

#[test]
fn exceptions_stand_by_their_original_day() {
    let mut series = series("FREQ=WEEKLY;BYDAY=MO;WKST=MO;COUNT=4", "2027-02-01T09:00:00", Tz::UTC);
    series.moved.insert(date("2027-02-08"), at("2027-02-10T15:00:00Z"));
    series.cancelled.insert(date("2027-02-15"));
    let found = series.occurrences(window("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z")).expect("a rule");
    let shown: Vec<String> =
        found.occurrences.iter().map(|one| format!("{} {}", one.date, one.start.format("%m-%dT%H"))).collect();
    assert_eq!(shown, ["2027-02-01 02-01T09", "2027-02-08 02-10T15", "2027-02-22 02-22T09"]);
    // A window that holds only where it was moved to.
    let found = series.occurrences(window("2027-02-10T00:00:00Z", "2027-02-11T00:00:00Z")).expect("a rule");
    assert_eq!(found.occurrences.iter().map(|one| one.date).collect::<Vec<_>>(), [date("2027-02-08")]);
}

#[test]
fn an_occurrence_does_not_pass_its_neighbour() {
    let series = series("FREQ=WEEKLY;BYDAY=MO;WKST=MO;COUNT=4", "2027-02-01T09:00:00", Tz::UTC);
    let second = date("2027-02-08");
    for (to, allowed) in [
        ("2027-02-02T00:00:00Z", true),
        ("2027-02-14T23:00:00Z", true),
        ("2027-02-01T23:00:00Z", false),
        ("2027-02-15T00:00:00Z", false),
        ("2027-03-20T09:00:00Z", false),
        ("2026-12-01T09:00:00Z", false),
    ] {
        assert_eq!(series.may_move(second, at(to)).is_ok(), allowed, "{to}");
    }
    let words = series.may_move(second, at("2027-02-16T09:00:00Z")).unwrap_err().to_string();
    assert!(words.contains("2027-02-08") && words.contains("2027-02-15"), "{words}");
    // The last one is free to go on, and a neighbour that was cancelled or moved away is not in the way.
    assert!(series.may_move(date("2027-02-22"), at("2028-01-01T09:00:00Z")).is_ok());
    let mut cancelled = series.clone();
    cancelled.cancelled.insert(date("2027-02-15"));
    assert!(cancelled.may_move(second, at("2027-02-16T09:00:00Z")).is_ok());
}
