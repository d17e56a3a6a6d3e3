//! Requests to one Exchange server: its address, sign-in, impersonation, limits on what is under way, and the meaning of failures.
//!
//! Promises: a request is sent once; nothing is sent to a mailbox while the server wants a pause, and other mailboxes do not feel
//! it (without impersonation all of them are one account's, whose budget it is); every failure is a [`connector::Error`](crate::connector::Error) that names the act;
//! "not found" comes from EWS only, never from a wrong address. Must not know: appointments.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roxmltree::Node;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::autodiscover::Finder;
use super::config::{EwsConfig, SignIn};
use super::soap::{self, Header, SoapError, Xml};
use crate::clock::Clock;
use crate::connector::auth::Tokens;
use crate::connector::http::ntlm::NtlmLogin;
use crate::connector::http::{
    HeaderMap, HeaderName, HttpClient, HttpError, Request, Response, Secret, StatusCode, Streaming, Url,
};
use crate::connector::pace::Pace;
use crate::connector::{Error, Problem};
use crate::model::Address;

/// Names the mailbox by which a front end chooses the server that does the work.
const ANCHOR: HeaderName = HeaderName::from_static("x-anchormailbox");
const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// One server, signed in with every request.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    /// With OAuth.
    tokens: Option<Tokens>,
    /// Set, or found when the first request is made.
    url: OnceCell<Url>,
    config: EwsConfig,
    places: Arc<Semaphore>,
    mailbox_places: Mutex<HashMap<Address, Arc<Semaphore>>>,
    clock: Arc<dyn Clock>,
    /// By whose budget it is.
    paces: Mutex<HashMap<Address, Pace>>,
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// For people: `read appointment AAMk...`.
    pub what: &'a str,
    pub mailbox: &'a Address,
    /// Windows zone that rules the times of this request.
    pub zone: Option<&'a str>,
}

impl<'a> Act<'a> {
    pub fn new(what: &'a str, mailbox: &'a Address) -> Self {
        Self { what, mailbox, zone: None }
    }
}

impl Client {
    /// # Errors
    /// [`Problem::Refused`] for settings no server could work with, or from the HTTP client.
    pub fn new(config: EwsConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let act = format!("set up the connection to {}", config.name);
        let refused = |error| Error::new(&act, Problem::Refused).caused_by(error);
        config.check().map_err(refused)?;
        let url = match config.known_url() {
            None => OnceCell::new(),
            Some(set) => OnceCell::from(set.parse::<Url>().map_err(|_| refused("url is not an address".to_owned()))?),
        };
        let http = match config.sign_in {
            SignIn::Ntlm => {
                HttpClient::with_ntlm(config.http.clone(), NtlmLogin::new(&config.login, config.password.clone()))
            }
            SignIn::Basic | SignIn::Oauth => match url.get() {
                Some(url) => HttpClient::to(url, config.http.clone()),
                None => HttpClient::new(config.http.clone()),
            },
        };
        let http = http.map_err(|error| error.during(&act))?;
        let tokens = match config.sign_in {
            SignIn::Basic | SignIn::Ntlm => None,
            SignIn::Oauth => {
                let application = config.application().map_err(refused)?;
                Some(Tokens::new(config.name.clone(), application, config.http.clone(), clock.clone())?)
            }
        };
        let places = Arc::new(Semaphore::new(config.requests_max.into()));
        Ok(Self { http, tokens, url, config, places, mailbox_places: Mutex::default(), clock, paces: Mutex::default() })
    }

    pub fn config(&self) -> &EwsConfig {
        &self.config
    }

    /// Sends one operation and reads its answer.
    pub async fn call<T>(
        &self,
        act: Act<'_>,
        write: impl FnOnce(&mut Xml) + Send,
        read: impl FnOnce(Node<'_, '_>) -> Result<T, SoapError> + Send,
    ) -> Result<T, Error> {
        let request = self.request(act, write).await?;
        self.call_with(act, request, |_, node| read(node)).await
    }

    /// Sends a prepared request; `read` also sees the answer's headers.
    pub async fn call_with<T>(
        &self,
        act: Act<'_>,
        request: Request,
        read: impl FnOnce(&HeaderMap, Node<'_, '_>) -> Result<T, SoapError> + Send,
    ) -> Result<T, Error> {
        // Held until it is known whether the server wants a pause: whoever waits for a place must not go before.
        let _places = self.places(act.mailbox).await;
        self.paused(act)?;
        let answered = self.ask(act, request, read).await;
        self.heed(act, &answered);
        answered
    }

    async fn ask<T>(
        &self,
        act: Act<'_>,
        request: Request,
        read: impl FnOnce(&HeaderMap, Node<'_, '_>) -> Result<T, SoapError> + Send,
    ) -> Result<T, Error> {
        let response = self.send(act, request).await?;
        let text = self.text(act, &response)?;
        let read = |node: Node<'_, '_>| {
            // A busy server may do a part of what was asked and refuse the rest.
            if let Some(wait) = soap::back_off(node) {
                self.pause(act, wait);
            }
            read(&response.headers, node)
        };
        soap::answer(text, read).map_err(|error| self.failed(act.what, error))
    }

    /// Whether the server may be asked about this mailbox now.
    fn paused(&self, act: Act<'_>) -> Result<(), Error> {
        let paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let paused = paces.get(&self.payer(act)).map_or(Ok(()), |pace| pace.paused(self.clock.now()));
        paused.map_err(|left| {
            let error = Error::new(self.name_act(act.what), Problem::Throttled { after: Some(left) });
            error.caused_by("not sent: the server asked to be left alone for a while")
        })
    }

    /// Remembers for how long the server wants to be left alone, if it said so.
    fn heed<T>(&self, act: Act<'_>, answered: &Result<T, Error>) {
        if let Err(error) = answered
            && let Problem::Throttled { after: Some(wait) } | Problem::Unreachable { after: Some(wait) } = error.problem
        {
            self.pause(act, wait);
        }
    }

    fn pause(&self, act: Act<'_>, wait: Duration) {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        paces.entry(self.payer(act)).or_default().pause(Some(wait), self.clock.now());
    }

    /// Whose budget pays for a request: an account that impersonates has one in each mailbox, any other has one for all.
    fn payer(&self, act: Act<'_>) -> Address {
        if self.config.impersonate { act.mailbox.clone() } else { Address::default() }
    }

    /// Opens an answer that comes in pieces. It takes no place among the requests: servers count such connections apart.
    pub async fn stream(&self, act: Act<'_>, request: Request, idle: Duration) -> Result<Streaming, Error> {
        self.paused(act)?;
        let opened = self.open(act, request, idle).await;
        self.heed(act, &opened);
        opened
    }

    async fn open(&self, act: Act<'_>, request: Request, idle: Duration) -> Result<Streaming, Error> {
        let (request, _) = self.sign(request).await?;
        let streaming = self.http.stream(request, idle).await.map_err(|error| error.during(self.name_act(act.what)))?;
        if streaming.status == StatusCode::OK {
            return Ok(streaming);
        }
        let response = streaming.read_to_end().await.map_err(|error| error.during(self.name_act(act.what)))?;
        match self.text(act, &response) {
            Err(error) => Err(error),
            Ok(_) => Err(self.failed(act.what, SoapError::Missing("event stream"))),
        }
    }

    /// Sends a request, signed in. A token that is refused before its time is replaced once: the server did nothing yet.
    async fn send(&self, act: Act<'_>, request: Request) -> Result<Response, Error> {
        let failed = |error: HttpError| error.during(self.name_act(act.what));
        let (signed, token) = self.sign(request.clone()).await?;
        let response = self.http.send(signed).await.map_err(failed)?;
        match (&self.tokens, token) {
            (Some(tokens), Some(token)) if response.status == StatusCode::UNAUTHORIZED => {
                tokens.refused(&token);
                let (signed, _) = self.sign(request).await?;
                self.http.send(signed).await.map_err(failed)
            }
            _ => Ok(response),
        }
    }

    /// A request that acts in the mailbox.
    pub async fn request(&self, act: Act<'_>, write: impl FnOnce(&mut Xml)) -> Result<Request, Error> {
        let impersonate = self.config.impersonate.then_some(act.mailbox.as_str());
        let header = Header { version: &self.config.version, impersonate, zone: act.zone };
        let envelope = soap::envelope(header, write);
        Ok(Request::post(self.url(act).await?.clone())
            .header(ANCHOR, act.mailbox.as_str())
            .accept("text/xml")
            .body(CONTENT_TYPE, envelope))
    }

    /// The request signed in, and the token that did it.
    async fn sign(&self, request: Request) -> Result<(Request, Option<Secret>), Error> {
        match &self.tokens {
            None => Ok((self.sign_by_password(request), None)),
            Some(tokens) => {
                let token = tokens.token().await?;
                Ok((request.bearer(&token), Some(token)))
            }
        }
    }

    fn sign_by_password(&self, request: Request) -> Request {
        match self.config.sign_in {
            SignIn::Basic => request.basic(&self.config.login, &self.config.password),
            // The connection is signed in, or a token does it.
            SignIn::Ntlm | SignIn::Oauth => request,
        }
    }

    async fn url(&self, act: Act<'_>) -> Result<&Url, Error> {
        self.url.get_or_try_init(|| self.find_url(act)).await
    }

    async fn find_url(&self, act: Act<'_>) -> Result<Url, Error> {
        let sign = |request| self.sign_by_password(request);
        let found = Finder { http: &self.http, config: &self.config, sign: &sign }.find(act.mailbox).await?;
        let host = found.host_str().unwrap_or_default();
        tracing::info!(server.name = %self.config.name, server.host = host, "{} is at {host}", self.config.name);
        Ok(found)
    }

    /// The error for an act that the server answered with something else than a result.
    pub fn failed(&self, what: &str, error: impl Into<SoapError>) -> Error {
        let error = error.into();
        Error::new(self.name_act(what), error.problem()).caused_by(error)
    }

    pub fn name_act(&self, what: &str) -> String {
        format!("{what} in {}", self.config.name)
    }

    async fn places(&self, mailbox: &Address) -> (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>) {
        let own = {
            let mut all = self.mailbox_places.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(self.config.mailbox_requests_max.into()));
            all.entry(mailbox.clone()).or_insert_with(new).clone()
        };
        // The mailbox's place first: who waits for a busy mailbox must not hold a place the others could use.
        let own = own.acquire_owned().await.ok();
        (own, self.places.clone().acquire_owned().await.ok())
    }

    /// The text of an answer worth reading: a result, or the fault that explains a failure.
    fn text<'a>(&self, act: Act<'_>, response: &'a Response) -> Result<&'a str, Error> {
        let text = std::str::from_utf8(&response.body);
        let Some(problem) = response.problem() else {
            return text.map_err(|_| self.failed(act.what, SoapError::Missing("text in UTF-8")));
        };
        let explained = text.ok().and_then(|text| soap::answer(text, |_| Ok(())).err());
        if let Some(refused @ SoapError::Refused(_)) = explained {
            return Err(self.failed(act.what, refused));
        }
        // These two would mean something about an item; from a web server they mean that EWS is not at this address.
        let problem = match problem {
            Problem::NotFound | Problem::Stale => Problem::Malformed,
            other => other,
        };
        let cause = format!("the server answered HTTP {}", response.status);
        Err(Error::new(self.name_act(act.what), problem).caused_by(cause))
    }
}
