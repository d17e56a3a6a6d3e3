//! The table script that calls Daybridge after a change: an HTTP POST that carries nothing but a token.
//!
//! Promises: a change never waits for the bell; rings that come while one is under way become one more ring; a bell that
//! nobody answers is forgotten. Must not know: what changed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;
use tokio::sync::Notify;
use url::Url;

use crate::lifecycle::Tasks;

/// A table script would hold up the server's pages, so it gives up soon.
const RING_LIMIT: Duration = Duration::from_secs(5);

/// Where to ring.
#[derive(Clone)]
pub struct Doorbell {
    pub url: Url,
    /// Sent as `Authorization: Bearer TOKEN`.
    pub token: String,
}

/// The token is a secret of the host, so it is not printed.
impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// The bell's button. Clones press the same one.
#[derive(Clone, Debug, Default)]
pub struct Button {
    at: Arc<Mutex<Option<Doorbell>>>,
    /// Holds at most one press that was not yet acted on.
    pressed: Arc<Notify>,
}

impl Button {
    /// Starts the task that rings.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn start(doorbell: Option<Doorbell>, tasks: &Tasks) -> std::io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "stands for the CRM's own script, not for the product's client")]
        let client = reqwest::Client::builder()
            .timeout(RING_LIMIT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(std::io::Error::other)?;
        let button = Self { at: Arc::new(Mutex::new(doorbell)), pressed: Arc::default() };
        let (ringing, stopping) = (button.clone(), tasks.stopping());
        tasks.spawn("sim-crm-doorbell", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = ringing.pressed.notified() => {}
                }
                let Some(doorbell) = ringing.doorbell() else { continue };
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = ring(&client, doorbell) => {}
                }
            }
        });
        Ok(button)
    }

    /// Says that something changed.
    pub fn press(&self) {
        self.pressed.notify_one();
    }

    /// Rings there from now on, or nowhere.
    pub fn set(&self, doorbell: Option<Doorbell>) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = doorbell;
    }

    fn doorbell(&self) -> Option<Doorbell> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn ring(client: &reqwest::Client, doorbell: Doorbell) {
    #[expect(clippy::disallowed_methods, reason = "stands for the CRM's own script, not for the product's client")]
    let answer = client.post(doorbell.url).bearer_auth(doorbell.token).header(CONTENT_LENGTH, 0).send().await;
    // A script that finds nobody at home has no one to tell: the host polls as well.
    if answer.is_err() {
        tracing::debug!("Nobody answered the doorbell");
    }
}
