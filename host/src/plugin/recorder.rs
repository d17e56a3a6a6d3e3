//! The last calls of the live chain, kept so that new rules can be tried on them.
//!
//! Promises: bounded in number and bytes; survives a restart; a damaged end loses its own calls and no others; an appointment never
//! waits for it: what comes faster than the disk takes it is counted and dropped; switched off, nothing is written and what was is
//! deleted. It holds personal data: the folder and its files are for the host's own account alone. Not flushed to the platter: a
//! power cut may take the last calls.
//! Must not know: what is done with the calls.

mod line;
mod segments;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Map;

use self::segments::Segments;
use super::chain::Trace;
use super::fixture::{Answer, Ask, Edits, Fixture, Lookups};
use super::lookup::{Notes, Question};
use super::observe::{Judged, Observer};
use crate::clock::Clock;
use crate::model::{Appointment, Direction};
use crate::rules::{Draft, Fault, Verdict};

/// One call of the live chain, with all that is needed to judge it again.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    pub at: DateTime<Utc>,
    /// Digest of the generation that judged it, see [`crate::rules::Generation`].
    pub generation: String,
    /// What was asked, with the look-ups that were answered, and as `expected` what came out.
    pub fixture: Fixture,
    /// Look-ups that were asked. One that is not among the fixture's answers was told that there is no such thing.
    pub asked: Vec<Question>,
    /// Time in the rules.
    pub elapsed: Duration,
}

/// What is recorded, and how much of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingSettings {
    pub enabled: bool,
    /// Calls kept at least, if `bytes` allows.
    pub calls: usize,
    /// Bytes on disk at most.
    pub bytes: u64,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self { enabled: true, calls: 500, bytes: 16 << 20 }
    }
}

/// Calls that may wait for the disk. Each holds an appointment twice, some kilobytes.
const WAITING_MAX: usize = 256;
/// How long a reader waits until what was judged before is on disk.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// Keeps the last calls in a folder.
pub struct Recorder {
    folder: PathBuf,
    settings: RecordingSettings,
    clock: Arc<dyn Clock>,
    /// None if nothing is recorded.
    queue: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

enum Message {
    Call(Box<Raw>),
    /// Answered when all before it is on disk.
    Flush(SyncSender<()>),
}

/// A call as it was judged; made into a record on the writer's thread.
struct Raw {
    at: DateTime<Utc>,
    generation: String,
    key: String,
    direction: Direction,
    source: Appointment,
    verdict: Result<Verdict, Fault>,
    lookups: Vec<Notes>,
    elapsed: Duration,
}

impl Recorder {
    /// Goes on with the recording in a folder, or deletes it if nothing is to be recorded. A folder that cannot be used is told in the
    /// log, and nothing is recorded: the sync does not depend on it.
    pub fn open(folder: &Path, settings: RecordingSettings, clock: Arc<dyn Clock>) -> Self {
        let dropped = Arc::new(AtomicU64::new(0));
        let mut recorder =
            Self { folder: folder.to_owned(), settings, clock, queue: None, dropped, writer: Mutex::default() };
        let started = if settings.enabled {
            Segments::open(folder, settings).and_then(|segments| recorder.start(segments))
        } else {
            segments::delete(folder)
        };
        if let Err(cause) = started {
            tracing::warn!(error = %cause, "Calls of the rules are not recorded: {} cannot be used", folder.display());
        }
        recorder
    }

    fn start(&mut self, segments: Segments) -> std::io::Result<()> {
        let (queue, messages) = mpsc::sync_channel(WAITING_MAX);
        let dropped = Arc::clone(&self.dropped);
        let writer =
            thread::Builder::new().name("rule-recorder".into()).spawn(move || write(segments, &messages, &dropped))?;
        self.queue = Some(queue);
        self.writer = Mutex::new(Some(writer));
        Ok(())
    }

    /// The last calls, newest first; what cannot be read is left out. Blocks on the disk.
    pub fn recent(&self, max: usize) -> Vec<RecordedCall> {
        let Some(queue) = &self.queue else { return Vec::new() };
        let (done, flushed) = mpsc::sync_channel(1);
        if queue.send(Message::Flush(done)).is_ok() {
            // A disk that takes longer than this has not written the very last ones.
            let _ = flushed.recv_timeout(FLUSH_LIMIT);
        }
        segments::newest(&self.folder, max.min(self.settings.calls), line::read)
    }

    /// Whether calls are recorded.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Calls that were not recorded: the disk was behind, or they were too large.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Observer for Recorder {
    fn judged(&self, judged: &Judged<'_>) {
        let Some(queue) = &self.queue else { return };
        let Trace { verdict, steps } = judged.trace;
        let raw = Raw {
            at: self.clock.now(),
            generation: judged.generation.digest.clone(),
            key: judged.call.id.to_owned(),
            direction: judged.call.direction,
            source: judged.call.source.clone(),
            verdict: verdict.clone(),
            lookups: steps.iter().map(|step| step.lookups.clone()).collect(),
            elapsed: steps.iter().map(|step| step.elapsed).sum(),
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Message::Call(Box::new(raw)))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // What is queued is written; the queue is short.
            let _ = writer.join();
        }
    }
}

fn write(mut segments: Segments, messages: &Receiver<Message>, dropped: &AtomicU64) {
    let (mut told, mut last) = (false, Last::default());
    for message in messages {
        match message {
            Message::Call(raw) => {
                let call = raw.record();
                if last.is_again(&call) {
                    continue;
                }
                let line = line::write(&call);
                match segments.append(line.as_bytes()) {
                    Ok(true) => {}
                    Ok(false) => {
                        dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(cause) => {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        if !std::mem::replace(&mut told, true) {
                            tracing::warn!(error = %cause, "Calls of the rules cannot be recorded at present");
                        }
                    }
                }
            }
            Message::Flush(done) => {
                // Whoever asked may have gone.
                let _ = done.try_send(());
            }
        }
    }
}

/// What was recorded last of each appointment and direction. An appointment is judged again and again as it was (by each pass that
/// meets it, and as the base of a merge), and that says nothing new.
#[derive(Default)]
struct Last(HashMap<(String, &'static str), u64>);

/// Appointments remembered; when there are more, all are forgotten, and each may be recorded once more than needed.
const LAST_MAX: usize = 10_000;

impl Last {
    fn is_again(&mut self, call: &RecordedCall) -> bool {
        let Ask::Apply { key, direction, .. } = &call.fixture.ask else { return false };
        let mut hasher = DefaultHasher::new();
        (call.fixture.to_tree().to_string(), &call.generation).hash(&mut hasher);
        if self.0.len() >= LAST_MAX {
            self.0.clear();
        }
        let hash = hasher.finish();
        self.0.insert((key.clone(), direction.name()), hash) == Some(hash)
    }
}

impl Raw {
    fn record(self) -> RecordedCall {
        let mut lookups = Lookups::default();
        let mut asked: Vec<Question> = Vec::new();
        for notes in &self.lookups {
            lookups.learn(notes);
            for (question, _) in notes.answered() {
                if !asked.contains(question) {
                    asked.push(question.clone());
                }
            }
        }
        let expected = Answer::of_verdict(&self.verdict, &Draft::of(&self.source));
        let (direction, key) = (self.direction, self.key);
        let fixture = Fixture {
            name: name(&key),
            rule: None,
            about: None,
            ask: Ask::Apply { direction, key, source: Box::new(self.source), draft: Edits::default() },
            settings: Map::new(),
            lookups,
            expected: Some(expected),
        };
        RecordedCall { at: self.at, generation: self.generation, fixture, asked, elapsed: self.elapsed }
    }
}

/// A key as a file name: `crm-4711`.
fn name(key: &str) -> String {
    key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).take(64).collect()
}
