//! A clock that a test can move while the server runs: `GET /_sim/clock` shows it, `POST` moves or sets it.
//!
//! Promises: without being asked it runs as the clock beneath. Who waits for a time is woken when it is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::Server;
use crate::clock::Clock;

/// Another clock and how far this one is ahead of it.
#[derive(Debug)]
pub struct VirtualClock {
    beneath: Arc<dyn Clock>,
    ahead_micros: AtomicI64,
    moved: watch::Sender<u64>,
}

impl VirtualClock {
    pub fn new(beneath: Arc<dyn Clock>) -> Self {
        Self { beneath, ahead_micros: AtomicI64::new(0), moved: watch::Sender::new(0) }
    }

    /// Moves the clock on, or back by a negative span.
    pub fn advance(&self, by: TimeDelta) {
        self.ahead_micros.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        self.moved.send_modify(|times| *times += 1);
    }

    /// Sets the clock; it goes on from there.
    pub fn set(&self, now: DateTime<Utc>) {
        self.advance(now - self.now());
    }

    /// Changes whenever the clock is moved.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        self.beneath.now() + TimeDelta::microseconds(self.ahead_micros.load(Ordering::SeqCst))
    }

    fn chance(&self) -> f64 {
        self.beneath.chance()
    }
}

/// What `POST /_sim/clock` takes: one of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    #[serde(default)]
    advance_s: Option<i64>,
    #[serde(default)]
    now: Option<DateTime<Utc>>,
}

pub fn routes() -> Router<Server> {
    Router::new().route("/_sim/clock", get(show).post(set))
}

async fn show(State(server): State<Server>) -> Json<serde_json::Value> {
    Json(json!({ "now": server.clock.now() }))
}

async fn set(State(server): State<Server>, Json(wanted): Json<Move>) -> Response {
    match (wanted.advance_s.and_then(TimeDelta::try_seconds), wanted.now) {
        (Some(by), None) => server.clock.advance(by),
        (None, Some(now)) => server.clock.set(now),
        _ => return (StatusCode::BAD_REQUEST, "say advance_s or now").into_response(),
    }
    show(State(server)).await.into_response()
}
