//! What the ledger keeps of pairs, and that its indexes, counts and histories agree with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use daybridge::ledger::{
    Entry, Event, FieldChange, HISTORY_MAX, Ledger, LedgerCounts, LedgerError, Lost, Place, State,
};
use daybridge::model::{
    Address, Appointment, Attendee, AttendeeKind, Body, Container, Direction, Field, Importance, ItemRef, Key, Known,
    Link, MailBudget, Person, Recurrence, Response, Scalar, Sensitivity, ShowAs, Side, Status, Time, UserId, Value,
    Version, Zone,
};
use daybridge::rules::Generation;
use daybridge::store::{Batch, MemoryStore, SledStore, Store, Tree};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn person(name: &str, address: &str) -> Person {
    Person { name: name.into(), address: Address::new(address) }
}

/// An appointment in which every field has a value that is not its default.
fn full() -> Appointment {
    let start = at("2026-11-24T09:30:00Z");
    Appointment {
        subject: "Quarter \"review\" ß".into(),
        body: Body { text: "line 1\r\nline 2".into(), html: Some("<p>line 1</p>".into()) },
        location: "Room 4".into(),
        time: Time::timed(start, start + TimeDelta::minutes(45), Zone::named("Europe/Berlin")),
        organizer: Some(person("Ann", "Ann@example.com")),
        attendees: vec![
            Attendee {
                person: person("Bob", "bob@example.com"),
                user: Some(UserId("7".into())),
                kind: AttendeeKind::Optional,
                response: Response::Tentative,
                responded: Some(at("2026-11-20T10:00:00.123Z")),
            },
            Attendee {
                person: person("Room", ""),
                user: None,
                kind: AttendeeKind::Resource,
                response: Response::None,
                responded: None,
            },
        ],
        reminder_minutes: Some(15),
        sensitivity: Sensitivity::Confidential,
        show_as: ShowAs::OutOfOffice,
        importance: Importance::High,
        status: Status::InProgress,
        categories: vec!["Blue".into(), "Customer".into()],
        online_meeting: Some("https://meet.example/1".into()),
        recurrence: Some(Recurrence { rule: "FREQ=WEEKLY;COUNT=3".into() }),
        regarding: vec![Link { entity: "company".into(), id: "28".into(), name: "Eurolandia".into() }],
        responses: "Bob: maybe".into(),
        custom: BTreeMap::from([
            ("comm_flag".into(), Scalar::Flag(true)),
            ("comm_number".into(), Scalar::Number(-4)),
            ("comm_text".into(), Scalar::Text("t".into())),
        ]),
    }
}

fn known(item: ItemRef, appointment: Appointment) -> Known {
    Known { at: item, version: Version("v1".into()), appointment }
}

fn exchange(id: &str) -> ItemRef {
    ItemRef::exchange(Address::new("Ann@Example.com"), id)
}

fn pair(id: &str) -> Entry {
    Entry {
        crm: Some(known(ItemRef::crm(id), full())),
        exchange: Some(known(exchange(&format!("AAMk{id}=")), full())),
        uid: Some(format!("uid-{id}")),
        generation: Some(Generation { number: 3, digest: "0123456789ab".into() }),
        copies: vec![ItemRef::exchange(Address::new("bob@example.com"), format!("copy-{id}"))],
        ..Entry::new(Key::Crm(id.into()))
    }
}

async fn ledger() -> Ledger {
    Ledger::open(Arc::new(MemoryStore::new())).await.unwrap()
}

#[tokio::test]
async fn an_entry_comes_back_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut all_day = pair("2");
    let crm = all_day.crm.as_mut().unwrap();
    let day = |day| NaiveDate::from_ymd_opt(2026, 12, day).unwrap();
    crm.appointment = Appointment::new("Fair", Time::AllDay { first: day(30), last: day(31) });
    all_day.exchange = None;
    all_day.state = State::Gone;
    let mut odd_zone = pair("3");
    let time = Time::timed(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), Zone::named("Customized Time Zone"));
    odd_zone.exchange.as_mut().unwrap().appointment.time = time;
    let entries = [pair("1"), all_day, odd_zone, Entry::new(Key::Uid("only a key".into()))];
    {
        let ledger = Ledger::open(Arc::new(SledStore::open(folder.path()).unwrap())).await.unwrap();
        for entry in &entries {
            ledger.record(entry, Vec::new()).await.unwrap();
        }
    }
    let ledger = Ledger::open(Arc::new(SledStore::open(folder.path()).unwrap())).await.unwrap();
    for entry in &entries {
        let read = ledger.get(&entry.key).await.unwrap().unwrap();
        assert_eq!(read, *entry);
        // Equality of the model overlooks these on purpose; the ledger must not.
        for (read, written) in [(&read.crm, &entry.crm), (&read.exchange, &entry.exchange)] {
            let details = |known: &Option<Known>| known.as_ref().map(|known| format!("{:?}", known.appointment));
            assert_eq!(details(read), details(written));
            let address = |known: &Option<Known>| {
                known
                    .as_ref()
                    .and_then(|known| known.appointment.organizer.clone())
                    .map(|p| p.address.as_str().to_owned())
            };
            assert_eq!(address(read), address(written));
        }
    }
    assert_eq!(ledger.counts(), LedgerCounts { live: 3, gone: 1 });
    assert_eq!(ledger.get(&Key::Crm("4".into())).await.unwrap(), None);
}

#[tokio::test]
async fn items_copies_and_uid_lead_to_the_key_and_stop_when_they_leave_the_entry() {
    let ledger = ledger().await;
    let mut entry = pair("1");
    ledger.record(&entry, Vec::new()).await.unwrap();
    let key = Some(entry.key.clone());
    let copy = ItemRef::exchange(Address::new("BOB@example.com"), "copy-1");
    assert_eq!(ledger.find_item(&ItemRef::crm("1")).await.unwrap(), key);
    assert_eq!(ledger.find_item(&exchange("AAMk1=")).await.unwrap(), key);
    assert_eq!(ledger.find_item(&copy).await.unwrap(), key, "addresses are compared without case");
    assert_eq!(ledger.find_uid("uid-1").await.unwrap(), key);
    assert_eq!(ledger.find_item(&exchange("aamk1=")).await.unwrap(), None, "ids are compared to the letter");
    assert_eq!(ledger.find_item(&ItemRef::crm("AAMk1=")).await.unwrap(), None, "containers are told apart");

    entry.exchange = Some(known(exchange("moved"), full()));
    entry.uid = Some("uid-new".into());
    entry.copies.clear();
    ledger.record(&entry, Vec::new()).await.unwrap();
    assert_eq!(ledger.find_item(&exchange("AAMk1=")).await.unwrap(), None);
    assert_eq!(ledger.find_item(&copy).await.unwrap(), None);
    assert_eq!(ledger.find_uid("uid-1").await.unwrap(), None);
    assert_eq!(ledger.find_item(&exchange("moved")).await.unwrap(), key);
    assert_eq!(ledger.find_uid("uid-new").await.unwrap(), key);

    assert!(ledger.remove(&entry.key).await.unwrap());
    assert!(!ledger.remove(&entry.key).await.unwrap());
    assert_eq!(ledger.find_item(&exchange("moved")).await.unwrap(), None);
    assert_eq!(ledger.find_uid("uid-new").await.unwrap(), None);
    assert_eq!(ledger.counts(), LedgerCounts::default());
}

#[tokio::test]
async fn an_item_that_belongs_to_another_appointment_is_refused_and_nothing_is_written() {
    let ledger = ledger().await;
    ledger.record(&pair("1"), Vec::new()).await.unwrap();
    let thefts: [fn(&mut Entry); 4] = [
        |entry| entry.crm = Some(known(ItemRef::crm("1"), full())),
        |entry| entry.exchange = Some(known(exchange("AAMk1="), full())),
        |entry| entry.copies.push(ItemRef::exchange(Address::new("bob@example.com"), "copy-1")),
        |entry| entry.uid = Some("uid-1".into()),
    ];
    for theft in thefts {
        let mut thief = pair("2");
        theft(&mut thief);
        match ledger.record(&thief, vec![Event::new(at("2026-11-24T09:30:00Z"), "created")]).await {
            Err(LedgerError::Taken { by, .. }) => assert_eq!(by, Key::Crm("1".into())),
            other => panic!("{other:?}"),
        }
        assert_eq!(ledger.get(&thief.key).await.unwrap(), None);
        assert_eq!(ledger.events(&thief.key).await.unwrap(), []);
        assert_eq!(ledger.find_uid("uid-2").await.unwrap(), None);
    }
    assert_eq!(ledger.counts().live, 1);
}

#[tokio::test]
async fn a_history_keeps_the_latest_events_and_every_value_that_was_lost() {
    let ledger = ledger().await;
    let (entry, neighbour) = (Entry::new(Key::Uid("a".into())), Entry::new(Key::Uid("a\nb".into())));
    ledger.record(&neighbour, vec![Event::new(at("2026-11-24T09:30:00Z"), "neighbour")]).await.unwrap();
    let appointment = full();
    let told = Event {
        note: "merged".into(),
        direction: Some(Direction::ExchangeToCrm),
        changes: appointment
            .fields()
            .map(|field| FieldChange { old: Value::Empty, new: appointment.get(&field), field })
            .collect(),
        lost: vec![Lost {
            field: Field::Subject,
            side: Side::Crm,
            value: Value::Text("mine".into()),
            winner: Value::Text("theirs".into()),
        }],
        mail: MailBudget { invitations: 1, updates: 2, cancellations: 3 },
        generation: Some(Generation { number: 1, digest: "d".into() }),
        ..Event::new(at("2026-11-24T09:30:00Z"), "conflict")
    };
    ledger.record(&entry, vec![told.clone()]).await.unwrap();
    let mut expected = told.clone();
    for change in &mut expected.changes {
        if let Value::Body(body) = &mut change.new {
            body.html = None;
        }
    }
    assert_eq!(ledger.events(&entry.key).await.unwrap(), [expected]);

    let event = |number: u64| Event::new(at("2026-11-24T09:30:00Z"), format!("{number}"));
    for number in 0..HISTORY_MAX + 7 {
        ledger.record(&entry, vec![event(number)]).await.unwrap();
    }
    let events = ledger.events(&entry.key).await.unwrap();
    assert_eq!(events, (7..HISTORY_MAX + 7).map(event).collect::<Vec<_>>());
    // Many at once push out everything before them, and the first of themselves.
    ledger.record(&entry, (100..100 + HISTORY_MAX + 3).map(event).collect()).await.unwrap();
    let events = ledger.events(&entry.key).await.unwrap();
    assert_eq!(events, (103..103 + HISTORY_MAX).map(event).collect::<Vec<_>>());

    let long = Event::new(at("2026-11-24T09:30:00Z"), "long").note("ä".repeat(1_000_000));
    ledger.record(&entry, vec![long]).await.unwrap();
    assert!(ledger.events(&entry.key).await.unwrap().last().unwrap().note.len() < 100_000);

    ledger.remove(&entry.key).await.unwrap();
    assert_eq!(ledger.events(&entry.key).await.unwrap(), []);
    assert_eq!(ledger.events(&neighbour.key).await.unwrap().len(), 1);
}

#[tokio::test]
async fn entries_are_listed_in_pages_and_counted_by_state() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ledger = Ledger::open(store.clone()).await.unwrap();
    for number in 0..25 {
        let state = if number % 5 == 0 { State::Gone } else { State::Live };
        ledger.record(&Entry { state, ..pair(&format!("{number:02}")) }, Vec::new()).await.unwrap();
    }
    ledger.record(&Entry { state: State::Gone, ..pair("01") }, Vec::new()).await.unwrap();
    let mut seen = Vec::new();
    while let page = ledger.scan(seen.last(), 10).await.unwrap()
        && !page.is_empty()
    {
        assert!(page.len() <= 10);
        seen.extend(page.into_iter().map(|entry| entry.key));
    }
    assert_eq!(seen.len(), 25);
    assert_eq!(ledger.counts(), LedgerCounts { live: 19, gone: 6 });
    assert_eq!(Ledger::open(store).await.unwrap().counts(), LedgerCounts { live: 19, gone: 6 });
}

#[tokio::test]
async fn the_items_of_a_container_are_listed_with_the_version_last_agreed_on() {
    let ledger = ledger().await;
    for number in ["1", "2"] {
        ledger.record(&pair(number), Vec::new()).await.unwrap();
    }
    let listed = |container| {
        let ledger = &ledger;
        async move {
            let (mut items, mut place) = (Vec::new(), Place::default());
            while let Some(page) = ledger.items_in(&container, &mut place).await.unwrap() {
                items.extend(page);
            }
            for (at, key, version) in &items {
                assert_eq!(ledger.known(at).await.unwrap(), Some((key.clone(), version.clone())));
            }
            assert_eq!(ledger.count_in(&container).await.unwrap(), items.len() as u64);
            items.into_iter().map(|(at, key, version)| (at.id, key, version)).collect::<Vec<_>>()
        }
    };
    let (key, version) = (|id: &str| Key::Crm(id.into()), || Some(Version("v1".into())));
    let mailbox = |name: &str| Container::Mailbox(Address::new(name));
    assert_eq!(listed(Container::Crm).await, [("1".into(), key("1"), version()), ("2".into(), key("2"), version())]);
    let ann = listed(mailbox("ANN@example.com")).await;
    assert_eq!(ann, [("AAMk1=".into(), key("1"), version()), ("AAMk2=".into(), key("2"), version())]);
    let copies = listed(mailbox("bob@example.com")).await;
    assert_eq!(copies, [("copy-1".into(), key("1"), None), ("copy-2".into(), key("2"), None)]);
    assert_eq!(listed(mailbox("ann@example.co")).await, []);
}

#[tokio::test]
async fn a_record_of_a_newer_host_is_refused_with_words_for_people() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ledger = Ledger::open(store.clone()).await.unwrap();
    let mut batch = Batch::new();
    batch.put(Tree("ledger"), "crm:1", r#"{"v": 99, "kind": "ledger-entry", "data": {}}"#);
    store.commit(batch).unwrap().await.unwrap();
    let error = ledger.get(&Key::Crm("1".into())).await.unwrap_err();
    assert_eq!(error.code(), "record-not-understood");
    assert!(error.hint().contains("newer daybridge"), "{}", error.hint());
}
