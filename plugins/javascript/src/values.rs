//! The contract's values as JavaScript's and back, and the functions the prelude calls.
//!
//! A field becomes a JavaScript value when the script looks at it, so that a call pays for what its rule reads.
//! Promises: what the prelude checked crosses unchanged. Must not know: hooks.

use std::cell::RefCell;

use rquickjs::{Array, Atom, Ctx, Exception, Function, IntoJs as _, Null, Object, Result, Value};

use crate::bindings::daybridge::rules::{log, lookup, settings};
use crate::wit;

/// What the contract calls custom fields, before their own name.
const CUSTOM: &str = "custom.";

/// The largest whole number JavaScript holds exactly.
const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The appointment of this call.
#[derive(Default)]
pub struct Fields {
    pub source: Vec<wit::Field>,
    pub draft: Vec<wit::Field>,
}

thread_local! {
    static FIELDS: RefCell<Fields> = const { RefCell::new(Fields { source: Vec::new(), draft: Vec::new() }) };
}

/// Keeps the appointment of this call for the prelude to ask for.
pub fn offer(fields: Fields) {
    FIELDS.with(|kept| *kept.borrow_mut() = fields);
}

/// The object `host` of the prelude.
pub fn natives<'js>(context: &Ctx<'js>) -> Result<Object<'js>> {
    let host = Object::new(context.clone())?;
    let add = |name: &str, function: Function<'js>| host.set(name, function.with_name(name)?);
    add("source", Function::new(context.clone(), source)?)?;
    add("draft", Function::new(context.clone(), draft)?)?;
    add("before", Function::new(context.clone(), before)?)?;
    add("customs", Function::new(context.clone(), customs)?)?;
    add("settings", Function::new(context.clone(), all_settings)?)?;
    add("log", Function::new(context.clone(), write)?)?;
    add("user", Function::new(context.clone(), find_user)?)?;
    add("caption", Function::new(context.clone(), caption)?)?;
    add("keyValue", Function::new(context.clone(), key_value)?)?;
    Ok(host)
}

fn source<'js>(context: Ctx<'js>, name: String) -> Result<Value<'js>> {
    FIELDS.with_borrow(|fields| field(&context, fields.source.iter(), &name))
}

/// Where the draft is another than the source.
fn draft<'js>(context: Ctx<'js>, name: String) -> Result<Value<'js>> {
    FIELDS.with_borrow(|fields| field(&context, fields.draft.iter(), &name))
}

/// The draft's own, wherever it is from.
fn before<'js>(context: Ctx<'js>, name: String) -> Result<Value<'js>> {
    FIELDS.with_borrow(|fields| field(&context, fields.draft.iter().chain(&fields.source), &name))
}

fn field<'js, 'a>(
    context: &Ctx<'js>,
    mut fields: impl Iterator<Item = &'a wit::Field>,
    name: &str,
) -> Result<Value<'js>> {
    match fields.find(|field| field.name == name) {
        Some(field) => to_js(context, &field.value),
        None => Ok(Value::new_undefined(context.clone())),
    }
}

fn customs<'js>(context: Ctx<'js>, draft: bool) -> Result<Object<'js>> {
    let customs = Object::new(context.clone())?;
    FIELDS.with_borrow(|fields| {
        for field in if draft { &fields.draft } else { &fields.source } {
            if let Some(name) = field.name.strip_prefix(CUSTOM) {
                customs.set(name, to_js(&context, &field.value)?)?;
            }
        }
        Ok(customs)
    })
}

fn all_settings<'js>(context: Ctx<'js>) -> Result<Object<'js>> {
    let object = Object::new(context.clone())?;
    for wit::Field { name, value } in settings::list() {
        object.set(name, to_js(&context, &value)?)?;
    }
    Ok(object)
}

fn write(level: String, message: String) {
    let level = match level.as_str() {
        "debug" => log::Level::Debug,
        "warn" => log::Level::Warn,
        "error" => log::Level::Error,
        _ => log::Level::Info,
    };
    log::write(level, &message);
}

fn find_user<'js>(context: Ctx<'js>, key: String, by_id: bool) -> Result<Value<'js>> {
    let found = if by_id { lookup::user_by_id(&key) } else { lookup::user_by_address(&key) };
    match found.map_err(|error| refused(&context, error, "users"))? {
        Some(found) => Ok(user(&context, &found)?.into_value()),
        None => Null.into_js(&context),
    }
}

fn caption<'js>(context: Ctx<'js>, family: String, code: String) -> Result<Value<'js>> {
    let found = lookup::caption(&family, &code).map_err(|error| refused(&context, error, "captions"))?;
    optional(&context, found.as_deref())
}

fn key_value<'js>(context: Ctx<'js>, name: String) -> Result<Value<'js>> {
    let found = lookup::key_value(&name).map_err(|error| refused(&context, error, "key-values"))?;
    optional(&context, found.as_deref())
}

fn refused(context: &Ctx<'_>, error: lookup::LookupError, kind: &str) -> rquickjs::Error {
    let message = match error {
        lookup::LookupError::NotGranted => {
            format!(
                "looking up {kind} was not asked for: add lookups: [\"{kind}\"] to the rule, and to its entry in the configuration"
            )
        }
        lookup::LookupError::Unavailable => format!("the host cannot look up {kind} at the moment"),
    };
    Exception::throw_message(context, &message)
}

fn optional<'js>(context: &Ctx<'js>, text: Option<&str>) -> Result<Value<'js>> {
    match text {
        Some(text) => text.into_js(context),
        None => Null.into_js(context),
    }
}

/// A value of the contract; `empty` is null.
pub fn to_js<'js>(context: &Ctx<'js>, value: &wit::Value) -> Result<Value<'js>> {
    match value {
        wit::Value::Empty => Null.into_js(context),
        wit::Value::Text(text) => text.as_str().into_js(context),
        wit::Value::Flag(flag) => flag.into_js(context),
        wit::Value::Number(number) => number.clamp(&-SAFE_INTEGER, &SAFE_INTEGER).to_owned().into_js(context),
        wit::Value::Decimal(number) => number.into_js(context),
        wit::Value::Texts(texts) => list(context, texts, |text| text.as_str().into_js(context)),
        wit::Value::Time(time) => Ok(time_to_js(context, time)?.into_value()),
        wit::Value::Person(one) => Ok(person(context, one)?.into_value()),
        wit::Value::People(list) => people(context, list),
        wit::Value::Links(links) => list(context, links, |link| Ok(link_to_js(context, link)?.into_value())),
    }
}

/// A JavaScript list of some values.
pub fn list<'js, T>(
    context: &Ctx<'js>,
    values: &[T],
    convert: impl Fn(&T) -> Result<Value<'js>>,
) -> Result<Value<'js>> {
    let list = Array::new(context.clone())?;
    for (at, value) in values.iter().enumerate() {
        list.set(at, convert(value)?)?;
    }
    Ok(list.into_value())
}

fn time_to_js<'js>(context: &Ctx<'js>, time: &wit::Time) -> Result<Object<'js>> {
    let object = Object::new(context.clone())?;
    match time {
        wit::Time::Timed(wit::Span { start, end, zone, local_start, local_end }) => {
            object.set("allDay", false)?;
            object.set("start", *start)?;
            object.set("end", *end)?;
            object.set("zone", zone.as_str())?;
            object.set("localStart", local_start.as_str())?;
            object.set("localEnd", local_end.as_str())?;
        }
        wit::Time::AllDay(wit::Days { first, last }) => {
            object.set("allDay", true)?;
            object.set("first", first.as_str())?;
            object.set("last", last.as_str())?;
        }
    }
    Ok(object)
}

/// Somebody by name and address.
pub fn person<'js>(context: &Ctx<'js>, person: &wit::Person) -> Result<Object<'js>> {
    let object = Object::new(context.clone())?;
    object.set("name", person.name.as_str())?;
    object.set("address", person.address.as_str())?;
    Ok(object)
}

const KINDS: [(&str, wit::AttendeeKind); 3] = [
    ("required", wit::AttendeeKind::Required),
    ("optional", wit::AttendeeKind::Optional),
    ("resource", wit::AttendeeKind::Resource),
];

const RESPONSES: [(&str, wit::Response); 5] = [
    ("none", wit::Response::None),
    ("tentative", wit::Response::Tentative),
    ("accepted", wit::Response::Accepted),
    ("declined", wit::Response::Declined),
    ("organizer", wit::Response::Organizer),
];

fn word<T: PartialEq>(words: &'static [(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

fn by_word<T: Copy>(words: &[(&str, T)], word: &str, otherwise: T) -> T {
    words.iter().find(|(known, _)| *known == word).map_or(otherwise, |(_, value)| *value)
}

/// Attendees, whose properties' names are looked up once for all of them.
fn people<'js>(context: &Ctx<'js>, people: &[wit::Attendee]) -> Result<Value<'js>> {
    let key = |name| Atom::from_str(context.clone(), name);
    let (name, address, user) = (key("name")?, key("address")?, key("user")?);
    let (kind, response, responded) = (key("kind")?, key("response")?, key("responded")?);
    list(context, people, |attendee| {
        let object = Object::new(context.clone())?;
        object.set(name.clone(), attendee.name.as_str())?;
        object.set(address.clone(), attendee.address.as_str())?;
        object.set(user.clone(), optional(context, attendee.user.as_deref())?)?;
        object.set(kind.clone(), word(&KINDS, &attendee.kind))?;
        object.set(response.clone(), word(&RESPONSES, &attendee.response))?;
        let answered = match attendee.responded {
            Some(seconds) => seconds.into_js(context)?,
            None => Null.into_js(context)?,
        };
        object.set(responded.clone(), answered)?;
        Ok(object.into_value())
    })
}

fn link_to_js<'js>(context: &Ctx<'js>, link: &wit::Link) -> Result<Object<'js>> {
    let object = Object::new(context.clone())?;
    object.set("entity", link.entity.as_str())?;
    object.set("id", link.id.as_str())?;
    object.set("name", link.name.as_str())?;
    Ok(object)
}

/// A user of the CRM.
pub fn user<'js>(context: &Ctx<'js>, user: &wit::User) -> Result<Object<'js>> {
    let object = Object::new(context.clone())?;
    object.set("id", user.id.as_str())?;
    object.set("logon", user.logon.as_str())?;
    object.set("firstName", user.first_name.as_str())?;
    object.set("lastName", user.last_name.as_str())?;
    object.set("address", user.address.as_str())?;
    object.set("active", user.active)?;
    object.set("resource", user.resource)?;
    Ok(object)
}

/// An edit of the prelude: `[name, kind, value]`.
pub fn edit(edit: &Array) -> Result<wit::Field> {
    Ok(wit::Field { name: edit.get(0)?, value: from_js(&edit.get::<String>(1)?, edit.get(2)?)? })
}

/// What the prelude says crosses as `kind`.
pub fn from_js(kind: &str, value: Value) -> Result<wit::Value> {
    Ok(match kind {
        "text" => wit::Value::Text(value.get()?),
        "flag" => wit::Value::Flag(value.get()?),
        "number" => wit::Value::Number(value.get()?),
        "texts" => wit::Value::Texts(value.get()?),
        "time" => wit::Value::Time(time_from_js(&value.get()?)?),
        "person" => wit::Value::Person(person_from_js(&value.get()?)?),
        "people" => {
            let list: Vec<Object> = value.get()?;
            wit::Value::People(list.iter().map(attendee_from_js).collect::<Result<_>>()?)
        }
        "links" => {
            let list: Vec<Object> = value.get()?;
            let link = |link: &Object| {
                Ok(wit::Link { entity: link.get("entity")?, id: link.get("id")?, name: link.get("name")? })
            };
            wit::Value::Links(list.iter().map(link).collect::<Result<_>>()?)
        }
        _ => wit::Value::Empty,
    })
}

fn time_from_js(object: &Object) -> Result<wit::Time> {
    if object.get("allDay")? {
        return Ok(wit::Time::AllDay(wit::Days { first: object.get("first")?, last: object.get("last")? }));
    }
    Ok(wit::Time::Timed(wit::Span {
        start: object.get("start")?,
        end: object.get("end")?,
        zone: object.get("zone")?,
        local_start: object.get("localStart")?,
        local_end: object.get("localEnd")?,
    }))
}

fn person_from_js(object: &Object) -> Result<wit::Person> {
    Ok(wit::Person { name: object.get("name")?, address: object.get("address")? })
}

fn attendee_from_js(object: &Object) -> Result<wit::Attendee> {
    Ok(wit::Attendee {
        name: object.get("name")?,
        address: object.get("address")?,
        user: object.get("user")?,
        kind: by_word(&KINDS, &object.get::<_, String>("kind")?, wit::AttendeeKind::Required),
        response: by_word(&RESPONSES, &object.get::<_, String>("response")?, wit::Response::None),
        responded: object.get("responded")?,
    })
}
