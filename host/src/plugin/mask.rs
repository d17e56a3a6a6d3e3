//! Taking the people out of a fixture.
//!
//! Masked: every name (`Person 1`) and address (`person1@example.com`), the same person by the same mask wherever they stand, in texts
//! too; every letter of every other text by `x` or `X` and every digit by `0`, so that lengths, lines and punctuation stay; of web
//! addresses all but `https://`; of HTML everything but the names of well-known tags; names of companies and cases; logons; keys and
//! ids that are no plain numbers. The domains of addresses stay apart (`example.com`, `example.org`, then `2.example` and so on).
//!
//! Not masked: times, zones, recurrences, whether and how somebody answered; sensitivity, status and the like; numbers and flags of
//! custom fields and the fields' names; ids that are numbers; captions; the rule's settings, which are the operator's own words, and
//! whole values and leading tags that equal one of them, since rules look for those; `Re:`, `Fwd:` and their kind.
//!
//! Promises: the same fixture gives the same masked one; nothing of an original is left but what the second list names.
//! Must not know: where fixtures come from.

mod text;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use self::text::Texts;
use super::fixture::{Ask, Edits, Fixture, Lookups};
use crate::model::{Address, Appointment, Attendee, Body, Field, Link, Person, Scalar, User, UserId, Value};

/// Replaces people and texts, the same by the same.
#[derive(Default)]
pub(super) struct Mask {
    /// People's numbers by folded address and by lower-case name.
    addresses: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
    people: usize,
    /// Folded domains, in the order in which they were met.
    domains: Vec<String>,
    /// Names of linked records to what stands for them.
    records: BTreeMap<String, String>,
    /// Words of the operator that stay.
    kept: Vec<String>,
}

/// The fixture of an appointment without its people. What it expects goes: it is to be asked again.
pub fn masked(fixture: &Fixture) -> Fixture {
    let mut mask = Mask::default();
    mask.keep(&fixture.settings);
    let mut masked = fixture.clone();
    (masked.expected, masked.about) = (None, None);
    // Everybody is met before any text is masked, so that a name in a text is known.
    mask.meet(&masked);
    match &mut masked.ask {
        Ask::Apply { key, source, draft, .. } => {
            *key = mask.key(key);
            mask.appointment(source);
            mask.edits(draft);
        }
        Ask::Resolve { key, source, conflicts, .. } => {
            *key = mask.key(key);
            mask.appointment(source);
            for conflict in conflicts {
                for value in [&mut conflict.base, &mut conflict.crm, &mut conflict.exchange] {
                    mask.value(&conflict.field, value);
                }
            }
        }
        Ask::Explain(failure) => {
            for text in [&mut failure.message, &mut failure.hint] {
                *text = mask.text(text);
            }
            failure.appointment = mask.key(&failure.appointment);
        }
        Ask::MatchUser { person, candidates } => {
            mask.person(person);
            candidates.iter_mut().for_each(|user| mask.user(user));
        }
    }
    mask.lookups(&mut masked.lookups);
    masked.name = match &masked.ask {
        Ask::Apply { key, .. } | Ask::Resolve { key, .. } => key.replace(':', "-"),
        Ask::Explain(failure) => failure.code.clone(),
        Ask::MatchUser { .. } => "match-user".to_owned(),
    };
    masked
}

impl Mask {
    fn keep(&mut self, settings: &Map<String, Json>) {
        for value in settings.values() {
            match value {
                Json::String(text) => self.kept.push(text.clone()),
                Json::Array(items) => self.kept.extend(items.iter().filter_map(Json::as_str).map(str::to_owned)),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => {}
            }
        }
    }

    fn meet(&mut self, fixture: &Fixture) {
        match &fixture.ask {
            Ask::Apply { source, draft, .. } => {
                self.meet_all(source);
                draft.fields.values().for_each(|value| self.meet_value(value));
            }
            Ask::Resolve { source, conflicts, .. } => {
                self.meet_all(source);
                for conflict in conflicts {
                    for value in [&conflict.base, &conflict.crm, &conflict.exchange] {
                        self.meet_value(value);
                    }
                }
            }
            Ask::Explain(_) => {}
            Ask::MatchUser { person, candidates } => {
                self.number(&person.name, &person.address);
                candidates.iter().for_each(|user| self.meet_user(user));
            }
        }
        fixture.lookups.users.iter().flatten().for_each(|user| self.meet_user(user));
    }

    fn meet_all(&mut self, appointment: &Appointment) {
        if let Some(organizer) = &appointment.organizer {
            self.number(&organizer.name, &organizer.address);
        }
        self.meet_value(&Value::Attendees(appointment.attendees.clone()));
        self.meet_value(&Value::Links(appointment.regarding.clone()));
    }

    fn meet_value(&mut self, value: &Value) {
        match value {
            Value::Person(person) => {
                self.number(&person.name, &person.address);
            }
            Value::Attendees(list) => list.iter().for_each(|one| {
                self.number(&one.person.name, &one.person.address);
            }),
            Value::Links(links) => links.iter().for_each(|link| {
                self.record(link);
            }),
            _ => {}
        }
    }

    fn meet_user(&mut self, user: &User) {
        self.number(&user.display_name(), &user.address);
    }

    /// The number of a person, who is known by address, or by name where one of the two has no address.
    fn number(&mut self, name: &str, address: &Address) -> Option<usize> {
        let (name, folded) = (name.trim().to_lowercase(), address.folded());
        let by_name = self.names.get(&name).copied();
        let known = match folded.as_str() {
            "" if name.is_empty() => return None,
            "" => by_name,
            folded => {
                let alone = |number: &usize| !self.addresses.values().any(|known| known == number);
                self.addresses.get(folded).copied().or_else(|| by_name.filter(alone))
            }
        };
        let number = known.unwrap_or_else(|| {
            self.people += 1;
            self.people
        });
        if !folded.is_empty() {
            self.addresses.insert(folded, number);
        }
        if !name.is_empty() {
            self.names.entry(name).or_insert(number);
        }
        Some(number)
    }

    fn masked_address(&mut self, number: usize, address: &Address) -> Address {
        if address.is_empty() {
            return Address::default();
        }
        let folded = address.folded();
        let domain = folded.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
        Address::new(&format!("person{number}@{}", self.domain(domain)))
    }

    fn domain(&mut self, domain: String) -> String {
        if self.kept.iter().any(|kept| kept.trim_start_matches('@').eq_ignore_ascii_case(&domain)) {
            return domain;
        }
        let place = self.domains.iter().position(|known| *known == domain).unwrap_or_else(|| {
            self.domains.push(domain);
            self.domains.len() - 1
        });
        match place {
            0 => "example.com".to_owned(),
            1 => "example.org".to_owned(),
            more => format!("{more}.example"),
        }
    }

    fn person(&mut self, person: &mut Person) {
        let Some(number) = self.number(&person.name, &person.address) else { return };
        person.address = self.masked_address(number, &person.address);
        if !person.name.is_empty() {
            person.name = format!("Person {number}");
        }
    }

    fn user(&mut self, user: &mut User) {
        let Some(number) = self.number(&user.display_name(), &user.address) else { return };
        user.address = self.masked_address(number, &user.address);
        let blank_or = |old: &str, new: String| if old.trim().is_empty() { String::new() } else { new };
        user.first_name = blank_or(&user.first_name, "Person".to_owned());
        user.last_name = blank_or(&user.last_name, number.to_string());
        user.logon = blank_or(&user.logon, format!("person{number}"));
        user.id = self.id(&user.id);
    }

    fn id(&self, id: &UserId) -> UserId {
        UserId(self.opaque(&id.0))
    }

    /// An id: a number stays, since nobody can be found by it outside the CRM.
    fn opaque(&self, id: &str) -> String {
        if id.bytes().all(|byte| byte.is_ascii_digit()) { id.to_owned() } else { text::shape(id) }
    }

    fn key(&self, key: &str) -> String {
        match key.split_once(':') {
            Some((kind, id)) => format!("{kind}:{}", self.opaque(id)),
            None => self.opaque(key),
        }
    }

    fn record(&mut self, link: &Link) -> String {
        if link.name.trim().is_empty() {
            return String::new();
        }
        if link.entity == "person"
            && let Some(number) = self.number(&link.name, &Address::default())
        {
            return format!("Person {number}");
        }
        let next = self.records.len() + 1;
        let kind = capitalized(&link.entity);
        self.records.entry(link.name.trim().to_lowercase()).or_insert_with(|| format!("{kind} {next}")).clone()
    }

    fn appointment(&mut self, of: &mut Appointment) {
        for field in of.fields().collect::<Vec<_>>() {
            match field {
                // These hold more than their value tells, or nothing to mask.
                Field::Body => self.body(&mut of.body),
                Field::OnlineMeeting => of.online_meeting = of.online_meeting.take().map(|text| self.text(&text)),
                field => {
                    let mut value = of.get(&field);
                    self.value(&field, &mut value);
                    // It is of the kind it was.
                    let _ = of.set(&field, value);
                }
            }
        }
    }

    fn edits(&mut self, edits: &mut Edits) {
        edits.fields.iter_mut().for_each(|(field, value)| self.value(field, value));
    }

    fn value(&mut self, field: &Field, value: &mut Value) {
        match value {
            Value::Text(text) | Value::Scalar(Scalar::Text(text)) => {
                // Only of what people write freely may a part be the operator's word.
                *text = if matches!(field, Field::Custom(_)) { self.whole(text) } else { self.text(text) };
            }
            Value::Body(body) => self.body(body),
            Value::Person(person) => self.person(person),
            Value::Attendees(list) => {
                for Attendee { person, user, .. } in list.iter_mut() {
                    self.person(person);
                    *user = user.as_ref().map(|user| self.id(user));
                }
                list.sort_by(|a, b| a.person.address.cmp(&b.person.address));
            }
            Value::Texts(texts) => texts.iter_mut().for_each(|text| *text = self.whole(text)),
            Value::Links(links) => {
                for link in links {
                    link.name = self.record(link);
                    link.id = self.opaque(&link.id);
                }
            }
            Value::Empty
            | Value::Time(_)
            | Value::Minutes(_)
            | Value::Sensitivity(_)
            | Value::ShowAs(_)
            | Value::Importance(_)
            | Value::Status(_)
            | Value::Recurrence(_)
            | Value::Scalar(Scalar::Number(_) | Scalar::Flag(_)) => {}
        }
    }

    fn body(&mut self, body: &mut Body) {
        body.text = self.text(&body.text);
        body.html = body.html.take().map(|html| self.texts().html(&html));
    }

    /// A value that stays if it is a word of the operator's.
    fn whole(&mut self, text: &str) -> String {
        if self.kept.iter().any(|kept| kept == text) { text.to_owned() } else { self.text(text) }
    }

    /// A text of people: known names and addresses by their masks, everything else by its shape.
    pub(super) fn text(&mut self, text: &str) -> String {
        self.texts().text(text)
    }

    fn texts(&mut self) -> Texts<'_> {
        Texts { mask: self }
    }

    fn lookups(&mut self, lookups: &mut Lookups) {
        lookups.users.iter_mut().flatten().for_each(|user| self.user(user));
        lookups.key_values.iter_mut().flatten().for_each(|(_, value)| *value = self.whole(value));
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(|| "Record".to_owned(), |first| first.to_uppercase().chain(letters).collect())
}
