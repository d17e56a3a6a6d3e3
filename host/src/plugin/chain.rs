//! The ordered, immutable chain of rules: one generation.
//!
//! Promises: each rule of the chain runs in an instance of its own that lives for one call; a rule that fails stops the
//! chain with a typed fault, unless its entry says that the chain goes on without it; loading a chain is all or nothing.
//! Must not know: when chains are replaced (see `live`), what becomes of a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::bindings::daybridge::rules::types as wit;
use super::call::{Bad, Callable, Record};
use super::engine::Engine;
use super::limits::{Limits, Line, clean};
use super::load::{self, About, Hook, Refused};
use super::lookup::{Kind, LookupSource};
use super::{convert, default_rules, schema};
use crate::model::{Appointment, Direction, Field, Person, User, UserId};
use crate::rules::{
    Call, Conflict, Draft, Explanation, Failure, Fault, FaultKind, Generation, Refusal, Resolution, Rules, Verdict,
};

/// What the operator writes about rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChainConfig {
    /// Where rule files lie. A file here takes the place of a built-in rule of the same file name.
    pub folder: Option<PathBuf>,
    /// In the order in which they run.
    pub rules: Vec<RuleEntry>,
}

/// One rule of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleEntry {
    /// What the rule is called in messages; blank: the name it gives itself.
    pub name: String,
    /// File name within the rules folder, or of a built-in rule.
    pub file: String,
    pub enabled: bool,
    /// In which directions it runs; empty: in all it works in.
    pub directions: Vec<Direction>,
    pub on_error: OnError,
    /// Values for the rule's settings; the rest have their defaults.
    pub settings: Map<String, Json>,
    /// Look-ups the rule may use.
    pub lookups: Vec<Kind>,
    pub limits: Limits,
    /// Shown to people when the rule refuses, instead of its own words.
    pub default_message: Option<String>,
}

impl RuleEntry {
    /// An entry with all at its default.
    pub fn new(file: impl Into<String>) -> Self {
        Self {
            name: String::new(),
            file: file.into(),
            enabled: true,
            directions: Vec::new(),
            on_error: OnError::default(),
            settings: Map::new(),
            lookups: Vec::new(),
            limits: Limits::default(),
            default_message: None,
        }
    }
}

/// What happens when a rule fails (not when it refuses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The appointment waits with the fault.
    #[default]
    Park,
    /// The chain goes on as if the rule were not there.
    Skip,
}

/// A chain could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("rule file {file} {problem}")]
pub struct LoadError {
    /// As in the entry.
    pub file: String,
    pub problem: Refused,
}

/// A rule as people see it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Position in the chain, from 1.
    pub order: u32,
    pub name: String,
    /// Blank if the rule is disabled and could not be loaded.
    pub version: String,
    pub file: String,
    /// Whether the file is the one built into the host.
    pub built_in: bool,
    /// Hex SHA-256 of the file.
    pub digest: String,
    /// Directions in which it runs here.
    pub directions: Vec<Direction>,
    pub hooks: Vec<Hook>,
    pub purpose: String,
    pub enabled: bool,
    /// JSON Schema text of its settings, or blank.
    pub settings_schema: String,
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
    /// Set if it failed, also where the chain went on without it.
    pub fault: Option<Fault>,
    pub elapsed: Duration,
    /// Bytes.
    pub memory_peak: u64,
    pub lines: Vec<Line>,
}

/// The rules in force at one time. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    generation: Generation,
    engine: Engine,
    steps: Arc<[Step]>,
    infos: Arc<[RuleInfo]>,
}

struct Step {
    callable: Callable,
    hooks: Vec<Hook>,
    directions: Vec<Direction>,
    on_error: OnError,
    default_message: Option<String>,
}

impl Chain {
    /// Loads every rule of a chain through the gate. Reads and compiles: some tens of milliseconds per new rule.
    ///
    /// # Errors
    /// [`LoadError`] for the first rule that is not accepted; nothing has changed then.
    pub fn load(config: &ChainConfig, engine: &Engine, lookups: &Arc<dyn LookupSource>) -> Result<Self, LoadError> {
        let (mut steps, mut infos, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut whole = Sha256::new();
        for (order, entry) in (1_u32..).zip(&config.rules) {
            let error = |problem| LoadError { file: entry.file.clone(), problem };
            let mut loaded = load_entry(config, entry, engine);
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
                return Err(error(Refused::SameName(info.name)));
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
        let generation = Generation { number: engine.next_generation(), digest };
        Ok(Self { generation, engine: engine.clone(), steps: steps.into(), infos: infos.into() })
    }

    /// The rules as people see them, disabled ones included.
    pub fn list(&self) -> &[RuleInfo] {
        &self.infos
    }

    /// As [`Rules::judge`], with what each rule did.
    pub async fn trace(&self, call: Call<'_>) -> Trace {
        let (steps, id, direction) = (Arc::clone(&self.steps), call.id.to_owned(), call.direction);
        let source = call.source.clone();
        let run = self.engine.run(move || judge(&steps, &id, direction, source)).await;
        run.unwrap_or_else(|busy| Trace { verdict: Err(self.not_run("apply", call.id, &busy)), steps: Vec::new() })
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
        }
    }
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
        let run = self.engine.run(move || resolve(&steps, &id, direction, &source, conflicts)).await;
        run.unwrap_or_else(|busy| Err(Box::new(self.not_run("resolve", call.id, &busy)))).map_err(|fault| *fault)
    }

    async fn explain(&self, failure: &Failure) -> Result<Option<Explanation>, Fault> {
        let (steps, asked) = (Arc::clone(&self.steps), failure.clone());
        let run = self.engine.run(move || explain(&steps, &asked)).await;
        run.unwrap_or_else(|busy| Err(Box::new(self.not_run("explain", &failure.appointment, &busy))))
            .map_err(|fault| *fault)
    }

    async fn match_user(&self, person: &Person, candidates: &[User]) -> Result<Option<UserId>, Fault> {
        if !self.steps.iter().any(|step| step.answers(Hook::MatchUser, None)) {
            return Ok(None);
        }
        let (steps, person, candidates) = (Arc::clone(&self.steps), person.clone(), candidates.to_vec());
        let run = self.engine.run(move || match_user(&steps, person, &candidates)).await;
        run.unwrap_or_else(|busy| Err(Box::new(self.not_run("match-user", "", &busy)))).map_err(|fault| *fault)
    }
}

impl Step {
    fn answers(&self, hook: Hook, direction: Option<Direction>) -> bool {
        self.hooks.contains(&hook) && direction.is_none_or(|direction| self.directions.contains(&direction))
    }

    /// What a fault of this rule means for the chain: nothing, if the operator said so.
    fn tolerate<T: Default>(&self, result: Result<T, Box<Fault>>) -> Result<T, Box<Fault>> {
        match (result, self.on_error) {
            (Ok(value), _) => Ok(value),
            (Err(fault), OnError::Park) => Err(fault),
            (Err(fault), OnError::Skip) => {
                tracing::warn!(rule.name = %fault.rule, appointment.key = %fault.appointment, error = %fault, "The chain goes on without a rule that failed");
                Ok(T::default())
            }
        }
    }

    fn log(&self, id: &str, record: &Record) {
        let rule = &self.callable.rule;
        for Line { level, text } in &record.lines {
            // A rule's words may hold anything, names and subjects included, so they never rise above debug.
            tracing::debug!(rule.name = rule, appointment.key = id, level, "{text}");
        }
    }
}

fn load_entry(config: &ChainConfig, entry: &RuleEntry, engine: &Engine) -> Result<(Step, RuleInfo), Refused> {
    let source = Source::of(config, entry)?;
    let load::Accepted { mut callable, about } = load::accept(engine, source.bytes(), &entry.limits)?;
    callable.settings = Arc::new(schema::settle(&about.settings_schema, &entry.settings).map_err(Refused::Settings)?);
    if let Some(kind) = about.lookups.iter().find(|kind| !entry.lookups.contains(kind)) {
        return Err(Refused::NotGranted { kind: kind.name() });
    }
    callable.granted = about.lookups.as_slice().into();
    if !entry.name.is_empty() {
        callable.rule = clean(&entry.name);
    }
    let here = |direction: &Direction| entry.directions.is_empty() || entry.directions.contains(direction);
    let directions: Vec<Direction> = about.directions.iter().copied().filter(here).collect();
    if directions.is_empty() && about.hooks.contains(&Hook::Apply) {
        return Err(Refused::Directions);
    }
    let About { version, purpose, hooks, settings_schema, .. } = about;
    let info = RuleInfo {
        order: 0,
        name: callable.rule.clone(),
        version,
        file: entry.file.clone(),
        built_in: matches!(source, Source::BuiltIn(_)),
        digest: callable.digest.clone(),
        directions: directions.clone(),
        hooks: hooks.clone(),
        purpose,
        enabled: entry.enabled,
        settings_schema,
    };
    let default_message = entry.default_message.clone();
    Ok((Step { callable, hooks, directions, on_error: entry.on_error, default_message }, info))
}

impl RuleInfo {
    fn unloaded(order: u32, entry: &RuleEntry, reason: &Refused) -> Self {
        let name = if entry.name.is_empty() { entry.file.clone() } else { entry.name.clone() };
        Self {
            order,
            name,
            version: String::new(),
            file: entry.file.clone(),
            built_in: false,
            digest: String::new(),
            directions: entry.directions.clone(),
            hooks: Vec::new(),
            purpose: format!("not loaded: the file {reason}"),
            enabled: false,
            settings_schema: String::new(),
        }
    }
}

/// Where a rule's bytes come from.
enum Source {
    File(Vec<u8>),
    BuiltIn(&'static [u8]),
}

impl Source {
    fn of(config: &ChainConfig, entry: &RuleEntry) -> Result<Self, Refused> {
        if let Some(path) = config.path(entry) {
            match read_limited(&path) {
                Err(Refused::Read(cause)) if cause.kind() == std::io::ErrorKind::NotFound => {}
                result => return result.map(Source::File),
            }
        }
        match default_rules().iter().find(|(name, _)| *name == entry.file) {
            Some((_, bytes)) => Ok(Source::BuiltIn(bytes)),
            None => Err(Refused::Missing {
                folder: config
                    .folder
                    .as_ref()
                    .map_or("(no rules folder)".into(), |folder| folder.display().to_string()),
                built_in: default_rules().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Source::File(bytes) => bytes,
            Source::BuiltIn(bytes) => bytes,
        }
    }
}

impl ChainConfig {
    /// Where an entry's file would lie in the rules folder.
    pub(super) fn path(&self, entry: &RuleEntry) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(&entry.file))
    }
}

/// Reads a file, but not more of it than a rule may have.
fn read_limited(path: &std::path::Path) -> Result<Vec<u8>, Refused> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(Refused::Read)?;
    let mut bytes = Vec::new();
    file.take(load::SIZE_MAX + 1).read_to_end(&mut bytes).map_err(Refused::Read)?;
    Ok(bytes)
}

/// What a rule's answer to `apply` means for the chain.
enum Outcome {
    Pass { draft: Box<Draft>, edited: Vec<String> },
    Stop(Verdict),
}

/// Takes an appointment through the chain, on a rule thread.
fn judge(steps: &[Step], id: &str, direction: Direction, source: Appointment) -> Trace {
    let call = convert::call(direction, id);
    let source_fields = convert::fields(&source);
    let mut draft = Draft { appointment: source, removed: false, mail_allowed: true };
    let mut traces = Vec::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Apply, Some(direction))) {
        let draft_fields = convert::draft_fields(&draft);
        let (answer, record) = step.callable.call(
            "apply",
            id,
            |rule, store| rule.daybridge_rules_hooks().call_apply(store, &call, &source_fields, &draft_fields),
            |verdict| step.outcome(&draft, verdict),
        );
        step.log(id, &record);
        let fault = answer.as_ref().err().map(|fault| (**fault).clone());
        let mut trace = StepTrace::new(step, record, fault);
        let stopped = match step.tolerate(answer.map(Some)) {
            Err(fault) => Some(Err(*fault)),
            Ok(None) => None,
            Ok(Some(Outcome::Pass { draft: next, edited })) => {
                draft = *next;
                trace.edited = edited;
                None
            }
            Ok(Some(Outcome::Stop(verdict))) => Some(Ok(verdict)),
        };
        traces.push(trace);
        if let Some(verdict) = stopped {
            return Trace { verdict, steps: traces };
        }
    }
    Trace { verdict: Ok(Verdict::Pass(Box::new(draft))), steps: traces }
}

impl StepTrace {
    fn new(step: &Step, record: Record, fault: Option<Fault>) -> Self {
        let Callable { rule, version, step, .. } = &step.callable;
        let Record { elapsed, memory_peak, lines } = record;
        let (rule, version) = (rule.clone(), version.clone());
        Self { step: *step, rule, version, edited: Vec::new(), fault, elapsed, memory_peak, lines }
    }
}

impl Step {
    fn outcome(&self, draft: &Draft, verdict: wit::Verdict) -> Result<Outcome, Bad> {
        let rule = || self.callable.rule.clone();
        Ok(match verdict {
            wit::Verdict::Pass(edits) => {
                if convert::size(&edits) > self.callable.limits.answer {
                    return Err(Bad::TooLarge);
                }
                let edited = edits.iter().map(|edit| edit.name.clone()).collect();
                Outcome::Pass { draft: Box::new(convert::edited(draft, edits).map_err(Bad::Value)?), edited }
            }
            wit::Verdict::Skip(reason) => Outcome::Stop(Verdict::Skip { rule: rule(), reason: clean(&reason) }),
            wit::Verdict::Hold(wit::Pause { seconds, reason }) => {
                let after = Duration::from_secs(seconds.into());
                Outcome::Stop(Verdict::Hold { rule: rule(), reason: clean(&reason), after })
            }
            wit::Verdict::Refuse(wit::Problem { code, message, field, retry, more: _ }) => {
                let message = self.default_message.clone().unwrap_or_else(|| clean(&message));
                let field = field.map(|field| clean(&field));
                Outcome::Stop(Verdict::Refuse(Refusal { rule: rule(), code: clean(&code), message, field, retry }))
            }
        })
    }
}

fn resolve(
    steps: &[Step],
    id: &str,
    direction: Direction,
    source: &Appointment,
    mut open: Vec<Conflict>,
) -> Result<BTreeMap<Field, Resolution>, Box<Fault>> {
    let call = convert::call(direction, id);
    let source = convert::fields(source);
    let mut decided = BTreeMap::new();
    for step in steps.iter().filter(|step| step.answers(Hook::Resolve, Some(direction))) {
        if open.is_empty() {
            break;
        }
        let conflicts: Vec<wit::Conflict> = open.iter().map(convert::conflict).collect();
        let (answer, record) = step.callable.call(
            "resolve",
            id,
            |rule, store| rule.daybridge_rules_hooks().call_resolve(store, &call, &source, &conflicts),
            |answers| convert::resolutions(&open, answers).map_err(Bad::Value),
        );
        step.log(id, &record);
        let more = step.tolerate(answer)?;
        open.retain(|conflict| !more.contains_key(&conflict.field));
        decided.extend(more);
    }
    Ok(decided)
}

fn explain(steps: &[Step], failure: &Failure) -> Result<Option<Explanation>, Box<Fault>> {
    let asked = convert::failure(failure);
    for step in steps.iter().filter(|step| step.answers(Hook::Explain, None)) {
        let (answer, record) = step.callable.call(
            "explain",
            &failure.appointment,
            |rule, store| rule.daybridge_rules_hooks().call_explain(store, &asked),
            |answer| Ok(answer.map(|answer| convert::explanation(&step.callable.rule, answer))),
        );
        step.log(&failure.appointment, &record);
        if let Some(explanation) = step.tolerate(answer)? {
            return Ok(Some(explanation));
        }
    }
    Ok(None)
}

fn match_user(steps: &[Step], person: Person, candidates: &[User]) -> Result<Option<UserId>, Box<Fault>> {
    let person = convert::person(person);
    let users: Vec<wit::User> = candidates.iter().map(convert::user).collect();
    for step in steps.iter().filter(|step| step.answers(Hook::MatchUser, None)) {
        let (answer, record) = step.callable.call(
            "match-user",
            "",
            |rule, store| rule.daybridge_rules_hooks().call_match_user(store, &person, &users),
            |chosen| match chosen {
                None => Ok(None),
                Some(id) if candidates.iter().any(|user| user.id.0 == id) => Ok(Some(UserId(id))),
                Some(_) => Err(Bad::Value("it chose a user who is none of the candidates".to_owned())),
            },
        );
        step.log("", &record);
        if let Some(user) = step.tolerate(answer)? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}
