//! Pages for people: every user's calendar as the CRM has it, and forms to make, change and remove appointments.
//!
//! Promises: works without scripts; all text is escaped; GET changes nothing; a form sent from another site is refused;
//! times are the server's wall times. Needs no sign-in: it stands for people who sit at the CRM, and what they do is not
//! counted as writes of the REST API. Must not know: faults.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{NaiveDateTime, TimeDelta};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::database::{Database, Row, Table};
use super::refusal::Refusal;
use super::schema::{COMM_LINK, COMMUNICATION, COMPANY, PERSON, USERS};
use super::value::{Format, Value};
use super::{Crm, local_time, rest};

/// Appointments of one person on the page: as much as a person reads; the newest are kept.
const SHOWN_MAX: usize = 100;
/// The longest appointment the form makes: a week.
const MINUTES_MAX: u32 = 7 * 24 * 60;
/// Value of the organizer's and internal users' links, as Sage's own integration writes it.
const STATUS_ORGANIZER: i32 = 6;

type Page = Result<Response, Refusal>;

/// `GET /`: the calendars.
pub async fn calendars(State(crm): State<Arc<Crm>>) -> Page {
    let body = {
        let database = crm.database();
        let mut body = String::from("<p><a href=\"/new\">New appointment</a></p>");
        for calendar in read(&database)? {
            calendar.draw(&mut body);
        }
        body
    };
    let zone = format!("<p class=\"dim\">Times of the server: {}</p>", escape(crm.format.zone.name()));
    Ok(page("Sage CRM (simulated)", true, &(body + &zone)))
}

/// `GET /new`: the form for an appointment.
pub async fn new(State(crm): State<Arc<Crm>>) -> Page {
    let mut users = String::new();
    {
        let database = crm.database();
        for (id, name) in people(&database)? {
            let _ = write!(users, "<option value=\"{id}\">{}</option>", escape(&name));
        }
    }
    let start = local_time::now(crm.clock.as_ref(), crm.format.zone) + TimeDelta::days(1);
    let body = format!(
        "<form method=\"post\" action=\"/appointments\">\
         <label>Organizer <select name=\"organizer\">{users}</select></label>\
         <label>With <select name=\"colleague\"><option value=\"\">nobody</option>{users}</select></label>\
         <label><input type=\"checkbox\" name=\"customer\" value=\"yes\"> with Ann Lee of Acme Ltd</label>\
         <label>Subject <input name=\"subject\" maxlength=\"255\" required></label>\
         <label>Location <input name=\"location\" maxlength=\"255\"></label>\
         <label>Details <textarea name=\"note\" rows=\"4\"></textarea></label>\
         <label>Start <input type=\"datetime-local\" name=\"start\" value=\"{}\" required></label>\
         <label>Minutes <input type=\"number\" name=\"minutes\" value=\"60\" min=\"0\" max=\"{MINUTES_MAX}\"></label>\
         <button>Save</button> <a href=\"/\">Back</a></form>",
        start.format("%Y-%m-%dT%H:00"),
    );
    Ok(page("New appointment", false, &body))
}

/// The form of [`new`].
#[derive(Deserialize)]
pub struct NewAppointment {
    organizer: i32,
    #[serde(default)]
    colleague: String,
    #[serde(default)]
    customer: Option<String>,
    subject: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    note: String,
    start: String,
    minutes: u32,
}

/// `POST /appointments`: makes an appointment with its links.
pub async fn create(State(crm): State<Arc<Crm>>, headers: HeaderMap, Form(form): Form<NewAppointment>) -> Page {
    from_here(&headers)?;
    let start = moment(&form.start, crm.format)?;
    let end = start + TimeDelta::minutes(form.minutes.min(MINUTES_MAX).into());
    let mut users = vec![form.organizer];
    if let Ok(colleague) = form.colleague.parse()
        && colleague != form.organizer
    {
        users.push(colleague);
    }
    crm.write(COMMUNICATION, form.organizer, |database, by| {
        for user in &users {
            if database.table(USERS)?.row(*user).is_none() {
                return Err(Refusal::no_record(USERS, &user.to_string()));
            }
        }
        let record = record(json!({
            "Comm_Type": "Appointment", "Comm_Action": "Meeting", "Comm_Status": "Pending", "Comm_Priority": "Normal",
            "Comm_Subject": form.subject, "Comm_Location": form.location, "Comm_Note": form.note,
            "Comm_DateTime": wall(start), "Comm_ToDateTime": wall(end), "Comm_Organizer": form.organizer,
        }));
        let communications = database.table_mut(COMMUNICATION)?;
        let values = rest::values(communications, &record, crm.format)?;
        let key = communications.insert(values, by)?;
        let mut links: Vec<Json> = users
            .iter()
            .map(|user| json!({"CmLi_Comm_CommunicationId": key, "CmLi_Comm_UserId": user, "cmli_status": STATUS_ORGANIZER}))
            .collect();
        if form.customer.is_some() {
            links.extend(customer(database, key)?);
        }
        for link in links {
            let table = database.table_mut(COMM_LINK)?;
            let values = rest::values(table, &self::record(link), crm.format)?;
            table.insert(values, by)?;
        }
        Ok(())
    })?;
    Ok(Redirect::to("/").into_response())
}

/// The link rows of the demo customer: the person on whose record the communication shows, and the attendee to invite.
fn customer(database: &Database, key: i32) -> Result<Vec<Json>, Refusal> {
    let persons = database.table(PERSON)?;
    let Some((person, row)) = persons.rows().next() else { return Ok(Vec::new()) };
    let address = persons.value(row, "Pers_EmailAddress").text();
    let company = persons.value(row, "Pers_CompanyId").int();
    Ok(vec![
        json!({"CmLi_Comm_CommunicationId": key, "CmLi_Comm_PersonId": person, "CmLi_Comm_CompanyId": company}),
        json!({"CmLi_Comm_CommunicationId": key, "CmLi_IsExternalAttendee": "Y", "cmli_recipient": address,
               "CmLi_ExternalPersonID": person, "cmli_status": 0}),
    ])
}

/// `GET /appointments/{key}`: the form to change an appointment.
pub async fn edit(State(crm): State<Arc<Crm>>, Path(key): Path<i32>) -> Page {
    let database = crm.database();
    let table = database.table(COMMUNICATION)?;
    let row = table.row(key).ok_or_else(|| Refusal::no_record(COMMUNICATION, &key.to_string()))?;
    let text = |name: &str| escape(table.value(row, name).text());
    let start = table.value(row, "Comm_DateTime").time().map_or_else(String::new, minute);
    let body = format!(
        "<form method=\"post\" action=\"/appointments/{key}\">\
         <label>Subject <input name=\"subject\" maxlength=\"255\" value=\"{}\" required></label>\
         <label>Location <input name=\"location\" maxlength=\"255\" value=\"{}\"></label>\
         <label>Start (keeps its length) <input type=\"datetime-local\" name=\"start\" value=\"{start}\" required></label>\
         <button>Save</button> <a href=\"/\">Back</a></form>\
         <form method=\"post\" action=\"/appointments/{key}/cancel\"><button>Cancel the appointment</button></form>\
         <form method=\"post\" action=\"/appointments/{key}/delete\"><button>Delete it</button></form>",
        text("Comm_Subject"),
        text("Comm_Location"),
    );
    Ok(page("Change an appointment", false, &body))
}

/// The form of [`edit`].
#[derive(Deserialize)]
pub struct Edited {
    subject: String,
    #[serde(default)]
    location: String,
    start: String,
}

/// `POST /appointments/{key}`: writes what the form changed.
pub async fn change(
    State(crm): State<Arc<Crm>>,
    Path(key): Path<i32>,
    headers: HeaderMap,
    Form(form): Form<Edited>,
) -> Page {
    from_here(&headers)?;
    let start = moment(&form.start, crm.format)?;
    update(&crm, key, |table, row| {
        let mut record = record(json!({"Comm_Subject": form.subject, "Comm_Location": form.location}));
        let (from, to) = (table.value(row, "Comm_DateTime").time(), table.value(row, "Comm_ToDateTime").time());
        // The form shows no seconds; a start left as it was keeps them.
        if from.is_none_or(|from| minute(from) != minute(start)) {
            let length = from.zip(to).map_or(TimeDelta::zero(), |(from, to)| to - from);
            record.insert("Comm_DateTime".into(), wall(start).into());
            record.insert("Comm_ToDateTime".into(), wall(start + length).into());
        }
        record
    })
}

/// `POST /appointments/{key}/cancel`.
pub async fn cancel(State(crm): State<Arc<Crm>>, Path(key): Path<i32>, headers: HeaderMap) -> Page {
    from_here(&headers)?;
    update(&crm, key, |_, _| record(json!({"Comm_Status": "Cancelled"})))
}

/// `POST /appointments/{key}/delete`.
pub async fn delete(State(crm): State<Arc<Crm>>, Path(key): Path<i32>, headers: HeaderMap) -> Page {
    from_here(&headers)?;
    update(&crm, key, |_, _| record(json!({"Comm_Deleted": 1})))
}

/// Changes a communication as its organizer.
fn update(crm: &Crm, key: i32, record: impl FnOnce(&Table, &Row) -> Map<String, Json>) -> Page {
    let user = {
        let database = crm.database();
        let table = database.table(COMMUNICATION)?;
        let organizer = table.row(key).and_then(|row| table.value(row, "Comm_Organizer").text().parse().ok());
        organizer.unwrap_or(1)
    };
    crm.write(COMMUNICATION, user, |database, by| {
        let table = database.table_mut(COMMUNICATION)?;
        let row = table.row(key).ok_or_else(|| Refusal::no_record(COMMUNICATION, &key.to_string()))?;
        let values = rest::values(table, &record(table, row), crm.format)?;
        table.update(key, values, by)
    })?;
    Ok(Redirect::to("/").into_response())
}

/// One person's calendar as the page shows it.
struct Calendar {
    name: String,
    left_out: usize,
    items: Vec<Item>,
}

/// One appointment as the page shows it.
#[derive(Clone)]
struct Item {
    key: i32,
    start: Option<NaiveDateTime>,
    when: String,
    subject: String,
    location: String,
    status: String,
    private: bool,
    people: Vec<String>,
    responses: String,
}

fn read(database: &Database) -> Result<Vec<Calendar>, Refusal> {
    let (communications, links) = (database.table(COMMUNICATION)?, database.table(COMM_LINK)?);
    let mut of_communication: BTreeMap<i32, Vec<&Row>> = BTreeMap::new();
    for (_, link) in links.rows() {
        if let Some(key) = links.value(link, "CmLi_Comm_CommunicationId").int() {
            of_communication.entry(key).or_default().push(link);
        }
    }
    let mut calendars: BTreeMap<i32, Vec<Item>> = BTreeMap::new();
    for (key, row) in communications.rows() {
        if !communications.value(row, "Comm_Type").text().eq_ignore_ascii_case("Appointment") {
            continue;
        }
        let linked = of_communication.remove(&key).unwrap_or_default();
        let item = item(database, communications, key, row, &linked)?;
        let mut users: Vec<i32> =
            linked.iter().filter_map(|link| links.value(link, "CmLi_Comm_UserId").int()).collect();
        users.extend(communications.value(row, "Comm_Organizer").text().parse::<i32>());
        users.sort_unstable();
        users.dedup();
        for user in users {
            calendars.entry(user).or_default().push(item.clone());
        }
    }
    let calendar = |(id, name)| {
        let mut items = calendars.remove(&id).unwrap_or_default();
        items.sort_by_key(|item| item.start);
        let left_out = items.len().saturating_sub(SHOWN_MAX);
        Calendar { name, left_out, items: items.split_off(left_out) }
    };
    Ok(people(database)?.into_iter().map(calendar).collect())
}

/// Users with an address: those who have a calendar.
fn people(database: &Database) -> Result<Vec<(i32, String)>, Refusal> {
    let users = database.table(USERS)?;
    let with_address = users.rows().filter(|(_, row)| *users.value(row, "User_EmailAddress") != Value::Null);
    Ok(with_address.map(|(id, row)| (id, full_name(users, row, "User_"))).collect())
}

fn item(database: &Database, table: &Table, key: i32, row: &Row, linked: &[&Row]) -> Result<Item, Refusal> {
    let start = table.value(row, "Comm_DateTime").time();
    let mut people = Vec::new();
    for link in linked {
        people.extend(participant(database, link)?);
    }
    Ok(Item {
        key,
        start,
        when: when(start, table.value(row, "Comm_ToDateTime").time(), table.value(row, "Comm_IsAllDayEvent").is_set()),
        subject: table.value(row, "Comm_Subject").text().to_owned(),
        location: table.value(row, "Comm_Location").text().to_owned(),
        status: table.value(row, "Comm_Status").text().to_owned(),
        private: table.value(row, "Comm_Private").is_set(),
        people,
        responses: table.value(row, "comm_responses").text().to_owned(),
    })
}

/// What a link row says, in words: who, and the response if there is one.
fn participant(database: &Database, link: &Row) -> Result<Option<String>, Refusal> {
    let links = database.table(COMM_LINK)?;
    let record = |table: &str, column: &str, prefix: &str| -> Result<Option<String>, Refusal> {
        let table = database.table(table)?;
        let row = links.value(link, column).int().and_then(|key| table.row(key));
        Ok(row.map(|row| full_name(table, row, prefix)))
    };
    let who = if let Some(user) = record(USERS, "CmLi_Comm_UserId", "User_")? {
        user
    } else if links.value(link, "CmLi_IsExternalAttendee").is_set() {
        links.value(link, "cmli_recipient").text().to_owned()
    } else if let Some(person) = record(PERSON, "CmLi_Comm_PersonId", "Pers_")? {
        return Ok(Some(format!("regarding {person}")));
    } else {
        let companies = database.table(COMPANY)?;
        let company = links.value(link, "CmLi_Comm_CompanyId").int().and_then(|key| companies.row(key));
        return Ok(company.map(|row| format!("regarding {}", companies.value(row, "Comp_Name").text())));
    };
    Ok(Some(match links.value(link, "cmli_status").int() {
        Some(2) => format!("{who}: tentative"),
        Some(3) => format!("{who}: accepted"),
        Some(4) => format!("{who}: declined"),
        _ => who,
    }))
}

impl Calendar {
    fn draw(&self, page: &mut String) {
        let _ = write!(page, "<h2>{}</h2>", escape(&self.name));
        if self.items.is_empty() {
            page.push_str("<p class=\"dim\">No appointments.</p>");
            return;
        }
        if self.left_out > 0 {
            let _ = write!(page, "<p class=\"dim\">{} earlier ones are not shown.</p>", self.left_out);
        }
        page.push_str(
            "<table><tr><th>When<th>Subject<th>Location<th>Status<th>People<th>Responses from Exchange<th></tr>",
        );
        for item in &self.items {
            let people: Vec<String> = item.people.iter().map(|person| escape(person)).collect();
            let _ = write!(
                page,
                "<tr class=\"{}\"><td>{}<td>{}{}<td>{}<td>{}<td>{}<td class=\"text\">{}<td><a href=\"/appointments/{}\">Change</a></tr>",
                if item.status == "Cancelled" { "gone" } else { "" },
                escape(&item.when),
                escape(&item.subject),
                if item.private { " <b>private</b>" } else { "" },
                escape(&item.location),
                escape(&item.status),
                people.join("<br>"),
                escape(&item.responses),
                item.key,
            );
        }
        page.push_str("</table>");
    }
}

fn page(title: &str, refreshes: bool, body: &str) -> Response {
    let refresh = if refreshes { "<meta http-equiv=\"refresh\" content=\"3\">" } else { "" };
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}<title>{title}</title><style>\
         body{{font:15px sans-serif;margin:2em;max-width:75em}}table{{border-collapse:collapse;width:100%}}\
         th,td{{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px solid #ccc}}\
         .gone{{text-decoration:line-through;color:#666}}.dim{{color:#666}}.text{{white-space:pre-line}}\
         label{{display:block;margin:.6em 0}}form{{margin-bottom:1em}}</style></head><body><h1>{title}</h1>{body}</body></html>"
    );
    let headers: [(HeaderName, &str); 2] = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(text)).into_response()
}

/// Refuses a form that a page of another site sent: browsers name the site in `Origin`.
fn from_here(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => Ok(()),
        (Some(origin), Some(host)) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        _ => Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", "the form was sent from another site")),
    }
}

fn record(json: Json) -> Map<String, Json> {
    if let Json::Object(record) = json { record } else { Map::new() }
}

fn moment(text: &str, format: Format) -> Result<NaiveDateTime, Refusal> {
    local_time::parse(text, format.zone).ok_or_else(|| Refusal::bad_data("the start is not a date and time"))
}

fn wall(local: NaiveDateTime) -> String {
    local.format("%Y-%m-%dT%H:%M:%S").to_string()
}

fn minute(local: NaiveDateTime) -> String {
    local.format("%Y-%m-%dT%H:%M").to_string()
}

fn when(start: Option<NaiveDateTime>, end: Option<NaiveDateTime>, all_day: bool) -> String {
    let Some(start) = start else { return "no date".into() };
    let day = start.format("%a %-d %b %Y");
    match end {
        _ if all_day => format!("{day}, all day"),
        None => format!("{day}, {}", start.format("%H:%M")),
        Some(end) if end.date() == start.date() => format!("{day}, {}-{}", start.format("%H:%M"), end.format("%H:%M")),
        Some(end) => format!("{day}, {} to {}", start.format("%H:%M"), end.format("%a %-d %b %Y, %H:%M")),
    }
}

fn full_name(table: &Table, row: &Row, prefix: &str) -> String {
    let part = |name: &str| table.value(row, &format!("{prefix}{name}")).text().to_owned();
    format!("{} {}", part("FirstName"), part("LastName")).trim().to_owned()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
