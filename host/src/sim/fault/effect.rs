//! What can become of an answer on its way: broken off, stalled, of the wrong kind, a bomb.
//!
//! Must not know: any protocol, which fault asked for it.

use std::io::Write;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::watch;

/// What a bomb unpacks to: far more than any client should read, in some sixty kilobytes.
const BOMB_BYTES: usize = 64 * 1024 * 1024;
const BOMB_PART: &[u8] = &[b' '; 64 * 1024];

/// An answer that makes the HTTP server close the connection before the first byte: its body fails at once, and the head
/// is only sent together with the start of the body.
pub fn cut() -> Response {
    let broken = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("connection cut on request")) });
    Response::new(Body::from_stream(broken))
}

/// A bare HTTP status, with `Retry-After` in seconds if given.
pub fn status(status: StatusCode, retry_after_s: Option<u64>) -> Response {
    let mut answer = status.into_response();
    if let Some(seconds) = retry_after_s {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Sends the client elsewhere, to ask the same again there.
pub fn redirect(location: &str) -> Response {
    let mut answer = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

/// The same answer, broken off after half of its bytes but complete as HTTP. A streamed answer becomes empty.
pub async fn malformed(answer: Response) -> Response {
    let (mut parts, whole) = taken(answer).await;
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
}

/// The same answer, whose second half never comes: until the faults are cleared, when the connection is cut.
pub async fn stalled(answer: Response, mut cleared: watch::Receiver<u64>) -> Response {
    let (parts, whole) = taken(answer).await;
    let half = whole.slice(..whole.len() / 2);
    let first = futures::stream::once(async move { Ok::<_, std::io::Error>(half) });
    let never = futures::stream::once(async move {
        // An error means that no one is left who could clear the faults.
        let _ = cleared.changed().await;
        Err(std::io::Error::other("stalled on request"))
    });
    Response::from_parts(parts, Body::from_stream(futures::StreamExt::chain(first, never)))
}

/// A page for people under the answer's status, as a proxy or a sign-in page would send.
pub fn of_wrong_type(answer: Response) -> Response {
    let page = "<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>";
    let mut wrong = (answer.status(), page).into_response();
    wrong.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    wrong
}

/// The answer's head with a small body that unpacks to a huge one.
pub async fn bomb(answer: Response) -> Response {
    let (mut parts, _) = taken(answer).await;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    for _ in 0..BOMB_BYTES / BOMB_PART.len() {
        let _ = packed.write_all(BOMB_PART);
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Response::from_parts(parts, Body::from(packed.finish().unwrap_or_default()))
}

async fn taken(answer: Response) -> (axum::http::response::Parts, Bytes) {
    let (parts, body) = answer.into_parts();
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let whole = axum::body::to_bytes(body, length).await.unwrap_or_default();
    (parts, whole)
}
