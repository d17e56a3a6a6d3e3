//! The only place that sends.
//!
//! Promises: every request ends within its time limit; an answer never grows beyond its cap, also after it is unpacked; no
//! redirect is followed, so no credential reaches another host; no secret, query or body text is printed or logged; every
//! failure answers a [`Problem`]. Nothing is repeated here: only the queue retries.
//! Must not know: what the requests mean, JSON columns, SOAP.

mod lane;
mod meaning;
pub mod ntlm;

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
pub use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::lane::{Lanes, Seat};
use self::meaning::{media_type, place, redirected, silent, too_long, transport};
pub use self::meaning::{problem_of, retry_after};
use self::ntlm::NtlmLogin;
use super::{Error, Problem};

/// Exchange and the CRM answer a page of a few hundred items in a few MiB; anything beyond this is not an answer to us.
const BODY_LIMIT: u64 = 64 << 20;
/// A server in the next room answers a connection in milliseconds, one behind a slow line in seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A big page of a busy CRM may take tens of seconds; IIS itself gives up after 110 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// More at once would only queue up in the server (EWS allows a user 27 by default) and hold memory here.
const REQUESTS_MAX: usize = 16;
/// Connections kept open between requests; as many as a busy host uses.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Shorter than the 120 s after which IIS closes an idle connection, so that we close first.
const IDLE_CONNECTION_LIMIT: Duration = Duration::from_secs(60);
/// Notices a dead peer behind a firewall that forgot the connection.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// A longer `Retry-After` is taken for a mistake: work is looked at again at least once a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A text that is never printed: passwords, tokens, proxy addresses with a password in them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source).map(Self)
    }
}

/// How to reach one server. In a settings file the times are whole seconds and the limit is bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// PEM file with the certificate of the server's issuer, trusted beside the system's own list.
    pub ca_file: Option<PathBuf>,
    /// `http://proxy.example.test:3128`. Without it the connection is direct, whatever the environment says.
    pub proxy: Option<Secret>,
    #[serde(deserialize_with = "seconds")]
    pub connect_timeout: Duration,
    /// From sending until the last byte of the answer.
    #[serde(deserialize_with = "seconds")]
    pub request_timeout: Duration,
    /// Largest answer taken, counted after it is unpacked.
    pub body_limit: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            proxy: None,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            body_limit: BODY_LIMIT,
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    match u64::deserialize(source)? {
        0 => Err(serde::de::Error::custom("a time limit must be at least 1 second")),
        count => Ok(Duration::from_secs(count)),
    }
}

/// One request.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Instead of the client's `request_timeout`.
    pub timeout: Option<Duration>,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None, timeout: None }
    }

    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// Signs in with user name and password, without waiting to be asked (RFC 7617).
    #[must_use]
    pub fn basic(self, login: &str, password: &Secret) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{login}:{}", password.expose()));
        self.authorization(&format!("Basic {pair}"))
    }

    /// Signs in with a bearer token (RFC 6750).
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        self.authorization(&format!("Bearer {}", token.expose()))
    }

    fn authorization(mut self, text: &str) -> Self {
        // A value that no header can carry (a line break in a pasted token) is left out: the server then answers 401.
        if let Ok(mut value) = HeaderValue::from_str(text) {
            value.set_sensitive(true);
            self.headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        self
    }

    /// Sets a header. A value with characters no header may carry is sent percent-encoded, never dropped.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::from_str(value).or_else(|_| {
            let encoded = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
            HeaderValue::from_str(&encoded)
        });
        if let Ok(value) = value {
            self.headers.insert(name, value);
        }
        self
    }

    #[must_use]
    pub fn accept(self, media_types: &str) -> Self {
        self.header(reqwest::header::ACCEPT, media_types)
    }

    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self = self.header(reqwest::header::CONTENT_TYPE, content_type);
        self.body = Some(body.into());
        self
    }

    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }
}

/// Shows method and place only: headers carry secrets, queries and bodies personal data.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, place(&self.url))
    }
}

/// An answer, read to its end. Any status but a redirect arrives here: some protocols explain a failure in the body.
#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

impl Response {
    /// What the status means for the act, or nothing for 2xx.
    pub fn problem(&self) -> Option<Problem> {
        problem_of(self.status, &self.headers)
    }

    /// Media type without parameters, in lower case; empty if the server did not say.
    pub fn media_type(&self) -> String {
        media_type(&self.headers)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`Problem::Malformed`] if it is none; the message tells the media type, never the text.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let shown = Shown { kind: self.media_type(), length: self.body.len() };
            HttpError::new(Problem::Malformed, format!("expected JSON, the server answered {shown}"))
                // Not serde_json's own words: they may quote the text.
                .caused_by(JsonPlace { line: error.line(), column: error.column(), category: error.classify() })
        })
    }
}

struct Shown {
    kind: String,
    length: usize,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind.is_empty() { "something without a type" } else { &self.kind };
        write!(f, "{kind} ({} bytes)", self.length)
    }
}

/// Where a JSON text went wrong, without quoting it.
#[derive(Debug, thiserror::Error)]
#[error("{category:?} error at line {line}, column {column}")]
struct JsonPlace {
    line: usize,
    column: usize,
    category: serde_json::error::Category,
}

/// A request that brought no usable answer. The text names the server and what happened, never secrets or content.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    pub problem: Problem,
    pub message: String,
    /// Where the server pointed instead of answering. Nothing was sent there.
    pub elsewhere: Option<Url>,
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl HttpError {
    pub fn new(problem: Problem, message: impl Into<String>) -> Self {
        Self { problem, message: message.into(), elsewhere: None, source: None }
    }

    fn caused_by(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The connector's error for the act that needed this request.
    pub fn during(self, act: impl Into<String>) -> Error {
        Error::new(act, self.problem.clone()).caused_by(self)
    }
}

/// How a request finds a connection.
#[derive(Debug)]
enum Sender {
    /// Any connection will do: each request signs in by itself.
    Pool(reqwest::Client),
    /// The connection is what is signed in.
    Lanes(Lanes),
}

/// The connection to one server: its own pool, its own limits.
#[derive(Debug)]
pub struct HttpClient {
    sender: Sender,
    config: HttpConfig,
    places: Semaphore,
}

impl HttpClient {
    /// # Errors
    /// [`Problem::Certificate`] if `ca_file` cannot be read or holds no certificate; [`Problem::Unreachable`] if the proxy's
    /// address is none.
    pub fn new(config: HttpConfig) -> Result<Self, HttpError> {
        let client = build(builder(&config)?)?;
        Ok(Self { sender: Sender::Pool(client), config, places: Semaphore::new(REQUESTS_MAX) })
    }

    /// A client for the one server at this address. Where TLS cannot be met, because neither that nor a proxy speaks it and no redirect
    /// is followed, the machine's root certificates are not read: that is most of what making a client costs.
    ///
    /// # Errors
    /// As for [`HttpClient::new`].
    pub fn to(server: &Url, config: HttpConfig) -> Result<Self, HttpError> {
        if server.scheme() != "http" || config.proxy.is_some() {
            return Self::new(config);
        }
        let client = build(builder(&config)?.tls_built_in_root_certs(false))?;
        Ok(Self { sender: Sender::Pool(client), config, places: Semaphore::new(REQUESTS_MAX) })
    }

    /// A client whose connections sign in by NTLM: the requests themselves carry no credentials.
    ///
    /// # Errors
    /// As for [`HttpClient::new`].
    pub fn with_ntlm(config: HttpConfig, login: NtlmLogin) -> Result<Self, HttpError> {
        // Told at once, not with the first request.
        drop(builder(&config)?);
        Ok(Self { sender: Sender::Lanes(Lanes::new(login)), config, places: Semaphore::new(REQUESTS_MAX) })
    }

    pub fn config(&self) -> &HttpConfig {
        &self.config
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// [`HttpError`] if no answer came, it was a redirect, or it was too long. Other statuses are answers: see
    /// [`Response::problem`].
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let limit = request.timeout.unwrap_or(self.config.request_timeout);
        let place = place(&request.url);
        let whole = async {
            // Closed only with the client itself, so the error case cannot happen; going on without a place is harmless.
            let _place = self.places.acquire().await.ok();
            self.open(request).await?.read_to_end().await
        };
        match timeout(limit, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(silent(&place, limit)),
        }
    }

    /// Sends a request whose answer arrives in pieces over a long time. The head must come within the request's time
    /// limit, each further piece within `idle`.
    ///
    /// # Errors
    /// As for [`HttpClient::send`].
    pub async fn stream(&self, request: Request, idle: Duration) -> Result<Streaming, HttpError> {
        let limit = request.timeout.unwrap_or(self.config.request_timeout);
        let place = place(&request.url);
        match timeout(limit, self.open(request)).await {
            Ok(streaming) => streaming.map(|streaming| Streaming { idle: Some(idle), ..streaming }),
            Err(_) => Err(silent(&place, limit)),
        }
    }

    /// Sends and waits for the head of the answer.
    async fn open(&self, request: Request) -> Result<Streaming, HttpError> {
        let place = place(&request.url);
        let (method, began) = (request.method.clone(), Instant::now());
        let (response, seat) = match &self.sender {
            Sender::Pool(client) => (deliver(client, request).await.map_err(|error| transport(&place, error))?, None),
            Sender::Lanes(lanes) => {
                let (response, seat) = lanes.send(&self.config, request).await?;
                (response, Some(seat))
            }
        };
        let status = response.status();
        tracing::debug!(http.method = %method, http.place = %place, http.status = status.as_u16(),
            elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), "{method} {place}: {status}");
        if status.is_redirection() {
            return Err(redirected(&place, &response));
        }
        let streaming = Streaming {
            status,
            headers: response.headers().clone(),
            place,
            limit: self.config.body_limit,
            idle: None,
            response,
            seat,
        };
        match streaming.response.content_length() {
            Some(length) if length > streaming.limit => Err(too_long(&streaming.place, streaming.limit)),
            _ => Ok(streaming),
        }
    }
}

/// Sends a request and waits for the head of the answer.
async fn deliver(client: &reqwest::Client, request: Request) -> Result<reqwest::Response, reqwest::Error> {
    let mut builder = client.request(request.method, request.url).headers(request.headers);
    if let Some(body) = request.body {
        builder = builder.body(body);
    }
    #[expect(clippy::disallowed_methods, reason = "the one place that sends")]
    builder.send().await
}

/// A client's settings, checked.
fn builder(config: &HttpConfig) -> Result<reqwest::ClientBuilder, HttpError> {
    #[expect(clippy::disallowed_methods, reason = "the one place that builds an HTTP client")]
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("daybridge/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_CONNECTION_LIMIT)
        .tcp_keepalive(TCP_KEEPALIVE);
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy.expose()).map_err(|error| {
            HttpError::new(Problem::Unreachable { after: None }, "the proxy setting is not an address")
                .caused_by(error.without_url())
        })?;
        builder = builder.proxy(proxy);
    }
    if let Some(file) = &config.ca_file {
        let failed = |what: &str| HttpError::new(Problem::Certificate, format!("{what} ca_file {}", file.display()));
        let pem = std::fs::read(file).map_err(|error| failed("cannot read").caused_by(error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| failed("no PEM certificate in").caused_by(error))?;
        if certificates.is_empty() {
            return Err(failed("no PEM certificate in"));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    Ok(builder)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, HttpError> {
    builder.build().map_err(|error| HttpError::new(Problem::Certificate, "cannot set up TLS").caused_by(error))
}

/// An answer that arrives in pieces. Dropping it closes the connection.
pub struct Streaming {
    pub status: StatusCode,
    pub headers: HeaderMap,
    place: String,
    limit: u64,
    idle: Option<Duration>,
    response: reqwest::Response,
    /// The signed-in connection it comes by, which others may use after its end.
    seat: Option<Seat>,
}

impl Streaming {
    /// What the status means for the act, or nothing for 2xx.
    pub fn problem(&self) -> Option<Problem> {
        problem_of(self.status, &self.headers)
    }

    /// The next piece as the server sent it (it need not end where a message ends), or nothing at the end.
    /// The caller limits what it gathers.
    ///
    /// # Errors
    /// [`Problem::Unreachable`] if nothing came within the idle limit or the connection broke.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        let piece = match self.idle {
            None => self.response.chunk().await,
            Some(idle) => match timeout(idle, self.response.chunk()).await {
                Ok(piece) => piece,
                Err(_) => return Err(silent(&self.place, idle)),
            },
        };
        piece.map_err(|error| transport(&self.place, error))
    }

    /// Reads what is left, up to the client's body limit; for an answer that turned out to be short.
    ///
    /// # Errors
    /// As for [`Streaming::next`]; [`Problem::Malformed`] beyond the limit.
    pub async fn read_to_end(mut self) -> Result<Response, HttpError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if (body.len() + piece.len()) as u64 > self.limit {
                return Err(too_long(&self.place, self.limit));
            }
            body.extend_from_slice(&piece);
        }
        if let Some(seat) = self.seat.take() {
            seat.free();
        }
        Ok(Response { status: self.status, headers: self.headers, body: body.freeze() })
    }
}
