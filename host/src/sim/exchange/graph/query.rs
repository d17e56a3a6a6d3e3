//! Lists and single objects as the query options ask for them: `$select`, `$expand`, `$top`, `$skip`, `$count`, pages.
//!
//! Promises: links lead back to this server and carry every option of the request. Must not know: meetings, writing.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::answer::Refused;
use super::event::{self, Look};
use super::filter::{self, Filter, Subject};
use super::request::Request;
use crate::sim::exchange::item::View;
use crate::sim::exchange::property::{PropertyName, PropertyValue};
use crate::sim::exchange::zones::Zone;

/// Rows of one page [api/event-list].
const PAGE_MAX: usize = 1_000;
/// Extended properties that one request may ask for.
const PROPERTIES_MAX: usize = 20;

/// How a request wants events shown.
pub fn look(request: &Request) -> Result<Look, Refused> {
    let (zone, zone_name) = match &request.prefer.time_zone {
        None => (Zone::utc(), "UTC".to_owned()),
        Some(name) => {
            let unknown = || {
                let text = format!("A valid TimeZone value must be specified. The value '{name}' is not supported.");
                Refused::bad("TimeZoneNotSupportedException", text)
            };
            (Zone::named_either_way(name).map_err(|_| unknown())?, name.clone())
        }
    };
    let text_body = request.prefer.text_body == Some(true);
    Ok(Look { zone, zone_name, text_body, immutable_ids: request.prefer.immutable_ids })
}

/// Which properties of events are shown.
pub struct Shape {
    look: Look,
    select: Option<Vec<String>>,
    /// Extended properties as the request names them.
    properties: Vec<(String, PropertyName)>,
    /// Which properties of a series' exceptions are shown, if they are.
    exceptions: Option<Vec<String>>,
}

impl Shape {
    pub fn read(request: &Request) -> Result<Self, Refused> {
        let mut shape =
            Self { look: look(request)?, select: select(request), properties: Vec::new(), exceptions: None };
        for part in request.option("expand").map(parts).unwrap_or_default() {
            let (name, options) = part.split_once('(').unwrap_or((&part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "singlevalueextendedproperties" => shape.properties = properties(options)?,
                // Asked for by $select as well [event]; a part without names of its own shows the selected ones.
                "exceptionoccurrences" if shape.wants("exceptionOccurrences") => {
                    shape.exceptions = nested_select(options).or_else(|| shape.select.clone());
                }
                "exceptionoccurrences" => {}
                // None of these exist here.
                "extensions" | "attachments" | "calendar" | "multivalueextendedproperties" | "instances" => {}
                other => {
                    let text = format!("Could not find a property named '{other}' on type 'microsoft.graph.event'.");
                    return Err(Refused::bad("RequestBroker--ParseUri", text));
                }
            }
        }
        Ok(shape)
    }

    /// What only a GET of the series by its id shows [event] is left out.
    #[must_use]
    pub fn of_list(mut self) -> Self {
        self.exceptions = None;
        if let Some(names) = &mut self.select {
            names.retain(|name| !name.eq_ignore_ascii_case("cancelledOccurrences"));
        }
        self
    }

    fn wants(&self, name: &str) -> bool {
        self.select.as_ref().is_some_and(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    pub fn write(&self, view: View<'_>) -> Value {
        let mut event = event::write(view, &self.look);
        if self.wants("cancelledOccurrences") {
            event.insert("cancelledOccurrences".into(), cancelled(view, &self.look));
        }
        pick(&mut event, self.select.as_deref());
        let found: Vec<Value> = self
            .properties
            .iter()
            .filter_map(|(id, name)| Some(json!({ "id": id, "value": single(view.property(name)?)? })))
            .collect();
        if !found.is_empty() {
            event.insert("singleValueExtendedProperties".into(), found.into());
        }
        if let Some(names) = self.exceptions.as_deref().filter(|_| view.original_start.is_none()) {
            let series = view.item.series.iter();
            let starts = series.flat_map(|series| series.exceptions.keys());
            let one = |start: &chrono::DateTime<chrono::Utc>| {
                let mut shown = event::write(view.item.instance(*start), &self.look);
                pick(&mut shown, Some(names));
                Value::Object(shown)
            };
            let shown: Vec<Value> = starts.map(one).collect();
            event.insert("exceptionOccurrences".into(), shown.into());
        }
        Value::Object(event)
    }
}

/// An event that a filter asks.
pub struct Asked<'a> {
    view: View<'a>,
    shown: std::cell::OnceCell<Value>,
}

impl<'a> Asked<'a> {
    pub fn new(view: View<'a>) -> Self {
        Self { view, shown: std::cell::OnceCell::new() }
    }
}

impl Subject for Asked<'_> {
    fn value(&self, path: &str) -> Option<Value> {
        let path = if path == "iCalUID" { "iCalUId" } else { path };
        // What is searched for most, without writing every event of the calendar.
        if let Some(value) = event::part(self.view, path) {
            return Some(value);
        }
        self.shown.get_or_init(|| event::write(self.view, &Look::default()).into()).value(path)
    }

    fn any(&self, collection: &str, test: &Filter) -> bool {
        if !collection.eq_ignore_ascii_case("singleValueExtendedProperties") {
            return self.shown.get_or_init(|| event::write(self.view, &Look::default()).into()).any(collection, test);
        }
        let mut ids = Vec::new();
        test.texts_of("id", &mut ids);
        ids.into_iter().any(|id| {
            let value = PropertyName::from_words(id).ok().and_then(|name| self.view.property(&name)).and_then(single);
            value.is_some_and(|value| test.fits(&json!({ "id": id, "value": value })))
        })
    }
}

/// Keeps the events that `$filter` wants, in the order of `$orderby`.
pub fn filtered<'a>(request: &Request, views: Vec<View<'a>>) -> Result<Vec<View<'a>>, Refused> {
    let mut asked: Vec<Asked<'a>> = views.into_iter().map(Asked::new).collect();
    if let Some(text) = request.option("filter") {
        let filter = Filter::read(text)?;
        check_properties(&filter)?;
        asked.retain(|event| filter.fits(event));
    }
    if let Some(text) = request.option("orderby") {
        let by = filter::read_order(text);
        asked.sort_by(|one, other| filter::order(&by, one, other));
    }
    Ok(asked.into_iter().map(|asked| asked.view).collect())
}

/// Names of extended properties in a filter must be readable.
fn check_properties(filter: &Filter) -> Result<(), Refused> {
    match filter {
        Filter::And(one, other) | Filter::Or(one, other) => {
            check_properties(one)?;
            check_properties(other)
        }
        Filter::Not(test) => check_properties(test),
        Filter::Any { collection, test } if collection.eq_ignore_ascii_case("singleValueExtendedProperties") => {
            let mut ids = Vec::new();
            test.texts_of("id", &mut ids);
            ids.into_iter().try_for_each(|id| PropertyName::from_words(id).map(|_| ()).map_err(Refused::from))
        }
        Filter::Any { .. } | Filter::Compare { .. } | Filter::Text { .. } => Ok(()),
    }
}

/// One page of a list, with `@odata.nextLink` if there is more.
pub fn page<T>(
    request: &Request,
    context: &str,
    default_size: usize,
    rows: Vec<T>,
    mut write: impl FnMut(&T) -> Value,
) -> Result<Value, Refused> {
    let size = request.number("top")?.or(request.prefer.page_size).unwrap_or(default_size).clamp(1, PAGE_MAX);
    let skip = request.number("skip")?.unwrap_or(0);
    let total = rows.len();
    let value: Vec<Value> = rows.iter().skip(skip).take(size).map(&mut write).collect();
    let end = skip.saturating_add(value.len());
    let mut page = Map::new();
    page.insert("@odata.context".into(), format!("{}/$metadata#{context}", request.base).into());
    if request.option("count").is_some_and(|count| count.eq_ignore_ascii_case("true")) {
        page.insert("@odata.count".into(), total.into());
    }
    page.insert("value".into(), value.into());
    if end < total {
        page.insert("@odata.nextLink".into(), link(request, &[("$skip", end.to_string())]).into());
    }
    Ok(page.into())
}

/// The URL of the request with some options set.
pub fn link(request: &Request, set: &[(&str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in &request.query {
        let name = if is_system(name) { format!("${name}") } else { name.clone() };
        if !set.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            query.append_pair(&name, value);
        }
    }
    for (name, value) in set {
        query.append_pair(name, value);
    }
    format!("{}?{}", url_of(request), query.finish())
}

/// The URL of the request without its options.
pub fn url_of(request: &Request) -> String {
    let encode = |segment: &String| percent_encoding::utf8_percent_encode(segment, SEGMENT).to_string();
    let path: Vec<String> = request.path.iter().map(encode).collect();
    format!("{}/{}", request.base, path.join("/"))
}

/// What may not stand in a segment of a path.
const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?');

fn is_system(name: &str) -> bool {
    const SYSTEM: &[&str] =
        &["select", "expand", "filter", "orderby", "top", "skip", "count", "search", "deltatoken", "skiptoken"];
    SYSTEM.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The names in `$select`.
pub fn select(request: &Request) -> Option<Vec<String>> {
    request.option("select").and_then(names)
}

/// The names in the `$select` of an expanded part, `$select=id,subject;$top=5)`.
fn nested_select(options: &str) -> Option<Vec<String>> {
    let options = options.strip_suffix(')').unwrap_or(options);
    let pairs = options.split(';').filter_map(|option| option.split_once('='));
    pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("$select")).and_then(|(_, list)| names(list))
}

fn names(list: &str) -> Option<Vec<String>> {
    let names: Vec<String> =
        list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    (!names.is_empty()).then_some(names)
}

/// Drops what was not selected; ids and annotations stay.
pub fn pick(object: &mut Map<String, Value>, select: Option<&[String]>) {
    let Some(names) = select else { return };
    object.retain(|name, _| {
        name == "id" || name.starts_with('@') || names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    });
}

/// The extended properties of a calendar that a request wants to see, under the names it gives them.
pub fn calendar_properties(request: &Request) -> Result<Vec<(String, PropertyName)>, Refused> {
    let mut wanted = Vec::new();
    for part in request.option("expand").map(parts).unwrap_or_default() {
        let (name, options) = part.split_once('(').unwrap_or((&part, ""));
        if !name.trim().eq_ignore_ascii_case("singleValueExtendedProperties") {
            let text = format!("Could not find a property named '{name}' on type 'microsoft.graph.calendar'.");
            return Err(Refused::bad("RequestBroker--ParseUri", text));
        }
        wanted.extend(properties(options)?);
    }
    Ok(wanted)
}

fn properties(options: &str) -> Result<Vec<(String, PropertyName)>, Refused> {
    let options = options.strip_suffix(')').unwrap_or(options);
    let condition = options.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("$filter"));
    let Some((_, condition)) = condition else {
        let text = "Expanding singleValueExtendedProperties needs a $filter on id.";
        return Err(Refused::bad("ErrorInvalidProperty", text));
    };
    let filter = Filter::read(condition)?;
    let mut ids = Vec::new();
    filter.texts_of("id", &mut ids);
    if ids.len() > PROPERTIES_MAX {
        return Err(Refused::bad("ErrorInvalidProperty", format!("More than {PROPERTIES_MAX} extended properties.")));
    }
    ids.into_iter().map(|id| Ok((id.to_owned(), PropertyName::from_words(id)?))).collect()
}

fn single(value: PropertyValue) -> Option<String> {
    match value {
        PropertyValue::Single(text) => Some(text),
        PropertyValue::Array(_) => None,
    }
}

fn cancelled(view: View<'_>, look: &Look) -> Value {
    let series = view.item.series.iter().filter(|_| view.original_start.is_none());
    let deleted = series.flat_map(|series| series.deleted.iter());
    deleted.map(|start| Value::String(event::occurrence_id(view, *start, look))).collect::<Vec<_>>().into()
}

/// The parts of a list whose commas inside parentheses or quotes do not part.
fn parts(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted) = (0_usize, false);
    for character in list.chars() {
        match character {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character == ',' && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(character);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}
