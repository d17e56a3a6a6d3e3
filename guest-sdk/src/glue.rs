//! From an exported function to the author's, and back. Called by `export!`.

use crate::bindings::daybridge::rules::types as wit;
use crate::context::Context;
use crate::model::{Choice, Conflict, Draft, Person, User};
use crate::{API, Direction, Hook, Rule, fields};

/// The contract's version, for the custom section the host reads before it compiles a rule.
pub const fn stamp() -> [u8; API.len()] {
    match API.as_bytes().first_chunk() {
        Some(version) => *version,
        None => [0; API.len()],
    }
}

/// Whether a hook is among those a rule exports.
pub const fn uses(mut hooks: &[Hook], hook: Hook) -> bool {
    while let [first, rest @ ..] = hooks {
        if *first as u8 == hook as u8 {
            return true;
        }
        hooks = rest;
    }
    false
}

/// In place of a function the rule does not use: the host does not call it.
#[cfg(target_arch = "wasm32")]
pub fn unused() -> ! {
    std::arch::wasm32::unreachable()
}

pub fn describe<R: Rule>(name: &str, version: &str, hooks: &[Hook]) -> wit::Description {
    report_panics();
    let description = R::describe();
    wit::Description {
        name: name.to_owned(),
        version: version.to_owned(),
        settings_schema: description.schema(),
        purpose: description.purpose,
        hooks: hooks.to_vec(),
        directions: description.directions,
        reads: description.reads,
        lookups: description.lookups,
        more: Vec::new(),
    }
}

pub fn apply<R: Rule>(call: wit::Call, source: Vec<wit::Field>, difference: Vec<wit::Field>) -> wit::Verdict {
    report_panics();
    let context = Context::called(Hook::Apply, call.direction, call.key);
    let source = fields::appointment(source);
    let mut draft = Draft::of(&source);
    // What the edits are told from: nearly always the source itself, so that nothing need be copied twice.
    let before = if difference.is_empty() {
        None
    } else {
        fields::change(&mut draft, difference);
        Some(draft.clone())
    };
    let verdict = match R::apply(&context, &source, &mut draft) {
        Ok(()) => wit::Verdict::Pass(match &before {
            Some(before) => fields::edits(before, before.is_removed(), before.is_mail_allowed(), draft),
            None => fields::edits(&source, false, true, draft),
        }),
        Err(stop) => stop.into(),
    };
    // The instance ends with this call: taking things apart would be for nothing.
    std::mem::forget((source, before));
    verdict
}

pub fn resolve<R: Rule>(
    call: wit::Call,
    source: Vec<wit::Field>,
    conflicts: Vec<wit::Conflict>,
) -> Vec<wit::Resolution> {
    report_panics();
    let context = Context::called(Hook::Resolve, call.direction, call.key);
    let source = fields::appointment(source);
    let decide = |conflict: wit::Conflict| {
        let wit::Conflict { field, base, crm, exchange } = conflict;
        let conflict = Conflict { field, base, crm, exchange };
        let choice = match R::resolve(&context, &source, &conflict)? {
            Choice::Crm => wit::Choice::Crm,
            Choice::Exchange => wit::Choice::Exchange,
            Choice::Other(value) => wit::Choice::Other(value),
        };
        Some(wit::Resolution { field: conflict.field, choice })
    };
    conflicts.into_iter().filter_map(decide).collect()
}

pub fn explain<R: Rule>(failure: wit::Failure) -> Option<wit::Explanation> {
    report_panics();
    let context = Context::called(Hook::Explain, Direction::CrmToExchange, String::new());
    R::explain(&context, &failure.into()).map(wit::Explanation::from)
}

pub fn match_user<R: Rule>(person: Person, candidates: Vec<wit::User>) -> Option<String> {
    report_panics();
    let context = Context::called(Hook::MatchUser, Direction::ExchangeToCrm, String::new());
    let candidates: Vec<User> = candidates.into_iter().map(User::from).collect();
    R::match_user(&context, &person, &candidates).map(|user| user.id.clone())
}

impl Context {
    fn called(hook: Hook, direction: Direction, key: String) -> Self {
        Self {
            hook,
            direction,
            key,
            #[cfg(not(target_arch = "wasm32"))]
            host: Default::default(),
        }
    }
}

/// Sends a panic's text and place to the host before the instance stops. Without it both would be lost.
fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        crate::bindings::daybridge::rules::log::panicked(message, &place);
    }));
}
