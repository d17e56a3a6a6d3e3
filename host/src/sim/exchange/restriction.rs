//! Restrictions and sort orders of FindItem: which items fit, and in which order.
//!
//! Promises: a property an item lacks fits no comparison but `IsNotEqualTo`. Must not know: folders, paging.

use std::cmp::Ordering;

use super::error::{ExchangeError, schema_violation};
use super::item::{Value, View};
use super::property::{PropertyName, PropertyValue};
use super::schema::{self, Field};
use super::xml::{Element, Read, boolean};
use super::zones::{self, Zone};

/// How deep And, Or and Not may nest; clients build a few levels.
const DEPTH_MAX: usize = 64;

/// Fields that real servers compute on reading and refuse in a search; exchangelib knows the same list. A meeting is
/// found by its GlobalObjectId instead of its UID.
const UNSEARCHABLE: &[&str] = &[
    "AllowNewTimeProposal",
    "Culture",
    "EndTimeZone",
    "IsResponseRequested",
    "MeetingTimeZone",
    "OptionalAttendees",
    "Recurrence",
    "ReminderDueBy",
    "RequiredAttendees",
    "Resources",
    "StartTimeZone",
    "UID",
];

/// A property by its path.
#[derive(Clone, Debug)]
pub enum Path {
    Field(&'static Field),
    Property(PropertyName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug)]
enum Operand {
    Path(Path),
    Constant(String),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Whole,
    Start,
    Anywhere,
}

/// A condition on an item.
#[derive(Clone, Debug)]
pub struct Restriction(Test);

#[derive(Clone, Debug)]
enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Exists(Path),
    Compare(Path, Comparison, Operand),
    Contains { path: Path, place: Place, ignore_case: bool, text: String },
}

/// One value that can be compared.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Key {
    Boolean(bool),
    Integer(i64),
    /// Seconds since 1970.
    Time(i64),
    Text(String),
}

impl Restriction {
    /// Reads the child of a `Restriction` element.
    pub fn read(node: Element<'_>) -> Result<Self, ExchangeError> {
        let test = node.kids().next().ok_or_else(|| schema_violation("Restriction is empty"))?;
        read_test(test, 0).map(Self)
    }

    pub fn fits(&self, view: View<'_>) -> bool {
        fits(&self.0, view)
    }
}

/// The sort order: paths, and whether descending.
pub fn read_order(node: Element<'_>) -> Result<Vec<(Path, bool)>, ExchangeError> {
    node.kids()
        .map(|order| {
            let path = order.kids().next().ok_or_else(|| schema_violation("FieldOrder names no property"))?;
            Ok((read_path(path)?, order.attribute("Order") == Some("Descending")))
        })
        .collect()
}

/// Compares two items by a sort order; an item without the property comes first.
pub fn compare(order: &[(Path, bool)], one: View<'_>, other: View<'_>) -> Ordering {
    order.iter().fold(Ordering::Equal, |so_far, (path, descending)| {
        so_far.then_with(|| {
            let ordering = keys(path, one).first().partial_cmp(&keys(path, other).first()).unwrap_or(Ordering::Equal);
            if *descending { ordering.reverse() } else { ordering }
        })
    })
}

fn read_test(node: Element<'_>, depth: usize) -> Result<Test, ExchangeError> {
    if depth > DEPTH_MAX {
        return Err(ExchangeError::new("ErrorRestrictionTooComplex", "The restriction is nested too deep."));
    }
    let tests = || node.kids().map(|kid| read_test(kid, depth + 1)).collect::<Result<Vec<_>, _>>();
    let path = || read_path(node.kids().next().ok_or_else(|| schema_violation("a search names no property"))?);
    let comparison = match node.local() {
        "And" => return Ok(Test::And(tests()?)),
        "Or" => return Ok(Test::Or(tests()?)),
        "Not" => {
            let inner = tests()?.into_iter().next().ok_or_else(|| schema_violation("Not is empty"))?;
            return Ok(Test::Not(Box::new(inner)));
        }
        "Exists" => return Ok(Test::Exists(path()?)),
        "Contains" => return read_contains(node, path()?),
        "IsEqualTo" => Comparison::Equal,
        "IsNotEqualTo" => Comparison::NotEqual,
        "IsLessThan" => Comparison::Less,
        "IsLessThanOrEqualTo" => Comparison::LessOrEqual,
        "IsGreaterThan" => Comparison::Greater,
        "IsGreaterThanOrEqualTo" => Comparison::GreaterOrEqual,
        other => {
            let text = format!("The search expression {other} is not supported.");
            return Err(ExchangeError::new("ErrorUnsupportedQueryFilter", text));
        }
    };
    let operand =
        node.need("FieldURIOrConstant")?.kids().next().ok_or_else(|| schema_violation("an operand is missing"))?;
    let operand = match operand.local() {
        "Constant" => Operand::Constant(operand.need_attribute("Value")?.to_owned()),
        _ => Operand::Path(read_path(operand)?),
    };
    Ok(Test::Compare(path()?, comparison, operand))
}

fn read_contains(node: Element<'_>, path: Path) -> Result<Test, ExchangeError> {
    let place = match node.attribute("ContainmentMode") {
        Some("FullString") => Place::Whole,
        Some("Prefixed" | "PrefixOnWords") => Place::Start,
        _ => Place::Anywhere,
    };
    let ignore_case = node.attribute("ContainmentComparison").is_some_and(|how| how.contains("IgnoreCase"));
    let text = node.need("Constant")?.need_attribute("Value")?.to_owned();
    Ok(Test::Contains { path, place, ignore_case, text })
}

fn read_path(node: Element<'_>) -> Result<Path, ExchangeError> {
    match node.local() {
        "ExtendedFieldURI" => PropertyName::read(node).map(Path::Property),
        "FieldURI" => {
            let uri = node.need_attribute("FieldURI")?;
            let field = schema::by_uri(uri).ok_or_else(|| schema_violation(format!("{uri:?} is not a field")))?;
            if UNSEARCHABLE.contains(&field.name) {
                let text = format!("The property {uri} can not be used with this type of restriction.");
                return Err(ExchangeError::new("ErrorUnsupportedPathForQuery", text));
            }
            Ok(Path::Field(field))
        }
        other => {
            let text = format!("{other} is not supported in a search.");
            Err(ExchangeError::new("ErrorUnsupportedPathForQuery", text))
        }
    }
}

fn fits(test: &Test, view: View<'_>) -> bool {
    match test {
        Test::And(tests) => tests.iter().all(|test| fits(test, view)),
        Test::Or(tests) => tests.iter().any(|test| fits(test, view)),
        Test::Not(test) => !fits(test, view),
        Test::Exists(path) => !keys(path, view).is_empty(),
        Test::Compare(path, comparison, operand) => {
            let left = keys(path, view);
            let holds = |left: &Key| match operand {
                Operand::Constant(text) => constant_like(left, text).and_then(|right| left.partial_cmp(&right)),
                Operand::Path(path) => keys(path, view).first().and_then(|right| left.partial_cmp(right)),
            };
            match comparison {
                Comparison::NotEqual => !left.iter().any(|left| holds(left) == Some(Ordering::Equal)),
                Comparison::Equal => left.iter().any(|left| holds(left) == Some(Ordering::Equal)),
                Comparison::Less => left.iter().any(|left| holds(left) == Some(Ordering::Less)),
                Comparison::Greater => left.iter().any(|left| holds(left) == Some(Ordering::Greater)),
                Comparison::LessOrEqual => left.iter().any(|left| holds(left).is_some_and(Ordering::is_le)),
                Comparison::GreaterOrEqual => left.iter().any(|left| holds(left).is_some_and(Ordering::is_ge)),
            }
        }
        Test::Contains { path, place, ignore_case, text } => {
            let fold = |text: &str| if *ignore_case { text.to_lowercase() } else { text.to_owned() };
            let wanted = fold(text);
            keys(path, view).iter().any(|key| match key {
                Key::Text(text) => match place {
                    Place::Whole => fold(text) == wanted,
                    Place::Start => fold(text).starts_with(&wanted),
                    Place::Anywhere => fold(text).contains(&wanted),
                },
                _ => false,
            })
        }
    }
}

/// A constant read as the type of what it is compared with.
fn constant_like(key: &Key, text: &str) -> Option<Key> {
    match key {
        Key::Boolean(_) => boolean(text).ok().map(Key::Boolean),
        Key::Integer(_) => text.trim().parse().ok().map(Key::Integer),
        Key::Time(_) => zones::instant(text, &Zone::utc()).ok().map(|at| Key::Time(at.timestamp())),
        Key::Text(_) => Some(Key::Text(text.to_owned())),
    }
}

fn keys(path: &Path, view: View<'_>) -> Vec<Key> {
    match path {
        Path::Field(field) => view.get(field, "").map(|value| keys_of(&value)).unwrap_or_default(),
        Path::Property(name) => match view.property(name) {
            Some(PropertyValue::Single(text)) => typed(name, text).into_iter().collect(),
            Some(PropertyValue::Array(texts)) => texts.into_iter().filter_map(|text| typed(name, text)).collect(),
            None => Vec::new(),
        },
    }
}

fn keys_of(value: &Value) -> Vec<Key> {
    match value {
        Value::Text(text) | Value::Body { text, .. } => vec![Key::Text(text.clone())],
        Value::Boolean(value) => vec![Key::Boolean(*value)],
        Value::Integer(value) => vec![Key::Integer(*value)],
        Value::Time(at) => vec![Key::Time(at.timestamp())],
        Value::Strings(texts) => texts.iter().cloned().map(Key::Text).collect(),
        Value::Person(person) => vec![Key::Text(person.address.clone())],
        Value::Id { id, .. } => vec![Key::Text(id.clone())],
        Value::Zone(zone) => vec![Key::Text(zone.id.clone())],
        _ => Vec::new(),
    }
}

fn typed(name: &PropertyName, text: String) -> Option<Key> {
    match name.element_type() {
        "Boolean" => boolean(&text).ok().map(Key::Boolean),
        "Integer" | "Short" | "Long" | "Currency" => text.parse().ok().map(Key::Integer),
        "SystemTime" => zones::instant(&text, &Zone::utc()).ok().map(|at| Key::Time(at.timestamp())),
        _ => Some(Key::Text(text)),
    }
}
