//! How fast one mailbox may be asked.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::connector::pace::Pace;

fn start() -> DateTime<Utc> {
    "2027-02-01T08:00:00Z".parse().unwrap()
}

#[test]
fn no_ten_minutes_hold_more_than_the_budget() {
    let mut pace = Pace::default();
    let mut granted: Vec<DateTime<Utc>> = Vec::new();
    // An hour of asking twice a second with a budget of one a second.
    for step in 0..7_200 {
        let now = start() + TimeDelta::milliseconds(step * 500);
        if pace.ask(1, 600, now).is_ok() {
            granted.push(now);
        }
    }
    for (place, at) in granted.iter().enumerate() {
        let within = granted[place..].iter().take_while(|other| **other - *at < TimeDelta::minutes(10)).count();
        assert!(within <= 600, "{within} requests in the ten minutes from {at}");
    }
    assert!(granted.len() > 3_300, "only {} of 3600 possible were granted", granted.len());
}

#[test]
fn the_wait_that_is_told_is_enough_and_not_far_too_much() {
    let mut pace = Pace::default();
    for second in 0..10 {
        assert_eq!(pace.ask(10, 100, start() + TimeDelta::seconds(second)), Ok(()));
    }
    let now = start() + TimeDelta::seconds(60);
    let wait = pace.ask(20, 100, now).unwrap_err();
    assert!(wait >= Duration::from_secs(540) && wait <= Duration::from_secs(550), "{wait:?}");
    assert_eq!(pace.ask(20, 100, now + TimeDelta::from_std(wait).unwrap()), Ok(()));
}

#[test]
fn a_pause_holds_everything_and_the_longer_one_counts() {
    let mut pace = Pace::default();
    pace.pause(Some(Duration::from_secs(30)), start());
    pace.pause(Some(Duration::from_secs(5)), start());
    let later = start() + TimeDelta::seconds(29);
    assert_eq!(pace.ask(1, 100, later), Err(Duration::from_secs(1)));
    assert_eq!(pace.paused(later), Err(Duration::from_secs(1)));
    assert_eq!(pace.ask(1, 100, start() + TimeDelta::seconds(30)), Ok(()));
    // One that does not say for how long is not asked again at once.
    pace.pause(None, start() + TimeDelta::minutes(5));
    assert!(pace.paused(start() + TimeDelta::minutes(5)).is_err());
}
