//! QuickJS: its start, scripts to bytecode and back, and what went wrong in a script.
//!
//! Promises: an error always has a text, and a place in the script wherever there is one. Must not know: what hooks do.
#![expect(
    unsafe_code,
    reason = "bytecode is loaded without a check: it is the engine's own, and the instance is the sandbox"
)]

use std::cell::OnceCell;

use rquickjs::context::intrinsic;
use rquickjs::module::{Evaluated, WriteOptions};
use rquickjs::promise::PromiseState;
use rquickjs::{
    CatchResultExt as _, CaughtError, Context, Ctx, Error, Function, Module, Object, Persistent, Runtime, Value,
};

use crate::arena::Arena;
use crate::bindings::daybridge::rules::log;
use crate::values;

/// Everything of the language but workers, weak references and the clock.
type Language = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
);

/// How deep a script may call, as bytes of the engine's own stack. The host's limit on the machine's stack is about twice
/// as far, so that endless recursion is an error with a line, not a bare trap.
const STACK: usize = 96 << 10;

/// Garbage in circles is looked for only after so many bytes: most calls end long before.
const GARBAGE: usize = 4 << 20;

/// File name of the prelude in stack traces.
const PRELUDE: &str = "daybridge:prelude";

struct Engine {
    context: Context,
    prelude: Persistent<Object<'static>>,
}

thread_local! {
    static ENGINE: OnceCell<Engine> = const { OnceCell::new() };
}

/// The engine's clock. There is none: the prelude refuses to tell the time.
#[unsafe(no_mangle)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    0.0
}

/// What went wrong in a script, for people.
pub struct Trouble {
    pub message: String,
    /// `file.js:line:column`, or the file alone.
    pub place: String,
    /// The script's own frames, innermost first.
    pub stack: Vec<String>,
}

/// Makes the engine if it is not there yet, and runs work in it.
pub fn with<T>(work: impl for<'js> FnOnce(&Ctx<'js>, Object<'js>) -> rquickjs::Result<T>) -> Result<T, Trouble> {
    ENGINE.with(|engine| {
        let engine = match engine.get() {
            Some(engine) => engine,
            None => {
                let made = start()?;
                engine.get_or_init(|| made)
            }
        };
        engine.context.with(|context| {
            let prelude = engine.prelude.clone().restore(&context);
            let done = prelude.and_then(|prelude| work(&context, prelude));
            done.catch(&context).map_err(trouble)
        })
    })
}

fn start() -> Result<Engine, Trouble> {
    let host = |error: Error| Trouble {
        message: format!("the engine does not start: {error}"),
        place: String::new(),
        stack: Vec::new(),
    };
    let mut arena = Arena::new();
    arena.prepare();
    let runtime = Runtime::new_with_alloc(arena).map_err(host)?;
    runtime.set_max_stack_size(STACK);
    runtime.set_gc_threshold(GARBAGE);
    let context = Context::custom::<Language>(&runtime).map_err(host)?;
    let prelude = context.with(|context| {
        let fields: Value = context.json_parse(include_str!("../fields.json"))?;
        let mut options = rquickjs::context::EvalOptions::default();
        options.filename = Some(PRELUDE.to_owned());
        let prelude: Function = context.eval_with_options(include_str!("prelude.js"), options)?;
        let prelude: Object = prelude.call((values::natives(&context)?, fields))?;
        Ok(Persistent::save(&context, prelude))
    });
    Ok(Engine { context, prelude: prelude.map_err(host)? })
}

/// Script to bytecode. Bytecode keeps line numbers and leaves out the source.
pub fn compile(name: &str, source: &str) -> Result<Vec<u8>, Trouble> {
    let compiled = with(|context, _| {
        let module = Module::declare(context.clone(), name, source)?;
        module.write(WriteOptions { strip_source: true, ..WriteOptions::default() })
    });
    compiled.map_err(|mut trouble| {
        if trouble.place.is_empty() {
            trouble.place = name.to_owned();
        }
        trouble
    })
}

/// A script that ran: the file's name and what it exports.
pub struct Script<'js> {
    pub file: String,
    pub rule: Value<'js>,
}

/// Bytecode to the rule it exports.
pub fn load<'js>(context: &Ctx<'js>, code: Vec<u8>) -> rquickjs::Result<Script<'js>> {
    // The engine refers to the bytes for as long as it lives, which is as long as the instance.
    let code: &'static [u8] = code.leak();
    // SAFETY: the host hands over what `compile` made; if it did not, the harm ends at the wall of the instance.
    let module = unsafe { Module::load(context.clone(), code) }?;
    let file: String = module.name()?;
    FILE.with(|known| known.set(file.clone())).ok();
    let (module, promise): (Module<Evaluated>, _) = module.eval()?;
    match promise.state() {
        PromiseState::Resolved => {}
        PromiseState::Rejected => {
            promise.result::<Value>().unwrap_or(Err(Error::Unknown))?;
        }
        PromiseState::Pending => {
            return Err(rquickjs::Exception::throw_message(
                context,
                "a script cannot await: a rule has nothing to wait for",
            ));
        }
    }
    Ok(Script { file, rule: module.namespace()?.get("default")? })
}

thread_local! {
    /// File name of the script that was loaded.
    static FILE: OnceCell<String> = const { OnceCell::new() };
}

/// Tells the host what went wrong and stops the instance.
pub fn stop(trouble: &Trouble) -> ! {
    if trouble.stack.len() > 1 {
        log::write(log::Level::Debug, &trouble.stack.join(" < "));
    }
    let place = if trouble.place.is_empty() {
        FILE.with(|file| file.get().cloned()).unwrap_or_default()
    } else {
        trouble.place.clone()
    };
    log::panicked(&trouble.message, &place);
    core::arch::wasm32::unreachable()
}

fn trouble(caught: CaughtError) -> Trouble {
    let (mut message, stack, near) = match caught {
        CaughtError::Exception(exception) => {
            let name: String = exception.as_object().get("name").unwrap_or_default();
            let text = exception.message().unwrap_or_default();
            let message = match (name.as_str(), text.as_str()) {
                ("Error" | "", text) => text.to_owned(),
                (name, "") => name.to_owned(),
                (name, text) => format!("{name}: {text}"),
            };
            let near: Option<String> = exception.as_object().get("place").unwrap_or_default();
            (message, exception.stack().unwrap_or_default(), near)
        }
        CaughtError::Value(value) => {
            let text: rquickjs::Result<rquickjs::Coerced<String>> = value.get();
            (
                text.map(|text| text.0).unwrap_or_else(|_| "it threw something that is no error".to_owned()),
                String::new(),
                None,
            )
        }
        CaughtError::Error(error) => (error.to_string(), String::new(), None),
    };
    if message.is_empty() {
        "an error without a text".clone_into(&mut message);
    } else if let Some(module) = message.strip_prefix("ReferenceError: could not load module ") {
        message = format!("a script is one file and cannot import another: {module}");
    }
    let frames: Vec<String> = stack.lines().filter_map(frame).collect();
    let place = |frame: &String| frame.rsplit_once(' ').map_or(frame.as_str(), |(_, place)| place).to_owned();
    let place = frames.first().map(place).or(near).unwrap_or_default();
    Trouble { message, place, stack: frames }
}

/// A line of a stack trace as `function file:line:column`, if it is the script's own.
fn frame(line: &str) -> Option<String> {
    let line = line.trim().strip_prefix("at ")?;
    let (function, place) = match line.strip_suffix(')').and_then(|line| line.rsplit_once(" (")) {
        Some((function, place)) => (function, place),
        None => ("", line),
    };
    if place == "native" || place.starts_with(PRELUDE) {
        return None;
    }
    Some(if function.is_empty() || function == "<anonymous>" {
        place.to_owned()
    } else {
        format!("{function} {place}")
    })
}
