//! How trees and large values lie in the engine's single tree.
//!
//! A value is one row `tree/key`: a marker byte, then the value; or, above [`PART_BYTES`], the number of parts and the
//! whole length, with the parts in rows `#tree/key`, a zero byte and the part's number. One tree because a batch over
//! one tree is the engine's simplest atomic write.
//! Promises: no row is larger than [`PART_BYTES`] and a few bytes. Must not know: files, locks.

use std::ops::Bound;

use crate::store::Tree;

/// A page of the engine holds 16 rows, for moments a few more; above a quarter of a segment (4 MiB) a page would leave the
/// synced file. 64 KiB a row stays below a third of that.
pub const PART_BYTES: usize = 64 << 10;

const INLINE: u8 = 0;
const PARTS: u8 = 1;

pub fn head_key(tree: Tree, key: &[u8]) -> Vec<u8> {
    [tree.0.as_bytes(), b"/", key].concat()
}

pub fn part_key(tree: Tree, key: &[u8], index: u32) -> Vec<u8> {
    [b"#", tree.0.as_bytes(), b"/", key, b"\0", &index.to_be_bytes()].concat()
}

/// The value in a first row, if it is all there.
pub fn inline(head: &[u8]) -> Option<&[u8]> {
    match head.split_first() {
        Some((&INLINE, value)) => Some(value),
        _ => None,
    }
}

/// How many further rows a value has.
pub fn parts(head: &[u8]) -> u32 {
    match head.split_first() {
        Some((&PARTS, rest)) => rest.first_chunk().map_or(0, |count| u32::from_be_bytes(*count)),
        _ => 0,
    }
}

/// The length of a value in several rows.
pub fn length(head: &[u8]) -> Option<u64> {
    head.get(5..)?.first_chunk().map(|length| u64::from_be_bytes(*length))
}

/// Adds the rows of a value (or its removal) to a batch; `old_parts` is how many parts the value had before.
pub fn write(rows: &mut ::sled::Batch, tree: Tree, key: &[u8], old_parts: u32, value: Option<&[u8]>) {
    let mut parts = 0;
    match value {
        None => rows.remove(head_key(tree, key)),
        Some(value) if value.len() <= PART_BYTES => {
            rows.insert(head_key(tree, key), [&[INLINE], value].concat());
        }
        Some(value) => {
            for part in value.chunks(PART_BYTES) {
                rows.insert(part_key(tree, key, parts), part);
                parts += 1;
            }
            let length = (value.len() as u64).to_be_bytes();
            rows.insert(head_key(tree, key), [&[PARTS], &parts.to_be_bytes()[..], &length].concat());
        }
    }
    for index in parts..old_parts {
        rows.remove(part_key(tree, key, index));
    }
}

/// First rows of a tree whose key starts with `prefix` and lies behind `after`.
pub fn range(
    rows: &::sled::Db,
    tree: Tree,
    prefix: &[u8],
    after: Option<&[u8]>,
) -> impl Iterator<Item = Result<(::sled::IVec, ::sled::IVec), ::sled::Error>> {
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(head_key(tree, after)),
        _ => Bound::Included(head_key(tree, prefix)),
    };
    let prefix = head_key(tree, prefix);
    rows.range::<Vec<u8>, _>((start, Bound::Unbounded))
        .take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)))
}
