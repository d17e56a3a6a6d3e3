//! Fixtures: one appointment (or conflict, failure, person) in a JSON file, what a rule may know of the world, and what it is
//! expected to answer.
//!
//! Promises: a fixture runs the real rule under the real limits, with look-ups answered from the fixture alone; what differs is
//! told field by field; reading and writing a fixture loses nothing. The same form serves tests, the gate, recorded calls and replay.
//! Must not know: where rules are kept, which of them are in force, the command line.

mod bless;
mod carried;
mod codec;
mod fields;
mod json;
mod lookups;
mod outcome;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

pub use bless::blessed;
pub(super) use carried::{SECTION, read_section};
pub use carried::{beside, carried, read_folder, section};
pub use json::FixtureError;
pub use lookups::Lookups;
pub(super) use outcome::edits;
pub use outcome::{Difference, FixtureOutcome, changes, hold};

use super::chain::{Chain, Trace};
use super::lookup::LookupSource;
use crate::model::{Appointment, Direction, Field, Person, User, UserId, Value};
use crate::rules::{Conflict, Draft, Failure, Fault, Resolution, Verdict};

/// One question to a rule or a chain, and the answer that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Fixture {
    /// What people call it: its file's name without `.json`.
    pub name: String,
    /// The rule it is for; none: the only rule there is, or a whole chain.
    pub rule: Option<String>,
    /// What it is good for, in the author's words.
    pub about: Option<String>,
    pub ask: Ask,
    pub settings: Map<String, Json>,
    pub lookups: Lookups,
    /// None in a fixture nobody has blessed yet.
    pub expected: Option<Answer>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    Apply {
        direction: Direction,
        key: String,
        source: Box<Appointment>,
        /// What rules before this one have changed.
        draft: Edits,
    },
    Resolve {
        direction: Direction,
        key: String,
        source: Box<Appointment>,
        conflicts: Vec<Conflict>,
    },
    Explain(Failure),
    MatchUser {
        person: Person,
        candidates: Vec<User>,
    },
}

/// How a draft differs from another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    /// New values; [`Value::Empty`] for a field that is cleared.
    pub fields: BTreeMap<Field, Value>,
    pub removed: Option<bool>,
    pub mail_allowed: Option<bool>,
}

/// What is answered. As an expectation, what is `None` may be anything.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// With what differs from the draft the rule was given.
    Pass(Edits),
    Skip {
        rule: Option<String>,
        reason: Option<String>,
    },
    Hold {
        rule: Option<String>,
        seconds: Option<u64>,
        reason: Option<String>,
    },
    Refuse {
        rule: Option<String>,
        code: String,
        message: Option<String>,
        field: Option<String>,
        retry: Option<bool>,
    },
    /// The rule failed: the stable name of the kind, see [`Fault::kind_name`].
    Fault {
        rule: Option<String>,
        kind: String,
    },
    Resolve(BTreeMap<Field, Resolution>),
    /// None: the rule has nothing to say.
    Explain(Option<Wording>),
    MatchUser(Option<UserId>),
}

/// A rule's wording of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wording {
    pub title: Option<String>,
    pub text: Option<String>,
    pub hint: Option<String>,
}

/// What a rule or a chain answered to a fixture.
#[derive(Clone, Debug)]
pub struct Answered {
    pub answer: Answer,
    /// What each rule did; only where an appointment was judged.
    pub trace: Option<Trace>,
    pub fault: Option<Fault>,
}

impl Fixture {
    /// Reads a fixture.
    ///
    /// # Errors
    /// [`FixtureError`] with the place of the first mistake and what to write there.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, FixtureError> {
        codec::parse(name, bytes).map_err(|error| error.of(name))
    }

    /// The fixture as people edit it.
    pub fn to_json(&self) -> String {
        codec::fixture(self).pretty()
    }

    pub(super) fn to_tree(&self) -> Json {
        serde_json::to_value(codec::fixture(self)).unwrap_or_default()
    }

    pub(super) fn from_tree(name: &str, json: &Json) -> Result<Self, FixtureError> {
        codec::read(name, &json::At::root(json)).map_err(|error| error.of(name))
    }

    /// The draft the question begins with, where an appointment is judged.
    pub fn draft(&self) -> Option<Draft> {
        match &self.ask {
            Ask::Apply { source, draft, .. } => Some(draft.applied(Draft::of(source))),
            Ask::Resolve { .. } | Ask::Explain(_) | Ask::MatchUser { .. } => None,
        }
    }
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.removed.is_none() && self.mail_allowed.is_none()
    }

    /// A draft with these edits made. A value was held against its field when it was read, so none is left out.
    pub(super) fn applied(&self, mut draft: Draft) -> Draft {
        for (field, value) in &self.fields {
            let _ = draft.appointment.set(field, value.clone());
        }
        draft.removed = self.removed.unwrap_or(draft.removed);
        draft.mail_allowed = self.mail_allowed.unwrap_or(draft.mail_allowed);
        draft
    }
}

/// Runs a fixture: in the chain's only rule or the one it names, with the fixture's settings; or, if it names none and the chain has
/// several, in the whole chain with the operator's. Blocks while the rule runs.
pub fn run(chain: &Chain, fixture: &Fixture) -> FixtureOutcome {
    match answer(chain, fixture) {
        Ok(answered) => outcome::hold(fixture, &answered),
        Err(reason) => FixtureOutcome::unfit(fixture, reason),
    }
}

/// What is answered to a fixture, whatever it expects. Blocks while the rule runs.
///
/// # Errors
/// One readable line: the fixture does not fit the chain, or its settings do not fit the rule.
pub fn answer(chain: &Chain, fixture: &Fixture) -> Result<Answered, String> {
    let lookups: Arc<dyn LookupSource> = Arc::new(fixture.lookups.clone());
    let chain = match &fixture.rule {
        None if chain.rules() != 1 && fixture.settings.is_empty() => chain.rehearsed(&lookups),
        None if chain.rules() != 1 => {
            return Err("gives settings but names no rule, and the chain has several".to_owned());
        }
        rule => chain.rehearsed(&lookups).alone(rule.as_deref(), &fixture.settings)?,
    };
    Ok(ask(&chain, fixture))
}

fn ask(chain: &Chain, fixture: &Fixture) -> Answered {
    let plain = |result: Result<Answer, Box<Fault>>| match result {
        Ok(answer) => Answered { answer, trace: None, fault: None },
        Err(fault) => Answered { answer: Answer::failed(&fault), trace: None, fault: Some(*fault) },
    };
    match &fixture.ask {
        Ask::Apply { direction, key, source, draft } => {
            let begun = draft.applied(Draft::of(source));
            let trace = chain.try_judge(key, *direction, source, Some(begun.clone()));
            let fault = trace.verdict.as_ref().err().cloned();
            Answered { answer: Answer::of_verdict(&trace.verdict, &begun), trace: Some(trace), fault }
        }
        Ask::Resolve { direction, key, source, conflicts } => {
            plain(chain.try_resolve(key, *direction, source, conflicts).map(Answer::Resolve))
        }
        Ask::Explain(failure) => plain(chain.try_explain(failure).map(|explanation| {
            Answer::Explain(explanation.map(|said| Wording {
                title: Some(said.title),
                text: Some(said.text),
                hint: Some(said.hint),
            }))
        })),
        Ask::MatchUser { person, candidates } => plain(chain.try_match_user(person, candidates).map(Answer::MatchUser)),
    }
}

impl Answer {
    /// What a chain said as an answer, its draft told by what differs from the one it began with.
    pub(super) fn of_verdict(verdict: &Result<Verdict, Fault>, begun: &Draft) -> Self {
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(fault) => return Self::failed(fault),
        };
        match verdict.clone() {
            Verdict::Pass(draft) => Answer::Pass(edits(begun, &draft)),
            Verdict::Skip { rule, reason } => Answer::Skip { rule: Some(rule), reason: Some(reason) },
            Verdict::Hold { rule, reason, after } => {
                Answer::Hold { rule: Some(rule), seconds: Some(after.as_secs()), reason: Some(reason) }
            }
            Verdict::Refuse(refusal) => Answer::Refuse {
                rule: Some(refusal.rule),
                code: refusal.code,
                message: Some(refusal.message),
                field: refusal.field,
                retry: Some(refusal.retry),
            },
        }
    }

    fn failed(fault: &Fault) -> Self {
        Answer::Fault { rule: Some(fault.rule.clone()), kind: fault.kind_name().to_owned() }
    }

    /// One word for it: `pass`, `skip`, `hold`, `refuse`, `fault`, `resolve`, `explain`, `match-user`.
    pub fn name(&self) -> &'static str {
        match self {
            Answer::Pass(_) => "pass",
            Answer::Skip { .. } => "skip",
            Answer::Hold { .. } => "hold",
            Answer::Refuse { .. } => "refuse",
            Answer::Fault { .. } => "fault",
            Answer::Resolve(_) => "resolve",
            Answer::Explain(_) => "explain",
            Answer::MatchUser(_) => "match-user",
        }
    }

    /// The same without the names of the rules that gave it: what a fixture of one rule expects.
    #[must_use]
    pub fn of_one_rule(mut self) -> Self {
        match &mut self {
            Answer::Skip { rule, .. }
            | Answer::Hold { rule, .. }
            | Answer::Refuse { rule, .. }
            | Answer::Fault { rule, .. } => *rule = None,
            Answer::Pass(_) | Answer::Resolve(_) | Answer::Explain(_) | Answer::MatchUser(_) => {}
        }
        self
    }
}
