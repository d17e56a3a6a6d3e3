//! SyncFolderItems.
//!
//! A sync state holds the folder and the ranges of world versions its owner has seen. An item is new to the owner if
//! none of its versions lies in a seen range, so pages may be cut anywhere, newest first, and changes may come in between.
//!
//! Promises: whoever follows the states to the end knows exactly the folder's content. Must not know: HTTP.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::call::Call;
use super::error::{ExchangeError, schema_violation};
use super::item::Item;
use super::shape::Shape;
use super::store::{Gone, World};
use super::xml::{Element, Messages, Read, Xml, integer};

/// Changes of one answer, by the schema.
const CHANGES_MAX: i64 = 512;
/// Ranges in one state: each page that was interrupted by changes may add one.
const RANGES_MAX: usize = 1_000;

/// World versions that were seen, ascending and apart.
type Seen = Vec<RangeInclusive<u64>>;

enum Change<'a> {
    Create(&'a Item),
    Update(&'a Item),
    Delete(&'a Gone),
}

pub fn sync_folder_items(call: &Call<'_>, request: Element<'_>, xml: &mut Xml) -> Result<(), ExchangeError> {
    let shape = Shape::read(request.need("ItemShape")?)?.for_finding();
    let most = integer(&request.need("MaxChangesReturned")?.content())?;
    if !(1..=CHANGES_MAX).contains(&most) {
        return Err(schema_violation(format!("MaxChangesReturned must be between 1 and {CHANGES_MAX}")));
    }
    let most = usize::try_from(most).unwrap_or(1);
    let folder =
        request.need("SyncFolderId")?.kids().next().ok_or_else(|| schema_violation("SyncFolderId is empty"))?;
    let ignored: Vec<&str> = request
        .kid("Ignore")
        .iter()
        .flat_map(|list| list.kids().collect::<Vec<_>>())
        .filter_map(|id| id.attribute("Id"))
        .collect();
    let state = request.kid_text("SyncState").filter(|state| !state.is_empty());
    let outcome = call.folder(folder).and_then(|folder| {
        let seen = match state {
            Some(state) => read_state(call.world, folder, &state)?,
            None => Vec::new(),
        };
        let mut changes = changes(call.world, folder, &seen);
        let is_last = changes.len() <= most;
        let lowest = if is_last { 0 } else { changes.get(most - 1).map_or(0, |(version, _)| *version) };
        changes.truncate(most);
        changes.retain(|(_, change)| !ignored.contains(&change.id()));
        Ok((write_state(call.world, folder, &seen, lowest), is_last, changes))
    });
    let mut messages = Messages::new("SyncFolderItems");
    messages.add(outcome, |xml, (state, is_last, changes)| {
        xml.text("m:SyncState", state);
        xml.text("m:IncludesLastItemInRange", is_last);
        xml.open("m:Changes", |xml| {
            for (_, change) in changes {
                match change {
                    Change::Create(item) => xml.open("t:Create", |xml| shape.write(call.world, item.view(), xml)),
                    Change::Update(item) => xml.open("t:Update", |xml| shape.write(call.world, item.view(), xml)),
                    Change::Delete(gone) => xml.open("t:Delete", |xml| xml.empty("t:ItemId", &[("Id", &gone.id)])),
                }
            }
        });
    });
    messages.write("SyncFolderItems", xml);
    Ok(())
}

impl Change<'_> {
    fn id(&self) -> &str {
        match self {
            Change::Create(item) | Change::Update(item) => &item.id,
            Change::Delete(gone) => &gone.id,
        }
    }
}

/// What the owner of these ranges has not seen yet, newest first, each with its version.
fn changes<'a>(world: &'a World, folder: usize, seen: &Seen) -> Vec<(u64, Change<'a>)> {
    let is_seen = |version: u64| seen.iter().any(|range| range.contains(&version));
    let is_known = |versions: &[u64]| versions.iter().any(|version| is_seen(*version));
    let present = world.in_folder(folder).filter(|item| !is_seen(item.version())).map(|item| {
        let change = if is_known(&item.versions) { Change::Update(item) } else { Change::Create(item) };
        (item.version(), change)
    });
    let gone = world.folders.get(folder).into_iter().flat_map(|folder| folder.gone.iter());
    let gone = gone
        .filter(|gone| !is_seen(gone.left) && is_known(&gone.versions))
        .map(|gone| (gone.left, Change::Delete(gone)));
    let mut changes: Vec<_> = present.chain(gone).collect();
    changes.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    changes
}

/// The state after everything from version `lowest` up was delivered on top of `seen`.
fn write_state(world: &World, folder: usize, seen: &Seen, lowest: u64) -> String {
    let mut ranges: Seen = Vec::new();
    let delivered = lowest..=world.version;
    let mut all: Seen = seen.iter().cloned().chain([delivered]).collect();
    all.sort_by_key(|range| *range.start());
    for range in all {
        match ranges.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => ranges.push(range),
        }
    }
    let ranges: Vec<String> = ranges.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
    STANDARD.encode(format!("{}|{}|{}", world.salt, world.folder_id(folder), ranges.join(",")))
}

fn read_state(world: &World, folder: usize, state: &str) -> Result<Seen, ExchangeError> {
    let parse = || {
        let text = String::from_utf8(STANDARD.decode(state).ok()?).ok()?;
        let mut parts = text.split('|');
        let (salt, of_folder, ranges) = (parts.next()?, parts.next()?, parts.next()?);
        if salt != world.salt || of_folder != world.folder_id(folder) {
            return None;
        }
        let ranges = ranges.split(',').map(|range| {
            let (start, end) = range.split_once('-')?;
            let (start, end) = (start.parse().ok()?, end.parse().ok()?);
            (start <= end && end <= world.version).then_some(start..=end)
        });
        ranges.collect::<Option<Seen>>().filter(|ranges| ranges.len() <= RANGES_MAX)
    };
    parse().ok_or_else(|| {
        ExchangeError::new("ErrorInvalidSyncStateData", "Synchronization state data is corrupt or otherwise invalid.")
    })
}
