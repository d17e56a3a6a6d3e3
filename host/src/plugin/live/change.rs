//! What a person asks of the rules in force, and what the chain would be then.
//!
//! Promises: changes nothing; what is asked for by name is found or told as missing. Must not know: whether the result is
//! any good.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::{LifecycleError, Live, PlannedChain};
use crate::plugin::archive::record::{Cause, EntryRecord, GenerationRecord, Sources, StoredRule};
use crate::plugin::chain::LoadError;
use crate::plugin::entry::{ChainConfig, Origin, Pin, RuleEntry, Source};
use crate::plugin::load;
use crate::plugin::lookup::Kind;

/// Letters a rule file's name may have.
const NAME_MAX: usize = 128;

/// A change of the rules in force.
#[derive(Clone, Debug)]
pub enum Change {
    /// What configuration and rules folder ask for now; with `fresh`, as if nothing had been installed or restored.
    Reload {
        fresh: bool,
    },
    /// Another configuration; with `fresh`, as if nothing had been installed or restored.
    Config {
        config: ChainConfig,
        fresh: bool,
    },
    Install(Install),
    /// `RULE@VERSION`, or the first letters of a digest: a version that is kept takes its rule's place.
    Swap(String),
    /// The rules and settings of a generation; without a number, of the one before.
    Restore(Option<u64>),
}

/// A file that is to become a rule.
#[derive(Clone, Debug)]
pub struct Install {
    /// The file's own name.
    pub file: String,
    pub bytes: Bytes,
    /// Its signature in minisign's format.
    pub signature: Option<String>,
    /// A script's fixtures, as a JSON array.
    pub fixtures: Option<String>,
    /// The name it is to have, instead of its own.
    pub name: Option<String>,
    /// Without a place: that of the rule it takes the place of, or the end.
    pub place: Option<Place>,
    /// Settings instead of those it has or inherits.
    pub settings: Option<Map<String, Json>>,
    /// Look-ups it may use, besides those it inherits.
    pub grant: Vec<String>,
}

/// A place in the chain, by the name of a rule or its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Before(String),
    After(String),
}

/// A change, worked out.
pub(super) struct Planned {
    pub chain: PlannedChain,
    pub sources: Sources,
    pub cause: Cause,
    pub note: String,
    pub restores: Option<u64>,
    pub config: Option<ChainConfig>,
    pub brought: Option<(StoredRule, Source)>,
}

impl Live {
    /// What the chain would be after a change.
    pub(super) fn plan(
        &self,
        change: Change,
        now: &GenerationRecord,
        config: &ChainConfig,
    ) -> Result<Planned, LifecycleError> {
        match change {
            Change::Reload { fresh } => {
                let mut planned = self.wished(config, now, fresh);
                planned.note = if fresh { "configuration and folder alone" } else { "configuration and folder" }.into();
                Ok(planned)
            }
            Change::Config { config, fresh } => {
                let mut planned = self.wished(&config, now, fresh);
                planned.note = if fresh { "configuration and folder alone" } else { "configuration and folder" }.into();
                planned.config = Some(config);
                Ok(planned)
            }
            Change::Install(install) => self.install(install, now),
            Change::Swap(asked) => self.swap(&asked, now),
            Change::Restore(number) => self.restore(number, now),
        }
    }

    fn wished(&self, config: &ChainConfig, now: &GenerationRecord, fresh: bool) -> Planned {
        let merged = self.shared.parts.merge(config, Some(now), fresh);
        let cause = merged.changed.unwrap_or(Cause::Folder);
        Planned { sources: merged.sources, note: cause.name().into(), ..planned(merged.plan, now, cause) }
    }

    fn install(&self, install: Install, now: &GenerationRecord) -> Result<Planned, LifecycleError> {
        let Install { file, bytes, signature, fixtures, name, place, settings, grant } = install;
        let file = file_name(&file, name)?;
        let mut source = Source::new(bytes, Origin::Installed, signature);
        source.beside = Ok(fixtures.unwrap_or_default().into());
        let refused = |problem| LifecycleError::Refused(LoadError { file: file.clone(), problem: Arc::new(problem) });
        let parts = &self.shared.parts;
        let source = parts.settings.trust.check(source).map_err(refused)?;
        let limits = now.entries.iter().find(|entry| entry.file == file).and_then(|entry| entry.entry().ok());
        let limits = limits.map(|entry| entry.limits).unwrap_or_default();
        let load::Accepted { about, callable } =
            load::accept(&parts.gate.engine, &file, &source.bytes, &limits).map_err(refused)?;
        let mut chain = parts.pins(now)?;
        let known = position(&now.entries, &file).or_else(|| position(&now.entries, &about.name));
        let mut pin = Pin { entry: RuleEntry::new(&file), source: Ok(source.clone()) };
        let mut added = true;
        if let Some(at) = known.filter(|at| *at < chain.pins.len()) {
            pin.entry = chain.pins.remove(at).entry;
            pin.entry.enabled = true;
            added = chain.added.remove(at);
        }
        if let Some(settings) = settings {
            pin.entry.settings = settings;
        }
        for kind in grant {
            let kind = Kind::named(&kind).ok_or(LifecycleError::NoLookup { kind })?;
            if !pin.entry.lookups.contains(&kind) {
                pin.entry.lookups.push(kind);
            }
        }
        let others: Vec<EntryRecord> = now
            .entries
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != known)
            .map(|(_, entry)| entry.clone())
            .collect();
        let at = match &place {
            None => known.unwrap_or(others.len()),
            Some(Place::Before(rule)) => found(&others, rule)?,
            Some(Place::After(rule)) => found(&others, rule)? + 1,
        };
        chain.pins.insert(at.min(chain.pins.len()), pin);
        chain.added.insert(at.min(chain.added.len()), added);
        let stored = StoredRule {
            digest: callable.identity.digest.clone(),
            file,
            rule: about.name.clone(),
            version: about.version.clone(),
            bytes: source.bytes.len() as u64,
            at: parts.clock.now(),
        };
        let note = format!("installed {} {} ({:.12})", about.name, about.version, stored.digest);
        Ok(Planned { note, brought: Some((stored, source)), ..planned(chain, now, Cause::Install) })
    }

    fn swap(&self, asked: &str, now: &GenerationRecord) -> Result<Planned, LifecycleError> {
        let version = self.version(asked)?;
        let parts = &self.shared.parts;
        let mut chain = parts.pins(now)?;
        let record = EntryRecord::unlisted(&version.file, &version.digest);
        let source =
            parts.trusted(parts.archived(&record)).map(|source| Source { origin: Origin::Installed, ..source });
        let same = now.entries.iter().position(|entry| entry.rule == version.rule);
        match same.or_else(|| position(&now.entries, &version.file)) {
            Some(at) => chain.pins.iter_mut().skip(at).take(1).for_each(|pin| pin.source = source.clone()),
            None => chain.push(Pin { entry: RuleEntry::new(&version.file), source }, true),
        }
        let note = format!("swapped in {} {} ({:.12})", version.rule, version.version, version.digest);
        Ok(Planned { note, ..planned(chain, now, Cause::Swap) })
    }

    fn restore(&self, number: Option<u64>, now: &GenerationRecord) -> Result<Planned, LifecycleError> {
        let number = match number {
            Some(number) => number,
            None => self.before(now)?,
        };
        let parts = &self.shared.parts;
        let record = parts.archive.read(number).map_err(|error| match error {
            crate::plugin::archive::ArchiveError::Io { ref cause, .. }
                if cause.kind() == std::io::ErrorKind::NotFound =>
            {
                LifecycleError::NoGeneration { number }
            }
            error => LifecycleError::Archive(error),
        })?;
        let chain = parts.pins(&record)?;
        let note = format!("restores {number}");
        Ok(Planned { note, restores: Some(number), ..planned(chain, now, Cause::Rollback) })
    }

    /// The generation before the one in force. What restores an earlier one counts as that one, so that one way back after
    /// another leads further back and not to and fro.
    fn before(&self, now: &GenerationRecord) -> Result<u64, LifecycleError> {
        let archive = &self.shared.parts.archive;
        let mut before = now.before;
        let mut restored = now.restores;
        // A restored generation has a lower number than the one that restores it, so this ends.
        while let Some(number) = restored {
            let record = archive.read(number).map_err(|_| LifecycleError::NothingBefore)?;
            (before, restored) = (record.before, record.restores.filter(|lower| *lower < number));
        }
        before.ok_or(LifecycleError::NothingBefore)
    }
}

/// A change that leaves everything but the chain as it is recorded now.
fn planned(chain: PlannedChain, now: &GenerationRecord, cause: Cause) -> Planned {
    let sources = now.sources.clone();
    Planned { chain, sources, cause, note: String::new(), restores: None, config: None, brought: None }
}

/// The name under which a file is to be known.
fn file_name(own: &str, wanted: Option<String>) -> Result<String, LifecycleError> {
    let end = if own.ends_with(".js") { ".js" } else { ".wasm" };
    let mut file = wanted.unwrap_or_else(|| own.to_owned());
    if !file.ends_with(".wasm") && !file.ends_with(".js") {
        file.push_str(end);
    }
    let plain = |letter: char| letter.is_alphanumeric() || "-_.+ ".contains(letter);
    if file.len() > NAME_MAX || file.starts_with(['.', ' ']) || !file.chars().all(plain) {
        return Err(LifecycleError::FileName { file });
    }
    Ok(file)
}

/// Where a rule stands, by its name or its file's.
fn position(entries: &[EntryRecord], asked: &str) -> Option<usize> {
    entries
        .iter()
        .position(|entry| entry.file == asked)
        .or_else(|| entries.iter().position(|entry| entry.rule == asked))
}

fn found(entries: &[EntryRecord], rule: &str) -> Result<usize, LifecycleError> {
    position(entries, rule)
        .or_else(|| position(entries, &format!("{rule}.wasm")))
        .ok_or_else(|| LifecycleError::NoRule { rule: rule.to_owned() })
}
