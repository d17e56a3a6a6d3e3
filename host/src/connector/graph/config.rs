//! What an operator writes about an Exchange server that is spoken to by Microsoft Graph.
//!
//! Promises: unknown keys are refused, secrets do not print, every number is inside the server's own limits after
//! [`GraphConfig::check`]. Must not know: how a request looks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::connector::auth::{self, Application, Proof};
use crate::connector::http::{HttpConfig, Secret, Url};
use crate::connector::property::{NamedProperty, PropertyKind};

/// Largest page Graph gives for events.
pub const PAGE_MAX: u16 = 999;
/// A calendar view of more days is refused.
pub const WINDOW_DAYS_MAX: u32 = 1_825;
/// Outlook's own limits for one application in one mailbox: requests in ten minutes, and at once.
pub const BUDGET: u32 = 10_000;
pub const REQUESTS_MAX: u16 = 4;

/// One tenant of Exchange Online. In a settings file: a table with these keys; the times in `http` are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphConfig {
    /// The server as people call it.
    #[serde(default = "default_name")]
    pub name: String,
    /// The directory: its id, or one of its domains.
    pub tenant: String,
    /// The application's id in that directory.
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// Instead of a secret: a certificate that is registered with the application, and its key; PEM files, or one with both.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Graph itself, with its version. National clouds have their own.
    #[serde(default = "default_url")]
    pub url: String,
    /// Where tokens come from.
    #[serde(default = "default_authority")]
    pub authority: String,
    /// What tokens are for; made of `url` if not given.
    pub scope: Option<String>,
    /// Rows in one page.
    #[serde(default = "default_page")]
    pub page: u16,
    /// The feed of changes covers this many days back and ahead; sweeps see the rest.
    #[serde(default = "default_past")]
    pub window_past_days: u32,
    #[serde(default = "default_future")]
    pub window_future_days: u32,
    /// How many days the window may fall behind before a new one is begun.
    #[serde(default = "default_roll")]
    pub window_roll_days: u32,
    /// Requests to one mailbox at once, and within ten minutes.
    #[serde(default = "default_requests")]
    pub mailbox_requests_max: u16,
    #[serde(default = "default_budget")]
    pub mailbox_budget: u32,
    /// IANA zone in which all-day appointments are written; the mailbox's own if not given.
    #[serde(default, deserialize_with = "zone")]
    pub all_day_zone: Option<Tz>,
    /// How Graph tells of changes; without it the mailboxes are polled.
    pub notifications: Option<Notifications>,
    /// Where the key of the appointment an item was created from is kept.
    #[serde(default = "NamedProperty::stamp")]
    pub stamp: NamedProperty,
    /// Exchange named properties carried as custom fields, by the field's name.
    #[serde(default)]
    pub fields: BTreeMap<String, NamedProperty>,
    #[serde(default)]
    pub http: HttpConfig,
}

/// Change notifications: Graph posts to a public address, which the operator's proxy leads to this host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// The public address, `https://bridge.example.com/graph/online`.
    pub url: String,
    /// Where the host itself listens, without TLS: `127.0.0.1:8071`, behind a proxy that has the certificate.
    pub listen: std::net::SocketAddr,
}

impl GraphConfig {
    /// Settings for a tenant with everything else at its default.
    pub fn new(tenant: impl Into<String>, client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            name: default_name(),
            tenant: tenant.into(),
            client_id: client_id.into(),
            client_secret: Some(client_secret),
            certificate_file: None,
            key_file: None,
            url: default_url(),
            authority: default_authority(),
            scope: None,
            page: default_page(),
            window_past_days: default_past(),
            window_future_days: default_future(),
            window_roll_days: default_roll(),
            mailbox_requests_max: default_requests(),
            mailbox_budget: default_budget(),
            all_day_zone: None,
            notifications: None,
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
        self.base()?;
        self.application()?.token_url()?;
        within("page", self.page.into(), 1, PAGE_MAX.into())?;
        within("window_past_days", self.window_past_days, 1, WINDOW_DAYS_MAX)?;
        within("window_future_days", self.window_future_days, 1, WINDOW_DAYS_MAX)?;
        within("window_roll_days", self.window_roll_days, 1, 365)?;
        if self.window_past_days + self.window_future_days >= WINDOW_DAYS_MAX {
            return Err(format!("window_future_days and window_past_days together must be below {WINDOW_DAYS_MAX}"));
        }
        within("mailbox_requests_max", self.mailbox_requests_max.into(), 1, REQUESTS_MAX.into())?;
        within("mailbox_budget", self.mailbox_budget, 100, BUDGET)?;
        if self.stamp.kind != PropertyKind::String {
            return Err("stamp must be of type String".to_owned());
        }
        self.stamp.check().map_err(|error| format!("stamp: {error}"))?;
        for (name, property) in &self.fields {
            property.check().map_err(|error| format!("fields.{name}: {error}"))?;
        }
        if let Some(notifications) = &self.notifications {
            let url = auth::safe_url("notifications.url", &notifications.url)?;
            if url.query().is_some() {
                return Err("notifications.url must have no query".to_owned());
            }
        }
        Ok(())
    }

    /// The address all requests begin with, without a slash at its end.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn base(&self) -> Result<Url, String> {
        let url = auth::safe_url("url", self.url.trim_end_matches('/'))?;
        if url.query().is_some() || url.path().trim_matches('/').is_empty() {
            return Err("url must end in the version, like https://graph.microsoft.com/v1.0".to_owned());
        }
        Ok(url)
    }

    /// Who signs in.
    ///
    /// # Errors
    /// A sentence that begins with the key.
    pub fn application(&self) -> Result<Application, String> {
        let scope = match &self.scope {
            Some(scope) => scope.clone(),
            None => format!("{}/.default", self.base()?.origin().ascii_serialization()),
        };
        Ok(Application {
            authority: self.authority.clone(),
            tenant: self.tenant.clone(),
            client_id: self.client_id.clone(),
            scope,
            proof: Proof::of(self.client_secret.as_ref(), self.certificate_file.as_deref(), self.key_file.as_deref())?,
        })
    }

    /// The window of the feed as seen today: whole days, half-open.
    pub fn window(&self, now: DateTime<Utc>) -> Window {
        let today = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        Window {
            from: today - TimeDelta::days(self.window_past_days.into()),
            to: today + TimeDelta::days(i64::from(self.window_future_days) + 1),
        }
    }
}

/// A span of time: from its start, up to and without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

impl Window {
    /// Whether something that lasts from `start` to before `end` takes up any of it; what lasts no time counts where it begins.
    pub fn touches(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        start < self.to && (end > self.from || start >= self.from)
    }
}

fn within(key: &str, value: u32, min: u32, max: u32) -> Result<(), String> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(format!("{key} must be from {min} to {max}, not {value}")) }
}

fn default_name() -> String {
    "Exchange Online".to_owned()
}

fn default_url() -> String {
    "https://graph.microsoft.com/v1.0".to_owned()
}

fn default_authority() -> String {
    auth::AUTHORITY.to_owned()
}

fn default_page() -> u16 {
    100
}

fn default_past() -> u32 {
    31
}

fn default_future() -> u32 {
    731
}

fn default_roll() -> u32 {
    7
}

fn default_requests() -> u16 {
    REQUESTS_MAX
}

fn default_budget() -> u32 {
    BUDGET
}

fn zone<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Tz>, D::Error> {
    let Some(name) = Option::<String>::deserialize(source)? else { return Ok(None) };
    name.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("{name} is not an IANA zone name")))
}
