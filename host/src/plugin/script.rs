//! Rules that are scripts: from a `.js` file to a rule in the JavaScript engine that comes with the host.
//!
//! Promises: a script goes through the same gate and runs under the same limits as any rule, its compiler included; the
//! engine is compiled once per host, in the background when it starts, and a script in about a millisecond, without machine
//! code of its own; a mistake is told in one line with file, line and column. Must not know: where files come from, JavaScript.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::call::{NotCompiled, ScriptError, compile_script};
use super::engine::Engine;
use super::limits::{Limits, clean};
use super::load::{self, Accepted, Prepared, Refused};
use crate::rules::{Fault, FaultKind};

/// What ends a file's name if it is a script.
pub const ENDING: &str = ".js";

/// A script larger than this is no rule. The largest of the scripts that rules replace had 40 KB.
pub const SIZE_MAX: u64 = 256 << 10;

/// The engine every script runs in.
const JAVASCRIPT: &[u8] = include_bytes!("../../../plugins/dist/javascript.wasm");

/// What the compiler may use. A script of the largest size takes a tenth of the time and memory.
const COMPILING: Limits = Limits {
    deadline: Duration::from_secs(5),
    memory: 64 << 20,
    table_elements: Limits::MAXIMUM.table_elements,
    answer: 4 << 20,
    log: 1 << 10,
};

/// Compiled scripts kept for the next reload.
const CACHE_MAX: usize = 64;

/// TypeScript's description of what a script finds and must give: for editors, which check and complete with it.
pub fn types() -> &'static str {
    include_str!("../../../plugins/javascript/daybridge.d.ts")
}

/// Whether a file is a script, by its name.
pub fn is_script(file: &str) -> bool {
    file.ends_with(ENDING)
}

/// The component a file runs as: itself, or the engine if it is a script.
pub(super) fn component<'a>(file: &str, bytes: &'a [u8]) -> &'a [u8] {
    if is_script(file) { JAVASCRIPT } else { bytes }
}

/// The engine and the scripts compiled so far. One per host.
#[derive(Default)]
pub(super) struct Scripts {
    engine: Mutex<Option<Prepared>>,
    compiled: Mutex<HashMap<Identity, Arc<[u8]>>>,
}

/// What a compiled script depends on besides the engine: its file's name, which errors show, and its digest.
type Identity = (String, String);

/// Takes a script's bytes through the gate.
///
/// # Errors
/// [`Refused`], the first thing that is wrong.
pub(super) fn accept(engine: &Engine, file: &str, bytes: &[u8], limits: &Limits) -> Result<Accepted, Refused> {
    limits.check().map_err(Refused::Limits)?;
    let source = text(bytes)?;
    let digest = load::digest(bytes);
    let mut prepared = javascript(engine)?;
    let code = compiled(engine, &prepared, file, &digest, source)?;
    prepared.callable.limits = limits.clone();
    prepared.callable.identity.digest = digest;
    prepared.callable.script = Some(code);
    load::described(engine, prepared).map_err(|refused| match refused {
        Refused::Start(fault) => mistake(fault),
        refused => refused,
    })
}

/// A script is text; editors of Windows put a mark before it.
fn text(bytes: &[u8]) -> Result<&str, Refused> {
    let size = bytes.len() as u64;
    if size > SIZE_MAX {
        return Err(Refused::ScriptTooLarge { size });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Refused::ScriptNotText { at: error.valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Gets the engine ready, so that the first script need not wait for its compiler: one to two seconds, once per host and
/// version of it. Blocks; a script that comes meanwhile waits for this and compiles nothing twice.
///
/// # Errors
/// [`Refused`]; the first script is then refused with the same words.
pub fn prepare(engine: &Engine) -> Result<(), Refused> {
    javascript(engine).map(drop)
}

/// The engine, compiled and linked at the first call.
fn javascript(engine: &Engine) -> Result<Prepared, Refused> {
    let mut kept = engine.scripts().engine.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(prepared) = &*kept {
        return Ok(prepared.clone());
    }
    let prepared = load::prepare(engine, JAVASCRIPT, &COMPILING)?;
    Ok(kept.insert(prepared).clone())
}

fn compiled(
    engine: &Engine,
    prepared: &Prepared,
    file: &str,
    digest: &str,
    source: &str,
) -> Result<Arc<[u8]>, Refused> {
    let cache = || engine.scripts().compiled.lock().unwrap_or_else(PoisonError::into_inner);
    let identity = (file.to_owned(), digest.to_owned());
    if let Some(code) = cache().get(&identity) {
        return Ok(Arc::clone(code));
    }
    let answer = engine.run_here(|| compile_script(&prepared.callable, file, source));
    let code: Arc<[u8]> = answer.map_err(|error| not_compiled(file, error))?.into();
    let mut cache = cache();
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert(identity, Arc::clone(&code));
    Ok(code)
}

fn not_compiled(file: &str, error: NotCompiled) -> Refused {
    match error {
        NotCompiled::Script(ScriptError { message, line, column }) => {
            let place = match (line, column) {
                (0, _) => file.to_owned(),
                (line, 0) => format!("{file}:{line}"),
                (line, column) => format!("{file}:{line}:{column}"),
            };
            Refused::Script { message: one_line(&message), place: clean(&place) }
        }
        NotCompiled::Fault(fault) => Refused::Script {
            message: format!("the compiler {}", one_line(&fault.kind.to_string())),
            place: clean(file),
        },
    }
}

/// An error of the script itself while it was asked what it is.
fn mistake(fault: Box<Fault>) -> Refused {
    match &fault.kind {
        FaultKind::Panic { message, place } => Refused::Script { message: one_line(message), place: one_line(place) },
        _ => Refused::Start(fault),
    }
}

/// A script's words without line ends: a refusal is one line.
fn one_line(text: &str) -> String {
    clean(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}
