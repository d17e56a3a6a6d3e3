//! Paths: which operation a request asks for.
//!
//! Promises: the spellings that real clients use lead to the same operation: `delta`, `delta()`,
//! `microsoft.graph.delta()`, `calendar/events` and `events`. Must not know: the store.

use axum::http::{Method, StatusCode};

use super::answer::Refused;
use super::delta::Followed;
use super::request::Request;
use crate::sim::exchange::item::Reply;

/// An operation, with the names it was given. `user` is an id or a principal name, `calendar` the id of one that is not
/// meant to be the default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Users,
    User(String),
    Subscribe,
    Subscriptions,
    Subscription(String),
    Renew(String),
    Reauthorize(String),
    Unsubscribe(String),
    MailboxSettings { user: String, part: Option<String> },
    TimeZones { user: String, segment: String },
    Calendars { user: String },
    CreateCalendar { user: String },
    Calendar { user: String, calendar: Option<String> },
    UpdateCalendar { user: String, calendar: Option<String> },
    Events { user: String, calendar: Option<String> },
    CreateEvent { user: String, calendar: Option<String> },
    View { user: String, calendar: Option<String> },
    Delta { user: String, calendar: Option<String>, followed: Followed },
    GetEvent { user: String, id: String },
    UpdateEvent { user: String, id: String },
    DeleteEvent { user: String, id: String },
    Instances { user: String, id: String },
    Cancel { user: String, id: String },
    Respond { user: String, id: String, reply: Reply },
    Translate { user: String },
}

impl Route {
    /// The name that faults and counters know it by.
    pub fn operation(&self) -> &'static str {
        match self {
            Route::Users => "Graph.ListUsers",
            Route::User(_) => "Graph.GetUser",
            Route::MailboxSettings { .. } => "Graph.GetMailboxSettings",
            Route::TimeZones { .. } => "Graph.SupportedTimeZones",
            Route::Calendars { .. } => "Graph.ListCalendars",
            Route::CreateCalendar { .. } => "Graph.CreateCalendar",
            Route::Calendar { .. } => "Graph.GetCalendar",
            Route::UpdateCalendar { .. } => "Graph.UpdateCalendar",
            Route::Events { .. } => "Graph.ListEvents",
            Route::CreateEvent { .. } => "Graph.CreateEvent",
            Route::View { .. } => "Graph.CalendarView",
            Route::Delta { followed: Followed::View, .. } => "Graph.CalendarViewDelta",
            Route::Delta { followed: Followed::Events, .. } => "Graph.EventsDelta",
            Route::GetEvent { .. } => "Graph.GetEvent",
            Route::UpdateEvent { .. } => "Graph.UpdateEvent",
            Route::DeleteEvent { .. } => "Graph.DeleteEvent",
            Route::Instances { .. } => "Graph.Instances",
            Route::Cancel { .. } => "Graph.Cancel",
            Route::Respond { .. } => "Graph.Respond",
            Route::Translate { .. } => "Graph.TranslateIds",
            Route::Subscribe => "Graph.Subscribe",
            Route::Subscriptions => "Graph.ListSubscriptions",
            Route::Subscription(_) => "Graph.GetSubscription",
            Route::Renew(_) => "Graph.Renew",
            Route::Reauthorize(_) => "Graph.Reauthorize",
            Route::Unsubscribe(_) => "Graph.Unsubscribe",
        }
    }

    /// The mailbox it goes to, as the request names it.
    pub fn mailbox(&self) -> Option<&str> {
        match self {
            Route::Users
            | Route::User(_)
            | Route::Subscribe
            | Route::Subscriptions
            | Route::Subscription(_)
            | Route::Renew(_)
            | Route::Reauthorize(_)
            | Route::Unsubscribe(_) => None,
            Route::MailboxSettings { user, .. }
            | Route::TimeZones { user, .. }
            | Route::Calendars { user }
            | Route::CreateCalendar { user }
            | Route::Calendar { user, .. }
            | Route::UpdateCalendar { user, .. }
            | Route::Events { user, .. }
            | Route::CreateEvent { user, .. }
            | Route::View { user, .. }
            | Route::Delta { user, .. }
            | Route::GetEvent { user, .. }
            | Route::UpdateEvent { user, .. }
            | Route::DeleteEvent { user, .. }
            | Route::Instances { user, .. }
            | Route::Cancel { user, .. }
            | Route::Translate { user }
            | Route::Respond { user, .. } => Some(user),
        }
    }
}

/// The operation that a request asks for.
pub fn of(request: &Request) -> Result<Route, Refused> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["me", ..] => Err(Refused::bad("BadRequest", "/me request is only valid with delegated authentication flow.")),
        ["users"] => only(request, &Method::GET, Route::Users),
        ["users", user] => only(request, &Method::GET, Route::User((*user).to_owned())),
        ["subscriptions"] if request.method == Method::POST => Ok(Route::Subscribe),
        ["subscriptions"] => only(request, &Method::GET, Route::Subscriptions),
        ["subscriptions", id] => match request.method {
            Method::GET => Ok(Route::Subscription((*id).to_owned())),
            Method::PATCH => Ok(Route::Renew((*id).to_owned())),
            Method::DELETE => Ok(Route::Unsubscribe((*id).to_owned())),
            _ => Err(not_allowed()),
        },
        ["subscriptions", id, action] if function(action) == "reauthorize" => {
            only(request, &Method::POST, Route::Reauthorize((*id).to_owned()))
        }
        ["users", user, rest @ ..] => of_user(request, user, rest),
        [first, ..] => Err(unknown(first)),
        [] => Err(unknown("")),
    }
}

fn of_user(request: &Request, user: &str, rest: &[&str]) -> Result<Route, Refused> {
    let user = user.to_owned();
    match rest {
        ["mailboxSettings"] => only(request, &Method::GET, Route::MailboxSettings { user, part: None }),
        ["mailboxSettings", part] => {
            only(request, &Method::GET, Route::MailboxSettings { user, part: Some((*part).to_owned()) })
        }
        ["outlook", segment] if function(segment) == "supportedtimezones" => {
            only(request, &Method::GET, Route::TimeZones { user, segment: (*segment).to_owned() })
        }
        [action] if function(action) == "translateexchangeids" => {
            only(request, &Method::POST, Route::Translate { user })
        }
        ["calendars"] if request.method == Method::POST => Ok(Route::CreateCalendar { user }),
        ["calendars"] => only(request, &Method::GET, Route::Calendars { user }),
        ["calendar", rest @ ..] => of_calendar(request, user, None, rest),
        ["calendars", calendar, rest @ ..] => of_calendar(request, user, Some((*calendar).to_owned()), rest),
        rest @ ["events" | "calendarView", ..] => of_calendar(request, user, None, rest),
        [other, ..] => Err(unknown(other)),
        [] => Err(unknown("")),
    }
}

fn of_calendar(request: &Request, user: String, calendar: Option<String>, rest: &[&str]) -> Result<Route, Refused> {
    let get = |route| only(request, &Method::GET, route);
    match rest {
        [] if request.method == Method::PATCH => Ok(Route::UpdateCalendar { user, calendar }),
        [] => get(Route::Calendar { user, calendar }),
        ["events"] if request.method == Method::POST => Ok(Route::CreateEvent { user, calendar }),
        ["events"] => get(Route::Events { user, calendar }),
        ["calendarView"] => get(Route::View { user, calendar }),
        ["calendarView", last] if function(last) == "delta" => {
            get(Route::Delta { user, calendar, followed: Followed::View })
        }
        ["events", last] if function(last) == "delta" => {
            get(Route::Delta { user, calendar, followed: Followed::Events })
        }
        ["events" | "calendarView", id] => of_event(request, user, id, None),
        ["events" | "calendarView", id, action] => of_event(request, user, id, Some(action)),
        [other, ..] => Err(unknown(other)),
    }
}

fn of_event(request: &Request, user: String, id: &str, action: Option<&str>) -> Result<Route, Refused> {
    let id = id.to_owned();
    let Some(action) = action else {
        return match request.method {
            Method::GET => Ok(Route::GetEvent { user, id }),
            Method::PATCH => Ok(Route::UpdateEvent { user, id }),
            Method::DELETE => Ok(Route::DeleteEvent { user, id }),
            _ => Err(not_allowed()),
        };
    };
    let post = |route| only(request, &Method::POST, route);
    match function(action).as_str() {
        "instances" => only(request, &Method::GET, Route::Instances { user, id }),
        "cancel" => post(Route::Cancel { user, id }),
        "accept" => post(Route::Respond { user, id, reply: Reply::Accept }),
        "decline" => post(Route::Respond { user, id, reply: Reply::Decline }),
        "tentativelyaccept" => post(Route::Respond { user, id, reply: Reply::Tentative }),
        other => Err(unknown(other)),
    }
}

/// The bare name of an action or function: without namespace and parentheses, in small letters.
fn function(segment: &str) -> String {
    let name = segment.split_once('(').map_or(segment, |(name, _)| name);
    name.strip_prefix("microsoft.graph.").unwrap_or(name).to_ascii_lowercase()
}

fn only(request: &Request, method: &Method, route: Route) -> Result<Route, Refused> {
    if request.method == *method { Ok(route) } else { Err(not_allowed()) }
}

fn not_allowed() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", "Specified HTTP method is not allowed.")
}

pub fn unknown(segment: &str) -> Refused {
    Refused::bad("BadRequest", format!("Resource not found for the segment '{segment}'."))
}
