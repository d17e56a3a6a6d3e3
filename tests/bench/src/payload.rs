//! The one appointment all cases are given: twenty fields and more, five attendees, 500 bytes of text; in the host's model,
//! in the SDK's, and as what plugin hosts that speak JSON get.

use std::collections::BTreeMap;

use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Importance, Link, Person, Response, Scalar, Time, UserId, Zone,
};
use daybridge_rule::prelude as sdk;
use serde::{Deserialize, Serialize};

pub const TAG: &str = "[CRM] ";
const START: i64 = 1_795_510_800;
const NAMES: [&str; 5] = ["Ada Byron", "Grace Murray", "Katherine Coleman", "Mary Fairfax", "Room 7"];
const RESPONSES: [&str; 5] = ["accepted", "declined", "accepted", "tentative", "accepted"];

fn address(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

fn text() -> String {
    let mut text = "We go through the figures of the quarter and decide what is done next. ".repeat(7);
    text.push_str("Bring the list of open points.");
    text
}

pub fn host() -> Appointment {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).expect("an instant");
    let time = Time::timed(at(START), at(START + 3600), Zone::named("Europe/Dublin"));
    let attendee = |(name, response): (&&str, &&str)| Attendee {
        person: Person { name: (*name).to_owned(), address: Address::new(&address(name)) },
        user: Some(UserId("12".to_owned())),
        kind: if *name == "Room 7" { AttendeeKind::Resource } else { AttendeeKind::Required },
        response: match *response {
            "accepted" => Response::Accepted,
            "declined" => Response::Declined,
            _ => Response::Tentative,
        },
        responded: None,
    };
    let custom = [
        ("customer", Scalar::Text("Northwind".to_owned())),
        ("area", Scalar::Text("north".to_owned())),
        ("level", Scalar::Number(3)),
        ("billable", Scalar::Flag(true)),
    ];
    Appointment {
        body: Body::plain(text()),
        organizer: Some(Person { name: "Ada Byron".to_owned(), address: Address::new(&address("Ada Byron")) }),
        attendees: NAMES.iter().zip(&RESPONSES).map(attendee).collect(),
        reminder_minutes: Some(15),
        importance: Importance::High,
        categories: vec!["Accounts".to_owned(), "Board".to_owned()],
        online_meeting: Some("https://meet.example.com/j/4711".to_owned()),
        regarding: vec![Link { entity: "company".to_owned(), id: "28".to_owned(), name: "Northwind".to_owned() }],
        responses: "Ada Byron: accepted".to_owned(),
        custom: custom.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Appointment::new("Budget of the quarter", time)
    }
}

pub fn native() -> sdk::Appointment {
    let attendee = |(name, response): (&&str, &&str)| sdk::Attendee {
        name: (*name).to_owned(),
        address: address(name),
        user: Some("12".to_owned()),
        kind: if *name == "Room 7" { sdk::AttendeeKind::Resource } else { sdk::AttendeeKind::Required },
        response: match *response {
            "accepted" => sdk::Response::Accepted,
            "declined" => sdk::Response::Declined,
            _ => sdk::Response::Tentative,
        },
        responded: None,
    };
    let custom = [
        ("customer", sdk::Scalar::Text("Northwind".to_owned())),
        ("area", sdk::Scalar::Text("north".to_owned())),
        ("level", sdk::Scalar::Number(3)),
        ("billable", sdk::Scalar::Flag(true)),
    ];
    sdk::Appointment {
        body: text(),
        time: sdk::Time::timed(START, START + 3600, "Europe/Dublin"),
        organizer: Some(sdk::Person { name: "Ada Byron".to_owned(), address: address("Ada Byron") }),
        attendees: NAMES.iter().zip(&RESPONSES).map(attendee).collect(),
        reminder: Some(15),
        importance: sdk::Importance::High,
        categories: vec!["Accounts".to_owned(), "Board".to_owned()],
        online_meeting: Some("https://meet.example.com/j/4711".to_owned()),
        regarding: vec![sdk::Link { entity: "company".to_owned(), id: "28".to_owned(), name: "Northwind".to_owned() }],
        responses: "Ada Byron: accepted".to_owned(),
        custom: custom.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..sdk::Appointment::new("Budget of the quarter")
    }
}

/// What a rule answers, in whatever way it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Edits {
    pub subject: String,
    pub body: String,
    pub location: String,
    pub show_as: String,
    pub categories: Vec<String>,
}

impl From<&sdk::Draft> for Edits {
    fn from(draft: &sdk::Draft) -> Self {
        let show_as = if draft.show_as == sdk::ShowAs::OutOfOffice { "out-of-office" } else { "busy" };
        let (subject, body, location) = (draft.subject.clone(), draft.body.clone(), draft.location.clone());
        Self { subject, body, location, show_as: show_as.to_owned(), categories: draft.categories.clone() }
    }
}

impl From<&Appointment> for Edits {
    fn from(after: &Appointment) -> Self {
        let show_as = if after.show_as == daybridge::model::ShowAs::OutOfOffice { "out-of-office" } else { "busy" };
        Self {
            subject: after.subject.clone(),
            body: after.body.text.clone(),
            location: after.location.clone(),
            show_as: show_as.to_owned(),
            categories: after.categories.clone(),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Question {
    pub tag: String,
    pub source: Wire,
    pub draft: Wire,
}

#[derive(Clone, Debug, Serialize)]
pub struct Wire {
    subject: String,
    body: String,
    location: String,
    start: i64,
    end: i64,
    local_start: String,
    local_end: String,
    zone: String,
    organizer: (String, String),
    attendees: Vec<WireAttendee>,
    reminder: u32,
    sensitivity: &'static str,
    show_as: &'static str,
    importance: &'static str,
    status: &'static str,
    categories: Vec<String>,
    online_meeting: String,
    regarding: Vec<(String, String, String)>,
    responses: String,
    custom: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Serialize)]
struct WireAttendee {
    name: String,
    address: String,
    kind: &'static str,
    response: &'static str,
}

pub fn question() -> Question {
    let native = native();
    let attendee = |(name, response): (&&str, &&'static str)| WireAttendee {
        name: (*name).to_owned(),
        address: address(name),
        kind: if *name == "Room 7" { "resource" } else { "required" },
        response,
    };
    let custom: [(&str, serde_json::Value); 4] =
        [("customer", "Northwind".into()), ("area", "north".into()), ("level", 3.into()), ("billable", true.into())];
    let wire = Wire {
        subject: native.subject,
        body: native.body,
        location: String::new(),
        start: START,
        end: START + 3600,
        local_start: "2026-11-24T09:00:00+00:00".to_owned(),
        local_end: "2026-11-24T10:00:00+00:00".to_owned(),
        zone: "Europe/Dublin".to_owned(),
        organizer: ("Ada Byron".to_owned(), address("Ada Byron")),
        attendees: NAMES.iter().zip(&RESPONSES).map(attendee).collect(),
        reminder: 15,
        sensitivity: "normal",
        show_as: "busy",
        importance: "high",
        status: "pending",
        categories: native.categories,
        online_meeting: "https://meet.example.com/j/4711".to_owned(),
        regarding: vec![("company".to_owned(), "28".to_owned(), "Northwind".to_owned())],
        responses: native.responses,
        custom: custom.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    Question { tag: TAG.to_owned(), source: wire.clone(), draft: wire }
}
