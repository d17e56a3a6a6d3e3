//! The chain in force: installed, swapped and rolled back while the host runs, and found again at the next start.
//!
//! Promises: a new chain is built whole and tried before it takes the old one's place, by one pointer; if anything is wrong
//! with it the old one stays and the reason names the file. A proposal is put in force only if the generation it was
//! compared with is still the one in force. A generation is on disk before it is in force, with everything it needs. Whoever
//! holds a chain finishes on it. Must not know: what chains do.
//!
//! Code map: `merge` (which of configuration, folder and installations wins), `change` (what a person asks for), `start`,
//! `watch` (the folder, and new generations on probation), `history` (what there is to go back to).

mod change;
mod error;
mod history;
mod merge;
mod start;
mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

pub use change::{Change, Install, Place};
pub use error::LifecycleError;
pub use history::{Compared, DiffSide, HistoryLine, VersionLine};

use super::archive::record::{Cause, EntryRecord, GenerationRecord, Held, Sources, StoredRule};
use super::archive::{Archive, Kept};
use super::chain::{Chain, LoadError};
use super::compile::CompileLimits;
use super::engine::Engine;
use super::entry::{ChainConfig, Origin, Pin, Source};
use super::gate::{Checks, Gate, GateReport, InForce, NoChecks, Passed, Showing};
use super::load::Refused;
use super::lookup::LookupSource;
use super::observe::Observers;
use super::probation::{Probation, Word};
use super::signature::Trust;
use crate::clock::{Clock, SystemClock};
use crate::rules::{Generation, Rules};

/// Chains kept in memory for the way back, besides the one in force.
const CHAINS_MAX: usize = super::archive::GENERATIONS_MIN;
/// Proposals that wait for a person's word. A rule has up to 16 MiB, so few; the oldest is forgotten first.
const PROPOSALS_MAX: usize = 8;

/// What the operator decides about rules that come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSettings {
    pub watch: WatchMode,
    pub keep_generations: usize,
    /// Calls of a changed rule within which a fault takes its generation back; 0 for no probation.
    pub probation_calls: u64,
    /// What compiling one new rule may take.
    pub compile: CompileLimits,
    /// See [`super::EngineOptions::new_sandboxes`].
    pub new_sandboxes: bool,
    pub trust: Trust,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            watch: WatchMode::Swap,
            keep_generations: super::archive::GENERATIONS_MIN,
            probation_calls: 50,
            compile: CompileLimits::default(),
            new_sandboxes: false,
            trust: Trust::default(),
        }
    }
}

/// What a changed file in the rules folder leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMode {
    /// It goes live by itself if nothing speaks against it.
    Swap,
    /// It is tried, and a notice says how to put it in force.
    Stage,
    /// Nothing, until somebody asks.
    Off,
}

/// A message to people about rules, under its stable code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNotice {
    pub code: &'static str,
    /// What it is about; with the code it makes the cause.
    pub about: String,
    pub title: String,
    pub text: String,
    pub hint: String,
}

/// Tells people.
pub type Tell = Arc<dyn Fn(RuleNotice) + Send + Sync>;

/// What the holder of the chain is built from.
#[derive(Clone)]
pub struct Setup {
    pub config: ChainConfig,
    pub engine: Engine,
    pub lookups: Arc<dyn LookupSource>,
    pub observers: Observers,
    /// Where generations are kept; without it in a folder that goes when the chain's holder goes.
    pub archive: Option<PathBuf>,
    pub settings: GateSettings,
    pub checks: Arc<dyn Checks>,
    pub clock: Arc<dyn Clock>,
    pub tell: Tell,
}

impl Setup {
    /// All at its default: nothing is kept, tried or told.
    pub fn new(config: ChainConfig, engine: Engine, lookups: Arc<dyn LookupSource>) -> Self {
        Self {
            config,
            engine,
            lookups,
            observers: Observers::default(),
            archive: None,
            settings: GateSettings::default(),
            checks: Arc::new(NoChecks),
            clock: Arc::new(SystemClock),
            tell: Arc::new(|_| ()),
        }
    }
}

/// Holder of the chain in force. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    current: ArcSwap<Chain>,
    /// Held while a chain is replaced, so that two replacements never cross; never while one is loaded or tried.
    state: Mutex<State>,
    proposals: Mutex<VecDeque<(String, Proposed)>>,
    /// Chains that were in force since the start, by number: what is restored needs no loading.
    chains: Mutex<VecDeque<(u64, Chain)>>,
    /// Where generations on probation say their word, until somebody listens.
    words: Mutex<Option<mpsc::Receiver<Word>>>,
}

/// What does not change while the host runs.
struct Parts {
    gate: Gate,
    observers: Observers,
    archive: Archive,
    /// The archive's folder, where it goes with the host.
    _passing: Option<tempfile::TempDir>,
    settings: GateSettings,
    clock: Arc<dyn Clock>,
    tell: Tell,
    words: mpsc::Sender<Word>,
}

struct State {
    config: ChainConfig,
    record: Arc<GenerationRecord>,
    next: u64,
    /// What configuration or folder ask for, and why it is not in force.
    pending: Option<RuleNotice>,
    proposed: u64,
}

/// Entries with their bytes, and whether each is there by an installation alone.
#[derive(Clone, Default)]
struct PlannedChain {
    pins: Vec<Pin>,
    added: Vec<bool>,
}

impl PlannedChain {
    fn push(&mut self, pin: Pin, added: bool) {
        self.pins.push(pin);
        self.added.push(added);
    }
}

/// Why a generation is to be made, for its record.
#[derive(Clone)]
struct Reason {
    cause: Cause,
    by: String,
    note: String,
    restores: Option<u64>,
    sources: Sources,
}

/// A chain that was tried and may be put in force.
pub struct Proposed {
    pub report: GateReport,
    /// The generation it was compared with.
    base: u64,
    passed: Result<Passed, LoadError>,
    plan: PlannedChain,
    reason: Reason,
    /// The configuration it makes the one in force.
    config: Option<ChainConfig>,
    /// What was brought along, so that it can be stored without being put in force.
    brought: Option<(StoredRule, Source)>,
}

impl Live {
    /// Loads a first chain that is kept nowhere.
    ///
    /// # Errors
    /// [`LifecycleError::Refused`] for the first rule that is not accepted.
    pub fn new(
        config: ChainConfig,
        engine: Engine,
        lookups: Arc<dyn LookupSource>,
        observers: Observers,
    ) -> Result<Self, LifecycleError> {
        Self::open(Setup { observers, ..Setup::new(config, engine, lookups) })
    }

    /// The chain in force. Hold it for one appointment, then ask again.
    pub fn current(&self) -> Arc<Chain> {
        self.shared.current.load_full()
    }

    /// What configuration or folder ask for that is not in force, and why.
    pub fn pending(&self) -> Option<RuleNotice> {
        self.state().pending.clone()
    }

    /// Loads all files again and puts the new chain in force, if nothing speaks against it. Compiles new rules on the
    /// calling thread.
    ///
    /// # Errors
    /// [`LifecycleError`]; the old chain stays then.
    pub fn reload(&self) -> Result<Generation, LifecycleError> {
        self.replace(Change::Reload { fresh: false })
    }

    /// As [`Live::reload`], with the entries of another configuration.
    ///
    /// # Errors
    /// [`LifecycleError`]; the old chain and the old configuration stay then.
    pub fn reload_as(&self, config: ChainConfig) -> Result<Generation, LifecycleError> {
        self.replace(Change::Config { config, fresh: false })
    }

    fn replace(&self, change: Change) -> Result<Generation, LifecycleError> {
        let proposed = self.propose(change, "api")?;
        if proposed.passed.is_ok() && !proposed.report.is_clean() {
            return Err(LifecycleError::Objections { objections: proposed.report.objections });
        }
        self.commit(proposed)
    }

    /// Puts another configuration in force, whatever speaks against it.
    ///
    /// # Errors
    /// [`LifecycleError`]; the old chain and the old configuration stay then.
    pub fn configure(&self, config: ChainConfig) -> Result<Generation, LifecycleError> {
        let proposed = self.propose(Change::Config { config, fresh: false }, "api")?;
        self.commit(proposed)
    }

    /// Builds and tries what a change would make of the chain in force. Compiles and calls rules on the calling thread.
    ///
    /// # Errors
    /// [`LifecycleError`] if there is no such version, generation or place, or the file brought along is refused; that one
    /// of the chain's is stands in the report.
    pub fn propose(&self, change: Change, by: &str) -> Result<Proposed, LifecycleError> {
        self.propose_showing(change, by, Showing::Names)
    }

    /// As [`Live::propose`], with what the report is to show of the recorded calls.
    ///
    /// # Errors
    /// As [`Live::propose`].
    pub fn propose_showing(&self, change: Change, by: &str, showing: Showing) -> Result<Proposed, LifecycleError> {
        let (record, chain, config) = {
            let state = self.state();
            (Arc::clone(&state.record), self.current(), state.config.clone())
        };
        let planned = self.plan(change, &record, &config)?;
        let restores = matches!(planned.cause, Cause::Rollback | Cause::Probation);
        let now = InForce { chain: &chain, entries: &record.entries };
        let (pins, added) = (&planned.chain.pins, &planned.chain.added);
        let whole = pins.iter().all(|pin| pin.source.is_ok() || !pin.entry.enabled);
        let known = planned.restores.filter(|_| whole).and_then(|number| self.remembered(number));
        let gate = self.shared.parts.gate.clone().showing(showing);
        // The way back is short: what is restored was tried before it was in force.
        let (mut report, passed) = match known {
            Some(chain) => {
                let (report, passed) = gate.untried().tried(chain, pins, added, Some(&now));
                (report, Ok(passed))
            }
            None if restores => gate.untried().pass(pins, added, Some(&now)),
            None => gate.pass(pins, added, Some(&now)),
        };
        report.tried_before = restores;
        let change::Planned { chain: plan, sources, cause, note, restores, config, brought } = planned;
        let reason = Reason { cause, by: by.to_owned(), note, restores, sources };
        Ok(Proposed { report, base: record.number, passed, plan, reason, config, brought })
    }

    /// Puts a proposed chain in force: one pointer, and on disk before that.
    ///
    /// # Errors
    /// [`LifecycleError::Stale`] if another generation came in between, [`LifecycleError::Refused`] if a file was not
    /// accepted, [`LifecycleError::Archive`] if it cannot be kept. The old chain stays then.
    pub fn commit(&self, proposed: Proposed) -> Result<Generation, LifecycleError> {
        let Proposed { report, base, passed, plan, reason, config, brought: _ } = proposed;
        let passed = passed.map_err(LifecycleError::Refused)?;
        let (shared, mut state) = (&self.shared, self.state());
        if state.record.number != base {
            return Err(LifecycleError::Stale { base, current: state.record.number });
        }
        let from_outside = matches!(reason.cause, Cause::Config | Cause::Folder);
        let (asked, then) = (&reason.sources, &state.record.sources);
        if report.unchanged && asked.same_files(then) && asked.config == then.config {
            if from_outside {
                state.pending = None;
            }
            if let Some(config) = config {
                state.config = config;
            }
            return Ok(self.current().generation());
        }
        let number = state.next;
        // A number is spent even if what follows fails: nobody can tell what came to the disk.
        state.next += 1;
        let changed: Vec<String> = report.rules.iter().map(|change| change.rule.clone()).collect();
        let (record, chain) = shared.parts.establish(number, passed, &plan, reason, Some(base), &changed)?;
        let generation = chain.generation();
        self.remember(number, &chain);
        shared.current.store(Arc::new(chain));
        audit(&record);
        state.record = Arc::new(record);
        if let Some(config) = config {
            state.config = config;
        }
        if from_outside {
            state.pending = None;
        }
        drop(state);
        shared.parts.prune();
        Ok(generation)
    }

    /// Keeps a proposal for a person who thinks about it; answers the name under which it waits.
    pub fn hold(&self, proposed: Proposed) -> String {
        let name = {
            let mut state = self.state();
            state.proposed += 1;
            format!("{}-{}", proposed.base, state.proposed)
        };
        let mut proposals = self.shared.proposals.lock().unwrap_or_else(PoisonError::into_inner);
        proposals.push_back((name.clone(), proposed));
        if proposals.len() > PROPOSALS_MAX {
            proposals.pop_front();
        }
        name
    }

    /// Takes a proposal that was kept.
    ///
    /// # Errors
    /// [`LifecycleError::NoProposal`] if it was taken already or forgotten.
    pub fn take(&self, name: &str) -> Result<Proposed, LifecycleError> {
        let mut proposals = self.shared.proposals.lock().unwrap_or_else(PoisonError::into_inner);
        let at = proposals.iter().position(|(known, _)| known == name);
        at.and_then(|at| proposals.remove(at)).map(|(_, proposed)| proposed).ok_or(LifecycleError::NoProposal)
    }

    /// Keeps the file of a proposal in the archive without putting it in force. Answers its digest.
    ///
    /// # Errors
    /// [`LifecycleError`] if it brought none, or was refused, or it cannot be written.
    pub fn store(&self, proposed: Proposed) -> Result<String, LifecycleError> {
        proposed.passed.map_err(LifecycleError::Refused)?;
        let (rule, source) = proposed.brought.ok_or(LifecycleError::NothingToStore)?;
        let archive = &self.shared.parts.archive;
        let _alone = self.state();
        archive.keep(&rule.digest, &source.kept()).map_err(LifecycleError::Archive)?;
        let digest = rule.digest.clone();
        tracing::info!(
            rule.name = rule.rule,
            rule.version,
            rule.digest = digest,
            rules.by = proposed.reason.by,
            "Rule {} {} stored, not in force",
            rule.rule,
            rule.version
        );
        archive.store(rule).map_err(LifecycleError::Archive)?;
        Ok(digest)
    }

    /// A chain that was in force since the host started.
    fn remembered(&self, number: u64) -> Option<Chain> {
        let chains = self.shared.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.iter().find(|(known, _)| *known == number).map(|(_, chain)| chain.clone())
    }

    fn remember(&self, number: u64, chain: &Chain) {
        let mut chains = self.shared.chains.lock().unwrap_or_else(PoisonError::into_inner);
        chains.push_back((number, chain.clone()));
        if chains.len() > CHAINS_MAX {
            chains.pop_front();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    /// Writes a generation down and makes its chain ready to be in force.
    fn establish(
        &self,
        number: u64,
        passed: Passed,
        plan: &PlannedChain,
        reason: Reason,
        before: Option<u64>,
        changed: &[String],
    ) -> Result<(GenerationRecord, Chain), LifecycleError> {
        let Reason { cause, by, note, restores, sources } = reason;
        let digest = passed.chain.generation().digest;
        let (at, entries) = (self.clock.now(), passed.entries);
        let record = GenerationRecord { number, digest, at, cause, by, note, before, restores, sources, entries };
        for (pin, entry) in plan.pins.iter().zip(&record.entries) {
            if let (Ok(source), Some(digest)) = (&pin.source, &entry.digest) {
                self.archive.keep(digest, &source.kept()).map_err(LifecycleError::Archive)?;
            }
        }
        self.archive.write(&record).map_err(LifecycleError::Archive)?;
        let on_probation = cause.on_probation() && before.is_some();
        let chain = self.ready(passed.chain, number, on_probation.then_some(changed));
        Ok((record, chain))
    }

    /// A chain with its number and those who listen; with the changed rules, if it is on probation.
    fn ready(&self, chain: Chain, number: u64, changed: Option<&[String]>) -> Chain {
        let calls = self.settings.probation_calls;
        let observers = match changed.filter(|changed| calls > 0 && !changed.is_empty()) {
            None => self.observers.clone(),
            Some(changed) => {
                let changed = changed.iter().cloned();
                self.observers.and(Arc::new(Probation::new(number, calls, changed, self.words.clone())))
            }
        };
        chain.numbered(number).observed(&observers)
    }

    fn prune(&self) {
        if let Err(error) = self.archive.prune(self.settings.keep_generations) {
            tracing::warn!(error = %crate::error::Chain(&error), "Old generations of rules are still on disk");
        }
    }

    /// The archived file of an entry.
    fn archived(&self, record: &EntryRecord) -> Result<Source, Arc<Refused>> {
        let failed = |reason: String| Arc::new(Refused::Archive(reason));
        let digest = record.digest.as_deref().unwrap_or_default();
        let kept = self.archive.file(digest).map_err(|error| {
            failed(format!(
                "cannot be taken from the archive: {}; install it again: daybridge rules install {}",
                crate::error::Chain(&error),
                record.file
            ))
        })?;
        let Kept { bytes, signature, fixtures, built_in } = kept;
        let source = Source::new(bytes, record.origin(), signature);
        let built_in = built_in || source.built_in;
        Ok(Source { beside: Ok(fixtures), built_in, ..source })
    }

    /// A file the operator trusts, or why not.
    fn trusted(&self, source: Result<Source, Arc<Refused>>) -> Result<Source, Arc<Refused>> {
        self.settings.trust.check(source?).map_err(Arc::new)
    }

    /// The files of a generation that was written down.
    fn pins(&self, record: &GenerationRecord) -> Result<PlannedChain, LifecycleError> {
        let mut plan = PlannedChain::default();
        for entry in &record.entries {
            let unknown = |what| LifecycleError::NotUnderstood { number: record.number, what };
            let source = match entry.digest {
                // It was off and had no file.
                None => Err(Arc::new(Refused::Archive("had no file".to_owned()))),
                Some(_) => self.trusted(self.archived(entry)),
            };
            plan.push(Pin { entry: entry.entry().map_err(unknown)?, source }, entry.added);
        }
        Ok(plan)
    }
}

/// What is written down of the entries of a chain that loaded.
pub(super) fn records(chain: &Chain, pins: &[Pin], added: &[bool]) -> Vec<EntryRecord> {
    let record = |((pin, info), added): ((&Pin, &super::chain::RuleInfo), &bool)| {
        let source = pin.source.as_ref().ok();
        let held = Held {
            added: *added,
            origin: source.map_or(Origin::Folder, |source| source.origin),
            digest: source.map(|source| source.digest.clone()),
            rule: info.name.clone(),
            version: info.version.clone(),
            bytes: source.map_or(0, |source| source.bytes.len() as u64),
        };
        EntryRecord::new(&pin.entry, held)
    };
    pins.iter().zip(chain.list()).zip(added).map(record).collect()
}

/// The line that says who changed what, without personal data.
fn audit(record: &GenerationRecord) {
    let GenerationRecord { number, digest, cause, by, note, .. } = record;
    tracing::info!(
        rules.generation = number,
        rules.digest = digest,
        rules.cause = cause.name(),
        rules.by = by,
        "Rules in force: generation {number} ({note})"
    );
}
