//! Budgets of EWS for one caller in one mailbox: requests at the same time, and requests in a window. `GET /_sim/ews` shows the
//! limits and what was asked, `POST` with some of the limits changes those and begins to count anew.
//!
//! A real server does not tell its budgets; it answers `ErrorServerBusy` and for how long it wants to be left alone. Of the limits
//! only the one at the same time has a known number: 27 since Exchange 2013, 10 before [ews-throttling].
//!
//! Promises: a refused request is counted, too; whoever comes before the time that was told is counted apart. An open stream of
//! notifications is no request under way: servers count such connections by themselves. Must not know: what requests do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Server;
use super::error::ExchangeError;

/// What is told to one who asks too much at the same time.
const BACK_OFF_AT_ONCE: TimeDelta = TimeDelta::seconds(1);
/// Longest artificial latency: below the time limits of real clients.
pub const LATENCY_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests to one mailbox at the same time.
    pub concurrent_max: Option<u32>,
    /// Requests to one mailbox per window.
    pub requests_max: Option<u32>,
    pub window_s: i64,
    /// How long each request takes, so that requests can overlap.
    pub latency_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrent_max: None, requests_max: None, window_s: 300, latency_ms: 0 }
    }
}

/// What was asked of one mailbox.
#[derive(Debug)]
struct Use {
    window_began: DateTime<Utc>,
    /// In this window.
    requests: u32,
    total: u64,
    refused: u64,
    under_way: u32,
    at_once: u32,
    alone_until: Option<DateTime<Utc>>,
    early: u64,
}

#[derive(Debug, Default)]
struct Inner {
    limits: Limits,
    uses: BTreeMap<String, Use>,
}

/// The budgets of all mailboxes. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Budgets(Arc<Mutex<Inner>>);

/// A request under way; it no longer is when this is dropped.
#[derive(Debug)]
pub struct Pass {
    budgets: Budgets,
    mailbox: String,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(used) = self.budgets.lock().uses.get_mut(&self.mailbox) {
            used.under_way = used.under_way.saturating_sub(1);
        }
    }
}

impl Budgets {
    /// Counts a request to a mailbox, or refuses it.
    pub fn enter(&self, mailbox: &str, now: DateTime<Utc>) -> Result<Pass, ExchangeError> {
        let mut inner = self.lock();
        let limits = inner.limits.clone();
        let window = TimeDelta::seconds(limits.window_s);
        let mailbox = mailbox.to_ascii_lowercase();
        let used = inner.uses.entry(mailbox.clone()).or_insert(Use {
            window_began: now,
            requests: 0,
            total: 0,
            refused: 0,
            under_way: 0,
            at_once: 0,
            alone_until: None,
            early: 0,
        });
        if now >= used.window_began + window {
            (used.window_began, used.requests) = (now, 0);
        }
        used.requests = used.requests.saturating_add(1);
        used.total = used.total.saturating_add(1);
        if used.alone_until.is_some_and(|until| now < until) {
            used.early = used.early.saturating_add(1);
        }
        let wait = if limits.requests_max.is_some_and(|most| used.requests > most) {
            Some(used.window_began + window - now)
        } else if limits.concurrent_max.is_some_and(|most| used.under_way >= most) {
            Some(BACK_OFF_AT_ONCE)
        } else {
            None
        };
        if let Some(wait) = wait {
            used.refused = used.refused.saturating_add(1);
            used.alone_until = used.alone_until.max(Some(now + wait));
            // Rounded up: whoever waits as long as told is not early.
            let back_off_ms = u64::try_from(wait.num_milliseconds()).unwrap_or_default().saturating_add(1);
            let busy = "The server cannot service this request right now. Try again later.";
            return Err(ExchangeError {
                back_off_ms: Some(back_off_ms),
                ..ExchangeError::new("ErrorServerBusy", busy)
            });
        }
        used.under_way = used.under_way.saturating_add(1);
        used.at_once = used.at_once.max(used.under_way);
        Ok(Pass { budgets: self.clone(), mailbox })
    }

    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.lock().limits.latency_ms).min(LATENCY_MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn routes() -> Router<Server> {
    Router::new().route("/_sim/ews", get(show).post(change))
}

async fn show(State(server): State<Server>) -> Json<Value> {
    let inner = server.budgets.lock();
    let each = |count: fn(&Use) -> u64| -> BTreeMap<&String, u64> {
        inner.uses.iter().map(|(mailbox, used)| (mailbox, count(used))).collect()
    };
    let throttled: u64 = inner.uses.values().map(|used| used.refused).sum();
    Json(json!({ "settings": inner.limits, "throttled": throttled, "requests": each(|used| used.total),
        "at_once": each(|used| used.at_once.into()), "early": each(|used| used.early) }))
}

async fn change(State(server): State<Server>, Json(change): Json<Map<String, Value>>) -> Response {
    let mut inner = server.budgets.lock();
    let mut all = serde_json::to_value(&inner.limits).unwrap_or_default();
    if let Some(all) = all.as_object_mut() {
        all.extend(change);
    }
    match serde_json::from_value::<Limits>(all) {
        Ok(limits) if limits.window_s >= 1 => {
            let shown = json!({ "settings": limits });
            *inner = Inner { limits, uses: BTreeMap::new() };
            Json(shown).into_response()
        }
        Ok(_) => (StatusCode::BAD_REQUEST, "window_s is at least 1").into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
