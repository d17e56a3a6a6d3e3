//! What differs between two chains, and between two versions of a rule.
//!
//! Promises: equal entries in the same order give nothing. Must not know: how chains run.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::report::{RuleChange, RuleChangeKind, VersionRef};
use crate::plugin::archive::record::EntryRecord;
use crate::plugin::limits::clean;
use crate::plugin::load::shape::Shape;
use crate::plugin::load::{About, Hook};

/// Rules that were added, removed, changed or moved.
pub(super) fn entries(old: &[EntryRecord], new: &[EntryRecord]) -> Vec<RuleChange> {
    let mut changes = Vec::new();
    for entry in new {
        let change = match old.iter().find(|known| known.rule == entry.rule) {
            None => Some(change(RuleChangeKind::Added, None, Some(entry), Vec::new())),
            Some(known) => {
                let what = options(known, entry);
                let same = what.is_empty() && known.digest == entry.digest;
                (!same).then(|| change(RuleChangeKind::Changed, Some(known), Some(entry), what))
            }
        };
        changes.extend(change);
    }
    let removed = old.iter().filter(|known| !new.iter().any(|entry| entry.rule == known.rule));
    changes.extend(removed.map(|known| change(RuleChangeKind::Removed, Some(known), None, Vec::new())));
    changes.extend(moved(old, new));
    changes
}

/// The first rule that stands elsewhere among those that both chains have.
fn moved(old: &[EntryRecord], new: &[EntryRecord]) -> Option<RuleChange> {
    let common = |chain: &[EntryRecord], other: &[EntryRecord]| -> Vec<EntryRecord> {
        chain.iter().filter(|entry| other.iter().any(|known| known.rule == entry.rule)).cloned().collect()
    };
    let (before, after) = (common(old, new), common(new, old));
    let (from, to) = before.iter().zip(&after).find(|(one, other)| one.rule != other.rule)?;
    let mut found = change(RuleChangeKind::Moved, Some(to), Some(to), vec![format!("now before {}", from.rule)]);
    found.rule.clone_from(&to.rule);
    Some(found)
}

fn change(kind: RuleChangeKind, old: Option<&EntryRecord>, new: Option<&EntryRecord>, what: Vec<String>) -> RuleChange {
    let version = |entry: &EntryRecord| {
        let digest = entry.digest.clone()?;
        Some(VersionRef { version: entry.version.clone(), digest, bytes: entry.bytes })
    };
    let rule = new.or(old).map(|entry| entry.rule.clone()).unwrap_or_default();
    RuleChange { rule, kind, old: old.and_then(version), new: new.and_then(version), what }
}

/// What differs between the options of two entries of one rule.
fn options(old: &EntryRecord, new: &EntryRecord) -> Vec<String> {
    // Where a file came from and how it is listed is no difference in what the rule does.
    let plain = |entry: &EntryRecord| {
        let mut json = serde_json::to_value(entry).unwrap_or_default();
        if let Some(object) = json.as_object_mut() {
            for name in ["added", "origin", "digest", "rule", "version", "bytes", "file"] {
                object.remove(name);
            }
        }
        json
    };
    let mut lines = Vec::new();
    values("", &plain(old), &plain(new), &mut lines);
    lines
}

fn values(path: &str, old: &Json, new: &Json, lines: &mut Vec<String>) {
    if old == new {
        return;
    }
    if let (Json::Object(old), Json::Object(new)) = (old, new) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let of = |object: &Map<String, Json>| object.get(name).cloned().unwrap_or_default();
            values(&path, &of(old), &of(new), lines);
        }
        return;
    }
    lines.push(clean(&format!("{path}: {old} -> {new}")));
}

/// What differs between two versions of a rule's file.
pub fn file_lines(old: (&About, &[u8]), new: (&About, &[u8])) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, old: String, new: String| {
        if old != new {
            lines.push(clean(&format!("{what}: {old} -> {new}")));
        }
    };
    let hooks =
        |about: &About| about.hooks.iter().map(|hook: &Hook| format!("{hook:?}")).collect::<Vec<_>>().join(", ");
    let directions = |about: &About| about.directions.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
    let lookups = |about: &About| about.lookups.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    let ((was, old_bytes), (is, new_bytes)) = (old, new);
    line("name", was.name.clone(), is.name.clone());
    line("version", was.version.clone(), is.version.clone());
    line("purpose", was.purpose.clone(), is.purpose.clone());
    line("functions", hooks(was), hooks(is));
    line("directions", directions(was), directions(is));
    line("look-ups", lookups(was), lookups(is));
    let imports = |bytes: &[u8]| Shape::read(bytes).unwrap_or_default().imports.join(", ");
    line("imports", imports(old_bytes), imports(new_bytes));
    line("bytes", old_bytes.len().to_string(), new_bytes.len().to_string());
    let schema = |about: &About| serde_json::from_str::<Json>(&about.settings_schema).unwrap_or_default();
    let (was, is) = (schema(was), schema(is));
    let properties = |schema: &Json| schema.get("properties").cloned().unwrap_or_default();
    values("settings", &properties(&was), &properties(&is), &mut lines);
    lines
}
