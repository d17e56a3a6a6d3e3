//! Which servers and mailboxes are waited for, and until when.
//!
//! A server that is down or refuses the sign-in is asked again now and then by one entry; the others wait without burning
//! attempts. A throttled mailbox waits alone. Promises: pure bookkeeping on instants it is given; a success closes the
//! circuit at once. Must not know: why a server failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How long to wait for a server between tries.
#[derive(Clone, Copy, Debug)]
pub struct CircuitTimes {
    pub first: Duration,
    pub longest: Duration,
}

impl Default for CircuitTimes {
    fn default() -> Self {
        Self { first: Duration::from_secs(5), longest: Duration::from_secs(60) }
    }
}

/// The circuits of all servers and mailboxes, by name.
#[derive(Debug, Default)]
pub struct Circuits {
    open: Mutex<BTreeMap<String, Open>>,
}

#[derive(Clone, Debug)]
struct Open {
    until: DateTime<Utc>,
    failures: u32,
    code: &'static str,
}

/// A circuit as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub name: String,
    pub code: &'static str,
    pub until: DateTime<Utc>,
}

impl Circuits {
    /// How long work for `name` still has to wait; nothing if it may go. Once the time is up, one caller goes ahead as a
    /// probe and the others wait another round.
    pub fn wait(&self, name: &str, now: DateTime<Utc>, times: CircuitTimes) -> Option<Duration> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let circuit = open.get_mut(name)?;
        if let Ok(left) = (circuit.until - now).to_std()
            && !left.is_zero()
        {
            return Some(left);
        }
        circuit.until = now + delta(times.first);
        None
    }

    /// Opens the circuit (or keeps it open longer); returns the wait and whether it was closed before.
    pub fn failed(
        &self,
        name: &str,
        code: &'static str,
        after: Option<Duration>,
        now: DateTime<Utc>,
        times: CircuitTimes,
    ) -> (Duration, bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !open.contains_key(name);
        let circuit = open.entry(name.to_owned()).or_insert(Open { until: now, failures: 0, code });
        circuit.failures = circuit.failures.saturating_add(1);
        circuit.code = code;
        let grown = times.first.saturating_mul(2u32.saturating_pow(circuit.failures.saturating_sub(1).min(16)));
        let wait = after.unwrap_or_else(|| grown.min(times.longest));
        circuit.until = circuit.until.max(now + delta(wait));
        (wait, first)
    }

    /// The server answered: everything may go. Returns whether it was waited for.
    pub fn answered(&self, name: &str) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()
    }

    /// What is being waited for.
    pub fn waiting(&self) -> Vec<Waiting> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|(name, open)| Waiting { name: name.clone(), code: open.code, until: open.until }).collect()
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
