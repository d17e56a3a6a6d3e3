//! OAuth2 client credentials: access tokens for one server, kept and renewed before they expire.
//!
//! Promises: one renewal at a time, however many requests wait for it; a token is renewed while the old one still works, and
//! a renewal that fails for a while does not stop work the old one can do; a secret, key or token is never printed. A key's
//! files are read anew for each renewal, so a certificate can be replaced while the host runs. The numbers a signature needs
//! come from the system's own source: nobody's decision hangs on them.
//! Must not know: what the token is used for.
//!
//! Source: RFC 6749 (4.4), RFC 7523, and Microsoft's pages on client credentials and certificate credentials.

mod assertion;
mod refusal;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

pub use self::refusal::{CODES, meaning};

use super::http::{HttpClient, HttpConfig, Request, Secret, Url};
use super::{Error, Problem};
use crate::clock::Clock;

/// The authority of Microsoft's worldwide cloud. National clouds have their own.
pub const AUTHORITY: &str = "https://login.microsoftonline.com";

/// A token is renewed this long before it expires, or after four fifths of its life if that is sooner.
const MARGIN: TimeDelta = TimeDelta::minutes(5);
/// Tokens live an hour (to a day with continuous access evaluation); a server that names none gets this.
const LIFE_DEFAULT_S: i64 = 300;
const LIFE_MAX_S: i64 = 24 * 60 * 60;

/// How the host shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Secret(Secret),
    /// PEM files: the certificate that is registered with the application, and its RSA key (PKCS #8 or PKCS #1).
    Certificate {
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl Proof {
    /// From the keys `client_secret`, `certificate_file` and `key_file` of a settings file: a secret, or a certificate whose key
    /// may stand in the same file.
    ///
    /// # Errors
    /// A sentence that begins with the key it is about.
    pub fn of(secret: Option<&Secret>, certificate: Option<&Path>, key: Option<&Path>) -> Result<Self, String> {
        match (secret.filter(|secret| !secret.is_empty()), certificate) {
            (Some(_), Some(_)) => {
                Err("certificate_file and client_secret are both given; keep the one the application uses".to_owned())
            }
            (Some(_), None) if key.is_some() => Err("key_file needs certificate_file beside it".to_owned()),
            (Some(secret), None) => Ok(Proof::Secret(secret.clone())),
            (None, Some(certificate)) => Ok(Proof::Certificate {
                certificate: certificate.to_owned(),
                key: key.unwrap_or(certificate).to_owned(),
            }),
            (None, None) => Err("client_secret or certificate_file is missing".to_owned()),
        }
    }
}

/// An application that signs in for itself, without a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// `https://login.microsoftonline.com`, a national cloud's, or a simulator's.
    pub authority: String,
    /// The directory: a GUID or a domain of the tenant.
    pub tenant: String,
    pub client_id: String,
    /// `https://graph.microsoft.com/.default`: all rights the application was given there.
    pub scope: String,
    pub proof: Proof,
}

impl Application {
    /// Where tokens are asked for.
    ///
    /// # Errors
    /// A sentence that begins with the settings key it is about.
    pub fn token_url(&self) -> Result<Url, String> {
        let authority = safe_url("authority", &self.authority)?;
        if self.tenant.is_empty() || !self.tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) {
            return Err("tenant must be the directory's id or one of its domains".to_owned());
        }
        if self.client_id.is_empty() {
            return Err("client_id is empty".to_owned());
        }
        let text = format!("{}/{}/oauth2/v2.0/token", authority.as_str().trim_end_matches('/'), self.tenant);
        text.parse().map_err(|error| format!("authority is not an address ({error})"))
    }
}

/// An address that secrets may be sent to: `https`, or this machine itself.
///
/// # Errors
/// A sentence that begins with the settings key.
pub fn safe_url(key: &str, text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{key} is not an address ({error})"))?;
    let is_loopback = url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" if url.host_str().is_some() => {}
        "http" if is_loopback => {}
        _ => return Err(format!("{key} must begin with https:// and name a host")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{key} must not hold a login"));
    }
    Ok(url)
}

/// The tokens of one application for one server.
#[derive(Debug)]
pub struct Tokens {
    /// The server, as people call it.
    name: String,
    application: Application,
    url: Url,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<Token>>,
    /// Held during a renewal: whoever waits for it finds the new token.
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Token {
    text: Secret,
    renew_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// Seconds; some servers write the number as a text.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Tokens {
    /// Makes ready to sign in; nothing is sent yet. A certificate is read, so that a file that cannot be used is told at once.
    ///
    /// # Errors
    /// [`Problem::Refused`] for settings no server could work with; [`Problem::SignIn`] for an unusable certificate or key.
    pub fn new(
        name: impl Into<String>,
        application: Application,
        http: HttpConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let act = format!("prepare the sign-in to {name}");
        let url = application.token_url().map_err(|error| Error::new(&act, Problem::Refused).caused_by(error))?;
        let http = HttpClient::to(&url, http).map_err(|error| error.during(&act))?;
        if let Proof::Certificate { certificate, key } = &application.proof {
            assertion::Signer::read(certificate, key)
                .map_err(|error| Error::new(&act, Problem::SignIn).hinted(assertion::HINT).caused_by(error))?;
        }
        let (current, renewing) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { name, application, url, http, clock, current, renewing })
    }

    /// A token that is good for a while yet.
    ///
    /// # Errors
    /// [`Problem::SignIn`] with a hint if the server refuses; other problems if it does not answer.
    pub async fn token(&self) -> Result<Secret, Error> {
        if let Some(token) = self.fresh() {
            return Ok(token.text);
        }
        let _one = self.renewing.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token.text);
        }
        match self.ask().await {
            Ok(token) => {
                let text = token.text.clone();
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
                Ok(text)
            }
            // The old one may have minutes left: enough for a sign-in page that is down for a moment.
            Err(error) if error.problem != Problem::SignIn => match self.kept() {
                Some(token) if self.clock.now() < token.expires_at => Ok(token.text),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// A server refused this token: the next call of [`Tokens::token`] asks for another, once, however many were refused.
    pub fn refused(&self, token: &Secret) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.text == *token) {
            *current = None;
        }
    }

    fn kept(&self) -> Option<Token> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self) -> Option<Token> {
        self.kept().filter(|token| self.clock.now() < token.renew_at)
    }

    async fn ask(&self) -> Result<Token, Error> {
        let act = format!("sign in to {}", self.name);
        let form =
            self.form().map_err(|error| Error::new(&act, Problem::SignIn).hinted(assertion::HINT).caused_by(error))?;
        let request =
            Request::post(self.url.clone()).accept("application/json").body("application/x-www-form-urlencoded", form);
        let asked = self.clock.now();
        let response = self.http.send(request).await.map_err(|error| error.during(&act))?;
        if response.problem().is_some() {
            return Err(refusal::error(&act, &response));
        }
        let granted: Granted = response.json().map_err(|error| error.during(&act))?;
        if granted.access_token.is_empty() {
            return Err(Error::new(&act, Problem::Malformed).caused_by("the answer holds no token"));
        }
        let written = granted.expires_in.as_str().and_then(|text| text.trim().parse().ok());
        let seconds = granted.expires_in.as_i64().or(written);
        let life = TimeDelta::seconds(seconds.unwrap_or(LIFE_DEFAULT_S).clamp(0, LIFE_MAX_S));
        Ok(Token {
            text: granted.access_token,
            renew_at: asked + life - MARGIN.min(life / 5),
            expires_at: asked + life,
        })
    }

    fn form(&self) -> Result<String, assertion::AssertionError> {
        let application = &self.application;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &application.client_id)
            .append_pair("scope", &application.scope);
        match &application.proof {
            Proof::Secret(secret) => form.append_pair("client_secret", secret.expose()),
            Proof::Certificate { certificate, key } => {
                let signer = assertion::Signer::read(certificate, key)?;
                let assertion = signer.sign(self.url.as_str(), &application.client_id, self.clock.now())?;
                form.append_pair("client_assertion_type", assertion::TYPE)
                    .append_pair("client_assertion", assertion.expose())
            }
        };
        Ok(form.finish())
    }
}
