//! The Sage CRM connector: its mapping as tables, its requests as text, its work against the simulated CRM.

mod calendar;
mod feed;
mod map;
mod refusals;
mod requests;
mod wall;

pub(crate) use map::round_trip_of_days;

use chrono::{DateTime, Utc};
use daybridge::connector::http::Secret;
use daybridge::connector::sage::config::SageConfig;
use daybridge::connector::sage::people::{CrmUser, People};
use daybridge::connector::sage::wire::Row;
use daybridge::model::{Time, Zone};
use serde_json::{Value, json};

fn config() -> SageConfig {
    let mut config = SageConfig::new("http://crm.test", "daybridge", Secret::new("demo"), chrono_tz::Europe::Berlin);
    config.responses_column = Some("comm_responses".into());
    config
}

fn row(value: Value) -> Row {
    Row::from_json(&value).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn timed(start: &str, end: &str) -> Time {
    Time::timed(at(start), at(end), Zone::Iana(chrono_tz::Europe::Berlin))
}

fn user(id: i64, first: &str, address: &str, more: Value) -> CrmUser {
    let mut columns = json!({"User_UserId": id, "User_Logon": first.to_lowercase(), "User_FirstName": first,
        "User_LastName": "Test", "User_EmailAddress": address, "User_PrimaryChannelId": 5, "User_PrimaryTerritory": -7});
    columns.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    CrmUser::from_row(&row(columns)).unwrap()
}

/// Susan 11, Terry 12, a room 13, Nina 14 who has no address, the sync's own account 15.
fn people() -> People {
    let mut people = People::new([
        user(11, "Susan", "susan@example.test", json!({})),
        user(12, "Terry", "Terry@Example.test", json!({})),
        user(13, "Room", "room@example.test", json!({"User_Resource": "true"})),
        user(14, "Nina", "", json!({})),
        user(15, "Sync", "", json!({})),
    ]);
    people.name_record("person", "30", "Ann Lee".into());
    people.name_record("company", "28", "Acme".into());
    people
}
