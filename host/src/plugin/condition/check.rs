//! What a condition may say: names, kinds of values, functions; and how much work it can make.
//!
//! CEL has values of any shape and many functions; a condition is about an appointment, so all that it can be about is known here and
//! anything else is a mistake of the person who wrote it.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, SourceInfo, operators};
use cel::parser::Expression;
use cel::{Context, Env};

use super::Mistake;

/// Lists gone through within one another.
const NESTING_MAX: usize = 2;

/// What is known of an expression that is right.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub uses_direction: bool,
    pub uses_draft: bool,
    pub uses_source: bool,
    pub uses_users: bool,
    /// Parts of the expression outside of all lists, within one, within two.
    pub parts_by_depth: [u64; NESTING_MAX + 1],
    pub longest_literal: u64,
}

/// What a part of an expression is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A CRM column: known when it is there.
    Any,
    Flag,
    Number,
    Text,
    /// One of some words.
    Word(&'static [&'static str]),
    Moment,
    Length,
    List(&'static Kind),
    Record(&'static str, &'static [(&'static str, Kind)]),
    /// CRM columns by name.
    Columns,
}

const PERSON: &[(&str, Kind)] = &[("name", Kind::Text), ("address", Kind::Text)];

const ATTENDEE: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("address", Kind::Text),
    ("user", Kind::Text),
    ("kind", Kind::Word(&["required", "optional", "resource"])),
    ("response", Kind::Word(&["none", "tentative", "accepted", "declined", "organizer"])),
];

const LINK: &[(&str, Kind)] = &[("entity", Kind::Text), ("id", Kind::Text), ("name", Kind::Text)];

const APPOINTMENT: &[(&str, Kind)] = &[
    ("subject", Kind::Text),
    ("body", Kind::Text),
    ("location", Kind::Text),
    ("start", Kind::Moment),
    ("end", Kind::Moment),
    ("all_day", Kind::Flag),
    ("zone", Kind::Text),
    ("organizer", Kind::Record("organizer", PERSON)),
    ("attendees", Kind::List(&Kind::Record("attendee", ATTENDEE))),
    ("meeting", Kind::Flag),
    ("reminder", Kind::Number),
    ("sensitivity", Kind::Word(&["normal", "personal", "private", "confidential"])),
    ("show_as", Kind::Word(&["free", "tentative", "busy", "out-of-office", "working-elsewhere"])),
    ("importance", Kind::Word(&["low", "normal", "high"])),
    ("status", Kind::Word(&["pending", "in-progress", "complete", "cancelled"])),
    ("categories", Kind::List(&Kind::Text)),
    ("online_meeting", Kind::Text),
    ("recurring", Kind::Flag),
    ("regarding", Kind::List(&Kind::Record("regarding", LINK))),
    ("responses", Kind::Text),
    ("custom", Kind::Columns),
];

const DIRECTIONS: &[&str] = &["crm-to-exchange", "exchange-to-crm"];

/// Parts of a moment, in a zone if one is named.
const PARTS: [&str; 8] =
    ["getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes"];

/// Checks an expression.
pub fn check(expression: &Expression, places: &SourceInfo, source: &str) -> Result<Checked, Mistake> {
    let mut walk = Walk { places, source, bound: Vec::new(), checked: Checked::default() };
    let kind = walk.kind(expression)?;
    if kind != Kind::Flag {
        return Err(walk.wrong(expression, format!("this is {}, but a condition must be true or false", name(kind))));
    }
    Ok(walk.checked)
}

struct Walk<'a> {
    places: &'a SourceInfo,
    source: &'a str,
    /// Variables of lists gone through, innermost last.
    bound: Vec<(String, Kind)>,
    checked: Checked,
}

impl Walk<'_> {
    fn kind(&mut self, part: &Expression) -> Result<Kind, Mistake> {
        if let Some(parts) = self.checked.parts_by_depth.get_mut(self.bound.len()) {
            *parts += 1;
        }
        match &part.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Kind::Flag,
                LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Kind::Number,
                LiteralValue::String(_) => Kind::Text,
                LiteralValue::Null | LiteralValue::Bytes(_) => {
                    return Err(self.wrong(part, "there are only texts, numbers, true and false".into()));
                }
            }),
            Expr::Ident(variable) => self.variable(part, variable),
            Expr::Select(select) => {
                let whole = self.kind(&select.operand)?;
                let kind = self.field(part, whole, &select.field)?;
                Ok(if select.test { Kind::Flag } else { kind })
            }
            Expr::List(list) => self.list(part, &list.elements),
            Expr::Call(call) => self.call(part, call),
            Expr::Comprehension(inner) => self.comprehension(part, inner),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.wrong(part, "a condition makes no values of its own but lists".into()))
            }
        }
    }

    fn variable(&mut self, part: &Expression, variable: &str) -> Result<Kind, Mistake> {
        if let Some((_, kind)) = self.bound.iter().rev().find(|(name, _)| name == variable) {
            return Ok(*kind);
        }
        let uses = &mut self.checked;
        let (used, kind) = match variable {
            "direction" => (&mut uses.uses_direction, Kind::Word(DIRECTIONS)),
            "appointment" => (&mut uses.uses_draft, Kind::Record("appointment", APPOINTMENT)),
            "source" => (&mut uses.uses_source, Kind::Record("appointment", APPOINTMENT)),
            "users" => (&mut uses.uses_users, Kind::List(&Kind::Text)),
            _ => {
                let known = ["appointment", "direction", "source", "users"];
                return Err(self.wrong(part, format!("there is no {variable}{}", instead(variable, &known))));
            }
        };
        *used = true;
        Ok(kind)
    }

    fn field(&self, part: &Expression, whole: Kind, field: &str) -> Result<Kind, Mistake> {
        match whole {
            Kind::Record(of, fields) => {
                fields.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind).ok_or_else(|| {
                    let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
                    let article = if of.starts_with(['a', 'o']) { "an" } else { "a" };
                    self.wrong(part, format!("{article} {of} has no {field}{}", instead(field, &known)))
                })
            }
            Kind::Columns => Ok(Kind::Any),
            other => Err(self.wrong(part, format!("{} has no fields", name(other)))),
        }
    }

    fn list(&mut self, part: &Expression, elements: &[Expression]) -> Result<Kind, Mistake> {
        self.checked.longest_literal = self.checked.longest_literal.max(elements.len() as u64);
        let mut kinds = Vec::new();
        for element in elements {
            kinds.push(self.kind(element)?);
        }
        match kinds.first() {
            Some(Kind::Text | Kind::Word(_)) if kinds.iter().all(|kind| is_text(*kind)) => Ok(Kind::List(&Kind::Text)),
            Some(Kind::Number) if kinds.iter().all(|kind| *kind == Kind::Number) => Ok(Kind::List(&Kind::Number)),
            _ => Err(self.wrong(part, "a list holds texts, or numbers".into())),
        }
    }

    fn call(&mut self, part: &Expression, call: &CallExpr) -> Result<Kind, Mistake> {
        let mut kinds = Vec::new();
        for given in call.target.as_deref().into_iter().chain(&call.args) {
            kinds.push(self.kind(given)?);
        }
        let texts: Vec<Option<&str>> = call.target.as_deref().into_iter().chain(&call.args).map(literal).collect();
        let wrong = |message: String| Err(self.wrong(part, message));
        let function = call.func_name.as_str();
        let flags = |kinds: &[Kind]| kinds.iter().all(|kind| matches!(kind, Kind::Flag | Kind::Any));
        match (function, kinds.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, kinds) => {
                if flags(kinds) {
                    Ok(Kind::Flag)
                } else {
                    wrong("and, or and not (&& || !) join what is true or false".into())
                }
            }
            (operators::CONDITIONAL, [Kind::Flag | Kind::Any, yes, no]) if alike(*yes, *no) => Ok(*yes),
            (operators::CONDITIONAL, _) => wrong("`a ? b : c` wants a yes or no, and two values of one kind".into()),
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => match never(*a, *b, &texts) {
                None => Ok(Kind::Flag),
                Some(why) => wrong(why),
            },
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [a, b]) => {
                if alike(*a, *b) && [*a, *b].into_iter().all(ordered) {
                    Ok(Kind::Flag)
                } else {
                    wrong(format!("{} cannot be before or after {}", name(*a), name(*b)))
                }
            }
            (operators::IN, [element, Kind::List(of)]) if alike(*element, **of) => Ok(Kind::Flag),
            (operators::IN, _) => wrong("`in` asks whether a list holds a value of its kind".into()),
            (operators::ADD | operators::SUBSTRACT, [Kind::Number, Kind::Number]) => Ok(Kind::Number),
            (operators::ADD | operators::SUBSTRACT, [Kind::Moment, Kind::Length]) => Ok(Kind::Moment),
            (operators::SUBSTRACT, [Kind::Moment, Kind::Moment]) => Ok(Kind::Length),
            (operators::ADD | operators::SUBSTRACT, _) => {
                wrong("only numbers and times are added and subtracted".into())
            }
            (operators::NEGATE, [Kind::Number]) => Ok(Kind::Number),
            (operators::INDEX, [Kind::Columns, _]) if matches!(texts.as_slice(), [_, Some(_)]) => Ok(Kind::Any),
            (operators::INDEX, [Kind::List(of), Kind::Number]) => Ok(**of),
            (operators::INDEX, _) => {
                wrong("in [brackets] stands a column's name in quotes, or the number of a list's element".into())
            }
            ("contains" | "startsWith" | "endsWith", [of, text])
                if call.target.is_some() && is_text(*of) && is_text(*text) =>
            {
                Ok(Kind::Flag)
            }
            ("lowerAscii", [of]) if call.target.is_some() && is_text(*of) => Ok(Kind::Text),
            ("size", [Kind::Text | Kind::Word(_) | Kind::List(_) | Kind::Any]) => Ok(Kind::Number),
            (part, [Kind::Moment]) if call.target.is_some() && PARTS.contains(&part) => Ok(Kind::Number),
            (part, [Kind::Moment, zone]) if call.target.is_some() && PARTS.contains(&part) && is_text(*zone) => {
                Ok(Kind::Number)
            }
            ("timestamp", [Kind::Text]) => self.constant(part, &texts, Kind::Moment),
            ("duration", [Kind::Text]) => self.constant(part, &texts, Kind::Length),
            (function, _) => wrong(not_offered(function)),
        }
    }

    /// `timestamp("...")`, `duration("...")`: read now, so that a wrong one is told now.
    fn constant(&self, part: &Expression, texts: &[Option<&str>], kind: Kind) -> Result<Kind, Mistake> {
        let example = if kind == Kind::Moment { "2026-11-24T09:00:00Z" } else { "90m" };
        let read =
            matches!(texts, [Some(_)]) && Context::with_env(std::sync::Arc::new(Env::stdlib())).resolve(part).is_ok();
        if read { Ok(kind) } else { Err(self.wrong(part, format!("write it like \"{example}\""))) }
    }

    /// `list.exists(x, ...)` and its kin, as the parser spreads them.
    fn comprehension(&mut self, part: &Expression, inner: &ComprehensionExpr) -> Result<Kind, Mistake> {
        let range = self.kind(&inner.iter_range)?;
        let Kind::List(element) = range else {
            return Err(self.wrong(part, format!("{} cannot be gone through; only lists can", name(range))));
        };
        if self.bound.len() >= NESTING_MAX {
            return Err(
                self.wrong(part, format!("lists are gone through within one another more than {NESTING_MAX} times"))
            );
        }
        let Some((asked, kind)) = asked(inner, range) else {
            return Err(self.wrong(part, "lists have all, exists, exists_one, filter and size".into()));
        };
        self.bound.push((inner.iter_var.clone(), *element));
        let answer = self.kind(asked);
        self.bound.pop();
        match answer? {
            Kind::Flag | Kind::Any => Ok(kind),
            other => Err(self.wrong(asked, format!("this is {}, but must be true or false", name(other)))),
        }
    }

    fn wrong(&self, part: &Expression, message: String) -> Mistake {
        let at = self.places.offset_for(part.id).map_or(0, |(start, _)| start as usize);
        let before: String = self.source.chars().take(at).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
        Mistake { line, column, message }
    }
}

/// What is asked of each element, and what the whole is.
fn asked(inner: &ComprehensionExpr, range: Kind) -> Option<(&Expression, Kind)> {
    let Expr::Call(step) = &inner.loop_step.expr else { return None };
    let keeps_element = |kept: &Expression| {
        match &kept.expr {
        Expr::Call(add) => add.args.get(1).is_some_and(|list| {
            matches!(&list.expr, Expr::List(list) if matches!(list.elements.as_slice(), [one] if one.expr == Expr::Ident(inner.iter_var.clone())))
        }),
        _ => false,
    }
    };
    match (&inner.accu_init.expr, step.func_name.as_str(), step.args.as_slice()) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND | operators::LOGICAL_OR, [_, asked]) => {
            Some((asked, Kind::Flag))
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL, [asked, ..]) => Some((asked, Kind::Flag)),
        (Expr::List(_), operators::CONDITIONAL, [asked, kept, _]) if keeps_element(kept) => Some((asked, range)),
        _ => None,
    }
}

fn literal(part: &Expression) -> Option<&str> {
    match &part.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Word(_) | Kind::Any)
}

fn ordered(kind: Kind) -> bool {
    matches!(kind, Kind::Any | Kind::Number | Kind::Text | Kind::Moment | Kind::Length)
}

fn alike(a: Kind, b: Kind) -> bool {
    a == Kind::Any || b == Kind::Any || a == b || (is_text(a) && is_text(b))
}

/// Why two things can never be equal.
fn never(a: Kind, b: Kind, texts: &[Option<&str>]) -> Option<String> {
    if matches!(a, Kind::Record(..) | Kind::Columns) || matches!(b, Kind::Record(..) | Kind::Columns) {
        return Some("compare single fields".into());
    }
    if !alike(a, b) {
        return Some(format!("{} is never equal to {}", name(a), name(b)));
    }
    let text = texts.iter().copied().flatten().next()?;
    [a, b].into_iter().find_map(|kind| match kind {
        Kind::Word(words) if !words.contains(&text) => {
            Some(format!("this is never \"{text}\"; it is one of {}", words.join(", ")))
        }
        _ => None,
    })
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "a column",
        Kind::Flag => "a yes or no",
        Kind::Number => "a number",
        Kind::Text | Kind::Word(_) => "a text",
        Kind::Moment => "a time",
        Kind::Length => "a length of time",
        Kind::List(_) => "a list",
        Kind::Record(..) => "a group of fields",
        Kind::Columns => "a group of columns",
    }
}

fn not_offered(function: &str) -> String {
    let known = "contains, startsWith, endsWith, lowerAscii, size, timestamp, duration, getHours and its kin, and for lists all, exists, exists_one, filter";
    if function.starts_with(['_', '!', '@', '-']) {
        return format!("{} is not offered in conditions", function.trim_matches('_'));
    }
    format!("{function} is not offered here, or not for this; there are {known}")
}

/// A hint at the name that was meant, or all names.
fn instead(wrong: &str, known: &[&str]) -> String {
    let near = known.iter().min_by_key(|name| strsim::damerau_levenshtein(wrong, name));
    match near.filter(|name| strsim::damerau_levenshtein(wrong, name) <= 2) {
        Some(near) => format!("; did you mean {near}?"),
        None => format!("; there is: {}", known.join(", ")),
    }
}
