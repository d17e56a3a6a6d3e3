//! The logic of `tests/plugins/mapping` as a plugin for extism: JSON in, JSON out.

use std::collections::BTreeMap;

use extism_pdk::{FnResult, plugin_fn};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Question {
    tag: String,
    source: Appointment,
    draft: Appointment,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read as a rule's author gets them, whether used or not")]
struct Appointment {
    subject: String,
    body: String,
    location: String,
    start: i64,
    end: i64,
    local_start: String,
    local_end: String,
    zone: String,
    organizer: (String, String),
    attendees: Vec<Attendee>,
    reminder: u32,
    sensitivity: String,
    show_as: String,
    importance: String,
    status: String,
    categories: Vec<String>,
    online_meeting: String,
    regarding: Vec<(String, String, String)>,
    responses: String,
    custom: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as above")]
struct Attendee {
    name: String,
    address: String,
    kind: String,
    response: String,
}

#[derive(Serialize)]
struct Edits {
    subject: String,
    body: String,
    location: String,
    show_as: String,
    categories: Vec<String>,
}

#[plugin_fn]
pub fn apply(question: Vec<u8>) -> FnResult<Vec<u8>> {
    let Question { tag, source, mut draft } = serde_json::from_slice(&question)?;
    if !draft.subject.starts_with(&tag) {
        draft.subject = format!("{tag}{}", draft.subject);
    }
    let count = |response| source.attendees.iter().filter(|attendee| attendee.response == response).count();
    let (accepted, declined) = (count("accepted"), count("declined"));
    if let Some(serde_json::Value::String(customer)) = source.custom.get("customer") {
        let category = format!("Customer: {customer}");
        if !draft.categories.contains(&category) {
            draft.categories.push(category);
        }
        draft.body = format!("{}\n\nCustomer: {customer}\nAccepted: {accepted}, declined: {declined}", draft.body);
    }
    if source.attendees.iter().any(|attendee| attendee.kind == "resource") {
        draft.show_as = "out-of-office".to_owned();
    }
    if draft.location.is_empty() {
        draft.location = "Office".to_owned();
    }
    let Appointment { subject, body, location, show_as, categories, .. } = draft;
    Ok(serde_json::to_vec(&Edits { subject, body, location, show_as, categories })?)
}
