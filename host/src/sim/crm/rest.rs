//! The REST API: entries, feeds, prototypes, and the four ways to write.
//!
//! Promises: nothing is written unless all of it can be; every refusal is a `$diagnoses` body. Decided here, as no public
//! source says: a new record answers 201, a removed one 200 with a blank body; a write answers the key and the columns it
//! was given; a condition in the place of the key has to fit exactly one record; an option of the address that is not
//! known is refused. Must not know: who built the request.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};
use url::form_urlencoded;

use super::database::{Database, Row, Table, Values};
use super::query::{Filter, Order};
use super::refusal::Refusal;
use super::value::{Format, Value};
use super::{BODY_MAX, Crm};
use crate::sim::fault::{self, Step};

/// Page size where the client names none; the read-only contract cuts at the same number.
const PAGE_DEFAULT: usize = 100;
/// The largest page: live clients ask for 1,000.
const PAGE_MAX: usize = 10_000;
/// `$prototypes` instead of an entity.
const PROTOTYPES: &str = "$prototypes";

/// Answers one request below the base address.
pub async fn handle(State(crm): State<Arc<Crm>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let target = match Target::read(parts.uri.path().strip_prefix(&crm.base).unwrap_or_default()) {
        Ok(target) => target,
        Err(refusal) => return refusal.into_response(),
    };
    let entity = crm.entity_name(&target);
    match crm.faults.before(&format!("{} {entity}", parts.method), &[entity]).await {
        Step::Run(after) => {
            let answer = match answer(&crm, &parts, body, &target).await {
                Ok(answer) => answer,
                Err(refusal) => refusal.into_response(),
            };
            crm.faults.after(after, answer).await
        }
        Step::Refuse(refusal) => refused(refusal),
        Step::Cut => fault::cut(),
        Step::Redirect(location) => fault::redirect(&location),
    }
}

/// A fault in this protocol's words. The REST API has no throttling of its own; a proxy before it answers 429.
fn refused(refusal: fault::Refusal) -> Response {
    match refusal {
        fault::Refusal::Error { code, .. } => {
            let status = match code.as_str() {
                "BadWhereSyntax" | "BadUrlSyntax" | "ApplicationDiagnosis" => StatusCode::BAD_REQUEST,
                "RecordNotFound" | "ResourceKindNotFound" => StatusCode::NOT_FOUND,
                "AccessDenied" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            Refusal::new(status, &code, "a fault was asked for").into_response()
        }
        fault::Refusal::Status { status, retry_after_s } => fault::status(status, retry_after_s),
        fault::Refusal::Throttle { back_off_ms, retry_after_s } => {
            let seconds = retry_after_s.unwrap_or_else(|| back_off_ms.div_ceil(1_000));
            fault::status(StatusCode::TOO_MANY_REQUESTS, Some(seconds))
        }
    }
}

async fn answer(
    crm: &Crm,
    parts: &axum::http::request::Parts,
    body: Body,
    target: &Target,
) -> Result<Response, Refusal> {
    let query = Query::read(parts.uri.query().unwrap_or_default())?;
    let body = axum::body::to_bytes(body, BODY_MAX)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "ApplicationDiagnosis", "the body is too large"))?;
    let user = crm.sign_in.caller(&parts.headers, query.sid.as_deref(), &crm.database())?;
    let done = match (&parts.method, target) {
        (&Method::GET, Target::Prototypes) => crm.prototypes(),
        (&Method::GET, Target::Prototype(entity)) => crm.prototype(entity)?,
        (&Method::GET, Target::Feed(entity)) => crm.feed(entity, &query)?,
        (&Method::GET, Target::Entry(entity, key)) => crm.entry(entity, key, &query)?,
        (&Method::POST, Target::Feed(entity)) => {
            let entry = crm.create(entity, &object(&parts.headers, &body)?, user)?;
            return Ok((StatusCode::CREATED, in_json(&entry)).into_response());
        }
        (&Method::PATCH | &Method::PUT, Target::Entry(entity, key)) => {
            crm.change(entity, key, &object(&parts.headers, &body)?, user)?
        }
        (&Method::DELETE, Target::Entry(entity, key)) => {
            crm.remove(entity, key, user)?;
            return Ok(StatusCode::OK.into_response());
        }
        (method, _) => return Err(not_allowed(&format!("{method} has no meaning at this address"))),
    };
    Ok(in_json(&done).into_response())
}

/// An answer's body. The text is made by code of the JSON crate, which is optimised where this one is not.
fn in_json(json: &Json) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], json.to_string())
}

fn not_allowed(message: &str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "ApplicationDiagnosis", message)
}

/// The JSON object of a write.
fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Json>, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "a record is sent as application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "ApplicationDiagnosis", message));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad_data(format!("a record is one JSON object: {error}")))
}

/// What the part of the path after `/-/` means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Prototypes,
    Prototype(String),
    Feed(String),
    Entry(String, Key),
}

/// What stands between the brackets behind an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Quoted(String),
    Condition(String),
}

impl Target {
    fn read(path: &str) -> Result<Self, Refusal> {
        let path = percent_decode_str(path).decode_utf8().map_err(|_| Refusal::bad_url("the path is not UTF-8"))?;
        if path.eq_ignore_ascii_case(PROTOTYPES) {
            return Ok(Target::Prototypes);
        }
        if let Some((PROTOTYPES, entity)) = path.split_once('/') {
            return Ok(Target::Prototype(entity.to_owned()));
        }
        let Some((entity, rest)) = path.split_once('(') else { return Ok(Target::Feed(path.into_owned())) };
        let inner = rest.strip_suffix(')').ok_or_else(|| Refusal::bad_url("a key without its closing bracket"))?;
        let quoted = inner.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
        let key = match quoted {
            Some(key) => Key::Quoted(key.replace("''", "'")),
            None => Key::Condition(inner.to_owned()),
        };
        Ok(Target::Entry(entity.to_owned(), key))
    }
}

/// The options of an address.
#[derive(Clone, Debug, Default)]
struct Query {
    condition: Option<String>,
    count: Option<usize>,
    start: Option<usize>,
    order: Option<String>,
    select: Option<String>,
    sid: Option<String>,
    raw: String,
}

impl Query {
    fn read(raw: &str) -> Result<Self, Refusal> {
        let mut query = Query { raw: raw.to_owned(), ..Query::default() };
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let value = value.into_owned();
            match name.to_lowercase().as_str() {
                "where" => query.condition = Some(value),
                "orderby" => query.order = Some(value),
                "select" => query.select = Some(value),
                "sid" => query.sid = Some(value),
                "count" => query.count = Some(number("count", &value)?),
                "startindex" => {
                    let start = number("startIndex", &value)?;
                    if start == 0 {
                        return Err(Refusal::bad_url("startIndex counts from 1"));
                    }
                    query.start = Some(start);
                }
                _ => return Err(Refusal::bad_url(format!("the option {name} is not known"))),
            }
        }
        Ok(query)
    }
}

fn number(name: &str, value: &str) -> Result<usize, Refusal> {
    value.parse().map_err(|_| Refusal::bad_url(format!("{name} takes a whole number")))
}

impl Crm {
    /// The entity as it is spelled, for faults and counters, which must not grow with what clients make up.
    fn entity_name(&self, target: &Target) -> &'static str {
        match target {
            Target::Prototypes | Target::Prototype(_) => PROTOTYPES,
            Target::Feed(name) | Target::Entry(name, _) => {
                self.database().table(name).map_or("unknown", |table| table.entity.name)
            }
        }
    }

    fn prototypes(&self) -> Json {
        let database = self.database();
        let resource = |table: &Table| {
            let name = table.entity.name.to_lowercase();
            json!({"$title": table.entity.name, "$resourceKind": name, "$url": format!("{PROTOTYPES}/{name}")})
        };
        let resources: Vec<_> = database.tables().iter().map(resource).collect();
        json!({"$baseUrl": self.base_url, "$url": PROTOTYPES, "$totalResults": resources.len(), "$resources": resources})
    }

    fn prototype(&self, name: &str) -> Result<Json, Refusal> {
        let database = self.database();
        let entity = &database.table(name)?.entity;
        let mut properties = Map::new();
        for column in &entity.columns {
            let property = json!({
                "$title": column.name,
                "$type": column.kind.name(),
                "$isMandatory": column.mandatory,
                "$isHidden": false,
                "$isReadOnly": column.by_server,
            });
            properties.insert(column.name.clone(), property);
        }
        let kind = entity.name.to_lowercase();
        Ok(json!({
            "$baseUrl": self.base_url,
            "$url": format!("{PROTOTYPES}/{kind}"),
            "$title": entity.name,
            "$resourceKind": kind,
            "$resourceId": entity.key(),
            "$properties": properties,
        }))
    }

    fn feed(&self, name: &str, query: &Query) -> Result<Json, Refusal> {
        let database = self.database();
        let table = database.table(name)?;
        let filter = query.condition.as_deref().map(|text| Filter::parse(text, &table.entity, self.format.zone));
        let orders = query.order.as_deref().map(|text| Order::parse(text, &table.entity)).transpose()?;
        let columns = selected(table, query)?;
        let rows = table.select(filter.transpose()?.as_ref(), &orders.unwrap_or_default());
        let start = query.start.unwrap_or(1);
        let size = query.count.unwrap_or(PAGE_DEFAULT).min(PAGE_MAX).min(self.page_cap.unwrap_or(PAGE_MAX));
        let page = rows.iter().skip(start - 1).take(size);
        let resources: Vec<_> = page.map(|(key, row)| entry(table, *key, row, &columns, self.format)).collect();
        let url = match query.raw.as_str() {
            "" => table.entity.name.to_owned(),
            raw => format!("{}?{raw}", table.entity.name),
        };
        Ok(json!({
            "$baseUrl": self.base_url,
            "$url": url,
            "$totalResults": rows.len(),
            "$startIndex": start,
            "$itemsPerPage": size,
            "$resources": resources,
        }))
    }

    fn entry(&self, name: &str, key: &Key, query: &Query) -> Result<Json, Refusal> {
        let database = self.database();
        let table = database.table(name)?;
        let key = find(table, key, self.format)?;
        let row = table.row(key).ok_or_else(|| Refusal::no_record(table.entity.name, &key.to_string()))?;
        Ok(entry(table, key, row, &selected(table, query)?, self.format))
    }

    fn create(&self, name: &str, record: &Map<String, Json>, user: i32) -> Result<Json, Refusal> {
        let done = self.write(self.spelled(name)?, user, |database, by| {
            let table = open(database, name)?;
            let values = values(table, record, self.format)?;
            let columns = given(&values);
            let key = table.insert(values, by)?;
            Ok(written(table, key, &columns, self.format))
        })?;
        self.faults.count_writes(1);
        Ok(done)
    }

    fn change(&self, name: &str, key: &Key, record: &Map<String, Json>, user: i32) -> Result<Json, Refusal> {
        let done = self.write(self.spelled(name)?, user, |database, by| {
            let table = database.table_mut(name)?;
            let key = find(table, key, self.format)?;
            let values = values(table, record, self.format)?;
            let columns = given(&values);
            table.update(key, values, by)?;
            Ok(written(table, key, &columns, self.format))
        })?;
        self.faults.count_writes(1);
        Ok(done)
    }

    fn remove(&self, name: &str, key: &Key, user: i32) -> Result<(), Refusal> {
        self.write(self.spelled(name)?, user, |database, by| {
            let table = open(database, name)?;
            let key = find(table, key, self.format)?;
            table.remove(key, by)
        })?;
        self.faults.count_writes(1);
        Ok(())
    }

    fn spelled(&self, name: &str) -> Result<&'static str, Refusal> {
        Ok(self.database().table(name)?.entity.name)
    }
}

/// A table that takes and loses rows over the REST API.
fn open<'a>(database: &'a mut Database, name: &str) -> Result<&'a mut Table, Refusal> {
    let table = database.table_mut(name)?;
    if table.entity.open {
        Ok(table)
    } else {
        Err(not_allowed(&format!("{} are added and removed in the administration pages only", table.entity.name)))
    }
}

/// The key of the one record meant.
fn find(table: &Table, key: &Key, format: Format) -> Result<i32, Refusal> {
    match key {
        Key::Quoted(text) => text
            .parse()
            .ok()
            .filter(|key| table.row(*key).is_some())
            .ok_or_else(|| Refusal::no_record(table.entity.name, text)),
        Key::Condition(text) => {
            let filter = Filter::parse(text, &table.entity, format.zone)?;
            match table.select(Some(&filter), &[]).as_slice() {
                [] => Err(Refusal::no_record(table.entity.name, text)),
                [(key, _)] => Ok(*key),
                several => Err(Refusal::bad_url(format!("the condition fits {} records, not one", several.len()))),
            }
        }
    }
}

/// What a client sent, as values of columns. Names that begin with `$` are SData's own and are left out, as are the
/// columns that the server sets.
pub(super) fn values(table: &Table, record: &Map<String, Json>, format: Format) -> Result<Values, Refusal> {
    let mut values = Values::new();
    for (name, sent) in record.iter().filter(|(name, _)| !name.starts_with('$')) {
        let found = table.entity.position(name).and_then(|at| Some((at, table.entity.columns.get(at)?)));
        let (position, column) = found.ok_or_else(|| Refusal::no_column(table.entity.name, name))?;
        if !column.by_server {
            values.push((position, Value::accept(sent, column, format).map_err(Refusal::bad_data)?));
        }
    }
    Ok(values)
}

/// The key and the columns a client gave.
fn given(values: &Values) -> Vec<usize> {
    std::iter::once(0).chain(values.iter().map(|(position, _)| *position)).collect()
}

fn written(table: &Table, key: i32, columns: &[usize], format: Format) -> Json {
    // A write may itself have marked the row as removed; then its key is all there is to tell.
    let row = table.row(key).cloned().unwrap_or_else(|| vec![Value::Int(key)]);
    entry(table, key, &row, columns, format)
}

fn selected(table: &Table, query: &Query) -> Result<Vec<usize>, Refusal> {
    let Some(names) = &query.select else { return Ok((0..table.entity.columns.len()).collect()) };
    let position = |name: &str| {
        let name = name.trim();
        let none = || Refusal::bad_url(format!("select: {} has no column {name}", table.entity.name));
        table.entity.position(name).ok_or_else(none)
    };
    names.split(',').map(position).collect()
}

fn entry(table: &Table, key: i32, row: &Row, columns: &[usize], format: Format) -> Json {
    let mut entry = Map::new();
    entry.insert("$key".into(), key.into());
    entry.insert("$title".into(), key.to_string().into());
    entry.insert("$url".into(), format!("{}('{key}')", table.entity.name).into());
    for position in columns {
        if let (Some(column), Some(value)) = (table.entity.columns.get(*position), row.get(*position)) {
            entry.insert(column.name.clone(), value.show(format));
        }
    }
    Json::Object(entry)
}
