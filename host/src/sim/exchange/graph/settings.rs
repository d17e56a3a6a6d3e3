//! What of the Graph face can be set while it runs: limits, tokens' life, and answers on which servers differ.
//!
//! `GET /_sim/graph` shows the settings, `POST` with some of them changes those.

use serde::{Deserialize, Serialize};

/// The application that may sign in.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// The directory's id.
    pub tenant: String,
    pub client_id: String,
    pub secret: String,
    /// Certificates (DER) whose keys may sign an assertion in the secret's place.
    pub certificates: Vec<Vec<u8>>,
}

impl Default for AppOptions {
    fn default() -> Self {
        Self {
            tenant: "7d1c8f4e-2a55-4c0b-9f0e-5b6f3a1d2e40".into(),
            client_id: "c2a9d5b0-6f37-4d18-8a57-0e94b1f6c733".into(),
            secret: "graph-demo-secret".into(),
            certificates: Vec::new(),
        }
    }
}

/// How a create is answered whose `transactionId` was used before. Sources name all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicate {
    /// 400 `ErrorDuplicateTransactionId`.
    BadRequest,
    /// 409 `ErrorDuplicateTransactionId`.
    Conflict,
    /// 201 with the event that exists.
    Existing,
}

/// How a delta token that is no longer good is answered [delta-query-overview].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// 410 with a `Location` that has an empty token.
    Gone,
    /// 400 `syncStateNotFound`.
    StateNotFound,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub token_lifetime_s: i64,
    /// Requests of the app to one mailbox at the same time; the real limit is 4.
    pub concurrent_max: Option<u32>,
    /// Requests of the app to one mailbox per window; the real limit is 10,000.
    pub requests_max: Option<u32>,
    /// The real window is 600.
    pub window_s: i64,
    /// How long each request takes, so that requests can overlap.
    pub latency_ms: u64,
    pub duplicate: Duplicate,
    /// Whether `ErrorDuplicateTransactionId` names the event in `@event.existingEventId`.
    pub duplicate_names_event: bool,
    /// The status of `ErrorIrresolvableConflict` on a stale If-Match: 412 or 409.
    pub conflict_status: u16,
    /// Events of a page where the client names no number.
    pub page_size: usize,
    /// Each page of a delta shows one of its rows twice.
    pub delta_repeats: bool,
    /// Rows of a delta page come in an order made from this seed.
    pub delta_shuffle: Option<u64>,
    /// A delta link goes so many changes back, so that they come again.
    pub delta_replay: u64,
    /// calendarView/delta shows the masters of series, too.
    pub delta_masters: bool,
    pub delta_reset: Reset,
    /// A PATCH that names what people meet by mails even if it changes nothing. (inferred: sources do not say)
    pub mails_unchanged: bool,
    /// An event in Deleted Items is found by its id. (inferred: sources do not say)
    pub deleted_found: bool,
    /// Addresses of mailboxes that the app is kept from by policy.
    pub denied: Vec<String>,
    /// What clients reach this server by: `https` where something in front of it speaks TLS.
    pub scheme: String,
    /// The shortest delay before a notification is sent again, doubling up to a minute.
    pub notify_retry_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime_s: 3_599,
            concurrent_max: None,
            requests_max: None,
            window_s: 600,
            latency_ms: 0,
            duplicate: Duplicate::Conflict,
            duplicate_names_event: false,
            conflict_status: 412,
            page_size: 10,
            delta_repeats: false,
            delta_shuffle: None,
            delta_replay: 0,
            delta_masters: false,
            delta_reset: Reset::Gone,
            mails_unchanged: false,
            deleted_found: false,
            denied: Vec::new(),
            scheme: "http".into(),
            notify_retry_ms: 1_000,
        }
    }
}

impl Settings {
    /// These settings with some of them changed. The error says what is wrong with the change.
    pub fn changed(&self, change: serde_json::Map<String, serde_json::Value>) -> Result<Self, String> {
        let mut all = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Some(all) = all.as_object_mut() {
            all.extend(change);
        }
        let settings: Self = serde_json::from_value(all).map_err(|error| error.to_string())?;
        if !matches!(settings.conflict_status, 409 | 412) || settings.page_size == 0 || settings.window_s < 1 {
            return Err("conflict_status is 409 or 412, page_size and window_s at least 1".into());
        }
        Ok(settings)
    }
}
