//! What is to be in force when configuration or rules folder changed: **the last deliberate act wins**, file by file.
//!
//! A generation records what configuration and folder held when it was made. What they still hold later is no new wish, so:
//! 1. As long as neither changed, the generation in force stays as it is, restarts included: with what was installed, swapped
//!    or rolled back.
//! 2. If the configuration's rules changed, its list, order and options are taken; rules that were installed beside it keep
//!    their place behind the rule they stood behind. Else the list and options in force stay.
//! 3. If a file in the folder (or a built-in one) has another content than it had then, it is taken; else the version in force
//!    stays. A file that is gone from the folder is no wish: its version stays, from the archive.
//!
//! Promises: decides by content, never by dates. Must not know: whether the result is any good.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Parts, PlannedChain};
use crate::plugin::archive::record::{Cause, EntryRecord, GenerationRecord, Sources, config_digest};
use crate::plugin::entry::{ChainConfig, Pin, RuleEntry, Source};
use crate::plugin::load::Refused;

/// What lies in the rules folder, or else is built in, by file name.
pub(super) struct Found(BTreeMap<String, Result<Source, Arc<Refused>>>);

impl Found {
    pub fn look<'a>(config: &ChainConfig, files: impl Iterator<Item = &'a str>) -> Self {
        Self(files.map(|file| (file.to_owned(), Source::of(config, file).map_err(Arc::new))).collect())
    }

    /// The digest of a file's content; nothing if there is no such file.
    fn digest(&self, file: &str) -> Option<String> {
        match self.0.get(file)? {
            Ok(source) => Some(source.digest.clone()),
            Err(reason) if matches!(**reason, Refused::Missing { .. }) => None,
            Err(_) => Some("unreadable".to_owned()),
        }
    }

    fn source(&self, file: &str) -> Option<Result<Source, Arc<Refused>>> {
        self.0.get(file).cloned()
    }

    /// What is recorded of them. A file that is gone is recorded as it was.
    fn sources(&self, config: &ChainConfig, then: Option<&Sources>) -> Sources {
        let recorded = |file: &String| then.and_then(|then| then.file(file)).map(str::to_owned);
        let files = self.0.keys().map(|file| (file.clone(), self.digest(file).or_else(|| recorded(file)))).collect();
        Sources { config: config_digest(&config.rules), files }
    }
}

/// Configuration and folder, seen from the generation in force.
pub(super) struct Merged {
    pub plan: PlannedChain,
    pub sources: Sources,
    /// Why there would be a new generation; nothing if all is as it was.
    pub changed: Option<Cause>,
}

impl Parts {
    /// What configuration and folder ask for now. With `fresh`, as if nothing had been installed or restored.
    pub(super) fn merge(&self, config: &ChainConfig, current: Option<&GenerationRecord>, fresh: bool) -> Merged {
        let known = current.map_or(&[][..], |current| current.entries.as_slice());
        let files = config.rules.iter().map(|rule| rule.file.as_str());
        let found = Found::look(config, files.chain(known.iter().map(|entry| entry.file.as_str())));
        let then = current.map(|current| &current.sources);
        let sources = found.sources(config, then);
        let config_changed = fresh || then.is_none_or(|then| then.config != sources.config);
        let files_changed = then.is_some_and(|then| !sources.same_files(then));
        let list = if config_changed { listed(config, known, fresh) } else { in_force(known) };
        let mut plan = PlannedChain::default();
        for Listed { entry, record, added } in list {
            let new = then.is_none_or(|then| then.file(&entry.file) != sources.file(&entry.file));
            let held = record.filter(|_| !(fresh || new && found.digest(&entry.file).is_some()));
            let source = match held {
                Some(record) => self.source(record, &found, config),
                None => found.source(&entry.file).unwrap_or_else(|| Source::of(config, &entry.file).map_err(Arc::new)),
            };
            plan.push(Pin { entry, source: self.trusted(source) }, added);
        }
        let changed = match (config_changed, files_changed) {
            (true, _) => Some(Cause::Config),
            (false, true) => Some(Cause::Folder),
            (false, false) => None,
        };
        Merged { plan, sources, changed }
    }

    /// The version in force of an entry: from the archive, or what lies in the folder if it is the same.
    fn source(&self, record: &EntryRecord, found: &Found, config: &ChainConfig) -> Result<Source, Arc<Refused>> {
        if record.digest.is_none() {
            return Source::of(config, &record.file).map_err(Arc::new);
        }
        match found.source(&record.file) {
            Some(Ok(source)) if record.digest == found.digest(&record.file) => {
                Ok(Source { origin: record.origin(), ..source })
            }
            _ => self.archived(record),
        }
    }
}

/// An entry of the list to be, and what is known of it from the generation in force.
struct Listed<'a> {
    entry: RuleEntry,
    record: Option<&'a EntryRecord>,
    /// Whether it is there by an installation alone.
    added: bool,
}

/// The configuration's rules, with those that were installed beside them.
fn listed<'a>(config: &ChainConfig, known: &'a [EntryRecord], fresh: bool) -> Vec<Listed<'a>> {
    let record = |entry: &RuleEntry| {
        let mut same_file = known.iter().filter(|record| record.file == entry.file);
        same_file.clone().find(|record| record.name == entry.name).or_else(|| same_file.next())
    };
    let listed = |entry: &RuleEntry| Listed { entry: entry.clone(), record: record(entry), added: false };
    let mut list: Vec<_> = config.rules.iter().map(listed).collect();
    let named = |file: &str| config.rules.iter().any(|entry| entry.file == file);
    for (at, extra) in known.iter().enumerate().filter(|(_, extra)| !fresh && extra.added && !named(&extra.file)) {
        let Ok(entry) = extra.entry() else { continue };
        let before = at.checked_sub(1).and_then(|at| known.get(at));
        let place = match before {
            None => Some(0),
            Some(before) => list.iter().position(|one| one.entry.file == before.file).map(|place| place + 1),
        };
        list.insert(place.unwrap_or(list.len()), Listed { entry, record: Some(extra), added: true });
    }
    list
}

fn in_force(known: &[EntryRecord]) -> Vec<Listed<'_>> {
    let listed = |record: &'_ EntryRecord| record.entry().ok().map(|entry| (entry, record.added));
    known
        .iter()
        .filter_map(|record| listed(record).map(|(entry, added)| Listed { entry, record: Some(record), added }))
        .collect()
}
