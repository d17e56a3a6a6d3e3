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

/// Reads the fields of a draft.
pub fn draft(fields: Vec<wit::Field>) -> Draft {
    let (mut to, mut removed, mut mail_allowed) = (Appointment::default(), false, true);
    for field in fields {
        match (field.name.as_str(), &field.value) {
            ("removed", Value::Flag(flag)) => removed = *flag,
            ("mail-allowed", Value::Flag(flag)) => mail_allowed = *flag,
            _ => take(&mut to, field),
        }
    }
    Draft::new(to, removed, mail_allowed)
}

fn take(to: &mut Appointment, wit::Field { name, value }: wit::Field) {
    match (name.as_str(), value) {
        ("subject", Value::Text(text)) => to.subject = text,
        ("body", Value::Text(text)) => to.body = text,
        ("body-html", Value::Text(text)) => to.body_html = Some(text),
        ("location", Value::Text(text)) => to.location = text,
        ("time", Value::Time(time)) => to.time = time.into(),
        ("organizer", Value::Person(person)) => to.organizer = Some(person),
        ("attendees", Value::People(people)) => to.attendees = people.into_iter().map(Attendee::from).collect(),
        ("reminder", Value::Number(minutes)) => to.reminder = u32::try_from(minutes).ok(),
        ("sensitivity", Value::Text(word)) => to.sensitivity = Sensitivity::from_word(&word),
        ("show-as", Value::Text(word)) => to.show_as = ShowAs::from_word(&word),
        ("importance", Value::Text(word)) => to.importance = Importance::from_word(&word),
        ("status", Value::Text(word)) => to.status = Status::from_word(&word),
        ("categories", Value::Texts(names)) => to.categories = names,
        ("online-meeting", Value::Text(text)) => to.online_meeting = Some(text),
        ("recurrence", Value::Text(text)) => to.recurrence = Some(text),
        ("regarding", Value::Links(links)) => to.regarding = links,
        ("responses", Value::Text(text)) => to.responses = text,
        (_, value) => {
            if let (Some(custom), Some(scalar)) = (name.strip_prefix(CUSTOM), scalar(value)) {
                to.custom.insert(custom.to_owned(), scalar);
            }
        }
    }
}

/// The fields in which a draft differs from what it was.
pub fn edits(before: &Draft, after: Draft) -> Vec<wit::Field> {
    let mut edits = Vec::new();
    let mut edit = |name: &str, changed: bool, value: &dyn Fn() -> Value| {
        if changed {
            edits.push(wit::Field { name: name.to_owned(), value: value() });
        }
    };
    edit("subject", before.subject != after.subject, &|| text(&after.subject));
    edit("body", before.body != after.body, &|| text(&after.body));
    edit("location", before.location != after.location, &|| text(&after.location));
    edit("time", before.time != after.time, &|| Value::Time(after.time.clone().into()));
    edit("organizer", before.organizer != after.organizer, &|| {
        after.organizer.clone().map_or(Value::Empty, Value::Person)
    });
    edit("attendees", before.attendees != after.attendees, &|| {
        Value::People(after.attendees.iter().cloned().map(wit::Attendee::from).collect())
    });
    edit("reminder", before.reminder != after.reminder, &|| {
        after.reminder.map_or(Value::Empty, |minutes| Value::Number(minutes.into()))
    });
    edit("sensitivity", before.sensitivity != after.sensitivity, &|| text(after.sensitivity.word()));
    edit("show-as", before.show_as != after.show_as, &|| text(after.show_as.word()));
    edit("importance", before.importance != after.importance, &|| text(after.importance.word()));
    edit("status", before.status != after.status, &|| text(after.status.word()));
    edit("categories", before.categories != after.categories, &|| Value::Texts(after.categories.clone()));
    edit("online-meeting", before.online_meeting != after.online_meeting, &|| optional(&after.online_meeting));
    edit("recurrence", before.recurrence != after.recurrence, &|| optional(&after.recurrence));
    edit("regarding", before.regarding != after.regarding, &|| Value::Links(after.regarding.clone()));
    edit("responses", before.responses != after.responses, &|| text(&after.responses));
    edit("removed", before.is_removed() != after.is_removed(), &|| Value::Flag(after.is_removed()));
    edit("mail-allowed", before.is_mail_allowed() != after.is_mail_allowed(), &|| Value::Flag(after.is_mail_allowed()));
    for name in before.custom.keys().filter(|name| !after.custom.contains_key(*name)) {
        edits.push(wit::Field { name: format!("{CUSTOM}{name}"), value: Value::Empty });
    }
    for (name, value) in after.custom.iter().filter(|(name, value)| before.custom.get(*name) != Some(value)) {
        edits.push(wit::Field { name: format!("{CUSTOM}{name}"), value: value.clone().into() });
    }
    edits
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Empty } else { Value::Text(text.to_owned()) }
}

fn optional(value: &Option<String>) -> Value {
    value.as_deref().map_or(Value::Empty, text)
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
        let before = draft(fields);
        assert_eq!(edits(&before, before.clone()), []);

        let mut after = before.clone();
        after.subject.clear();
        after.reminder = Some(15);
        after.custom.remove("area");
        after.custom.insert("level".into(), Scalar::Number(4));
        after.forbid_mail();
        assert_eq!(
            edits(&before, after),
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
