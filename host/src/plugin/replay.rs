//! Old rules against new on recorded calls: what would have come out otherwise.
//!
//! Promises: no server is asked and nothing is written; the newest calls come first, until the time given is spent; look-ups are
//! answered as they were when the call was recorded, and one that was not asked then is counted, not guessed.
//! Must not know: who decides what becomes of the new rules, where recordings are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chain::{Chain, Trace};
use super::fixture::{Answer, Ask, Lookups, draft_differences};
use super::lookup::{LookupSource, Question, Unavailable};
use super::recorder::RecordedCall;
use crate::model::{Address, User};
use crate::rules::{Draft, Rules};

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// Calls that went through the new chain.
    pub compared: usize,
    /// Calls for which there was no time.
    pub skipped: usize,
    /// Calls that come out otherwise, newest first; faults are told apart below.
    pub changed: Vec<CallDiff>,
    /// Calls that only the new chain fails at.
    pub new_faults: Vec<CallDiff>,
    /// Calls that only the old chain failed at.
    pub old_faults_gone: Vec<CallDiff>,
    /// Calls in which the new chain looked up what was not recorded; their answers may differ on a live host.
    pub unsure: usize,
    /// Time in the rules of each chain, over the calls compared.
    pub time_old: Duration,
    pub time_new: Duration,
}

/// One call that comes out otherwise. Holds personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct CallDiff {
    /// Which of the calls given to [`compare`].
    pub index: usize,
    /// The appointment's.
    pub key: String,
    /// `crm-to-exchange` or `exchange-to-crm`.
    pub direction: &'static str,
    pub old: Side,
    pub new: Side,
    /// Fields of the drafts that differ, if both chains pass.
    pub fields: Vec<FieldDiff>,
}

/// One chain's answer to a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// `pass`, `skip`, `hold`, `refuse` or `fault`.
    pub verdict: &'static str,
    /// The rule that gave it, where one did; blank for `pass`.
    pub rule: String,
    /// The answer in one line, with the author's words.
    pub told: String,
    pub elapsed: Duration,
}

/// A field of the target that would be otherwise, values as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDiff {
    pub field: String,
    pub old: String,
    pub new: String,
}

/// A call as a chain answered it.
struct Outcome {
    answer: Answer,
    draft: Option<Draft>,
    elapsed: Duration,
}

/// Takes recorded calls through an old and a new chain. Where a call was recorded by the very generation `old` is, what was recorded
/// stands for it. Blocks; begins no call when `budget` is spent, and always compares one.
pub fn compare(old: &Chain, new: &Chain, calls: &[RecordedCall], budget: Duration) -> ReplayReport {
    let begun = Instant::now();
    let mut newest: Vec<(usize, &RecordedCall)> = calls.iter().enumerate().collect();
    newest.sort_by_key(|(_, call)| std::cmp::Reverse(call.at));
    let mut report = ReplayReport::default();
    for (index, call) in newest {
        if report.compared > 0 && begun.elapsed() >= budget {
            report.skipped += 1;
            continue;
        }
        let before = recorded(old, call).or_else(|| replayed(old, call).map(|(outcome, _)| outcome));
        let (Some(before), Some((after, unsure))) = (before, replayed(new, call)) else {
            report.skipped += 1;
            continue;
        };
        report.compared += 1;
        report.unsure += usize::from(unsure);
        report.time_old += before.elapsed;
        report.time_new += after.elapsed;
        report.add(index, call, &before, &after);
    }
    report
}

impl ReplayReport {
    /// Whether the new chain does just what the old one did.
    pub fn same(&self) -> bool {
        self.changed.is_empty() && self.new_faults.is_empty() && self.old_faults_gone.is_empty()
    }

    fn add(&mut self, index: usize, call: &RecordedCall, before: &Outcome, after: &Outcome) {
        let Ask::Apply { direction, key, .. } = &call.fixture.ask else { return };
        let fields = match (&before.draft, &after.draft) {
            (Some(old), Some(new)) => {
                draft_differences(old, new).into_iter().map(|(field, old, new)| FieldDiff { field, old, new }).collect()
            }
            _ => Vec::new(),
        };
        let (old, new) = (before.side(), after.side());
        let passed = before.draft.is_some() && after.draft.is_some();
        let same = if passed { fields.is_empty() } else { before.answer == after.answer };
        if same {
            return;
        }
        let list = match (old.verdict, new.verdict) {
            ("fault", "fault") => &mut self.changed,
            (_, "fault") => &mut self.new_faults,
            ("fault", _) => &mut self.old_faults_gone,
            _ => &mut self.changed,
        };
        list.push(CallDiff { index, key: key.clone(), direction: direction.name(), old, new, fields });
    }
}

impl Outcome {
    fn side(&self) -> Side {
        let rule = match &self.answer {
            Answer::Skip { rule, .. }
            | Answer::Hold { rule, .. }
            | Answer::Refuse { rule, .. }
            | Answer::Fault { rule, .. } => rule.clone().unwrap_or_default(),
            Answer::Pass(_) | Answer::Resolve(_) | Answer::Explain(_) | Answer::MatchUser(_) => String::new(),
        };
        Side { verdict: self.answer.name(), rule, told: self.answer.told(), elapsed: self.elapsed }
    }
}

/// What was recorded, if this chain recorded it.
fn recorded(chain: &Chain, call: &RecordedCall) -> Option<Outcome> {
    let (Ask::Apply { source, .. }, Some(answer)) = (&call.fixture.ask, &call.fixture.expected) else { return None };
    if chain.generation().digest != call.generation {
        return None;
    }
    let draft = match answer {
        Answer::Pass(edits) => Some(edits.applied(Draft::of(source))),
        _ => None,
    };
    Some(Outcome { answer: answer.clone(), draft, elapsed: call.elapsed })
}

/// What this chain answers now, and whether it looked up what was not recorded.
fn replayed(chain: &Chain, call: &RecordedCall) -> Option<(Outcome, bool)> {
    let Ask::Apply { direction, key, source, .. } = &call.fixture.ask else { return None };
    let lookups = Arc::new(Recorded {
        lookups: call.fixture.lookups.clone(),
        asked: call.asked.clone(),
        missed: AtomicBool::new(false),
    });
    let source_of: Arc<dyn LookupSource> = Arc::clone(&lookups) as _;
    let trace = chain.rehearsed(&source_of).try_judge(key, *direction, source, None);
    let answer = Answer::of_trace(&trace, &Draft::of(source));
    let Trace { verdict, steps } = trace;
    let draft = match verdict {
        Ok(crate::rules::Verdict::Pass(draft)) => Some(*draft),
        _ => None,
    };
    let elapsed = steps.iter().map(|step| step.elapsed).sum();
    Some((Outcome { answer, draft, elapsed }, lookups.missed.load(Ordering::Relaxed)))
}

/// Answers look-ups as they were answered when the call was recorded; says so if one was not.
struct Recorded {
    lookups: Lookups,
    asked: Vec<Question>,
    missed: AtomicBool,
}

impl Recorded {
    fn known(&self, question: &Question) -> Result<&Lookups, Unavailable> {
        if self.asked.contains(question) {
            return Ok(&self.lookups);
        }
        self.missed.store(true, Ordering::Relaxed);
        Err(Unavailable)
    }
}

impl LookupSource for Recorded {
    fn user_by_id(&self, id: &str) -> Result<Option<User>, Unavailable> {
        self.known(&Question::UserById(id.to_owned()))?.user_by_id(id)
    }

    fn user_by_address(&self, address: &Address) -> Result<Option<User>, Unavailable> {
        self.known(&Question::UserByAddress(address.clone()))?.user_by_address(address)
    }

    fn caption(&self, family: &str, code: &str) -> Result<Option<String>, Unavailable> {
        let question = Question::Caption { family: family.to_owned(), code: code.to_owned() };
        self.known(&question)?.caption(family, code)
    }

    fn key_value(&self, appointment: &str, name: &str) -> Result<Option<String>, Unavailable> {
        self.known(&Question::KeyValue(name.to_owned()))?.key_value(appointment, name)
    }
}
