//! The `where` and `orderBy` languages.
//!
//! ```text
//! either  := both ("or" both)*             operator := "eq" | "ne" | "gt" | "ge" | "lt" | "le"
//! both    := test ("and" test)*            literal  := 'text' | number | @date@ | @date time@
//! test    := "not" test | "(" either ")" | column operator literal | column "like" 'pattern'
//!          | column ["not"] "in" "(" literal ("," literal)* ")" | column ["not"] "between" literal "and" literal
//! ```
//! Promises: words and column names are read in any letter case; a test of an absent value is neither true nor false, as in
//! SQL; tests for null and for booleans are refused, as Sage CRM refuses them. Length and nesting are bounded.
//! Must not know: HTTP, where rows are kept.

use std::cmp::Ordering;

use chrono_tz::Tz;

use super::local_time;
use super::refusal::Refusal;
use super::schema::{Entity, Kind};
use super::value::{Value, is_like};

/// A condition has to fit into the address of a request, which servers cut off not far above this.
const LENGTH_MAX: usize = 4_000;
/// Brackets and `not`s inside each other: more than a person writes, little for the stack.
const DEPTH_MAX: usize = 32;

/// A condition on the rows of one entity.
#[derive(Clone, Debug)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare { column: usize, operator: Operator, value: Value },
    Like { column: usize, pattern: String },
    In { column: usize, values: Vec<Value> },
    Between { column: usize, low: Value, high: Value },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    fn named(word: &str) -> Option<Self> {
        Some(match word.to_lowercase().as_str() {
            "eq" => Operator::Equal,
            "ne" => Operator::NotEqual,
            "gt" => Operator::Greater,
            "ge" => Operator::GreaterOrEqual,
            "lt" => Operator::Less,
            "le" => Operator::LessOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
        }
    }
}

impl Filter {
    /// Reads a condition.
    ///
    /// # Errors
    /// `BadWhereSyntax`, with what was found where something else was expected.
    pub fn parse(text: &str, entity: &Entity, zone: Tz) -> Result<Self, Refusal> {
        if text.len() > LENGTH_MAX {
            return Err(Refusal::bad_where(format!("a condition may have at most {LENGTH_MAX} characters")));
        }
        let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), entity, zone };
        let filter = parser.either(0)?;
        match parser.tokens.next() {
            None => Ok(filter),
            Some(token) => Err(Refusal::bad_where(format!("{} where the condition should end", token.describe()))),
        }
    }

    /// Whether a row fits. Only a condition that is true selects a row; unknown does not.
    pub fn selects(&self, row: &[Value]) -> bool {
        self.holds(row) == Some(true)
    }

    /// Columns with the spans in which the value of a row that fits has to lie.
    pub fn spans(&self) -> Vec<(usize, Vec<(&Value, &Value)>)> {
        match self {
            Filter::All(parts) => parts.iter().flat_map(Filter::spans).collect(),
            Filter::Compare { column, operator: Operator::Equal, value } => vec![(*column, vec![(value, value)])],
            Filter::In { column, values } => vec![(*column, values.iter().map(|value| (value, value)).collect())],
            Filter::Between { column, low, high } => vec![(*column, vec![(low, high)])],
            Filter::Any(_) | Filter::Not(_) | Filter::Compare { .. } | Filter::Like { .. } => Vec::new(),
        }
    }

    /// True, false, or unknown.
    fn holds(&self, row: &[Value]) -> Option<bool> {
        match self {
            Filter::All(parts) => join(parts, row, false),
            Filter::Any(parts) => join(parts, row, true),
            Filter::Not(part) => part.holds(row).map(|holds| !holds),
            Filter::Compare { column, operator, value } => Some(operator.holds(row.get(*column)?.compare(value)?)),
            Filter::Like { column, pattern } => match row.get(*column)? {
                Value::Text(text) => Some(is_like(text, pattern)),
                _ => None,
            },
            Filter::In { column, values } => {
                let found = row.get(*column)?;
                if *found == Value::Null {
                    return None;
                }
                Some(values.iter().any(|value| found.compare(value).is_some_and(Ordering::is_eq)))
            }
            Filter::Between { column, low, high } => {
                let found = row.get(*column)?;
                Some(found.compare(low)?.is_ge() && found.compare(high)?.is_le())
            }
        }
    }
}

/// Joins parts where one that is `decisive` decides, and one that is unknown keeps the rest from deciding.
fn join(parts: &[Filter], row: &[Value], decisive: bool) -> Option<bool> {
    let mut joined = Some(!decisive);
    for part in parts {
        match part.holds(row) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => joined = None,
        }
    }
    joined
}

/// One column of `orderBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub column: usize,
    pub descending: bool,
}

impl Order {
    /// Reads `column [asc|desc], ...`.
    ///
    /// # Errors
    /// `BadUrlSyntax` for an unknown column or direction.
    pub fn parse(text: &str, entity: &Entity) -> Result<Vec<Self>, Refusal> {
        let part = |part: &str| {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            let column = entity
                .position(name)
                .ok_or_else(|| Refusal::bad_url(format!("orderBy: {} has no column {name}", entity.name)))?;
            let descending = match words.next().map(str::to_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => return Err(Refusal::bad_url(format!("orderBy: asc or desc, not {other}"))),
            };
            match words.next() {
                None => Ok(Order { column, descending }),
                Some(more) => Err(Refusal::bad_url(format!("orderBy: {more} where a comma should be"))),
            }
        };
        text.split(',').map(part).collect()
    }

    /// How two rows stand to each other; an absent value comes before all others, as in SQL Server.
    pub fn compare(orders: &[Self], a: &[Value], b: &[Value]) -> Ordering {
        for order in orders {
            let (a, b) = (a.get(order.column), b.get(order.column));
            let ordering = match (a, b) {
                (Some(Value::Null) | None, Some(Value::Null) | None) => Ordering::Equal,
                (Some(Value::Null) | None, _) => Ordering::Less,
                (_, Some(Value::Null) | None) => Ordering::Greater,
                (Some(a), Some(b)) => a.compare(b).unwrap_or(Ordering::Equal),
            };
            let ordering = if order.descending { ordering.reverse() } else { ordering };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Date(String),
    Open,
    Close,
    Comma,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Token::Word(word) => format!("{word:?}"),
            Token::Text(text) => format!("the text '{text}'"),
            Token::Number(number) => format!("the number {number}"),
            Token::Date(date) => format!("the date @{date}@"),
            Token::Open => "an opening bracket".into(),
            Token::Close => "a closing bracket".into(),
            Token::Comma => "a comma".into(),
        }
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(wanted))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            space if space.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut content = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.next_if_eq(&'\'').is_some() => content.push('\''),
                        Some('\'') => break,
                        Some(character) => content.push(character),
                        None => return Err(Refusal::bad_where("a text without its closing quote")),
                    }
                }
                tokens.push(Token::Text(content));
            }
            '@' => {
                let mut content = String::new();
                loop {
                    match rest.next() {
                        Some('@') => break,
                        Some(character) => content.push(character),
                        None => return Err(Refusal::bad_where("a date without its closing @")),
                    }
                }
                tokens.push(Token::Date(content));
            }
            digit if digit.is_ascii_digit() || digit == '-' => {
                let mut number = String::from(digit);
                while let Some(more) = rest.next_if(|next| next.is_ascii_digit() || *next == '.') {
                    number.push(more);
                }
                tokens.push(Token::Number(number));
            }
            letter if letter.is_alphabetic() || letter == '_' => {
                let mut word = String::from(letter);
                while let Some(more) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(Refusal::bad_where(format!("the character {other:?} has no meaning here"))),
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    entity: &'a Entity,
    zone: Tz,
}

impl Parser<'_> {
    fn either(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut parts = vec![self.both(depth)?];
        while self.took("or") {
            parts.push(self.both(depth)?);
        }
        Ok(single(parts).unwrap_or_else(Filter::Any))
    }

    fn both(&mut self, depth: usize) -> Result<Filter, Refusal> {
        let mut parts = vec![self.test(depth)?];
        while self.took("and") {
            parts.push(self.test(depth)?);
        }
        Ok(single(parts).unwrap_or_else(Filter::All))
    }

    fn test(&mut self, depth: usize) -> Result<Filter, Refusal> {
        if depth >= DEPTH_MAX {
            return Err(Refusal::bad_where(format!("more than {DEPTH_MAX} brackets inside each other")));
        }
        if self.took("not") {
            return Ok(Filter::Not(Box::new(self.test(depth + 1)?)));
        }
        match self.tokens.next() {
            Some(Token::Open) => {
                let inner = self.either(depth + 1)?;
                self.want(&Token::Close, "a closing bracket")?;
                Ok(inner)
            }
            Some(Token::Word(name)) => {
                let column = self
                    .entity
                    .position(&name)
                    .ok_or_else(|| Refusal::bad_where(format!("{} has no column {name}", self.entity.name)))?;
                self.predicate(column)
            }
            other => Err(expected("a column", other.as_ref())),
        }
    }

    fn predicate(&mut self, column: usize) -> Result<Filter, Refusal> {
        let negated = self.took("not");
        let filter = if self.took("in") {
            self.want(&Token::Open, "an opening bracket")?;
            let mut values = vec![self.literal(column)?];
            while self.tokens.next_if_eq(&Token::Comma).is_some() {
                values.push(self.literal(column)?);
            }
            self.want(&Token::Close, "a closing bracket")?;
            Filter::In { column, values }
        } else if self.took("between") {
            let low = self.literal(column)?;
            if !self.took("and") {
                return Err(expected("\"and\"", self.tokens.peek()));
            }
            Filter::Between { column, low, high: self.literal(column)? }
        } else if self.took("like") {
            match (self.kind(column), self.tokens.next()) {
                (Kind::Text(_), Some(Token::Text(pattern))) => Filter::Like { column, pattern },
                (Kind::Text(_), other) => return Err(expected("a pattern in quotes", other.as_ref())),
                _ => return Err(Refusal::bad_where("like needs a column of text")),
            }
        } else if negated {
            return Err(expected("in, between or like", self.tokens.peek()));
        } else {
            match self.tokens.next() {
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("is") => {
                    return Err(Refusal::bad_where("a test for null is not supported"));
                }
                Some(Token::Word(word)) if Operator::named(&word).is_some() => {
                    let operator = Operator::named(&word).unwrap_or(Operator::Equal);
                    Filter::Compare { column, operator, value: self.literal(column)? }
                }
                other => return Err(expected("eq, ne, gt, ge, lt, le, like, in or between", other.as_ref())),
            }
        };
        Ok(if negated { Filter::Not(Box::new(filter)) } else { filter })
    }

    /// A literal, turned into a value that its column can be compared with.
    fn literal(&mut self, column: usize) -> Result<Value, Refusal> {
        let token = self.tokens.next();
        let value = match (self.kind(column), &token) {
            (_, Some(token)) if token.is_word("null") => {
                return Err(Refusal::bad_where("a test for null is not supported"));
            }
            (_, Some(token)) if token.is_word("true") || token.is_word("false") => {
                return Err(Refusal::bad_where("a test for a boolean is not supported"));
            }
            (Kind::Int, Some(Token::Number(text) | Token::Text(text))) => text.trim().parse().ok().map(Value::Int),
            (Kind::Text(_), Some(Token::Number(text) | Token::Text(text))) => Some(Value::Text(text.clone())),
            (Kind::Time, Some(Token::Date(text) | Token::Text(text))) => {
                local_time::parse(text, self.zone).map(Value::Time)
            }
            _ => None,
        };
        value.ok_or_else(|| {
            let wanted = match self.kind(column) {
                Kind::Int => "a number",
                Kind::Text(_) => "a text in quotes",
                Kind::Time => "a date between at-signs",
            };
            expected(wanted, token.as_ref())
        })
    }

    fn kind(&self, column: usize) -> Kind {
        self.entity.columns.get(column).map_or(Kind::Text(None), |column| column.kind)
    }

    fn took(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| token.is_word(word)).is_some()
    }

    fn want(&mut self, wanted: &Token, name: &str) -> Result<(), Refusal> {
        match self.tokens.next() {
            Some(token) if token == *wanted => Ok(()),
            other => Err(expected(name, other.as_ref())),
        }
    }
}

/// The only part, or all of them back.
fn single(mut parts: Vec<Filter>) -> Result<Filter, Vec<Filter>> {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => Ok(only),
        (_, Some(last)) => {
            parts.push(last);
            Err(parts)
        }
        (_, None) => Err(parts),
    }
}

fn expected(wanted: &str, found: Option<&Token>) -> Refusal {
    let found = found.map_or_else(|| "the end".into(), Token::describe);
    Refusal::bad_where(format!("{found} where {wanted} should be"))
}
