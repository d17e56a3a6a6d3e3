//! Time and chance as parameters: the one place that asks the system for either.
//!
//! Promises: with a [`FixedClock`] and a seed, everything built on this module repeats exactly. Instants from here order
//! the host's own work (leases, delays); they are never compared with another machine's clock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Wall time and random numbers.
pub trait Clock: Send + Sync + std::fmt::Debug {
    fn now(&self) -> DateTime<Utc>;
    /// A number in `0.0..1.0`, for jitter.
    fn chance(&self) -> f64;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that throws dice")]
    fn chance(&self) -> f64 {
        rand::rng().random()
    }
}

/// A clock that moves only when told, with seeded chance.
#[derive(Debug)]
pub struct FixedClock {
    micros: AtomicI64,
    rng: Mutex<StdRng>,
}

impl FixedClock {
    pub fn new(now: DateTime<Utc>, seed: u64) -> Self {
        Self { micros: AtomicI64::new(now.timestamp_micros()), rng: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    pub fn advance(&self, by: TimeDelta) {
        self.micros.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros.load(Ordering::SeqCst)).unwrap_or_default()
    }

    fn chance(&self) -> f64 {
        self.rng.lock().map_or(0.5, |mut rng| rng.random())
    }
}
