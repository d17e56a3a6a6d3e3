//! Answers of the Graph face, and its form of errors.
//!
//! Promises: every answer carries `request-id`, and echoes `client-request-id`. Must not know: the store.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::sim::exchange::error::ExchangeError;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Option<Value>,
}

impl Answer {
    pub fn json(status: StatusCode, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    pub fn ok(body: Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A status without a body: 202, 204.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }

    pub fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The headers as a batch shows them.
    pub fn header_map(&self) -> Map<String, Value> {
        let mut map: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (canonical(name), Value::String(value.clone()))).collect();
        if self.body.is_some() {
            map.insert("Content-Type".into(), JSON_TYPE.into());
        }
        map
    }
}

const JSON_TYPE: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// `Retry-After` rather than `retry-after`: inside a batch names are JSON, where case counts.
fn canonical(name: &HeaderName) -> String {
    let mut text = String::new();
    let mut up = true;
    for character in name.as_str().chars() {
        text.push(if up { character.to_ascii_uppercase() } else { character });
        up = character == '-';
    }
    text
}

/// Why a request is not carried out.
#[derive(Clone, Debug)]
pub struct Refused {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    pub headers: Vec<(HeaderName, String)>,
    /// Further members of `error`.
    pub more: Map<String, Value>,
}

impl Refused {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), headers: Vec::new(), more: Map::new() }
    }

    pub fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A property's value that does not fit.
    pub fn property(message: impl Into<String>) -> Self {
        Self::bad("ErrorPropertyValidationFailure", message)
    }

    pub fn with(mut self, name: HeaderName, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A code alone, with the status and text that go with it.
    pub fn of_code(code: &str) -> Self {
        Self::new(status_of(code), code, "Failed on request.")
    }

    pub fn answer(self, request_id: &str, client_request_id: &str, now: DateTime<Utc>) -> Answer {
        let inner = json!({
            "date": now.format("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": request_id,
            "client-request-id": client_request_id,
        });
        let mut error = Map::new();
        error.insert("code".into(), self.code.into());
        error.insert("message".into(), self.message.into());
        error.extend(self.more);
        error.insert("innerError".into(), inner);
        Answer { status: self.status, headers: self.headers, body: Some(json!({ "error": error })) }
    }
}

impl From<ExchangeError> for Refused {
    fn from(error: ExchangeError) -> Self {
        match error.code.as_str() {
            "ErrorSchemaValidation" => Self::property(error.text),
            "ErrorTimeZone" => Self::property("At least one property failed validation."),
            code => Self::new(status_of(code), code, error.text),
        }
    }
}

/// The status that goes with a code; where sources name several, the one most of them name.
fn status_of(code: &str) -> StatusCode {
    match code {
        "InvalidAuthenticationToken" | "unauthenticated" => StatusCode::UNAUTHORIZED,
        "ErrorAccessDenied" | "Authorization_RequestDenied" | "accessDenied" => StatusCode::FORBIDDEN,
        "ErrorItemNotFound"
        | "ErrorFolderNotFound"
        | "ErrorInvalidUser"
        | "MailboxNotEnabledForRESTAPI"
        | "ResourceNotFound"
        | "Request_ResourceNotFound"
        | "ErrorNonExistentMailbox" => StatusCode::NOT_FOUND,
        "ErrorIrresolvableConflict" => StatusCode::PRECONDITION_FAILED,
        "syncStateNotFound" | "SyncStateNotFound" | "resyncRequired" | "syncStateInvalid" => StatusCode::GONE,
        "TooManyRequests" | "ApplicationThrottled" => StatusCode::TOO_MANY_REQUESTS,
        "ErrorQuotaExceeded" => StatusCode::INSUFFICIENT_STORAGE,
        "ErrorInternalServerError" | "InternalServerError" | "generalException" => StatusCode::INTERNAL_SERVER_ERROR,
        "ErrorMailboxStoreUnavailable" | "serviceNotAvailable" | "ErrorServerBusy" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Writes an answer with the headers that every answer has.
pub fn respond(answer: Answer, request_id: &str, client_request_id: &str) -> Response {
    let mut response = Response::new(match &answer.body {
        Some(body) => Body::from(body.to_string()),
        None => Body::empty(),
    });
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    if answer.body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON_TYPE));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    let ids = [("request-id", request_id), ("client-request-id", client_request_id)];
    let ids = ids.map(|(name, value)| (HeaderName::from_static(name), value.to_owned()));
    for (name, value) in ids.into_iter().chain(answer.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
