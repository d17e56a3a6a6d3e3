//! The value of one column, compared the way SQL Server compares it.
//!
//! Promises: nothing is larger, smaller or equal to an absent value; texts are compared without regard to case and to
//! spaces at their end (the collation Sage CRM installs). Must not know: HTTP.

use std::cmp::Ordering;

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use serde_json::Value as Json;

use super::local_time;
use super::schema::{Column, Kind};

/// The value of one column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Null,
    Int(i32),
    Text(String),
    Time(NaiveDateTime),
}

/// What becomes of text longer than its column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongText {
    /// It is cut without a word, as an SQL column does with ANSI warnings off.
    #[default]
    Cut,
    /// The request is refused with 400.
    Refuse,
}

/// How an install shows and takes values.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub zone: Tz,
    pub show_offset: bool,
    pub long_text: LongText,
}

impl Value {
    /// What a client sent for a column, as it will be stored. An empty text is stored as nothing.
    ///
    /// # Errors
    /// Says, for a person, what the column cannot hold.
    pub fn accept(json: &Json, column: &Column, format: Format) -> Result<Self, String> {
        let text = match json {
            Json::Null => return Ok(Value::Null),
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
                return Err(format!("{} takes a text, a number or null", column.name));
            }
        };
        if text.is_empty() {
            return Ok(Value::Null);
        }
        match column.kind {
            Kind::Int => match text.trim().parse() {
                Ok(number) => Ok(Value::Int(number)),
                Err(_) => Err(format!("{} takes a whole number of 32 bits", column.name)),
            },
            Kind::Time if json.is_number() => Err(format!("{} takes a date and time as ISO 8601 text", column.name)),
            Kind::Time => local_time::parse(&text, format.zone)
                .map(Value::Time)
                .ok_or_else(|| format!("{} takes a date and time as ISO 8601 text", column.name)),
            Kind::Text(None) => Ok(Value::Text(text)),
            Kind::Text(Some(width)) => {
                let fitting = cut(&text, width);
                if fitting.len() < text.len() && format.long_text == LongText::Refuse {
                    return Err(format!("{} takes at most {width} characters", column.name));
                }
                Ok(Value::Text(fitting.to_owned()))
            }
        }
    }

    /// The value as an entry shows it.
    pub fn show(&self, format: Format) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Int(number) => Json::from(*number),
            Value::Text(text) => Json::from(text.as_str()),
            Value::Time(local) => Json::from(local_time::show(*local, format.zone, format.show_offset)),
        }
    }

    /// How two values of one column stand to each other; unknown if one is absent.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(folded(a).cmp(folded(b))),
            _ => None,
        }
    }

    /// As it is compared: text without letter case and trailing blanks.
    pub fn folded(&self) -> Self {
        match self {
            Value::Text(text) => Value::Text(folded(text).collect()),
            other => other.clone(),
        }
    }

    pub fn text(&self) -> &str {
        if let Value::Text(text) = self { text } else { "" }
    }

    pub fn int(&self) -> Option<i32> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    pub fn time(&self) -> Option<NaiveDateTime> {
        if let Value::Time(local) = self { Some(*local) } else { None }
    }

    /// Whether a flag column is set: Sage CRM writes `Y`, `true` or `1`.
    pub fn is_set(&self) -> bool {
        match self {
            Value::Null | Value::Time(_) => false,
            Value::Int(number) => *number != 0,
            Value::Text(text) => ["y", "true", "1"].iter().any(|set| text.eq_ignore_ascii_case(set)),
        }
    }
}

/// Whether a text fits an SQL `like` pattern: `%` is any text, `_` any one character, letter case does not matter.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = folded(text).collect();
    let pattern: Vec<char> = folded(pattern).collect();
    let (mut at, mut want) = (0, 0);
    // Where to go on if the last `%` has to take one character more.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(want) {
            Some('%') => {
                want += 1;
                retry = Some((at, want));
            }
            Some(one) if *one == '_' || text.get(at) == Some(one) => {
                at += 1;
                want += 1;
            }
            _ => {
                let Some((from, after)) = retry else { return false };
                at = from + 1;
                want = after;
                retry = Some((at, after));
            }
        }
    }
    pattern.iter().skip(want).all(|rest| *rest == '%')
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.trim_end_matches(' ').chars().flat_map(char::to_lowercase)
}

/// The longest start of a text that has at most `width` UTF-16 units.
fn cut(text: &str, width: usize) -> &str {
    let mut units = 0;
    for (position, character) in text.char_indices() {
        units += character.len_utf16();
        if units > width {
            return text.get(..position).unwrap_or(text);
        }
    }
    text
}
