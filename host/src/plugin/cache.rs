//! Machine code of rules on disk, so that a rule is compiled once and not at every start.
//!
//! Machine code runs with the host's own rights. Promises: none is handed out unless it carries a MAC made with a key that
//! only this host's account can read, over the code and over what it was compiled from and for; it is checked on bytes
//! that nobody else can change any more; a file is whole or not there; whatever is stale, damaged or foreign counts as
//! absent. Must not know: what is compiled, or how.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, Mac};
use rand::TryRngCore as _;
use sha2::Sha256;

use crate::clock::{Clock as _, SystemClock};
use crate::error::Chain;

/// The file with the key, in the folder itself: the folder is readable by its owner alone.
pub const KEY_FILE: &str = "key";
/// One block of the hash.
pub const KEY_BYTES: usize = 64;
const MAC_BYTES: usize = 32;
/// Told to the MAC first, so that the key can never be made to vouch for anything else.
const PURPOSE: &[u8] = b"daybridge compiled rule 1\0";

/// Files kept. Twenty generations of a long chain, every rule of each another version, fit in.
const FILES_MAX: usize = 1_500;
/// Bytes kept, of all files together: a rule takes about 150 KB, the script engine 4 MB.
const BYTES_MAX: u64 = 512 << 20;
/// The most one file may have. The largest rule there can be, compiled, stays below.
pub const CODE_MAX: u64 = 256 << 20;

/// A folder of compiled rules that belongs to this host alone.
pub struct Cache {
    folder: PathBuf,
    key: [u8; KEY_BYTES],
    /// A damaged file is told once, a folder of them must not flood the log.
    told: AtomicBool,
}

/// The folder cannot be used; rules are compiled at every start.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("{act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} {what}; remove it, it is made again with the right owner and mode 0700", folder.display())]
    Unsafe { folder: PathBuf, what: &'static str },
}

impl Cache {
    /// Opens the folder, making it and its key if they are not there.
    ///
    /// # Errors
    /// [`CacheError`] if others could change what lies in it, or it cannot be made.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let file = |act| move |cause| CacheError::File { act, path: folder.to_owned(), cause };
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent).map_err(file("make the folder above"))?;
        }
        match make_private(folder) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(file("make the folder")(cause)),
            _ => {}
        }
        let meta = fs::symlink_metadata(folder).map_err(file("look at"))?;
        if let Some(what) = unsafe_to_use(&meta) {
            return Err(CacheError::Unsafe { folder: folder.to_owned(), what });
        }
        let key = key(folder, "its rules are compiled again").map_err(file("make a key in"))?;
        Ok(Self { folder: folder.to_owned(), key, told: AtomicBool::new(false) })
    }

    /// The code kept under a name, if it is there and vouched for.
    pub fn find(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.join(name);
        let mut file = match File::open(&path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return None,
            Err(cause) => {
                self.unusable(name, &cause.to_string());
                return None;
            }
            Ok(file) => file,
        };
        // Read whole before it is judged: a file that is judged and then mapped could change in between.
        let mut bytes = Vec::new();
        let read = (&mut file).take(CODE_MAX + MAC_BYTES as u64).read_to_end(&mut bytes);
        let vouched = match (read, bytes.split_at_checked(MAC_BYTES)) {
            (Ok(_), Some((mac, code))) => self.mac(name, code).verify_slice(mac).is_ok(),
            _ => false,
        };
        if !vouched {
            self.unusable(name, "it is damaged, or not from this host");
            return None;
        }
        // What was used last is dropped last. Where the date cannot be set, it is dropped sooner.
        let _ = file.set_modified(SystemTime::from(SystemClock.now()));
        bytes.drain(..MAC_BYTES);
        Some(bytes)
    }

    /// Keeps code under a name. That it could not be kept is logged and costs a compilation at the next start.
    pub fn keep(&self, name: &str, code: &[u8]) {
        if let Err(cause) = self.write(name, code) {
            tracing::warn!(error = %cause, folder = %self.folder.display(), "A compiled rule could not be kept");
            return;
        }
        self.sweep(name);
    }

    /// Tells that a file was not used although it has the right name. It is replaced by what is compiled instead.
    pub fn unusable(&self, name: &str, why: &str) {
        let file = self.folder.join(name);
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(file = %file.display(), "A compiled rule is not used ({why}) and is compiled again");
        } else {
            tracing::warn!(file = %file.display(), "A compiled rule is not used ({why}) and is compiled again");
        }
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&self.key).into());
        mac.update(PURPOSE);
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        // Temporary files are made with mode 0600.
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)?;
        file.write_all(&self.mac(name, code).finalize().into_bytes())?;
        file.write_all(code)?;
        // Not flushed to the disk: a file that a power cut left in pieces fails its MAC.
        file.persist(self.folder.join(name)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Drops what was not used for longest until all fits; in time also what a killed process left half written.
    fn sweep(&self, keep: &str) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name();
                if name == KEY_FILE || name == keep {
                    return None;
                }
                let meta = entry.metadata().ok()?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        files.sort_by_key(|file| std::cmp::Reverse(file.0));
        let mut bytes = 0_u64;
        for (number, (_, size, path)) in (1_usize..).zip(&files) {
            bytes = bytes.saturating_add(*size);
            if number >= FILES_MAX || bytes > BYTES_MAX {
                // Another process of this host may have dropped it already.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// How files begin that are being written.
const TEMPORARY: &str = ".new-";

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Opens the cache, or says in the log why the host goes without.
pub fn open_or_tell(folder: &Path) -> Option<Cache> {
    Cache::open(folder)
        .inspect_err(|error| tracing::warn!(error = %Chain(error), "Compiled rules are not kept: {error}"))
        .ok()
}

/// The key of a folder: the one that is there if nobody else could read it, or a new one, with which nothing kept before
/// is vouched for; `then` says what that means.
pub fn key(folder: &Path, then: &'static str) -> io::Result<[u8; KEY_BYTES]> {
    let path = folder.join(KEY_FILE);
    if let Some(key) = read_key(&path) {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    rand::rngs::OsRng.try_fill_bytes(&mut key).map_err(io::Error::other)?;
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    if path.symlink_metadata().is_ok() {
        tracing::warn!(file = %path.display(), "A key of this host is damaged or open to others and is made anew; {then}");
        fs::remove_file(&path)?;
    }
    match file.persist_noclobber(&path) {
        Ok(_) => Ok(key),
        // Another process of this host was first.
        Err(error) => read_key(&path).ok_or(error.error),
    }
}

/// The key in a file; none if it is damaged or open to others.
pub fn read_key(path: &Path) -> Option<[u8; KEY_BYTES]> {
    let meta = fs::symlink_metadata(path).ok()?;
    if !meta.is_file() || meta.len() != KEY_BYTES as u64 || readable_by_others(&meta) {
        return None;
    }
    fs::read(path).ok()?.try_into().ok()
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder)
}

/// What is wrong with a folder into which machine code is put and from which it is run.
#[cfg(unix)]
fn unsafe_to_use(meta: &fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt as _;
    if !meta.is_dir() {
        return Some("is not a folder");
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Some("belongs to another account");
    }
    (meta.mode() & 0o022 != 0).then_some("can be written to by other accounts")
}

#[cfg(not(unix))]
fn unsafe_to_use(meta: &fs::Metadata) -> Option<&'static str> {
    (!meta.is_dir()).then_some("is not a folder")
}

#[cfg(unix)]
fn readable_by_others(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn readable_by_others(_: &fs::Metadata) -> bool {
    false
}
