//! One call of one rule: in a sandbox as it was before its first call, under limits set before, and a typed fault for every
//! way to fail.
//!
//! Promises: nothing of a call reaches another: its sandbox is taken down, or put back and kept if it ended well (`renewal`); a
//! limit that stopped a call is named as such; a panic's text and place are kept.
//! Must not know: the chain, files.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};

use super::bindings::daybridge::rules::types as wit;
use super::bindings::daybridge::rules::{log, lookup, script, settings, types};
use super::contract::{Linked, Rule};
use super::convert::{self, Weight};
use super::engine::STACK;
use super::kept::{self, Kept};
use super::limits::{Cause, Limits, Line, Lines, Meter, clean};
use super::lookup::{Kind, LookupSource, NoLookups, Notes, Question};
use super::observe::{Called, Observer, Observers, RuleVersion};
use super::passage::Reads;
use crate::model::Address;
use crate::rules::{AfterFault, Fault, FaultKind, Generation, Place, correlation};

/// Bytes a call may move out of a rule, answers and arguments of imports together, in terms of the host's own types, which
/// are larger than the texts in them. The true limits are the ones on answer and log; this one bounds the host's memory.
const TRANSFER: u64 = 4;

/// What the instance can see of the host during one call.
pub struct State {
    meter: Meter,
    lines: Lines,
    panic: Option<(String, String)>,
    settings: Arc<BTreeMap<String, wit::Value>>,
    script: Option<Arc<[u8]>>,
    granted: Arc<[Kind]>,
    lookups: Arc<dyn LookupSource>,
    appointment: String,
    notes: Notes,
}

/// A rule ready to be called: compiled, linked, with all it may use.
#[derive(Clone)]
pub struct Callable {
    pub linked: Linked,
    pub identity: RuleVersion,
    pub step: u32,
    pub limits: Limits,
    pub settings: Arc<BTreeMap<String, wit::Value>>,
    /// What it is shown of an appointment.
    pub reads: Reads,
    /// For a script engine: what its compiler made of the script.
    pub script: Option<Arc<[u8]>>,
    pub granted: Arc<[Kind]>,
    pub lookups: Arc<dyn LookupSource>,
    pub observers: Observers,
    /// Of the chain it belongs to.
    pub generation: Generation,
}

/// What a call left behind besides its answer.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub elapsed: Duration,
    pub memory_peak: u64,
    pub lines: Vec<Line>,
    /// Bytes of log lines kept, and of those beyond the limit.
    pub log_kept: u64,
    pub log_dropped: u64,
    /// Bytes of texts and numbers handed to the rule, and of its answer; what it looked up is not counted.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Whether its sandbox was made for it, rather than put back after an earlier call.
    pub is_new: bool,
    /// Of this call; see [`Place::correlation`].
    pub correlation: String,
    /// What it looked up and was told.
    pub lookups: Notes,
}

/// What a rule is asked.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// `apply`, `resolve`, `explain`, `match-user`.
    pub function: &'static str,
    /// The appointment's key, or blank.
    pub appointment: &'a str,
    /// Bytes of texts and numbers handed to the rule.
    pub bytes_in: u64,
}

impl Callable {
    /// Calls one function in a sandbox as it was before its first call. `answer` looks at the answer and says in one line what is
    /// wrong with it, if something is.
    pub fn call<A: Weight, T>(
        &self,
        ask: Ask<'_>,
        enter: impl FnOnce(&Rule<'_>, &mut Store<State>) -> wasmtime::Result<A>,
        answer: impl FnOnce(A) -> Result<T, Bad>,
    ) -> (Result<T, Box<Fault>>, Record) {
        let mut record = Record { correlation: correlation(), bytes_in: ask.bytes_in, ..Record::default() };
        let _span = self.span(&ask, &record).entered();
        if let Err(kind) = self.observers.admit(&self.identity, ask.function, ask.appointment) {
            record.bytes_in = 0;
            self.observers.kept_out(&self.identity, ask.function);
            return (Err(Box::new(self.fault(&ask, kind, &record, Vec::new()))), record);
        }
        let started = Instant::now();
        let (mut store, rule) = match self.put_back(ask.appointment, started) {
            Some((store, rule)) => (store, Ok(rule)),
            None => {
                record.is_new = true;
                self.instance(ask.appointment, started)
            }
        };
        let (result, rule) = match rule {
            Ok(rule) => (enter(&rule, &mut store).map_err(|error| (Phase::Call, error)), Some(rule)),
            Err(error) => (Err((Phase::Start, error)), None),
        };
        let result = result.map(|value| {
            record.bytes_out = value.weight();
            answer(value)
        });
        let state = self.taken_down(store, rule.filter(|_| matches!(result, Ok(Ok(_)))));
        record.elapsed = started.elapsed();
        let kind_and_trace = match result {
            Ok(answered) => answered.map_err(|bad| (bad.kind(&self.limits), Vec::new())),
            Err((phase, error)) => Err((self.kind(&state, phase, &error), backtrace(&error))),
        };
        record.memory_peak = state.meter.memory_peak();
        (record.log_kept, record.log_dropped) = state.lines.bytes();
        record.lines = state.lines.finish();
        record.lookups = state.notes;
        let result = kind_and_trace.map_err(|(kind, backtrace)| Box::new(self.fault(&ask, kind, &record, backtrace)));
        self.observers.called(&Called {
            rule: &self.identity,
            step: self.step,
            function: ask.function,
            appointment: ask.appointment,
            fault: result.as_ref().err().map(|fault| &**fault),
            record: &record,
        });
        (result, record)
    }

    /// The span of one call. Names and numbers only: what a rule is given is somebody's.
    fn span(&self, ask: &Ask<'_>, record: &Record) -> tracing::Span {
        tracing::debug_span!(
            "step",
            rule.name = %self.identity.rule,
            rule.version = %self.identity.version,
            rule.step = self.step,
            rule.function = ask.function,
            rules.generation = self.generation.number,
            correlation = %record.correlation,
        )
    }

    /// Where this rule stands, for a refusal of this call.
    pub fn place(&self, record: &Record) -> Place {
        let RuleVersion { rule: _, version, digest } = self.identity.clone();
        let (step, generation) = (self.step, self.generation.clone());
        let (elapsed, memory_peak) = (record.elapsed, record.memory_peak);
        Place { version, digest, step, generation, elapsed, memory_peak, correlation: record.correlation.clone() }
    }

    pub fn fault(&self, ask: &Ask<'_>, kind: FaultKind, record: &Record, backtrace: Vec<String>) -> Fault {
        let RuleVersion { rule, version, digest } = self.identity.clone();
        Fault {
            rule,
            version,
            digest,
            step: self.step,
            function: ask.function.to_owned(),
            kind,
            appointment: ask.appointment.to_owned(),
            elapsed: record.elapsed,
            memory_peak: record.memory_peak,
            backtrace,
            generation: self.generation.clone(),
            correlation: record.correlation.clone(),
            then: AfterFault::default(),
            default_message: None,
        }
    }

    /// An instance this thread has kept, put back to what it was before its first call, with every limit in force anew.
    fn put_back(&self, appointment: &str, started: Instant) -> Option<(Store<State>, Rule<'_>)> {
        #[cfg(feature = "bench")]
        if let Some(as_it_was_left) = super::bench::kept(self, appointment, started) {
            return Some(as_it_was_left);
        }
        let is_fit = |kept: &Kept| self.linked.made(&kept.sandbox) && kept.store.data().meter.is_within(&self.limits);
        let Kept { mut store, sandbox } = kept::take(is_fit)?;
        let meter = store.data().meter.anew(&self.limits);
        *store.data_mut() = State { meter, ..self.state(appointment) };
        self.arm(&mut store, started);
        Some((store, self.linked.again(sandbox)))
    }

    /// A new instance, in a store with every limit in force before anything of the rule exists.
    fn instance(&self, appointment: &str, started: Instant) -> (Store<State>, wasmtime::Result<Rule<'_>>) {
        let mut store = Store::new(self.linked.engine(), self.state(appointment));
        store.limiter(|state| &mut state.meter);
        self.arm(&mut store, started);
        let rule = self.linked.instantiate(&mut store);
        store.data_mut().meter.made();
        (store, rule)
    }

    /// What is left of a sandbox whose call has ended. The sandbox itself is put back and kept, if there is a rule in it that
    /// ended well and can be put back.
    fn taken_down(&self, mut store: Store<State>, rule: Option<Rule<'_>>) -> State {
        let Some(rule) = rule else { return store.into_data() };
        #[cfg(feature = "bench")]
        if super::bench::is_reusing() {
            super::bench::keep(self, store, rule);
            return self.state("");
        }
        if !rule.is_renewable() || !kept::is_keeping() {
            return store.into_data();
        }
        let resting = State::resting(store.data().meter.anew(&self.limits));
        let state = std::mem::replace(store.data_mut(), resting);
        // What is not put back goes with its store.
        if let Ok(true) = rule.renew(&mut store) {
            kept::put(Kept { sandbox: rule.into_sandbox(), store });
        }
        state
    }

    pub(super) fn state(&self, appointment: &str) -> State {
        State {
            meter: Meter::new(&self.limits),
            lines: Lines::new(&self.limits),
            panic: None,
            settings: Arc::clone(&self.settings),
            script: self.script.clone(),
            granted: Arc::clone(&self.granted),
            lookups: Arc::clone(&self.lookups),
            appointment: appointment.to_owned(),
            notes: Notes::default(),
        }
    }

    /// Sets the limits of one call: what it may move out, and until when it may run.
    pub(super) fn arm(&self, store: &mut Store<State>, started: Instant) {
        store.set_hostcall_fuel(usize::try_from(self.limits.answer.saturating_mul(TRANSFER)).unwrap_or(usize::MAX));
        // The clock is read, not counted in ticks: ticks come late on a busy machine.
        let deadline = self.limits.deadline;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut store| {
            if started.elapsed() < deadline {
                return Ok(UpdateDeadline::Continue(1));
            }
            Err(store.data_mut().meter.stop(Cause::Deadline))
        });
    }

    /// What a failed call died of: first what was recorded, then what the engine says by type.
    fn kind(&self, state: &State, phase: Phase, error: &wasmtime::Error) -> FaultKind {
        match &state.meter.cause {
            Some(Cause::Deadline) => return FaultKind::Deadline { limit: self.limits.deadline },
            Some(Cause::Memory { asked }) => {
                return FaultKind::Memory { asked: *asked, limit: self.limits.memory };
            }
            Some(Cause::Table { asked }) => {
                return FaultKind::Table { asked: *asked, limit: self.limits.table_elements };
            }
            None => {}
        }
        if let Some((message, place)) = &state.panic {
            return FaultKind::Panic { message: message.clone(), place: place.clone() };
        }
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::StackOverflow) || (trap == Some(&Trap::MemoryOutOfBounds) && recursed(error)) {
            return FaultKind::Stack { limit: STACK };
        }
        match (trap, phase) {
            (Some(trap), Phase::Call) => FaultKind::Trap(trap.to_string()),
            (Some(trap), Phase::Start) => FaultKind::Start(trap.to_string()),
            // The engine's own type for this is private; a test holds it to these words.
            (None, _) if format!("{error:#}").contains(TRANSFER_SPENT) => {
                FaultKind::Output { limit: self.limits.answer }
            }
            (None, Phase::Call) => FaultKind::Answer(clean(&error.root_cause().to_string())),
            (None, Phase::Start) => FaultKind::Start(clean(&error.root_cause().to_string())),
        }
    }
}

/// Why a script engine did not compile a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCompiled {
    /// The script has a mistake.
    Script(ScriptError),
    /// The engine itself failed, or the script made it go beyond a limit.
    Fault(Box<Fault>),
}

/// Where and why a script is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    pub message: String,
    /// From 1; 0 where it is not known.
    pub line: u32,
    /// From 1; 0 where it is not known.
    pub column: u32,
}

/// Lets a script engine compile a script under the engine's limits. Call it on a rule thread, or within [`super::Engine::run_here`].
///
/// # Errors
/// [`NotCompiled`].
pub fn compile_script(engine: &Callable, name: &str, source: &str) -> Result<Vec<u8>, NotCompiled> {
    let (answer, _) = engine.call(
        Ask { function: "compile", appointment: "", bytes_in: source.len() as u64 },
        |rule, store| rule.compile(store, name, source),
        |answer| match answer {
            Ok(code) if code.len() as u64 > engine.limits.answer => Err(Bad::TooLarge),
            answer => Ok(answer),
        },
    );
    answer.map_err(NotCompiled::Fault)?.map_err(|error| {
        NotCompiled::Script(ScriptError { message: clean(&error.message), line: error.line, column: error.column })
    })
}

/// How the engine words that more was moved out of a rule than [`TRANSFER`] allows.
const TRANSFER_SPENT: &str = "fuel allocated for hostcalls has been exhausted";

#[derive(Clone, Copy)]
enum Phase {
    Start,
    Call,
}

/// What is wrong with an answer that came.
pub enum Bad {
    TooLarge,
    Value(String),
}

impl Bad {
    fn kind(self, limits: &Limits) -> FaultKind {
        match self {
            Bad::TooLarge => FaultKind::Output { limit: limits.answer },
            Bad::Value(what) => FaultKind::Answer(what),
        }
    }
}

/// Whether the guest's stack is deep and mostly one function. A Rust guest keeps its larger values on a stack of its own in
/// memory; when that is used up the engine sees a bad address, not a stack overflow.
fn recursed(error: &wasmtime::Error) -> bool {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return false };
    let mut times: BTreeMap<u32, usize> = BTreeMap::new();
    trace.frames().iter().for_each(|frame| *times.entry(frame.func_index()).or_default() += 1);
    times.values().any(|&times| times >= RECURSION_FRAMES)
}

/// So many frames of one function among the innermost 64 are recursion.
const RECURSION_FRAMES: usize = 20;

/// Frames kept in a fault.
const BACKTRACE_MAX: usize = 20;

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let name = |frame: &wasmtime::FrameInfo| match frame.func_name() {
        Some(name) => clean(&demangled(name)),
        None => format!("function {}", frame.func_index()),
    };
    trace.frames().iter().take(BACKTRACE_MAX).map(name).collect()
}

/// Rust's older symbol names carry a hash at the end and escapes within; what people need is the path.
fn demangled(name: &str) -> String {
    let Some(mangled) = name.strip_prefix("_ZN").and_then(|rest| rest.strip_suffix('E')) else {
        return name.to_owned();
    };
    let (mut rest, mut parts) = (mangled, Vec::new());
    while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit()) {
        let (Some(digits), Some(after)) = (rest.get(..end), rest.get(end..)) else { break };
        let Some(part) = digits.parse().ok().and_then(|length: usize| after.get(..length)) else { break };
        parts.push(part);
        rest = after.get(part.len()..).unwrap_or_default();
    }
    if parts.last().is_some_and(|last| last.len() == 17 && last.starts_with('h')) {
        parts.pop();
    }
    if parts.is_empty() { name.to_owned() } else { parts.join("::") }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        self.lines.push(level, &message);
    }

    fn panicked(&mut self, message: String, place: String) {
        self.panic.get_or_insert((clean(&message), clean(&place)));
    }
}

impl settings::Host for State {
    fn get(&mut self, name: String) -> wit::Value {
        self.settings.get(&name).cloned().unwrap_or(wit::Value::Empty)
    }

    fn list(&mut self) -> Vec<wit::Field> {
        let field = |(name, value): (&String, &wit::Value)| wit::Field { name: name.clone(), value: value.clone() };
        self.settings.iter().map(field).collect()
    }
}

impl script::Host for State {
    fn code(&mut self) -> Vec<u8> {
        self.script.as_deref().map(<[u8]>::to_vec).unwrap_or_default()
    }
}

impl State {
    /// Of a sandbox between two calls: it knows of no appointment, and keeps nothing of the host alive.
    fn resting(meter: Meter) -> Self {
        static NO_LOOKUPS: LazyLock<Arc<dyn LookupSource>> = LazyLock::new(|| Arc::new(NoLookups));
        static NO_SETTINGS: LazyLock<Arc<BTreeMap<String, wit::Value>>> = LazyLock::new(Arc::default);
        Self {
            meter,
            lines: Lines::default(),
            panic: None,
            settings: Arc::clone(&NO_SETTINGS),
            script: None,
            granted: Arc::default(),
            lookups: Arc::clone(&NO_LOOKUPS),
            appointment: String::new(),
            notes: Notes::default(),
        }
    }

    fn granted(&self, kind: Kind) -> Result<&dyn LookupSource, lookup::LookupError> {
        if self.granted.contains(&kind) { Ok(&*self.lookups) } else { Err(lookup::LookupError::NotGranted) }
    }
}

impl lookup::Host for State {
    fn user_by_id(&mut self, id: String) -> Result<Option<wit::User>, lookup::LookupError> {
        let found = self.granted(Kind::Users)?.user_by_id(&id);
        self.notes.user(Question::UserById(id), &found);
        Ok(found.map_err(|_| lookup::LookupError::Unavailable)?.as_ref().map(convert::user))
    }

    fn user_by_address(&mut self, address: String) -> Result<Option<wit::User>, lookup::LookupError> {
        let address = Address::new(&address);
        let found = self.granted(Kind::Users)?.user_by_address(&address);
        self.notes.user(Question::UserByAddress(address), &found);
        Ok(found.map_err(|_| lookup::LookupError::Unavailable)?.as_ref().map(convert::user))
    }

    fn caption(&mut self, family: String, code: String) -> Result<Option<String>, lookup::LookupError> {
        let found = self.granted(Kind::Captions)?.caption(&family, &code);
        self.notes.text(Question::Caption { family, code }, &found);
        found.map_err(|_| lookup::LookupError::Unavailable)
    }

    fn key_value(&mut self, name: String) -> Result<Option<String>, lookup::LookupError> {
        let found = self.granted(Kind::KeyValues)?.key_value(&self.appointment, &name);
        self.notes.text(Question::KeyValue(name), &found);
        found.map_err(|_| lookup::LookupError::Unavailable)
    }
}
