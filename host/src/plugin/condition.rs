//! A rule entry's condition: for which appointments the rule runs at all, as an expression in CEL (Common Expression Language).
//!
//! Promises: a mistake (a variable or field that does not exist, a comparison that can never hold, an expression that is no yes or
//! no) is told when the chain loads, with its place; the same call gives the same answer (no clock, no chance); no expression runs for
//! long: no regular expressions, no lists made of lists, at most two lists gone through within one another, and a call whose lists and
//! texts would make even that long is a fault. An error never quotes a value. Must not know: the sandbox, what becomes of a fault.

mod check;
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::parser::Expression;
use cel::{Context, Env, ExecutionError, Value, extensions};

use self::check::Checked;
use super::limits::clean;
use crate::model::{Appointment, Direction};

/// Characters of an expression.
pub const LENGTH_MAX: usize = 2000;
/// Nesting of an expression.
const DEPTH_MAX: u16 = 48;
/// Steps an evaluation may take; a step is a few hundred nanoseconds.
const STEPS_MAX: u64 = 1_000_000;
/// So much text is looked through in one step.
const TEXT_STEP: u64 = 4096;

/// A condition that was checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Condition {
    source: Arc<str>,
    expression: Arc<Expression>,
    checked: Checked,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub direction: Direction,
    /// As its side shows it.
    pub source: &'a Appointment,
    /// As the rules before made it.
    pub draft: &'a Appointment,
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // For `lowerAscii`. It only fails where something of that name is there already, and nothing is.
    let _ = env.add_extension(extensions::strings);
    Arc::new(env)
});

impl Condition {
    /// Reads and checks an expression.
    ///
    /// # Errors
    /// [`Mistake`], the first thing that is wrong.
    pub fn compile(source: &str) -> Result<Self, Mistake> {
        let start = |message: String| Mistake { line: 1, column: 1, message };
        let length = source.chars().count();
        if length > LENGTH_MAX {
            return Err(start(format!("the expression has {length} characters, more than {LENGTH_MAX}")));
        }
        if source.trim().is_empty() {
            return Err(start("the expression is empty; leave `condition` out if the rule is to run always".into()));
        }
        let parser = ENV.parser().max_recursion_depth(DEPTH_MAX);
        let (expression, places) = parser.parse_with_source_info(source).map_err(|errors| {
            errors.errors.first().map_or_else(
                || start("this is no expression".into()),
                |error| Mistake {
                    line: usize::try_from(error.pos.0).unwrap_or(1).max(1),
                    column: usize::try_from(error.pos.1).unwrap_or(1).max(1),
                    message: format!("this is no expression: {}", words(&error.msg)),
                },
            )
        })?;
        let checked = check::check(&expression, &places, source)?;
        Ok(Self { source: source.into(), expression: Arc::new(expression), checked })
    }

    /// As the operator wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the rule is to run.
    ///
    /// # Errors
    /// Why that cannot be said, in words without values.
    pub fn holds(&self, subject: Subject<'_>) -> Result<bool, String> {
        let steps = self.steps(subject);
        if steps > STEPS_MAX {
            return Err(format!("it would take {steps} steps for an appointment of this size, more than {STEPS_MAX}"));
        }
        let mut context = Context::with_env(Arc::clone(&ENV));
        if self.checked.uses_direction {
            context.add_variable_from_value("direction", subject.direction.name());
        }
        if self.checked.uses_draft {
            context.add_variable_from_value("appointment", values::appointment(subject.draft));
        }
        if self.checked.uses_source {
            context.add_variable_from_value("source", values::appointment(subject.source));
        }
        if self.checked.uses_users {
            context.add_variable_from_value("users", values::users(subject.source));
        }
        // The evaluator is not ours: should it panic, this entry has failed and nothing else.
        match catch_unwind(AssertUnwindSafe(|| context.resolve(&self.expression))) {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(_)) => Err("it gave neither yes nor no".into()),
            Ok(Err(error)) => Err(without_values(&error)),
            Err(_) => Err("the evaluator itself broke down".into()),
        }
    }

    /// The most steps an evaluation can take: parts of the expression within lists count once for each element.
    fn steps(&self, subject: Subject<'_>) -> u64 {
        let longest = values::longest_list(subject.source)
            .max(values::longest_list(subject.draft))
            .max(self.checked.longest_literal);
        let text = values::longest_text(subject.source).max(values::longest_text(subject.draft));
        let each = 1 + text / TEXT_STEP;
        let within = self.checked.parts_by_depth.iter().enumerate();
        within.fold(0, |sum, (depth, parts)| {
            let times = (0..depth).fold(1_u64, |times, _| times.saturating_mul(longest));
            sum.saturating_add(parts.saturating_mul(times).saturating_mul(each))
        })
    }
}

/// An error of the evaluation in words of our own: the evaluator's quote values, which are personal data.
fn without_values(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => {
            format!("there is no {}; ask with has(...) whether it is there", clean(name))
        }
        ExecutionError::IndexOutOfBounds(_) => "a list has fewer elements than the expression asks for".into(),
        ExecutionError::Overflow(operator, ..) => format!("a number became too large ({operator})"),
        ExecutionError::NoSuchOverload(overload) => {
            format!("{} does not fit what it is given ({})", overload.function(), overload.argument_types().join(", "))
        }
        ExecutionError::FunctionError { function, .. } => format!("{function} cannot work with what it is given"),
        _ => "it does not fit the appointment's values".into(),
    }
}

/// The parser's message on one line, in the words of people where they are known.
fn words(message: &str) -> String {
    let message = message.trim_start_matches("Syntax error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let short = message.split(" expecting ").next().unwrap_or_default();
    clean(short)
}
