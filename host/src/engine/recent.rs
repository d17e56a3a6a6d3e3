//! Acts of the recent past, for limits that hold within a period.
//!
//! Promises: pure arithmetic over instants it is given; a storm takes no more room than the period has minutes.
//! Must not know: what is counted.

use chrono::{DateTime, TimeDelta, Utc};

/// Acts of one minute are counted together.
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Counts by the minute they began in, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent(Vec<(DateTime<Utc>, u32)>);

impl Recent {
    /// Counts as an earlier run of the host kept them.
    pub fn new(counts: Vec<(DateTime<Utc>, u32)>) -> Self {
        Self(counts)
    }

    pub fn counts(&self) -> &[(DateTime<Utc>, u32)] {
        &self.0
    }

    /// How many there were within `period` before `now`; older ones are forgotten.
    pub fn within(&mut self, period: TimeDelta, now: DateTime<Utc>) -> u32 {
        self.0.retain(|(at, _)| now - *at < period);
        self.0.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub fn add(&mut self, count: u32, now: DateTime<Utc>) {
        match self.0.last_mut() {
            // A clock that was set back counts on in the minute it came from.
            Some((at, last)) if now - *at < MINUTE => *last = last.saturating_add(count),
            Some(_) | None => self.0.push((now, count)),
        }
    }

    /// Takes back what was counted last and then did not happen.
    pub fn take_back(&mut self, count: u32) {
        if let Some((_, last)) = self.0.last_mut() {
            *last = last.saturating_sub(count);
        }
    }
}
