//! The watch over a new generation: the first calls of the rules it changed.
//!
//! Promises: a fault of a changed rule within its first calls is told once, over a channel, since the way back must not
//! be taken on a rule's thread; faults of other rules, refusals and calls that were not made do not count. The count begins
//! anew when the host starts again before it is full. Must not know: how a generation is taken back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::observe::{Called, Observer};

/// Words that wait to be read; one generation says one word, two at most.
pub(super) const WORDS_MAX: usize = 16;

/// What became of a generation on probation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Failed { generation: u64, rule: String, version: String, fault: String },
    Proven { generation: u64 },
}

/// Watches the changed rules of one generation; only its own chain tells it anything.
#[derive(Debug)]
pub(super) struct Probation {
    generation: u64,
    calls: u64,
    /// Calls so far by rule.
    changed: BTreeMap<String, AtomicU64>,
    said: AtomicBool,
    words: mpsc::Sender<Word>,
}

impl Probation {
    pub fn new(generation: u64, calls: u64, changed: impl Iterator<Item = String>, words: mpsc::Sender<Word>) -> Self {
        let changed = changed.map(|rule| (rule, AtomicU64::new(0))).collect();
        Self { generation, calls, changed, said: AtomicBool::new(false), words }
    }

    /// Says a word, once. If nobody reads, the next occasion will do.
    fn say(&self, word: Word) {
        if !self.said.swap(true, Ordering::Relaxed) && self.words.try_send(word).is_err() {
            self.said.store(false, Ordering::Relaxed);
        }
    }
}

impl Observer for Probation {
    fn called(&self, called: &Called<'_>) {
        let Some(count) = self.changed.get(&called.rule.rule) else { return };
        if self.said.load(Ordering::Relaxed) {
            return;
        }
        // A rule that the breaker set aside was not called.
        let fault = called.fault.filter(|fault| fault.kind_name() != "set-aside");
        if called.fault.is_some() && fault.is_none() {
            return;
        }
        let before = count.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = fault.filter(|_| before < self.calls) {
            let (rule, version) = (called.rule.rule.clone(), called.rule.version.clone());
            return self.say(Word::Failed { generation: self.generation, rule, version, fault: fault.to_string() });
        }
        if before + 1 >= self.calls && self.changed.values().all(|count| count.load(Ordering::Relaxed) >= self.calls) {
            self.say(Word::Proven { generation: self.generation });
        }
    }
}
