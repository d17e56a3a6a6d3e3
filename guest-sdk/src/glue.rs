//! From an exported function to the author's, and back. Called by `export!`.

use crate::bindings::daybridge::rules::types as wit;
use crate::context::Context;
use crate::model::{Choice, Conflict, Person, User};
use crate::{API, Direction, Hook, Rule, fields};

/// The contract's version, for the custom section the host reads before it compiles a rule.
pub const fn stamp() -> [u8; API.len()] {
    match API.as_bytes().first_chunk() {
        Some(version) => *version,
        None => [0; API.len()],
    }
}

pub fn describe<R: Rule>(name: &str, version: &str) -> wit::Description {
    report_panics();
    let description = R::describe();
    wit::Description {
        name: name.to_owned(),
        version: version.to_owned(),
        settings_schema: description.schema(),
        purpose: description.purpose,
        hooks: description.hooks,
        directions: description.directions,
        lookups: description.lookups,
        more: Vec::new(),
    }
}

pub fn apply<R: Rule>(call: wit::Call, source: Vec<wit::Field>, draft: Vec<wit::Field>) -> wit::Verdict {
    report_panics();
    let context = Context::called(Hook::Apply, call.direction, call.key);
    let source = fields::appointment(source);
    let before = fields::draft(draft);
    let mut draft = before.clone();
    match R::apply(&context, &source, &mut draft) {
        Ok(()) => wit::Verdict::Pass(fields::edits(&before, draft)),
        Err(stop) => stop.into(),
    }
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
