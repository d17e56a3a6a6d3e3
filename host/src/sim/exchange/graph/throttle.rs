//! Limits per application and mailbox: requests at the same time, and requests per window [throttling-limits].
//!
//! Promises: a refused request is counted, too, as the real server does: asking too early makes it longer.
//! Must not know: what requests do.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};

use super::Face;
use super::answer::Refused;

/// What the app asked of one mailbox.
#[derive(Debug)]
pub struct Use {
    window_began: DateTime<Utc>,
    requests: u32,
    /// Of all windows since the settings were changed.
    total: u64,
    under_way: u32,
    /// The most that were under way at the same time.
    at_once: u32,
}

/// By address of the mailbox.
pub type Uses = BTreeMap<String, Use>;

impl Use {
    /// Requests since the settings were changed, refused ones too.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The most requests at the same time since the settings were changed.
    pub fn at_once(&self) -> u32 {
        self.at_once
    }
}

/// A request under way; it no longer is when this is dropped.
#[derive(Debug)]
pub struct Pass {
    face: Face,
    mailbox: String,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(used) = self.face.state().uses.get_mut(&self.mailbox) {
            used.under_way = used.under_way.saturating_sub(1);
        }
    }
}

/// Counts a request to a mailbox, or refuses it.
pub fn enter(face: &Face, mailbox: &str, now: DateTime<Utc>) -> Result<Pass, Refused> {
    let mut state = face.state();
    let settings = state.settings.clone();
    let window = TimeDelta::seconds(settings.window_s);
    let used = state.uses.entry(mailbox.to_ascii_lowercase()).or_insert(Use {
        window_began: now,
        requests: 0,
        total: 0,
        under_way: 0,
        at_once: 0,
    });
    if now >= used.window_began + window {
        (used.window_began, used.requests) = (now, 0);
    }
    used.requests = used.requests.saturating_add(1);
    used.total = used.total.saturating_add(1);
    let wait = if settings.requests_max.is_some_and(|most| used.requests > most) {
        let left = (used.window_began + window - now).num_milliseconds();
        Some((left + 999) / 1_000)
    } else if settings.concurrent_max.is_some_and(|most| used.under_way >= most) {
        Some(1)
    } else {
        None
    };
    if let Some(seconds) = wait {
        state.throttled += 1;
        let text = "Application is over its MailboxConcurrency or request limit.";
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", text);
        return Err(refused.with(header::RETRY_AFTER, seconds.max(1).to_string()));
    }
    used.under_way += 1;
    used.at_once = used.at_once.max(used.under_way);
    Ok(Pass { face: face.clone(), mailbox: mailbox.to_ascii_lowercase() })
}
