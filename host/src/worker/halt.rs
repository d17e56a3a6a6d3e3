//! The halt: a rule that must never be passed by failed, and nothing is written until it has judged the appointment it failed at.
//!
//! Promises: while it lasts, only that appointment is taken from the queue, and only under other rules than those that failed or when a
//! person asked; all others wait without spending a try. It ends when that appointment got its answer (written, refused, held, parked) or
//! was discarded. It outlasts a restart: the entry in the queue says what it waits for. Must not know: servers, why the rule failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Worker;
use crate::model::{Container, Key};
use crate::notify::Notice;
use crate::queue::{EntryView, FailureRecord, Lease, QueueError};
use crate::rules::Fault;

/// [`crate::queue::FailureRecord::class`] of an entry that halted the work.
const CLASS: &str = "stop";
/// How soon an appointment that halted the work is due again: it is held back by the halt, not by its time.
const HALTED_DUE: Duration = Duration::from_secs(1);

/// Why nothing is written at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halted {
    pub rule: String,
    pub code: String,
    pub message: String,
    pub since: DateTime<Utc>,
    /// The appointments it failed at, each with the digest of the rules it failed under; none where it may be tried.
    pub keys: BTreeMap<Key, Option<String>>,
}

impl Halted {
    /// Whether work on an appointment has to wait while rules of this digest are in force.
    pub fn blocks(&self, key: &Key, digest: &str) -> bool {
        self.keys.get(key).is_none_or(|failed_under| failed_under.as_deref() == Some(digest))
    }
}

/// The halt of one host, if there is one.
#[derive(Debug, Default)]
pub struct Halt(Mutex<Option<Halted>>);

impl Halt {
    pub fn get(&self) -> Option<Halted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a halt, or adds an appointment to the one there is. True if it begins.
    pub fn begin(&self, why: Halted) -> bool {
        let mut halted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match halted.as_mut() {
            Some(there) => {
                there.keys.extend(why.keys);
                false
            }
            None => {
                *halted = Some(why);
                true
            }
        }
    }

    /// A person wants the appointment tried under the rules in force. True if it is one the work was halted at.
    pub fn let_try(&self, key: &Key) -> bool {
        let mut halted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = halted.as_mut().and_then(|there| there.keys.get_mut(key));
        tried.map(|failed_under| *failed_under = None).is_some()
    }

    /// The appointment has its answer. True if that ends the halt.
    pub fn answered(&self, key: &Key) -> bool {
        let mut halted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(there) = halted.as_mut() else { return false };
        if there.keys.remove(key).is_none() || !there.keys.is_empty() {
            return false;
        }
        *halted = None;
        true
    }

    /// The appointment is worked on under another key.
    pub fn moved(&self, from: &Key, to: &Key) {
        let mut halted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = halted.as_mut()
            && there.keys.remove(from).is_some()
        {
            there.keys.insert(to.clone(), None);
        }
    }
}

impl Worker {
    /// Why nothing is written at present, if a rule stopped the work.
    pub fn halted(&self) -> Option<Halted> {
        self.halt.get()
    }

    /// A person wants an appointment tried that halted the work.
    pub fn let_try(&self, key: &Key) {
        if self.halt.let_try(key) {
            self.queue.nudge();
        }
    }

    /// An appointment that may have halted the work has its answer, or is gone from the queue.
    pub fn judged(&self, key: &Key) {
        if self.halt.answered(key) {
            tracing::info!(appointment.key = %key, "The rule that stopped the work has judged {key}, or need not; the work goes on");
            self.queue.nudge();
        }
    }

    /// Takes up a halt that began before the host was started: the appointments it began with go first, and alone.
    ///
    /// # Errors
    /// [`QueueError::Store`] if the queue cannot be read.
    pub async fn recall(&self) -> Result<(), QueueError> {
        let halted = |view: EntryView| view.failure.filter(|failure| failure.class == CLASS).map(|why| (view.key, why));
        for (key, failure) in self.queue.collect(None, halted).await? {
            let FailureRecord { origin: rule, code, message, at: since, .. } = failure;
            self.halt.begin(Halted { rule, code, message, since, keys: BTreeMap::from([(key, None)]) });
        }
        Ok(())
    }

    /// Which entries have to wait: all but the ones that halted the work, while it is halted. Entries are not held back by container: a
    /// circuit is minded where a server is asked, since an entry found in one place is mostly written in another.
    pub(super) fn gate(&self) -> impl Fn(&Key, &[Container]) -> bool + Sync + use<> {
        let halted = self.halt.get().map(|halted| (halted, self.rules.current().generation().digest));
        move |key, _| halted.as_ref().is_some_and(|(halted, digest)| halted.blocks(key, digest))
    }

    /// A rule that must never be passed by failed: nothing more is written until it has judged this appointment.
    pub(super) async fn stopped_by(&self, lease: Lease, fault: &Fault, digest: String) -> Result<(), QueueError> {
        let (key, code) = (&lease.key, format!("rule-{}", fault.kind_name()));
        let hint = format!(
            "mend rule {}; new rules try {key} again by themselves. To try it with the rules as they are: daybridge queue retry {key}; to go on without it: daybridge queue discard {key}",
            fault.rule
        );
        let mut record = self.record(&lease, &code, CLASS, &fault.rule, fault.to_string(), hint);
        if let Some(words) = &fault.default_message {
            record.message = words.over(&record.message);
        }
        let keys = BTreeMap::from([(key.clone(), Some(digest))]);
        let why = Halted { rule: fault.rule.clone(), code, message: record.message.clone(), since: record.at, keys };
        let notice = Notice {
            code: record.code.clone(),
            about: fault.rule.clone(),
            title: format!("Nothing is written any more: rule {} failed at {key}", fault.rule),
            text: record.message.clone(),
            hint: record.hint.clone(),
        };
        // The halt first: nobody takes another entry from here on. Cut off here, the entry is tried again at the next start.
        if self.halt.begin(why) {
            self.notifier.tell(notice, self.clock.now());
        }
        self.queue.retry(&lease, Some(HALTED_DUE), record, false).await
    }
}
