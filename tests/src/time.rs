//! Days that are always in the future (or the past), and the CRM's wall clock in UTC.

use chrono::{Days, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Europe::Berlin;

/// The date so many days from today (negative: before), as `2027-02-08`.
#[expect(clippy::disallowed_methods, reason = "stories are told relative to the day they are told on")]
pub fn day(offset: i64) -> String {
    let today = Utc::now().date_naive();
    let days = Days::new(offset.unsigned_abs());
    let date = if offset < 0 { today.checked_sub_days(days) } else { today.checked_add_days(days) };
    date.expect("a date").to_string()
}

/// A full hour of the CRM's wall clock (Berlin) as EWS writes it in UTC.
pub fn utc(day: &str, hour: u32) -> String {
    let date: NaiveDate = day.parse().expect("a date");
    let local = date.and_time(NaiveTime::from_hms_opt(hour, 0, 0).expect("an hour"));
    let instant = Berlin.from_local_datetime(&local).earliest().expect("no gap at a full hour by day");
    instant.with_timezone(&Utc).format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
