//! Running the fixtures and telling what came out.

use std::fmt::Write as _;

use serde_json::json;

use super::super::super::output::{self, count, line};
use super::{Arguments, Case, Failure, Rule};
use crate::plugin::StepTrace;
use crate::plugin::fixture::{self, Answered, FixtureOutcome, blessed, changes};
use crate::rules::Draft;

#[derive(Default)]
struct Sums {
    passed: u64,
    failed: u64,
    blessed: u64,
}

pub(super) fn run(arguments: &Arguments, rules: &[Rule]) -> Result<(), Failure> {
    let mut sums = Sums::default();
    for rule in rules {
        if !arguments.json {
            line(&rule.title);
            if rule.cases.is_empty() {
                line("  (no fixtures)");
            }
        }
        let width = rule.cases.iter().map(|case| case.fixture.name.chars().count()).max().unwrap_or(0);
        for case in &rule.cases {
            one(arguments, rule, case, width, &mut sums)?;
        }
    }
    let Sums { passed, failed, blessed } = sums;
    let all = count(passed + failed + blessed, "fixture", "fixtures");
    if !arguments.json {
        let blessed = if blessed > 0 { format!(", {blessed} blessed") } else { String::new() };
        line(&format!("{all}: {passed} passed, {failed} failed{blessed}"));
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::mendable(
        format!("{failed} of {all} did not go as expected"),
        "mend the rule; or, if what it answers is right, write it down with --bless",
    ))
}

fn one(arguments: &Arguments, rule: &Rule, case: &Case, width: usize, sums: &mut Sums) -> Result<(), Failure> {
    let (outcome, answered) = tried(rule, case);
    let bless = arguments.bless && !outcome.passed() && answered.is_some();
    let word = match (&answered, bless) {
        (Some(answered), true) => {
            bless_file(rule, case, answered)?;
            sums.blessed += 1;
            "blessed"
        }
        _ if outcome.passed() => {
            sums.passed += 1;
            "ok"
        }
        _ => {
            sums.failed += 1;
            "FAILED"
        }
    };
    if arguments.json {
        return output::json(&json!({
            "rule": rule.title,
            "fixture": outcome.name,
            "result": word.to_lowercase(),
            "differences": outcome.differences.iter().map(|difference| json!({
                "field": difference.field, "expected": difference.expected, "actual": difference.actual,
            })).collect::<Vec<_>>(),
            "fault": outcome.fault.as_ref().map(ToString::to_string),
            "steps": answered.iter().filter(|_| arguments.trace).filter_map(|answered| answered.trace.as_ref())
                .flat_map(|trace| &trace.steps).map(step_json).collect::<Vec<_>>(),
        }));
    }
    let told = answered.as_ref().map(|answered| answered.answer.told()).unwrap_or_default();
    let told = if word == "ok" { told } else { String::new() };
    line(format!("  {word:<8}{:<width$}  {told}", outcome.name).trim_end());
    if word == "FAILED" {
        difference_lines(&outcome);
    }
    if arguments.trace
        && let Some(answered) = &answered
    {
        trace_lines(case, answered);
    }
    Ok(())
}

/// The outcome, and what was answered if the fixture fits the rule.
fn tried(rule: &Rule, case: &Case) -> (FixtureOutcome, Option<Answered>) {
    match fixture::answer(&rule.chain, &case.fixture) {
        Ok(answered) => (fixture::hold(&case.fixture, &answered), Some(answered)),
        Err(_) => (fixture::run(&rule.chain, &case.fixture), None),
    }
}

fn bless_file(rule: &Rule, case: &Case, answered: &Answered) -> Result<(), Failure> {
    let name = &case.fixture.name;
    let Some(file) = &case.file else {
        return Err(Failure::mendable(
            format!("fixture {name} is carried by the rule and has no file to write to"),
            "give the rule's crate, or a folder of fixtures with --fixtures",
        ));
    };
    let cannot = |act: &str, cause: std::io::Error| {
        Failure::mendable(format!("cannot {act} {}: {cause}", file.display()), "see that you may write to it")
    };
    let text = std::fs::read_to_string(file).map_err(|cause| cannot("read", cause))?;
    let one_rule = rule.chain.list().iter().filter(|rule| rule.enabled).count() == 1;
    let answer = answered.answer.clone();
    let answer = if one_rule || case.fixture.rule.is_some() { answer.of_one_rule() } else { answer };
    std::fs::write(file, blessed(&text, &answer)).map_err(|cause| cannot("write", cause))
}

fn difference_lines(outcome: &FixtureOutcome) {
    for difference in &outcome.differences {
        line(&format!("          {}", difference.field));
        line(&format!("            expected  {}", difference.expected));
        line(&format!("            actual    {}", difference.actual));
    }
    if let Some(fault) = &outcome.fault {
        line(&format!("          {fault}"));
        fault.backtrace.iter().take(5).for_each(|frame| line(&format!("            at {frame}")));
    }
}

fn trace_lines(case: &Case, answered: &Answered) {
    let Some(trace) = &answered.trace else { return };
    let mut before = case.fixture.draft();
    for step in &trace.steps {
        let mut head = format!("          step {} {} {}", step.step, step.rule, step.version);
        // Writing to a String cannot fail.
        let _ = write!(head, ": {:.2} ms, {} KiB", step.elapsed.as_secs_f64() * 1000.0, step.memory_peak / 1024);
        line(&head);
        for (field, old, new) in edits(step, before.as_ref()) {
            line(&format!("            {field}: {old} -> {new}"));
        }
        for said in &step.lines {
            line(&format!("            log {}: {}", said.level, said.text));
        }
        if let Some(fault) = &step.fault {
            line(&format!("            {fault}"));
        }
        if let Some(after) = &step.after {
            before = Some((**after).clone());
        }
    }
    line(&format!("          answer: {}", answered.answer.told()));
}

fn edits(step: &StepTrace, before: Option<&Draft>) -> Vec<(String, String, String)> {
    match (before, &step.after) {
        (Some(before), Some(after)) => changes(before, after),
        _ => Vec::new(),
    }
}

fn step_json(step: &StepTrace) -> serde_json::Value {
    json!({
        "step": step.step,
        "rule": step.rule,
        "version": step.version,
        "elapsed_us": u64::try_from(step.elapsed.as_micros()).unwrap_or(u64::MAX),
        "memory_peak": step.memory_peak,
        "edited": step.edited,
        "log": step.lines.iter().map(|said| json!({"level": said.level, "text": said.text})).collect::<Vec<_>>(),
    })
}
