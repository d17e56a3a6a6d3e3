//! `$filter` and `$orderby`: which objects fit, and in which order.
//!
//! Promises: nesting is bounded; what cannot be read is refused. Text is compared without case, as the store does; dates
//! as instants. Must not know: where objects come from.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::answer::Refused;
use crate::sim::exchange::zones::{When, Zone, when};

/// How deep a filter may nest; clients build a few levels.
const DEPTH_MAX: usize = 32;
/// Words of one filter; the longest real ones name some dozen properties.
const WORDS_MAX: usize = 2_000;

/// What is asked of.
pub trait Subject {
    /// The value at a path such as `start/dateTime`.
    fn value(&self, path: &str) -> Option<Value>;
    /// Whether any member of a collection fits.
    fn any(&self, collection: &str, test: &Filter) -> bool;
}

impl Subject for Value {
    fn value(&self, path: &str) -> Option<Value> {
        let mut at = self;
        for name in path.split('/') {
            at = at.get(name)?;
        }
        Some(at.clone())
    }

    fn any(&self, collection: &str, test: &Filter) -> bool {
        let members = self.value(collection);
        members.as_ref().and_then(Value::as_array).is_some_and(|members| members.iter().any(|one| test.fits(one)))
    }
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare {
        path: String,
        by: By,
        with: Value,
    },
    /// `startswith`, `endswith`, `contains`.
    Text {
        path: String,
        place: Place,
        part: String,
    },
    /// `collection/any(x: test)`; paths of the test are without `x/`.
    Any {
        collection: String,
        test: Box<Filter>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Start,
    End,
    Anywhere,
}

impl Filter {
    /// Reads a filter.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let mut words = Words::of(text)?;
        let filter = words.either(0)?;
        match words.next() {
            None => Ok(filter),
            Some(word) => Err(invalid(&format!("unexpected {word:?}"))),
        }
    }

    pub fn fits(&self, subject: &dyn Subject) -> bool {
        match self {
            Filter::And(one, other) => one.fits(subject) && other.fits(subject),
            Filter::Or(one, other) => one.fits(subject) || other.fits(subject),
            Filter::Not(test) => !test.fits(subject),
            Filter::Compare { path, by, with } => {
                let value = subject.value(path).unwrap_or(Value::Null);
                match (compare(&value, with), by) {
                    (None, by) => *by == By::NotEqual,
                    (Some(order), By::Equal) => order == Ordering::Equal,
                    (Some(order), By::NotEqual) => order != Ordering::Equal,
                    (Some(order), By::Less) => order == Ordering::Less,
                    (Some(order), By::LessOrEqual) => order != Ordering::Greater,
                    (Some(order), By::Greater) => order == Ordering::Greater,
                    (Some(order), By::GreaterOrEqual) => order != Ordering::Less,
                }
            }
            Filter::Text { path, place, part } => {
                let Some(Value::String(text)) = subject.value(path) else { return false };
                let (text, part) = (text.to_lowercase(), part.to_lowercase());
                match place {
                    Place::Start => text.starts_with(&part),
                    Place::End => text.ends_with(&part),
                    Place::Anywhere => text.contains(&part),
                }
            }
            Filter::Any { collection, test } => subject.any(collection, test),
        }
    }

    /// All texts that a path is compared with.
    pub fn texts_of<'a>(&'a self, wanted: &str, found: &mut Vec<&'a str>) {
        match self {
            Filter::And(one, other) | Filter::Or(one, other) => {
                one.texts_of(wanted, found);
                other.texts_of(wanted, found);
            }
            Filter::Not(test) => test.texts_of(wanted, found),
            Filter::Compare { path, with: Value::String(text), .. } if path == wanted => found.push(text),
            Filter::Any { test, .. } => test.texts_of(wanted, found),
            Filter::Compare { .. } | Filter::Text { .. } => {}
        }
    }

    /// Whether `endswith` occurs, which a directory only takes from those that ask for eventual consistency.
    pub fn has_end(&self) -> bool {
        match self {
            Filter::And(one, other) | Filter::Or(one, other) => one.has_end() || other.has_end(),
            Filter::Not(test) | Filter::Any { test, .. } => test.has_end(),
            Filter::Text { place, .. } => *place == Place::End,
            Filter::Compare { .. } => false,
        }
    }
}

/// Reads `$orderby`: paths, and whether descending.
pub fn read_order(text: &str) -> Vec<(String, bool)> {
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let path = words.next()?.to_owned();
        Some((path, words.next().is_some_and(|word| word.eq_ignore_ascii_case("desc"))))
    };
    text.split(',').filter_map(one).collect()
}

/// Orders two objects.
pub fn order(by: &[(String, bool)], one: &dyn Subject, other: &dyn Subject) -> Ordering {
    for (path, descending) in by {
        let (left, right) = (one.value(path).unwrap_or(Value::Null), other.value(path).unwrap_or(Value::Null));
        let order = compare(&left, &right).unwrap_or(Ordering::Equal);
        let order = if *descending { order.reverse() } else { order };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => match (moment(one), moment(other)) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => Some(one.to_lowercase().cmp(&other.to_lowercase())),
        },
        _ => None,
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let shaped = text.len() >= 10 && text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    let when: When = shaped.then(|| when(text).ok()).flatten()?;
    Some(when.in_zone(&Zone::utc()))
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Name(String),
    Literal(Value),
    Open,
    Close,
    Comma,
    Colon,
}

struct Words {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

impl Words {
    fn of(text: &str) -> Result<Self, Refused> {
        let mut words = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (word, length) = match first {
                '(' => (Word::Open, 1),
                ')' => (Word::Close, 1),
                ',' => (Word::Comma, 1),
                ':' => (Word::Colon, 1),
                '\'' => quoted(rest)?,
                _ => bare(rest),
            };
            if words.len() >= WORDS_MAX || length == 0 {
                return Err(invalid("it is too long or holds a character that has no meaning"));
            }
            words.push(word);
            rest = rest.get(length..).unwrap_or_default().trim_start();
        }
        Ok(Self { words: words.into_iter().peekable() })
    }

    fn next(&mut self) -> Option<Word> {
        self.words.next()
    }

    fn is_name(&mut self, wanted: &str) -> bool {
        matches!(self.words.peek(), Some(Word::Name(name)) if name.eq_ignore_ascii_case(wanted))
    }

    fn need(&mut self, wanted: &Word) -> Result<(), Refused> {
        match self.next() {
            Some(word) if word == *wanted => Ok(()),
            other => Err(invalid(&format!("{wanted:?} expected, not {other:?}"))),
        }
    }

    fn either(&mut self, depth: usize) -> Result<Filter, Refused> {
        if depth > DEPTH_MAX {
            return Err(invalid("it nests too deep"));
        }
        let mut filter = self.both(depth)?;
        while self.is_name("or") {
            self.next();
            filter = Filter::Or(Box::new(filter), Box::new(self.both(depth)?));
        }
        Ok(filter)
    }

    fn both(&mut self, depth: usize) -> Result<Filter, Refused> {
        let mut filter = self.one(depth)?;
        while self.is_name("and") {
            self.next();
            filter = Filter::And(Box::new(filter), Box::new(self.one(depth)?));
        }
        Ok(filter)
    }

    fn one(&mut self, depth: usize) -> Result<Filter, Refused> {
        match self.next() {
            Some(Word::Open) => {
                let inner = self.either(depth + 1)?;
                self.need(&Word::Close)?;
                Ok(inner)
            }
            Some(Word::Name(name)) if name.eq_ignore_ascii_case("not") => {
                if depth > DEPTH_MAX {
                    return Err(invalid("it nests too deep"));
                }
                Ok(Filter::Not(Box::new(self.one(depth + 1)?)))
            }
            Some(Word::Name(name)) if self.words.peek() == Some(&Word::Open) => {
                self.next();
                self.call(&name, depth)
            }
            Some(Word::Name(path)) => {
                let by = match self.next() {
                    Some(Word::Name(word)) => comparison(&word),
                    _ => None,
                };
                let by = by.ok_or_else(|| invalid(&format!("{path} is not compared")))?;
                let with = self.literal()?;
                Ok(Filter::Compare { path, by, with })
            }
            other => Err(invalid(&format!("a condition expected, not {other:?}"))),
        }
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Filter, Refused> {
        if let Some(collection) = name.rsplit_once('/').filter(|(_, last)| last.eq_ignore_ascii_case("any")) {
            let Some(Word::Name(variable)) = self.next() else { return Err(invalid("any() names no variable")) };
            self.need(&Word::Colon)?;
            let test = self.either(depth + 1)?;
            self.need(&Word::Close)?;
            let test = Box::new(without(test, &format!("{variable}/")));
            return Ok(Filter::Any { collection: collection.0.to_owned(), test });
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "startswith" => Place::Start,
            "endswith" => Place::End,
            "contains" => Place::Anywhere,
            _ => return Err(invalid(&format!("{name} is not a function here"))),
        };
        let Some(Word::Name(path)) = self.next() else { return Err(invalid("a function names no property")) };
        self.need(&Word::Comma)?;
        let Value::String(part) = self.literal()? else { return Err(invalid("a function needs a text")) };
        self.need(&Word::Close)?;
        Ok(Filter::Text { path, place, part })
    }

    fn literal(&mut self) -> Result<Value, Refused> {
        match self.next() {
            Some(Word::Literal(value)) => Ok(value),
            Some(Word::Name(name)) if name.eq_ignore_ascii_case("null") => Ok(Value::Null),
            Some(Word::Name(name)) if name.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            Some(Word::Name(name)) if name.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            other => Err(invalid(&format!("a value expected, not {other:?}"))),
        }
    }
}

/// A text in quotes, where a doubled quote stands for one; and its length.
fn quoted(rest: &str) -> Result<(Word, usize), Refused> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if character != '\'' {
            text.push(character);
        } else if matches!(characters.peek(), Some((_, '\''))) {
            characters.next();
            text.push('\'');
        } else {
            return Ok((Word::Literal(Value::String(text)), at + 1));
        }
    }
    Err(invalid("a text has no end"))
}

/// A name, a number or a date without quotes; and its length. A date holds colons, a variable ends at one.
fn bare(rest: &str) -> (Word, usize) {
    let is_number = rest.starts_with(|first: char| first.is_ascii_digit() || first == '-');
    let ends = |character: char| {
        character.is_whitespace() || matches!(character, '(' | ')' | ',' | '\'') || (character == ':' && !is_number)
    };
    let length = rest.find(ends).unwrap_or(rest.len());
    let text = rest.get(..length).unwrap_or_default();
    let word = match text.parse::<i64>() {
        Ok(number) => Word::Literal(number.into()),
        Err(_) if is_number => Word::Literal(Value::String(text.to_owned())),
        Err(_) => Word::Name(text.to_owned()),
    };
    (word, length)
}

fn comparison(word: &str) -> Option<By> {
    Some(match word.to_ascii_lowercase().as_str() {
        "eq" => By::Equal,
        "ne" => By::NotEqual,
        "lt" => By::Less,
        "le" => By::LessOrEqual,
        "gt" => By::Greater,
        "ge" => By::GreaterOrEqual,
        _ => return None,
    })
}

/// The same test with paths that no longer begin with the variable.
fn without(test: Filter, variable: &str) -> Filter {
    let cut = |path: String| path.strip_prefix(variable).map(str::to_owned).unwrap_or(path);
    let inner = |test: Box<Filter>| Box::new(without(*test, variable));
    match test {
        Filter::And(one, other) => Filter::And(inner(one), inner(other)),
        Filter::Or(one, other) => Filter::Or(inner(one), inner(other)),
        Filter::Not(test) => Filter::Not(inner(test)),
        Filter::Compare { path, by, with } => Filter::Compare { path: cut(path), by, with },
        Filter::Text { path, place, part } => Filter::Text { path: cut(path), place, part },
        Filter::Any { collection, test } => Filter::Any { collection, test },
    }
}

fn invalid(why: &str) -> Refused {
    Refused::bad("BadRequest", format!("Invalid filter clause: {why}."))
}
