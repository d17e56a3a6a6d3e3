//! How fast one mailbox may be asked: the pauses the server asks for, and the budget of ten minutes where it has one.
//!
//! Promises: pure; the clock is a parameter. Nothing is sent before a pause is over, and never more than the budget within any
//! ten minutes. Must not know: requests.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The time over which Outlook counts.
const PERIOD: TimeDelta = TimeDelta::minutes(10);
/// Requests are counted in slices of this length; each is dropped as a whole, a slice late.
const SLICE: TimeDelta = TimeDelta::seconds(5);
/// A server that is busy and does not say for how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(10);

/// The pace of one mailbox.
#[derive(Debug, Default)]
pub struct Pace {
    paused_until: Option<DateTime<Utc>>,
    slices: VecDeque<(DateTime<Utc>, u32)>,
}

impl Pace {
    /// Asks for so many requests now: granted and counted, or how long to wait.
    ///
    /// # Errors
    /// The time until it is worth asking again.
    pub fn ask(&mut self, count: u32, budget: u32, now: DateTime<Utc>) -> Result<(), Duration> {
        self.paused(now)?;
        while self.slices.front().is_some_and(|(began, _)| now - *began >= PERIOD + SLICE) {
            self.slices.pop_front();
        }
        let spent = self.slices.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        if spent.saturating_add(count) > budget {
            return Err(self.relief(spent.saturating_add(count) - budget, now));
        }
        match self.slices.back_mut().filter(|(began, _)| now >= *began && now - *began < SLICE) {
            Some((_, spent)) => *spent = spent.saturating_add(count),
            None => self.slices.push_back((now, count)),
        }
        Ok(())
    }

    /// Whether a pause lasts.
    ///
    /// # Errors
    /// The time that is left of it.
    pub fn paused(&self, now: DateTime<Utc>) -> Result<(), Duration> {
        match self.paused_until {
            Some(until) if now < until => Err((until - now).to_std().unwrap_or_default()),
            _ => Ok(()),
        }
    }

    /// The server asked for a pause.
    pub fn pause(&mut self, after: Option<Duration>, now: DateTime<Utc>) {
        let wait = TimeDelta::from_std(after.unwrap_or(PAUSE_DEFAULT)).unwrap_or(PERIOD);
        let until = now + wait;
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    /// How long until so many of the counted requests are forgotten.
    fn relief(&self, missing: u32, now: DateTime<Utc>) -> Duration {
        let mut freed = 0_u32;
        for (began, count) in &self.slices {
            freed = freed.saturating_add(*count);
            if freed >= missing {
                return (*began + PERIOD + SLICE - now).to_std().unwrap_or_default();
            }
        }
        (PERIOD + SLICE).to_std().unwrap_or_default()
    }
}
