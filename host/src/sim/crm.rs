//! A Sage CRM that speaks the REST API (SData 2.0 at `/sdata/{install}j/sagecrm2/-/`), for demo and tests.
//!
//! Promises: what the public sources say of the real server holds here too: wall time of the server's zone, codes in
//! selection columns, links as separate rows, soft delete, silent cuts at a column's width, no test for null, no challenge
//! on 401. What they leave open is decided once and said where it is decided. A person finds the calendars at `/`.
//! Must not know: anything of the product's own model, connectors or engine: a shared type would share its mistakes.

mod database;
mod doorbell;
mod load;
mod local_time;
mod page;
mod query;
mod refusal;
mod rest;
mod schema;
mod seed;
mod session;
mod value;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use self::database::{By, Database};
pub use self::doorbell::Doorbell;
use self::refusal::Refusal;
pub use self::schema::Kind;
use self::session::SignIn;
use self::value::Format;
pub use self::value::LongText;
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::sim::fault::{self, Faults};

/// One record with long notes; a real server is behind a web server's limit too.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// How the install behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the install, the first part of its addresses.
    pub install: String,
    /// The zone of the server's wall clock.
    pub zone: Tz,
    /// Dates in answers name their offset.
    pub show_offset: bool,
    pub long_text: LongText,
    /// Pages of a feed are cut at so many rows whatever `count` says.
    pub page_cap: Option<usize>,
    /// Everybody who has a login, besides the account of the sync.
    pub people: Vec<PersonOptions>,
    /// Columns added by the administrator.
    pub custom_columns: Vec<CustomColumn>,
    /// Called after every change of `Communication` and `Comm_Link`.
    pub doorbell: Option<Doorbell>,
}

/// A CRM user.
#[derive(Clone, Debug)]
pub struct PersonOptions {
    pub first_name: String,
    pub last_name: String,
    pub login: String,
    pub address: String,
}

/// A column that the stock install has not.
#[derive(Clone, Debug)]
pub struct CustomColumn {
    pub entity: String,
    pub name: String,
    pub kind: Kind,
}

impl Default for Options {
    /// An install in Berlin with a company of four, and the columns that exchange integration adds.
    fn default() -> Self {
        let column = |entity: &str, name: &str, kind| CustomColumn { entity: entity.into(), name: name.into(), kind };
        Self {
            install: "crm".into(),
            zone: chrono_tz::Europe::Berlin,
            show_offset: false,
            long_text: LongText::default(),
            page_cap: None,
            people: seed::people(),
            custom_columns: vec![
                column(schema::USERS, "User_ExchangeUserId", Kind::Text(Some(255))),
                column(schema::USERS, "User_ExchangeServer", Kind::Text(Some(255))),
                column(schema::COMMUNICATION, "comm_responses", Kind::Text(None)),
            ],
            doorbell: None,
        }
    }
}

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimUser {
    pub name: String,
    /// Empty for the account of the sync.
    pub address: String,
    pub login: String,
    pub password: String,
    /// `user`, or `service` for the account of the sync.
    pub role: &'static str,
}

/// A simulator that listens. It ends with the tasks it was started in.
#[derive(Clone, Debug)]
pub struct Running {
    pub address: SocketAddr,
    crm: Arc<Crm>,
}

impl Running {
    /// The page for people.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Base address of the REST API, up to `/-/`.
    pub fn crm_url(&self) -> String {
        self.crm.base_url.clone()
    }

    pub fn users(&self) -> Vec<SimUser> {
        let user = |login: &seed::Login| SimUser {
            name: login.name.clone(),
            address: login.address.clone(),
            login: login.login.clone(),
            password: login.password.clone(),
            role: login.role,
        };
        self.crm.sign_in.logins().iter().map(user).collect()
    }

    pub fn faults(&self) -> &Faults {
        &self.crm.faults
    }

    /// Rings there after every change from now on, or nowhere.
    pub fn set_doorbell(&self, doorbell: Option<Doorbell>) {
        self.crm.button.set(doorbell);
    }
}

/// Starts a simulator.
///
/// # Errors
/// If it cannot listen there, or the options name an install that cannot stand in an address, an entity that does not
/// exist or a column that does.
pub async fn serve(
    listen: SocketAddr,
    options: Options,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> std::io::Result<Running> {
    let entities = entities(&options)?;
    let by = By { user: 1, at: local_time::now(clock.as_ref(), options.zone) };
    let (database, logins) = seed::fill(entities, options.people, by).map_err(std::io::Error::other)?;
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let base = format!("/sdata/{}j/sagecrm2/-/", options.install);
    let crm = Arc::new(Crm {
        base_url: format!("http://{address}{base}"),
        base,
        format: Format { zone: options.zone, show_offset: options.show_offset, long_text: options.long_text },
        page_cap: options.page_cap,
        clock,
        database: Mutex::new(database),
        sign_in: SignIn::new(logins),
        button: doorbell::Button::start(options.doorbell, tasks)?,
        faults: Faults::default(),
    });
    let (router, faults, stopping) = (router(&crm), crm.faults.clone(), tasks.stopping());
    tasks.spawn("sim-crm", async move {
        let stop = async move {
            stopping.cancelled().await;
            faults.clear();
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "The CRM simulator stopped listening");
        }
    });
    Ok(Running { address, crm })
}

/// The running install.
#[derive(Debug)]
struct Crm {
    /// Path of the REST API, up to `/-/`.
    base: String,
    base_url: String,
    format: Format,
    page_cap: Option<usize>,
    clock: Arc<dyn Clock>,
    database: Mutex<Database>,
    sign_in: SignIn,
    button: doorbell::Button,
    faults: Faults,
}

impl Crm {
    fn database(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes rows in one go, as this user and now; then the table scripts run.
    fn write<T>(
        &self,
        entity: &str,
        user: i32,
        act: impl FnOnce(&mut Database, By) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let by = By { user, at: local_time::now(self.clock.as_ref(), self.format.zone) };
        let done = act(&mut self.database(), by)?;
        if [schema::COMMUNICATION, schema::COMM_LINK].contains(&entity) {
            self.button.press();
        }
        Ok(done)
    }
}

fn entities(options: &Options) -> std::io::Result<Vec<schema::Entity>> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
    if options.install.is_empty() || !options.install.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(wrong("the name of a CRM install is made of letters and digits".into()));
    }
    let mut entities = schema::stock();
    for custom in &options.custom_columns {
        let entity = entities
            .iter_mut()
            .find(|entity| entity.name.eq_ignore_ascii_case(&custom.entity))
            .ok_or_else(|| wrong(format!("the simulated CRM has no entity {}", custom.entity)))?;
        if !entity.add(&custom.name, custom.kind) {
            return Err(wrong(format!("{} has a column {} already", entity.name, custom.name)));
        }
    }
    Ok(entities)
}

fn router(crm: &Arc<Crm>) -> Router {
    let protocol = Router::new()
        .route(&format!("{}{{*resource}}", crm.base), any(rest::handle))
        .route("/sdata/{*other}", any(no_contract))
        .layer(axum::middleware::from_fn_with_state(crm.faults.clone(), fault::guard));
    Router::new()
        .merge(protocol)
        .merge(crm.faults.router())
        .route("/_sim/rows", post(load::rows).layer(DefaultBodyLimit::max(load::BODY_MAX)))
        .route("/_sim/session", post(open_session))
        .route("/_sim/doorbell", post(set_doorbell))
        .route("/", get(page::calendars))
        .route("/new", get(page::new))
        .route("/appointments", post(page::create))
        .route("/appointments/{key}", get(page::edit).post(page::change))
        .route("/appointments/{key}/cancel", post(page::cancel))
        .route("/appointments/{key}/delete", post(page::delete))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(Arc::clone(crm))
}

async fn no_contract(uri: Uri) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "ContractNotFound", format!("there is no contract at {}", uri.path()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    login: String,
    password: String,
}

/// Stands for the logon page: answers the session id that `SID=` takes.
async fn open_session(State(crm): State<Arc<Crm>>, Json(given): Json<Credentials>) -> Response {
    let opened = crm.sign_in.open(&given.login, &given.password, &crm.database());
    match opened {
        Ok(sid) => Json(serde_json::json!({ "sid": sid })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoorbellRequest {
    /// Absent or null: ring nowhere.
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    token: String,
}

/// Installs the table script.
async fn set_doorbell(State(crm): State<Arc<Crm>>, Json(given): Json<DoorbellRequest>) -> Response {
    match given.url.map(|url| url::Url::parse(&url)).transpose() {
        Ok(url) => {
            crm.button.set(url.map(|url| Doorbell { url, token: given.token }));
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => Refusal::bad_data(format!("url is not an address: {error}")).into_response(),
    }
}
