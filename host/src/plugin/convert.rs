//! Contract types to model types and back.
//!
//! Promises: what a rule answers is checked here, field by field, and a bad value is named; nothing of an answer is used
//! before all of it was understood. Must not know: how rules are run.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};

use super::bindings::daybridge::rules::types as wit;
use super::limits::clean;
use crate::model::{
    Address, Attendee, AttendeeKind, Direction, Field, Importance, Link, Person, Recurrence, Response, Scalar,
    Sensitivity, ShowAs, Status, Time, User, UserId, Value, Zone,
};
use crate::rules::{Conflict, Explanation, Failure, NextStep, Resolution};

pub const REMOVED: &str = "removed";
pub const MAIL_ALLOWED: &str = "mail-allowed";
/// Of the source alone, and for reading only.
pub const BODY_HTML: &str = "body-html";

pub fn direction(direction: Direction) -> wit::Direction {
    match direction {
        Direction::CrmToExchange => wit::Direction::CrmToExchange,
        Direction::ExchangeToCrm => wit::Direction::ExchangeToCrm,
    }
}

pub fn call(of: Direction, key: &str) -> wit::Call {
    wit::Call { direction: direction(of), key: key.to_owned(), more: Vec::new() }
}

/// Edits of a draft, all of which can be made.
#[derive(Debug, Default, PartialEq)]
pub struct Edits {
    /// Names of the fields they set, in the rule's order.
    pub names: Vec<String>,
    /// What they set, besides the next two.
    pub set: Vec<(Field, Value)>,
    pub removed: Option<bool>,
    pub mail_allowed: Option<bool>,
}

/// What a rule's edits come to, on a draft of which mail is allowed or not.
///
/// # Errors
/// One readable line naming the first edit that cannot be made.
pub fn edits(mut mail_allowed: bool, edits: Vec<wit::Field>) -> Result<Edits, String> {
    let mut all = Edits::default();
    for wit::Field { name, value } in edits {
        match (name.as_str(), value) {
            (REMOVED, wit::Value::Flag(flag)) => all.removed = Some(flag),
            (MAIL_ALLOWED, wit::Value::Flag(flag)) if flag && !mail_allowed => {
                return Err("sets field mail-allowed to true, but mail can only be forbidden".to_owned());
            }
            (MAIL_ALLOWED, wit::Value::Flag(flag)) => (mail_allowed, all.mail_allowed) = (flag, Some(flag)),
            (REMOVED | MAIL_ALLOWED, _) => return Err(format!("sets field {name} to something that is no flag")),
            (BODY_HTML, _) => return Err("sets field body-html, which is for reading only; set body".to_owned()),
            (_, value) => {
                let field = named(&name)?;
                let value = from_wit(&field, value)?;
                field.takes(&value).map_err(|wrong| wrong.to_string())?;
                all.set.push((field, value));
            }
        }
        all.names.push(name);
    }
    Ok(all)
}

/// What a rule decided, for the fields it was asked about; anything else is no answer to the question and is left out.
///
/// # Errors
/// One readable line naming the first value that does not fit its field.
pub fn resolutions(asked: &[Conflict], answers: Vec<wit::Resolution>) -> Result<BTreeMap<Field, Resolution>, String> {
    let mut decided = BTreeMap::new();
    for wit::Resolution { field, choice } in answers {
        let field = named(&field)?;
        if !asked.iter().any(|conflict| conflict.field == field) {
            continue;
        }
        let resolution = match choice {
            wit::Choice::Crm => Resolution::Crm,
            wit::Choice::Exchange => Resolution::Exchange,
            wit::Choice::Other(value) => Resolution::Value(from_wit(&field, value)?),
        };
        decided.insert(field, resolution);
    }
    Ok(decided)
}

pub fn failure(failure: &Failure) -> wit::Failure {
    let Failure { code, class, origin, message, hint, appointment, attempts } = failure.clone();
    wit::Failure { code, class, origin, message, hint, appointment, attempts, more: Vec::new() }
}

pub fn explanation(rule: &str, explanation: wit::Explanation) -> Explanation {
    let wit::Explanation { title, text, hint, next, more: _ } = explanation;
    let next = next.map(|next| match next {
        wit::NextStep::Retry => NextStep::Retry,
        wit::NextStep::Park => NextStep::Park,
    });
    Explanation { rule: rule.to_owned(), title: clean(&title), text: clean(&text), hint: clean(&hint), next }
}

pub fn user(user: &User) -> wit::User {
    wit::User {
        id: user.id.0.clone(),
        logon: user.logon.clone(),
        first_name: user.first_name.clone(),
        last_name: user.last_name.clone(),
        address: user.address.as_str().to_owned(),
        active: user.active,
        resource: user.resource,
        more: Vec::new(),
    }
}

pub fn person(person: Person) -> wit::Person {
    wit::Person { name: person.name, address: person.address.as_str().to_owned() }
}

/// Bytes of texts in edits, and a small sum for everything else, to hold against the answer limit.
pub fn size(fields: &[wit::Field]) -> u64 {
    fields.iter().map(|field| field.name.len() + value_size(&field.value)).sum::<usize>() as u64
}

fn value_size(value: &wit::Value) -> usize {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.len()).sum::<usize>();
    match value {
        wit::Value::Text(text) => text.len(),
        wit::Value::Texts(list) => list.iter().map(|text| text.len() + 8).sum(),
        wit::Value::Person(person) => texts(&[&person.name, &person.address]),
        wit::Value::People(people) => people.iter().map(|one| texts(&[&one.name, &one.address]) + 32).sum(),
        wit::Value::Links(links) => links.iter().map(|link| texts(&[&link.entity, &link.id, &link.name]) + 24).sum(),
        wit::Value::Time(_) => 64,
        wit::Value::Empty | wit::Value::Flag(_) | wit::Value::Number(_) | wit::Value::Decimal(_) => 8,
    }
}

/// How much of a rule's answer there is, in bytes as [`size`] counts them.
pub trait Weight {
    fn weight(&self) -> u64;
}

impl Weight for wit::Verdict {
    fn weight(&self) -> u64 {
        match self {
            wit::Verdict::Pass(edits) => size(edits),
            wit::Verdict::Skip(reason) => reason.len() as u64,
            wit::Verdict::Hold(pause) => pause.reason.len() as u64 + 4,
            wit::Verdict::Refuse(problem) => {
                let field = problem.field.as_ref().map_or(0, String::len);
                (problem.code.len() + problem.message.len() + field) as u64 + size(&problem.more)
            }
        }
    }
}

impl Weight for Vec<wit::Resolution> {
    fn weight(&self) -> u64 {
        let each = |resolution: &wit::Resolution| {
            let value = match &resolution.choice {
                wit::Choice::Crm | wit::Choice::Exchange => 1,
                wit::Choice::Other(value) => value_size(value),
            };
            (resolution.field.len() + value) as u64
        };
        self.iter().map(each).sum()
    }
}

impl Weight for Option<wit::Explanation> {
    fn weight(&self) -> u64 {
        self.as_ref()
            .map_or(0, |words| (words.title.len() + words.text.len() + words.hint.len()) as u64 + size(&words.more))
    }
}

impl Weight for Option<String> {
    fn weight(&self) -> u64 {
        self.as_ref().map_or(0, |text| text.len() as u64)
    }
}

impl<T: Weight, E> Weight for Result<T, E> {
    fn weight(&self) -> u64 {
        self.as_ref().map_or(0, Weight::weight)
    }
}

impl Weight for Vec<u8> {
    fn weight(&self) -> u64 {
        self.len() as u64
    }
}

impl Weight for wit::Description {
    fn weight(&self) -> u64 {
        (self.name.len() + self.purpose.len() + self.settings_schema.len()) as u64 + size(&self.more)
    }
}

impl Weight for wit::Failure {
    fn weight(&self) -> u64 {
        let texts = [&self.code, &self.class, &self.origin, &self.message, &self.hint, &self.appointment];
        texts.iter().map(|text| text.len() as u64).sum::<u64>() + 4 + size(&self.more)
    }
}

impl Weight for [wit::User] {
    fn weight(&self) -> u64 {
        let each = |user: &wit::User| {
            let texts = [&user.id, &user.logon, &user.first_name, &user.last_name, &user.address];
            texts.iter().map(|text| text.len() as u64).sum::<u64>() + 2 + size(&user.more)
        };
        self.iter().map(each).sum()
    }
}

fn named(name: &str) -> Result<Field, String> {
    Field::named(name).ok_or_else(|| format!("names field {}, which this version does not know", clean(name)))
}

/// A rule's value as the kind its field holds.
fn from_wit(field: &Field, value: wit::Value) -> Result<Value, String> {
    let wrong = |what: &str| Err(format!("sets field {field} to {what}"));
    Ok(match (field, value) {
        (_, wit::Value::Empty) => Value::Empty,
        (Field::Sensitivity, wit::Value::Text(text)) => Value::Sensitivity(by_word(field, &SENSITIVITIES, &text)?),
        (Field::ShowAs, wit::Value::Text(text)) => Value::ShowAs(by_word(field, &SHOW_AS, &text)?),
        (Field::Importance, wit::Value::Text(text)) => Value::Importance(by_word(field, &IMPORTANCES, &text)?),
        (Field::Status, wit::Value::Text(text)) => Value::Status(by_word(field, &STATUSES, &text)?),
        (Field::Recurrence, wit::Value::Text(rule)) => Value::Recurrence(Recurrence { rule }),
        (_, wit::Value::Text(text)) => Value::Text(text),
        (Field::Custom(_), wit::Value::Flag(flag)) => Value::Scalar(Scalar::Flag(flag)),
        (Field::Custom(_), wit::Value::Number(number)) => Value::Scalar(Scalar::Number(number)),
        (Field::Reminder, wit::Value::Number(minutes)) => match u32::try_from(minutes) {
            Ok(minutes) => Value::Minutes(minutes),
            Err(_) => return wrong("a number of minutes out of range"),
        },
        (_, wit::Value::Texts(texts)) => Value::Texts(texts),
        (_, wit::Value::Time(time)) => Value::Time(time_from_wit(field, time)?),
        (_, wit::Value::Person(one)) => Value::Person(Person { name: one.name, address: Address::new(&one.address) }),
        (_, wit::Value::People(people)) => {
            let mut attendees: Vec<Attendee> = people.into_iter().map(attendee_from_wit).collect();
            attendees.sort_by(|a, b| a.person.address.cmp(&b.person.address));
            Value::Attendees(attendees)
        }
        (_, wit::Value::Links(links)) => Value::Links(links.into_iter().map(link_from_wit).collect()),
        (_, wit::Value::Flag(_)) => return wrong("a flag"),
        (_, wit::Value::Number(_)) => return wrong("a number"),
        (_, wit::Value::Decimal(_)) => return wrong("a decimal number"),
    })
}

fn time_from_wit(field: &Field, time: wit::Time) -> Result<Time, String> {
    match time {
        wit::Time::Timed(span) => {
            let instant = |seconds: i64| {
                DateTime::from_timestamp(seconds, 0)
                    .ok_or_else(|| format!("sets field {field} to no instant: {seconds}"))
            };
            let (start, end) = (instant(span.start)?, instant(span.end)?);
            if end < start {
                return Err(format!("sets field {field} to an end before its start"));
            }
            Ok(Time::timed(start, end, Zone::named(&span.zone)))
        }
        wit::Time::AllDay(days) => {
            let day = |text: &str| {
                text.parse::<NaiveDate>().map_err(|_| format!("sets field {field} to no date: {}", clean(text)))
            };
            let (first, last) = (day(&days.first)?, day(&days.last)?);
            if last < first {
                return Err(format!("sets field {field} to a last day before its first"));
            }
            Ok(Time::AllDay { first, last })
        }
    }
}

fn attendee_from_wit(attendee: wit::Attendee) -> Attendee {
    Attendee {
        person: Person { name: attendee.name, address: Address::new(&attendee.address) },
        user: attendee.user.map(UserId),
        kind: match attendee.kind {
            wit::AttendeeKind::Required => AttendeeKind::Required,
            wit::AttendeeKind::Optional => AttendeeKind::Optional,
            wit::AttendeeKind::Resource => AttendeeKind::Resource,
        },
        response: match attendee.response {
            wit::Response::None => Response::None,
            wit::Response::Tentative => Response::Tentative,
            wit::Response::Accepted => Response::Accepted,
            wit::Response::Declined => Response::Declined,
            wit::Response::Organizer => Response::Organizer,
        },
        responded: attendee.responded.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
    }
}

fn link_from_wit(wit::Link { entity, id, name }: wit::Link) -> Link {
    Link { entity, id, name }
}

pub const SENSITIVITIES: [(Sensitivity, &str); 4] = [
    (Sensitivity::Normal, "normal"),
    (Sensitivity::Personal, "personal"),
    (Sensitivity::Private, "private"),
    (Sensitivity::Confidential, "confidential"),
];
pub const SHOW_AS: [(ShowAs, &str); 5] = [
    (ShowAs::Free, "free"),
    (ShowAs::Tentative, "tentative"),
    (ShowAs::Busy, "busy"),
    (ShowAs::OutOfOffice, "out-of-office"),
    (ShowAs::WorkingElsewhere, "working-elsewhere"),
];
pub const IMPORTANCES: [(Importance, &str); 3] =
    [(Importance::Low, "low"), (Importance::Normal, "normal"), (Importance::High, "high")];
pub const STATUSES: [(Status, &str); 4] = [
    (Status::Pending, "pending"),
    (Status::InProgress, "in-progress"),
    (Status::Complete, "complete"),
    (Status::Cancelled, "cancelled"),
];

/// The contract's word for a case. The tables above name every case; the tests prove it.
pub fn word<T: PartialEq>(words: &[(T, &'static str)], value: T) -> &'static str {
    words.iter().find(|(case, _)| *case == value).map(|(_, word)| *word).unwrap_or_default()
}

fn by_word<T: Copy>(field: &Field, words: &[(T, &str)], text: &str) -> Result<T, String> {
    words.iter().find(|(_, word)| *word == text).map(|(case, _)| *case).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        format!("sets field {field} to {:?}, which is none of {}", clean(text), known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::model::{Appointment, Body};
    use crate::plugin::passage::{Passage, Reads};
    use crate::plugin::shown;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// An appointment in which no field is at its default.
    fn full() -> Appointment {
        let time = Time::timed(at("2026-03-29T00:30:00Z"), at("2026-03-29T01:30:00Z"), Zone::named("Europe/Berlin"));
        let mut full = Appointment::new("Budget", time);
        let terry = Person { name: "Terry".into(), address: Address::new("terry@example.com") };
        full.body = Body::plain("line");
        full.location = "Room".into();
        full.organizer = Some(terry.clone());
        full.attendees = [AttendeeKind::Required, AttendeeKind::Optional, AttendeeKind::Resource]
            .into_iter()
            .zip([Response::Accepted, Response::Declined, Response::Tentative])
            .map(|(kind, response)| Attendee {
                person: terry.clone(),
                user: Some(UserId("4".into())),
                kind,
                response,
                responded: Some(at("2026-03-01T00:00:00Z")),
            })
            .collect();
        full.reminder_minutes = Some(15);
        full.sensitivity = Sensitivity::Confidential;
        full.show_as = ShowAs::OutOfOffice;
        full.importance = Importance::High;
        full.status = Status::InProgress;
        full.categories = vec!["A".into(), "B".into()];
        full.online_meeting = Some("https://meet.example.com".into());
        full.recurrence = Some(Recurrence { rule: "FREQ=DAILY".into() });
        full.regarding = vec![Link { entity: "company".into(), id: "7".into(), name: "Acme".into() }];
        full.responses = "Terry: accepted".into();
        full.custom.insert("area".into(), Scalar::Text("north".into()));
        full.custom.insert("level".into(), Scalar::Number(3));
        full.custom.insert("open".into(), Scalar::Flag(true));
        full
    }

    /// A field as a rule would find it, and send it back.
    fn lifted(shown::Field { name, value }: shown::Field<'_>) -> wit::Field {
        let value = match value {
            shown::Value::Empty => wit::Value::Empty,
            shown::Value::Text(text) => wit::Value::Text(text.to_owned()),
            shown::Value::Flag(flag) => wit::Value::Flag(flag),
            shown::Value::Number(number) => wit::Value::Number(number),
            shown::Value::Decimal(number) => wit::Value::Decimal(number),
            shown::Value::Texts(texts) => wit::Value::Texts(texts.to_vec()),
            shown::Value::Time(shown::Time::Timed(span)) => wit::Value::Time(wit::Time::Timed(wit::Span {
                start: span.start,
                end: span.end,
                zone: span.zone.to_owned(),
                local_start: span.local_start,
                local_end: span.local_end,
            })),
            shown::Value::Time(shown::Time::AllDay(shown::Days { first, last })) => {
                wit::Value::Time(wit::Time::AllDay(wit::Days { first, last }))
            }
            shown::Value::Person(one) => {
                wit::Value::Person(wit::Person { name: one.name.to_owned(), address: one.address.to_owned() })
            }
            shown::Value::People(people) => wit::Value::People(
                people
                    .into_iter()
                    .map(|one| wit::Attendee {
                        name: one.name.to_owned(),
                        address: one.address.to_owned(),
                        user: one.user.map(str::to_owned),
                        kind: one.kind,
                        response: one.response,
                        responded: one.responded,
                    })
                    .collect(),
            ),
            shown::Value::Links(links) => wit::Value::Links(
                links
                    .into_iter()
                    .map(|link| wit::Link {
                        entity: link.entity.to_owned(),
                        id: link.id.to_owned(),
                        name: link.name.to_owned(),
                    })
                    .collect(),
            ),
        };
        wit::Field { name: name.to_owned(), value }
    }

    #[test]
    fn every_field_crosses_and_comes_back() {
        let empty = Appointment::new("", Time::AllDay { first: NaiveDate::MIN, last: NaiveDate::MIN });
        let (shown, all) = (Passage::new(full(), None), Reads::default());
        let fields: Vec<wit::Field> = shown.source(&all).into_iter().map(lifted).collect();
        assert_eq!(fields.len(), Field::FIXED.len() + 3, "a field was lost: {fields:?}");
        let mut passage = Passage::new(empty, None);
        passage.go_on(edits(true, fields).unwrap());
        assert_eq!(passage.draft.appointment, full());
    }

    #[test]
    fn every_case_has_a_word() {
        for (cases, words) in [
            (SENSITIVITIES.map(|(case, _)| word(&SENSITIVITIES, case)).to_vec(), 4),
            (SHOW_AS.map(|(case, _)| word(&SHOW_AS, case)).to_vec(), 5),
            (IMPORTANCES.map(|(case, _)| word(&IMPORTANCES, case)).to_vec(), 3),
            (STATUSES.map(|(case, _)| word(&STATUSES, case)).to_vec(), 4),
        ] {
            let distinct: std::collections::BTreeSet<&str> =
                cases.into_iter().filter(|word| !word.is_empty()).collect();
            assert_eq!(distinct.len(), words);
        }
    }

    #[test]
    fn local_time_is_that_of_the_zone_on_that_day() {
        let full = full();
        let shown::Value::Time(shown::Time::Timed(span)) = shown::Value::of(&full, &Field::Time) else {
            panic!("timed")
        };
        assert_eq!(
            (span.local_start.as_str(), span.local_end.as_str()),
            ("2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00")
        );
    }

    #[test]
    fn a_bad_edit_is_named_and_nothing_is_done() {
        let span = |start, end| wit::Span {
            start,
            end,
            zone: "UTC".into(),
            local_start: String::new(),
            local_end: String::new(),
        };
        let check = |name: &str, value: wit::Value, message: &str| {
            let bad = vec![
                wit::Field { name: "subject".into(), value: wit::Value::Text("changed".into()) },
                wit::Field { name: name.into(), value },
            ];
            assert_eq!(edits(false, bad).unwrap_err(), message);
        };
        check("colour", wit::Value::Empty, "names field colour, which this version does not know");
        check("subject", wit::Value::Number(1), "sets field subject to a number");
        check("custom.x", wit::Value::Decimal(0.5), "sets field custom.x to a decimal number");
        check("reminder", wit::Value::Number(-1), "sets field reminder to a number of minutes out of range");
        check(
            "mail-allowed",
            wit::Value::Flag(true),
            "sets field mail-allowed to true, but mail can only be forbidden",
        );
        check("removed", wit::Value::Empty, "sets field removed to something that is no flag");
        check("body-html", wit::Value::Empty, "sets field body-html, which is for reading only; set body");
        check("time", wit::Value::Time(wit::Time::Timed(span(9, 8))), "sets field time to an end before its start");
        check(
            "time",
            wit::Value::Time(wit::Time::Timed(span(i64::MAX, i64::MAX))),
            &format!("sets field time to no instant: {}", i64::MAX),
        );
        check("time", wit::Value::Empty, "field time cannot hold nothing");
        check(
            "status",
            wit::Value::Text("done".into()),
            "sets field status to \"done\", which is none of pending, in-progress, complete, cancelled",
        );
    }
}
