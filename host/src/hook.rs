//! Listens where Microsoft Graph posts its notifications, behind the operator's proxy, and hands each post to its server's inbox.
//!
//! Promises: open only where the operator says; small bodies, few at once, nothing answered but what the protocol wants; nothing
//! of a post is logged. Must not know: what a post says.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use crate::connector::graph::inbox::{Inbox, Reply};
use crate::lifecycle::Tasks;

/// A post gathers some dozens of entries of half a kilobyte.
const BODY_BYTES_MAX: usize = 256 << 10;
/// More at once are told to come again; Graph does.
const POSTS_MAX: usize = 32;

/// One address to be posted to.
#[derive(Clone, Debug)]
pub struct Hook {
    pub listen: SocketAddr,
    /// The path of the public address.
    pub path: String,
    pub inbox: Arc<Inbox>,
}

/// Why an address could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for Microsoft Graph's notifications")]
pub struct StartError {
    pub address: SocketAddr,
    #[source]
    cause: io::Error,
}

impl StartError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        "another program has this port, or the machine has no such address: set notifications.listen of the [[exchange]] section to a free one, and the proxy to the same".into()
    }
}

struct Entrance {
    /// By path.
    inboxes: HashMap<String, Arc<Inbox>>,
    seats: Semaphore,
}

/// Opens every address of the hooks, each once; answers where they listen. The servers stop with `tasks`.
///
/// # Errors
/// [`StartError`] for the first that cannot be opened.
pub async fn serve(hooks: &[Hook], tasks: &Tasks) -> Result<Vec<SocketAddr>, StartError> {
    let mut by_address: BTreeMap<SocketAddr, HashMap<String, Arc<Inbox>>> = BTreeMap::new();
    for hook in hooks {
        by_address.entry(hook.listen).or_default().insert(hook.path.clone(), hook.inbox.clone());
    }
    let mut addresses = Vec::new();
    for (address, inboxes) in by_address {
        let failed = |cause| StartError { address, cause };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        addresses.push(listener.local_addr().map_err(failed)?);
        let entrance = Arc::new(Entrance { inboxes, seats: Semaphore::new(POSTS_MAX) });
        let router = Router::new().fallback(post).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(entrance);
        let stop = tasks.stopping();
        tasks.spawn("notifications", async move {
            let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = server.await {
                tracing::error!(%error, "The address for Microsoft Graph's notifications closed");
            }
        });
    }
    Ok(addresses)
}

async fn post(
    State(entrance): State<Arc<Entrance>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Response {
    let Some(inbox) = entrance.inboxes.get(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Ok(_seat) = entrance.seats.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    };
    match inbox.post(query.get("validationToken").map(String::as_str), &body) {
        // Echoed as text alone: whoever follows such a link sees letters, not a page.
        Reply::Token(token) => {
            let headers = [(header::CONTENT_TYPE, "text/plain"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (StatusCode::OK, headers, token).into_response()
        }
        Reply::Accepted => StatusCode::ACCEPTED.into_response(),
        Reply::Refused => StatusCode::BAD_REQUEST.into_response(),
    }
}
