//! Opening: one host per folder, the engine's settings, and what must be on disk before the first commit.
//!
//! Promises: after a return the folder, its files and their names survive power loss. A store that was in use and comes
//! up empty is reported as damaged, not taken for a new one. Must not know: what is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::layout;
use crate::store::{StoreError, Tree};

/// The largest the engine allows: a quarter of it is the size above which it would write outside the synced file.
const SEGMENT_BYTES: usize = 16 << 20;
/// Memory for pages; the working set is the waiting entries and the pairs being worked on.
const CACHE_BYTES: u64 = 64 << 20;
/// A store that this process has just closed is released by the engine's own threads a moment later.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);
/// Row and file that tell a store in use from a new one.
const MARK: Tree = Tree("mark");
const MARK_KEY: &[u8] = b"created";
const MARK_FILE: &str = "created";

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

/// Opens the engine and makes its files durable. Returns it with its folder and its file, which the flusher syncs.
pub fn engine(data_folder: &Path) -> Result<(::sled::Db, PathBuf, File), StoreError> {
    let folder = data_folder.join("store");
    private_folder(&folder)?;
    let rows = open_released(&folder)?;
    no_oversized_values(&folder)?;
    let path = folder.join("db");
    let file = File::open(&path).map_err(|cause| file_error("open", &path, cause))?;

    let mark_key = layout::head_key(MARK, MARK_KEY);
    let mark_path = folder.join(MARK_FILE);
    let marked = guarded(&folder, "read", || rows.contains_key(&mark_key))?;
    if mark_path.exists() && !marked {
        return Err(StoreError::Damaged { folder, detail: "it is empty, though it was in use".into() });
    }
    if !marked {
        guarded(&folder, "write to", || rows.insert(&mark_key, layout::EMPTY_VALUE))?;
        guarded(&folder, "flush", || rows.flush())?;
    }
    sync_files(&folder)?;
    if !mark_path.exists() {
        File::create(&mark_path)
            .and_then(|mark| mark.sync_all())
            .map_err(|cause| file_error("create", &mark_path, cause))?;
    }
    for folder in [folder.as_path(), data_folder] {
        sync(folder)?;
    }
    if let Some(parent) = data_folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync(parent)?;
    }
    Ok((rows, folder, file))
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

fn file_error(act: &'static str, path: &Path, cause: std::io::Error) -> StoreError {
    StoreError::File { act, path: path.to_path_buf(), cause: Arc::new(cause) }
}
