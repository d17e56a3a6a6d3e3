//! GetStreamingEvents over HTTP: one answer that goes on as a run of complete envelopes.
//!
//! Promises: the stream ends with a `Closed` envelope when its time is up or the server stops, and is cut when the
//! server goes down. Must not know: what events mean.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::Call;
use super::error::ExchangeError;
use super::xml::{self};
use super::{Server, fault_answer, notify, parts, xml_answer};

/// How often a quiet stream says that it is alive, below the idle limits of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A stream between two envelopes.
struct Open {
    server: Server,
    ids: Vec<String>,
    deadline: Instant,
    events: watch::Receiver<u64>,
    state: State,
}

enum State {
    Opening,
    Running,
    Closed,
}

/// Answers a GetStreamingEvents request.
pub fn open(server: &Server, account: usize, text: &str) -> Response {
    match begin(server, account, text) {
        Ok(open) => {
            let envelopes = futures::stream::unfold(open, next);
            let mut answer = Response::new(Body::from_stream(envelopes));
            let kind = HeaderValue::from_static("text/xml; charset=utf-8");
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
            answer
        }
        Err(error) if error.code == "ErrorInvalidSubscription" => {
            xml_answer(StatusCode::OK, notify::stream_refused(&error))
        }
        Err(error) => fault_answer(&error),
    }
}

fn begin(server: &Server, account: usize, text: &str) -> Result<Open, ExchangeError> {
    let document = xml::read(text)?;
    let (header, request) = parts(document.root_element())?;
    let mut world = server.world();
    let events = world.last_event.subscribe();
    let call = Call::new(&mut world, account, header)?;
    let (ids, lasts) = notify::stream_request(&call, request)?;
    Ok(Open { server: server.clone(), ids, deadline: Instant::now() + lasts, events, state: State::Opening })
}

async fn next(mut open: Open) -> Option<(Result<Bytes, std::io::Error>, Open)> {
    match open.state {
        State::Closed => return None,
        State::Opening => {
            open.state = State::Running;
            return Some((Ok(notify::stream_status("OK").into()), open));
        }
        State::Running => {}
    }
    let quiet_until = Instant::now() + KEEP_ALIVE;
    loop {
        // Marked before the look, so that an event between look and wait wakes us.
        open.events.borrow_and_update();
        let news = notify::stream_events(&mut open.server.world(), &open.ids);
        match news {
            Ok(Some(envelope)) => return Some((Ok(envelope.into()), open)),
            Ok(None) => {}
            Err(_) => return Some(close(open)),
        }
        tokio::select! {
            changed = open.events.changed() => if changed.is_err() { return Some(close(open)) },
            () = open.server.faults.gone_down() => {
                open.state = State::Closed;
                return Some((Err(std::io::Error::other("the server went down")), open));
            }
            () = open.server.stopping.cancelled() => return Some(close(open)),
            () = tokio::time::sleep_until(open.deadline) => return Some(close(open)),
            () = tokio::time::sleep_until(quiet_until) => {
                let envelope = notify::stream_keep_alive(&open.ids);
                return Some((Ok(envelope.into()), open));
            }
        }
    }
}

fn close(mut open: Open) -> (Result<Bytes, std::io::Error>, Open) {
    open.state = State::Closed;
    (Ok(notify::stream_status("Closed").into()), open)
}
