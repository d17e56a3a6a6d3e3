//! `$batch`: up to twenty requests in one [json-batching].
//!
//! Each part counts against the limits by itself, is hit by faults by itself, and may be refused by itself. A part whose
//! connection a fault would cut is answered 504, for inside a batch there is no connection of its own.
//!
//! Promises: a part begins only when those it depends on ended well; at most four run at the same time.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Refused};
use super::request::Request;
use super::{Outcome, run as run_one};
use crate::clock::Clock;
use crate::sim::exchange::Server;

/// The path segment.
pub const SEGMENT: &str = "$batch";
const PARTS_MAX: usize = 20;
/// Parts that run at the same time [throttling-limits].
const PARALLEL_MAX: usize = 4;

struct Part {
    id: String,
    request: Result<Request, Refused>,
    depends_on: Vec<String>,
}

pub async fn run(server: &Server, request: &Request, id: &str, client_id: &str) -> Answer {
    let parts = match read(request) {
        Ok(parts) => parts,
        Err(refused) => return refused.answer(id, client_id, server.clock.now()),
    };
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut waiting = parts;
    while !waiting.is_empty() {
        let (mut ready, later): (Vec<Part>, Vec<Part>) =
            waiting.into_iter().partition(|part| part.depends_on.iter().all(|other| answers.contains_key(other)));
        // Dependencies go backwards only, so something is always ready.
        waiting = later;
        if ready.len() > PARALLEL_MAX {
            waiting.splice(0..0, ready.split_off(PARALLEL_MAX));
        }
        let ran = ready.iter().map(|part| async {
            let failed = |other: &String| answers.get(other).is_none_or(|answer| !answer.status.is_success());
            let refuse = |refused: Refused| refused.answer(id, client_id, server.clock.now());
            match &part.request {
                _ if part.depends_on.iter().any(failed) => {
                    let text = "The request was not carried out, as one that it depends on failed.";
                    refuse(Refused::new(StatusCode::FAILED_DEPENDENCY, "FailedDependency", text))
                }
                Err(refused) => refuse(refused.clone()),
                Ok(request) => match run_one(server, request, id, client_id).await {
                    Outcome::Answered(answer, ..) => answer,
                    Outcome::Cut => {
                        let text = "The part was not answered.";
                        refuse(Refused::new(StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout", text))
                    }
                },
            }
        });
        let ran = futures::future::join_all(ran).await;
        for (part, answer) in ready.into_iter().zip(ran) {
            order.push(part.id.clone());
            answers.insert(part.id, answer);
        }
    }
    let shown = order.into_iter().filter_map(|id| answers.get(&id).map(|answer| show(&id, answer)));
    Answer::ok(json!({ "responses": shown.collect::<Vec<_>>() }))
}

fn show(id: &str, answer: &Answer) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), id.into());
    shown.insert("status".into(), answer.status.as_u16().into());
    shown.insert("headers".into(), answer.header_map().into());
    if let Some(body) = &answer.body {
        shown.insert("body".into(), body.clone());
    }
    shown.into()
}

fn read(request: &Request) -> Result<Vec<Part>, Refused> {
    if request.method != Method::POST {
        let text = "Specified HTTP method is not allowed.";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", text));
    }
    let body = request.json()?;
    let list = body.get("requests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let wrong = |why: String| Refused::bad("BadRequest", format!("Invalid batch payload format: {why}."));
    if list.is_empty() || list.len() > PARTS_MAX {
        return Err(wrong(format!("a batch has 1 to {PARTS_MAX} requests, not {}", list.len())));
    }
    let mut parts: Vec<Part> = Vec::new();
    for given in list {
        let text = |name: &str| given.get(name).and_then(Value::as_str);
        let id = text("id").ok_or_else(|| wrong("a request has no id".into()))?.to_owned();
        let known = |id: &str| parts.iter().any(|part| part.id == id);
        if known(&id) {
            return Err(wrong(format!("the id '{id}' is used twice")));
        }
        let depends_on: Vec<String> = given
            .get("dependsOn")
            .and_then(Value::as_array)
            .map(|ids| ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        if let Some(unknown) = depends_on.iter().find(|id| !known(id)) {
            return Err(wrong(format!("'{id}' depends on '{unknown}', which is not before it")));
        }
        let method = text("method").and_then(|name| Method::from_bytes(name.to_ascii_uppercase().as_bytes()).ok());
        let method = method.ok_or_else(|| wrong(format!("the request '{id}' has no method")))?;
        let url = text("url").ok_or_else(|| wrong(format!("the request '{id}' has no url")))?;
        parts.push(Part { request: part(request, method, url, given), id, depends_on });
    }
    Ok(parts)
}

/// One part as a request of its own.
fn part(outer: &Request, method: Method, url: &str, given: &Value) -> Result<Request, Refused> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let pair = (HeaderName::from_bytes(name.as_bytes()), value.as_str().map(HeaderValue::from_str));
        let (Ok(name), Some(Ok(value))) = pair else {
            return Err(Refused::bad("BadRequest", format!("The header '{name}' cannot be read.")));
        };
        headers.append(name, value);
    }
    let body = match given.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(body) if headers.contains_key(header::CONTENT_TYPE) => serde_json::to_vec(body).unwrap_or_default(),
        Some(_) => {
            let text = "Write request does not contain Content-Type header or body.";
            return Err(Refused::bad("BadRequest", text));
        }
    };
    let target = url.strip_prefix(&outer.base).unwrap_or(url);
    let target = target.strip_prefix(super::ROOT).unwrap_or(target);
    let request = Request::new(method, target, headers, body, outer.base.clone());
    if request.path.first().is_some_and(|first| first == SEGMENT) {
        return Err(Refused::bad("BadRequest", "A batch cannot hold another batch."));
    }
    Ok(request)
}
