//! The routes of [`UserDesk`](crate::control::UserDesk).
//!
//! Promises: GET changes nothing. Must not know: what the desk does with a request.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};

use super::{Shared, answer, sent};
use crate::control::{Desk, UserOrder};

pub(super) fn routes() -> Router<std::sync::Arc<dyn Desk>> {
    Router::new().route("/v1/users", get(list)).route("/v1/users/sync", post(sync)).route("/v1/users/set", post(set))
}

async fn list(State(desk): Shared) -> Response {
    answer(desk.users().await)
}

async fn sync(State(desk): Shared) -> Response {
    answer(desk.sync_users().await)
}

async fn set(State(desk): Shared, body: super::Body) -> Response {
    match sent::<UserOrder>(body) {
        Ok(order) => answer(desk.set_user(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}
