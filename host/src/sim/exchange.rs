//! An Exchange server that speaks EWS and Microsoft Graph: several mailboxes, real meeting semantics, faults on demand.
//! Both protocols reach the same mailboxes.
//!
//! What it answers follows the protocol's documentation, and real clients that others wrote accept it (exchangelib, O365,
//! msgraph-sdk: see the tests). Beside the protocol it offers `/_sim/...` (faults, counters, mails) and a page for people at `/`.
//!
//! Promises: all times come from the clock it is given; ids of one run are never valid in another. A request is either
//! refused as a whole (SOAP fault) or answered item by item. Must not know: the host (model, connectors, engine, store).

mod autodiscover;
mod budget;
mod calendar;
mod call;
mod directory;
mod edit;
mod edit_xml;
mod error;
mod find;
mod folder;
mod graph;
mod ids;
mod item;
mod item_xml;
mod meeting;
mod mime;
mod notify;
mod page;
mod people;
mod property;
mod restriction;
mod schema;
mod series;
mod shape;
mod sign_in;
mod store;
mod stream;
mod sync;
mod target;
mod virtual_clock;
mod write;
mod xml;
mod zones;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::budget::Budgets;
use self::call::Call;
use self::error::{ExchangeError, schema_violation};
use self::graph::Face;
pub use self::graph::settings::AppOptions;
use self::sign_in::Connection;
pub use self::sign_in::Scheme;
pub use self::store::MailKind;
use self::store::{Account, World};
pub use self::virtual_clock::VirtualClock;
use self::xml::{Element, Messages, Read, Xml};
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::sim::fault::{self, Faults, Refusal, Step};

/// The largest request: a real server's default is 64 MB, our longest are batches of a hundred items.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
const EWS_PATH: &str = "/EWS/Exchange.asmx";

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has a mailbox and reaches that one.
    User,
    /// Has no mailbox and may impersonate every user.
    Service,
}

/// One account of the simulated company.
#[derive(Clone, Debug)]
pub struct AccountOptions {
    pub name: String,
    /// The primary SMTP address.
    pub address: String,
    /// Further addresses that reach the same mailbox.
    pub aliases: Vec<String>,
    pub login: String,
    pub password: String,
    pub role: Role,
    /// The Windows name of the zone its owner chose.
    pub zone: String,
}

/// A list of people.
#[derive(Clone, Debug)]
pub struct ListOptions {
    pub name: String,
    pub address: String,
    /// Addresses of people and of lists.
    pub members: Vec<String>,
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    pub accounts: Vec<AccountOptions>,
    /// The application that reaches every mailbox by Graph.
    pub app: AppOptions,
    pub lists: Vec<ListOptions>,
    /// The ways to sign in, in the order in which they are offered.
    pub schemes: Vec<Scheme>,
}

impl Default for Options {
    /// A company of four, and the service account a host signs in with.
    fn default() -> Self {
        let account = |name: &str, login: &str, password: &str, aliases: &[&str], role: Role| AccountOptions {
            name: name.into(),
            address: format!("{login}@example.test"),
            aliases: aliases.iter().map(|alias| format!("{alias}@example.test")).collect(),
            login: login.into(),
            password: password.into(),
            role,
            zone: "Romance Standard Time".into(),
        };
        Self {
            app: AppOptions::default(),
            accounts: vec![
                account("Susan Maye", "susan.maye", "susan-demo", &["smaye"], Role::User),
                account("Terry Smith", "terry.smith", "terry-demo", &["tsmith"], Role::User),
                account("Mary Jones", "mary.jones", "mary-demo", &["mjones"], Role::User),
                account("William Dolan", "william.dolan", "william-demo", &["wdolan"], Role::User),
                account("Daybridge Service", "svc-daybridge", "service-demo", &[], Role::Service),
            ],
            lists: Vec::new(),
            schemes: vec![Scheme::Basic],
        }
    }
}

impl From<AccountOptions> for Account {
    fn from(options: AccountOptions) -> Self {
        let AccountOptions { name, address, aliases, login, password, role, zone } = options;
        let directory_id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("mailto:{address}").as_bytes());
        Self { name, address, aliases, login, password, role, zone, directory_id }
    }
}

/// An account as told to whoever started the simulator.
#[derive(Clone, Debug, Serialize)]
pub struct SimUser {
    pub name: String,
    pub address: String,
    pub login: String,
    pub password: String,
    pub role: Role,
}

/// A simulator that listens.
#[derive(Clone, Debug)]
pub struct Running {
    pub address: SocketAddr,
    faults: Faults,
    users: Vec<SimUser>,
    face: Face,
    clock: Arc<VirtualClock>,
    world: Arc<Mutex<World>>,
}

impl Running {
    /// Where the page for people is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The EWS endpoint.
    pub fn ews_url(&self) -> String {
        format!("http://{}{EWS_PATH}", self.address)
    }

    /// The root of Graph.
    pub fn graph_url(&self) -> String {
        format!("http://{}{}", self.address, graph::ROOT)
    }

    /// Where tokens for Graph come from: add `/oauth2/v2.0/token`.
    pub fn authority(&self) -> String {
        format!("http://{}/{}", self.address, self.tenant())
    }

    /// The directory's id.
    pub fn tenant(&self) -> String {
        self.face.app().tenant
    }

    pub fn client_id(&self) -> String {
        self.face.app().client_id
    }

    pub fn client_secret(&self) -> String {
        self.face.app().secret
    }

    /// Lets the application sign in with the key of this certificate (DER), too.
    pub fn trust_certificate(&self, der: Vec<u8>) {
        self.face.trust_certificate(der);
    }

    /// The server's clock, which can be moved.
    pub fn clock(&self) -> Arc<VirtualClock> {
        self.clock.clone()
    }

    pub fn users(&self) -> Vec<SimUser> {
        self.users.clone()
    }

    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// How many mails of each kind meetings caused, since the start or the last reset.
    pub fn mail_counts(&self) -> BTreeMap<MailKind, u64> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner).mail_counts.clone()
    }
}

/// Starts a simulator; it stops with `tasks`. The error is the listener's.
pub async fn serve(
    listen: SocketAddr,
    options: Options,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> std::io::Result<Running> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let users = options.accounts.iter().map(|account| SimUser {
        name: account.name.clone(),
        address: account.address.clone(),
        login: account.login.clone(),
        password: account.password.clone(),
        role: account.role,
    });
    let users = users.collect();
    let faults = Faults::default();
    let clock = Arc::new(VirtualClock::new(clock));
    let face = Face::new(options.app.clone(), &*clock);
    let schemes = options.schemes.clone().into();
    let world = Arc::new(Mutex::new(World::new(options, clock.clone())));
    let server = Server {
        schemes,
        world: world.clone(),
        face: face.clone(),
        budgets: Budgets::default(),
        clock: clock.clone(),
        address,
        webhooks: graph::webhook::client()?,
        faults: faults.clone(),
        stopping: tasks.stopping(),
    };
    graph::webhook::start(server.clone(), tasks);
    let stop = {
        let (faults, stopping) = (faults.clone(), tasks.stopping());
        async move {
            stopping.cancelled().await;
            // Held requests would keep their connections open.
            faults.clear();
        }
    };
    let serving = axum::serve(listener, router(server).into_make_service_with_connect_info::<Connection>())
        .with_graceful_shutdown(stop);
    tasks.spawn("exchange simulator", async move {
        if let Err(error) = serving.await {
            tracing::error!(error = %error, "The Exchange simulator stopped");
        }
    });
    Ok(Running { address, faults, users, face, clock, world })
}

/// What every request sees.
#[derive(Clone)]
struct Server {
    schemes: Arc<[Scheme]>,
    world: Arc<Mutex<World>>,
    face: Face,
    budgets: Budgets,
    clock: Arc<VirtualClock>,
    address: SocketAddr,
    /// Posts to subscribers.
    webhooks: graph::webhook::Client,
    faults: Faults,
    stopping: CancellationToken,
}

impl Server {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(server: Server) -> Router {
    let faults = server.faults.clone();
    // Paths of a real server do not depend on case; clients use these two.
    let protocol = Router::new()
        .route(EWS_PATH, post(ews))
        .route("/ews/exchange.asmx", post(ews))
        .merge(graph::routes())
        .route("/autodiscover/autodiscover.svc", post(autodiscover))
        .route("/autodiscover/autodiscover.xml", post(autodiscover))
        .route("/Autodiscover/Autodiscover.xml", post(autodiscover))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(from_fn_with_state(faults.clone(), fault::guard));
    protocol
        .route("/", get(people))
        .route("/_sim/mails", get(mails).delete(forget_mails))
        .merge(graph::control_routes())
        .merge(virtual_clock::routes())
        .merge(budget::routes())
        .with_state(server)
        .merge(faults.router())
}

async fn people(State(server): State<Server>) -> Html<String> {
    let down = server.faults.down();
    Html(page::render(&server.world(), down))
}

/// What `/_sim/mails` shows: counts per kind since the start or the last reset, and the mails.
async fn mails(State(server): State<Server>) -> Json<serde_json::Value> {
    let world = server.world();
    Json(serde_json::json!({ "counts": world.mail_counts, "mails": world.mails }))
}

async fn forget_mails(State(server): State<Server>) -> StatusCode {
    let mut world = server.world();
    world.mails.clear();
    world.mail_counts.clear();
    StatusCode::NO_CONTENT
}

async fn ews(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let account = match signed_in(&server, &connection, &headers) {
        Ok(account) => account,
        Err(answer) => return answer,
    };
    let Ok(text) = std::str::from_utf8(&body) else {
        return fault_answer(&schema_violation("the request is not UTF-8"));
    };
    let (operation, mailbox) = match asked(&server, account, text) {
        Ok(asked) => asked,
        Err(error) => return fault_answer(&error),
    };
    let pass = match server.budgets.enter(&mailbox, server.clock.now()) {
        Ok(pass) => pass,
        Err(busy) => return fault_answer(&busy),
    };
    let latency = server.budgets.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    match server.faults.before(&operation, &[&mailbox]).await {
        Step::Cut => fault::cut(),
        Step::Redirect(location) => fault::redirect(&location),
        Step::Refuse(refusal) => refuse(&operation, text, refusal),
        Step::Run(after) => {
            let answer = match operation.as_str() {
                "GetStreamingEvents" => {
                    drop(pass);
                    let answer = stream::open(&server, account, text);
                    return server.faults.after(after, answer).await;
                }
                operation => run(&server, account, operation, text),
            };
            server.faults.after(after, answer).await
        }
    }
}

/// The account a request signs in as: by a token, an application acts as the service account.
fn signed_in(server: &Server, connection: &Connection, headers: &HeaderMap) -> Result<usize, Response> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_token = given.is_some_and(|given| given.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("bearer ")));
    if !is_token {
        return sign_in::sign_in(&server.world(), &server.schemes, connection, headers);
    }
    let is_good = graph::is_token_good(&server.face, headers, server.clock.now());
    let service = server.world().accounts.iter().position(|account| account.role == Role::Service);
    service.filter(|_| is_good).ok_or_else(|| {
        let mut answer = StatusCode::UNAUTHORIZED.into_response();
        let scheme = HeaderValue::from_static("Bearer client_id=\"00000002-0000-0ff1-ce00-000000000000\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        answer
    })
}

/// Autodiscover, in the form of the path's end.
async fn autodiscover(
    State(server): State<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(answer) = signed_in(&server, &connection, &headers) {
        return answer;
    }
    let Ok(text) = std::str::from_utf8(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match server.faults.before("Autodiscover", &[]).await {
        Step::Cut => fault::cut(),
        Step::Redirect(location) => fault::redirect(&location),
        Step::Refuse(Refusal::Status { status, retry_after_s }) => fault::status(status, retry_after_s),
        Step::Refuse(_) => fault::status(StatusCode::SERVICE_UNAVAILABLE, None),
        Step::Run(after) => {
            let form = if uri.path().ends_with(".svc") { autodiscover::soap } else { autodiscover::pox };
            let answer = form(&server.world(), &headers, text);
            server.faults.after(after, answer).await
        }
    }
}

/// The operation of a request, and the address of the mailbox it acts on (empty if none).
fn asked(server: &Server, account: usize, text: &str) -> Result<(String, String), ExchangeError> {
    let document = xml::read(text)?;
    let (header, request) = parts(document.root_element())?;
    let mut world = server.world();
    let call = Call::new(&mut world, account, header)?;
    let mailbox = call.mailbox.and_then(|mailbox| call.world.accounts.get(mailbox));
    Ok((request.local().to_owned(), mailbox.map(|account| account.address.clone()).unwrap_or_default()))
}

/// Header and operation of an envelope.
fn parts(envelope: Element<'_>) -> Result<(Option<Element<'_>>, Element<'_>), ExchangeError> {
    if envelope.local() != "Envelope" {
        return Err(schema_violation("the request is not a SOAP envelope"));
    }
    let operation = envelope.need("Body")?.kids().next();
    let operation = operation.ok_or_else(|| ExchangeError::new("ErrorInvalidRequest", "The request body is empty."))?;
    Ok((envelope.kid("Header"), operation))
}

fn run(server: &Server, account: usize, operation: &str, text: &str) -> Response {
    let mut body = Xml::new();
    let outcome = {
        let mut world = server.world();
        let outcome = perform(&mut world, account, operation, text, &mut body);
        server.faults.count_writes(std::mem::take(&mut world.writes));
        outcome
    };
    match outcome {
        Ok(()) => xml_answer(StatusCode::OK, xml::envelope(|xml| xml.raw(body))),
        Err(error) => fault_answer(&error),
    }
}

fn perform(world: &mut World, account: usize, operation: &str, text: &str, xml: &mut Xml) -> Result<(), ExchangeError> {
    let document = xml::read(text)?;
    let (header, request) = parts(document.root_element())?;
    let mut call = Call::new(world, account, header)?;
    match operation {
        "ConvertId" => directory::convert_id(&call, request, xml),
        "CreateAttachment" => directory::create_attachment(request, xml),
        "CreateFolder" => folder::create_folder(&mut call, request, xml),
        "CreateItem" => write::create_item(&mut call, request, xml),
        "DeleteFolder" => folder::delete_folder(&mut call, request, xml),
        "DeleteItem" => write::delete_item(&mut call, request, xml),
        "ExpandDL" => people::expand_dl(&call, request, xml),
        "FindFolder" => folder::find_folder(&call, request, xml),
        "FindItem" => find::find_item(&call, request, xml),
        "FindPeople" => people::find_people(&call, request, xml),
        "GetEvents" => notify::get_events(&mut call, request, xml),
        "GetFolder" => folder::get_folder(&call, request, xml),
        "GetItem" => find::get_item(&call, request, xml),
        "GetServerTimeZones" => directory::get_server_time_zones(request, xml),
        "GetUserAvailabilityRequest" => people::get_user_availability(&call, request, xml),
        "GetUserConfiguration" => directory::get_user_configuration(&call, request, xml),
        "MoveItem" => write::move_item(&mut call, request, xml),
        "ResolveNames" => directory::resolve_names(&call, request, xml),
        "Subscribe" => notify::subscribe(&mut call, request, xml),
        "SyncFolderItems" => sync::sync_folder_items(&call, request, xml),
        "Unsubscribe" => notify::unsubscribe(&mut call, request, xml),
        "UpdateFolder" => folder::update_folder(&mut call, request, xml),
        "UpdateItem" => write::update_item(&mut call, request, xml),
        other => {
            Err(ExchangeError::new("ErrorInvalidRequest", format!("This server does not know the operation {other}.")))
        }
    }
}

/// A refusal on demand in the protocol's form.
fn refuse(operation: &str, text: &str, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Status { status, retry_after_s } => fault::status(status, retry_after_s),
        Refusal::Throttle { back_off_ms, retry_after_s } => {
            let busy = "The server cannot service this request right now. Try again later.";
            let error = ExchangeError { back_off_ms: Some(back_off_ms), ..ExchangeError::new("ErrorServerBusy", busy) };
            let mut answer = fault_answer(&error);
            if let Some(seconds) = retry_after_s {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            answer
        }
        Refusal::Error { code, .. } => {
            let error = ExchangeError::new(&code, "Failed on request.");
            let mut messages = Messages::new(operation);
            for _ in 0..items_asked(text) {
                messages.add(Err::<(), _>(error.clone()), |_, ()| {});
            }
            xml_answer(StatusCode::OK, xml::envelope(|xml| messages.write(operation, xml)))
        }
    }
}

/// How many response messages a request asks for.
fn items_asked(text: &str) -> usize {
    const LISTS: &[&str] = &["Items", "ItemIds", "ItemChanges", "FolderIds", "ParentFolderIds", "SourceIds"];
    let Ok(document) = xml::read(text) else { return 1 };
    let Ok((_, request)) = parts(document.root_element()) else { return 1 };
    LISTS.iter().find_map(|list| request.kid(list)).map_or(1, |list| list.kids().count().max(1))
}

fn fault_answer(error: &ExchangeError) -> Response {
    xml_answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault(error))
}

fn xml_answer(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}
