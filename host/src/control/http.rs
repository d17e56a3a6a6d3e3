//! Serves a [`Desk`] as JSON on a loopback address.
//!
//! Promises: listens on loopback only. Every route needs the bearer token of the data folder's `control.token` (made anew at
//! each start, readable by its owner alone); only `POST /doorbell/crm` has its own token, which the CRM's table script
//! holds and which rings and nothing else. Errors are `{"code", "message", "hint"}`. GET changes nothing.
//! Must not know: what the desk does with a request.
//!
//! | route | asks |
//! |---|---|
//! | `GET /v1/status` | [`Desk::status`] |
//! | `GET /v1/queue?state=&limit=` | [`Desk::queue`] |
//! | `GET /v1/queue/entry?key=` | [`Desk::queue_entry`] |
//! | `POST /v1/queue/retry` `"all"` or `{"key": "crm:4711"}` | [`Desk::queue_retry`] |
//! | `POST /v1/queue/discard` `{"key": "crm:4711"}` | [`Desk::queue_discard`] |
//! | `GET /v1/trace?id=` | [`Desk::trace`] |
//! | `GET /v1/rules`, `POST /v1/rules/reload` | [`Desk::rules`], [`Desk::reload_rules`] |
//! | `GET /metrics` | [`Desk::metrics`], as text |
//! | `POST /v1/rules/reapply` [`ReapplyOrder`] | [`Desk::reapply`] |
//! | `GET /v1/rules/capture?id=&rule=` | [`Desk::capture`], masked |
//! | `POST /v1/rules/propose?values=` [`ChangeOrder`](super::ChangeOrder) | [`RuleDesk::propose_rules`](super::RuleDesk) |
//! | `POST /v1/rules/commit` [`CommitOrder`](super::CommitOrder) | [`RuleDesk::commit_rules`](super::RuleDesk) |
//! | `GET /v1/rules/history`, `POST /v1/rules/diff` | [`RuleDesk::rule_history`](super::RuleDesk), [`RuleDesk::diff_rules`](super::RuleDesk) |
//! | `GET /v1/users`, `POST /v1/users/sync`, `POST /v1/users/set` [`UserOrder`](super::UserOrder) | [`UserDesk`](super::UserDesk) |
//! | `POST /v1/sync` [`SyncOrder`] | [`Desk::sync`] |
//! | `POST /v1/exchange/migrate` [`MigrateOrder`] | [`Desk::migrate`] |
//! | `POST /v1/exchange/claim` [`ClaimOrder`] | [`Desk::claim`] |
//! | `POST /v1/doorbell` `{"side": "crm"}`, `POST /doorbell/crm` | [`Desk::doorbell`] |
//! | `POST /v1/stop` | [`Desk::stop`] |

mod rules;
mod users;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    CaptureOrder, ClaimOrder, Desk, MigrateOrder, QueueFilter, ReapplyOrder, Refusal, RefusalKind, SideName, SyncOrder,
    Which,
};
use crate::lifecycle::Tasks;

/// Largest body a request may have: a list of mailboxes, with room to spare.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Requests served at one time; a person's shell needs one, a script a few. More are turned away.
const REQUESTS_MAX: usize = 32;

/// File in the data folder that holds the token.
pub const TOKEN_FILE: &str = "control.token";
/// File in the data folder that tells where the host listens; there while it runs.
pub const ADDRESS_FILE: &str = "control.json";

/// Where a running host listens; the content of [`ADDRESS_FILE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// `http://127.0.0.1:port`
    pub url: String,
    pub pid: u32,
}

/// What the server needs to start.
#[derive(Clone, Debug)]
pub struct Options {
    pub listen: SocketAddr,
    /// The host's data folder, which gets [`TOKEN_FILE`] and [`ADDRESS_FILE`].
    pub data: PathBuf,
    /// Token of `POST /doorbell/crm`; the route is closed without one.
    pub doorbell_token: Option<String>,
}

/// Why the control interface could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the control address {0} is not a loopback address")]
    NotLoopback(SocketAddr),
    #[error("listen on {address} for the control interface")]
    Listen {
        address: SocketAddr,
        #[source]
        cause: io::Error,
    },
    #[error("write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl StartError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            StartError::NotLoopback(_) => {
                "set `listen` in [control] to 127.0.0.1 or [::1]; to reach it from elsewhere, use an SSH tunnel".into()
            }
            StartError::Listen { .. } => {
                "another program has this port: set `listen = \"127.0.0.1:0\"` in [control], and the host finds a free one".into()
            }
            StartError::File { .. } => "give the account that runs the host the right to write in its data folder".into(),
        }
    }
}

/// Starts serving and writes the two files; the server stops with `tasks`, and the address file is removed then.
///
/// # Errors
/// [`StartError`]; nothing keeps running then.
pub async fn serve(desk: Arc<dyn Desk>, options: Options, tasks: &Tasks) -> Result<Address, StartError> {
    if !options.listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(options.listen));
    }
    let listen = |cause| StartError::Listen { address: options.listen, cause };
    let listener = tokio::net::TcpListener::bind(options.listen).await.map_err(listen)?;
    let address =
        Address { url: format!("http://{}", listener.local_addr().map_err(listen)?), pid: std::process::id() };
    // Two random UUIDs: 244 bits from the system's random source.
    let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
    write_private(&options.data.join(TOKEN_FILE), token.as_bytes())?;
    let address_file = options.data.join(ADDRESS_FILE);
    let text = serde_json::to_vec(&address).unwrap_or_default();
    write_private(&address_file, &text)?;

    let door = Door { token: digest(&token), doorbell: options.doorbell_token.as_deref().map(digest) };
    let stop = tasks.stopping();
    tasks.spawn("control server", async move {
        let server = axum::serve(listener, router(desk, door)).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = server.await {
            tracing::error!(%error, "The control interface stopped");
        }
        // Gone or never there: both are what is wanted.
        let _ = fs::remove_file(address_file);
    });
    Ok(address)
}

fn router(desk: Arc<dyn Desk>, door: Door) -> Router {
    let entrance = Arc::new(Entrance { door, seats: Semaphore::new(REQUESTS_MAX) });
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/queue", get(queue))
        .route("/v1/queue/entry", get(queue_entry))
        .route("/v1/queue/retry", post(queue_retry))
        .route("/v1/queue/discard", post(queue_discard))
        .route("/v1/trace", get(trace))
        .merge(rules::routes())
        .merge(users::routes())
        .route("/v1/rules", get(rule_chain))
        .route("/v1/rules/reload", post(rules_reload))
        .route("/metrics", get(metrics))
        .route("/v1/rules/reapply", post(rules_reapply))
        .route("/v1/rules/capture", get(capture))
        .route("/v1/sync", post(sync))
        .route("/v1/exchange/migrate", post(migrate))
        .route("/v1/exchange/claim", post(claim))
        .route("/v1/doorbell", post(doorbell))
        .route("/v1/stop", post(stop))
        .route(DOORBELL_PATH, post(doorbell_crm))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_route)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(entrance, enter))
        .with_state(desk)
}

/// The CRM's own entrance.
const DOORBELL_PATH: &str = "/doorbell/crm";

/// Digests of the tokens: what is compared is of one length and says nothing about the token.
struct Door {
    token: [u8; 32],
    doorbell: Option<[u8; 32]>,
}

struct Entrance {
    door: Door,
    seats: Semaphore,
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Door {
    /// Whether these headers open this path. Compares in a time that does not depend on the token.
    fn admits(&self, path: &str, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(|token| digest(token.trim()));
        let wanted = if path == DOORBELL_PATH { self.doorbell } else { Some(self.token) };
        match (given, wanted) {
            (Some(given), Some(wanted)) => {
                given.iter().zip(wanted).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
            }
            _ => false,
        }
    }
}

async fn enter(State(entrance): State<Arc<Entrance>>, request: Request, next: Next) -> Response {
    if !entrance.door.admits(request.uri().path(), request.headers()) {
        return answer::<()>(Err(Refusal::new(
            RefusalKind::NotAllowed,
            "no-token",
            "the token is missing or wrong",
            format!("send `Authorization: Bearer ` and the content of {TOKEN_FILE} in the host's data folder"),
        )));
    }
    let Ok(_seat) = entrance.seats.try_acquire() else {
        return answer::<()>(Err(Refusal::new(
            RefusalKind::NotNow,
            "too-many-requests",
            format!("{REQUESTS_MAX} requests are being served already"),
            "try again in a moment",
        )));
    };
    next.run(request).await
}

type Shared = State<Arc<dyn Desk>>;
type Body = Result<Bytes, BytesRejection>;
type Asked<T> = Result<Query<T>, QueryRejection>;

#[derive(Deserialize)]
struct KeyArgument {
    key: String,
}

#[derive(Deserialize)]
struct IdArgument {
    id: String,
}

#[derive(Deserialize)]
struct SideArgument {
    side: SideName,
}

async fn status(State(desk): Shared) -> Response {
    answer(desk.status().await)
}

async fn queue(State(desk): Shared, filter: Asked<QueueFilter>) -> Response {
    match asked(filter) {
        Ok(filter) => answer(desk.queue(&filter).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn queue_entry(State(desk): Shared, argument: Asked<KeyArgument>) -> Response {
    match asked(argument) {
        Ok(argument) => answer(desk.queue_entry(&argument.key).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn queue_retry(State(desk): Shared, body: Body) -> Response {
    match sent::<Which>(body) {
        Ok(which) => answer(desk.queue_retry(&which).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn queue_discard(State(desk): Shared, body: Body) -> Response {
    match sent::<KeyArgument>(body) {
        Ok(argument) => answer(desk.queue_discard(&argument.key).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn trace(State(desk): Shared, argument: Asked<IdArgument>) -> Response {
    match asked(argument) {
        Ok(argument) => answer(desk.trace(&argument.id).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn rule_chain(State(desk): Shared) -> Response {
    answer(desk.rules().await)
}

async fn rules_reload(State(desk): Shared) -> Response {
    answer(desk.reload_rules().await)
}

async fn rules_reapply(State(desk): Shared, body: Body) -> Response {
    match sent::<ReapplyOrder>(body) {
        Ok(order) => answer(desk.reapply(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn metrics(State(desk): Shared) -> Response {
    match desk.metrics().await {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

/// What a Prometheus server goes by to choose its parser.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn capture(State(desk): Shared, order: Asked<CaptureOrder>) -> Response {
    match asked(order) {
        Ok(order) => answer(desk.capture(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn sync(State(desk): Shared, body: Body) -> Response {
    match sent::<SyncOrder>(body) {
        Ok(order) => answer(desk.sync(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn claim(State(desk): Shared, body: Body) -> Response {
    match sent::<ClaimOrder>(body) {
        Ok(order) => answer(desk.claim(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn migrate(State(desk): Shared, body: Body) -> Response {
    match sent::<MigrateOrder>(body) {
        Ok(order) => answer(desk.migrate(&order).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn doorbell(State(desk): Shared, body: Body) -> Response {
    match sent::<SideArgument>(body) {
        Ok(argument) => answer(desk.doorbell(argument.side).await),
        Err(refusal) => answer::<()>(Err(refusal)),
    }
}

async fn doorbell_crm(State(desk): Shared) -> Response {
    answer(desk.doorbell(SideName::Crm).await)
}

async fn stop(State(desk): Shared) -> Response {
    answer(desk.stop().await)
}

async fn no_such_route() -> Response {
    answer::<()>(Err(Refusal::new(
        RefusalKind::Unknown,
        "no-such-route",
        "the host has no such route",
        "program and running host may be of different versions: compare `daybridge --version` with `daybridge status`",
    )))
}

fn asked<T>(query: Asked<T>) -> Result<T, Refusal> {
    query.map(|Query(value)| value).map_err(|error| invalid(&error.body_text()))
}

fn sent<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let bytes = body.map_err(|error| invalid(&error.body_text()))?;
    serde_json::from_slice(&bytes).map_err(|error| invalid(&error.to_string()))
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, "bad-request", message, "correct the request")
}

fn answer<T: Serialize>(result: Result<T, Refusal>) -> Response {
    let (status, json) = match &result {
        Ok(value) => (StatusCode::OK, serde_json::to_vec(value)),
        Err(refusal) => (status_of(refusal.kind), serde_json::to_vec(refusal)),
    };
    match json {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn status_of(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        RefusalKind::NotAllowed => StatusCode::UNAUTHORIZED,
        RefusalKind::Unknown => StatusCode::NOT_FOUND,
        RefusalKind::NotNow => StatusCode::CONFLICT,
        RefusalKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, content: &[u8]) -> Result<(), StartError> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        // Temporary files are made readable by their owner alone.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|cause| StartError::File { path: path.to_owned(), cause })
}
