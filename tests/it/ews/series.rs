//! Series through the connector: patterns written and read back, occurrences by their original day.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use daybridge::connector::{Connector as _, Problem};
use daybridge::model::recurrence::{Days, Index, Pattern, Range, Rule, Window};
use daybridge::model::{Field, Mail, Recurrence, Seen, Time, Value};

use super::sim::{Sim, draft, key, patched, susan, timed};

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn window(from: &str, until: &str, limit: usize) -> Window {
    Window { from: at(from), until: at(until), limit }
}

#[tokio::test]
async fn every_pattern_is_written_and_read_back() {
    use chrono::Weekday::{Fri, Mon, Sun};
    let sim = Sim::start().await;
    let some = Days::of([Mon, Fri]).expect("days");
    let mut number = 0;
    for (pattern, shown) in [
        (Pattern::Daily { interval: 3 }, None),
        (Pattern::Weekly { interval: 2, days: some, week_start: Sun }, None),
        (Pattern::AbsoluteMonthly { interval: 1, day: 31 }, None),
        (Pattern::RelativeMonthly { interval: 2, days: Days::WEEKDAYS, index: Index::Fourth }, None),
        (Pattern::AbsoluteYearly { interval: 1, month: 2, day: 29 }, None),
        (Pattern::RelativeYearly { interval: 1, month: 3, days: Days::one(Sun), index: Index::Last }, None),
        // EWS has no "every four years": it is every 48 months.
        (
            Pattern::AbsoluteYearly { interval: 4, month: 2, day: 8 },
            Some(Pattern::AbsoluteMonthly { interval: 48, day: 8 }),
        ),
    ] {
        for range in [Range::NoEnd, Range::Count(5), Range::Until(date("2037-12-31"))] {
            number += 1;
            let mut series = draft("series");
            let first = pattern.first_from(date("2027-02-08")).expect("a day");
            let start = first.and_hms_opt(9, 0, 0).expect("a time").and_utc();
            series.time = Time::timed(start, start + TimeDelta::hours(1), daybridge::model::Zone::UTC);
            series.recurrence = Some(Recurrence::from(Rule { pattern, range }));
            let made = sim.connector.create(&susan(), &series, &key(number), Mail::Silent).await.expect("created");
            let expected = Rule { pattern: shown.unwrap_or(pattern), range };
            assert_eq!(made.appointment.recurrence, Some(Recurrence::from(expected)));
            assert_eq!(made.appointment.time, series.time);
        }
    }
    for rule in ["FREQ=MONTHLY;BYMONTHDAY=1,15", "X-EWS=HourlyRecurrence", "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2"] {
        let mut series = draft("series");
        series.recurrence = Some(Recurrence { rule: rule.into() });
        let error = sim.connector.create(&susan(), &series, &key(99), Mail::Silent).await.expect_err(rule);
        assert_eq!(error.problem, Problem::Unsupported, "{rule}");
    }
}

#[tokio::test]
async fn occurrences_are_named_by_their_original_day() {
    let sim = Sim::start().await;
    let mut series = draft("daily");
    series.time = timed("2027-02-01T09:00:00Z", "2027-02-01T10:00:00Z");
    series.recurrence = Some(Recurrence { rule: "FREQ=DAILY;COUNT=6".into() });
    let master = sim.connector.create(&susan(), &series, &key(1), Mail::Silent).await.expect("created");
    let all = window("2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z", 100);
    let shown = sim.connector.occurrences(&master.at, all).await.expect("occurrences");
    let days: Vec<NaiveDate> = shown.iter().map(|one| one.date).collect();
    assert_eq!(days, (1..=6).map(|day| date(&format!("2027-02-{day:02}"))).collect::<Vec<_>>());
    for one in &shown {
        assert_eq!((one.item.uid.as_deref(), one.item.stamp.as_ref()), (None, None), "these are the series'");
        assert_eq!(one.item.series, master.uid);
        assert_eq!(one.item.appointment.recurrence, None);
    }
    // The second is moved by a day's hours, the third is deleted.
    let second = &shown[1].item;
    let later = Value::Time(timed("2027-02-02T20:00:00Z", "2027-02-02T21:00:00Z"));
    let (patch, after) = patched(second, &[(Field::Time, later)]);
    let moved = sim.connector.update(&second.at, &second.version, &patch, &after, Mail::Silent).await.expect("moved");
    let Seen::Present(third) = sim.connector.occurrence(&master.at, date("2027-02-03")).await.expect("read") else {
        panic!("the third is there")
    };
    sim.connector.delete(&third.at, &third.version, Mail::Silent).await.expect("deleted");

    let shown = sim.connector.occurrences(&master.at, all).await.expect("occurrences");
    assert_eq!(shown.len(), 5);
    assert_eq!((shown[1].date, &shown[1].item.appointment.time), (date("2027-02-02"), &moved.appointment.time));
    let read = async |day: &str| sim.connector.occurrence(&master.at, date(day)).await.expect("read");
    assert!(matches!(read("2027-02-02").await, Seen::Present(item) if item.appointment.time == moved.appointment.time));
    assert_eq!(read("2027-02-03").await, Seen::Deleted);
    assert_eq!(read("2027-02-09").await, Seen::Deleted, "beyond the end");
    // The earliest of the window, and a window that shows nothing.
    let some = sim.connector.occurrences(&master.at, Window { limit: 2, ..all }).await.expect("occurrences");
    assert_eq!(some.iter().map(|one| one.date).collect::<Vec<_>>(), [date("2027-02-01"), date("2027-02-02")]);
    let later = window("2027-02-07T00:00:00Z", "2030-02-07T00:00:00Z", 100);
    assert!(sim.connector.occurrences(&master.at, later).await.expect("occurrences").is_empty());

    let version = sim.connector.read(&master.at).await.expect("read").present().expect("there").version.clone();
    sim.connector.delete(&master.at, &version, Mail::Silent).await.expect("deleted");
    assert_eq!(read("2027-02-01").await, Seen::Deleted, "the series is gone");
    let error = sim.connector.occurrences(&master.at, all).await.expect_err("gone");
    assert_eq!(error.problem, Problem::NotFound);
}
