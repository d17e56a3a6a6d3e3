//! What an answer, or its absence, means: the problem behind a status and behind a broken connection.
//!
//! Promises: no text made here holds a secret, a query or a body. Must not know: how requests are sent.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use chrono::DateTime;
use reqwest::{StatusCode, Url};

use super::{HeaderMap, HttpError, RETRY_AFTER_MAX};
use crate::connector::Problem;

/// What a status means, or nothing for 2xx. Status codes: RFC 9110; 429: RFC 6585; 507: RFC 4918.
pub fn problem_of(status: StatusCode, headers: &HeaderMap) -> Option<Problem> {
    let after = retry_after(headers);
    Some(match status.as_u16() {
        200..=299 => return None,
        401 | 407 => Problem::SignIn,
        403 => Problem::Forbidden,
        404 | 410 => Problem::NotFound,
        408 => Problem::Unreachable { after },
        409 | 412 => Problem::Stale,
        429 => Problem::Throttled { after },
        400..=499 => Problem::Refused,
        507 => Problem::Full,
        500..=599 => Problem::Unreachable { after },
        _ => Problem::Malformed,
    })
}

/// The server's `Retry-After`: seconds, or a date. A date is measured against the same answer's `Date`, so that two
/// machines' clocks are never compared; without a `Date` it is not understood.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        // Whole seconds by the standard; some servers send fractions.
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => {
            Duration::try_from_secs_f64(seconds).unwrap_or(RETRY_AFTER_MAX)
        }
        Ok(_) => return None,
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(text).ok()?;
            let now = DateTime::parse_from_rfc2822(headers.get(reqwest::header::DATE)?.to_str().ok()?).ok()?;
            (until - now).to_std().unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Scheme, host, port and path: what of an address may be printed.
pub(super) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

pub(super) fn silent(place: &str, limit: Duration) -> HttpError {
    HttpError::new(Problem::Unreachable { after: None }, format!("no answer from {place} within {limit:?}"))
}

pub(super) fn too_long(place: &str, limit: u64) -> HttpError {
    HttpError::new(Problem::Malformed, format!("the answer of {place} is longer than {limit} bytes"))
}

pub(super) fn redirected(place: &str, response: &reqwest::Response) -> HttpError {
    let target = response
        .headers()
        .get(reqwest::header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| response.url().join(text).ok());
    let to = target.as_ref().map_or_else(|| "elsewhere".to_owned(), |url| url.origin().ascii_serialization());
    let message = format!(
        "{place} answered {} and points to {to}; redirects are not followed, set the final address",
        response.status()
    );
    HttpError { elsewhere: target, ..HttpError::new(Problem::Malformed, message) }
}

pub(super) fn transport(place: &str, error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let (problem, message) =
        if caused(&error, |cause| matches!(cause, Cause::Tls(rustls::Error::InvalidCertificate(_)))) {
            (Problem::Certificate, format!("the certificate of {place} is not trusted"))
        } else if error.is_builder() {
            (Problem::Refused, format!("the request to {place} cannot be made"))
        } else if error.is_connect() {
            (Problem::Unreachable { after: None }, format!("cannot connect to {place}"))
        } else if caused(&error, |cause| matches!(cause, Cause::Io(ErrorKind::InvalidData | ErrorKind::InvalidInput))) {
            // Packed or chunked wrongly. That the answer ended too early is the connection's fault, not the server's words.
            (Problem::Malformed, format!("the answer of {place} cannot be unpacked"))
        } else {
            (Problem::Unreachable { after: None }, format!("the connection to {place} broke"))
        };
    HttpError::new(problem, message).caused_by(error)
}

/// A cause of a failed request that decides what it means.
enum Cause<'a> {
    Tls(&'a rustls::Error),
    Io(ErrorKind),
}

/// Whether any cause of the error fits. `io::Error` hides its inner error from `source`, hence `get_ref`.
fn caused(error: &reqwest::Error, fits: impl Fn(Cause<'_>) -> bool) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<std::io::Error>();
        let cause = error.downcast_ref().map(Cause::Tls).or_else(|| io.map(|io| Cause::Io(io.kind())));
        if cause.is_some_and(&fits) {
            return true;
        }
        next = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}
