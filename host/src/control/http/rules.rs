//! The routes of [`RuleDesk`](crate::control::RuleDesk).
//!
//! Promises: of an upload no more is held than one may have; one that is larger is read to its end and dropped, so that
//! the sender gets its answer. Must not know: what the desk does with a request.

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use futures::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Shared, answer, invalid, sent};
use crate::control::rules::UPLOAD_BYTES_MAX;
use crate::control::{CommitOrder, Desk, Refusal, RefusalKind};
use crate::plugin::SIZE_MAX;

/// Bytes of an upload that are read and dropped; one that is larger still is cut off.
const DROPPED_BYTES_MAX: usize = 512 << 20;

pub(super) fn routes() -> Router<std::sync::Arc<dyn Desk>> {
    Router::new()
        .route("/v1/rules/propose", post(propose))
        .route("/v1/rules/commit", post(commit))
        .route("/v1/rules/history", get(history))
        .route("/v1/rules/diff", post(diff))
}

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    values: bool,
}

async fn propose(State(desk): Shared, Query(Shown { values }): Query<Shown>, request: Request) -> Response {
    match upload(request.into_body()).await {
        Ok(order) => answer(desk.propose_rules(order, values).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn commit(State(desk): Shared, body: super::Body) -> Response {
    match sent::<CommitOrder>(body) {
        Ok(order) => answer(desk.commit_rules(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn history(State(desk): Shared) -> Response {
    answer(desk.rule_history().await)
}

async fn diff(State(desk): Shared, request: Request) -> Response {
    match upload(request.into_body()).await {
        Ok(order) => answer(desk.diff_rules(order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

/// Reads a body that may bring files.
async fn upload<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let (mut chunks, mut bytes, mut size) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| invalid(&error.to_string()))?;
        size = size.saturating_add(chunk.len());
        if size <= UPLOAD_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        } else if size <= DROPPED_BYTES_MAX {
            bytes = Vec::new();
        } else {
            break;
        }
    }
    if size > UPLOAD_BYTES_MAX {
        let message = format!("what was sent has {size} bytes; a rule file may have {SIZE_MAX}");
        return Err(Refusal::new(RefusalKind::Invalid, "rule-refused", message, "give the .wasm file of a rule"));
    }
    serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))
}
