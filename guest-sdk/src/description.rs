//! What a rule says about itself, and its settings as JSON Schema.

use std::fmt::Write as _;

use crate::bindings::daybridge::rules::types as wit;
use crate::{Direction, Value};

pub use wit::Hook;
pub use wit::LookupKind as Lookup;

/// What a rule is for and what it uses. Made by [`Description::new`]; by default the rule works in both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub(crate) purpose: String,
    pub(crate) directions: Vec<Direction>,
    pub(crate) reads: Vec<String>,
    pub(crate) settings: Vec<Setting>,
    pub(crate) lookups: Vec<Lookup>,
}

impl Description {
    /// One sentence for people.
    pub fn new(purpose: &str) -> Self {
        Self {
            purpose: purpose.to_owned(),
            directions: vec![Direction::CrmToExchange, Direction::ExchangeToCrm],
            reads: Vec::new(),
            settings: Vec::new(),
            lookups: Vec::new(),
        }
    }

    /// The directions the rule works in, instead of both.
    #[must_use]
    pub fn directions(mut self, directions: impl Into<Vec<Direction>>) -> Self {
        self.directions = directions.into();
        self
    }

    /// The fields the rule looks at, by the contract's names (`subject`, `show-as`, `custom.NAME`, `custom.*` for all custom
    /// fields); it is shown no others. Without this it is shown all of them, which makes each call dearer. Setting a field
    /// needs no reading, but clearing one does, or giving it back its default, and so does adding to a list: the rule's own
    /// tests show what is missing, since [`crate::native::Test`] shows a rule no more than the host does.
    #[must_use]
    pub fn reads<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.reads = names.map(str::to_owned).into();
        self
    }

    #[must_use]
    pub fn setting(mut self, setting: Setting) -> Self {
        self.settings.push(setting);
        self
    }

    /// Look-ups the rule needs; the operator must grant each.
    #[must_use]
    pub fn lookups(mut self, lookups: impl Into<Vec<Lookup>>) -> Self {
        self.lookups = lookups.into();
        self
    }

    pub(crate) fn schema(&self) -> String {
        if self.settings.is_empty() {
            return String::new();
        }
        let properties: Vec<String> = self.settings.iter().map(Setting::schema).collect();
        format!(r#"{{"type":"object","additionalProperties":false,"properties":{{{}}}}}"#, properties.join(","))
    }
}

/// A setting the operator can change: its name, default and meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    pub(crate) name: String,
    pub(crate) default: Value,
    meaning: String,
    choices: Vec<String>,
}

impl Setting {
    pub fn flag(name: &str, default: bool, meaning: &str) -> Self {
        Self::new(name, Value::Flag(default), meaning)
    }

    pub fn text(name: &str, default: &str, meaning: &str) -> Self {
        Self::new(name, Value::Text(default.to_owned()), meaning)
    }

    pub fn number(name: &str, default: i64, meaning: &str) -> Self {
        Self::new(name, Value::Number(default), meaning)
    }

    /// One of several words; the first is the default.
    pub fn choice(name: &str, words: &[&str], meaning: &str) -> Self {
        let first = words.first().copied().unwrap_or_default();
        Self { choices: words.iter().map(|&word| word.to_owned()).collect(), ..Self::text(name, first, meaning) }
    }

    /// A list of texts.
    pub fn list(name: &str, default: &[&str], meaning: &str) -> Self {
        Self::new(name, Value::Texts(default.iter().map(|&text| text.to_owned()).collect()), meaning)
    }

    fn new(name: &str, default: Value, meaning: &str) -> Self {
        Self { name: name.to_owned(), default, meaning: meaning.to_owned(), choices: Vec::new() }
    }

    fn schema(&self) -> String {
        let (kind, default) = match &self.default {
            Value::Flag(flag) => (r#""boolean""#.to_owned(), flag.to_string()),
            Value::Number(number) => (r#""integer""#.to_owned(), number.to_string()),
            Value::Texts(texts) => (r#""array","items":{"type":"string"}"#.to_owned(), list(texts)),
            Value::Text(text) if self.choices.is_empty() => (r#""string""#.to_owned(), quoted(text)),
            Value::Text(text) => (format!(r#""string","enum":{}"#, list(&self.choices)), quoted(text)),
            _ => (r#""string""#.to_owned(), r#""""#.to_owned()),
        };
        let (name, meaning) = (quoted(&self.name), quoted(&self.meaning));
        format!(r#"{name}:{{"type":{kind},"default":{default},"description":{meaning}}}"#)
    }
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(","))
}

/// A JSON string literal.
fn quoted(text: &str) -> String {
    let mut to = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => to.extend(['\\', letter]),
            letter if letter < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(to, "\\u{:04x}", u32::from(letter));
            }
            letter => to.push(letter),
        }
    }
    to.push('"');
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_a_schema() {
        let description = Description::new("x")
            .setting(Setting::choice("mode", &["auto", "field"], "How"))
            .setting(Setting::list("names", &["a\"b"], "Which\nones"));
        assert_eq!(
            description.schema(),
            r#"{"type":"object","additionalProperties":false,"properties":{"mode":{"type":"string","enum":["auto","field"],"default":"auto","description":"How"},"names":{"type":"array","items":{"type":"string"},"default":["a\"b"],"description":"Which\u000aones"}}}"#
        );
        assert_eq!(Description::new("x").schema(), "");
    }
}
