//! Which occurrences of a series are looked at, and what a plan means for one.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use daybridge::engine::{KnownOccurrence, looks, series_window};
use daybridge::model::recurrence::Window;
use daybridge::model::{Address, Appointment, Instance, Item, ItemRef, Known, Role, Time, Version, Zone};

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 2, day).expect("a date")
}

fn at(day: u32) -> DateTime<Utc> {
    date(day).and_hms_opt(9, 0, 0).expect("a time").and_utc()
}

fn instance(day: u32, subject: &str) -> Instance {
    let time = Time::timed(at(day), at(day) + TimeDelta::hours(1), Zone::UTC);
    let place = ItemRef::exchange(Address::new("susan@example.test"), format!("occurrence {day}"));
    let item = Item {
        at: place,
        version: Version("1".into()),
        uid: None,
        stamp: None,
        role: Role::Organizer,
        sent: true,
        series: Some("uid".into()),
        appointment: Appointment::new(subject, time),
    };
    Instance { date: date(day), item }
}

fn known(one: &Instance, live: bool) -> (NaiveDate, KnownOccurrence) {
    (one.date, KnownOccurrence { live, exchange: Some(Known::from(&one.item)) })
}

fn window(limit: usize) -> Window {
    Window { from: at(1) - TimeDelta::days(1), until: at(28), limit }
}

#[test]
fn only_what_differs_is_looked_at() {
    let shown: Vec<Instance> = (1..=5).map(|day| instance(day, "Review")).collect();
    let mut ledger: BTreeMap<_, _> = shown.iter().map(|one| known(one, true)).collect();
    assert_eq!(looks(&shown, &ledger, window(100)), []);
    // Another version alone is no difference: every change of the master brings one.
    let mut newer = shown.clone();
    newer.iter_mut().for_each(|one| one.item.version = Version("2".into()));
    assert_eq!(looks(&newer, &ledger, window(100)), []);

    ledger.remove(&date(1));
    let (gone, _) = (date(2), ledger.insert(date(2), known(&shown[1], false).1));
    ledger.extend([known(&instance(3, "Old words"), true), known(&instance(9, "Review"), true)]);
    let found = looks(&shown, &ledger, window(100));
    let days: Vec<(NaiveDate, bool)> = found.iter().map(|look| (look.date, look.anew)).collect();
    assert_eq!(days, [(date(1), false), (gone, true), (date(3), false), (date(9), false)]);
}

#[test]
fn what_lies_beyond_window_or_listing_is_not_missing() {
    let shown: Vec<Instance> = (1..=3).map(|day| instance(day, "Review")).collect();
    let mut ledger: BTreeMap<_, _> = (1..=5).map(|day| known(&instance(day, "Review"), true)).collect();
    // The listing was cut: the fourth and fifth may be there.
    assert_eq!(looks(&shown, &ledger, window(3)), []);
    // They begin behind the window's end.
    let short = Window { until: at(4), ..window(100) };
    assert_eq!(looks(&shown, &ledger, short), []);
    // What was removed is not missed.
    ledger.insert(date(4), known(&instance(4, "Review"), false).1);
    let days: Vec<NaiveDate> = looks(&shown, &ledger, window(100)).iter().map(|look| look.date).collect();
    assert_eq!(days, [date(5)]);
}

#[test]
fn the_window_moves_by_whole_days() {
    let (past, ahead) = (TimeDelta::days(14), TimeDelta::days(180));
    let morning = series_window(at(20), past, ahead, 10);
    assert_eq!(series_window(at(20) + TimeDelta::hours(8), past, ahead, 10), morning);
    assert_eq!(series_window(at(21), past, ahead, 10).until, morning.until + TimeDelta::days(1));
}
