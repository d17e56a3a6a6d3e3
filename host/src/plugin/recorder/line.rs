//! A recorded call as one line of JSON.
//!
//! Must not know: files.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::{RecordedCall, name};
use crate::model::Address;
use crate::plugin::fixture::{Ask, Fixture};
use crate::plugin::lookup::Question;

/// Raised when the form changes; lines of another version are left out when read.
const VERSION: u64 = 1;

pub fn write(call: &RecordedCall) -> String {
    let asked: Vec<Json> = call.asked.iter().map(question).collect();
    let line = json!({
        "v": VERSION,
        "at": call.at,
        "generation": call.generation,
        "elapsed-us": u64::try_from(call.elapsed.as_micros()).unwrap_or(u64::MAX),
        "asked": asked,
        "call": call.fixture.to_tree(),
    });
    format!("{line}\n")
}

/// The call of a line; none for a line that was damaged or written by another version.
pub fn read(line: &[u8]) -> Option<RecordedCall> {
    let json: Json = serde_json::from_slice(line).ok()?;
    if json.get("v")?.as_u64()? != VERSION {
        return None;
    }
    let at: DateTime<Utc> = json.get("at")?.as_str()?.parse().ok()?;
    let generation = json.get("generation")?.as_str()?.to_owned();
    let elapsed = Duration::from_micros(json.get("elapsed-us")?.as_u64()?);
    let asked = json.get("asked")?.as_array()?.iter().map(read_question).collect::<Option<_>>()?;
    let mut fixture = Fixture::from_tree("", json.get("call")?).ok()?;
    if let Ask::Apply { key, .. } = &fixture.ask {
        fixture.name = name(key);
    }
    Some(RecordedCall { at, generation, fixture, asked, elapsed })
}

fn question(of: &Question) -> Json {
    match of {
        Question::UserById(id) => json!(["user-by-id", id]),
        Question::UserByAddress(address) => json!(["user-by-address", address.as_str()]),
        Question::Caption { family, code } => json!(["caption", family, code]),
        Question::KeyValue(name) => json!(["key-value", name]),
    }
}

fn read_question(json: &Json) -> Option<Question> {
    let texts: Vec<&str> = json.as_array()?.iter().map(Json::as_str).collect::<Option<_>>()?;
    match texts.as_slice() {
        ["user-by-id", id] => Some(Question::UserById((*id).to_owned())),
        ["user-by-address", address] => Some(Question::UserByAddress(Address::new(address))),
        ["caption", family, code] => Some(Question::Caption { family: (*family).to_owned(), code: (*code).to_owned() }),
        ["key-value", name] => Some(Question::KeyValue((*name).to_owned())),
        _ => None,
    }
}
