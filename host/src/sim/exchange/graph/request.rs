//! A request of the Graph face, whether it came by itself or inside a batch: path, query, preferences, body.
//!
//! Promises: names are compared as the protocol does: query options and preferences without case, ids with case.
//! Must not know: the store, what paths mean.

use axum::http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

use super::answer::Refused;

/// Names the form of ids that stay when an item is moved [outlook-immutable-id].
const IMMUTABLE: &str = "ImmutableId";

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Decoded segments behind the version.
    pub path: Vec<String>,
    /// Query options in order, names without `$`.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Where the client finds this server: `http://host:port/v1.0`.
    pub base: String,
    pub prefer: Prefer,
}

impl Request {
    /// Takes a target such as `/users/jo@example.test/events?$top=5` apart.
    pub fn new(method: Method, target: &str, headers: HeaderMap, body: Vec<u8>, base: String) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decoded = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        let path = path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
        let query = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.trim_start_matches('$').to_owned(), value.into_owned()))
            .collect();
        let prefer = Prefer::read(&headers);
        Self { method, path, query, headers, body, base, prefer }
    }

    /// The value of a query option.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// A query option that is a whole number.
    pub fn number(&self, name: &str) -> Result<Option<usize>, Refused> {
        let read = |text: &str| {
            let wrong = || Refused::bad("BadRequest", format!("Invalid value for the query option ${name}."));
            text.parse().map_err(|_| wrong())
        };
        self.option(name).map(read).transpose()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, which must be a JSON object.
    pub fn json(&self) -> Result<serde_json::Map<String, Value>, Refused> {
        let typed = self.header(header::CONTENT_TYPE.as_str()).is_none_or(|kind| kind.contains("json"));
        if !typed {
            let text = "A media type that names JSON is needed for this body.";
            return Err(Refused::bad("RequestBodyRead", text));
        }
        if self.body.is_empty() {
            return Ok(serde_json::Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(Refused::bad("BadRequest", "Unable to read JSON request payload: an object is expected.")),
            Err(error) => Err(Refused::bad("BadRequest", format!("Unable to read JSON request payload: {error}."))),
        }
    }
}

/// What the request prefers, from one list or from many headers.
#[derive(Clone, Debug, Default)]
pub struct Prefer {
    /// As the client wrote it.
    pub time_zone: Option<String>,
    pub text_body: Option<bool>,
    pub page_size: Option<usize>,
    pub immutable_ids: bool,
    applied: Vec<String>,
}

impl Prefer {
    fn read(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let lists = headers.get_all("prefer").into_iter().filter_map(|list| list.to_str().ok());
        for (name, value) in lists.flat_map(items) {
            let known = match name.to_ascii_lowercase().as_str() {
                "outlook.timezone" => {
                    prefer.time_zone = Some(value.clone());
                    true
                }
                "outlook.body-content-type" => {
                    prefer.text_body = Some(value.eq_ignore_ascii_case("text"));
                    true
                }
                "odata.maxpagesize" => {
                    prefer.page_size = value.parse().ok();
                    prefer.page_size.is_some()
                }
                "idtype" => {
                    prefer.immutable_ids = value.eq_ignore_ascii_case(IMMUTABLE);
                    prefer.immutable_ids
                }
                _ => false,
            };
            if known {
                let number = value.parse::<usize>().is_ok();
                prefer.applied.push(if number { format!("{name}={value}") } else { format!("{name}=\"{value}\"") });
            }
        }
        prefer
    }

    /// The value of `Preference-Applied`, if anything was.
    pub fn applied(&self) -> Option<String> {
        (!self.applied.is_empty()).then(|| self.applied.join(", "))
    }
}

/// The `name=value` items of a list; commas inside quotes do not part.
fn items(list: &str) -> Vec<(String, String)> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for character in list.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => parts.push(String::new()),
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    let pair = |part: String| {
        let (name, value) = part.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    parts.into_iter().filter_map(pair).collect()
}
