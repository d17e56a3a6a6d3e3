//! The exports: from the contract's call to the prelude's function and back.
//!
//! Promises: every failure ends in `engine::stop`, so the host learns its text and place. Must not know: how values are made.
#![expect(unsafe_code, reason = "exports have fixed names, and the contract's version a section")]

use rquickjs::{Array, Ctx, Function, Object, Result, Value};

use crate::bindings::daybridge::rules::script;
use crate::bindings::exports::daybridge::rules::{compiler, hooks};
use crate::bindings::{Guest, export};
use crate::engine::{self, Script, Trouble};
use crate::values::{self, Fields};
use crate::wit;

struct Exported;

export!(Exported with_types_in crate::bindings);

const API: &str = "0.2.0";

#[used]
#[unsafe(link_section = "daybridge:api")]
static STAMP: [u8; API.len()] = match API.as_bytes().first_chunk() {
    Some(version) => *version,
    None => [0; API.len()],
};

impl Guest for Exported {
    fn init() {
        if let Err(trouble) = engine::with(|_, _| Ok(())) {
            engine::stop(&trouble);
        }
    }
}

impl compiler::Guest for Exported {
    fn compile(name: String, source: String) -> std::result::Result<Vec<u8>, compiler::ScriptError> {
        engine::compile(&name, &source).map_err(|Trouble { message, place, .. }| {
            let (line, column) = position(&name, &place);
            compiler::ScriptError { message, line, column }
        })
    }
}

/// Line and column of a place, or zeros.
fn position(name: &str, place: &str) -> (u32, u32) {
    let numbers = place.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).and_then(|rest| {
        let (line, column) = rest.split_once(':').unwrap_or((rest, "0"));
        Some((line.parse().ok()?, column.parse().ok()?))
    });
    numbers.unwrap_or_default()
}

/// Loads the script and runs work on it; whatever goes wrong stops the instance.
fn run<T>(work: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>, Script<'js>) -> Result<T>) -> T {
    let done = engine::with(|context, prelude| {
        let script = engine::load(context, script::code())?;
        work(context, &prelude, script)
    });
    done.unwrap_or_else(|trouble| engine::stop(&trouble))
}

fn direction(direction: wit::Direction) -> &'static str {
    match direction {
        wit::Direction::CrmToExchange => "crm-to-exchange",
        wit::Direction::ExchangeToCrm => "exchange-to-crm",
    }
}

impl hooks::Guest for Exported {
    fn describe() -> wit::Description {
        run(|_, prelude, script| {
            let about: Object = prelude.get::<_, Function>("describe")?.call((script.rule, script.file))?;
            Ok(wit::Description {
                name: about.get("name")?,
                version: about.get("version")?,
                purpose: about.get("purpose")?,
                hooks: words(&about, "hooks", |word| match word {
                    "resolve" => wit::Hook::Resolve,
                    "explain" => wit::Hook::Explain,
                    "match-user" => wit::Hook::MatchUser,
                    _ => wit::Hook::Apply,
                })?,
                directions: words(&about, "directions", |word| match word {
                    "exchange-to-crm" => wit::Direction::ExchangeToCrm,
                    _ => wit::Direction::CrmToExchange,
                })?,
                reads: about.get("reads")?,
                settings_schema: about.get("schema")?,
                lookups: words(&about, "lookups", |word| match word {
                    "captions" => wit::LookupKind::Captions,
                    "key-values" => wit::LookupKind::KeyValues,
                    _ => wit::LookupKind::Users,
                })?,
                more: Vec::new(),
            })
        })
    }

    fn apply(call: wit::Call, source: Vec<wit::Field>, draft: Vec<wit::Field>) -> wit::Verdict {
        values::offer(Fields { source, draft });
        run(|_, prelude, script| {
            let apply: Function = prelude.get("apply")?;
            let verdict: Object = apply.call((script.rule, direction(call.direction), call.key))?;
            Ok(match verdict.get::<_, String>("kind")?.as_str() {
                "skip" => wit::Verdict::Skip(verdict.get("reason")?),
                "hold" => wit::Verdict::Hold(wit::Pause {
                    seconds: verdict.get::<_, f64>("seconds")? as u32,
                    reason: verdict.get("reason")?,
                }),
                "refuse" => wit::Verdict::Refuse(wit::Problem {
                    code: verdict.get("code")?,
                    message: verdict.get("message")?,
                    field: verdict.get("field")?,
                    retry: verdict.get("retry")?,
                    more: Vec::new(),
                }),
                _ => {
                    let edits: Vec<Array> = verdict.get("edits")?;
                    wit::Verdict::Pass(edits.iter().map(values::edit).collect::<Result<_>>()?)
                }
            })
        })
    }

    fn resolve(call: wit::Call, source: Vec<wit::Field>, conflicts: Vec<wit::Conflict>) -> Vec<wit::Resolution> {
        values::offer(Fields { source, draft: Vec::new() });
        run(|context, prelude, script| {
            let asked = values::list(context, &conflicts, |conflict| {
                let object = Object::new(context.clone())?;
                object.set("field", conflict.field.as_str())?;
                object.set("base", values::to_js(context, &conflict.base)?)?;
                object.set("crm", values::to_js(context, &conflict.crm)?)?;
                object.set("exchange", values::to_js(context, &conflict.exchange)?)?;
                Ok(object.into_value())
            })?;
            let resolve: Function = prelude.get("resolve")?;
            let decided: Vec<Array> = resolve.call((script.rule, direction(call.direction), call.key, asked))?;
            decided.iter().map(resolution).collect()
        })
    }

    fn explain(failure: wit::Failure) -> Option<wit::Explanation> {
        run(|context, prelude, script| {
            let asked = Object::new(context.clone())?;
            asked.set("code", failure.code)?;
            asked.set("class", failure.class)?;
            asked.set("origin", failure.origin)?;
            asked.set("message", failure.message)?;
            asked.set("hint", failure.hint)?;
            asked.set("appointment", failure.appointment)?;
            asked.set("attempts", failure.attempts)?;
            let explained: Option<Object> = prelude.get::<_, Function>("explain")?.call((script.rule, asked))?;
            let Some(explained) = explained else { return Ok(None) };
            let next = match explained.get::<_, Option<String>>("next")?.as_deref() {
                Some("retry") => Some(wit::NextStep::Retry),
                Some("park") => Some(wit::NextStep::Park),
                _ => None,
            };
            let (title, text, hint) = (explained.get("title")?, explained.get("text")?, explained.get("hint")?);
            Ok(Some(wit::Explanation { title, text, hint, next, more: Vec::new() }))
        })
    }

    fn match_user(person: wit::Person, candidates: Vec<wit::User>) -> Option<String> {
        run(|context, prelude, script| {
            let who = values::person(context, &person)?;
            let candidates: Value =
                values::list(context, &candidates, |user| Ok(values::user(context, user)?.into_value()))?;
            prelude.get::<_, Function>("matchUser")?.call((script.rule, who, candidates))
        })
    }
}

fn words<T>(about: &Object, name: &str, convert: impl Fn(&str) -> T) -> Result<Vec<T>> {
    let words: Vec<String> = about.get(name)?;
    Ok(words.iter().map(|word| convert(word)).collect())
}

/// A decision of the prelude: `[field, "crm" | "exchange"]` or `[field, "other", kind, value]`.
fn resolution(decided: &Array) -> Result<wit::Resolution> {
    let choice = match decided.get::<String>(1)?.as_str() {
        "crm" => wit::Choice::Crm,
        "exchange" => wit::Choice::Exchange,
        _ => wit::Choice::Other(values::from_js(&decided.get::<String>(2)?, decided.get(3)?)?),
    };
    Ok(wit::Resolution { field: decided.get(0)?, choice })
}
