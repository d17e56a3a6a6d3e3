//! The watch over the rules folder, and over new generations.
//!
//! Promises: a file that changes, appears or goes is tried like any other change; what is refused or spoken against waits,
//! with one notice. A changed rule that fails in its first calls takes its generation back. Must not know: what rules do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::SystemTime;

use super::start::against;
use super::{Change, LifecycleError, Live, Proposed, RuleNotice, WatchMode};
use crate::lifecycle::Tasks;
use crate::plugin::archive::record::Cause;
use crate::plugin::load;
use crate::plugin::probation::Word;
use crate::plugin::script;
use crate::plugin::watch_folder::FolderWatch;

/// Times a change of the folder is proposed anew if others change the rules at the same time.
const TRIES: usize = 5;

impl Live {
    /// Watches until the host stops: the rules folder, unless the operator switched that off, and generations on probation.
    /// Gets the engine for scripts ready meanwhile, so that the first script that comes is live as soon as any other.
    ///
    /// What compiles then is ended, so that nobody waits for it.
    pub fn watch(&self, tasks: &Tasks) {
        let (engine, stopping) = (self.shared.parts.gate.engine.clone(), tasks.stopping());
        tasks.spawn("compiling", async move {
            stopping.cancelled().await;
            engine.end_compiling();
        });
        self.watch_generations(tasks);
        self.prepare_scripts(tasks);
        if self.shared.parts.settings.watch != WatchMode::Off {
            self.watch_folder(tasks);
        }
    }

    fn watch_folder(&self, tasks: &Tasks) {
        let (live, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("rules-folder", async move {
            let (mut seen, mut folder) = (live.recorded(), FolderWatch::default());
            loop {
                folder.follow(live.folder().as_deref());
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = folder.changed() => {}
                }
                // Reading and compiling would block the host's tasks.
                let watcher = live.clone();
                let looked = tokio::task::spawn_blocking(move || watcher.look_and_take(seen)).await;
                match looked {
                    Ok(now) => seen = now,
                    Err(_) => {
                        return tracing::error!("The watch over the rules folder died; use: daybridge rules reload");
                    }
                }
            }
        });
    }

    fn prepare_scripts(&self, tasks: &Tasks) {
        let (engine, stopping) = (self.shared.parts.gate.engine.clone(), tasks.stopping());
        tasks.spawn("script-engine", async move {
            let prepared = tokio::task::spawn_blocking(move || script::prepare(&engine)).await;
            if let (Ok(Err(refused)), false) = (prepared, stopping.is_cancelled()) {
                tracing::warn!(error = %refused, "No script can be a rule for now: the engine for scripts {refused}");
            }
        });
    }

    fn folder(&self) -> Option<PathBuf> {
        self.state().config.folder.clone()
    }

    /// The folder's files as they were when the generation in force was made, so that a change before the first look is
    /// not missed.
    fn recorded(&self) -> Seen {
        let (record, config) = {
            let state = self.state();
            (state.record.clone(), state.config.clone())
        };
        let path = |file: &String| config.path(file);
        let files = record.sources.files.iter().filter_map(|(file, digest)| {
            let digest = digest.clone().filter(|digest| !is_built_in(file, digest))?;
            Some((path(file)?, File { date: None, size: 0, digest }))
        });
        files.collect()
    }

    fn look_and_take(&self, before: Seen) -> Seen {
        let now = self.look(before.clone());
        let digests =
            |seen: &Seen| seen.iter().map(|(path, file)| (path.clone(), file.digest.clone())).collect::<Vec<_>>();
        if digests(&now) != digests(&before) {
            self.take_folder();
        }
        now
    }

    /// The rule files as they are now. A file's content is read only where its date or size is another than `before`.
    fn look(&self, mut before: Seen) -> Seen {
        let (record, config) = {
            let state = self.state();
            (state.record.clone(), state.config.clone())
        };
        let paths = record.sources.files.keys().filter_map(|file| config.path(file));
        let look = |path: PathBuf| {
            let meta = std::fs::metadata(&path).ok()?;
            let (date, size) = (meta.modified().ok(), meta.len());
            let file = match before.remove(&path) {
                Some(known) if (known.date, known.size) == (date, size) => known,
                _ if size > load::SIZE_MAX => File { date, size, digest: format!("{size} bytes") },
                _ => File { date, size, digest: load::digest(&std::fs::read(&path).ok()?) },
            };
            Some((path, file))
        };
        paths.filter_map(look).collect()
    }

    /// Takes what the folder holds now, or tells why not.
    fn take_folder(&self) {
        for _ in 0..TRIES {
            match self.try_folder() {
                Err(LifecycleError::Stale { .. }) => {}
                Err(error) => {
                    let text = crate::error::Chain(&error).to_string();
                    return self.wait_for_a_person("rules-refused", &text, error.hint().to_owned());
                }
                Ok(()) => return,
            }
        }
    }

    fn try_folder(&self) -> Result<(), LifecycleError> {
        let proposed = self.propose(Change::Reload { fresh: false }, "folder")?;
        let Proposed { report, passed, .. } = &proposed;
        let staged = self.shared.parts.settings.watch == WatchMode::Stage && !report.unchanged;
        if passed.is_err() {
            let hint = "mend the file and copy it again; the rules in force stay as they are".to_owned();
            self.wait_for_a_person("rules-refused", &against(report), hint);
        } else if staged || !report.is_clean() {
            let changed: Vec<String> = report.rules.iter().map(|change| change.rule.clone()).collect();
            let why = if report.is_clean() { String::new() } else { format!(": {}", against(report)) };
            let text = format!("changed files of {} wait{why}", changed.join(", "));
            let hint = "look at it: daybridge rules reload; put it in force: daybridge rules reload --yes".to_owned();
            self.wait_for_a_person("rules-staged", &text, hint);
        } else {
            self.commit(proposed)?;
        }
        Ok(())
    }

    fn wait_for_a_person(&self, code: &'static str, text: &str, hint: String) {
        let notice = RuleNotice {
            code,
            // Each new reason is told, the same one once.
            about: format!("rules folder {:.8}", load::digest(text.as_bytes())),
            title: "What lies in the rules folder is not in force".to_owned(),
            text: text.to_owned(),
            hint,
        };
        self.state().pending = Some(notice.clone());
        (self.shared.parts.tell)(notice);
    }

    fn watch_generations(&self, tasks: &Tasks) {
        let words = self.shared.words.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut words) = words else { return };
        let (live, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("rules-probation", async move {
            loop {
                let word = tokio::select! {
                    () = stopping.cancelled() => return,
                    word = words.recv() => word,
                };
                let Some(word) = word else { return };
                let heeding = live.clone();
                if tokio::task::spawn_blocking(move || heeding.heed(word)).await.is_err() {
                    return tracing::error!("The watch over new generations of rules died");
                }
            }
        });
    }

    fn heed(&self, word: Word) {
        match word {
            Word::Proven { generation } => {
                tracing::info!(
                    rules.generation = generation,
                    "Generation {generation} of the rules came through its probation"
                );
                if let Err(error) = self.shared.parts.archive.prove(generation) {
                    tracing::warn!(error = %crate::error::Chain(&error), "It will be on probation again after a restart");
                }
            }
            Word::Failed { generation, rule, version, fault } => self.take_back(generation, &rule, &version, &fault),
        }
    }

    /// Goes back to the generation before, if the one that failed is still in force.
    fn take_back(&self, failed: u64, rule: &str, version: &str, fault: &str) {
        let before = {
            let state = self.state();
            state.record.before.filter(|_| state.record.number == failed)
        };
        let Some(before) = before else { return };
        let back = self.propose(Change::Restore(Some(before)), "host").and_then(|mut proposed| {
            proposed.reason.cause = Cause::Probation;
            proposed.reason.note = format!("restores {before}, since {rule} {version} of {failed} failed");
            self.commit(proposed)
        });
        let about = format!("rules generation {failed}");
        let notice = match back {
            // Somebody was faster.
            Err(LifecycleError::Stale { .. }) => return,
            Ok(now) => RuleNotice {
                code: "rule-rolled-back",
                about,
                title: format!("Rule {rule} {version} failed and was rolled back"),
                text: format!(
                    "{fault}; generation {failed} was new, so its rules were taken back: in force is generation {}, which restores {before}",
                    now.number
                ),
                hint: format!(
                    "mend the rule and install it again; parked appointments go on with: daybridge queue retry --all; in force all the same: daybridge rules swap {failed}"
                ),
            },
            Err(error) => RuleNotice {
                code: "rule-rollback-failed",
                about,
                title: format!("Rule {rule} {version} failed and could not be rolled back"),
                text: format!("{fault}; going back to generation {before}: {}", crate::error::Chain(&error)),
                hint: "put good rules in force: daybridge rules list --versions, daybridge rules swap".to_owned(),
            },
        };
        (self.shared.parts.tell)(notice);
    }
}

fn is_built_in(file: &str, digest: &str) -> bool {
    let built_in = crate::plugin::default_rules().iter().find(|(name, _)| *name == file);
    built_in.is_some_and(|(_, bytes)| load::digest(bytes) == digest)
}

type Seen = BTreeMap<PathBuf, File>;

/// What tells one version of a file from another.
#[derive(Clone)]
struct File {
    date: Option<SystemTime>,
    size: u64,
    digest: String,
}
