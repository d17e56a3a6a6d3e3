//! The handshake with a subscriber's addresses, and the task that posts to them.
//!
//! Promises: an answer that is late or no success counts as a failure; nothing follows a redirect; a slow subscriber
//! holds up no other. Must not know: what is told.

use std::time::Duration;

use axum::http::{StatusCode, header};
use futures::future::join_all;
pub use reqwest::Client;
use reqwest::Url;
use reqwest::redirect::Policy;
use serde_json::json;

use super::answer::Refused;
use super::subscriptions::{self, Post};
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::sim::exchange::Server;

/// How long a handshake may take [change-notifications-delivery-notificationurl-validation].
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a post may take [change-notifications-delivery-webhooks].
const POST_LIMIT: Duration = Duration::from_secs(3);
/// How often expiries are looked at where nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The longest answer to a handshake: the token, which is shorter.
const TOKEN_BYTES_MAX: usize = 4_096;

/// The client that posts.
///
/// # Errors
/// If it cannot be built.
pub fn client() -> std::io::Result<Client> {
    #[expect(clippy::disallowed_methods, reason = "stands for Microsoft's own client, not for the product's")]
    let builder = Client::builder();
    builder.no_proxy().redirect(Policy::none()).build().map_err(std::io::Error::other)
}

/// Asks an address to send a token back.
pub async fn shake_hands(server: &Server, url: &Url) -> Result<(), Refused> {
    let token = format!("Validation: Testing client application reachability: {}", server.face.request_id());
    let mut asked = url.clone();
    asked.query_pairs_mut().append_pair("validationToken", &token);
    let request = server.webhooks.post(asked).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    #[expect(clippy::disallowed_methods, reason = "stands for Microsoft's own client, not for the product's")]
    let sent = request.timeout(HANDSHAKE_LIMIT).send().await;
    let mut answer = sent.map_err(|_| subscriptions::handshake_failed("There was no answer in time."))?;
    if answer.status() != StatusCode::OK {
        let text = format!("Notification endpoint must respond with 200 OK, not {}.", answer.status().as_u16());
        return Err(subscriptions::handshake_failed(&text));
    }
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/plain") {
        return Err(subscriptions::handshake_failed("The answer must be text/plain."));
    }
    let mut body = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > TOKEN_BYTES_MAX {
            break;
        }
    }
    match body == token.as_bytes() {
        true => Ok(()),
        false => Err(subscriptions::handshake_failed("The answer must be the decoded validation token.")),
    }
}

/// Starts the task that tells subscribers.
pub fn start(server: Server, tasks: &Tasks) {
    tasks.spawn("exchange simulator's notifications", async move {
        let mut events = server.world().last_event.subscribe();
        let mut moves = server.clock.moves();
        let mut asked = server.face.asked();
        loop {
            // Marked before the look, so that what happens between look and wait wakes us.
            events.borrow_and_update();
            moves.borrow_and_update();
            asked.borrow_and_update();
            let posts = {
                let world = server.world();
                subscriptions::due(&mut server.face.state(), &world, server.clock.now())
            };
            tokio::select! {
                () = server.stopping.cancelled() => return,
                _ = join_all(posts.into_iter().map(|post| tell(&server, post))) => {}
            }
            let next = subscriptions::next_due(&server.face.state());
            let wait = next.map(|due| (due - server.clock.now()).to_std().unwrap_or_default());
            tokio::select! {
                () = server.stopping.cancelled() => return,
                _ = events.changed() => {}
                _ = moves.changed() => {}
                _ = asked.changed() => {}
                () = tokio::time::sleep(wait.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY))) => {}
            }
        }
    });
}

async fn tell(server: &Server, post: Post) {
    let request = server.webhooks.post(post.to.clone()).json(&json!({ "value": post.body }));
    #[expect(clippy::disallowed_methods, reason = "stands for Microsoft's own client, not for the product's")]
    let answer = request.timeout(POST_LIMIT).send().await;
    let mut state = server.face.state();
    if answer.is_ok_and(|answer| answer.status().is_success()) {
        state.notified += 1;
    } else {
        subscriptions::failed(&mut state, post, server.clock.now());
    }
}
