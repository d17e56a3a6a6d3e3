//! Events, pages of a delta and parts of a batch as Microsoft Graph sends them: the mapping to an appointment, what would be
//! written of it, and the place in the feed.
#![no_main]

use chrono::{DateTime, TimeDelta};
use daybridge::connector::graph::config::{GraphConfig, Window};
use daybridge::connector::graph::feed::Place;
use daybridge::connector::graph::{map, wire};
use daybridge::connector::http::Secret;
use daybridge::connector::property::{NamedProperty, PropertyKind};
use daybridge::model::{Address, Key};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(answer) = serde_json::from_slice::<Value>(bytes) else { return };
    let mut config = GraphConfig::new("example.test", "client", Secret::new("secret"));
    let count = NamedProperty { kind: PropertyKind::Integer, ..NamedProperty::stamp() };
    config.fields.insert("count".to_owned(), count);
    if let Ok(parts) = serde_json::from_value::<wire::Parts>(answer.clone()) {
        for part in parts.responses {
            let _ = part.retry_after();
            mapped(part.body, &config);
        }
    }
    if let Ok(page) = serde_json::from_value::<wire::Page<wire::Event>>(answer.clone()) {
        let from = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
        let place = Place::start(Window { from, to: from + TimeDelta::days(30) });
        if let Ok((_, next, _)) = place.take(page) {
            assert_eq!(Place::parse(&next.cursor()), Some(next));
        }
    }
    for row in answer.get("value").and_then(Value::as_array).into_iter().flatten() {
        mapped(row.clone(), &config);
    }
    mapped(answer, &config);
});

fn mapped(event: Value, config: &GraphConfig) {
    let Ok(event) = serde_json::from_value::<wire::Event>(event) else { return };
    let mailbox = Address::new("jo@example.test");
    let _ = (event.version(), event.whole_id(), map::stamp(&event, config));
    for home in [None, Some(chrono_tz::Europe::Berlin)] {
        let Ok(item) = map::item(&event, &mailbox, home, config) else { continue };
        let _ = map::new_event(&item.appointment, &Key::Crm("1".to_owned()), "token", chrono_tz::UTC, config);
    }
}
