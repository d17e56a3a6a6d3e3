//! The server's words: rows, feeds, diagnoses.
//!
//! Promises: columns are found without letter case, and a missing one is like an empty one (field security hides columns
//! from users). Nothing here prints a value. Must not know: what a column means.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Columns to send.
pub type Columns = Map<String, Value>;

/// The server's own words are cut here; more would not help a person.
const MESSAGE_CHARS_MAX: usize = 300;

/// One record.
#[derive(Clone, Default, PartialEq)]
pub struct Row {
    columns: BTreeMap<String, Value>,
}

/// Shows names only: values are personal data.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.columns.keys()).finish()
    }
}

/// One page of records.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// How many records match, where the server says so.
    pub total: Option<u64>,
    pub rows: Vec<Row>,
}

impl Row {
    /// The record in a JSON object, or nothing if it is none.
    pub fn from_json(value: &Value) -> Option<Self> {
        let columns = value.as_object()?;
        Some(Self { columns: columns.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect() })
    }

    /// The value of a column that is there and not null.
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.columns.get(&column.to_lowercase()).filter(|value| !value.is_null())
    }

    /// Text of a column; a number as its digits, nothing as an empty text.
    pub fn text(&self, column: &str) -> String {
        match self.get(column) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(flag)) => if *flag { "Y" } else { "" }.to_owned(),
            _ => String::new(),
        }
    }

    /// The id in a column: text or number, without blanks. Zero and empty mean none.
    pub fn id(&self, column: &str) -> Option<String> {
        let text = self.text(column);
        let text = text.trim();
        (!text.is_empty() && text != "0").then(|| text.to_owned())
    }

    pub fn integer(&self, column: &str) -> Option<i64> {
        match self.get(column)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether a switch is on: `Y`, `1`, `true`.
    pub fn flag(&self, column: &str) -> bool {
        match self.get(column) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            Some(Value::String(text)) => matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "1" | "true"),
            _ => false,
        }
    }

    /// The record's own id: the named key column, else `$key` (SData 2.0, a text or a number).
    pub fn key(&self, column: &str) -> Option<String> {
        self.id(column).or_else(|| self.id("$key"))
    }

    /// Short digest over all plain columns; differs when anything in the row does.
    pub fn digest(&self) -> String {
        let plain = self
            .columns
            .iter()
            .filter(|(name, value)| !name.starts_with('$') && !value.is_object() && !value.is_array());
        let mut text = digest(plain.map(|(name, value)| (name.as_str(), value.to_string())));
        text.truncate(12);
        text
    }
}

/// Hex SHA-256 over names and values, in the given order.
pub fn digest<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in pairs {
        // Lengths keep `ab`+`c` and `a`+`bc` apart.
        hash.update(format!("{}:{name}={}:{value};", name.len(), value.len()));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Feed {
    /// The feed in a JSON answer, or nothing if it holds none.
    pub fn from_json(value: &Value) -> Option<Self> {
        let rows = value.get("$resources")?.as_array()?;
        let total = value.get("$totalResults").and_then(|total| match total {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        });
        Some(Self { total, rows: rows.iter().filter_map(Row::from_json).collect() })
    }
}

/// What the server says about a failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CRM says: {message}")]
pub struct Diagnosis {
    pub message: String,
    /// The server itself says that a repeat can help.
    pub transient: bool,
}

impl Diagnosis {
    /// The first diagnosis in an answer. The standard spells the property `$diagnosis` in its tables and `$diagnoses` in
    /// its sample, as a list; some servers send a bare object.
    pub fn from_json(value: &Value) -> Option<Self> {
        let found = ["$diagnoses", "$diagnosis"].iter().find_map(|name| value.get(name))?;
        let first = found.as_array().map_or(Some(found), |list| list.first())?;
        let text = |name: &str| first.get(name).and_then(Value::as_str).unwrap_or_default();
        let message = match (text("$message"), text("$sdataCode")) {
            ("", code) => code.to_owned(),
            (message, "") => message.to_owned(),
            (message, code) => format!("{message} ({code})"),
        };
        Some(Self { message: clean(&message), transient: text("$severity").eq_ignore_ascii_case("transient") })
    }
}

/// One line without addresses, of bounded length.
pub fn clean(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "…" } else { word });
    let line = words.collect::<Vec<_>>().join(" ");
    let printable = line.chars().filter(|c| !c.is_control());
    printable.take(MESSAGE_CHARS_MAX).collect()
}
