//! Taking an appointment, a conflict, a failure or a person through the steps of a chain, on a rule thread.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Step, StepTrace, Trace};
use crate::model::{Appointment, Direction, Field, Person, User, UserId};
use crate::plugin::bindings::daybridge::rules::types as wit;
use crate::plugin::call::{Bad, Callable, Record};
use crate::plugin::convert;
use crate::plugin::entry::OnError;
use crate::plugin::limits::{Line, clean};
use crate::plugin::load::Hook;
use crate::rules::{Conflict, Draft, Explanation, Failure, Fault, Refusal, Resolution, Verdict};

/// What a rule's answer to `apply` means for the chain.
enum Outcome {
    Pass { draft: Box<Draft>, edited: Vec<String> },
    Stop(Verdict),
}

/// What goes into a chain, and how much of what happens to it is kept.
pub(super) struct Input {
    pub source: Appointment,
    /// The draft to begin with; the source as it is, unless a rule is tried as if others ran before it.
    pub draft: Option<Draft>,
    /// Whether each step's draft is kept in its trace. Costs a copy per step, so only for those who look at it.
    pub keep: bool,
}

/// Takes an appointment through the chain, on a rule thread.
pub(super) fn judge(steps: &[Step], id: &str, direction: Direction, input: Input) -> Trace {
    let Input { source, draft, keep } = input;
    let call = convert::call(direction, id);
    let source_fields = convert::fields(&source);
    let mut draft = draft.unwrap_or_else(|| Draft { appointment: source, removed: false, mail_allowed: true });
    let mut traces = Vec::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Apply, Some(direction))) {
        let draft_fields = convert::draft_fields(&draft);
        let (answer, record) = step.callable.call(
            "apply",
            id,
            |rule, store| rule.daybridge_rules_hooks().call_apply(store, &call, &source_fields, &draft_fields),
            |verdict| step.outcome(&draft, verdict),
        );
        step.log(id, &record);
        let fault = answer.as_ref().err().map(|fault| (**fault).clone());
        let mut trace = StepTrace::new(step, record, fault);
        let stopped = match step.tolerate(answer.map(Some)) {
            Err(fault) => Some(Err(*fault)),
            Ok(None) => None,
            Ok(Some(Outcome::Pass { draft: next, edited })) => {
                draft = *next;
                trace.edited = edited;
                trace.after = keep.then(|| Box::new(draft.clone()));
                None
            }
            Ok(Some(Outcome::Stop(verdict))) => Some(Ok(verdict)),
        };
        traces.push(trace);
        if let Some(verdict) = stopped {
            return Trace { verdict, steps: traces };
        }
    }
    Trace { verdict: Ok(Verdict::Pass(Box::new(draft))), steps: traces }
}

impl StepTrace {
    fn new(step: &Step, record: Record, fault: Option<Fault>) -> Self {
        let Callable { identity, step, .. } = &step.callable;
        let Record { elapsed, memory_peak, lines, lookups } = record;
        let (rule, version) = (identity.rule.clone(), identity.version.clone());
        Self {
            step: *step,
            rule,
            version,
            edited: Vec::new(),
            after: None,
            fault,
            elapsed,
            memory_peak,
            lines,
            lookups,
        }
    }
}

impl Step {
    fn outcome(&self, draft: &Draft, verdict: wit::Verdict) -> Result<Outcome, Bad> {
        let rule = || self.callable.identity.rule.clone();
        Ok(match verdict {
            wit::Verdict::Pass(edits) => {
                if convert::size(&edits) > self.callable.limits.answer {
                    return Err(Bad::TooLarge);
                }
                let edited = edits.iter().map(|edit| edit.name.clone()).collect();
                Outcome::Pass { draft: Box::new(convert::edited(draft, edits).map_err(Bad::Value)?), edited }
            }
            wit::Verdict::Skip(reason) => Outcome::Stop(Verdict::Skip { rule: rule(), reason: clean(&reason) }),
            wit::Verdict::Hold(wit::Pause { seconds, reason }) => {
                let after = Duration::from_secs(seconds.into());
                Outcome::Stop(Verdict::Hold { rule: rule(), reason: clean(&reason), after })
            }
            wit::Verdict::Refuse(wit::Problem { code, message, field, retry, more: _ }) => {
                let message = self.default_message.clone().unwrap_or_else(|| clean(&message));
                let field = field.map(|field| clean(&field));
                Outcome::Stop(Verdict::Refuse(Refusal { rule: rule(), code: clean(&code), message, field, retry }))
            }
        })
    }
}

pub(super) fn resolve(
    steps: &[Step],
    id: &str,
    direction: Direction,
    source: &Appointment,
    mut open: Vec<Conflict>,
) -> Result<BTreeMap<Field, Resolution>, Box<Fault>> {
    let call = convert::call(direction, id);
    let source = convert::fields(source);
    let mut decided = BTreeMap::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Resolve, Some(direction))) {
        if open.is_empty() {
            break;
        }
        let conflicts: Vec<wit::Conflict> = open.iter().map(convert::conflict).collect();
        let (answer, record) = step.callable.call(
            "resolve",
            id,
            |rule, store| rule.daybridge_rules_hooks().call_resolve(store, &call, &source, &conflicts),
            |answers| convert::resolutions(&open, answers).map_err(Bad::Value),
        );
        step.log(id, &record);
        let more = step.tolerate(answer)?;
        open.retain(|conflict| !more.contains_key(&conflict.field));
        decided.extend(more);
    }
    Ok(decided)
}

pub(super) fn explain(steps: &[Step], failure: &Failure) -> Result<Option<Explanation>, Box<Fault>> {
    let asked = convert::failure(failure);
    for step in steps.iter().filter(|step| step.answers(Hook::Explain, None)) {
        let (answer, record) = step.callable.call(
            "explain",
            &failure.appointment,
            |rule, store| rule.daybridge_rules_hooks().call_explain(store, &asked),
            |answer| Ok(answer.map(|answer| convert::explanation(&step.callable.identity.rule, answer))),
        );
        step.log(&failure.appointment, &record);
        if let Some(explanation) = step.tolerate(answer)? {
            return Ok(Some(explanation));
        }
    }
    Ok(None)
}

pub(super) fn match_user(steps: &[Step], person: Person, candidates: &[User]) -> Result<Option<UserId>, Box<Fault>> {
    let person = convert::person(person);
    let users: Vec<wit::User> = candidates.iter().map(convert::user).collect();
    for step in steps.iter().filter(|step| step.answers(Hook::MatchUser, None)) {
        let (answer, record) = step.callable.call(
            "match-user",
            "",
            |rule, store| rule.daybridge_rules_hooks().call_match_user(store, &person, &users),
            |chosen| match chosen {
                None => Ok(None),
                Some(id) if candidates.iter().any(|user| user.id.0 == id) => Ok(Some(UserId(id))),
                Some(_) => Err(Bad::Value("it chose a user who is none of the candidates".to_owned())),
            },
        );
        step.log("", &record);
        if let Some(user) = step.tolerate(answer)? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

impl Step {
    pub(super) fn answers(&self, hook: Hook, direction: Option<Direction>) -> bool {
        self.hooks.contains(&hook) && direction.is_none_or(|direction| self.directions.contains(&direction))
    }

    /// What a fault of this rule means for the chain: nothing, if the operator said so.
    fn tolerate<T: Default>(&self, result: Result<T, Box<Fault>>) -> Result<T, Box<Fault>> {
        match (result, self.on_error) {
            (Ok(value), _) => Ok(value),
            (Err(fault), OnError::Park) => Err(fault),
            (Err(fault), OnError::Skip) => {
                tracing::warn!(rule.name = %fault.rule, appointment.key = %fault.appointment, error = %fault, "The chain goes on without a rule that failed");
                Ok(T::default())
            }
        }
    }

    fn log(&self, id: &str, record: &Record) {
        let rule = &self.callable.identity.rule;
        for Line { level, text } in &record.lines {
            // A rule's words may hold anything, names and subjects included, so they never rise above debug.
            tracing::debug!(rule.name = rule, appointment.key = id, level, "{text}");
        }
    }
}
