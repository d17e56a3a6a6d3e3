//! Taking an appointment, a conflict, a failure or a person through the steps of a chain, on a rule thread.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Step, StepTrace, Trace};
use crate::model::{Appointment, Direction, Field, Person, User, UserId};
use crate::plugin::bindings::daybridge::rules::types as wit;
use crate::plugin::call::{Ask, Bad, Callable, Record};
use crate::plugin::condition::Subject;
use crate::plugin::convert::{self, Edits, Weight};
use crate::plugin::entry::{LogLevel, OnError};
use crate::plugin::limits::{Line, clean};
use crate::plugin::load::Hook;
use crate::plugin::observe::{Called, Observer as _};
use crate::plugin::passage::Passage;
use crate::plugin::shown;
use crate::rules::{
    AfterFault, Conflict, Draft, Explanation, Failure, Fault, FaultKind, Place, Refusal, Resolution, Verdict,
};

/// Why a rule was passed over.
const NOT_MET: &str = "its condition is not met";
const FAILED: &str = "it failed, and its entry says that the chain goes on without it";

/// What a rule's answer to `apply` means for the chain.
enum Outcome {
    Pass(Edits),
    Stop(Box<Verdict>),
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
    let mut passage = Passage::new(source, draft);
    let mut traces = Vec::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Apply, Some(direction))) {
        match step.wanted(id, direction, &passage) {
            Ok(true) => {}
            Ok(false) => {
                traces.push(StepTrace::passed_over(step, NOT_MET));
                continue;
            }
            Err(fault) => {
                let mut trace = StepTrace::new(step, Record::default(), Some((*fault).clone()));
                let stopped = step.tolerate::<()>(Err(fault)).err();
                trace.passed_over = stopped.is_none().then(|| FAILED.to_owned());
                traces.push(trace);
                match stopped {
                    Some(fault) => return Trace { verdict: Err(*fault), steps: traces },
                    None => continue,
                }
            }
        }
        let handed = step.callable.linked.handed(&passage, &step.callable.reads);
        let bytes_in = shown::size(&handed.source) + shown::size(&handed.draft);
        let (answer, record) = step.callable.call(
            Ask { function: "apply", appointment: id, bytes_in },
            |rule, store| rule.apply(store, &call, &handed),
            |verdict| step.outcome(&passage.draft, verdict),
        );
        drop(handed);
        step.log(id, &record);
        let answer = answer.map(|outcome| outcome.placed(step, &record));
        let fault = answer.as_ref().err().map(|fault| (**fault).clone());
        let mut trace = StepTrace::new(step, record, fault);
        let stopped = match step.tolerate(answer.map(Some)) {
            Err(fault) => Some(Err(*fault)),
            Ok(None) => {
                trace.passed_over = Some(FAILED.to_owned());
                None
            }
            Ok(Some(Outcome::Pass(mut edits))) => {
                trace.edited = std::mem::take(&mut edits.names);
                passage.go_on(edits);
                trace.after = keep.then(|| Box::new(passage.draft.clone()));
                None
            }
            Ok(Some(Outcome::Stop(verdict))) => Some(Ok(*verdict)),
        };
        traces.push(trace);
        if let Some(verdict) = stopped {
            return Trace { verdict, steps: traces };
        }
    }
    Trace { verdict: Ok(Verdict::Pass(Box::new(passage.draft))), steps: traces }
}

impl Outcome {
    /// A refusal says in which call it was made.
    fn placed(mut self, step: &Step, record: &Record) -> Self {
        if let Outcome::Stop(verdict) = &mut self
            && let Verdict::Refuse(refusal) = &mut **verdict
        {
            refusal.place = step.callable.place(record);
        }
        self
    }
}

impl StepTrace {
    fn new(step: &Step, record: Record, fault: Option<Fault>) -> Self {
        let Callable { identity, step, .. } = &step.callable;
        let Record { elapsed, memory_peak, lines, lookups, .. } = record;
        let (rule, version) = (identity.rule.clone(), identity.version.clone());
        Self {
            step: *step,
            rule,
            version,
            edited: Vec::new(),
            after: None,
            fault,
            passed_over: None,
            elapsed,
            memory_peak,
            lines,
            lookups,
        }
    }

    fn passed_over(step: &Step, why: &str) -> Self {
        Self { passed_over: Some(why.to_owned()), ..Self::new(step, Record::default(), None) }
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
                Outcome::Pass(convert::edits(draft.mail_allowed, edits).map_err(Bad::Value)?)
            }
            wit::Verdict::Skip(reason) => {
                Outcome::Stop(Box::new(Verdict::Skip { rule: rule(), reason: clean(&reason) }))
            }
            wit::Verdict::Hold(wit::Pause { seconds, reason }) => {
                let after = Duration::from_secs(seconds.into());
                Outcome::Stop(Box::new(Verdict::Hold { rule: rule(), reason: clean(&reason), after }))
            }
            wit::Verdict::Refuse(wit::Problem { code, message, field, retry, more: _ }) => {
                Outcome::Stop(Box::new(Verdict::Refuse(Refusal {
                    rule: rule(),
                    code: clean(&code),
                    message: clean(&message),
                    field: field.map(|field| clean(&field)),
                    retry,
                    default_message: self.default_message.clone(),
                    place: Place::default(),
                })))
            }
        })
    }
}

pub(super) fn resolve(
    steps: &[Step],
    id: &str,
    direction: Direction,
    source: Appointment,
    mut open: Vec<Conflict>,
) -> Result<BTreeMap<Field, Resolution>, Box<Fault>> {
    let call = convert::call(direction, id);
    // A conflict has no draft: it is as if no rule had made one.
    let passage = Passage::new(source, None);
    let mut decided = BTreeMap::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Resolve, Some(direction))) {
        if open.is_empty() {
            break;
        }
        let wanted = step.wanted(id, direction, &passage);
        if !wanted.or_else(|fault| step.tolerate(Err(fault)))? {
            continue;
        }
        let shown = passage.source(&step.callable.reads);
        let conflicts: Vec<shown::Conflict<'_>> = open.iter().map(shown::conflict).collect();
        let bytes_in = shown::size(&shown) + shown::conflicts_size(&conflicts);
        let (answer, record) = step.callable.call(
            Ask { function: "resolve", appointment: id, bytes_in },
            |rule, store| rule.resolve(store, &call, &shown, &conflicts),
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
            Ask { function: "explain", appointment: &failure.appointment, bytes_in: asked.weight() },
            |rule, store| rule.explain(store, &asked),
            |answer| Ok(answer.map(|answer| convert::explanation(&step.callable.identity.rule, answer))),
        );
        step.log(&failure.appointment, &record);
        if let Some(explanation) = step.tolerate(passed_over(answer))? {
            return Ok(Some(explanation));
        }
    }
    Ok(None)
}

pub(super) fn match_user(steps: &[Step], person: Person, candidates: &[User]) -> Result<Option<UserId>, Box<Fault>> {
    let person = convert::person(person);
    let users: Vec<wit::User> = candidates.iter().map(convert::user).collect();
    let bytes_in = (person.name.len() + person.address.len()) as u64 + users.weight();
    for step in steps.iter().filter(|step| step.answers(Hook::MatchUser, None)) {
        let (answer, record) = step.callable.call(
            Ask { function: "match-user", appointment: "", bytes_in },
            |rule, store| rule.match_user(store, &person, &users),
            |chosen| match chosen {
                None => Ok(None),
                Some(id) if candidates.iter().any(|user| user.id.0 == id) => Ok(Some(UserId(id))),
                Some(_) => Err(Bad::Value("it chose a user who is none of the candidates".to_owned())),
            },
        );
        step.log("", &record);
        if let Some(user) = step.tolerate(passed_over(answer))? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// A rule that is set aside has nothing to say, where no appointment depends on what it says.
fn passed_over<T: Default>(answer: Result<T, Box<Fault>>) -> Result<T, Box<Fault>> {
    answer.or_else(|fault| if fault.is_set_aside() { Ok(T::default()) } else { Err(fault) })
}

impl Step {
    pub(super) fn answers(&self, hook: Hook, direction: Option<Direction>) -> bool {
        self.hooks.contains(&hook) && direction.is_none_or(|direction| self.directions.contains(&direction))
    }

    /// Whether the rule runs for this appointment at all.
    fn wanted(&self, id: &str, direction: Direction, passage: &Passage) -> Result<bool, Box<Fault>> {
        let Some(condition) = &self.condition else { return Ok(true) };
        let started = Instant::now();
        let source = passage.origin();
        let subject = Subject { direction, source: &source, draft: &passage.draft.appointment };
        condition.holds(subject).map_err(|why| {
            let record = Record { elapsed: started.elapsed(), ..Record::default() };
            let ask = Ask { function: "condition", appointment: id, bytes_in: 0 };
            let fault = self.callable.fault(&ask, FaultKind::Condition(why), &record, Vec::new());
            self.callable.observers.called(&Called {
                rule: &self.callable.identity,
                step: self.callable.step,
                function: "condition",
                appointment: id,
                fault: Some(&fault),
                record: &record,
            });
            Box::new(fault)
        })
    }

    /// What a fault of this rule means for the chain: nothing, if the operator said so.
    fn tolerate<T: Default>(&self, result: Result<T, Box<Fault>>) -> Result<T, Box<Fault>> {
        let mut fault = match result {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        fault.then = match self.on_error {
            OnError::Skip if self.trial => return Ok(T::default()),
            OnError::Skip => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                // Of a rule that is set aside people were told once, when that began.
                if fault.is_set_aside() {
                    tracing::debug!(rule.name = %fault.rule, appointment.key = %fault.appointment, rules.generation = fault.generation.number, error = %fault, "The chain goes on without a rule that is set aside");
                } else {
                    tracing::warn!(rule.name = %fault.rule, appointment.key = %fault.appointment, rules.generation = fault.generation.number, correlation = %fault.correlation, error = %fault, "The chain goes on without a rule that failed");
                }
                return Ok(T::default());
            }
            OnError::Park => AfterFault::Park,
            // It goes on by itself when the rule is tried again.
            OnError::Retry { .. } if fault.is_set_aside() => AfterFault::Park,
            OnError::Retry { after } => AfterFault::Retry { after },
            OnError::Stop => AfterFault::Stop,
        };
        fault.default_message.clone_from(&self.default_message);
        Err(fault)
    }

    /// Writes the rule's own lines to the host's log. They may hold anything, names and subjects included, so none rises above debug
    /// unless the operator asked for this rule's lines; all stand under a target of their own, which a filter can name.
    fn log(&self, id: &str, record: &Record) {
        let (generation, correlation) = (self.callable.generation.number, &record.correlation);
        for Line { level, text } in &record.lines {
            let at = match self.log_level {
                None => LogLevel::Debug,
                Some(least) if LogLevel::of(level) <= least => LogLevel::of(level),
                Some(_) => continue,
            };
            let rule = &self.callable.identity.rule;
            // The target is the same in each; the macro wants it written out.
            match at {
                LogLevel::Error => {
                    tracing::error!(target: "daybridge::rule", { rule.name = rule, appointment.key = id, rules.generation = generation, %correlation, level }, "{text}")
                }
                LogLevel::Warn => {
                    tracing::warn!(target: "daybridge::rule", { rule.name = rule, appointment.key = id, rules.generation = generation, %correlation, level }, "{text}")
                }
                LogLevel::Info => {
                    tracing::info!(target: "daybridge::rule", { rule.name = rule, appointment.key = id, rules.generation = generation, %correlation, level }, "{text}")
                }
                LogLevel::Debug => {
                    tracing::debug!(target: "daybridge::rule", { rule.name = rule, appointment.key = id, rules.generation = generation, %correlation, level }, "{text}")
                }
                LogLevel::Off => {}
            }
        }
    }
}
