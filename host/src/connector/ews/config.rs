//! What an operator writes about an Exchange server that is spoken to by EWS.
//!
//! Promises: unknown keys are refused, secrets do not print, every number is inside the server's own limits after
//! [`EwsConfig::check`]. Must not know: how a request looks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::connector::auth::{AUTHORITY, Application, Proof};
use crate::connector::http::{HttpConfig, Secret, Url};
pub use crate::connector::property::{NamedProperty, PropertyKind, STAMP_NAME, STAMP_SET};

/// Exchange returns at most this many changes per SyncFolderItems (schema: 1 to 512).
pub const PAGE_MAX: u16 = 512;
/// Exchange Online, all of it.
pub const ONLINE_URL: &str = "https://outlook.office365.com/EWS/Exchange.asmx";
/// Beyond this a single GetItem answer of full bodies grows past what is worth repeating after a failure.
pub const BATCH_MAX: u16 = 100;
/// One Exchange server. In a settings file: a table with these keys; the times in `http` are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EwsConfig {
    /// The server as people call it.
    #[serde(default = "default_name")]
    pub name: String,
    /// `https://mail.example.test/EWS/Exchange.asmx`; empty: found by autodiscover for the first mailbox asked for.
    #[serde(default)]
    pub url: String,
    /// Hosts outside the mailboxes' own domains to which autodiscover may lead: the login is sent to no others.
    #[serde(default)]
    pub autodiscover_hosts: Vec<String>,
    #[serde(default)]
    pub sign_in: SignIn,
    /// `DOMAIN\account` or a user principal name; for `basic` and `ntlm`.
    #[serde(default)]
    pub login: String,
    #[serde(default)]
    pub password: Secret,
    /// For `oauth`: the directory's id, or one of its domains.
    #[serde(default)]
    pub tenant: String,
    /// The application's id in that directory.
    #[serde(default)]
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// Instead of a secret: PEM files of a certificate and its key, or of both in one.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Where tokens come from.
    #[serde(default = "default_authority")]
    pub authority: String,
    /// What tokens are for; made of the server's address if it is not given.
    pub scope: Option<String>,
    /// Act in each mailbox by the ApplicationImpersonation right. Without it only mailboxes that the account owns or was
    /// given as a delegate can be used.
    #[serde(default = "default_true")]
    pub impersonate: bool,
    /// Request version. `Exchange2013_SP1` is understood by Exchange 2013 SP1 to Subscription Edition.
    #[serde(default = "default_version")]
    pub version: String,
    /// Items per GetItem.
    #[serde(default = "default_batch")]
    pub batch: u16,
    /// Changes per SyncFolderItems.
    #[serde(default = "default_page")]
    pub page: u16,
    /// IANA zone in which all-day appointments are written: those who look from another zone see them shifted, so set the
    /// zone most mailboxes live in.
    #[serde(default = "default_zone", deserialize_with = "zone")]
    pub all_day_zone: Tz,
    #[serde(default)]
    pub notifications: Notifications,
    /// Seconds between two questions per mailbox where the server does not stream.
    #[serde(default = "default_pull", deserialize_with = "seconds")]
    pub pull_interval: Duration,
    /// Requests under way at once on this server.
    #[serde(default = "default_requests")]
    pub requests_max: u16,
    /// Requests under way at once in one mailbox.
    #[serde(default = "default_mailbox_requests")]
    pub mailbox_requests_max: u16,
    /// Where the key of the appointment an item was created from is kept.
    #[serde(default = "NamedProperty::stamp")]
    pub stamp: NamedProperty,
    /// Exchange named properties carried as custom fields, by the field's name.
    #[serde(default)]
    pub fields: BTreeMap<String, NamedProperty>,
    #[serde(default)]
    pub http: HttpConfig,
}

/// How the host shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignIn {
    /// Login and password with every request.
    #[default]
    Basic,
    /// Login and password, by NTLM: each connection is signed in once, and the password itself is never sent.
    Ntlm,
    /// An application's token (client credentials). Such callers have no mailbox of their own and must impersonate.
    Oauth,
}

/// How the server tells that something changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notifications {
    /// One connection held open for all mailboxes; falls back to pull where the server does not stream.
    #[default]
    Streaming,
    /// A small question per mailbox and interval.
    Pull,
    Off,
}

impl EwsConfig {
    /// Settings for a server with everything else at its default.
    pub fn new(url: impl Into<String>, login: impl Into<String>, password: Secret) -> Self {
        Self {
            name: default_name(),
            url: url.into(),
            autodiscover_hosts: Vec::new(),
            sign_in: SignIn::default(),
            login: login.into(),
            password,
            tenant: String::new(),
            client_id: String::new(),
            client_secret: None,
            certificate_file: None,
            key_file: None,
            authority: default_authority(),
            scope: None,
            impersonate: true,
            version: default_version(),
            batch: default_batch(),
            page: default_page(),
            all_day_zone: default_zone(),
            notifications: Notifications::default(),
            pull_interval: default_pull(),
            requests_max: default_requests(),
            mailbox_requests_max: default_mailbox_requests(),
            stamp: NamedProperty::stamp(),
            fields: BTreeMap::new(),
            http: HttpConfig::default(),
        }
    }

    /// Looks for values no server could work with.
    ///
    /// # Errors
    /// A sentence that names the key and what it may hold.
    pub fn check(&self) -> Result<(), String> {
        if !self.url.is_empty() {
            check_url(&self.url)?;
        }
        if let Some(bad) = self.autodiscover_hosts.iter().find(|host| host.contains(['/', ':', '@']) || host.is_empty())
        {
            return Err(format!("autodiscover_hosts holds {bad:?}; write names of hosts, without https://"));
        }
        match self.sign_in {
            SignIn::Oauth if !self.impersonate => {
                return Err(
                    "impersonate must be true with sign_in = \"oauth\": an application has no mailbox".to_owned()
                );
            }
            SignIn::Oauth => drop(self.application()?.token_url()?),
            SignIn::Basic | SignIn::Ntlm if self.login.is_empty() => return Err("login is missing".to_owned()),
            SignIn::Basic | SignIn::Ntlm if self.password.is_empty() => {
                return Err("password is missing; give password_file (best), password_env, or password".to_owned());
            }
            SignIn::Basic | SignIn::Ntlm => {}
        }
        within("page", self.page, PAGE_MAX)?;
        within("batch", self.batch, BATCH_MAX)?;
        within("requests_max", self.requests_max, 100)?;
        within("mailbox_requests_max", self.mailbox_requests_max, 27)?;
        if self.stamp.kind != PropertyKind::String {
            return Err("stamp must be of type String".to_owned());
        }
        self.stamp.check().map_err(|error| format!("stamp: {error}"))?;
        for (name, property) in &self.fields {
            property.check().map_err(|error| format!("fields.{name}: {error}"))?;
        }
        Ok(())
    }
}

impl EwsConfig {
    /// The address of EWS, if it is known without looking for it.
    pub fn known_url(&self) -> Option<&str> {
        match (self.url.as_str(), self.sign_in) {
            ("", SignIn::Oauth) => Some(ONLINE_URL),
            ("", SignIn::Basic | SignIn::Ntlm) => None,
            (set, _) => Some(set),
        }
    }

    /// Who asks for tokens, with `sign_in = "oauth"`.
    ///
    /// # Errors
    /// A sentence that begins with the key it is about.
    pub fn application(&self) -> Result<Application, String> {
        let host = self.known_url().and_then(|url| url.parse::<Url>().ok()?.host_str().map(str::to_owned));
        let made = || host.map(|host| format!("https://{host}/.default"));
        let scope = self.scope.clone().or_else(made).ok_or("scope is missing")?;
        let (secret, certificate) = (self.client_secret.as_ref(), self.certificate_file.as_deref());
        Ok(Application {
            authority: self.authority.clone(),
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            scope,
            proof: Proof::of(secret, certificate, self.key_file.as_deref())?,
        })
    }
}

fn check_url(text: &str) -> Result<(), String> {
    let url = text.parse::<Url>().map_err(|error| format!("url is not an address ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("url must begin with https:// and name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url must not hold a login; use login and password".to_owned());
    }
    Ok(())
}

fn within(key: &str, value: u16, max: u16) -> Result<(), String> {
    if (1..=max).contains(&value) { Ok(()) } else { Err(format!("{key} must be from 1 to {max}, not {value}")) }
}

fn default_authority() -> String {
    AUTHORITY.to_owned()
}

fn default_name() -> String {
    "Exchange".to_owned()
}

fn default_true() -> bool {
    true
}

fn default_version() -> String {
    "Exchange2013_SP1".to_owned()
}

/// Microsoft's advice for GetItem after a sync is batches of about ten.
fn default_batch() -> u16 {
    10
}

fn default_page() -> u16 {
    256
}

fn default_zone() -> Tz {
    Tz::UTC
}

fn default_pull() -> Duration {
    Duration::from_secs(5)
}

/// Exchange 2010 allowed an account ten at once, later ones 27; ten leaves room for the mailbox owner's own clients.
fn default_requests() -> u16 {
    10
}

fn default_mailbox_requests() -> u16 {
    3
}

fn seconds<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    match u64::deserialize(source)? {
        0 => Err(serde::de::Error::custom("an interval must be at least 1 second")),
        count => Ok(Duration::from_secs(count)),
    }
}

fn zone<'de, D: Deserializer<'de>>(source: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(source)?;
    name.parse().map_err(|_| serde::de::Error::custom(format!("{name} is not an IANA zone name")))
}
