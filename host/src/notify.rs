//! Messages to people: what failed, why, what to do. One notice for each cause and period (a quarter of an hour
//! unless set otherwise), never a storm.
//!
//! Notices go to the log at level ERROR ("a person must act") and are kept for the control API.
//! Promises: bounded memory; no address, subject or body in a notice. Must not know: how a failure came about.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Notices kept for people who ask: a screen or two.
const KEPT_MAX: usize = 200;
/// Causes remembered for the quiet time; beyond it the oldest is told again, which is better than growing.
const CAUSES_MAX: usize = 10_000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stable code of the failure.
    pub code: String,
    /// What the notice is about: a server, a rule, an appointment's key. With the code it makes the cause.
    pub about: String,
    pub title: String,
    pub text: String,
    pub hint: String,
}

/// A notice as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub at: DateTime<Utc>,
    pub notice: Notice,
    /// Further failures of the same cause that were not told apart.
    pub more: u64,
}

/// Where notices go.
#[derive(Debug)]
pub struct Notifier {
    /// How long a cause stays quiet after it was told.
    quiet: TimeDelta,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Told>,
    last: BTreeMap<(String, String), DateTime<Utc>>,
}

impl Notifier {
    pub fn new(quiet: TimeDelta) -> Self {
        Self { quiet, state: Mutex::default() }
    }

    /// Tells people, unless the same cause was told within the period. Returns whether it was told.
    pub fn tell(&self, notice: Notice, now: DateTime<Utc>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = (notice.code.clone(), notice.about.clone());
        if state.last.get(&cause).is_some_and(|last| now - *last < self.quiet) {
            let same = |told: &&mut Told| told.notice.code == notice.code && told.notice.about == notice.about;
            if let Some(told) = state.kept.iter_mut().rev().find(same) {
                told.more += 1;
            }
            return false;
        }
        if state.last.len() >= CAUSES_MAX {
            state.last.retain(|_, last| now - *last < self.quiet);
            if state.last.len() >= CAUSES_MAX {
                state.last.clear();
            }
        }
        state.last.insert(cause, now);
        tracing::error!(
            notice.code = notice.code,
            notice.about = notice.about,
            hint = notice.hint,
            "{}: {}",
            notice.title,
            notice.text
        );
        state.kept.push_back(Told { at: now, notice, more: 0 });
        if state.kept.len() > KEPT_MAX {
            state.kept.pop_front();
        }
        true
    }

    /// What was told, oldest first.
    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect()
    }
}
