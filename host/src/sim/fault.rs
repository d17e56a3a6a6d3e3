//! Faults on demand, faults by chance, and counters, the same for every simulator: `/_sim/faults`, `/_sim/chance`,
//! `/_sim/down`, `/_sim/counters`.
//!
//! Promises: a fault is used up exactly `times` times, in the order it was asked for; clearing the faults releases every
//! request that is held or delayed. Must not know: any protocol. A simulator asks [`Faults::before`] what to do with an
//! operation, carries it out if told so, and passes its answer through [`Faults::after`].
//!
//! ```text
//! match faults.before("CreateItem", &["jo@example.test"]).await {
//!     Step::Run(after) => faults.after(after, carry_out()).await,
//!     Step::Refuse(refusal) => the protocol's form of the refusal,
//!     Step::Cut => fault::cut(),
//!     Step::Redirect(location) => fault::redirect(&location),
//! }
//! ```

mod effect;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::effect::{cut, redirect, status};

/// Faults that may wait at the same time: a test asks for a handful, so more is a mistake in the test.
const PENDING_MAX: usize = 1_000;
/// The longest delay, below the time limits of real clients so that a delay never looks like a dead server.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// The back-off told to a throttled client that asked for none in particular.
const BACK_OFF_MS_DEFAULT: u64 = 1_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Not carried out; the protocol's own error `code`, and `status` where the protocol leaves the choice.
    Error,
    /// Not carried out; a bare HTTP `status`, with `Retry-After` if asked for.
    Status,
    /// Waits `delay_ms`, then carries it out.
    Delay,
    /// Carried out; the answer waits until the faults are cleared.
    Hold,
    /// Not carried out; the connection is cut.
    DropBefore,
    /// Carried out; the connection is cut without an answer.
    DropAfterCommit,
    /// Not carried out; the protocol's way to say "too many requests".
    Throttle,
    /// Carried out; the answer breaks off in the middle.
    Malformed,
    /// Carried out; answered with a bare HTTP `status` all the same (503 without one).
    FailAfterCommit,
    /// Carried out; the first half of the answer comes, the rest does not until the faults are cleared.
    Stall,
    /// Carried out; a page for people comes in the answer's place.
    WrongType,
    /// Carried out; the answer is small and unpacks to 64 MiB.
    GzipBomb,
    /// Not carried out; the client is sent to `location`.
    Redirect,
}

/// One fault, as `POST /_sim/faults` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation it waits for; with `*` at the end all that begin so, and `*` alone fits every operation.
    pub operation: String,
    /// Mailbox or entity; without it any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// How many operations it hits.
    #[serde(default = "once")]
    pub times: u32,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_off_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Operations that fail by chance, the same ones for the same seed and order of operations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// How many of a hundred operations fail: half of these after they were carried out.
    pub percent: f64,
    pub seed: u64,
}

impl Fault {
    /// A fault that hits the next operation of that name.
    pub fn new(operation: &str, kind: Kind) -> Self {
        Self {
            operation: operation.to_owned(),
            container: None,
            times: 1,
            kind,
            code: None,
            status: None,
            retry_after_s: None,
            back_off_ms: None,
            delay_ms: None,
            location: None,
        }
    }

    fn fits(&self, operation: &str, containers: &[&str]) -> bool {
        let named = match self.operation.strip_suffix('*') {
            Some(start) => operation.starts_with(start),
            None => self.operation == operation,
        };
        named
            && self.container.as_ref().is_none_or(|wanted| containers.iter().any(|at| at.eq_ignore_ascii_case(wanted)))
    }
}

/// How a server is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Down {
    /// Every connection is cut.
    #[serde(rename = "refuse")]
    Refuse,
    /// Every request is answered 503.
    #[serde(rename = "503")]
    Unavailable,
}

/// What to do with an operation.
#[derive(Debug)]
pub enum Step {
    /// Carry it out, then pass the answer to [`Faults::after`].
    Run(After),
    /// Do not carry it out; say this.
    Refuse(Refusal),
    /// Do not carry it out; answer [`cut`].
    Cut,
    /// Do not carry it out; answer [`redirect`] to there.
    Redirect(String),
}

/// Why an operation is not carried out; each protocol has its own form for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Error { code: String, status: Option<StatusCode> },
    Status { status: StatusCode, retry_after_s: Option<u64> },
    Throttle { back_off_ms: u64, retry_after_s: Option<u64> },
}

/// Statuses of failures by chance.
const CHANCE_STATUSES: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// What will happen to the answer of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Send,
    Hold,
    Cut,
    Malform,
    Fail(StatusCode),
    Stall,
    WrongType,
    Bomb,
}

/// What passed since the start or the last reset. Requests to `/_sim` and to the page for people are not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// HTTP requests, also those refused while down.
    pub requests: u64,
    /// Item operations that changed something.
    pub writes: u64,
    /// Operations by name, as they came in.
    pub operations: BTreeMap<String, u64>,
    pub bytes_received: u64,
    /// Without streamed answers, whose length is not known beforehand.
    pub bytes_sent: u64,
}

/// The faults and counters of one simulator; clones share them.
#[derive(Clone, Debug)]
pub struct Faults {
    state: Arc<Mutex<Inner>>,
    /// Changes when faults are cleared; held and delayed requests wait for it.
    cleared: watch::Sender<u64>,
    down: watch::Sender<Option<Down>>,
}

#[derive(Debug, Default)]
struct Inner {
    pending: Vec<Fault>,
    held: u64,
    counters: Counters,
    chance: Option<(Chance, StdRng)>,
}

/// What `GET /_sim/faults` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub pending: Vec<Fault>,
    /// Requests that were carried out and wait for their answer now.
    pub held: u64,
    pub down: Option<Down>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { state: Arc::default(), cleared: watch::Sender::new(0), down: watch::Sender::new(None) }
    }
}

impl Faults {
    /// Adds a fault behind those that wait. The error says what is wrong with it.
    pub fn add(&self, fault: Fault) -> Result<(), String> {
        match fault.kind {
            Kind::Error if fault.code.is_none() => return Err("kind \"error\" needs a code".into()),
            Kind::Status if fault.status.is_none_or(|status| StatusCode::from_u16(status).is_err()) => {
                return Err("kind \"status\" needs a status between 100 and 999".into());
            }
            Kind::Redirect if fault.location.is_none() => return Err("kind \"redirect\" needs a location".into()),
            Kind::Delay if fault.delay_ms.is_none_or(|delay| u128::from(delay) > DELAY_MAX.as_millis()) => {
                return Err(format!("kind \"delay\" needs delay_ms of at most {}", DELAY_MAX.as_millis()));
            }
            _ => {}
        }
        if fault.times == 0 {
            return Err("times must be at least 1".into());
        }
        let mut inner = self.lock();
        if inner.pending.len() >= PENDING_MAX {
            return Err(format!("{PENDING_MAX} faults are waiting already; clear them first"));
        }
        inner.pending.push(fault);
        Ok(())
    }

    /// Lets operations fail by chance from now on, or no longer.
    pub fn set_chance(&self, chance: Option<Chance>) {
        self.lock().chance = chance.map(|chance| (chance, StdRng::seed_from_u64(chance.seed)));
    }

    /// Forgets all waiting faults and releases what is held or delayed.
    pub fn clear(&self) {
        self.lock().pending.clear();
        self.cleared.send_modify(|generation| *generation += 1);
    }

    /// The faults that wait and the number of held requests.
    pub fn pending(&self) -> Pending {
        let inner = self.lock();
        Pending { pending: inner.pending.clone(), held: inner.held, down: self.down() }
    }

    /// Takes the server down, or up again with `None`.
    pub fn set_down(&self, down: Option<Down>) {
        self.down.send_replace(down);
    }

    /// Whether the server is down now.
    pub fn down(&self) -> Option<Down> {
        *self.down.borrow()
    }

    /// Resolves when the server is down: answers that go on for long end then.
    pub async fn gone_down(&self) {
        // An error means that no one is left to take it down.
        if self.down.subscribe().wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    pub fn reset_counters(&self) {
        self.lock().counters = Counters::default();
    }

    /// Counts item operations that changed something.
    pub fn count_writes(&self, writes: u64) {
        self.lock().counters.writes += writes;
    }

    /// Counts the operation and says what to do with it. Waits if a delay was asked for.
    pub async fn before(&self, operation: &str, containers: &[&str]) -> Step {
        let mut cleared = self.cleared.subscribe();
        let fault = {
            let mut inner = self.lock();
            *inner.counters.operations.entry(operation.to_owned()).or_default() += 1;
            take(&mut inner.pending, operation, containers)
        };
        let Some(fault) = fault else { return self.by_chance() };
        match fault.kind {
            Kind::Error => Step::Refuse(Refusal::Error {
                code: fault.code.unwrap_or_default(),
                status: fault.status.and_then(|status| StatusCode::from_u16(status).ok()),
            }),
            Kind::Status => Step::Refuse(Refusal::Status {
                status: fault.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default(),
                retry_after_s: fault.retry_after_s,
            }),
            Kind::Throttle => Step::Refuse(Refusal::Throttle {
                back_off_ms: fault.back_off_ms.unwrap_or(BACK_OFF_MS_DEFAULT),
                retry_after_s: fault.retry_after_s,
            }),
            Kind::DropBefore => Step::Cut,
            Kind::DropAfterCommit => Step::Run(After::Cut),
            Kind::Hold => Step::Run(After::Hold),
            Kind::Malformed => Step::Run(After::Malform),
            Kind::FailAfterCommit => {
                let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
                Step::Run(After::Fail(status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)))
            }
            Kind::Stall => Step::Run(After::Stall),
            Kind::WrongType => Step::Run(After::WrongType),
            Kind::GzipBomb => Step::Run(After::Bomb),
            Kind::Redirect => Step::Redirect(fault.location.unwrap_or_default()),
            Kind::Delay => {
                let delay = Duration::from_millis(fault.delay_ms.unwrap_or_default());
                tokio::select! { () = tokio::time::sleep(delay) => {}, _ = cleared.changed() => {} }
                Step::Run(After::Send)
            }
        }
    }

    /// What chance does to an operation that no fault was asked for.
    fn by_chance(&self) -> Step {
        let mut inner = self.lock();
        let Some((chance, dice)) = &mut inner.chance else { return Step::Run(After::Send) };
        if dice.random::<f64>() * 100.0 >= chance.percent {
            return Step::Run(After::Send);
        }
        let status = CHANCE_STATUSES.choose(dice).copied().unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        match dice.random::<bool>() {
            true => Step::Run(After::Fail(status)),
            false => Step::Refuse(Refusal::Status { status, retry_after_s: None }),
        }
    }

    /// What the client gets of an answer. Waits if it is to be held.
    pub async fn after(&self, after: After, answer: Response) -> Response {
        match after {
            After::Send => answer,
            After::Cut => cut(),
            After::Malform => effect::malformed(answer).await,
            After::Fail(failed) => status(failed, None),
            After::Stall => effect::stalled(answer, self.cleared.subscribe()).await,
            After::WrongType => effect::of_wrong_type(answer),
            After::Bomb => effect::bomb(answer).await,
            After::Hold => {
                let mut cleared = self.cleared.subscribe();
                let held = Held::new(self);
                // An error means the sender is gone, and with it whoever could clear the faults.
                let _ = cleared.changed().await;
                drop(held);
                answer
            }
        }
    }

    /// The routes `/_sim/faults`, `/_sim/down` and `/_sim/counters`.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/_sim/faults", get(show).post(add).delete(clear))
            .route("/_sim/chance", post(set_chance).delete(no_chance))
            .route("/_sim/down", post(set_down))
            .route("/_sim/counters", get(counters).delete(reset_counters))
            .with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Middleware for the protocol's routes (not for `/_sim`): counts, and refuses while the server is down.
/// Use it with `axum::middleware::from_fn_with_state(faults, fault::guard)`.
pub async fn guard(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let received = request.body().size_hint().exact().unwrap_or_default();
    {
        let mut inner = faults.lock();
        inner.counters.requests += 1;
        inner.counters.bytes_received += received;
    }
    let answer = match faults.down() {
        Some(Down::Refuse) => return cut(),
        Some(Down::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        None => next.run(request).await,
    };
    faults.lock().counters.bytes_sent += answer.body().size_hint().exact().unwrap_or_default();
    answer
}

fn once() -> u32 {
    1
}

fn take(pending: &mut Vec<Fault>, operation: &str, containers: &[&str]) -> Option<Fault> {
    let position = pending.iter().position(|fault| fault.fits(operation, containers))?;
    let fault = pending.get_mut(position)?;
    fault.times -= 1;
    let taken = fault.clone();
    if taken.times == 0 {
        pending.remove(position);
    }
    Some(taken)
}

/// Counts a held request for as long as it lives: also if its client goes away.
struct Held<'a>(&'a Faults);

impl<'a> Held<'a> {
    fn new(faults: &'a Faults) -> Self {
        faults.lock().held += 1;
        Self(faults)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DownRequest {
    down: bool,
    #[serde(default)]
    mode: Option<Down>,
}

async fn show(State(faults): State<Faults>) -> Json<Pending> {
    Json(faults.pending())
}

async fn add(State(faults): State<Faults>, Json(fault): Json<Fault>) -> Response {
    match faults.add(fault) {
        Ok(()) => Json(faults.pending()).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, problem).into_response(),
    }
}

async fn clear(State(faults): State<Faults>) -> Json<Pending> {
    faults.clear();
    Json(faults.pending())
}

async fn set_chance(State(faults): State<Faults>, Json(chance): Json<Chance>) -> StatusCode {
    faults.set_chance(Some(chance));
    StatusCode::NO_CONTENT
}

async fn no_chance(State(faults): State<Faults>) -> StatusCode {
    faults.set_chance(None);
    StatusCode::NO_CONTENT
}

async fn set_down(State(faults): State<Faults>, Json(request): Json<DownRequest>) -> Json<Pending> {
    faults.set_down(request.down.then(|| request.mode.unwrap_or(Down::Refuse)));
    Json(faults.pending())
}

async fn counters(State(faults): State<Faults>) -> Json<Counters> {
    Json(faults.counters())
}

async fn reset_counters(State(faults): State<Faults>) -> Json<Counters> {
    faults.reset_counters();
    Json(faults.counters())
}
