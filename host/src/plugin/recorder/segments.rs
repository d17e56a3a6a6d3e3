//! Lines in numbered files of a folder, the oldest file deleted when there is enough without it.
//!
//! Promises: folder 0700, files 0600 from the moment they exist; never more bytes than allowed; a line that was cut short spoils no
//! other. Must not know: what the lines say.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::RecordingSettings;

/// Into how many files the recording is divided: what is deleted at once is this part of it.
const PARTS: u64 = 4;
/// How a file's name ends.
const ENDING: &str = "jsonl";

/// The recording being written.
pub struct Segments {
    folder: PathBuf,
    settings: RecordingSettings,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    /// The last one's file, opened when something is written.
    file: Option<File>,
    /// The last file may end within a line.
    torn: bool,
}

struct Segment {
    number: u64,
    calls: usize,
    bytes: u64,
}

impl Segments {
    /// Makes the folder, or goes on with what is in it.
    pub fn open(folder: &Path, settings: RecordingSettings) -> io::Result<Self> {
        make_private(folder)?;
        let mut segments = VecDeque::new();
        let mut torn = false;
        for (number, path) in list(folder)? {
            let content = read(&path, settings.bytes)?;
            torn = content.last().is_some_and(|byte| *byte != b'\n');
            let calls = content.iter().filter(|byte| **byte == b'\n').count();
            segments.push_back(Segment { number, calls, bytes: fs::metadata(&path)?.len() });
        }
        let mut open = Self { folder: folder.to_owned(), settings, segments, file: None, torn };
        open.prune()?;
        Ok(open)
    }

    /// Writes a line, which ends with its line end. False if it is too long to be kept at all.
    pub fn append(&mut self, line: &[u8]) -> io::Result<bool> {
        let size = line.len() as u64 + 1;
        let share = self.settings.bytes / PARTS;
        if size > share {
            return Ok(false);
        }
        let calls = self.settings.calls.div_ceil(PARTS as usize).max(1);
        let full = self.segments.back().is_none_or(|last| last.calls >= calls || last.bytes + size > share);
        if full {
            let number = self.segments.back().map_or(1, |last| last.number + 1);
            (self.file, self.torn) = (None, false);
            self.segments.push_back(Segment { number, calls: 0, bytes: 0 });
            self.prune()?;
        }
        let Some(last) = self.segments.back_mut() else { return Ok(false) };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(private_file(&path(&self.folder, last.number))?),
        };
        if self.torn {
            file.write_all(b"\n")?;
            last.bytes += 1;
        }
        // Until it is written whole.
        self.torn = true;
        file.write_all(line)?;
        self.torn = false;
        last.calls += 1;
        last.bytes += line.len() as u64;
        Ok(true)
    }

    /// Deletes the oldest files while there is enough without them, or too much with them; the last one is never deleted.
    fn prune(&mut self) -> io::Result<()> {
        let most = self.settings.bytes - self.settings.bytes / PARTS;
        loop {
            let closed = self.segments.len().saturating_sub(1);
            let calls: usize = self.segments.iter().map(|segment| segment.calls).sum();
            let bytes: u64 = self.segments.iter().take(closed).map(|segment| segment.bytes).sum();
            let Some(oldest) = self.segments.front().filter(|_| closed > 0) else { return Ok(()) };
            if calls - oldest.calls < self.settings.calls && bytes <= most {
                return Ok(());
            }
            remove(&path(&self.folder, oldest.number))?;
            self.segments.pop_front();
        }
    }
}

/// What `understand` makes of the newest lines of a folder, at most `max`, newest first.
pub fn newest<T>(folder: &Path, max: usize, understand: impl Fn(&[u8]) -> Option<T>) -> Vec<T> {
    let mut found = Vec::new();
    for (_, path) in list(folder).unwrap_or_default().into_iter().rev() {
        // It may have been deleted meanwhile: it was the oldest.
        let Ok(content) = fs::read(&path) else { continue };
        let left = max - found.len();
        found.extend(content.rsplit(|byte| *byte == b'\n').filter_map(&understand).take(left));
        if found.len() == max {
            break;
        }
    }
    found
}

/// Deletes a recording. No other file in the folder is touched.
pub fn delete(folder: &Path) -> io::Result<()> {
    for (_, path) in list(folder)? {
        remove(&path)?;
    }
    // It stays if somebody else's files are in it.
    let _ = fs::remove_dir(folder);
    Ok(())
}

/// The recording's files by number, oldest first; none if there is no folder.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|end| end == ENDING)) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{ENDING}"))
}

fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    // The data folder's own rights hold.
    fs::create_dir_all(folder)
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
