//! The fixtures that travel with rules and the recorded calls, as the gate asks for them.
//!
//! Promises: bounded in time and length; what it says of recorded calls names fields and rules, and values only where they
//! were asked for.
//! Must not know: where recordings are kept.

use std::sync::Arc;
use std::time::Duration;

use super::{Checks, FieldValues, FixtureLine, ReplayLine, ReplaySummary, Showing};
use crate::plugin::chain::Chain;
use crate::plugin::entry::Source;
use crate::plugin::fixture::{self, Fixture, FixtureOutcome};
use crate::plugin::limits::clean;
use crate::plugin::recorder::RecordedCall;
use crate::plugin::replay::{self, CallDiff, ReplayReport};

/// Recorded calls that a proposed chain is tried on.
const CALLS_MAX: usize = 500;
/// Time for that: a person waits for it.
const BUDGET: Duration = Duration::from_secs(20);
/// Lines in a report about recorded calls: more than anybody reads.
const LINES_MAX: usize = 100;

/// Letters of a value that are shown.
const VALUE_MAX: usize = 300;

/// Where the last recorded calls come from: at most so many, newest or not.
pub type Recent = Arc<dyn Fn(usize) -> Vec<RecordedCall> + Send + Sync>;

/// Tries fixtures and recorded calls.
#[derive(Clone)]
pub struct Trials {
    recent: Recent,
}

/// Where a rule's own fixtures are: in its component, or beside its script.
#[derive(Clone, Copy)]
pub struct Fixtures<'a> {
    bytes: &'a [u8],
    beside: Result<&'a [u8], &'a str>,
}

impl<'a> Fixtures<'a> {
    pub(super) fn of(source: &'a Source) -> Self {
        let beside = source.beside.as_ref().map(|section| &**section).map_err(String::as_str);
        Self { bytes: &source.bytes, beside }
    }

    fn read(self) -> Result<Vec<Fixture>, String> {
        let read = match self.beside.map_err(str::to_owned)? {
            [] => fixture::carried(self.bytes),
            section => fixture::read_section(section),
        };
        read.map_err(|error| crate::error::Chain(&error).to_string())
    }
}

impl Trials {
    pub fn new(recent: Recent) -> Self {
        Self { recent }
    }
}

impl Checks for Trials {
    fn fixtures(&self, file: &str, rule_fixtures: Fixtures<'_>, alone: &Chain) -> Vec<FixtureLine> {
        let rule = alone.list().first().map_or(file, |info| info.name.as_str());
        match rule_fixtures.read() {
            Ok(carried) => carried.iter().map(|fixture| line(rule, &fixture::run(alone, fixture))).collect(),
            Err(error) => {
                vec![FixtureLine {
                    rule: rule.to_owned(),
                    name: "(carried)".into(),
                    passed: false,
                    text: clean(&error),
                }]
            }
        }
    }

    fn replay(&self, old: &Chain, new: &Chain, showing: Showing) -> Option<ReplaySummary> {
        let calls = (self.recent)(CALLS_MAX);
        (!calls.is_empty()).then(|| summary(&replay::compare(old, new, &calls, BUDGET), showing))
    }
}

fn line(rule: &str, outcome: &FixtureOutcome) -> FixtureLine {
    let differences = outcome.differences.iter();
    let text: Vec<String> = differences
        .map(|difference| format!("{} should be {}, is {}", difference.field, difference.expected, difference.actual))
        .collect();
    let (passed, text) = (outcome.passed(), clean(&text.join("; ")));
    FixtureLine { rule: rule.to_owned(), name: outcome.name.clone(), passed, text }
}

fn summary(report: &ReplayReport, showing: Showing) -> ReplaySummary {
    let number = |count: usize| count as u64;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let faults = report.new_faults.iter().map(|diff| (true, diff));
    let others = report.changed.iter().chain(&report.old_faults_gone).map(|diff| (false, diff));
    ReplaySummary {
        compared: number(report.compared),
        skipped: number(report.skipped),
        changed: number(report.changed.len() + report.new_faults.len() + report.old_faults_gone.len()),
        new_faults: number(report.new_faults.len()),
        faults_gone: number(report.old_faults_gone.len()),
        old_us: micros(report.time_old),
        new_us: micros(report.time_new),
        lines: faults
            .chain(others)
            .take(LINES_MAX)
            .map(|(fault, diff)| ReplayLine {
                key: diff.key.clone(),
                fault,
                text: outcome(diff),
                values: if showing == Showing::Values { values(diff) } else { Vec::new() },
            })
            .collect(),
    }
}

/// Old and new values of what is otherwise; where it is no field, the two answers in the rules' words.
fn values(diff: &CallDiff) -> Vec<FieldValues> {
    let shown = |name: &str, old: &str, new: &str| FieldValues { name: name.to_owned(), old: cut(old), new: cut(new) };
    if diff.fields.is_empty() {
        return vec![shown("answer", &diff.old.told, &diff.new.told)];
    }
    diff.fields.iter().map(|field| shown(&field.field, &field.old, &field.new)).collect()
}

/// A value on one line, of a length that people read.
fn cut(value: &str) -> String {
    let line = clean(value).replace('\n', " ");
    match line.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}...", line.get(..at).unwrap_or_default()),
        None => line,
    }
}

/// What is otherwise, in words that hold nobody's data.
fn outcome(diff: &CallDiff) -> String {
    let side = |side: &replay::Side| match side.rule.as_str() {
        "" => side.verdict.to_owned(),
        rule => format!("{} by {rule}", side.verdict),
    };
    let fields: Vec<&str> = diff.fields.iter().map(|field| field.field.as_str()).collect();
    if fields.is_empty() {
        format!("{}: {} -> {}", diff.direction, side(&diff.old), side(&diff.new))
    } else {
        format!("{}: another {}", diff.direction, fields.join(", "))
    }
}
