//! Which chain a host starts with.
//!
//! Promises: what was installed or rolled back is in force again after a restart; a generation or file that is damaged never
//! keeps the host from starting with what the configuration says; a configuration that is refused does not either, if there
//! is a generation to go on with. Every such step aside is told. Must not know: what calls of rules do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use super::{LifecycleError, Live, Parts, PlannedChain, Reason, RuleNotice, Setup, Shared, State, WatchMode, audit};
use crate::error::Chain as Causes;
use crate::plugin::archive::Archive;
use crate::plugin::archive::record::{Cause, GenerationRecord};
use crate::plugin::chain::Chain;
use crate::plugin::entry::ChainConfig;
use crate::plugin::gate::{Gate, GateReport, InForce, Showing};
use crate::plugin::probation::WORDS_MAX;

/// A chain to start with.
struct Begun {
    record: GenerationRecord,
    chain: Chain,
    pending: Option<RuleNotice>,
}

impl Live {
    /// Finds the chain to start with: the generation that was in force when the host stopped, unless configuration or
    /// folder have changed since.
    ///
    /// # Errors
    /// [`LifecycleError`] if neither the configuration nor any generation gives a chain.
    pub fn open(setup: Setup) -> Result<Self, LifecycleError> {
        let Setup { config, engine, lookups, observers, archive, settings, checks, clock, tell } = setup;
        let passing = match &archive {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|cause| {
                let act = "make a folder in";
                LifecycleError::Archive(crate::plugin::archive::ArchiveError::Io {
                    act,
                    path: std::env::temp_dir(),
                    cause,
                })
            })?),
        };
        let folder = passing.as_ref().map(|passing| passing.path().to_owned()).or(archive).unwrap_or_default();
        let archive = Archive::open(&folder).map_err(LifecycleError::Archive)?;
        let (words, said) = mpsc::channel(WORDS_MAX);
        let gate = Gate { engine: engine.for_host(), lookups, checks, showing: Showing::Names };
        let parts = Parts { gate, observers, archive, _passing: passing, settings, clock, tell, words };
        let numbers = parts.archive.numbers().map_err(LifecycleError::Archive)?;
        let mut next = numbers.last().map_or(1, |last| last + 1);
        let begun = parts.begin(&config, numbers.last().copied(), &mut next)?;
        parts.prune();
        let Begun { record, chain, pending } = begun;
        let state = State { config, record: Arc::new(record), next, pending, proposed: 0 };
        let shared = Shared {
            parts,
            chains: Mutex::new(VecDeque::from([(state.record.number, chain.clone())])),
            current: ArcSwap::from_pointee(chain),
            state: Mutex::new(state),
            proposals: Mutex::new(VecDeque::new()),
            words: Mutex::new(Some(said)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Parts {
    fn begin(&self, config: &ChainConfig, last: Option<u64>, next: &mut u64) -> Result<Begun, LifecycleError> {
        let Some(number) = last else { return self.as_configured(config, None, next) };
        let record = match self.archive.read(number) {
            Ok(record) => record,
            Err(error) => {
                (self.tell)(unreadable(number, &Causes(&error).to_string()));
                return self.as_configured(config, None, next);
            }
        };
        let kept = self.as_it_was(&record);
        if let Err(error) = &kept {
            (self.tell)(unreadable(number, &Causes(error).to_string()));
        }
        let merged = self.merge(config, Some(&record), false);
        match (merged.changed, kept) {
            (None, Ok(chain)) => Ok(self.go_on(record, chain, None)),
            // Files alone do not go live by themselves where the operator said so.
            (Some(Cause::Folder), Ok(chain)) if self.settings.watch != WatchMode::Swap => {
                let pending = (self.settings.watch == WatchMode::Stage).then(|| not_taken(&waits(), &record));
                if let Some(notice) = &pending {
                    (self.tell)(notice.clone());
                }
                Ok(self.go_on(record, chain, pending))
            }
            (changed, Ok(chain)) => {
                let now = InForce { chain: &chain, entries: &record.entries };
                let (report, passed) = self.gate.pass(&merged.plan.pins, &merged.plan.added, Some(&now));
                match passed {
                    Ok(passed) if report.is_clean() => {
                        let cause = changed.unwrap_or(Cause::Start);
                        let reason = reason(cause, merged.sources);
                        let changed: Vec<String> = report.rules.into_iter().map(|change| change.rule).collect();
                        self.begin_with(*next, passed, &merged.plan, reason, Some((number, &changed)), next)
                    }
                    _ => {
                        let notice = not_taken(&against(&report), &record);
                        (self.tell)(notice.clone());
                        Ok(self.go_on(record, chain, Some(notice)))
                    }
                }
            }
            (_, Err(_)) => self.as_configured(config, Some(&record), next),
        }
    }

    /// A first generation, or one in place of a generation that cannot be used.
    fn as_configured(
        &self,
        config: &ChainConfig,
        lost: Option<&GenerationRecord>,
        next: &mut u64,
    ) -> Result<Begun, LifecycleError> {
        let merged = self.merge(config, None, true);
        let (_, passed) = self.gate.untried().pass(&merged.plan.pins, &merged.plan.added, None);
        let passed = passed.map_err(LifecycleError::Refused)?;
        let before = lost.map(|lost| (lost.number, &[][..]));
        self.begin_with(*next, passed, &merged.plan, reason(Cause::Start, merged.sources), before, next)
    }

    fn begin_with(
        &self,
        number: u64,
        passed: crate::plugin::gate::Passed,
        plan: &PlannedChain,
        reason: Reason,
        before: Option<(u64, &[String])>,
        next: &mut u64,
    ) -> Result<Begun, LifecycleError> {
        *next = number + 1;
        let changed = before.map_or(&[][..], |(_, changed)| changed);
        let (record, chain) =
            self.establish(number, passed, plan, reason, before.map(|(number, _)| number), changed)?;
        audit(&record);
        Ok(Begun { record, chain, pending: None })
    }

    /// The chain of a generation that was written down.
    pub(super) fn as_it_was(&self, record: &GenerationRecord) -> Result<Chain, LifecycleError> {
        let plan = self.pins(record)?;
        Chain::of(&plan.pins, &self.gate.engine, &self.gate.lookups).map_err(LifecycleError::Refused)
    }

    /// Goes on with a generation; on probation as before, if it had not come through.
    fn go_on(&self, record: GenerationRecord, chain: Chain, pending: Option<RuleNotice>) -> Begun {
        let before = record.before.and_then(|before| self.archive.read(before).ok());
        let unproven = record.cause.on_probation() && self.archive.proven() < record.number;
        let changed: Option<Vec<String>> = before.filter(|_| unproven).map(|before| {
            let changed = record.entries.iter().filter(|entry| !before.entries.contains(entry));
            changed.map(|entry| entry.rule.clone()).collect()
        });
        let chain = self.ready(chain, record.number, changed.as_deref());
        tracing::info!(
            rules.generation = record.number,
            rules.digest = record.digest,
            "Rules in force: generation {} as before",
            record.number
        );
        Begun { record, chain, pending }
    }
}

fn reason(cause: Cause, sources: crate::plugin::archive::record::Sources) -> Reason {
    Reason { cause, by: "start".into(), note: "configuration and folder".into(), restores: None, sources }
}

fn waits() -> String {
    "files in the rules folder, or built-in ones, have changed".to_owned()
}

/// What speaks against a chain, in a line.
pub(super) fn against(report: &GateReport) -> String {
    match &report.refused {
        Some(refused) => refused.message.clone(),
        None => report.objections.join("; "),
    }
}

fn unreadable(number: u64, what: &str) -> RuleNotice {
    RuleNotice {
        code: "generation-damaged",
        about: format!("rules generation {number}"),
        title: format!("Generation {number} of the rules cannot be used"),
        text: format!("{what}; the host starts with what the configuration says"),
        hint: "what was installed or restored is not in force: look at `daybridge rules list --versions`, install it again, or restore a backup of the data folder".to_owned(),
    }
}

fn not_taken(what: &str, record: &GenerationRecord) -> RuleNotice {
    RuleNotice {
        code: "rules-not-taken",
        about: format!("rules generation {}", record.number),
        title: "The rules that configuration and folder ask for are not in force".to_owned(),
        text: format!("{what}; the host goes on with generation {}", record.number),
        hint: "mend what the message names, then restart or: daybridge rules reload".to_owned(),
    }
}
