//! Opening: one host per folder, the engine's settings, and what must be on disk before the first commit.
//!
//! Promises: after a return the folder, its files and their names survive power loss. Must not know: what is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::witness::Witness;
use crate::store::StoreError;

/// The largest the engine allows: a quarter of it is the size above which it would write outside the synced file.
const SEGMENT_BYTES: usize = 16 << 20;
/// Memory for pages; the working set is the waiting entries and the pairs being worked on.
const CACHE_BYTES: u64 = 64 << 20;
/// A store that this process has just closed is released by the engine's own threads a moment later.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Takes the data folder for this process.
pub fn lock(data_folder: &Path) -> Result<File, StoreError> {
    private_folder(data_folder)?;
    let path = data_folder.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|cause| file_error("open", &path, cause))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: data_folder.to_path_buf() }),
        Err(TryLockError::Error(cause)) => Err(file_error("lock", &path, cause)),
    }
}

/// The engine with its folder, the file that is synced after each flush, and the count of flushes.
pub struct Opened {
    pub rows: ::sled::Db,
    pub folder: PathBuf,
    pub file: File,
    pub witness: Witness,
}

/// Opens the engine and makes its files durable.
pub fn engine(data_folder: &Path) -> Result<Opened, StoreError> {
    let folder = data_folder.join("store");
    private_folder(&folder)?;
    let rows = open_released(&folder)?;
    no_oversized_values(&folder)?;
    let path = folder.join("db");
    let file = File::open(&path).map_err(|cause| file_error("open", &path, cause))?;

    let mut witness = Witness::open(&rows, &folder)?;
    witness.announce(&folder)?;
    guarded(&folder, "flush", || rows.flush())?;
    sync_files(&folder)?;
    witness.confirm()?;
    witness.sync()?;
    for folder in [folder.as_path(), data_folder] {
        sync(folder)?;
    }
    if let Some(parent) = data_folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync(parent)?;
    }
    Ok(Opened { rows, folder, file, witness })
}

/// Fails if the engine has put a value outside the file that is synced: such a value would not survive power loss.
pub fn no_oversized_values(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("blobs");
    let mut entries = fs::read_dir(&path).map_err(|cause| file_error("read", &path, cause))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::Damaged {
            folder: folder.to_path_buf(),
            detail: "it holds values outside its main file, where they would not survive power loss".into(),
        }),
    }
}

fn open_released(folder: &Path) -> Result<::sled::Db, StoreError> {
    let begun = Instant::now();
    loop {
        let opened = guarded(folder, "open", || {
            ::sled::Config::new().path(folder).segment_size(SEGMENT_BYTES).cache_capacity(CACHE_BYTES).open()
        });
        match opened {
            Err(StoreError::Failed { cause, .. })
                if cause.to_string().contains("could not acquire lock") && begun.elapsed() < RELEASE_LIMIT =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// Creates a folder that only this user may read. One that exists keeps its mode: it may be shared on purpose.
fn private_folder(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|cause| file_error("create", path, cause))
}

fn sync_files(folder: &Path) -> Result<(), StoreError> {
    let entries = fs::read_dir(folder).map_err(|cause| file_error("read", folder, cause))?;
    for entry in entries {
        let path = entry.map_err(|cause| file_error("read", folder, cause))?.path();
        sync(&path)?;
    }
    Ok(())
}

/// Syncs a file or a folder.
fn sync(path: &Path) -> Result<(), StoreError> {
    match File::open(path).and_then(|file| file.sync_all()) {
        // The engine may remove an old file of its own meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Some file systems cannot sync a folder; its names are then written with the files.
        Err(error) if path.is_dir() && matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        other => other.map_err(|cause| file_error("sync", path, cause)),
    }
}

pub fn file_error(act: &'static str, path: &Path, cause: std::io::Error) -> StoreError {
    StoreError::File { act, path: path.to_path_buf(), cause: Arc::new(cause) }
}
