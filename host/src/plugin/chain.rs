//! The ordered, immutable chain of rules: one generation.
//!
//! Promises: each rule of the chain runs in a sandbox of its own, of which nothing is left after one call; a rule that fails stops
//! the chain with a typed fault, unless its entry says that the chain goes on without it; loading a chain is all or nothing.
//! Must not know: when chains are replaced (see `live`), what becomes of a verdict.

mod rehearse;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::call::Callable;
use super::condition::Condition;
use super::engine::Engine;
use super::entry::{ChainConfig, LogLevel, OnError, Origin, Pin, RuleEntry};
use super::limits::{Line, clean};
use super::load::{self, About, Hook, Refused};
use super::lookup::{LookupSource, Notes};
use super::observe::{Judged, Observer, Observers};
use super::schema;
use crate::model::{Direction, Field, Person, User, UserId};
use crate::rules::{
    AfterFault, Call, Conflict, DefaultMessage, Draft, Explanation, Failure, Fault, FaultKind, Generation, PassedOver,
    Resolution, Rules, Verdict, correlation,
};

/// A chain could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
#[error("rule file {file} {problem}")]
pub struct LoadError {
    /// As in the entry.
    pub file: String,
    pub problem: Arc<Refused>,
}

/// A rule as people see it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Position in the chain, from 1.
    pub order: u32,
    pub name: String,
    /// Blank if the rule is disabled and could not be loaded.
    pub version: String,
    /// The version of the contract it speaks; blank likewise.
    pub api: String,
    pub file: String,
    /// Whether the file is the one built into the host.
    pub built_in: bool,
    pub origin: Origin,
    /// Hex SHA-256 of the file.
    pub digest: String,
    /// Directions in which it runs here.
    pub directions: Vec<Direction>,
    pub hooks: Vec<Hook>,
    pub purpose: String,
    pub enabled: bool,
    /// JSON Schema text of its settings, or blank.
    pub settings_schema: String,
    /// What its entry says besides.
    pub options: RuleOptions,
}

/// The options of a rule's entry, as people see them in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleOptions {
    pub condition: Option<String>,
    pub on_error: OnError,
    pub default_message: Option<String>,
    pub only_default_message: bool,
    pub log_level: Option<LogLevel>,
}

impl From<&RuleEntry> for RuleOptions {
    fn from(entry: &RuleEntry) -> Self {
        Self {
            condition: entry.condition.clone(),
            on_error: entry.on_error,
            default_message: entry.default_message.clone(),
            only_default_message: entry.only_default_message,
            log_level: entry.log_level,
        }
    }
}

/// A rule without which the chain goes on when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailOpen {
    pub rule: String,
    /// How often the chain went on without it, since the chain was loaded.
    pub times: u64,
}

/// What each rule did with an appointment.
#[derive(Clone, Debug)]
pub struct Trace {
    pub verdict: Result<Verdict, Fault>,
    pub steps: Vec<StepTrace>,
}

/// What one rule did.
#[derive(Clone, Debug)]
pub struct StepTrace {
    pub step: u32,
    pub rule: String,
    pub version: String,
    /// Names of the fields it set; values are personal data.
    pub edited: Vec<String>,
    /// The draft after it, where the chain was rehearsed: personal data, never logged and never kept for a live appointment.
    pub after: Option<Box<Draft>>,
    /// Set if it failed, also where the chain went on without it.
    pub fault: Option<Fault>,
    /// Set if the chain went on without it: the reason.
    pub passed_over: Option<String>,
    pub elapsed: Duration,
    /// Bytes.
    pub memory_peak: u64,
    pub lines: Vec<Line>,
    /// What it looked up and was told: personal data.
    pub lookups: Notes,
}

/// The rules in force at one time. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    generation: Generation,
    engine: Engine,
    steps: Arc<[Step]>,
    infos: Arc<[RuleInfo]>,
    observers: Observers,
}

#[derive(Clone)]
struct Step {
    callable: Callable,
    hooks: Vec<Hook>,
    directions: Vec<Direction>,
    on_error: OnError,
    /// Times the chain went on without it although it failed.
    skipped: Arc<AtomicU64>,
    default_message: Option<DefaultMessage>,
    condition: Option<Condition>,
    log_level: Option<LogLevel>,
    /// As the operator wrote them.
    given: Map<String, Json>,
    /// No appointment depends on it: it is neither counted nor logged what becomes of its faults.
    trial: bool,
}

impl Chain {
    /// Loads every rule of a chain through the gate. Reads and compiles: some tens of milliseconds per new rule.
    ///
    /// # Errors
    /// [`LoadError`] for the first rule that is not accepted; nothing has changed then.
    pub fn load(config: &ChainConfig, engine: &Engine, lookups: &Arc<dyn LookupSource>) -> Result<Self, LoadError> {
        Self::of(&config.pins(), engine, lookups)
    }

    /// As [`Chain::load`], from bytes that were read before.
    pub(super) fn of(pins: &[Pin], engine: &Engine, lookups: &Arc<dyn LookupSource>) -> Result<Self, LoadError> {
        let (mut steps, mut infos, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut whole = Sha256::new();
        for (order, pin) in (1_u32..).zip(pins) {
            let entry = &pin.entry;
            let error = |problem| LoadError { file: entry.file.clone(), problem };
            let mut loaded = load_entry(pin, engine);
            if let (false, Err(reason)) = (entry.enabled, &loaded) {
                infos.push(RuleInfo::unloaded(order, entry, reason));
                continue;
            }
            if let Ok((step, info)) = &mut loaded {
                info.order = order;
                step.callable.step = order;
                step.callable.lookups = Arc::clone(lookups);
            }
            let (step, info) = loaded.map_err(error)?;
            if !names.insert(info.name.clone()) {
                return Err(error(Arc::new(Refused::SameName(info.name))));
            }
            if entry.enabled {
                // What a generation is, besides the files: everything that can change an answer.
                let identity = format!("{:?}", (&info.name, &info.digest, &step.directions, entry));
                whole.update(identity.as_bytes());
                steps.push(step);
            }
            infos.push(info);
        }
        let digest = load::hex(&whole.finalize()).chars().take(12).collect();
        let generation = Generation { number: 0, digest };
        let observers = Observers::default();
        let steps = bind(&steps, &generation, &observers);
        Ok(Self { generation, engine: engine.clone(), steps, infos: infos.into(), observers })
    }

    /// The same chain as a generation of that number. A chain that is only tried keeps the number 0.
    #[must_use]
    pub(super) fn numbered(mut self, number: u64) -> Self {
        self.generation.number = number;
        self.steps = bind(&self.steps, &self.generation, &self.observers);
        self
    }

    /// The same chain, with somebody who is told what its rules do.
    #[must_use]
    pub fn observed(mut self, observers: &Observers) -> Self {
        self.steps = bind(&self.steps, &self.generation, observers);
        self.observers = observers.clone();
        self
    }

    /// The rules as people see them, disabled ones included.
    pub fn list(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// The rules without which the chain goes on when they fail.
    pub fn fail_open(&self) -> Vec<FailOpen> {
        let open = self.steps.iter().filter(|step| step.on_error == OnError::Skip);
        open.map(|step| FailOpen {
            rule: step.callable.identity.rule.clone(),
            times: step.skipped.load(Ordering::Relaxed),
        })
        .collect()
    }

    /// As [`Rules::judge`], with what each rule did.
    pub async fn trace(&self, call: Call<'_>) -> Trace {
        let (steps, id, direction) = (Arc::clone(&self.steps), call.id.to_owned(), call.direction);
        let input = run::Input { source: call.source.clone(), draft: None, keep: false };
        let ran = self.engine.run(move || run::judge(&steps, &id, direction, input)).await;
        let trace =
            ran.unwrap_or_else(|busy| Trace { verdict: Err(self.not_run("apply", call.id, &busy)), steps: Vec::new() });
        self.observers.judged(&Judged { generation: &self.generation, call, trace: &trace });
        trace
    }

    #[cfg(feature = "bench")]
    pub(super) fn judge_here(&self, call: Call<'_>) -> Trace {
        let _ticking = self.engine.ticking();
        let input = run::Input { source: call.source.clone(), draft: None, keep: false };
        run::judge(&self.steps, call.id, call.direction, input)
    }

    /// A fault of the host itself: no rule was called.
    fn not_run(&self, function: &str, appointment: &str, cause: &dyn std::error::Error) -> Fault {
        Fault {
            rule: "(none)".to_owned(),
            version: String::new(),
            digest: self.generation.digest.clone(),
            step: 0,
            function: function.to_owned(),
            kind: FaultKind::Start(cause.to_string()),
            appointment: appointment.to_owned(),
            elapsed: Duration::ZERO,
            memory_peak: 0,
            backtrace: Vec::new(),
            generation: self.generation.clone(),
            correlation: correlation(),
            then: AfterFault::default(),
            default_message: None,
        }
    }
}

/// The steps as parts of a chain: each knows of which generation it is, and who is told what it does.
fn bind(steps: &[Step], generation: &Generation, observers: &Observers) -> Arc<[Step]> {
    let bind = |step: &Step| {
        let mut step = step.clone();
        step.callable.generation = generation.clone();
        step.callable.observers = observers.clone();
        step
    };
    steps.iter().map(bind).collect()
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("generation", &self.generation)
            .field("rules", &self.infos)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Rules for Chain {
    fn generation(&self) -> Generation {
        self.generation.clone()
    }

    async fn judge(&self, call: Call<'_>) -> Result<Verdict, Fault> {
        self.trace(call).await.verdict
    }

    async fn resolve(&self, conflicts: &[Conflict], call: Call<'_>) -> Result<BTreeMap<Field, Resolution>, Fault> {
        if !self.steps.iter().any(|step| step.answers(Hook::Resolve, Some(call.direction))) {
            return Ok(BTreeMap::new());
        }
        let (steps, id, direction) = (Arc::clone(&self.steps), call.id.to_owned(), call.direction);
        let (source, conflicts) = (call.source.clone(), conflicts.to_vec());
        let ran = self.engine.run(move || run::resolve(&steps, &id, direction, source, conflicts)).await;
        ran.unwrap_or_else(|busy| Err(Box::new(self.not_run("resolve", call.id, &busy)))).map_err(|fault| *fault)
    }

    async fn explain(&self, failure: &Failure) -> Result<Option<Explanation>, Fault> {
        let (steps, asked) = (Arc::clone(&self.steps), failure.clone());
        let ran = self.engine.run(move || run::explain(&steps, &asked)).await;
        ran.unwrap_or_else(|busy| Err(Box::new(self.not_run("explain", &failure.appointment, &busy))))
            .map_err(|fault| *fault)
    }

    async fn passed_over(&self, call: Call<'_>) -> Vec<PassedOver> {
        // Somebody looks: that is no call that anybody should count, keep or act on.
        let (steps, id, direction) = (self.looked_at().steps, call.id.to_owned(), call.direction);
        let input = run::Input { source: call.source.clone(), draft: None, keep: false };
        let ran = self.engine.run(move || run::judge(&steps, &id, direction, input)).await;
        let steps = ran.map(|trace| trace.steps).unwrap_or_default();
        steps.into_iter().filter_map(|step| Some(PassedOver { rule: step.rule, why: step.passed_over? })).collect()
    }

    async fn match_user(&self, person: &Person, candidates: &[User]) -> Result<Option<UserId>, Fault> {
        if !self.steps.iter().any(|step| step.answers(Hook::MatchUser, None)) {
            return Ok(None);
        }
        let (steps, person, candidates) = (Arc::clone(&self.steps), person.clone(), candidates.to_vec());
        let ran = self.engine.run(move || run::match_user(&steps, person, &candidates)).await;
        ran.unwrap_or_else(|busy| Err(Box::new(self.not_run("match-user", "", &busy)))).map_err(|fault| *fault)
    }
}

fn load_entry(pin: &Pin, engine: &Engine) -> Result<(Step, RuleInfo), Arc<Refused>> {
    let source = pin.source.as_ref().map_err(Arc::clone)?;
    Ok(load_bytes(&pin.entry, &source.bytes, source.origin, engine)?)
}

fn load_bytes(entry: &RuleEntry, bytes: &[u8], origin: Origin, engine: &Engine) -> Result<(Step, RuleInfo), Refused> {
    let load::Accepted { mut callable, about } = load::accept(engine, &entry.file, bytes, &entry.limits)?;
    callable.settings = Arc::new(schema::settle(&about.settings_schema, &entry.settings).map_err(Refused::Settings)?);
    if let Some(kind) = about.lookups.iter().find(|kind| !entry.lookups.contains(kind)) {
        return Err(Refused::NotGranted { kind: kind.name() });
    }
    callable.granted = about.lookups.as_slice().into();
    if !entry.name.is_empty() {
        callable.identity.rule = clean(&entry.name);
    }
    let here = |direction: &Direction| entry.directions.is_empty() || entry.directions.contains(direction);
    let directions: Vec<Direction> = about.directions.iter().copied().filter(here).collect();
    if directions.is_empty() && about.hooks.contains(&Hook::Apply) {
        return Err(Refused::Directions);
    }
    let condition = entry.condition.as_deref().map(Condition::compile).transpose().map_err(Refused::Condition)?;
    let About { version, api, purpose, hooks, settings_schema, .. } = about;
    let info = RuleInfo {
        order: 0,
        name: callable.identity.rule.clone(),
        version,
        api,
        file: entry.file.clone(),
        built_in: origin == Origin::BuiltIn,
        origin,
        digest: callable.identity.digest.clone(),
        directions: directions.clone(),
        hooks: hooks.clone(),
        purpose,
        enabled: entry.enabled,
        settings_schema,
        options: entry.into(),
    };
    let words = |text: &String| DefaultMessage { text: clean(text), alone: entry.only_default_message };
    let step = Step {
        callable,
        hooks,
        directions,
        on_error: entry.on_error,
        skipped: Arc::default(),
        default_message: entry.default_message.as_ref().map(words),
        condition,
        log_level: entry.log_level,
        given: entry.settings.clone(),
        trial: false,
    };
    Ok((step, info))
}

impl RuleInfo {
    fn unloaded(order: u32, entry: &RuleEntry, reason: &Refused) -> Self {
        let name = if entry.name.is_empty() { entry.file.clone() } else { entry.name.clone() };
        Self {
            order,
            name,
            version: String::new(),
            api: String::new(),
            file: entry.file.clone(),
            built_in: false,
            origin: Origin::Folder,
            digest: String::new(),
            directions: entry.directions.clone(),
            hooks: Vec::new(),
            purpose: format!("not loaded: the file {reason}"),
            enabled: false,
            settings_schema: String::new(),
            options: entry.into(),
        }
    }
}
