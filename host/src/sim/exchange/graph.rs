//! The Microsoft Graph face: users, calendars, events and their deltas, over the same mailboxes as EWS.
//!
//! It answers as the documentation of v1.0 says; where sources leave a choice, [`settings`] has a switch. Each request is
//! an operation by the names below, so that faults hit it as they hit those of EWS: `Graph.CreateEvent`, or `Graph.*`.
//!
//! Promises: a request is counted against its mailbox's limits before anything else is done; no mailbox is reached
//! without a token that is good. Must not know: XML; what happens in a calendar is done by the shared layer.

mod answer;
mod batch;
mod delta;
mod event;
mod events;
mod filter;
mod query;
mod read;
mod recurrence;
mod request;
mod route;
pub mod settings;
mod subscriptions;
mod throttle;
mod token;
mod translate;
mod users;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use self::answer::{Answer, Refused};
use self::events::Scene;
use self::request::Request;
use self::route::Route;
use self::settings::{AppOptions, Settings};
use self::subscriptions::{Farewells, Lifecycle, Subscriptions};
use self::throttle::{Pass, Uses};
use super::budget::LATENCY_MAX;
use super::{Role, Server};
use crate::clock::Clock;
use crate::sim::fault::{self, Refusal, Step};

/// The path of the root.
pub const ROOT: &str = "/v1.0";
/// The largest request Graph takes.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the Graph face keeps beside the mailboxes. Clones share it.
#[derive(Clone, Debug)]
pub struct Face {
    state: Arc<Mutex<State>>,
    /// Changes when there may be something to tell subscribers.
    asked: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    app: AppOptions,
    settings: Settings,
    /// When each token expires.
    tokens: BTreeMap<String, DateTime<Utc>>,
    uses: Uses,
    /// Requests refused by a limit.
    throttled: u64,
    /// Delta tokens of an earlier epoch are no longer good.
    delta_epoch: u64,
    salt: String,
    minted: u64,
    subscriptions: Subscriptions,
    farewells: Farewells,
    /// Posts to subscribers that were taken.
    notified: u64,
}

/// Whether a request carries a token that is good now.
pub fn is_token_good(face: &Face, headers: &HeaderMap, now: DateTime<Utc>) -> bool {
    token::check(face, headers, now).is_ok()
}

impl Face {
    pub fn new(app: AppOptions, clock: &dyn Clock) -> Self {
        let salt = format!("{}/{}", clock.now().timestamp_micros(), clock.chance());
        let state = State {
            app,
            settings: Settings::default(),
            tokens: BTreeMap::new(),
            uses: Uses::new(),
            throttled: 0,
            delta_epoch: 0,
            salt,
            minted: 0,
            subscriptions: Subscriptions::new(),
            farewells: Farewells::default(),
            notified: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), asked: watch::Sender::new(0) }
    }

    pub fn app(&self) -> AppOptions {
        self.state().app.clone()
    }

    pub fn trust_certificate(&self, der: Vec<u8>) {
        self.state().app.certificates.push(der);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    fn settings(&self) -> Settings {
        self.state().settings.clone()
    }

    /// An id that no other request of this run has.
    fn request_id(&self) -> String {
        let mut state = self.state();
        state.minted += 1;
        Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}/{}", state.salt, state.minted).as_bytes()).to_string()
    }
}

/// The protocol's routes.
pub fn routes() -> Router<Server> {
    Router::new()
        .route("/v1.0/{*path}", any(serve))
        .route("/{tenant}/oauth2/v2.0/token", post(issue_token))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(openid))
        .route("/common/discovery/instance", get(instances))
}

/// `/_sim/graph` and what is below it.
pub fn control_routes() -> Router<Server> {
    Router::new()
        .route("/_sim/graph", get(show_settings).post(change_settings))
        .route("/_sim/graph/tokens", axum::routing::delete(revoke_tokens))
        .route("/_sim/graph/delta", axum::routing::delete(forget_deltas))
        .route("/_sim/graph/certificates", post(trust))
        .route("/_sim/graph/lifecycle", post(tell_lifecycle))
}

async fn openid(Shared(server): Shared<Server>, Path(tenant): Path<String>, headers: HeaderMap) -> Json<Value> {
    Json(token::openid(&origin(&server, &headers), &tenant))
}

async fn instances(Shared(server): Shared<Server>, headers: HeaderMap) -> Json<Value> {
    Json(token::instances(&origin(&server, &headers), &server.face.app().tenant))
}

async fn issue_token(
    Shared(server): Shared<Server>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let endpoint = format!("{}/{tenant}/oauth2/v2.0/token", origin(&server, &headers));
    let id = server.face.request_id();
    match server.faults.before("Graph.Token", &[]).await {
        Step::Cut => fault::cut(),
        Step::Redirect(location) => fault::redirect(&location),
        Step::Refuse(refusal) => answer::respond(refused_on_demand(&server, refusal, &id, &id), &id, &id),
        Step::Run(after) => {
            let answer = token::issue(&server.face, &tenant, &endpoint, &body, server.clock.now());
            server.faults.after(after, answer::respond(answer, &id, &id)).await
        }
    }
}

/// Where the client finds this server.
fn origin(server: &Server, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let scheme = server.face.settings().scheme;
    host.map_or_else(|| format!("{scheme}://{}", server.address), |host| format!("{scheme}://{host}"))
}

async fn serve(Shared(server): Shared<Server>, request: HttpRequest<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map(|target| target.as_str()).unwrap_or_default();
    let target = target.strip_prefix(ROOT).unwrap_or(target).to_owned();
    let base = format!("{}{ROOT}", origin(&server, &parts.headers));
    let id = server.face.request_id();
    let client_id = parts.headers.get("client-request-id").and_then(|id| id.to_str().ok()).unwrap_or(&id).to_owned();
    let Ok(body) = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = Request::new(parts.method, &target, parts.headers, body.to_vec(), base);
    if let Err(refused) = token::check(&server.face, &request.headers, server.clock.now()) {
        return answer::respond(refused.answer(&id, &client_id, server.clock.now()), &id, &client_id);
    }
    if request.path == [batch::SEGMENT] {
        let answer = batch::run(&server, &request, &id, &client_id).await;
        return answer::respond(answer, &id, &client_id);
    }
    match run(&server, &request, &id, &client_id).await {
        Outcome::Answered(answer, after, _pass) => {
            server.faults.after(after, answer::respond(answer, &id, &client_id)).await
        }
        Outcome::Cut => fault::cut(),
    }
}

/// What became of a request.
enum Outcome {
    /// The request is under way until the pass, too, is gone.
    Answered(Answer, fault::After, Option<Pass>),
    Cut,
}

/// Carries a request out, unless a limit or a fault is in the way.
async fn run(server: &Server, request: &Request, id: &str, client_id: &str) -> Outcome {
    let refuse = |refused: Refused| refused.answer(id, client_id, server.clock.now());
    let route = match route::of(request) {
        Ok(route) => route,
        Err(refused) => return Outcome::Answered(refuse(refused), fault::After::Send, None),
    };
    let mailbox = route.mailbox().map(|name| address_of(server, name));
    let pass = match mailbox.as_deref().map(|mailbox| throttle::enter(&server.face, mailbox, server.clock.now())) {
        Some(Err(refused)) => return Outcome::Answered(refuse(refused), fault::After::Send, None),
        Some(Ok(pass)) => Some(pass),
        None => None,
    };
    let latency = Duration::from_millis(server.face.settings().latency_ms).min(LATENCY_MAX);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let containers: Vec<&str> = mailbox.iter().map(String::as_str).collect();
    match server.faults.before(route.operation(), &containers).await {
        Step::Cut => Outcome::Cut,
        Step::Redirect(location) => {
            let answer = Answer::empty(StatusCode::TEMPORARY_REDIRECT).with(header::LOCATION, location);
            Outcome::Answered(answer, fault::After::Send, pass)
        }
        Step::Refuse(refusal) => {
            Outcome::Answered(refused_on_demand(server, refusal, id, client_id), fault::After::Send, pass)
        }
        Step::Run(after) => {
            let answer = match route {
                Route::Subscribe => subscribe(server, request).await,
                _ => perform(server, request, &route),
            };
            let mut answer = answer.unwrap_or_else(refuse);
            if let Some(applied) = request.prefer.applied().filter(|_| answer.status.is_success()) {
                let name = axum::http::HeaderName::from_static("preference-applied");
                answer.headers.push((name, applied));
            }
            Outcome::Answered(answer, after, pass)
        }
    }
}

/// A refusal on demand in Graph's form.
fn refused_on_demand(server: &Server, refusal: Refusal, id: &str, client_id: &str) -> Answer {
    let refused = match refusal {
        Refusal::Status { status, retry_after_s } => {
            let refused = Refused::new(status, "generalException", "Failed on request.");
            with_retry(refused, retry_after_s)
        }
        Refusal::Throttle { back_off_ms, retry_after_s } => {
            let text = "Application is over its MailboxConcurrency limit.";
            let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", text);
            with_retry(refused, retry_after_s.or(Some(back_off_ms.div_ceil(1_000))))
        }
        Refusal::Error { code, status } => {
            let mut refused = Refused::of_code(&code);
            refused.status = status.unwrap_or(refused.status);
            refused
        }
    };
    refused.answer(id, client_id, server.clock.now())
}

fn with_retry(refused: Refused, seconds: Option<u64>) -> Refused {
    match seconds {
        Some(seconds) => refused.with(header::RETRY_AFTER, seconds.to_string()),
        None => refused,
    }
}

/// The address of the mailbox that a user's name stands for; an unknown name stands for itself.
fn address_of(server: &Server, name: &str) -> String {
    users::find(&server.world(), name).map_or_else(|| name.to_owned(), |(_, account)| account.address.clone())
}

fn perform(server: &Server, request: &Request, route: &Route) -> Result<Answer, Refused> {
    let settings = server.face.settings();
    let epoch = server.face.state().delta_epoch;
    let mut world = server.world();
    match route {
        Route::Users => return users::list(&world, request),
        Route::User(name) => return users::one(&world, request, name),
        Route::Subscriptions => return Ok(subscriptions::list(&server.face.state(), request, server.clock.now())),
        Route::Subscription(id) => return subscriptions::get(&server.face.state(), id, server.clock.now()),
        Route::Renew(id) => {
            return subscriptions::renew(&mut server.face.state(), id, request, server.clock.now());
        }
        Route::Reauthorize(id) => {
            return subscriptions::reauthorize(&mut server.face.state(), id, server.clock.now());
        }
        Route::Unsubscribe(id) => return subscriptions::delete(&mut server.face.state(), id),
        _ => {}
    }
    let name = route.mailbox().unwrap_or_default();
    let (mailbox, account) = users::find(&world, name).ok_or_else(|| {
        let text = format!("The requested user '{name}' is invalid.");
        Refused::new(StatusCode::NOT_FOUND, "ErrorInvalidUser", text)
    })?;
    if account.role != Role::User {
        let text = "The mailbox is either inactive, soft-deleted, or is hosted on-premise.";
        return Err(Refused::new(StatusCode::NOT_FOUND, "MailboxNotEnabledForRESTAPI", text));
    }
    if settings.denied.iter().any(|denied| account.answers_to(denied)) {
        return Err(Refused::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", "Access to OData is disabled."));
    }
    let mut scene = Scene { world: &mut world, request, mailbox, settings: &settings };
    let answer = in_mailbox(&mut scene, route, epoch);
    server.faults.count_writes(std::mem::take(&mut world.writes));
    answer
}

fn in_mailbox(scene: &mut Scene<'_>, route: &Route, epoch: u64) -> Result<Answer, Refused> {
    match route {
        Route::MailboxSettings { part, .. } => {
            users::mailbox_settings(scene.world, scene.request, scene.mailbox, part.as_deref())
        }
        Route::TimeZones { segment, .. } => users::time_zones(scene.request, segment),
        Route::Calendars { .. } => events::calendars(scene),
        Route::CreateCalendar { .. } => events::create_calendar(scene),
        Route::Calendar { calendar, .. } => events::calendar(scene, calendar.as_deref()),
        Route::UpdateCalendar { calendar, .. } => events::update_calendar(scene, calendar.as_deref()),
        Route::Events { calendar, .. } => events::list(scene, calendar.as_deref()),
        Route::CreateEvent { calendar, .. } => events::create(scene, calendar.as_deref()),
        Route::View { calendar, .. } => events::calendar_view(scene, calendar.as_deref()),
        Route::Delta { calendar, followed, .. } => delta::follow(scene, calendar.as_deref(), *followed, epoch),
        Route::GetEvent { id, .. } => events::get(scene, id),
        Route::UpdateEvent { id, .. } => events::update(scene, id),
        Route::DeleteEvent { id, .. } => events::delete(scene, id),
        Route::Instances { id, .. } => events::instances(scene, id),
        Route::Cancel { id, .. } => events::cancel(scene, id),
        Route::Respond { id, reply, .. } => events::respond(scene, id, *reply),
        Route::Translate { .. } => translate::translate(scene),
        // Answered before a mailbox was looked for.
        Route::Users
        | Route::User(_)
        | Route::Subscribe
        | Route::Subscriptions
        | Route::Subscription(_)
        | Route::Renew(_)
        | Route::Reauthorize(_)
        | Route::Unsubscribe(_) => Err(route::unknown("users")),
    }
}

/// Makes a subscription once both of its addresses have answered the handshake.
async fn subscribe(server: &Server, request: &Request) -> Result<Answer, Refused> {
    let wanted = {
        let world = server.world();
        subscriptions::want(&server.face.state(), &world, request, server.clock.now())?
    };
    for url in &wanted.urls {
        webhook::shake_hands(server, url).await?;
    }
    let id = server.face.request_id();
    let answer = subscriptions::add(&mut server.face.state(), request, id, wanted);
    server.face.asked.send_modify(|times| *times += 1);
    Ok(answer)
}

async fn show_settings(Shared(server): Shared<Server>) -> Json<Value> {
    let state = server.face.state();
    let requests: BTreeMap<&String, u64> = state.uses.iter().map(|(mailbox, used)| (mailbox, used.total())).collect();
    let at_once: BTreeMap<&String, u32> = state.uses.iter().map(|(mailbox, used)| (mailbox, used.at_once())).collect();
    Json(
        json!({ "settings": state.settings, "at_once": at_once, "throttled": state.throttled, "tokens": state.tokens.len(),
        "subscriptions": state.subscriptions.len(), "notified": state.notified, "requests": requests }),
    )
}

async fn change_settings(
    Shared(server): Shared<Server>,
    Json(change): Json<serde_json::Map<String, Value>>,
) -> Response {
    let changed = server.face.settings().changed(change);
    match changed {
        Ok(settings) => {
            let mut state = server.face.state();
            state.settings = settings;
            state.uses.clear();
            Json(json!({ "settings": state.settings })).into_response()
        }
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

/// Every token that was issued expires now.
async fn revoke_tokens(Shared(server): Shared<Server>) -> StatusCode {
    let now = server.clock.now();
    server.face.state().tokens.values_mut().for_each(|expires| *expires = now);
    StatusCode::NO_CONTENT
}

/// Every delta token that was issued is no longer good.
async fn forget_deltas(Shared(server): Shared<Server>) -> StatusCode {
    server.face.state().delta_epoch += 1;
    StatusCode::NO_CONTENT
}

/// The body is a certificate (DER) whose key may sign in the secret's place from now on.
async fn trust(Shared(server): Shared<Server>, body: Bytes) -> StatusCode {
    server.face.trust_certificate(body.to_vec());
    StatusCode::NO_CONTENT
}

/// What `POST /_sim/graph/lifecycle` takes: an event, for one subscription or for all.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    event: Lifecycle,
    #[serde(default)]
    subscription: Option<String>,
}

async fn tell_lifecycle(Shared(server): Shared<Server>, Json(told): Json<Told>) -> Json<Value> {
    let now = server.clock.now();
    let count = subscriptions::lifecycle(&mut server.face.state(), told.event, told.subscription.as_deref(), now);
    server.face.asked.send_modify(|times| *times += 1);
    Json(json!({ "told": count }))
}
