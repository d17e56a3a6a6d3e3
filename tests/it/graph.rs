//! The Microsoft Graph connector: mapping, pace, places in a feed and codes as values; the connector against answers a test
//! writes, and against the Exchange simulator.

mod codes;
mod doorbell;
mod feed;
mod hook;
mod inbox;
mod map;
mod pace;
mod requests;
mod sim;
mod stories;

use daybridge::connector::graph::config::GraphConfig;
use daybridge::connector::graph::wire::Event;
use daybridge::connector::http::Secret;
use daybridge::model::Address;

fn config() -> GraphConfig {
    GraphConfig::new("example.test", "client", Secret::new("secret"))
}

fn susan() -> Address {
    Address::new("susan.maye@example.test")
}

/// An event out of JSON, with what every event has.
fn event(more: serde_json::Value) -> Event {
    let mut all = serde_json::json!({
        "id": "AAkALgAA1", "changeKey": "DwA1", "iCalUId": "040000008200E0", "subject": "Review", "type": "singleInstance",
        "isOrganizer": true,
        "start": {"dateTime": "2027-02-08T08:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2027-02-08T09:00:00.0000000", "timeZone": "UTC"},
    });
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    serde_json::from_value(all).unwrap()
}
