//! Which Comm_Link rows to add, change and remove so that they show an appointment's people and links.
//!
//! Promises: pure. A participant without an address is the CRM's own affair and never removed; a row that also names a
//! company or a person loses only the participant. The organizer never gets a second row.
//! Must not know: requests.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::map::{self, LINK_LINKS, Organizer, ROW_LINKS, STATUS_ORGANIZER};
use super::people::People;
use super::wire::{Columns, Row};
use crate::model::{Address, Appointment, Attendee, Response, UserId};

/// Length of `cmli_recipient`.
const RECIPIENT_MAX: usize = 255;

/// One write to Comm_Link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkWrite {
    Add(Columns),
    Change { id: String, columns: Columns },
    Remove { id: String },
}

/// Which parts of the link rows are to follow the appointment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub organizer: bool,
    pub attendees: bool,
    pub regarding: bool,
}

impl Scope {
    pub const ALL: Scope = Scope { organizer: true, attendees: true, regarding: true };

    pub fn is_empty(self) -> bool {
        !(self.organizer || self.attendees || self.regarding)
    }
}

/// Plans the writes that make the link rows show `wanted`, whose organizer is `organizer`.
pub fn plan(
    links: &[Row],
    wanted: &Appointment,
    organizer: Option<&Organizer>,
    people: &People,
    scope: Scope,
) -> Vec<LinkWrite> {
    let live = map::live(links);
    let mut writes = Vec::new();
    if scope.organizer || scope.attendees {
        participants(&live, wanted, organizer, people, scope, &mut writes);
    }
    if scope.regarding {
        regarding(&live, wanted, &mut writes);
    }
    writes
}

/// Somebody who must have a row.
struct Wanted {
    user: Option<UserId>,
    address: Address,
    response: Response,
}

fn participants(
    links: &[&Row],
    wanted: &Appointment,
    organizer: Option<&Organizer>,
    people: &People,
    scope: Scope,
    writes: &mut Vec<LinkWrite>,
) {
    let mut list: Vec<Wanted> = Vec::new();
    // An organizer who is no CRM user stands in Comm_Organizer only.
    if let Some(Organizer { person, user: Some(user) }) = organizer {
        list.push(Wanted { user: Some(user.clone()), address: person.address.clone(), response: Response::Organizer });
    }
    for attendee in &wanted.attendees {
        let user = known_user(attendee, people);
        if !organizer.is_some_and(|organizer| organizer.is(user.as_ref(), &attendee.person.address)) {
            list.push(Wanted { user, address: attendee.person.address.clone(), response: attendee.response });
        }
    }
    let mut used = HashSet::new();
    for person in &list {
        // A person can stand in several rows; the first is kept up to date, the others are left alone.
        let mut rows = links.iter().enumerate().filter(|(_, link)| names(link, person, people));
        match rows.next() {
            Some((index, link)) => {
                used.insert(index);
                used.extend(rows.map(|(index, _)| index));
                if let Some(code) = moved_status(link, person, people, scope) {
                    change(link, [("cmli_status", json!(code))], writes);
                    if let Some(user) = &person.user
                        && comes_after_all(link, person)
                    {
                        let cleared = ["CmLi_IsExternalAttendee", "cmli_recipient"].map(|column| (column, Json::Null));
                        change(link, cleared.into_iter().chain([("CmLi_Comm_UserId", map::id(&user.0))]), writes);
                    }
                }
            }
            None => {
                if let Some(columns) = new_row(person) {
                    writes.push(LinkWrite::Add(columns));
                }
            }
        }
    }
    for (index, link) in links.iter().enumerate() {
        let Some(attendee) = map::participant(link, people) else { continue };
        let address = &attendee.person.address;
        let organizes = organizer.is_some_and(|organizer| organizer.is(attendee.user.as_ref(), address));
        if !used.contains(&index) && !address.is_empty() && !organizes && scope.attendees {
            remove_participant(link, writes);
        }
    }
}

fn known_user(attendee: &Attendee, people: &People) -> Option<UserId> {
    let by_id = attendee.user.as_ref().filter(|id| people.user(id).is_some()).cloned();
    by_id.or_else(|| people.with_address(&attendee.person.address).map(|user| user.id.clone()))
}

fn names(link: &Row, person: &Wanted, people: &People) -> bool {
    map::participant(link, people).is_some_and(|found| {
        (person.user.is_some() && found.user == person.user)
            || (!person.address.is_empty() && found.person.address == person.address)
    })
}

/// The status a row must be given, or nothing if it shows the right one already.
fn moved_status(link: &Row, person: &Wanted, people: &People, scope: Scope) -> Option<i64> {
    let code = link.integer("cmli_status").unwrap_or(0);
    if person.response == Response::Organizer {
        return (scope.organizer && code != STATUS_ORGANIZER).then_some(STATUS_ORGANIZER);
    }
    let shown = map::participant(link, people).map(|found| found.response);
    // Who was organizer and is an attendee now must lose the mark, else two rows would bear it.
    let demoted = scope.organizer && code == STATUS_ORGANIZER;
    (scope.attendees && shown != Some(person.response) || demoted).then(|| map::response_code(person.response))
}

/// A CRM user who had declined, and therefore stood there as somebody from elsewhere, changed that answer.
fn comes_after_all(link: &Row, person: &Wanted) -> bool {
    link.flag("CmLi_IsExternalAttendee")
        && link.id("CmLi_Comm_UserId").is_none()
        && link.integer("cmli_status") == Some(map::response_code(Response::Declined))
        && person.response != Response::Declined
}

/// A CRM user who has declined gets no user's row, which would put the appointment into that user's calendar: the answer is
/// shown in a row like those of people from elsewhere, as Sage's own integration leaves such users out.
fn new_row(person: &Wanted) -> Option<Columns> {
    let status = ("cmli_status", json!(map::response_code(person.response)));
    let declined = person.response == Response::Declined && !person.address.is_empty();
    match (person.user.as_ref().filter(|_| !declined), person.address.is_empty()) {
        (Some(user), _) => Some(columns([("CmLi_Comm_UserId", map::id(&user.0)), status])),
        (None, false) => {
            let address = map::text(person.address.as_str(), RECIPIENT_MAX);
            Some(columns([("CmLi_IsExternalAttendee", json!("Y")), ("cmli_recipient", address), status]))
        }
        // Nobody can be named by a row without user and address.
        (None, true) => None,
    }
}

fn remove_participant(link: &Row, writes: &mut Vec<LinkWrite>) {
    if LINK_LINKS.iter().any(|(_, column)| link.id(column).is_some()) {
        let cleared = ["CmLi_Comm_UserId", "CmLi_IsExternalAttendee", "cmli_recipient", "cmli_status"];
        change(link, cleared.map(|column| (column, Json::Null)), writes);
    } else if let Some(id) = link.key("CmLi_CommLinkId") {
        writes.push(LinkWrite::Remove { id });
    }
}

fn regarding(links: &[&Row], wanted: &Appointment, writes: &mut Vec<LinkWrite>) {
    let mut shown = HashSet::new();
    for link in links {
        let mut cleared = Vec::new();
        for (entity, column) in LINK_LINKS {
            let Some(id) = link.id(column) else { continue };
            if wanted.regarding.iter().any(|link| link.entity == entity && link.id == id) {
                shown.insert((entity, id));
            } else {
                cleared.push((column, Json::Null));
            }
        }
        let kept = LINK_LINKS.iter().filter(|(_, column)| link.id(column).is_some()).count() > cleared.len();
        let person = link.id("CmLi_Comm_UserId").is_some() || link.flag("CmLi_IsExternalAttendee");
        if !cleared.is_empty() && !kept && !person {
            writes.extend(link.key("CmLi_CommLinkId").map(|id| LinkWrite::Remove { id }));
        } else if !cleared.is_empty() {
            change(link, cleared, writes);
        }
    }
    for (entity, column) in LINK_LINKS {
        // What has a column on the communication itself is written there.
        if ROW_LINKS.iter().any(|(own, _)| *own == entity) {
            continue;
        }
        for link in wanted.regarding.iter().filter(|link| link.entity == entity) {
            if shown.insert((entity, link.id.clone())) {
                writes.push(LinkWrite::Add(columns([(column, map::id(&link.id))])));
            }
        }
    }
}

/// Adds to the change of that row if there is one already: a row is written once.
fn change(link: &Row, values: impl IntoIterator<Item = (&'static str, Json)>, writes: &mut Vec<LinkWrite>) {
    let Some(row) = link.key("CmLi_CommLinkId") else { return };
    let values = columns(values);
    let before = writes.iter_mut().find_map(|write| match write {
        LinkWrite::Change { id, columns } if *id == row => Some(columns),
        _ => None,
    });
    match before {
        Some(columns) => columns.extend(values),
        None => writes.push(LinkWrite::Change { id: row, columns: values }),
    }
}

fn columns(values: impl IntoIterator<Item = (&'static str, Json)>) -> Columns {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
