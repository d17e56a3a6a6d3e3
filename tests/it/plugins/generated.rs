//! Appointments of all kinds, whose every free word begins with `q`, so that it can be told from what stands in any file.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Importance, Link, Person, Recurrence, Response, Scalar,
    Sensitivity, ShowAs, Status, Time, UserId, Zone,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed};

pub fn config(cases: u32, seed: u64) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() }
}

/// A word of its own kind; some begin with a capital, some have letters beyond ASCII.
pub fn word() -> impl Strategy<Value = String> {
    "[qQ][a-pöé]{4,8}"
}

fn words() -> impl Strategy<Value = String> {
    vec(word(), 1..4).prop_map(|words| words.join(" "))
}

pub fn person() -> impl Strategy<Value = Person> {
    let address = (word(), word()).prop_map(|(name, domain)| Address::new(&format!("{name}@{domain}.test")));
    (option::of(words()), option::of(address))
        .prop_map(|(name, address)| Person { name: name.unwrap_or_default(), address: address.unwrap_or_default() })
}

fn attendee() -> impl Strategy<Value = Attendee> {
    let kinds = select(vec![AttendeeKind::Required, AttendeeKind::Optional, AttendeeKind::Resource]);
    let responses =
        select(vec![Response::None, Response::Tentative, Response::Accepted, Response::Declined, Response::Organizer]);
    (person(), option::of("[1-9][0-9]{0,2}"), kinds, responses, option::of(instant())).prop_map(
        |(person, user, kind, response, responded)| Attendee {
            person,
            user: user.map(UserId),
            kind,
            response,
            responded,
        },
    )
}

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    // From before there were zones of whole minutes to beyond what anybody plans, some with parts of a second.
    (-3_000_000_000_i64..6_000_000_000, select(vec![0_u32, 1, 500_000_000, 999_999_999]))
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).expect("an instant"))
}

fn time() -> impl Strategy<Value = Time> {
    let zones =
        select(vec!["Europe/Dublin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC", "Customized Zone"]);
    let timed = (instant(), 0_i64..1_000_000, zones)
        .prop_map(|(start, length, zone)| Time::timed(start, start + TimeDelta::seconds(length), Zone::named(zone)));
    let all_day = (1_i32..3_000_000, 0_i32..20).prop_map(|(first, length)| {
        let day = |number| NaiveDate::from_num_days_from_ce_opt(number).expect("a day");
        Time::AllDay { first: day(first), last: day(first + length) }
    });
    prop_oneof![timed, all_day]
}

/// A text as people write it: tags, names that also stand elsewhere, addresses, web addresses, numbers, lines.
fn text(names: Vec<String>) -> impl Strategy<Value = String> {
    let names = if names.is_empty() { vec!["qnobody".to_owned()] } else { names };
    let part = prop_oneof![
        4 => word(),
        2 => select(names),
        1 => "[2-9]{5}",
        1 => (word(), word()).prop_map(|(name, domain)| format!("{name}@{domain}.test")),
        1 => (word(), word()).prop_map(|(domain, path)| format!("https://{domain}.test/{path}?id=77777")),
        1 => word().prop_map(|word| format!("[{word}]")),
        1 => word().prop_map(|word| format!("<a href=\"mailto:{word}\">{word}</a>&nbsp;<{word}>")),
    ];
    vec((part, select(vec![" ", "\n", "\r\n", ", ", ": ", "-", ""])), 0..12)
        .prop_map(|parts| parts.into_iter().map(|(part, end)| part + end).collect())
}

fn link() -> impl Strategy<Value = Link> {
    (select(vec!["company", "person", "case"]), "[1-9][0-9]{0,3}", words()).prop_map(|(entity, id, name)| Link {
        entity: entity.to_owned(),
        id,
        name,
    })
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        words().prop_map(Scalar::Text),
        any::<i64>().prop_map(Scalar::Number),
        any::<bool>().prop_map(Scalar::Flag)
    ]
}

/// An appointment in which any field may hold anything it can.
pub fn appointment() -> impl Strategy<Value = Appointment> {
    let people = (option::of(person()), vec(attendee(), 0..5), vec(link(), 0..3));
    let kinds = (
        select(vec![Sensitivity::Normal, Sensitivity::Personal, Sensitivity::Private, Sensitivity::Confidential]),
        select(vec![ShowAs::Free, ShowAs::Tentative, ShowAs::Busy, ShowAs::OutOfOffice, ShowAs::WorkingElsewhere]),
        select(vec![Importance::Low, Importance::Normal, Importance::High]),
        select(vec![Status::Pending, Status::InProgress, Status::Complete, Status::Cancelled]),
    );
    let small = (
        time(),
        option::of(0_u32..10_000),
        btree_set(words(), 0..3),
        option::of(select(vec!["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=TU"])),
        btree_map("field[1-9]", scalar(), 0..4),
    );
    (people, kinds, small).prop_flat_map(|((organizer, mut attendees, regarding), kinds, small)| {
        attendees.sort_by(|a, b| a.person.address.cmp(&b.person.address));
        let named = attendees.iter().map(|one| &one.person).chain(&organizer).map(|person| person.name.clone());
        let names: Vec<String> = named.chain(regarding.iter().map(|link| link.name.clone())).collect();
        let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let text = || text(names.clone());
        let texts = (text(), text(), option::of(text()), text(), option::of(text()), text());
        texts.prop_map(move |(subject, body, html, location, online_meeting, responses)| {
            let (time, reminder_minutes, categories, recurrence, custom) = small.clone();
            let (sensitivity, show_as, importance, status) = kinds;
            Appointment {
                subject,
                body: Body { text: body, html },
                location,
                time,
                organizer: organizer.clone(),
                attendees: attendees.clone(),
                reminder_minutes,
                sensitivity,
                show_as,
                importance,
                status,
                categories: categories.into_iter().collect(),
                online_meeting,
                recurrence: recurrence.map(|rule| Recurrence { rule: rule.to_owned() }),
                regarding: regarding.clone(),
                responses,
                custom,
            }
        })
    })
}
