//! A recorded call as a fixture without its people.
//!
//! Promises: what the fixture expects is what the rules answer to the masked appointment, so it passes as it is; nothing of a person
//! leaves the host. Must not know: who asks, where the fixture goes.

use std::sync::Arc;

use super::chain::Chain;
use super::fixture::{self, Ask, Edits, Fixture, edits};
use super::lookup::LookupSource;
use super::mask::masked;
use super::recorder::RecordedCall;
use crate::rules::Draft;

/// A call could not be made into a fixture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    #[error("no rule in force is called {rule}; there are {known}")]
    NoRule { rule: String, known: String },
    #[error("rule {rule} did not see this appointment: {reason}")]
    NotReached { rule: String, reason: String },
    #[error("the recorded call cannot be asked again: {0}")]
    Unfit(String),
}

/// The fixture of a recorded call: of the whole chain, or of one rule of it with its settings and what the rules before it have done
/// to the draft. Blocks while the rules run.
///
/// # Errors
/// [`CaptureError`] if there is no such rule, or the appointment does not get to it.
pub fn capture(chain: &Chain, call: &RecordedCall, rule: Option<&str>) -> Result<Fixture, CaptureError> {
    let day = call.at.format("%Y-%m-%d");
    // A chain of one rule is that rule with its settings.
    let only = chain.list().iter().find(|info| info.enabled && chain.rules() == 1).map(|info| info.name.clone());
    let rule = rule.or(only.as_deref());
    let about = |of: &str| Some(format!("Captured from {of} on {day}; people and texts are masked."));
    let Some(rule) = rule else {
        let mut fixture = masked(&call.fixture);
        fixture.about = about("all rules");
        let answered = fixture::answer(chain, &fixture).map_err(CaptureError::Unfit)?;
        return Ok(fixture.expecting(answered.answer));
    };
    let Some((step, given)) = chain.step_of(rule) else {
        let known = chain.list().iter().filter(|info| info.enabled).map(|info| info.name.as_str());
        return Err(CaptureError::NoRule { rule: rule.to_owned(), known: known.collect::<Vec<_>>().join(", ") });
    };
    let mut fixture = masked(&Fixture { settings: given.clone(), ..call.fixture.clone() });
    fixture.about = about(&format!("rule {rule}"));
    let before = draft_before(chain, &fixture, step, rule)?;
    if let Ask::Apply { draft, .. } = &mut fixture.ask {
        *draft = before;
    }
    // The name may be one the operator gave; a fixture of one rule needs none. It is asked of that rule alone all the same.
    let asked = Fixture { rule: Some(rule.to_owned()), ..fixture.clone() };
    let answered = fixture::answer(chain, &asked).map_err(CaptureError::Unfit)?;
    Ok(fixture.expecting(answered.answer.of_one_rule()))
}

/// What the rules before a step do to the draft of a fixture.
fn draft_before(chain: &Chain, fixture: &Fixture, step: u32, rule: &str) -> Result<Edits, CaptureError> {
    let Ask::Apply { direction, key, source, .. } = &fixture.ask else {
        return Err(CaptureError::Unfit("it is no call to judge an appointment".to_owned()));
    };
    let lookups: Arc<dyn LookupSource> = Arc::new(fixture.lookups.clone());
    let trace = chain.rehearsed(&lookups).try_judge(key, *direction, source, None);
    let at = trace.steps.iter().find(|trace| trace.step == step);
    if let Some(reason) = at.filter(|trace| trace.fault.is_none()).and_then(|trace| trace.passed_over.clone()) {
        return Err(CaptureError::NotReached { rule: rule.to_owned(), reason });
    }
    let reached = at.is_some();
    if !reached {
        let reason = match trace.steps.last() {
            Some(last)
                if last.step < step
                    && trace
                        .verdict
                        .as_ref()
                        .is_ok_and(|verdict| matches!(verdict, crate::rules::Verdict::Pass(_))) =>
            {
                format!("it does not work {}", direction.name())
            }
            Some(last) if last.step < step => format!("rule {} ended the chain before it", last.rule),
            _ => format!("it does not work {}", direction.name()),
        };
        return Err(CaptureError::NotReached { rule: rule.to_owned(), reason });
    }
    let begun = Draft::of(source);
    let before = trace.steps.iter().take_while(|trace| trace.step < step).filter_map(|trace| trace.after.as_deref());
    Ok(before.last().map(|draft| edits(&begun, draft)).unwrap_or_default())
}
