//! Rules on wasmtime: the implementation of [`crate::rules::Rules`].
//!
//! Promises: every call of every rule runs in a sandbox as it was before its first call, without WASI, under limits set before it;
//! whatever a rule does, the host goes on and says which rule did it. A chain is immutable; [`Live`] replaces it whole.
//! Must not know: connectors, queue, ledger.
//!
//! Code map: `bindings` and `contract` (its versions), `convert` (its types and the model's), `passage` and `shown` (what a
//! rule is shown), `limits`, `call` (one call), `renewal` and `kept` (what becomes of its sandbox), `load` (the gate), `script` (rules in JavaScript), `schema` (settings), `entry`
//! (what the operator writes), `condition` (for which appointments a rule runs), `chain`, `lookup`, `observe` (who is told),
//! `breaker`, `metrics`, `engine` (threads and clock), `compile` (in a process of its own), `cache` (compiled code on disk),
//! `package` (building rules), `fixture` (questions with their right answers), `recorder` (the last calls), `replay` (old
//! rules against new), `mask` and `capture` (a recorded call as a fixture without its people), `inspect` (a file as it is);
//! and for the coming and going of rules `archive` (files and generations on disk), `gate` (what a proposed chain goes
//! through), `live` (the one in force), `watch_folder`, `probation` (of a new one), `signature`.

pub mod archive;
#[cfg(feature = "bench")]
pub mod bench;
mod bindings;
mod breaker;
mod cache;
mod call;
pub mod capture;
mod chain;
mod compile;
pub mod condition;
mod contract;
mod convert;
mod engine;
mod entry;
pub mod fixture;
mod gate;
pub mod inspect;
mod kept;
mod limits;
mod live;
mod load;
pub mod lookup;
pub mod mask;
mod metrics;
mod observe;
pub mod package;
mod passage;
mod probation;
pub mod recorder;
mod renewal;
pub mod replay;
mod schema;
pub mod script;
mod shown;
pub mod signature;
mod watch_folder;

pub use breaker::{Breaker, BreakerSettings, Duty, News, SetAside, Stand};
pub use call::{NotCompiled, Record, ScriptError};
pub use chain::{Chain, FailOpen, LoadError, RuleInfo, RuleOptions, StepTrace, Trace};
pub use compile::{COMMAND as COMPILE_COMMAND, CompileLimits, Compiler, serve as compile_rule};
pub use engine::{Engine, EngineError, EngineOptions};
pub use entry::{ChainConfig, LogLevel, OnError, Origin, RuleEntry, signature_path};
pub use gate::{
    Checks, FieldValues, FixtureLine, Fixtures, GateReport, NoChecks, Recent, RefusedFile, ReplayLine, ReplaySummary,
    RuleChange, RuleChangeKind, Showing, Trials, VersionRef,
};
pub use limits::{Limits, Line};
pub use live::{
    Change, Compared, DiffSide, GateSettings, HistoryLine, Install, LifecycleError, Live, Place, Proposed, RuleNotice,
    Setup, Tell, VersionLine, WatchMode,
};
pub use load::{API, About, Hook, Refused, SIZE_MAX, digest};
pub use metrics::{Metrics, VERSIONS_MAX as METRIC_VERSIONS_MAX};
pub use observe::{Called, Judged, Observer, Observers, RuleVersion};

/// A built-in rule: its file name, and the component as it lies in `plugins/dist`.
macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$((concat!($name, ".wasm"), include_bytes!(concat!("../../plugins/dist/", $name, ".wasm")))),*]
    };
}

/// Leaves series alone; for the operator who wants that, and not in force by itself.
const APPOINTMENTS_ONLY: &str = "appointments-only.wasm";

/// The rules that come with the host: file name and component. The default chain is all but the first, in this order.
pub fn default_rules() -> &'static [(&'static str, &'static [u8])] {
    built_in!(
        "appointments-only",
        "subject-line",
        "status",
        "privacy",
        "reminders",
        "inside-only",
        "responses",
        "messages",
    )
}

/// The chain in force where the operator names no rules.
pub fn default_chain() -> Vec<RuleEntry> {
    let files = default_rules().iter().map(|(file, _)| *file).filter(|file| *file != APPOINTMENTS_ONLY);
    files.map(RuleEntry::new).collect()
}
