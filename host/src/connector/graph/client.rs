//! Requests to Microsoft Graph: sign-in, preferences, pace, and the meaning of failures.
//!
//! Promises: a request is sent once, but for one repeat with a new token after a 401; nothing is sent to a mailbox while the
//! server wants a pause, and other mailboxes do not feel it; a token goes to the configured address only, whatever a link of an
//! answer says; every failure is a [`connector::Error`](crate::connector::Error) that names the act.
//! Must not know: appointments.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::codes;
use super::config::GraphConfig;
use super::wire::{self, Page, Part};
use crate::clock::Clock;
use crate::connector::auth::Tokens;
use crate::connector::http::{HeaderName, HttpClient, Method, Request, Response, StatusCode, Url, retry_after};
use crate::connector::pace::Pace;
use crate::connector::{Error, Problem};
use crate::model::Address;

/// More parts Graph does not take in one batch.
pub const BATCH_MAX: usize = 20;
/// Pages of one list: half a million rows, far beyond what a calendar or a directory of one host holds.
pub const PAGES_MAX: usize = 5_000;
/// Longest text of the server's that is passed on.
const TEXT_MAX: usize = 300;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const IF_MATCH: HeaderName = HeaderName::from_static("if-match");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
/// Ids that stay when an item is moved, and times in UTC; asked for with every request, since it holds for that one alone.
const PREFERENCES: &str = "IdType=\"ImmutableId\", outlook.timezone=\"UTC\"";

/// What stays readable in a path or query: unreserved characters, and those that OData's own words are made of.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'$').remove(b',').remove(b':');
const KEPT_IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@').remove(b'$');

/// One tenant, signed in with every request.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    tokens: Tokens,
    base: Url,
    config: GraphConfig,
    clock: Arc<dyn Clock>,
    mailboxes: Mutex<HashMap<Address, Arc<Mailbox>>>,
}

#[derive(Debug)]
struct Mailbox {
    places: Semaphore,
    pace: Mutex<Pace>,
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// For people: `read appointment AAMk...`.
    pub what: &'a str,
    /// The mailbox that is asked; none for the directory and subscriptions.
    pub mailbox: Option<&'a Address>,
}

impl<'a> Act<'a> {
    pub fn new(what: &'a str, mailbox: &'a Address) -> Self {
        Self { what, mailbox: Some(mailbox) }
    }

    pub fn of_tenant(what: &'a str) -> Self {
        Self { what, mailbox: None }
    }
}

/// The server's "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: String,
    pub text: String,
    pub after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Self {
        let failure: wire::Failure = serde_json::from_slice(body).unwrap_or_default();
        let mut code = failure.error.code;
        // The outer code may be a general one while the inner one tells what matters.
        if let Some(inner) = failure.error.inner.and_then(|inner| inner.code)
            && codes::CODES.iter().any(|(known, _)| known.eq_ignore_ascii_case(&inner))
        {
            code = inner;
        }
        Self { status, code, text: clean(&failure.error.message), after }
    }

    pub fn problem(&self) -> Problem {
        codes::problem(self.status, &self.code, self.after)
    }

    pub fn is(&self, code: &str) -> bool {
        self.code.eq_ignore_ascii_case(code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.text.is_empty()) {
            (true, _) => write!(f, "the server answered HTTP {}", self.status),
            (false, true) => f.write_str(&self.code),
            (false, false) => write!(f, "{}: {}", self.code, self.text),
        }
    }
}

impl std::error::Error for Refusal {}

/// The server's words without addresses, which it likes to quote.
fn clean(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(TEXT_MAX).collect()
}

impl Client {
    /// # Errors
    /// [`Problem::Refused`] for settings no server could work with, or from the HTTP client and the sign-in.
    pub fn new(config: GraphConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let act = format!("set up the connection to {}", config.name);
        let refused = |error: String| Error::new(&act, Problem::Refused).caused_by(error);
        config.check().map_err(refused)?;
        let base = config.base().map_err(refused)?;
        let application = config.application().map_err(refused)?;
        let tokens = Tokens::new(&config.name, application, config.http.clone(), clock.clone())?;
        let http = HttpClient::to(&base, config.http.clone()).map_err(|error| error.during(&act))?;
        Ok(Self { http, tokens, base, config, clock, mailboxes: Mutex::default() })
    }

    pub fn config(&self) -> &GraphConfig {
        &self.config
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// An address below `/users/{mailbox}`.
    pub fn of_mailbox(&self, mailbox: &Address, path: &[&str], query: &[(&str, &str)]) -> Url {
        let path: Vec<&str> = ["users", mailbox.as_str()].into_iter().chain(path.iter().copied()).collect();
        self.at(&path, query)
    }

    /// An address below the base; every segment and value is encoded.
    pub fn at(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        let path: Vec<String> = path.iter().map(|part| utf8_percent_encode(part, KEPT_IN_PATH).to_string()).collect();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.join("/")));
        if !query.is_empty() {
            let pair = |(key, value): &(&str, &str)| format!("{key}={}", utf8_percent_encode(value, KEPT));
            url.set_query(Some(&query.iter().map(pair).collect::<Vec<_>>().join("&")));
        }
        url
    }

    /// A GET that answers JSON.
    pub async fn get<T: DeserializeOwned>(&self, act: Act<'_>, url: Url) -> Result<T, Error> {
        let response = self.ask(act, self.request(Method::GET, url, None)).await?;
        self.read(act, response)
    }

    /// A GET that answers JSON, or the server's "no" about the thing asked for.
    pub async fn look<T: DeserializeOwned>(&self, act: Act<'_>, url: Url) -> Result<Result<T, Refusal>, Error> {
        match self.send(act, self.request(Method::GET, url, None), 1).await? {
            Ok(response) => self.read(act, response).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Every row of a list.
    pub async fn list<T: DeserializeOwned>(&self, act: Act<'_>, url: Url) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        let mut next = Some(url);
        for _ in 0..PAGES_MAX {
            let Some(url) = next else { return Ok(rows) };
            let page: Page<T> = self.page(act, url).await?;
            rows.extend(page.value);
            next = page.next.as_deref().map(|link| self.link(act, link)).transpose()?;
        }
        Err(self.malformed(act, "the list has no end"))
    }

    /// One page of a list or a delta.
    pub async fn page<T: DeserializeOwned>(&self, act: Act<'_>, url: Url) -> Result<Page<T>, Error> {
        let more = format!("odata.maxpagesize={}", self.config.page);
        let response = self.ask(act, self.request(Method::GET, url, Some(&more))).await?;
        self.read(act, response)
    }

    /// A link of an answer, taken verbatim if it leads to the server that gave it.
    ///
    /// # Errors
    /// [`Problem::Malformed`]: a token must not go elsewhere.
    pub fn link(&self, act: Act<'_>, link: &str) -> Result<Url, Error> {
        match link.parse::<Url>() {
            Ok(url) if url.origin() == self.base.origin() => Ok(url),
            _ => Err(self.malformed(act, "a link of the answer leads to another server")),
        }
    }

    /// A write with JSON. `version` makes it conditional.
    pub async fn write(
        &self,
        act: Act<'_>,
        method: Method,
        url: Url,
        body: Option<&Value>,
        version: Option<&str>,
    ) -> Result<Result<Response, Refusal>, Error> {
        let mut request = self.request(method, url, None);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        if let Some(version) = version {
            request = request.header(IF_MATCH, &wire::entity_tag(version));
        }
        self.send(act, request, 1).await
    }

    /// Up to [`BATCH_MAX`] GETs in one round trip, answered in their order. Each counts like a request of its own; a part that
    /// concerns the whole mailbox (too many requests, no sign-in) fails the act.
    pub async fn batch<T: DeserializeOwned>(
        &self,
        act: Act<'_>,
        urls: &[Url],
    ) -> Result<Vec<Result<T, Refusal>>, Error> {
        let base = self.base.path().trim_end_matches('/');
        let part = |(number, url): (usize, &Url)| {
            let path = url.path().strip_prefix(base).unwrap_or(url.path());
            let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
            let headers = json!({ "Prefer": PREFERENCES });
            json!({ "id": number.to_string(), "method": "GET", "url": format!("{path}{query}"), "headers": headers })
        };
        let parts: Vec<Value> = urls.iter().enumerate().map(part).collect();
        let request = self
            .request(Method::POST, self.at(&["$batch"], &[]), None)
            .body("application/json", json!({ "requests": parts }).to_string());
        let count = u32::try_from(urls.len()).unwrap_or(u32::MAX);
        let response = self.send(act, request, count).await?.map_err(|refusal| self.failed(act, refusal))?;
        let parts: wire::Parts = self.read(act, response)?;
        let mut answers: HashMap<String, Part> =
            parts.responses.into_iter().map(|part| (part.id.clone(), part)).collect();
        let mut ordered = Vec::with_capacity(urls.len());
        for number in 0..urls.len() {
            let part = answers
                .remove(&number.to_string())
                .ok_or_else(|| self.malformed(act, "the answer lacks a part of the batch"))?;
            ordered.push(self.part(act, part)?);
        }
        Ok(ordered)
    }

    fn part<T: DeserializeOwned>(&self, act: Act<'_>, part: Part) -> Result<Result<T, Refusal>, Error> {
        let status = StatusCode::from_u16(part.status).map_err(|_| self.malformed(act, "a part has no status"))?;
        if status.is_success() {
            let read = serde_json::from_value(part.body);
            return read.map(Ok).map_err(|_| self.malformed(act, "a part of the batch is not what was asked for"));
        }
        let refusal = Refusal::new(status, part.retry_after(), part.body.to_string().as_bytes());
        match refusal.problem() {
            Problem::Throttled { after } => {
                self.pause(act, after);
                Err(self.failed(act, refusal))
            }
            Problem::Unreachable { .. } | Problem::SignIn => Err(self.failed(act, refusal)),
            _ => Ok(Err(refusal)),
        }
    }

    /// The error for an act the server refused.
    pub fn failed(&self, act: Act<'_>, refusal: Refusal) -> Error {
        self.error(act, refusal.problem()).caused_by(refusal)
    }

    pub fn malformed(&self, act: Act<'_>, what: &str) -> Error {
        self.error(act, Problem::Malformed).caused_by(what.to_owned())
    }

    pub fn error(&self, act: Act<'_>, problem: Problem) -> Error {
        let error = Error::new(self.name_act(act.what), problem);
        match codes::hint(&error.problem) {
            Some(hint) => error.hinted(hint),
            None => error,
        }
    }

    pub fn name_act(&self, what: &str) -> String {
        format!("{what} in {}", self.config.name)
    }

    /// The JSON of an answer.
    pub fn read<T: DeserializeOwned>(&self, act: Act<'_>, response: Response) -> Result<T, Error> {
        response.json().map_err(|error| self.error(act, Problem::Malformed).caused_by(error))
    }

    fn request(&self, method: Method, url: Url, preference: Option<&str>) -> Request {
        let preferences = match preference {
            Some(more) => format!("{PREFERENCES}, {more}"),
            None => PREFERENCES.to_owned(),
        };
        Request::new(method, url).accept("application/json").header(PREFER, &preferences)
    }

    async fn ask(&self, act: Act<'_>, request: Request) -> Result<Response, Error> {
        self.send(act, request, 1).await?.map_err(|refusal| self.failed(act, refusal))
    }

    /// Sends; `count` is for how many requests the server takes it.
    async fn send(&self, act: Act<'_>, request: Request, count: u32) -> Result<Result<Response, Refusal>, Error> {
        let mailbox = self.mailbox(act);
        self.grant(act, &mailbox, count)?;
        let places = count.clamp(1, self.config.mailbox_requests_max.into());
        // Closed only with the client itself, so the error case cannot happen; going on without a place is harmless.
        let _places = mailbox.places.acquire_many(places).await.ok();
        // Whoever waited here may have waited behind the request that was told to pause.
        self.paused(act, &mailbox)?;
        let mut renewed = false;
        loop {
            let token = self.tokens.token().await?;
            let id = uuid::Uuid::new_v4().to_string();
            let sent = request.clone().header(CLIENT_REQUEST_ID, &id).bearer(&token);
            let response = self.http.send(sent).await.map_err(|error| error.during(self.name_act(act.what)))?;
            let own = response.headers.get("request-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
            tracing::debug!(
                http.client_request_id = id,
                http.request_id = own,
                http.status = response.status.as_u16(),
                "Microsoft Graph answered {}",
                response.status
            );
            if response.status.is_success() {
                // Graph never answers with a page for people. Whoever stands in between and does has not carried out anything.
                return match response.media_type().as_str() {
                    "text/html" => Err(self.malformed(act, "a page for people came instead of an answer")),
                    _ => Ok(Ok(response)),
                };
            }
            if response.status == StatusCode::UNAUTHORIZED && !renewed {
                self.tokens.refused(&token);
                renewed = true;
                continue;
            }
            let refusal = Refusal::new(response.status, retry_after(&response.headers), &response.body);
            return match refusal.problem() {
                Problem::Throttled { after } => {
                    self.pause(act, after);
                    Err(self.failed(act, refusal))
                }
                Problem::SignIn | Problem::Unreachable { .. } => Err(self.failed(act, refusal)),
                _ => Ok(Err(refusal)),
            };
        }
    }

    fn mailbox(&self, act: Act<'_>) -> Arc<Mailbox> {
        let key = act.mailbox.cloned().unwrap_or_default();
        let mut all = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let places = Semaphore::new(self.config.mailbox_requests_max.into());
            Arc::new(Mailbox { places, pace: Mutex::default() })
        };
        all.entry(key).or_insert_with(new).clone()
    }

    fn grant(&self, act: Act<'_>, mailbox: &Mailbox, count: u32) -> Result<(), Error> {
        let mut pace = mailbox.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = pace.ask(count, self.config.mailbox_budget, self.clock.now());
        granted.map_err(|after| self.held(act, after))
    }

    fn paused(&self, act: Act<'_>, mailbox: &Mailbox) -> Result<(), Error> {
        let pace = mailbox.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.paused(self.clock.now()).map_err(|after| self.held(act, after))
    }

    fn held(&self, act: Act<'_>, after: Duration) -> Error {
        let error = self.error(act, Problem::Throttled { after: Some(after) });
        error.caused_by("not sent: the mailbox has had as many requests as it may have for now")
    }

    fn pause(&self, act: Act<'_>, after: Option<Duration>) {
        let mailbox = self.mailbox(act);
        mailbox.pace.lock().unwrap_or_else(PoisonError::into_inner).pause(after, self.clock.now());
    }
}
