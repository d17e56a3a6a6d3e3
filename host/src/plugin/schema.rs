//! A rule's settings: its JSON Schema read, the operator's values held against it, defaults filled in.
//!
//! Promises: the settings are an object whose properties are `string`, `boolean`, `integer`, `number` or `array` of `string`, which is what
//! the contract can carry; within that, all of JSON Schema holds (`enum`, `minimum`, `pattern`, `minLength`, `required` ...). What is wrong
//! is told with the setting's name, the reason and what is allowed; a schema that is not understood is a mistake of the rule and is said
//! when it is loaded, not ignored. Nothing is fetched for a schema, and patterns are matched in linear time. Must not know: rules.

use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind as Kinds;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value as Json};

use super::bindings::daybridge::rules::types::Value;
use super::limits::clean;

/// Bytes of a schema; the ones of real rules have a few hundred.
const SCHEMA_MAX: usize = 64 << 10;
/// Bytes a pattern may take when compiled.
const PATTERN_MAX: usize = 1 << 20;

/// One setting as the schema describes it.
struct Property<'a> {
    name: &'a str,
    kind: Kind,
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
    if schema.len() > SCHEMA_MAX {
        return Err(format!("the rule's settings schema has {} bytes, more than {SCHEMA_MAX}", schema.len()));
    }
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
    let (mut settled, mut whole) = (BTreeMap::new(), Map::new());
    for property in properties {
        if let Some(json) = given.get(property.name).or(property.default) {
            settled.insert(
                property.name.to_owned(),
                property.value(json).map_err(|must| blame(property.name, given, &must))?,
            );
            whole.insert(property.name.to_owned(), json.clone());
        }
    }
    let whole = Json::Object(whole);
    match validator(&parsed)?.iter_errors(&whole).next() {
        Some(error) => Err(complaint(&error, given)),
        None => Ok(settled),
    }
}

fn validator(schema: &Json) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_MAX).dfa_size_limit(PATTERN_MAX))
        .build(schema)
        .map_err(|error| format!("the rule's settings schema is not understood: {}", clean(&error.to_string())))
}

/// Names the setting, and whose mistake it is: a default that does not keep its own schema is the rule's.
fn blame(name: &str, given: &Map<String, Json>, must: &str) -> String {
    match given.contains_key(name) {
        true => format!("setting {name} {must}"),
        false => format!("the rule's own default for setting {name} is wrong: it {must}"),
    }
}

/// A violation in words: which setting, what it must be, what it is.
fn complaint(error: &ValidationError<'_>, given: &Map<String, Json>) -> String {
    if let Kinds::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        return format!("setting {} is missing; the rule has no default for it", clean(name));
    }
    let path = error.instance_path().to_string();
    let mut steps = path.split('/').skip(1);
    let Some(name) = steps.next() else { return format!("the settings together: {}", clean(&error.to_string())) };
    let found = error.instance();
    let must = match error.kind() {
        Kinds::Minimum { limit } => format!("must be at least {limit}, not {found}"),
        Kinds::Maximum { limit } => format!("must be at most {limit}, not {found}"),
        Kinds::ExclusiveMinimum { limit } => format!("must be more than {limit}, not {found}"),
        Kinds::ExclusiveMaximum { limit } => format!("must be less than {limit}, not {found}"),
        Kinds::MinLength { limit } => format!("must have at least {limit} characters, not {found}"),
        Kinds::MaxLength { limit } => format!("must have at most {limit} characters, not {found}"),
        Kinds::MinItems { limit } => format!("must have at least {limit} elements, not {found}"),
        Kinds::MaxItems { limit } => format!("must have at most {limit} elements, not {found}"),
        Kinds::UniqueItems => format!("must name nothing twice, not {found}"),
        Kinds::Pattern { pattern } => format!("must match the pattern {pattern}, not {found}"),
        Kinds::Format { format } => format!("must be of the form \"{format}\", not {found}"),
        Kinds::Enum { options } => format!("must be one of {}, not {found}", choices(options)),
        _ => format!("is not allowed: {error}"),
    };
    let must = match steps.next().and_then(|index| index.parse::<usize>().ok()) {
        Some(index) => format!("(element {}) {must}", index.saturating_add(1)),
        None => must,
    };
    clean(&blame(name, given, &must))
}

fn choices(options: &Json) -> String {
    let words = options.as_array().map(Vec::as_slice).unwrap_or_default();
    words
        .iter()
        .map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
        .collect::<Vec<_>>()
        .join(", ")
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
    Ok(Property { name, kind, default: property.get("default") })
}

impl Property<'_> {
    fn value(&self, json: &Json) -> Result<Value, String> {
        let wrong = |must: &str| Err(format!("must be {must}, not {json}"));
        match (self.kind, json) {
            (Kind::Flag, Json::Bool(flag)) => Ok(Value::Flag(*flag)),
            (Kind::Flag, _) => wrong("true or false"),
            (Kind::Integer, json) => {
                json.as_i64().map_or_else(|| wrong("a whole number"), |number| Ok(Value::Number(number)))
            }
            (Kind::Decimal, json) => {
                json.as_f64().map_or_else(|| wrong("a number"), |number| Ok(Value::Decimal(number)))
            }
            (Kind::Text, Json::String(text)) => Ok(Value::Text(text.clone())),
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
        "minutes":{"type":"integer","minimum":0,"maximum":1440},
        "code":{"type":"string","pattern":"^[A-Z]{2}$"},
        "names":{"type":"array","items":{"type":"string","minLength":1},"default":["a"]}}}"#;

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
    fn a_schema_that_cannot_be_kept_is_the_rules_mistake() {
        let check = |schema: &str, begins: &str| {
            let error = settle(schema, &Map::new()).unwrap_err();
            assert!(error.starts_with(begins), "{error}");
        };
        check(
            r#"{"properties":{"a":{"type":"string","pattern":"(?=x)"}}}"#,
            "the rule's settings schema is not understood",
        );
        check(
            r#"{"properties":{"a":{"type":"string","minLength":-1}}}"#,
            "the rule's settings schema is not understood",
        );
        check(r#"{"$ref":"http://127.0.0.1:9/x.json"}"#, "the rule's settings schema is not understood");
        check(
            r#"{"properties":{"a":{"type":"integer","minimum":5,"default":1}}}"#,
            "the rule's own default for setting a is wrong: it must be at least 5",
        );
        check(r#"{"properties":{"a":{"type":"integer"}},"required":["a"]}"#, "setting a is missing");
        check(&format!("{{\"x\":\"{}\"}}", "x".repeat(SCHEMA_MAX)), "the rule's settings schema has");
    }

    #[test]
    fn a_wrong_setting_is_named_with_what_it_must_be() {
        let check = |given: Json, message: &str| assert_eq!(settled(given).unwrap_err(), message);
        check(
            serde_json::json!({"mood": 1}),
            "setting mood is unknown; this rule has: code, copy, minutes, mode, names",
        );
        check(serde_json::json!({"mode": "x"}), "setting mode must be one of auto, field, not \"x\"");
        check(serde_json::json!({"copy": "yes"}), "setting copy must be true or false, not \"yes\"");
        check(serde_json::json!({"minutes": 1.5}), "setting minutes must be a whole number, not 1.5");
        check(serde_json::json!({"names": [1]}), "setting names must be a list of texts, not [1]");
        check(serde_json::json!({"minutes": -1}), "setting minutes must be at least 0, not -1");
        check(serde_json::json!({"minutes": 9999}), "setting minutes must be at most 1440, not 9999");
        check(
            serde_json::json!({"names": ["a", ""]}),
            "setting names (element 2) must have at least 1 characters, not \"\"",
        );
        check(serde_json::json!({"code": "x7"}), "setting code must match the pattern ^[A-Z]{2}$, not \"x7\"");
        assert_eq!(settle("", &Map::new()), Ok(BTreeMap::new()));
        assert!(settle("nonsense", &Map::new()).unwrap_err().contains("no JSON"));
    }
}
