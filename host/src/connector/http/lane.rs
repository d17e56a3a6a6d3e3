//! Connections that are signed in themselves (NTLM), one request at a time on each.
//!
//! NTLM signs in a connection, not a request: the two steps of the handshake and all that follows must go over the same
//! one. So every lane is a client of its own with a single connection, and while the handshake is between its steps a door
//! keeps the client from opening another. So it does later, for as long as a busy machine may take to give the connection back;
//! a lane whose connection does not come back was closed by the server, and a new one takes its place.
//!
//! Promises: a credential is sent only as an answer to a challenge on the connection that gave it, and once: a refusal is not
//! tried again, since each try counts towards locking the account. Must not know: what the requests mean.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, DATE, WWW_AUTHENTICATE};
use reqwest::tls::TlsInfo;
use reqwest::{Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

use super::ntlm::{self, Context as Handshake, NtlmLogin};
use super::{
    HeaderMap, HeaderValue, HttpConfig, HttpError, IDLE_CONNECTIONS_MAX, Problem, Request, build, builder, deliver,
    place, transport,
};

/// The connection of a handshake comes back to its client within microseconds; after this long it was closed.
const DOOR_WAIT: Duration = Duration::from_secs(2);
/// The same for a connection that was signed in before: servers close those that nobody used for a while.
const REUSE_WAIT: Duration = Duration::from_millis(500);
/// A refusal's body says nothing of use; more than this is not read to keep its connection.
const REFUSAL_MAX: usize = 64 << 10;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The signed-in connections of one client.
#[derive(Debug)]
pub(super) struct Lanes {
    login: NtlmLogin,
    idle: Arc<Mutex<Vec<Lane>>>,
}

#[derive(Debug)]
struct Lane {
    client: reqwest::Client,
    door: Door,
    /// Which of its connections was signed in.
    signed_in: Option<u64>,
}

/// The lane of an answer that is still being read. Dropped early, the connection is closed with it.
#[derive(Debug)]
pub(super) struct Seat {
    lane: Lane,
    idle: Arc<Mutex<Vec<Lane>>>,
}

impl Seat {
    /// The answer was read to its end: others may use the connection.
    pub(super) fn free(self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lane.signed_in.is_some() && idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(self.lane);
        }
    }
}

impl Lanes {
    pub(super) fn new(login: NtlmLogin) -> Self {
        Self { login, idle: Arc::default() }
    }

    /// Sends a request over a signed-in connection and waits for the head of the answer.
    pub(super) async fn send(&self, config: &HttpConfig, request: Request) -> Result<(Response, Seat), HttpError> {
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(lane) = known
            && let Some(response) = lane.deliver_signed_in(&request).await?
        {
            return Ok((response, Seat { lane, idle: self.idle.clone() }));
        }
        let mut lane = Lane::new(config)?;
        let response = lane.sign_in(&self.login, request).await?;
        Ok((response, Seat { lane, idle: self.idle.clone() }))
    }
}

impl Lane {
    fn new(config: &HttpConfig) -> Result<Self, HttpError> {
        let door = Door::default();
        let builder = builder(config)?.http1_only().pool_max_idle_per_host(1).tls_info(true);
        Ok(Self { client: build(builder.connector_layer(door.clone()))?, door, signed_in: None })
    }

    /// Sends a request over the connection that is signed in; nothing, where there is none (any more).
    async fn deliver_signed_in(&self, request: &Request) -> Result<Option<Response>, HttpError> {
        if self.signed_in != Some(self.door.made()) {
            return Ok(None);
        }
        let place = place(&request.url);
        let closed = self.door.close(REUSE_WAIT);
        let response = match deliver(&self.client, request.clone()).await {
            // Nothing was sent: the connection is gone, and no other was opened.
            Err(error) if error.is_connect() => return Ok(None),
            other => other.map_err(|error| transport(&place, error))?,
        };
        drop(closed);
        // The server forgot the connection.
        Ok((response.status() != StatusCode::UNAUTHORIZED).then_some(response))
    }

    /// Sends a request over a connection that it signs in. Only for a lane that has none yet.
    async fn sign_in(&mut self, login: &NtlmLogin, request: Request) -> Result<Response, HttpError> {
        let place = place(&request.url);
        let began = ntlm::negotiate();
        let first = Request { body: None, ..request.clone() };
        let response = self.deliver(&place, with_token(first, &began)).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {}
            // Answering the empty request as if it were the real one is no way to sign in.
            status if status.is_success() => return Err(no_challenge(&place)),
            _ => return Ok(response),
        }
        let challenge = challenge(response.headers()).ok_or_else(|| no_challenge(&place))?;
        let certificate =
            response.extensions().get::<TlsInfo>().and_then(|info| info.peer_certificate().map(<[u8]>::to_vec));
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let chance = *uuid::Uuid::new_v4().as_bytes();
        let handshake = Handshake { certificate: certificate.as_deref(), date: date.as_deref(), chance };
        let answer = ntlm::authenticate(login, &began, &challenge, &handshake).map_err(|error| {
            HttpError::new(Problem::Malformed, format!("{place} does not sign in by NTLM as it is known here"))
                .caused_by(error)
        })?;
        let closed = self.door.close(DOOR_WAIT);
        drain(&place, response).await?;
        let response = self.deliver(&place, with_token(request, &answer)).await?;
        drop(closed);
        if response.status() != StatusCode::UNAUTHORIZED {
            self.signed_in = Some(self.door.made());
        }
        Ok(response)
    }

    async fn deliver(&self, place: &str, request: Request) -> Result<Response, HttpError> {
        deliver(&self.client, request).await.map_err(|error| transport(place, error))
    }
}

fn no_challenge(place: &str) -> HttpError {
    HttpError::new(Problem::SignIn, format!("{place} does not offer to sign in by NTLM"))
}

fn with_token(mut request: Request, token: &[u8]) -> Request {
    if let Ok(mut value) = HeaderValue::from_str(&format!("NTLM {}", STANDARD.encode(token))) {
        value.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, value);
    }
    request
}

/// The challenge among the ways to sign in that the server offers.
fn challenge(headers: &HeaderMap) -> Option<Vec<u8>> {
    let offers = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = offers.filter_map(|offer| {
        let (scheme, token) = offer.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("NTLM").then(|| STANDARD.decode(token.trim()).ok())?
    });
    tokens.next()
}

/// Reads what is left of an answer, so that its connection can be used again.
async fn drain(place: &str, mut response: Response) -> Result<(), HttpError> {
    let mut length = 0;
    while let Some(piece) = response.chunk().await.map_err(|error| transport(place, error))? {
        length += piece.len();
        if length > REFUSAL_MAX {
            return Err(super::too_long(place, REFUSAL_MAX as u64));
        }
    }
    Ok(())
}

/// Counts the connections a client opens, and can keep it from opening more.
#[derive(Clone, Debug)]
struct Door {
    made: Arc<AtomicU64>,
    /// While it is closed: how long to wait for it.
    closed: watch::Sender<Option<Duration>>,
}

/// The door is closed for as long as this lives.
struct Closed(watch::Sender<Option<Duration>>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

impl Default for Door {
    fn default() -> Self {
        Self { made: Arc::default(), closed: watch::Sender::new(None) }
    }
}

impl Door {
    fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn close(&self, wait: Duration) -> Closed {
        self.closed.send_replace(Some(wait));
        Closed(self.closed.clone())
    }
}

impl<S> Layer<S> for Door {
    type Service = Doorway<S>;

    fn layer(&self, inner: S) -> Doorway<S> {
        Doorway { inner, door: self.clone() }
    }
}

/// What opens connections, behind a door.
#[derive(Clone)]
struct Doorway<S> {
    inner: S,
    door: Door,
}

impl<S, R> Service<R> for Doorway<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (connecting, door) = (self.inner.call(request), self.door.clone());
        Box::pin(async move {
            let mut closed = door.closed.subscribe();
            let wait = *closed.borrow();
            if let Some(wait) = wait {
                // The client looks for a connection in its pool at the same time. When the door opens again, the request
                // has had its own, and this one has come too late.
                let _ = timeout(wait, closed.wait_for(Option::is_none)).await;
                return Err("the connection was closed while it signed in".into());
            }
            door.made.fetch_add(1, Ordering::SeqCst);
            connecting.await
        })
    }
}
