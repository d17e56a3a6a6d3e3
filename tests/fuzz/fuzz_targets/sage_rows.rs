//! Rows of Sage CRM's REST interface, and the mapping of what was read.
#![no_main]

use daybridge::connector::http::Secret;
use daybridge::connector::sage::config::SageConfig;
use daybridge::connector::sage::map::Mapping;
use daybridge::connector::sage::people::People;
use daybridge::connector::sage::wire::Row;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let rows = value.get("$resources").and_then(serde_json::Value::as_array).cloned().unwrap_or_else(|| vec![value]);
    let rows: Vec<Row> = rows.iter().filter_map(Row::from_json).collect();
    let config = SageConfig::new("http://127.0.0.1:1/", "sync", Secret::new("secret"), chrono_tz::Europe::Berlin);
    let (map, people) = (Mapping::new(&config), People::new([]));
    if let Some((first, links)) = rows.split_first() {
        let _ = (map.item(first, links, &people), map.keys(first), map.version(first, links));
    }
});
