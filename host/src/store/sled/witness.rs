//! Tells lost commits from commits that never were.
//!
//! The engine's log ends for it where it cannot read on, so damage in the middle makes a smaller store that looks sound.
//! Therefore the flusher numbers its flushes: the number is written to the log before a flush, and to a file of its own
//! once the flush is on disk. The file is never ahead of the log, unless something of the log was lost.
//! Must not know: what is kept.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::guard::guarded;
use super::open::file_error;
use crate::store::StoreError;

/// A tree of its own, so that its page stays small.
const TREE: &str = "flushes";
const ROW: &[u8] = b"number";
const FILE: &str = "confirmed";

/// The count of flushes, in the log and beside it.
#[derive(Debug)]
pub struct Witness {
    rows: ::sled::Tree,
    file: File,
    path: PathBuf,
    number: u64,
}

impl Witness {
    /// Compares the two counts; a new store has neither.
    pub fn open(store: &::sled::Db, folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|cause| file_error("open", &path, cause))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|cause| file_error("read", &path, cause))?;
        let confirmed = parse(&bytes);
        let rows = guarded(folder, "read", || store.open_tree(TREE))?;
        let row = guarded(folder, "read", || rows.get(ROW))?;
        let number = row.as_deref().and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_be_bytes(*bytes));
        if number < confirmed {
            return Err(StoreError::Damaged {
                folder: folder.to_path_buf(),
                detail: format!("flush {confirmed} was on disk, and the last one found is {number}"),
            });
        }
        Ok(Self { rows, file, path, number })
    }

    /// Called before a flush: its number becomes part of what is flushed.
    pub fn announce(&mut self, folder: &Path) -> Result<(), StoreError> {
        self.number += 1;
        let number = self.number.to_be_bytes();
        guarded(folder, "write to", || self.rows.insert(ROW, &number)).map(|_| ())
    }

    /// Called when a flush is on disk. Not synced: an older number only proves less.
    pub fn confirm(&mut self) -> Result<(), StoreError> {
        let write = |mut file: &File| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&[self.number.to_be_bytes(), (!self.number).to_be_bytes()].concat())
        };
        write(&self.file).map_err(|cause| file_error("write", &self.path, cause))
    }

    /// The number reaches the disk too.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|cause| file_error("sync", &self.path, cause))
    }
}

/// The number, written twice, the second time inverted; a file that was not written to its end proves nothing.
fn parse(bytes: &[u8]) -> u64 {
    let Some((number, inverted)) = bytes.split_first_chunk() else { return 0 };
    let number = u64::from_be_bytes(*number);
    if inverted == (!number).to_be_bytes() { number } else { 0 }
}
