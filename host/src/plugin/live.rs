//! The chain in force, and its replacement while the host runs.
//!
//! Promises: a new chain is built whole before it takes the old one's place; if anything is wrong with it the old one
//! stays and the reason names the file; whoever holds a chain finishes on it. Must not know: what chains do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use super::chain::{Chain, LoadError};
use super::engine::Engine;
use super::entry::ChainConfig;
use super::load;
use super::lookup::LookupSource;
use super::observe::Observers;
use crate::lifecycle::Tasks;
use crate::rules::Generation;

/// How often the rules folder is looked at. Soon enough for a person who has just copied a file, and cheap: one `stat` per rule.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Holder of the chain in force. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    lookups: Arc<dyn LookupSource>,
    observers: Observers,
    current: ArcSwap<Chain>,
    /// The configuration in force; held while a chain is replaced, so that two replacements never cross.
    config: Mutex<ChainConfig>,
}

impl Live {
    /// Loads the first chain.
    ///
    /// # Errors
    /// [`LoadError`] for the first rule that is not accepted.
    pub fn new(
        config: ChainConfig,
        engine: Engine,
        lookups: Arc<dyn LookupSource>,
        observers: Observers,
    ) -> Result<Self, LoadError> {
        let chain = Chain::load(&config, &engine, &lookups)?.observed(&observers);
        let current = ArcSwap::from_pointee(chain);
        Ok(Self { shared: Arc::new(Shared { engine, lookups, observers, current, config: Mutex::new(config) }) })
    }

    /// The chain in force. Hold it for one appointment, then ask again.
    pub fn current(&self) -> Arc<Chain> {
        self.shared.current.load_full()
    }

    /// Loads all files again and puts the new chain in force. Compiles new rules on the calling thread.
    ///
    /// # Errors
    /// [`LoadError`]; the old chain stays then.
    pub fn reload(&self) -> Result<Generation, LoadError> {
        self.replace(None)
    }

    /// Puts another configuration in force.
    ///
    /// # Errors
    /// [`LoadError`]; the old chain and the old configuration stay then.
    pub fn configure(&self, config: ChainConfig) -> Result<Generation, LoadError> {
        self.replace(Some(config))
    }

    fn replace(&self, new: Option<ChainConfig>) -> Result<Generation, LoadError> {
        let shared = &self.shared;
        let mut config = shared.config.lock().unwrap_or_else(PoisonError::into_inner);
        let chain =
            Chain::load(new.as_ref().unwrap_or(&config), &shared.engine, &shared.lookups)?.observed(&shared.observers);
        let generation = crate::rules::Rules::generation(&chain);
        shared.current.store(Arc::new(chain));
        if let Some(new) = new {
            *config = new;
        }
        tracing::info!(rules.generation = generation.number, rules.digest = %generation.digest, "Rules in force: generation {}", generation.number);
        Ok(generation)
    }

    /// Watches the rules folder until the host stops: a file that changes, appears or goes makes the chain load again.
    pub fn watch(&self, tasks: &Tasks) {
        let (live, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("rules-folder", async move {
            let mut seen = live.loaded();
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
                // Reading and compiling would block the host's tasks.
                let watcher = live.clone();
                let looked = tokio::task::spawn_blocking(move || watcher.look_and_reload(seen)).await;
                match looked {
                    Ok(now) => seen = now,
                    Err(_) => {
                        return tracing::error!("The watch over the rules folder died; use: daybridge rules reload");
                    }
                }
            }
        });
    }

    /// The rule files as the chain in force has them, so that a change before the first look is not missed.
    fn loaded(&self) -> Seen {
        let config = self.shared.config.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = self.current();
        let from_files = chain.list().iter().filter(|rule| rule.enabled && !rule.built_in);
        let file = |digest: &str| File { date: None, size: 0, digest: digest.to_owned() };
        from_files.filter_map(|rule| Some((config.folder.as_ref()?.join(&rule.file), file(&rule.digest)))).collect()
    }

    fn look_and_reload(&self, before: Seen) -> Seen {
        let now = self.look(before.clone());
        let digests =
            |seen: &Seen| seen.iter().map(|(path, file)| (path.clone(), file.digest.clone())).collect::<Vec<_>>();
        if digests(&now) != digests(&before)
            && let Err(error) = self.reload()
        {
            tracing::error!(error = %crate::error::Chain(&error), "The rules in force stay as they are: {error}");
        }
        now
    }

    /// The rule files as they are now. A file's content is read only where its date or size is another than `before`.
    fn look(&self, mut before: Seen) -> Seen {
        let config = self.shared.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let paths = config.rules.iter().filter(|entry| entry.enabled).filter_map(|entry| config.path(entry));
        let look = |path: PathBuf| {
            let meta = std::fs::metadata(&path).ok()?;
            let (date, size) = (meta.modified().ok(), meta.len());
            let file = match before.remove(&path) {
                Some(known) if (known.date, known.size) == (date, size) => known,
                _ if size > load::SIZE_MAX => File { date, size, digest: String::new() },
                _ => File { date, size, digest: load::digest(&std::fs::read(&path).ok()?) },
            };
            Some((path, file))
        };
        paths.filter_map(look).collect()
    }
}

type Seen = BTreeMap<PathBuf, File>;

/// What tells one version of a file from another.
#[derive(Clone)]
struct File {
    date: Option<SystemTime>,
    size: u64,
    digest: String,
}
