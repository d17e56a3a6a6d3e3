//! Requests to the REST service and what their answers mean.
//!
//! Promises: every answer that is no record, feed or empty body becomes an [`Error`] with a [`Problem`] and, where the
//! server said something, its words without addresses. Must not know: what a column means.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value as Json;

use super::config::{QueryDates, SageConfig, UpdateVerb};
use super::wire::{Columns, Diagnosis, Feed, Row};
use crate::connector::http::{HttpClient, Method, Request, Response, Secret, Url};
use crate::connector::{Error, Problem};

/// Characters a query value may not hold as they are. A plus would be read as a blank by some servers.
const IN_QUERY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'=').add(b'>').add(b'\\');
const IN_PATH: &AsciiSet = &IN_QUERY.add(b'/').add(b'?').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// One page of an entity.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub entity: &'static str,
    /// In the `where` language; empty for everything.
    pub filter: String,
    /// Column and direction, for example `Comm_UpdatedDate asc`.
    pub order: Option<&'static str>,
    /// Number of the first record wanted, from 1.
    pub index: u64,
    pub count: u32,
}

/// The signed-in REST service.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    base: Url,
    login: String,
    password: Secret,
    update_verb: UpdateVerb,
}

/// Why an answer could not be taken, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl Client {
    /// # Errors
    /// [`Problem::Refused`] for a setting that cannot work, [`Problem::Certificate`] for an unusable `ca_file`.
    pub fn new(config: &SageConfig) -> Result<Self, Error> {
        let act = || format!("set up the connection to {}", config.name);
        config.check().map_err(|error| Error::new(act(), Problem::Refused).caused_by(error))?;
        let base = config.base().map_err(|error| Error::new(act(), Problem::Refused).caused_by(error))?;
        let http = HttpClient::to(&base, config.http.clone()).map_err(|error| error.during(act()))?;
        Ok(Self {
            http,
            base,
            login: config.login.clone(),
            password: config.password.clone(),
            update_verb: config.update_verb,
        })
    }

    /// One page of records.
    pub async fn feed(&self, act: &str, query: &Query) -> Result<Feed, Error> {
        let answer = self.send(act, Request::get(feed_url(&self.base, query))).await;
        let answer = answer.map_err(|error| match error.problem {
            // A list exists even when it is empty: without it the address is wrong.
            Problem::NotFound => Error { problem: Problem::Malformed, ..error }.caused_by(Said(format!(
                "there is no {} at {}; check url, install and contract",
                query.entity, self.base
            ))),
            _ => error,
        })?;
        let feed = answer.as_ref().and_then(Feed::from_json);
        feed.ok_or_else(|| self.odd(act, &format!("the answer holds no list of {}", query.entity)))
    }

    /// One record, or nothing if the server knows none of that id.
    pub async fn entry(&self, act: &str, entity: &str, id: &str) -> Result<Option<Row>, Error> {
        match self.send(act, Request::get(entry_url(&self.base, entity, id))).await {
            Ok(answer) => match answer.as_ref().and_then(single) {
                Some(row) => Ok(Some(row)),
                None => Err(self.odd(act, &format!("the answer holds no {entity}"))),
            },
            Err(error) if error.problem == Problem::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a record and answers what the server said of it: at least its id, if it says anything.
    pub async fn create(&self, act: &str, entity: &str, columns: &Columns) -> Result<Option<Row>, Error> {
        let request = json(Request::post(self.address(entity)), columns);
        Ok(self.send(act, request).await?.as_ref().and_then(single))
    }

    /// Changes the given columns of a record.
    pub async fn change(&self, act: &str, entity: &str, id: &str, columns: &Columns) -> Result<(), Error> {
        let method = match self.update_verb {
            UpdateVerb::Patch => Method::PATCH,
            UpdateVerb::Put => Method::PUT,
        };
        let request = Request::new(method, entry_url(&self.base, entity, id));
        self.send(act, json(request, columns)).await.map(|_| ())
    }

    /// Deletes a record; one that is already gone is success.
    pub async fn remove(&self, act: &str, entity: &str, id: &str) -> Result<(), Error> {
        let request = Request::new(Method::DELETE, entry_url(&self.base, entity, id));
        match self.send(act, request).await {
            Err(error) if error.problem != Problem::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of an entity's columns in lower case, or nothing if the service does not describe itself.
    pub async fn columns(&self, act: &str, entity: &str) -> Result<Option<Vec<String>>, Error> {
        let request = Request::get(self.address(&format!("$prototypes/{entity}")));
        match self.send(act, request).await {
            Ok(answer) => {
                let properties = answer.as_ref().and_then(|json| json.get("$properties")?.as_object());
                Ok(properties.map(|columns| columns.keys().map(|name| name.to_lowercase()).collect()))
            }
            Err(error) => match error.problem {
                Problem::NotFound | Problem::Refused | Problem::Malformed | Problem::Forbidden => Ok(None),
                _ => Err(error),
            },
        }
    }

    fn address(&self, path: &str) -> Url {
        // The base was parsed with its slash at the end; a relative path after it always joins.
        self.base.join(path).unwrap_or_else(|_| self.base.clone())
    }

    /// Sends and answers the JSON of a success, nothing for an empty body.
    async fn send(&self, act: &str, request: Request) -> Result<Option<Json>, Error> {
        let request = request.basic(&self.login, &self.password).accept("application/json");
        let answer = self.http.send(request).await.map_err(|error| error.during(act))?;
        let json = std::str::from_utf8(&answer.body).ok().and_then(|text| text.parse::<Json>().ok());
        let diagnosis = json.as_ref().and_then(Diagnosis::from_json);
        if let Some(problem) = answer.problem() {
            let problem = match (&diagnosis, problem) {
                (Some(Diagnosis { transient: true, .. }), Problem::Refused) => Problem::Throttled { after: None },
                (_, problem) => problem,
            };
            let error = Error::new(act, problem);
            return Err(match diagnosis {
                Some(diagnosis) => error.caused_by(diagnosis),
                None => error.caused_by(Said(format!("the CRM answered {}", answer.status))),
            });
        }
        match (json, diagnosis) {
            (Some(json), Some(diagnosis)) if json.get("$resources").is_none() && json.get("$key").is_none() => {
                let problem = if diagnosis.transient { Problem::Throttled { after: None } } else { Problem::Refused };
                Err(Error::new(act, problem).caused_by(diagnosis))
            }
            (Some(json), _) => Ok(Some(json)),
            (None, _) if answer.body.iter().all(u8::is_ascii_whitespace) => Ok(None),
            (None, _) => Err(self.odd(act, &self.foreign(&answer))),
        }
    }

    fn odd(&self, act: &str, words: &str) -> Error {
        Error::new(act, Problem::Malformed).caused_by(Said(words.to_owned()))
    }

    /// What an answer that is no JSON points to.
    fn foreign(&self, answer: &Response) -> String {
        let kind = answer.media_type();
        let start = answer.body.iter().take(512).map(u8::to_ascii_lowercase).collect::<Vec<_>>();
        let start = String::from_utf8_lossy(&start);
        if kind.contains("html") || start.contains("<html") || start.contains("<!doctype html") {
            format!(
                "the answer is a web page, so {} does not lead to the REST service but to a sign-in page or a proxy",
                self.base
            )
        } else if kind.contains("xml") || start.trim_start().starts_with('<') {
            format!(
                "the answer is XML, as of the read-only SData 1.1 contract; the REST service is contract \"sagecrm2\" ({})",
                self.base
            )
        } else {
            format!("the answer is no JSON but {} bytes of {kind:?}", answer.body.len())
        }
    }
}

/// A record, or the only one of a feed.
fn single(json: &Json) -> Option<Row> {
    match Feed::from_json(json) {
        Some(feed) => feed.rows.into_iter().next(),
        None => Row::from_json(json),
    }
}

fn json(request: Request, columns: &Columns) -> Request {
    request.body("application/json; charset=utf-8", Json::Object(columns.clone()).to_string())
}

/// Address of a page of records.
pub fn feed_url(base: &Url, query: &Query) -> Url {
    let mut parts = Vec::new();
    if !query.filter.is_empty() {
        parts.push(format!("where={}", utf8_percent_encode(&query.filter, IN_QUERY)));
    }
    if let Some(order) = query.order {
        parts.push(format!("orderBy={}", utf8_percent_encode(order, IN_QUERY)));
    }
    parts.push(format!("count={}", query.count));
    parts.push(format!("startIndex={}", query.index));
    let mut url = base.join(query.entity).unwrap_or_else(|_| base.clone());
    url.set_query(Some(&parts.join("&")));
    url
}

/// Address of one record: the key is quoted.
pub fn entry_url(base: &Url, entity: &str, id: &str) -> Url {
    let path = format!("{entity}('{}')", utf8_percent_encode(&id.replace('\'', "''"), IN_PATH));
    base.join(&path).unwrap_or_else(|_| base.clone())
}

/// `column eq 'text'`; a quote in the text is doubled.
pub fn equal(column: &str, text: &str) -> String {
    format!("{column} eq {}", quoted(text))
}

/// The column holds more than this number.
pub fn above(column: &str, number: &str) -> String {
    format!("{column} gt {}", quoted(number))
}

/// The column is one of these ids.
pub fn one_of(column: &str, ids: &[String]) -> String {
    match ids {
        [id] => equal(column, id),
        ids => format!("{column} in ({})", ids.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(",")),
    }
}

/// A date literal: at-signs around the server's own wall time, to the second or to the day.
pub fn date(wall: chrono::NaiveDateTime, exact: QueryDates) -> String {
    match exact {
        QueryDates::Second => format!("@{}@", wall.format("%Y-%m-%dT%H:%M:%S")),
        QueryDates::Day => format!("@{}@", wall.format("%Y-%m-%d")),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
