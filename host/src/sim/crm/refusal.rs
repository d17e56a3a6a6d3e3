//! Why a request is refused, as the `$diagnoses` body of SData 2.0.
//!
//! Promises: every refusal of the REST API goes through this shape. Must not know: rows.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refused request: HTTP status, SData code, words for a person.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: StatusCode,
    /// One of the SData codes, for example `BadWhereSyntax`.
    pub code: String,
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// The `where` condition is not understood.
    pub fn bad_where(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadWhereSyntax", message)
    }

    /// The address is not understood.
    pub fn bad_url(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadUrlSyntax", message)
    }

    /// The data cannot be stored.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ApplicationDiagnosis", message)
    }

    pub fn no_column(entity: &str, name: &str) -> Self {
        Self::bad_data(format!("{entity} has no column {name}"))
    }

    pub fn no_entity(name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceKindNotFound", format!("there is no entity {name}"))
    }

    pub fn no_record(entity: &str, key: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "RecordNotFound", format!("{entity} has no record {key}"))
    }

    /// The sign-in is missing or refused. Sage CRM names no scheme in `WWW-Authenticate`.
    pub fn sign_in(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AccessDenied", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"$diagnoses": [{
            "$severity": if self.status.is_server_error() { "transient" } else { "error" },
            "$sdataCode": self.code,
            "$message": self.message,
        }]});
        (self.status, Json(body)).into_response()
    }
}
