//! Stops a run that would delete much or all of one side: a feed suddenly empty, a mailbox restored from an old backup.
//!
//! Promises: pure arithmetic over counts it is given. Must not know: why something is deleted.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::Container;

/// When deletions are held for a person's yes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrakeLimits {
    /// Deletions within the period that are always let through.
    pub count: u32,
    /// Beyond `count`: the part of a container's pairs that may be deleted within the period, from 0 to 1.
    pub fraction: f64,
    pub period: TimeDelta,
}

impl Default for BrakeLimits {
    fn default() -> Self {
        Self { count: 10, fraction: 0.1, period: TimeDelta::hours(1) }
    }
}

/// Deletions of the recent past, per container.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    recent: BTreeMap<Container, Vec<DateTime<Utc>>>,
}

impl Brake {
    /// Asks for one deletion in a container that has `pairs` live pairs. If granted it is counted; else it is to be held.
    pub fn ask(&mut self, container: &Container, pairs: u64, now: DateTime<Utc>, limits: BrakeLimits) -> bool {
        let recent = self.recent.entry(container.clone()).or_default();
        recent.retain(|at| now - *at < limits.period);
        let done = recent.len();
        // Pairs deleted within the period were pairs when it began.
        let whole = pairs.saturating_add(done as u64);
        let by_fraction = (whole as f64 * limits.fraction).floor() as u64;
        let allowed = u64::from(limits.count).max(by_fraction);
        let granted = (done as u64) < allowed;
        if granted {
            recent.push(now);
        }
        granted
    }
}
