//! What there is to go back to, and what differs between any two of it.
//!
//! Promises: changes nothing; what is damaged is listed as such. Must not know: how it is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{LifecycleError, Live, PlannedChain};
use crate::plugin::archive::record::{EntryRecord, GenerationRecord};
use crate::plugin::chain::{Chain, LoadError};
use crate::plugin::entry::{Origin, Pin, Source};
use crate::plugin::gate::{Gate, GateReport, InForce, ReplaySummary, RuleChange, Showing, file_lines};
use crate::plugin::limits::Limits;
use crate::plugin::load;

/// Letters of a digest that are enough to name a version.
const DIGEST_MIN: usize = 4;

/// One generation that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryLine {
    pub number: u64,
    pub current: bool,
    pub at: Option<DateTime<Utc>>,
    pub cause: String,
    /// Who asked for it: `start`, `folder`, `control` (command line and API), `host`.
    pub by: String,
    pub note: String,
    pub digest: String,
    pub restores: Option<u64>,
    /// Why it cannot be restored.
    pub damaged: Option<String>,
}

/// One version of a rule that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionLine {
    pub rule: String,
    pub version: String,
    /// Hex SHA-256.
    pub digest: String,
    pub file: String,
    pub bytes: u64,
    pub current: bool,
    /// Generations that name it, lowest first; none if it was stored only.
    pub generations: Vec<u64>,
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub enum DiffSide {
    Generation(u64),
    /// `RULE@VERSION`, or the first letters of a digest.
    Version(String),
    File {
        name: String,
        bytes: Bytes,
    },
}

/// What differs between two generations, or two versions of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub rules: Vec<RuleChange>,
    /// By rule, what differs between the files themselves.
    pub files: BTreeMap<String, Vec<String>>,
    pub replay: Option<ReplaySummary>,
}

impl Live {
    /// The generations that are kept, newest first.
    ///
    /// # Errors
    /// [`LifecycleError::Archive`].
    pub fn history(&self) -> Result<Vec<HistoryLine>, LifecycleError> {
        let current = self.state().record.number;
        let archive = &self.shared.parts.archive;
        let numbers = archive.numbers().map_err(LifecycleError::Archive)?;
        let line = |number: u64| match archive.read(number) {
            Ok(record) => HistoryLine {
                number,
                current: number == current,
                at: Some(record.at),
                cause: record.cause.name().to_owned(),
                by: record.by,
                note: record.note,
                digest: record.digest,
                restores: record.restores,
                damaged: None,
            },
            Err(error) => HistoryLine {
                number,
                current: number == current,
                at: None,
                cause: String::new(),
                by: String::new(),
                note: String::new(),
                digest: String::new(),
                restores: None,
                damaged: Some(crate::error::Chain(&error).to_string()),
            },
        };
        Ok(numbers.into_iter().rev().map(line).collect())
    }

    /// The versions of rules that are kept, by rule.
    ///
    /// # Errors
    /// [`LifecycleError::Archive`].
    pub fn versions(&self) -> Result<Vec<VersionLine>, LifecycleError> {
        let now = Arc::clone(&self.state().record);
        let archive = &self.shared.parts.archive;
        let mut found: BTreeMap<(String, String), VersionLine> = BTreeMap::new();
        for number in archive.numbers().map_err(LifecycleError::Archive)? {
            for entry in archive.read(number).map(|record| record.entries).unwrap_or_default() {
                let Some(digest) = entry.digest else { continue };
                let current = now.entries.iter().any(|known| known.digest.as_ref() == Some(&digest));
                let line = found.entry((entry.rule.clone(), digest.clone())).or_insert_with(|| VersionLine {
                    rule: entry.rule,
                    version: entry.version,
                    digest,
                    file: entry.file,
                    bytes: entry.bytes,
                    current,
                    generations: Vec::new(),
                });
                line.generations.push(number);
            }
        }
        for stored in archive.stored() {
            let known = found.keys().any(|(_, digest)| *digest == stored.digest);
            if !known {
                let key = (stored.rule.clone(), stored.digest.clone());
                let (rule, version, digest, file, bytes) =
                    (stored.rule, stored.version, stored.digest, stored.file, stored.bytes);
                let line = VersionLine { rule, version, digest, file, bytes, current: false, generations: Vec::new() };
                found.insert(key, line);
            }
        }
        Ok(found.into_values().collect())
    }

    /// The version a person means by `RULE@VERSION` or the first letters of a digest.
    pub(super) fn version(&self, asked: &str) -> Result<VersionLine, LifecycleError> {
        let all = self.versions()?;
        let fits = |line: &&VersionLine| match asked.split_once('@') {
            Some((rule, version)) => line.rule == rule && (line.version == version || by_digest(&line.digest, version)),
            None => by_digest(&line.digest, asked),
        };
        let mut found: Vec<&VersionLine> = all.iter().filter(fits).collect();
        found.dedup_by(|one, other| one.digest == other.digest);
        match found.as_slice() {
            [] => Err(LifecycleError::NoVersion { asked: asked.to_owned() }),
            [one] => Ok((*one).clone()),
            many => Err(LifecycleError::Ambiguous {
                asked: asked.to_owned(),
                found: many.iter().map(|line| format!("{:.12}", line.digest)).collect(),
            }),
        }
    }

    /// What differs; with a replay, also what the recorded calls would give.
    ///
    /// # Errors
    /// [`LifecycleError`] if a side is not there, cannot be loaded, or the two are unlike.
    pub fn diff(&self, old: DiffSide, new: DiffSide, replay: Option<Showing>) -> Result<Compared, LifecycleError> {
        match (old, new) {
            (DiffSide::Generation(old), DiffSide::Generation(new)) => self.diff_generations(old, new, replay),
            (DiffSide::Generation(_), _) | (_, DiffSide::Generation(_)) => Err(LifecycleError::Unlike),
            (old, new) => self.diff_files(&old, &new, replay),
        }
    }

    fn diff_generations(&self, old: u64, new: u64, replay: Option<Showing>) -> Result<Compared, LifecycleError> {
        let parts = &self.shared.parts;
        let read = |number| parts.archive.read(number).map_err(LifecycleError::Archive);
        let (old, new) = (read(old)?, read(new)?);
        let chain = parts.as_it_was(&old)?;
        let gate = match replay {
            Some(showing) => parts.gate.without_fixtures().showing(showing),
            None => parts.gate.untried(),
        };
        let plan = parts.pins(&new)?;
        let (report, passed) =
            gate.pass(&plan.pins, &plan.added, Some(&InForce { chain: &chain, entries: &old.entries }));
        passed.map_err(LifecycleError::Refused)?;
        let mut compared = Compared { rules: report.rules, replay: report.replay, ..Compared::default() };
        for change in &compared.rules {
            let file = |record: &GenerationRecord| {
                let entry = record.entries.iter().find(|entry| entry.rule == change.rule)?.clone();
                Some(Named { source: parts.archived(&entry).ok()?, file: entry.file })
            };
            if let (Some(old), Some(new)) = (file(&old), file(&new)) {
                let lines = self.lines(&old, &new)?;
                compared.files.extend((!lines.is_empty()).then(|| (change.rule.clone(), lines)));
            }
        }
        Ok(compared)
    }

    fn diff_files(&self, old: &DiffSide, new: &DiffSide, replay: Option<Showing>) -> Result<Compared, LifecycleError> {
        let (old, new) = (self.source(old)?, self.source(new)?);
        let name = self.about(&old)?.name;
        let lines = self.lines(&old, &new)?;
        let mut compared = Compared { files: BTreeMap::from([(name.clone(), lines)]), ..Compared::default() };
        if let Some(showing) = replay {
            let record = Arc::clone(&self.state().record);
            let gate = &self.shared.parts.gate;
            let (before, after) = (self.with(&record, &name, &old.source)?, self.with(&record, &name, &new.source)?);
            let chain = Chain::of(&before.pins, &gate.engine, &gate.lookups).map_err(LifecycleError::Refused)?;
            let trying = gate.without_fixtures().showing(showing);
            let (report, passed): (GateReport, _) =
                trying.pass(&after.pins, &after.added, Some(&InForce { chain: &chain, entries: &[] }));
            passed.map_err(LifecycleError::Refused)?;
            compared.replay = report.replay;
        }
        Ok(compared)
    }

    /// The chain in force with another file for one of its rules.
    fn with(&self, record: &GenerationRecord, rule: &str, source: &Source) -> Result<PlannedChain, LifecycleError> {
        let mut plan = self.shared.parts.pins(record)?;
        let at = record.entries.iter().position(|entry| entry.rule == rule);
        let pin: Option<&mut Pin> = at.and_then(|at| plan.pins.get_mut(at));
        let pin = pin.ok_or_else(|| LifecycleError::NoRule { rule: rule.to_owned() })?;
        pin.source = Ok(source.clone());
        Ok(plan)
    }

    fn source(&self, side: &DiffSide) -> Result<Named, LifecycleError> {
        match side {
            DiffSide::File { name, bytes } => {
                Ok(Named { file: name.clone(), source: Source::new(bytes.clone(), Origin::Installed, None) })
            }
            DiffSide::Version(asked) => {
                let version = self.version(asked)?;
                let record = EntryRecord::unlisted(&version.file, &version.digest);
                match self.shared.parts.archived(&record) {
                    Ok(source) => Ok(Named { file: version.file, source }),
                    Err(problem) => Err(LifecycleError::Refused(LoadError { file: version.file, problem })),
                }
            }
            DiffSide::Generation(_) => Err(LifecycleError::Unlike),
        }
    }

    fn about(&self, Named { file, source }: &Named) -> Result<load::About, LifecycleError> {
        let accepted = load::accept(&self.shared.parts.gate.engine, file, &source.bytes, &Limits::default());
        let refused = |problem| LoadError { file: file.clone(), problem: Arc::new(problem) };
        accepted.map(|accepted| accepted.about).map_err(|problem| LifecycleError::Refused(refused(problem)))
    }

    fn lines(&self, old: &Named, new: &Named) -> Result<Vec<String>, LifecycleError> {
        let (was, is) = (&old.source.bytes, &new.source.bytes);
        if was == is {
            return Ok(Vec::new());
        }
        Ok(file_lines((&self.about(old)?, was), (&self.about(new)?, is)))
    }
}

/// A rule's bytes with the name of their file: a script that names itself nowhere is called after it.
struct Named {
    file: String,
    source: Source,
}

impl Gate {
    /// The same gate, trying recorded calls only.
    fn without_fixtures(&self) -> Self {
        struct ReplayOnly(Arc<dyn super::Checks>);
        impl super::Checks for ReplayOnly {
            fn fixtures(
                &self,
                _: &str,
                _: crate::plugin::gate::Fixtures<'_>,
                _: &Chain,
            ) -> Vec<crate::plugin::gate::FixtureLine> {
                Vec::new()
            }
            fn replay(&self, old: &Chain, new: &Chain, showing: Showing) -> Option<ReplaySummary> {
                self.0.replay(old, new, showing)
            }
        }
        Self { checks: Arc::new(ReplayOnly(Arc::clone(&self.checks))), ..self.clone() }
    }
}

fn by_digest(digest: &str, asked: &str) -> bool {
    asked.len() >= DIGEST_MIN && digest.starts_with(&asked.to_lowercase())
}
