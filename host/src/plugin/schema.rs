//! A rule's settings: its JSON Schema read, the operator's values held against it, defaults filled in.
//!
//! The part of JSON Schema that is understood is what the contract names: an object whose properties are `string` (with
//! `enum`), `boolean`, `integer`, `number` or `array` of `string`, each with `default` and `description`. Anything else in
//! a schema is a mistake of the rule and is said when it is loaded, not ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::bindings::daybridge::rules::types::Value;
use super::limits::clean;

/// One setting as the schema describes it.
struct Property<'a> {
    name: &'a str,
    kind: Kind,
    choices: Vec<&'a str>,
    default: Option<&'a Json>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Integer,
    Decimal,
    Texts,
}

/// The values a rule gets: the operator's, else the schema's defaults.
///
/// # Errors
/// One readable line naming the setting and what it must be.
pub fn settle(schema: &str, given: &Map<String, Json>) -> Result<BTreeMap<String, Value>, String> {
    let parsed: Json = match schema {
        "" => Json::Object(Map::new()),
        text => {
            serde_json::from_str(text).map_err(|cause| format!("the rule's settings schema is no JSON: {cause}"))?
        }
    };
    let properties = properties(&parsed)?;
    if let Some(unknown) = given.keys().find(|name| !properties.iter().any(|property| property.name == *name)) {
        let known: Vec<&str> = properties.iter().map(|property| property.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("setting {} is unknown; this rule has: {known}", clean(unknown)));
    }
    let mut settled = BTreeMap::new();
    for property in properties {
        if let Some(json) = given.get(property.name).or(property.default) {
            settled.insert(property.name.to_owned(), property.value(json)?);
        }
    }
    Ok(settled)
}

fn properties(schema: &Json) -> Result<Vec<Property<'_>>, String> {
    let bad = |what: String| format!("the rule's settings schema is not understood: {what}");
    let Some(object) = schema.as_object() else { return Err(bad("it is no object".into())) };
    let Some(properties) = object.get("properties") else { return Ok(Vec::new()) };
    let Some(properties) = properties.as_object() else { return Err(bad("properties is no object".into())) };
    properties.iter().map(|(name, property)| read(name, property).map_err(bad)).collect()
}

fn read<'a>(name: &'a str, property: &'a Json) -> Result<Property<'a>, String> {
    let kind = match property.get("type").and_then(Json::as_str) {
        Some("string") => Kind::Text,
        Some("boolean") => Kind::Flag,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Decimal,
        Some("array") => Kind::Texts,
        other => return Err(format!("type of {name} is {}", other.unwrap_or("missing"))),
    };
    let choices = property.get("enum").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let choices = choices.iter().filter_map(Json::as_str).collect();
    Ok(Property { name, kind, choices, default: property.get("default") })
}

impl Property<'_> {
    fn value(&self, json: &Json) -> Result<Value, String> {
        let wrong = |must: &str| Err(format!("setting {} must be {must}, not {json}", self.name));
        match (self.kind, json) {
            (Kind::Flag, Json::Bool(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Flag, _) => wrong("true or false"),
            (Kind::Integer, json) => {
                json.as_i64().map_or_else(|| wrong("a whole number"), |number| Ok(Value::Number(number)))
            }
            (Kind::Decimal, json) => {
                json.as_f64().map_or_else(|| wrong("a number"), |number| Ok(Value::Decimal(number)))
            }
            (Kind::Text, Json::String(text)) if self.choices.is_empty() || self.choices.contains(&text.as_str()) => {
                Ok(Value::Text(text.clone()))
            }
            (Kind::Text, Json::String(_)) => wrong(&format!("one of {}", self.choices.join(", "))),
            (Kind::Text, _) => wrong("a text"),
            (Kind::Texts, Json::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
                texts.map_or_else(|| wrong("a list of texts"), |texts| Ok(Value::Texts(texts)))
            }
            (Kind::Texts, _) => wrong("a list of texts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{
        "mode":{"type":"string","enum":["auto","field"],"default":"auto"},
        "copy":{"type":"boolean","default":true},
        "minutes":{"type":"integer"},
        "names":{"type":"array","items":{"type":"string"},"default":["a"]}}}"#;

    fn settled(given: Json) -> Result<BTreeMap<String, Value>, String> {
        settle(SCHEMA, given.as_object().unwrap())
    }

    #[test]
    fn defaults_fill_what_the_operator_left_out() {
        let values = settled(serde_json::json!({"copy": false})).unwrap();
        let expected = [
            ("copy", Value::Flag(false)),
            ("mode", Value::Text("auto".into())),
            ("names", Value::Texts(vec!["a".into()])),
        ];
        assert_eq!(values, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_it_must_be() {
        let check = |given: Json, message: &str| assert_eq!(settled(given).unwrap_err(), message);
        check(serde_json::json!({"mood": 1}), "setting mood is unknown; this rule has: copy, minutes, mode, names");
        check(serde_json::json!({"mode": "x"}), "setting mode must be one of auto, field, not \"x\"");
        check(serde_json::json!({"copy": "yes"}), "setting copy must be true or false, not \"yes\"");
        check(serde_json::json!({"minutes": 1.5}), "setting minutes must be a whole number, not 1.5");
        check(serde_json::json!({"names": [1]}), "setting names must be a list of texts, not [1]");
        assert_eq!(settle("", &Map::new()), Ok(BTreeMap::new()));
        assert!(settle("nonsense", &Map::new()).unwrap_err().contains("no JSON"));
    }
}
