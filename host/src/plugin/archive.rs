//! Rule files and generations of the chain on disk, so that any of the last ones can be put in force again.
//!
//! ```text
//! DATA/rules/files/SHA256              a rule file; beside it, where there are such, its signature (SHA256.minisig),
//!                                      a script's fixtures (.fixtures), and that it was built into a host (.built-in)
//! DATA/rules/generations/NUMBER.json   one generation, never changed once written; the highest number is in force
//! DATA/rules/stored.json               versions that were stored without being put in force
//! DATA/rules/proven                    number of the last generation that came through its probation
//! DATA/rules/key                       with which this host vouches for what was built into it
//! ```
//! Promises: a file is written whole and flushed or is not there; what is read was checked against its digest; a number
//! is given once, whatever happens to the generation; folders are the owner's alone. A generation that cannot be read is
//! told as such and stands in nobody's way. Must not know: what rules do, when chains are replaced.

pub mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hmac::{Hmac, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use sha2::Sha256;

use super::cache;
use super::load::{self, SIZE_MAX};
use record::{FORMAT, GenerationRecord, StoredRule};

/// A generation's file is some KB; ten thousand times that is no generation.
const RECORD_BYTES_MAX: u64 = 32 << 20;
/// Versions kept that no generation names: what a person stored and has not put in force yet. The oldest go first.
const STORED_MAX: usize = 50;
/// Generations that are kept at least, whatever the operator sets.
pub const GENERATIONS_MIN: usize = 20;

/// What is on disk cannot be written, or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{act} {}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("rule file {} of the archive is damaged: its content is not what its name says", path.display())]
    File { path: PathBuf },
    #[error("{} is damaged: {what}", path.display())]
    Record { path: PathBuf, what: String },
    #[error("{} was written by a newer host (format {found}, this one reads up to {FORMAT}); update the host", path.display())]
    Newer { path: PathBuf, found: u64 },
}

/// A rule file with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    pub bytes: Bytes,
    /// In minisign's format.
    pub signature: Option<String>,
    /// Of a script, as [`super::fixture::section`] writes them; a component carries its own.
    pub fixtures: Bytes,
    /// Whether it is, or was, built into this host.
    pub built_in: bool,
}

/// What stands at the end of the names of the files that belong to a rule file.
const SIGNATURE: &str = ".minisig";
const FIXTURES: &str = ".fixtures";
const BUILT_IN: &str = ".built-in";

/// The archive of one host.
#[derive(Debug)]
pub struct Archive {
    folder: PathBuf,
    /// Files that each generation names, as far as they were read or written: records never change.
    named: Mutex<BTreeMap<u64, Vec<String>>>,
}

impl Archive {
    /// Opens the archive, making its folders if need be.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn open(folder: &Path) -> Result<Self, ArchiveError> {
        let archive = Self { folder: folder.to_owned(), named: Mutex::default() };
        for folder in [folder.to_owned(), archive.files(), archive.generations()] {
            private_folder(&folder).map_err(|cause| ArchiveError::Io { act: "make", path: folder, cause })?;
        }
        Ok(archive)
    }

    fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    fn generations(&self) -> PathBuf {
        self.folder.join("generations")
    }

    fn beside(&self, digest: &str, ending: &str) -> PathBuf {
        self.files().join(format!("{digest}{ending}"))
    }

    /// Keeps a file under its digest, with what belongs to it. A damaged one of that digest is written again; fixtures are
    /// those it came with last.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn keep(&self, digest: &str, kept: &Kept) -> Result<(), ArchiveError> {
        let Kept { bytes, signature, fixtures, built_in } = kept;
        write_unless_there(&self.files().join(digest), bytes)?;
        if let Some(signature) = signature {
            write_unless_there(&self.beside(digest, SIGNATURE), signature.as_bytes())?;
        }
        if !fixtures.is_empty() {
            write_unless_there(&self.beside(digest, FIXTURES), fixtures)?;
        }
        if *built_in {
            let key = self.key().map_err(|cause| ArchiveError::Io { act: "make", path: self.key_file(), cause })?;
            let word = load::hex(&vouched(&key, digest).finalize().into_bytes());
            write_unless_there(&self.beside(digest, BUILT_IN), word.as_bytes())?;
        }
        Ok(())
    }

    /// A file by its digest, with what belongs to it.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is not there or not what it was.
    pub fn file(&self, digest: &str) -> Result<Kept, ArchiveError> {
        let path = self.files().join(digest);
        let bytes = read_limited(&path, SIZE_MAX)?;
        if load::digest(&bytes) != digest {
            return Err(ArchiveError::File { path });
        }
        let signature = std::fs::read_to_string(self.beside(digest, SIGNATURE)).ok();
        let fixtures = read_limited(&self.beside(digest, FIXTURES), SIZE_MAX).unwrap_or_default().into();
        Ok(Kept { bytes: bytes.into(), signature, fixtures, built_in: self.was_built_in(digest) })
    }

    /// Whether this host, or an earlier version of it, had the file built in.
    fn was_built_in(&self, digest: &str) -> bool {
        let Ok(word) = std::fs::read_to_string(self.beside(digest, BUILT_IN)) else { return false };
        let (Some(key), Some(word)) = (cache::read_key(&self.key_file()), unhex(&word)) else { return false };
        vouched(&key, digest).verify_slice(&word).is_ok()
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join(cache::KEY_FILE)
    }

    fn key(&self) -> io::Result<[u8; cache::KEY_BYTES]> {
        cache::key(&self.folder, "what was built into this host counts as signed for as long as it is")
    }

    /// Numbers of all generations there are, readable or not, lowest first.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn numbers(&self) -> Result<Vec<u64>, ArchiveError> {
        let folder = self.generations();
        let io = |cause| ArchiveError::Io { act: "read", path: folder.clone(), cause };
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// One generation.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is not there, damaged, or from a newer host.
    pub fn read(&self, number: u64) -> Result<GenerationRecord, ArchiveError> {
        let record: GenerationRecord = read_sealed(&self.generation(number))?;
        if record.number == number {
            return Ok(record);
        }
        let what = format!("it says it is generation {}", record.number);
        Err(ArchiveError::Record { path: self.generation(number), what })
    }

    /// Writes a generation down for good.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; nothing is left of it then.
    pub fn write(&self, record: &GenerationRecord) -> Result<(), ArchiveError> {
        let path = self.generation(record.number);
        let written = write_sealed(&path, record);
        if written.is_err() {
            // If its name came to the disk and the flush failed, it must not be found at the next start.
            let _ = std::fs::remove_file(&path);
        }
        written
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.generations().join(format!("{number}.json"))
    }

    /// Removes all generations but the last `keep` (never fewer than [`GENERATIONS_MIN`]), and files that nothing names.
    ///
    /// # Errors
    /// [`ArchiveError::Io`]; what is left over is removed the next time.
    pub fn prune(&self, keep: usize) -> Result<(), ArchiveError> {
        let numbers = self.numbers()?;
        let (old, kept) = numbers.split_at(numbers.len().saturating_sub(keep.max(GENERATIONS_MIN)));
        for number in old {
            remove(&self.generation(*number))?;
        }
        let mut known = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|number, _| kept.contains(number));
        for number in kept.iter().filter(|number| !known.contains_key(number)).copied().collect::<Vec<u64>>() {
            // Which files an unreadable generation names cannot be known: a newer host wrote it, perhaps.
            let Ok(record) = self.read(number) else { return Ok(()) };
            known.insert(number, record.entries.into_iter().filter_map(|entry| entry.digest).collect());
        }
        let named = known.values().flatten().cloned();
        let stored = self.stored().into_iter().map(|stored| stored.digest);
        let named: BTreeSet<String> = named.chain(stored).collect();
        let folder = self.files();
        let io = |cause| ArchiveError::Io { act: "read", path: folder.clone(), cause };
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let digest = [SIGNATURE, FIXTURES, BUILT_IN].iter().find_map(|ending| name.strip_suffix(ending));
            if !named.contains(digest.unwrap_or(&name)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Versions that were stored without being put in force, oldest first. A list that cannot be read is an empty one.
    pub fn stored(&self) -> Vec<StoredRule> {
        read_sealed(&self.folder.join("stored.json")).unwrap_or_default()
    }

    /// Notes a version that was stored without being put in force.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn store(&self, rule: StoredRule) -> Result<(), ArchiveError> {
        let mut all = self.stored();
        all.retain(|known| known.digest != rule.digest);
        all.push(rule);
        let surplus = all.len().saturating_sub(STORED_MAX);
        all.drain(..surplus);
        write_sealed(&self.folder.join("stored.json"), &all)
    }

    /// The number of the last generation that came through its probation, 0 for none.
    pub fn proven(&self) -> u64 {
        let text = std::fs::read_to_string(self.folder.join("proven"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// Notes that a generation came through its probation.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn prove(&self, number: u64) -> Result<(), ArchiveError> {
        write_whole(&self.folder.join("proven"), number.to_string().as_bytes())
    }
}

/// What vouches for a file: it was built into the host that holds the key.
fn vouched(key: &[u8; cache::KEY_BYTES], digest: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(key.into());
    mac.update(b"daybridge built-in rule 1\0");
    mac.update(digest.as_bytes());
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn write_unless_there(path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
    if std::fs::read(path).is_ok_and(|known| known == bytes) { Ok(()) } else { write_whole(path, bytes) }
}

/// Writes a value with its format and a digest over it, so that damage shows.
fn write_sealed(path: &Path, value: &impl Serialize) -> Result<(), ArchiveError> {
    let io = |cause: serde_json::Error| ArchiveError::Io { act: "write", path: path.to_owned(), cause: cause.into() };
    let content = serde_json::to_value(value).map_err(io)?;
    let seal = load::digest(&serde_json::to_vec(&content).map_err(io)?);
    let whole = serde_json::json!({ "format": FORMAT, "sha256": seal, "content": content });
    write_whole(path, &serde_json::to_vec_pretty(&whole).map_err(io)?)
}

fn read_sealed<T: DeserializeOwned>(path: &Path) -> Result<T, ArchiveError> {
    let damaged = |what: String| ArchiveError::Record { path: path.to_owned(), what };
    let mut whole: Json = serde_json::from_slice(&read_limited(path, RECORD_BYTES_MAX)?)
        .map_err(|cause| damaged(format!("it is no JSON ({cause})")))?;
    let found = whole.get("format").and_then(Json::as_u64).ok_or_else(|| damaged("it has no format".into()))?;
    if found > u64::from(FORMAT) {
        return Err(ArchiveError::Newer { path: path.to_owned(), found });
    }
    let content = whole.get_mut("content").map(Json::take).unwrap_or_default();
    // The maps of a JSON value are in the order of their keys, so the same content gives the same text.
    let seal = load::digest(&serde_json::to_vec(&content).unwrap_or_default());
    if whole.get("sha256").and_then(Json::as_str) != Some(&seal) {
        return Err(damaged("its content is not what was written".into()));
    }
    serde_json::from_value(content).map_err(|cause| damaged(cause.to_string()))
}

fn read_limited(path: &Path, most: u64) -> Result<Vec<u8>, ArchiveError> {
    use io::Read as _;
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|cause| ArchiveError::Io { act: "read", path: path.to_owned(), cause })
}

/// Writes a file under another name, flushes it, moves it into place and flushes the folder.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ArchiveError> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        // Temporary files are made readable by their owner alone.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        #[cfg(unix)]
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(|cause| ArchiveError::Io { act: "write", path: path.to_owned(), cause })
}

fn remove(path: &Path) -> Result<(), ArchiveError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(ArchiveError::Io { act: "remove", path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
