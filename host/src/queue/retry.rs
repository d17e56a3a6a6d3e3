//! How long to wait before the next attempt. Pure.
//!
//! Promises: doubles with each attempt up to a cap, spread by chance so that what failed together does not return
//! together; a wait the server named wins. Must not know: what failed.

use std::time::Duration;

/// How delays grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// After the first failed attempt.
    pub first: Duration,
    /// Never longer than this, chance included.
    pub cap: Duration,
    /// Longest wait taken from a server's own word: beyond it the server is asked again anyway.
    pub server_cap: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(15),
            cap: Duration::from_secs(3600),
            server_cap: Duration::from_secs(24 * 3600),
        }
    }
}

/// The wait after attempt number `attempt` (from 1) failed. `chance` in `0.0..1.0` spreads it over ±10 %; `server` is
/// the wait the server asked for: it is not shortened, and lengthened by chance by up to 10 %.
pub fn delay(settings: &RetrySettings, attempt: u32, chance: f64, server: Option<Duration>) -> Duration {
    let chance = chance.clamp(0.0, 1.0);
    if let Some(asked) = server {
        return asked.min(settings.server_cap).mul_f64(1.0 + 0.1 * chance);
    }
    // Beyond 2^20 every sane cap is reached.
    let doublings = attempt.saturating_sub(1).min(20);
    let grown = settings.first.saturating_mul(1 << doublings).min(settings.cap);
    grown.mul_f64(0.9 + 0.2 * chance).min(settings.cap)
}
