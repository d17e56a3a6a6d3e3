//! The connector against the Exchange simulator: items one by one, feeds, searches, failures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use daybridge::connector::ews::EwsConnector;
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector as _, Cursor, Problem};
use daybridge::model::{Address, Body, Container, Field, Item, ItemRef, Key, Mail, Role, Seen, Time, Value, Version};
use daybridge::sim::fault::{Fault, Kind};
use daybridge_tests::listing::list;

use super::sim::{Sim, at, draft, key, mailbox, patched, service, susan, terry, timed};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn an_item_is_created_read_updated_and_deleted() {
    let sim = Sim::start().await;
    let mut wanted = draft("Site visit");
    wanted.body = Body::plain("Bring samples\n  and a helmet");
    wanted.location = "Plant 2".into();
    wanted.reminder_minutes = Some(30);
    wanted.categories = vec!["Blue".into(), "Red".into()];
    let made = sim.create(&wanted, &key(1), Mail::Silent).await;
    assert_eq!((made.stamp.clone(), made.role), (Some(key(1)), Role::Organizer));
    assert!(made.uid.as_deref().is_some_and(|uid| !uid.is_empty()));
    assert_eq!(made.at.container, susan());
    let organizer = made.appointment.organizer.clone().unwrap();
    assert_eq!(organizer.address, Address::new("susan.maye@example.test"));
    wanted.organizer = Some(organizer);
    assert_eq!(made.appointment, wanted);
    assert_eq!(sim.read(&made.at).await, Seen::Present(Box::new(made.clone())));

    let set = [
        (Field::Location, text("Plant 3")),
        (Field::Categories, Value::Empty),
        (Field::Reminder, Value::Empty),
        (Field::Time, Value::Time(timed("2027-02-09T09:00:00Z", "2027-02-09T11:00:00Z"))),
    ];
    let (patch, after) = patched(&made, &set);
    let updated = sim.connector.update(&made.at, &made.version, &patch, &after, Mail::Silent).await.unwrap();
    assert_eq!(updated.appointment, after);
    assert_ne!(updated.version, made.version);
    assert_eq!((updated.stamp, updated.uid), (made.stamp, made.uid));

    let stale = sim.connector.update(&made.at, &made.version, &patch, &after, Mail::Silent).await.unwrap_err();
    assert_eq!((stale.problem.clone(), stale.class().name()), (Problem::Stale, "conflict"));
    let stale = sim.connector.delete(&made.at, &made.version, Mail::Silent).await.unwrap_err();
    assert_eq!(stale.problem, Problem::Stale);
    assert!(matches!(sim.read(&made.at).await, Seen::Present(_)), "a stale delete must not delete");

    sim.connector.delete(&made.at, &updated.version, Mail::Silent).await.unwrap();
    assert_eq!(sim.read(&made.at).await, Seen::Deleted);
    sim.connector.delete(&made.at, &updated.version, Mail::Silent).await.unwrap();
    assert_eq!(sim.mails().await, [0; 4]);
}

#[tokio::test]
async fn a_write_leaves_other_fields_alone() {
    let sim = Sim::start().await;
    let made = sim.create(&draft("one"), &key(1), Mail::Silent).await;
    let moved = sim.update(&made, &[(Field::Location, text("typed in Outlook"))], Mail::Silent).await;
    // The patch was planned from what was read before, but with the version of now: only the subject is in it.
    let (patch, after) = patched(&made, &[(Field::Subject, text("typed in the CRM"))]);
    let both = sim.connector.update(&made.at, &moved.version, &patch, &after, Mail::Silent).await.unwrap();
    assert_eq!(both.appointment.location, "typed in Outlook");
    assert_eq!(both.appointment.subject, "typed in the CRM");
    let same = sim.update(&both, &[(Field::Status, Value::Empty)], Mail::Silent).await;
    assert_eq!(same.version, both.version, "nothing writable, nothing written");
    let cleared = sim.update(&both, &[(Field::Subject, Value::Empty), (Field::Body, text(""))], Mail::Silent).await;
    assert_eq!(cleared.appointment.subject, "");
}

#[tokio::test]
async fn bodies_come_back_as_they_were_written() {
    let sim = Sim::start().await;
    for (number, body) in
        ["", " leading", "a\n\n  b\n\tc", "größe \u{1F477} <b>&amp;</b>", "x\u{A0}y"].into_iter().enumerate()
    {
        let mut wanted = draft("body");
        wanted.body = Body::plain(body);
        let made = sim.create(&wanted, &key(u32::try_from(number).unwrap()), Mail::Silent).await;
        assert_eq!(made.appointment.body.text, body);
        let again = sim.update(&made, &[(Field::Body, text(&format!("{body}\nmore")))], Mail::Silent).await;
        assert_eq!(again.appointment.body.text, format!("{body}\nmore"));
    }
}

#[tokio::test]
async fn an_html_body_is_shown_as_text_and_kept() {
    let sim = Sim::start().await;
    sim.ask(
        "susan.maye",
        r#"<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Subject>rich</t:Subject>
        <t:Body BodyType="HTML">&lt;html&gt;&lt;body&gt;&lt;p&gt;Hello &lt;b&gt;you&lt;/b&gt;&lt;/p&gt;&lt;p&gt;two&lt;/p&gt;&lt;/body&gt;&lt;/html&gt;</t:Body>
        <t:Start>2027-02-08T09:00:00Z</t:Start><t:End>2027-02-08T10:00:00Z</t:End></t:CalendarItem></m:Items></m:CreateItem>"#,
    )
    .await;
    let batch = sim.connector.changed_since(&susan(), None).await.unwrap();
    let Seen::Present(item) = sim.read(&batch.changes[0].at).await else { panic!() };
    assert_eq!(item.appointment.body.text, "Hello you\n\ntwo");
    assert!(item.appointment.body.html.as_deref().is_some_and(|html| html.contains("<b>you</b>")));
}

#[tokio::test]
async fn all_day_appointments_keep_their_dates_in_every_zone() {
    let day = |text: &str| text.parse().unwrap();
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata"]
    {
        let sim = Sim::with(|config| config.all_day_zone = zone.parse().unwrap()).await;
        for (first, last) in [("2027-03-28", "2027-03-28"), ("2027-02-08", "2027-02-10")] {
            let mut wanted = draft("holiday");
            wanted.time = Time::AllDay { first: day(first), last: day(last) };
            let made = sim.create(&wanted, &key(1), Mail::Silent).await;
            assert_eq!(made.appointment.time, wanted.time, "{zone}");
            // Another host, set to another zone, sees the same days.
            let other = EwsConnector::new(service(&sim.running)).unwrap();
            assert_eq!(other.read(&made.at).await.unwrap().present().unwrap().appointment.time, wanted.time, "{zone}");
            let alike = sim.connector.find_alike(&susan(), &wanted).await.unwrap();
            assert_eq!(alike.len(), 1, "{zone} {first}");
            // To timed and back.
            let timed = timed("2027-02-08T09:00:00Z", "2027-02-08T10:00:00Z");
            let item = sim.update(&made, &[(Field::Time, Value::Time(timed.clone()))], Mail::Silent).await;
            assert_eq!(item.appointment.time, timed, "{zone}");
            let item = sim.update(&item, &[(Field::Time, Value::Time(wanted.time.clone()))], Mail::Silent).await;
            assert_eq!(item.appointment.time, wanted.time, "{zone}");
            sim.connector.delete(&item.at, &item.version, Mail::Silent).await.unwrap();
        }
    }
}

/// Everything since a cursor, and the last cursor; also the number of pages.
async fn drain(sim: &Sim, container: &Container, mut cursor: Option<Cursor>) -> (Vec<ItemRef>, Cursor, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let batch = sim.connector.changed_since(container, cursor.as_ref()).await.unwrap();
        found.extend(batch.changes.into_iter().map(|change| change.at));
        pages += 1;
        cursor = Some(batch.next.clone());
        if !batch.more {
            return (found, batch.next, pages);
        }
    }
}

#[tokio::test]
async fn the_feed_pages_follows_and_starts_over() {
    let sim = Sim::with(|config| (config.page, config.batch) = (3, 2)).await;
    let (nothing, empty, _) = drain(&sim, &susan(), None).await;
    assert!(nothing.is_empty());
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(sim.create(&draft(&format!("n{number}")), &key(number), Mail::Silent).await);
    }
    let all: BTreeSet<_> = made.iter().map(|item| item.at.clone()).collect();
    for cursor in [None, Some(empty)] {
        let (found, _, pages) = drain(&sim, &susan(), cursor).await;
        assert_eq!((found.len(), pages), (7, 3));
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
    }
    let first = sim.connector.changed_since(&susan(), None).await.unwrap();
    for change in &first.changes {
        let item = made.iter().find(|item| item.at == change.at).unwrap();
        assert_eq!((&change.uid, &change.stamp), (&item.uid, &item.stamp));
    }
    let (_, cursor, _) = drain(&sim, &susan(), None).await;
    assert!(drain(&sim, &susan(), Some(cursor.clone())).await.0.is_empty());

    let updated = sim.update(&made[0], &[(Field::Subject, text("new"))], Mail::Silent).await;
    sim.connector.delete(&made[1].at, &made[1].version, Mail::Silent).await.unwrap();
    let batch = sim.connector.changed_since(&susan(), Some(&cursor)).await.unwrap();
    let found: BTreeMap<_, _> = batch.changes.iter().map(|change| (change.at.clone(), change)).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[&updated.at].stamp, Some(key(0)));
    assert_eq!((&found[&made[1].at].uid, &found[&made[1].at].stamp), (&None, &None));
    assert!(drain(&sim, &terry(), None).await.0.is_empty(), "mailboxes are apart");

    for cursor in ["nonsense", "H4sIA", &format!("{}x", cursor.0)] {
        let lost = sim.connector.changed_since(&susan(), Some(&Cursor(cursor.to_owned()))).await.unwrap_err();
        assert_eq!(lost.problem, Problem::CursorLost, "{cursor}");
    }
}

#[tokio::test]
async fn one_item_that_cannot_be_read_does_not_hold_up_the_feed() {
    let sim = Sim::start().await;
    for number in 0..3 {
        sim.create(&draft("n"), &key(number), Mail::Silent).await;
    }
    let fault = Fault { code: Some("ErrorItemCorrupt".into()), ..Fault::new("GetItem", Kind::Error) };
    sim.running.faults().add(fault).unwrap();
    let batch = sim.connector.changed_since(&susan(), None).await;
    // The simulator refuses the whole GetItem: then the page is asked for again, and nothing is lost.
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => {
            assert_eq!(error.problem, Problem::Refused);
            sim.connector.changed_since(&susan(), None).await.unwrap()
        }
    };
    assert_eq!(batch.changes.len(), 3);
}

#[tokio::test]
async fn items_are_found_by_stamp_uid_and_nature() {
    let sim = Sim::start().await;
    let one = sim.create(&draft("one"), &key(1), Mail::Silent).await;
    let long = Key::Uid("u".repeat(400));
    let two = sim.create(&draft("two"), &long, Mail::Silent).await;
    let found = |items: Vec<Item>| items.into_iter().map(|item| item.at).collect::<BTreeSet<_>>();
    let only = |item: &Item| BTreeSet::from([item.at.clone()]);
    assert_eq!(found(sim.connector.find_stamped(&susan(), &key(1)).await.unwrap()), only(&one));
    assert_eq!(found(sim.connector.find_stamped(&susan(), &long).await.unwrap()), only(&two));
    assert!(sim.connector.find_stamped(&susan(), &key(11)).await.unwrap().is_empty());
    assert!(sim.connector.find_stamped(&terry(), &key(1)).await.unwrap().is_empty());
    let uid = one.uid.clone().unwrap();
    assert_eq!(found(sim.connector.find_uid(&susan(), &uid).await.unwrap()), only(&one));
    assert!(sim.connector.find_uid(&susan(), "no such uid").await.unwrap().is_empty());

    let both = BTreeSet::from([one.at.clone(), two.at.clone()]);
    assert_eq!(found(sim.connector.find_alike(&susan(), &draft("other words")).await.unwrap()), both);
    let mut later = draft("one");
    for (start, end) in
        [("2027-02-08T09:00:00Z", "2027-02-08T10:30:00Z"), ("2027-02-08T09:30:00Z", "2027-02-08T10:00:00Z")]
    {
        later.time = timed(start, end);
        assert!(sim.connector.find_alike(&susan(), &later).await.unwrap().is_empty());
    }
    later.time = timed("2027-02-08T12:00:00Z", "2027-02-08T12:00:00Z");
    let point = sim.create(&later, &key(3), Mail::Silent).await;
    assert_eq!(found(sim.connector.find_alike(&susan(), &later).await.unwrap()), only(&point), "zero length");
}

const SERIES: &str = r#"<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items><t:CalendarItem><t:Subject>daily</t:Subject>
    <t:Start>2027-02-01T09:00:00Z</t:Start><t:End>2027-02-01T10:00:00Z</t:End><t:Recurrence><t:DailyRecurrence>
    <t:Interval>1</t:Interval></t:DailyRecurrence><t:NumberedRecurrence><t:StartDate>2027-02-01</t:StartDate>
    <t:NumberOfOccurrences>20</t:NumberOfOccurrences></t:NumberedRecurrence></t:Recurrence></t:CalendarItem></m:Items></m:CreateItem>"#;

#[tokio::test]
async fn a_series_is_recognised_and_never_flattened() {
    let sim = Sim::start().await;
    sim.ask("susan.maye", SERIES).await;
    let batch = sim.connector.changed_since(&susan(), None).await.unwrap();
    assert_eq!(batch.changes.len(), 1);
    let Seen::Present(master) = sim.read(&batch.changes[0].at).await else { panic!() };
    let recurrence = master.appointment.recurrence.clone().unwrap();
    assert_eq!(recurrence.rule, "FREQ=DAILY;COUNT=20");
    let alike = sim.connector.find_alike(&susan(), &draft("daily")).await.unwrap();
    assert!(alike.is_empty(), "an occurrence is no single appointment");
    let (patch, after) = patched(&master, &[(Field::Recurrence, Value::Empty)]);
    let error = sim.connector.update(&master.at, &master.version, &patch, &after, Mail::Silent).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unsupported);
}

#[tokio::test]
async fn a_sweep_lists_everything_over_several_pages() {
    let sim = Sim::start().await;
    let stamped = sim.create(&draft("ours"), &Key::Uid("v".repeat(300)), Mail::Silent).await;
    let item = "<t:CalendarItem><t:Subject>n</t:Subject><t:Start>2027-02-08T09:00:00Z</t:Start><t:End>2027-02-08T10:00:00Z</t:End></t:CalendarItem>";
    let many = format!(
        r#"<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{}</m:Items></m:CreateItem>"#,
        item.repeat(100)
    );
    for _ in 0..6 {
        sim.ask("susan.maye", &many).await;
    }
    let listed = list(&sim.connector, &susan()).await.unwrap();
    assert_eq!(listed.len(), 601);
    assert_eq!(listed.iter().map(|row| &row.at).collect::<BTreeSet<_>>().len(), 601);
    assert!(listed.iter().all(|row| row.uid.is_some()));
    let own = listed.iter().find(|row| row.at == stamped.at).unwrap();
    assert_eq!((&own.version, &own.stamp), (&stamped.version, &stamped.stamp), "a long stamp is fetched whole");
}

#[tokio::test]
async fn an_item_that_left_the_calendar_is_deleted_from_it() {
    let sim = Sim::start().await;
    let made = sim.create(&draft("moved"), &key(1), Mail::Silent).await;
    let moved = sim
        .ask(
            "susan.maye",
            &format!(
                r#"<m:MoveItem><m:ToFolderId><t:DistinguishedFolderId Id="deleteditems"/></m:ToFolderId><m:ItemIds><t:ItemId Id="{}"/></m:ItemIds></m:MoveItem>"#,
                made.at.id
            ),
        )
        .await;
    assert_eq!(sim.read(&made.at).await, Seen::Deleted);
    let id = moved.split("ItemId Id=\"").nth(1).unwrap().split('"').next().unwrap();
    let there = ItemRef { container: susan(), id: id.to_owned() };
    assert_eq!(sim.read(&there).await, Seen::Deleted, "it exists, but not in the calendar");
    sim.connector.delete(&there, &Version("x".into()), Mail::Silent).await.unwrap();
    assert!(sim.connector.find_stamped(&susan(), &key(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_right_is_never_a_deletion() {
    let sim = Sim::start().await;
    let made = sim.create(&draft("kept"), &key(1), Mail::Silent).await;
    let not_found = || Fault { code: Some("ErrorItemNotFound".into()), ..Fault::new("GetItem", Kind::Error) };
    for operation in ["GetFolder", "FindItem"] {
        sim.running.faults().add(not_found()).unwrap();
        let fault = Fault { code: Some("ErrorAccessDenied".into()), ..Fault::new(operation, Kind::Error) };
        sim.running.faults().add(fault).unwrap();
        // Whether the "no" stands in a response message or a fault, the item must not count as deleted.
        let error = match sim.connector.read(&made.at).await {
            Ok(seen) => panic!("{seen:?}"),
            Err(error) => error,
        };
        assert!(matches!(error.problem, Problem::Forbidden | Problem::NotFound), "{error:?}");
        sim.running.faults().clear();
    }
    let denied = Fault { code: Some("ErrorAccessDenied".into()), ..Fault::new("GetItem", Kind::Error) };
    sim.running.faults().add(denied).unwrap();
    assert_eq!(sim.connector.read(&made.at).await.unwrap_err().problem, Problem::Forbidden);
    assert!(matches!(sim.read(&made.at).await, Seen::Present(_)));
}

#[tokio::test]
async fn mailboxes_and_sign_in_are_probed() {
    let sim = Sim::start().await;
    sim.connector.probe(&susan()).await.unwrap();
    let problem = |result: Result<(), daybridge::connector::Error>| result.unwrap_err().problem;
    assert_eq!(problem(sim.connector.probe(&mailbox("nobody")).await), Problem::NoMailbox);
    assert_eq!(problem(sim.connector.probe(&Container::Crm).await), Problem::Unsupported);

    let with = |change: &dyn Fn(&mut daybridge::connector::ews::config::EwsConfig)| {
        let mut config = service(&sim.running);
        change(&mut config);
        EwsConnector::new(config).unwrap()
    };
    let wrong = with(&|config| config.password = Secret::new("wrong"));
    let error = wrong.probe(&susan()).await.unwrap_err();
    assert_eq!((error.problem.clone(), error.class().name()), (Problem::SignIn, "auth"));

    let own = with(&|config| {
        (config.login, config.password) = ("susan.maye".into(), Secret::new("susan-demo"));
        config.impersonate = false;
    });
    own.probe(&susan()).await.unwrap();
    assert!(own.probe(&terry()).await.is_err(), "another's mailbox is not mistaken for the own");
    let user = with(&|config| (config.login, config.password) = ("susan.maye".into(), Secret::new("susan-demo")));
    assert_eq!(problem(user.probe(&terry()).await), Problem::Forbidden);

    let elsewhere = with(&|config| config.url = config.url.replace("/EWS/Exchange.asmx", "/elsewhere"));
    assert_eq!(problem(elsewhere.probe(&susan()).await), Problem::Malformed);
    let at = ItemRef { container: susan(), id: "AAMk".into() };
    let error = elsewhere.delete(&at, &Version("x".into()), Mail::Silent).await.unwrap_err();
    assert_eq!(error.problem, Problem::Malformed, "a wrong address is not an item that is gone");
}

#[tokio::test]
async fn throttling_names_the_wait() {
    let sim = Sim::start().await;
    let throttle = Fault {
        back_off_ms: Some(60_000),
        container: Some("susan.maye@example.test".into()),
        ..Fault::new("*", Kind::Throttle)
    };
    sim.running.faults().add(throttle).unwrap();
    let error = sim.connector.changed_since(&susan(), None).await.unwrap_err();
    assert_eq!(error.problem, Problem::Throttled { after: Some(Duration::from_millis(60_000)) });
    let throttle = Fault {
        back_off_ms: Some(2_000),
        container: Some("susan.maye@example.test".into()),
        ..Fault::new("*", Kind::Throttle)
    };
    sim.running.faults().add(throttle).unwrap();
    sim.connector.changed_since(&terry(), None).await.unwrap();
    sim.running.faults().clear();

    let status = Fault { status: Some(503), retry_after_s: Some(70), ..Fault::new("*", Kind::Status) };
    sim.running.faults().add(status).unwrap();
    let error = sim.connector.changed_since(&terry(), None).await.unwrap_err();
    assert_eq!(error.problem, Problem::Unreachable { after: Some(Duration::from_secs(70)) });
    // Who was told to wait asks nothing, whatever the server would say by now.
    let asked = sim.running.faults().counters().requests;
    for busy in [susan(), terry()] {
        let error = sim.connector.changed_since(&busy, None).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Throttled { after: Some(_) }), "{error:?}");
    }
    assert_eq!(sim.running.faults().counters().requests, asked);
    let full = Fault { code: Some("ErrorQuotaExceeded".into()), ..Fault::new("CreateItem", Kind::Error) };
    sim.running.faults().add(full).unwrap();
    let error = sim.connector.create(&mailbox("mary.jones"), &draft("x"), &key(1), Mail::Silent).await.unwrap_err();
    assert_eq!(error.problem, Problem::Full);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_by_its_stamp() {
    let sim = Sim::start().await;
    for (number, kind) in [Kind::DropAfterCommit, Kind::Malformed].into_iter().enumerate() {
        let key = key(u32::try_from(number).unwrap());
        sim.running.faults().add(Fault::new("CreateItem", kind)).unwrap();
        let error = sim.connector.create(&susan(), &draft("once"), &key, Mail::Silent).await.unwrap_err();
        assert!(matches!(error.problem, Problem::Unreachable { .. } | Problem::Malformed), "{error:?}");
        assert_eq!(sim.connector.find_stamped(&susan(), &key).await.unwrap().len(), 1);
    }
    sim.running.faults().add(Fault::new("CreateItem", Kind::DropBefore)).unwrap();
    sim.connector.create(&susan(), &draft("never"), &key(9), Mail::Silent).await.unwrap_err();
    assert!(sim.connector.find_stamped(&susan(), &key(9)).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_update_whose_answer_was_lost_is_stale_the_next_time() {
    let sim = Sim::start().await;
    let made = sim.create(&draft("x"), &key(1), Mail::Silent).await;
    sim.running.faults().add(Fault::new("UpdateItem", Kind::DropAfterCommit)).unwrap();
    let (patch, after) = patched(&made, &[(Field::Subject, text("y"))]);
    sim.connector.update(&made.at, &made.version, &patch, &after, Mail::Silent).await.unwrap_err();
    let error = sim.connector.update(&made.at, &made.version, &patch, &after, Mail::Silent).await.unwrap_err();
    assert_eq!(error.problem, Problem::Stale);
    assert_eq!(sim.read(&made.at).await.present().unwrap().appointment.subject, "y");
}

#[tokio::test]
async fn custom_fields_travel() {
    let sim = Sim::with(|config| {
        let text = "set = 'PublicStrings'\nname = 'Colour'";
        config.fields.insert("colour".into(), toml::from_str(text).unwrap());
    })
    .await;
    let mut wanted = draft("x");
    let colour = Field::Custom("colour".into());
    wanted.set(&colour, text("green")).unwrap();
    let made = sim.create(&wanted, &key(1), Mail::Silent).await;
    assert_eq!(made.appointment.custom, wanted.custom);
    let cleared = sim.update(&made, &[(colour, Value::Empty)], Mail::Silent).await;
    assert!(cleared.appointment.custom.is_empty());
    assert_eq!(cleared.stamp, made.stamp);
    assert_eq!(
        cleared.appointment.time,
        Time::timed(at("2027-02-08T09:00:00Z"), at("2027-02-08T10:00:00Z"), daybridge::model::Zone::UTC)
    );
}
