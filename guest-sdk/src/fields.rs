//! Named fields to appointment, and a changed appointment back to edits.
//!
//! Promises: a field this version does not know, and one the author did not change, never appears among the edits.

use crate::bindings::daybridge::rules::types as wit;
use crate::model::{Appointment, Attendee, Draft, Importance, Scalar, Sensitivity, ShowAs, Span, Status, Time, User};

pub use wit::Value;

/// What custom fields are called in the contract, before their own name.
const CUSTOM: &str = "custom.";

/// Reads the fields of an appointment. Values of an unexpected kind are left out, as unknown fields are.
pub fn appointment(fields: Vec<wit::Field>) -> Appointment {
    let mut to = Appointment::default();
    fields.into_iter().for_each(|field| take(&mut to, field));
    to
}

/// Makes the changes that turn the source into the draft.
pub fn change(draft: &mut Draft, fields: Vec<wit::Field>) {
    for field in fields {
        match (field.name.as_str(), &field.value) {
            ("removed", Value::Flag(flag)) => draft.set_flags(Some(*flag), None),
            ("mail-allowed", Value::Flag(flag)) => draft.set_flags(None, Some(*flag)),
            _ => take(draft, field),
        }
    }
}

fn take(to: &mut Appointment, wit::Field { name, value }: wit::Field) {
    match name.as_str() {
        "subject" => take_text(&mut to.subject, value),
        "body" => take_text(&mut to.body, value),
        "body-html" => take_optional(&mut to.body_html, value),
        "location" => take_text(&mut to.location, value),
        "time" => {
            if let Value::Time(time) = value {
                to.time = time.into();
            }
        }
        "organizer" => match value {
            Value::Person(person) => to.organizer = Some(person),
            Value::Empty => to.organizer = None,
            _ => {}
        },
        "attendees" => match value {
            Value::People(people) => to.attendees = people.into_iter().map(Attendee::from).collect(),
            Value::Empty => to.attendees.clear(),
            _ => {}
        },
        "reminder" => match value {
            Value::Number(minutes) => to.reminder = u32::try_from(minutes).ok(),
            Value::Empty => to.reminder = None,
            _ => {}
        },
        "sensitivity" => take_word(&mut to.sensitivity, Sensitivity::from_word, value),
        "show-as" => take_word(&mut to.show_as, ShowAs::from_word, value),
        "importance" => take_word(&mut to.importance, Importance::from_word, value),
        "status" => take_word(&mut to.status, Status::from_word, value),
        "categories" => match value {
            Value::Texts(names) => to.categories = names,
            Value::Empty => to.categories.clear(),
            _ => {}
        },
        "online-meeting" => take_optional(&mut to.online_meeting, value),
        "recurrence" => take_optional(&mut to.recurrence, value),
        "regarding" => match value {
            Value::Links(links) => to.regarding = links,
            Value::Empty => to.regarding.clear(),
            _ => {}
        },
        "responses" => take_text(&mut to.responses, value),
        name => {
            let Some(custom) = name.strip_prefix(CUSTOM) else { return };
            match value {
                Value::Empty => {
                    to.custom.remove(custom);
                }
                value => {
                    if let Some(scalar) = scalar(value) {
                        to.custom.insert(custom, scalar);
                    }
                }
            }
        }
    }
}

fn take_text(to: &mut String, value: Value) {
    match value {
        Value::Text(text) => *to = text,
        Value::Empty => to.clear(),
        _ => {}
    }
}

fn take_optional(to: &mut Option<String>, value: Value) {
    match value {
        Value::Text(text) => *to = Some(text),
        Value::Empty => *to = None,
        _ => {}
    }
}

fn take_word<T: Default>(to: &mut T, read: fn(&str) -> T, value: Value) {
    match value {
        Value::Text(word) => *to = read(&word),
        Value::Empty => *to = T::default(),
        _ => {}
    }
}

/// The fields in which a draft differs from what it was.
pub fn edits(before: &Appointment, removed: bool, mail_allowed: bool, after: Draft) -> Vec<wit::Field> {
    let (after, removed_now, mail_allowed_now) = after.into_parts();
    let mut edits = Edits(Vec::new());
    macro_rules! compare {
        ($($name:literal, $field:ident => $value:expr;)*) => {
            $(if before.$field != after.$field {
                edits.push($name, $value(after.$field));
            })*
        };
    }
    compare! {
        "subject", subject => text;
        "body", body => text;
        "location", location => text;
        "time", time => |time: Time| Value::Time(time.into());
        "organizer", organizer => |person: Option<wit::Person>| person.map_or(Value::Empty, Value::Person);
        "attendees", attendees => |people: Vec<Attendee>| Value::People(people.into_iter().map(wit::Attendee::from).collect());
        "reminder", reminder => |minutes: Option<u32>| minutes.map_or(Value::Empty, |minutes| Value::Number(minutes.into()));
        "sensitivity", sensitivity => |case: Sensitivity| text(case.word().to_owned());
        "show-as", show_as => |case: ShowAs| text(case.word().to_owned());
        "importance", importance => |case: Importance| text(case.word().to_owned());
        "status", status => |case: Status| text(case.word().to_owned());
        "categories", categories => Value::Texts;
        "online-meeting", online_meeting => optional;
        "recurrence", recurrence => optional;
        "regarding", regarding => Value::Links;
        "responses", responses => text;
    }
    if removed != removed_now {
        edits.push("removed", Value::Flag(removed_now));
    }
    if mail_allowed != mail_allowed_now {
        edits.push("mail-allowed", Value::Flag(mail_allowed_now));
    }
    for name in before.custom.keys().filter(|name| !after.custom.contains_key(name)) {
        edits.push(&[CUSTOM, name].concat(), Value::Empty);
    }
    for (name, value) in after.custom {
        if before.custom.get(&name) != Some(&value) {
            edits.push(&[CUSTOM, &name].concat(), value.into());
        }
    }
    edits.0
}

/// The fields the contract names, as [`crate::Description::reads`] takes them.
#[cfg(not(target_arch = "wasm32"))]
pub const NAMES: [&str; 17] = [
    "subject",
    "body",
    "body-html",
    "location",
    "time",
    "organizer",
    "attendees",
    "reminder",
    "sensitivity",
    "show-as",
    "importance",
    "status",
    "categories",
    "online-meeting",
    "recurrence",
    "regarding",
    "responses",
];

/// Stands for every custom field.
#[cfg(not(target_arch = "wasm32"))]
pub const ALL_CUSTOM: &str = "custom.*";

/// What of an appointment a rule is shown that reads these fields; no names at all: everything.
#[cfg(not(target_arch = "wasm32"))]
pub fn shown(of: &Appointment, reads: &[String]) -> Appointment {
    if reads.is_empty() {
        return of.clone();
    }
    let mut shown = Appointment::default();
    let all = reads.iter().any(|name| name == ALL_CUSTOM);
    for name in reads {
        match name.as_str() {
            "subject" => shown.subject.clone_from(&of.subject),
            "body" => shown.body.clone_from(&of.body),
            "body-html" => shown.body_html.clone_from(&of.body_html),
            "location" => shown.location.clone_from(&of.location),
            "time" => shown.time.clone_from(&of.time),
            "organizer" => shown.organizer.clone_from(&of.organizer),
            "attendees" => shown.attendees.clone_from(&of.attendees),
            "reminder" => shown.reminder = of.reminder,
            "sensitivity" => shown.sensitivity = of.sensitivity,
            "show-as" => shown.show_as = of.show_as,
            "importance" => shown.importance = of.importance,
            "status" => shown.status = of.status,
            "categories" => shown.categories.clone_from(&of.categories),
            "online-meeting" => shown.online_meeting.clone_from(&of.online_meeting),
            "recurrence" => shown.recurrence.clone_from(&of.recurrence),
            "regarding" => shown.regarding.clone_from(&of.regarding),
            "responses" => shown.responses.clone_from(&of.responses),
            _ => {}
        }
    }
    let read = |name: &str| all || reads.iter().any(|read| read.strip_prefix(CUSTOM) == Some(name));
    shown.custom = of.custom.clone();
    shown.custom.retain(|name, _| read(name));
    shown
}

struct Edits(Vec<wit::Field>);

impl Edits {
    #[inline(never)] // Once per field, it would be a good part of a rule.
    fn push(&mut self, name: &str, value: Value) {
        self.0.push(wit::Field { name: name.to_owned(), value });
    }
}

fn text(text: String) -> Value {
    if text.is_empty() { Value::Empty } else { Value::Text(text) }
}

fn optional(value: Option<String>) -> Value {
    value.map_or(Value::Empty, text)
}

fn scalar(value: Value) -> Option<Scalar> {
    match value {
        Value::Text(text) => Some(Scalar::Text(text)),
        Value::Number(number) => Some(Scalar::Number(number)),
        Value::Flag(flag) => Some(Scalar::Flag(flag)),
        _ => None,
    }
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => Value::Text(text),
            Scalar::Number(number) => Value::Number(number),
            Scalar::Flag(flag) => Value::Flag(flag),
        }
    }
}

impl From<wit::Time> for Time {
    fn from(time: wit::Time) -> Self {
        match time {
            wit::Time::Timed(wit::Span { start, end, zone, local_start, local_end }) => {
                Time::Timed(Span { start, end, zone, local_start, local_end })
            }
            wit::Time::AllDay(wit::Days { first, last }) => Time::AllDay { first, last },
        }
    }
}

impl From<Time> for wit::Time {
    fn from(time: Time) -> Self {
        match time {
            Time::Timed(Span { start, end, zone, local_start, local_end }) => {
                wit::Time::Timed(wit::Span { start, end, zone, local_start, local_end })
            }
            Time::AllDay { first, last } => wit::Time::AllDay(wit::Days { first, last }),
        }
    }
}

impl From<wit::Attendee> for Attendee {
    fn from(attendee: wit::Attendee) -> Self {
        let wit::Attendee { name, address, user, kind, response, responded } = attendee;
        Self { name, address, user, kind, response, responded }
    }
}

impl From<Attendee> for wit::Attendee {
    fn from(attendee: Attendee) -> Self {
        let Attendee { name, address, user, kind, response, responded } = attendee;
        Self { name, address, user, kind, response, responded }
    }
}

impl From<wit::User> for User {
    fn from(user: wit::User) -> Self {
        let wit::User { id, logon, first_name, last_name, address, active, resource, more: _ } = user;
        Self { id, logon, first_name, last_name, address, active, resource }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: Value) -> wit::Field {
        wit::Field { name: name.to_owned(), value }
    }

    #[test]
    fn only_what_the_author_changed_is_an_edit() {
        let fields = vec![
            field("subject", Value::Text("Budget".into())),
            field("show-as", Value::Text("a-word-of-tomorrow".into())),
            field("a-field-of-tomorrow", Value::Number(7)),
            field("custom.area", Value::Text("north".into())),
            field("custom.level", Value::Number(3)),
            field("mail-allowed", Value::Flag(true)),
        ];
        let mut before = Draft::of(&Appointment::default());
        change(&mut before, fields);
        let edits = |after: Draft| edits(&before, before.is_removed(), before.is_mail_allowed(), after);
        assert_eq!(edits(before.clone()), []);

        let mut after = before.clone();
        after.subject.clear();
        after.reminder = Some(15);
        after.custom.remove("area");
        after.custom.insert("level", Scalar::Number(4));
        after.forbid_mail();
        assert_eq!(
            edits(after),
            [
                field("subject", Value::Empty),
                field("reminder", Value::Number(15)),
                field("mail-allowed", Value::Flag(false)),
                field("custom.area", Value::Empty),
                field("custom.level", Value::Number(4)),
            ]
        );
    }
}
