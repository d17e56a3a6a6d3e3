//! What the operator writes about the CRM: the table `[crm]` of the settings file.
//!
//! Promises: every setting that differs between installations is here and has its usual value as default, but the zone: a
//! wrong one would move every appointment, so it must be named. Must not know: how requests look.

use chrono_tz::Tz;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::wall::DateFormat;
use crate::connector::http::{HttpConfig, Secret, Url};

/// Fewer rows a page would make paging itself the work.
const PAGE_SIZE_MIN: u32 = 10;
/// The largest page seen to work on a live server.
const PAGE_SIZE_MAX: u32 = 1000;
/// An overlap beyond a day is a sweep.
const OVERLAP_MAX_S: u32 = 24 * 60 * 60;

/// One Sage CRM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SageConfig {
    /// What people call this server.
    #[serde(default = "name")]
    pub name: String,
    /// Base of the REST service up to and with `/-/`, or only the server (`https://crm.example.test`): then `install` and
    /// `contract` make the rest.
    pub url: String,
    /// Name of the installation, as in `https://server/NAME/eware.dll`.
    #[serde(default = "install")]
    pub install: String,
    /// Contract segment of the address.
    #[serde(default = "contract")]
    pub contract: String,
    /// A CRM user who may log on and may read and edit communications.
    pub login: String,
    pub password: Secret,
    /// IANA name of the zone the CRM server's wall times are in.
    #[serde(deserialize_with = "zone")]
    pub time_zone: Tz,
    #[serde(default)]
    pub date_format: DateFormat,
    /// How exact a date in a query may be.
    #[serde(default)]
    pub query_dates: QueryDates,
    /// Ask for rows in order (`orderBy`, from release 2024 R2); switch off for a server that refuses it.
    #[serde(default = "sort")]
    pub sort: bool,
    /// Verb of a partial update.
    #[serde(default)]
    pub update_verb: UpdateVerb,
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Each poll looks again at the rows of the last so many seconds before the newest update stamp, by the server's own
    /// stamps: a row may become visible later than its stamp says.
    #[serde(default = "overlap_s")]
    pub overlap_s: u32,
    /// `Comm_Type` of the rows that take part.
    #[serde(default = "comm_type", rename = "type")]
    pub comm_type: String,
    /// `Comm_Action` codes that take part; empty means all.
    #[serde(default)]
    pub actions: Vec<String>,
    /// Column that keeps the key of an appointment that was born in Exchange.
    #[serde(default = "stamp_column")]
    pub stamp_column: String,
    /// Give the communications made for one series of Exchange a common `Comm_RecurrenceId`, below zero. What the CRM's
    /// own pages make of such a number is not documented; switch it off if they stumble.
    #[serde(default = "mark_series")]
    pub mark_series: bool,
    /// Column for the text of the attendees' answers, if the CRM has one.
    #[serde(default)]
    pub responses_column: Option<String>,
    /// Further columns of Communication that rules see as custom fields.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What removing an appointment means here.
    #[serde(default)]
    pub delete: Removal,
    /// `Comm_Action` of new rows.
    #[serde(default = "action")]
    pub default_action: String,
    /// `Comm_Status` of new rows that are neither under way, complete nor cancelled.
    #[serde(default = "status")]
    pub default_status: String,
    /// `Comm_ChannelId` of new rows; without it the organizer's primary team.
    #[serde(default)]
    pub default_channel: Option<i64>,
    /// `Comm_SecTerr` of new rows; without it the organizer's primary territory.
    #[serde(default)]
    pub default_territory: Option<i64>,
    #[serde(default)]
    pub http: HttpConfig,
}

/// How exact a date in a query may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryDates {
    /// `@2027-02-01T08:15:30@`
    #[default]
    Second,
    /// `@2027-02-01@`, for servers that understand days only: each poll then reads the day's changes again, and tells the
    /// new ones.
    Day,
}

/// Verb of a partial update: SData 2.0 says PATCH, Sage's own client uses PUT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateVerb {
    #[default]
    Patch,
    Put,
}

/// What removing an appointment means in the CRM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Removal {
    /// `Comm_Status` becomes `Cancelled`; the history of the customer keeps the row.
    #[default]
    Cancel,
    /// The row is deleted.
    Delete,
}

/// A setting that cannot work.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("crm.{setting}: {reason}")]
pub struct BadSetting {
    pub setting: &'static str,
    pub reason: String,
}

impl SageConfig {
    /// The settings of a server at that address, all else at its default.
    pub fn new(url: impl Into<String>, login: impl Into<String>, password: Secret, time_zone: Tz) -> Self {
        Self {
            name: name(),
            url: url.into(),
            install: install(),
            contract: contract(),
            login: login.into(),
            password,
            time_zone,
            date_format: DateFormat::default(),
            query_dates: QueryDates::default(),
            sort: sort(),
            update_verb: UpdateVerb::default(),
            page_size: page_size(),
            overlap_s: overlap_s(),
            comm_type: comm_type(),
            actions: Vec::new(),
            stamp_column: stamp_column(),
            mark_series: mark_series(),
            responses_column: None,
            columns: Vec::new(),
            delete: Removal::default(),
            default_action: action(),
            default_status: status(),
            default_channel: None,
            default_territory: None,
            http: HttpConfig::default(),
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn check(&self) -> Result<(), BadSetting> {
        self.base()?;
        let bad = |setting, reason: String| Err(BadSetting { setting, reason });
        if self.login.is_empty() {
            return bad("login", "is empty; name a CRM user who may log on".into());
        }
        if !(PAGE_SIZE_MIN..=PAGE_SIZE_MAX).contains(&self.page_size) {
            return bad("page_size", format!("must be {PAGE_SIZE_MIN} to {PAGE_SIZE_MAX}"));
        }
        if self.overlap_s > OVERLAP_MAX_S {
            return bad("overlap_s", format!("must be at most {OVERLAP_MAX_S}"));
        }
        let columns = [Some(&self.stamp_column), self.responses_column.as_ref()].into_iter().flatten();
        for column in columns.chain(&self.columns) {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if column.is_empty() || !column.chars().all(plain) {
                return bad("columns", format!("{column:?} is no column name"));
            }
        }
        Ok(())
    }

    /// The REST base, ending in `/-/`.
    ///
    /// # Errors
    /// [`BadSetting`] if `url` is no http(s) address.
    pub fn base(&self) -> Result<Url, BadSetting> {
        let bad = |reason: &str| BadSetting { setting: "url", reason: reason.to_owned() };
        let given = self.url.trim().trim_end_matches('/');
        let text = if given.ends_with("/-") {
            format!("{given}/")
        } else {
            format!("{given}/sdata/{}j/{}/-/", self.install, self.contract)
        };
        let url = Url::parse(&text)
            .map_err(|_| bad("is no address; write https://server or the whole REST base up to /-/"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("must begin with http:// or https:// and name a server"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("must not hold a user or password; set login and password"));
        }
        Ok(url)
    }

    /// Whether a communication of that type and action takes part.
    pub fn takes(&self, comm_type: &str, action: &str) -> bool {
        comm_type.eq_ignore_ascii_case(&self.comm_type)
            && (self.actions.is_empty() || self.actions.iter().any(|one| one.eq_ignore_ascii_case(action)))
    }
}

fn zone<'de, D: Deserializer<'de>>(source: D) -> Result<Tz, D::Error> {
    let name = String::deserialize(source)?;
    name.parse().map_err(|_| D::Error::custom(format!("{name:?} is no IANA zone name (such as Europe/Berlin)")))
}

fn name() -> String {
    "Sage CRM".into()
}
fn install() -> String {
    "crm".into()
}
fn contract() -> String {
    "sagecrm2".into()
}
fn sort() -> bool {
    true
}
fn page_size() -> u32 {
    200
}
fn overlap_s() -> u32 {
    120
}
fn comm_type() -> String {
    "Appointment".into()
}
fn stamp_column() -> String {
    "Comm_MeetingId".into()
}
fn mark_series() -> bool {
    true
}
fn action() -> String {
    "Meeting".into()
}
fn status() -> String {
    "Pending".into()
}
