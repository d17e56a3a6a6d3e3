//! Recurrence as pure arithmetic: rules to text and back, occurrences, exceptions, and patterns found in lists of days.

mod dateutil;
mod patterns;
mod recognise;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn wall(text: &str) -> NaiveDateTime {
    text.parse().expect("a wall time")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}
