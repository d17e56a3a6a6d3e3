//! The connector against answers that a test writes: what it sends, what it believes, and what it never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use daybridge::clock::FixedClock;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::GraphConfig;
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector as _, Cursor, Naming, Problem};
use daybridge::error::Chain;
use daybridge::model::{
    Address, Appointment, Container, Field, ItemRef, Key, Mail, Patch, Seen, Time, Value as FieldValue, Version, Zone,
};
use daybridge_tests::answering::{Answer, Answering, Asked};
use daybridge_tests::listing::list;
use serde_json::{Value, json};

use super::susan;

fn container() -> Container {
    Container::Mailbox(susan())
}

fn at(id: &str) -> ItemRef {
    ItemRef::exchange(susan(), id)
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new("2027-02-01T08:00:00Z".parse().unwrap(), 1))
}

fn connect(server: &Answering, clock: &Arc<FixedClock>) -> GraphConnector {
    let mut config = GraphConfig::new("example.test", "client", Secret::new("secret"));
    config.url = format!("{}/v1.0", server.url);
    config.authority = server.url.clone();
    GraphConnector::new(config, clock.clone()).unwrap()
}

/// A server that gives tokens, and answers the rest as told.
async fn graph(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Answering {
    let tokens = AtomicU32::new(0);
    Answering::start(move |own, asked| {
        if asked.path().ends_with("/oauth2/v2.0/token") {
            let number = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            return Answer::json(200, &json!({"expires_in": 3600, "access_token": format!("token-{number}")}));
        }
        answer(own, asked)
    })
    .await
}

/// What was asked of Graph itself.
fn asked(server: &Answering) -> Vec<Asked> {
    server.asked().into_iter().filter(|asked| !asked.path().ends_with("/token")).collect()
}

fn no(status: u16, code: &str) -> Answer {
    Answer::json(
        status,
        &json!({"error": {"code": code, "message": "The mailbox susan.maye@example.test has a problem."}}),
    )
}

fn shown(id: &str, more: Value) -> Value {
    let mut all = json!({
        "id": id, "changeKey": "DwA1", "iCalUId": format!("uid-{id}"), "subject": "Review", "isOrganizer": true,
        "start": {"dateTime": "2027-02-08T08:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2027-02-08T09:00:00.0000000", "timeZone": "UTC"},
    });
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    all
}

fn draft() -> Appointment {
    let (start, end) = ("2027-02-08T08:00:00Z".parse().unwrap(), "2027-02-08T09:00:00Z".parse().unwrap());
    Appointment::new("Review", Time::timed(start, end, Zone::UTC))
}

#[tokio::test]
async fn every_request_asks_for_ids_that_stay_and_for_utc() {
    let server = graph(|_, asked| match asked.path().ends_with("/events") {
        true => Answer::json(200, &json!({"value": []})),
        false => Answer::json(200, &shown("a", json!({}))),
    })
    .await;
    let connector = connect(&server, &clock());
    connector.read(&at("a")).await.unwrap();
    list(&connector, &container()).await.unwrap();
    connector.find_stamped(&container(), &Key::Crm("47".into())).await.unwrap();
    let all = asked(&server);
    for one in &all {
        assert!(one.header("prefer").contains("IdType=\"ImmutableId\""), "{one:?}");
        assert!(one.header("prefer").contains("outlook.timezone=\"UTC\""), "{one:?}");
        assert_eq!(one.header("authorization"), "Bearer token-1");
        assert_eq!(one.header("client-request-id").len(), 36);
        assert!(one.path().starts_with("/v1.0/users/susan.maye@example.test/"), "{one:?}");
    }
    let ids: std::collections::BTreeSet<_> = all.iter().map(|one| one.header("client-request-id")).collect();
    assert_eq!(ids.len(), all.len());
    let find = all.last().unwrap().query();
    assert!(find["$filter"].contains("ep/value eq 'crm:47'"), "{find:?}");
    assert!(find["$expand"].starts_with("singleValueExtendedProperties($filter=id eq 'String {"), "{find:?}");
    assert!(all.last().unwrap().header("prefer").contains("odata.maxpagesize=100"));
}

#[tokio::test]
async fn a_token_refused_in_the_middle_is_renewed_once() {
    let server = graph(|_, asked| match asked.header("authorization") {
        "Bearer token-2" => Answer::json(200, &json!({"value": []})),
        _ => no(401, "InvalidAuthenticationToken"),
    })
    .await;
    let connector = connect(&server, &clock());
    list(&connector, &container()).await.unwrap();
    assert_eq!(server.asked().len(), 4, "token, refused, token, done");
    let server = graph(|_, _| no(401, "InvalidAuthenticationToken")).await;
    let error = list(&connect(&server, &clock()), &container()).await.unwrap_err();
    assert_eq!((error.class().name(), server.asked().len()), ("auth", 4), "and not for ever");
}

#[tokio::test]
async fn s70_a_pause_is_kept_and_other_mailboxes_go_on() {
    let server = graph(|_, asked| match asked.path().contains("susan") {
        true => no(429, "ApplicationThrottled").with("Retry-After", "29.5"),
        false => Answer::json(200, &json!({"value": []})),
    })
    .await;
    let clock = clock();
    let connector = connect(&server, &clock);
    let error = list(&connector, &container()).await.unwrap_err();
    assert_eq!(error.problem, Problem::Throttled { after: Some(Duration::from_millis(29_500)) });
    let told = Chain(&error).to_string();
    assert!(told.contains("ApplicationThrottled") && !told.contains('@'), "{told}");
    let sent = asked(&server).len();
    clock.advance(TimeDelta::milliseconds(29_400));
    let error = connector.read(&at("a")).await.unwrap_err();
    assert_eq!(error.problem, Problem::Throttled { after: Some(Duration::from_millis(100)) });
    assert_eq!(asked(&server).len(), sent, "nothing is sent before the time");
    list(&connector, &Container::Mailbox(Address::new("terry.smith@example.test"))).await.unwrap();
    clock.advance(TimeDelta::milliseconds(100));
    list(&connector, &container()).await.unwrap_err();
    assert_eq!(asked(&server).len(), sent + 2);
}

#[tokio::test]
async fn a_link_to_another_server_gets_no_token() {
    let elsewhere = graph(|_, _| Answer::json(200, &json!({"value": []}))).await;
    let lure = format!("{}/v1.0/users/x/events?$skip=1", elsewhere.url);
    let server = graph(move |_, _| Answer::json(200, &json!({"value": [], "@odata.nextLink": lure}))).await;
    let error = list(&connect(&server, &clock()), &container()).await.unwrap_err();
    assert_eq!((error.problem, elsewhere.asked().len()), (Problem::Malformed, 0));
}

#[tokio::test]
async fn a_feed_brings_uid_and_stamp_in_one_round_trip_a_page() {
    let server = graph(|own, asked| {
        if asked.path().ends_with("$batch") {
            let parts = asked.json();
            let parts = parts["requests"].as_array().unwrap().iter().map(|part| {
                let url = part["url"].as_str().unwrap();
                assert!(url.starts_with("/users/susan.maye@example.test/events/"), "{url}");
                assert!(part["headers"]["Prefer"].as_str().unwrap().contains("ImmutableId"));
                let id = url.split(['/', '?']).nth(4).unwrap();
                match id {
                    "gone" => {
                        json!({"id": part["id"], "status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}})
                    }
                    _ => {
                        let stamp = "String {6d1f5f2a-84c7-4c3b-9a57-2b0f6ce1d9e4} Name DaybridgeKey";
                        let own = json!([{"id": stamp, "value": format!("crm:{id}")}]);
                        let body = shown(id, json!({"singleValueExtendedProperties": own}));
                        json!({"id": part["id"], "status": 200, "headers": {}, "body": body})
                    }
                }
            });
            // In any order.
            let parts: Vec<_> = parts.collect::<Vec<_>>().into_iter().rev().collect();
            return Answer::json(200, &json!({ "responses": parts }));
        }
        let delta = format!("{own}/v1.0/users/susan.maye@example.test/calendarView/delta?$deltatoken=t1");
        let rows =
            json!([shown("1", json!({})), shown("gone", json!({})), {"id": "2", "@removed": {"reason": "deleted"}}]);
        Answer::json(200, &json!({"value": rows, "@odata.deltaLink": delta}))
    })
    .await;
    let connector = connect(&server, &clock());
    let batch = connector.changed_since(&container(), None).await.unwrap();
    let short: Vec<_> = batch.changes.iter().map(|c| (c.at.id.as_str(), c.uid.as_deref(), c.stamp.clone())).collect();
    assert_eq!(
        short,
        [("1", Some("uid-1"), Some(Key::Crm("1".into()))), ("gone", Some("uid-gone"), None), ("2", None, None)]
    );
    assert!(!batch.more);
    let all = asked(&server);
    assert_eq!(all.len(), 2);
    let window = all[0].query();
    assert_eq!(
        (window["startDateTime"].as_str(), window["endDateTime"].as_str()),
        ("2027-01-01T00:00:00Z", "2029-02-02T00:00:00Z")
    );
    assert!(window.keys().all(|key| !key.starts_with('$')), "a delta takes no options: {window:?}");
    connector.changed_since(&container(), Some(&batch.next)).await.unwrap();
    assert!(asked(&server)[2].target.ends_with("/calendarView/delta?$deltatoken=t1"), "links are taken verbatim");
}

#[tokio::test]
async fn a_part_of_a_batch_that_is_throttled_pauses_the_mailbox() {
    let server = graph(|own, asked| match asked.path().ends_with("$batch") {
        true => Answer::json(200, &json!({"responses": [{"id": "0", "status": 429, "headers": {"Retry-After": "7"}, "body": {"error": {"code": "TooManyRequests"}}}]})),
        false => Answer::json(200, &json!({"value": [shown("1", json!({}))], "@odata.deltaLink": format!("{own}/v1.0/d")})),
    })
    .await;
    let connector = connect(&server, &clock());
    let error = connector.changed_since(&container(), None).await.unwrap_err();
    assert_eq!(error.problem, Problem::Throttled { after: Some(Duration::from_secs(7)) });
    let sent = asked(&server).len();
    connector.read(&at("1")).await.unwrap_err();
    assert_eq!(asked(&server).len(), sent);
}

#[tokio::test]
async fn a_feed_that_is_lost_says_so() {
    for (status, code) in [
        (410, "syncStateNotFound"),
        (410, ""),
        (400, "syncStateNotFound"),
        (400, "resyncRequired"),
        (409, "resyncRequired"),
    ] {
        let server = graph(move |_, _| no(status, code)).await;
        let connector = connect(&server, &clock());
        let cursor = format!(
            r#"{{"v":1,"from":"2027-01-01T00:00:00Z","to":"2029-01-01T00:00:00Z","link":"{}/v1.0/d","caught_up":true,"old":null}}"#,
            server.url
        );
        let error = connector.changed_since(&container(), Some(&Cursor(cursor))).await.unwrap_err();
        assert_eq!(error.problem, Problem::CursorLost, "{status} {code}");
    }
    let server = graph(|_, _| Answer::empty(500)).await;
    let error =
        connect(&server, &clock()).changed_since(&container(), Some(&Cursor("an EWS state".into()))).await.unwrap_err();
    assert_eq!((error.problem, asked(&server).len()), (Problem::CursorLost, 0));
}

#[tokio::test]
async fn an_item_is_gone_only_if_the_calendar_answers() {
    let listed = Arc::new(AtomicU32::new(1));
    let said = listed.clone();
    let server = graph(move |_, asked| match (asked.path().rsplit('/').next().unwrap(), said.load(Ordering::SeqCst)) {
        ("events", 0) => no(403, "ErrorAccessDenied"),
        ("events", _) => Answer::json(200, &json!({"value": []})),
        ("deleted", _) => Answer::json(200, &shown("deleted", json!({}))),
        _ => no(404, "ErrorItemNotFound"),
    })
    .await;
    let connector = connect(&server, &clock());
    assert_eq!(connector.read(&at("gone")).await.unwrap(), Seen::Deleted);
    assert_eq!(connector.read(&at("deleted")).await.unwrap(), Seen::Deleted, "it can be read, and lies elsewhere");
    listed.store(0, Ordering::SeqCst);
    assert_eq!(connector.read(&at("gone")).await.unwrap_err().problem, Problem::Forbidden);
    // No JSON of Graph's: an address that leads to some web server says nothing about an item.
    let other = graph(|_, _| Answer { status: 404, headers: vec![], body: "<html>".into() }).await;
    assert_eq!(connect(&other, &clock()).read(&at("a")).await.unwrap_err().problem, Problem::Malformed);
    let stranger = graph(|_, _| no(404, "ResourceNotFound")).await;
    assert_eq!(connect(&stranger, &clock()).read(&at("a")).await.unwrap_err().problem, Problem::NoMailbox);
}

#[tokio::test]
async fn a_repeated_create_finds_what_the_first_one_made() {
    for status in [400, 409] {
        let server = graph(move |_, asked| match asked.method.as_str() {
            "POST" => no(status, "ErrorDuplicateTransactionId"),
            _ => {
                let own = json!([{"id": "String {6d1f5f2a-84c7-4c3b-9a57-2b0f6ce1d9e4} Name DaybridgeKey", "value": "crm:1"}]);
                Answer::json(200, &json!({"value": [shown("made", json!({"singleValueExtendedProperties": own}))]}))
            }
        })
        .await;
        let connector = connect(&server, &clock());
        let made = connector.create(&container(), &draft(), &Key::Crm("1".into()), Mail::Silent).await.unwrap();
        assert_eq!((made.at, made.stamp), (at("made"), Some(Key::Crm("1".into()))));
    }
}

#[tokio::test]
async fn what_was_made_and_deleted_is_made_again_under_another_token() {
    let server = graph(|_, asked| match (asked.method.as_str(), asked.json()["transactionId"].as_str()) {
        ("POST", Some(token))
            if token == daybridge::connector::graph::write::transaction(&Key::Crm("1".into()), &susan(), 0) =>
        {
            no(409, "ErrorDuplicateTransactionId")
        }
        ("POST", _) => Answer::json(201, &shown("again", json!({}))),
        _ => Answer::json(200, &json!({"value": []})),
    })
    .await;
    let made =
        connect(&server, &clock()).create(&container(), &draft(), &Key::Crm("1".into()), Mail::Silent).await.unwrap();
    assert_eq!(made.at, at("again"));
}

#[tokio::test]
async fn a_write_that_is_to_mail_nobody_and_would_is_not_sent() {
    let attendees = json!([{"emailAddress": {"name": "Ann", "address": "ann@client.test"}, "type": "required"}]);
    let server = graph(move |_, _| Answer::json(200, &shown("a", json!({"attendees": attendees})))).await;
    let connector = connect(&server, &clock());
    let mut after = draft();
    after.attendees = vec![ann()];
    let refused = |patch: Patch, after: Appointment| {
        let connector = &connector;
        async move {
            let version = Version("DwA1".into());
            connector.update(&at("a"), &version, &patch, &after, Mail::Silent).await.unwrap_err().problem
        }
    };
    for field in [Field::Subject, Field::Time, Field::Sensitivity] {
        let patch = Patch { set: [(field.clone(), after.get(&field))].into() };
        assert_eq!(refused(patch, after.clone()).await, Problem::Unsupported, "{field}");
    }
    let without = Patch { set: [(Field::Attendees, FieldValue::Attendees(vec![]))].into() };
    assert_eq!(refused(without, draft()).await, Problem::Unsupported);
    let created = connector.create(&container(), &after, &Key::Crm("1".into()), Mail::Silent).await;
    assert_eq!(created.unwrap_err().problem, Problem::Unsupported);
    let deleted = connector.delete(&at("a"), &Version("DwA1".into()), Mail::Silent).await;
    assert_eq!(deleted.unwrap_err().problem, Problem::Unsupported);
    assert!(asked(&server).iter().all(|one| one.method == "GET"), "nothing was written");
}

fn ann() -> daybridge::model::Attendee {
    daybridge::model::Attendee {
        person: daybridge::model::Person { name: "Ann".into(), address: Address::new("ann@client.test") },
        user: None,
        kind: daybridge::model::AttendeeKind::Required,
        response: daybridge::model::Response::None,
        responded: None,
    }
}

#[tokio::test]
async fn a_change_is_conditional_and_a_meeting_of_ones_own_is_cancelled() {
    let attendees = json!([{"emailAddress": {"name": "Ann", "address": "ann@client.test"}, "type": "required"}]);
    let server = graph(move |_, asked| match asked.method.as_str() {
        "PATCH" if asked.header("if-match") != "W/\"DwA1\"" => no(412, "ErrorIrresolvableConflict"),
        "POST" => Answer::empty(202),
        _ => Answer::json(200, &shown("a", json!({"attendees": attendees}))),
    })
    .await;
    let connector = connect(&server, &clock());
    let patch = Patch { set: [(Field::ShowAs, FieldValue::ShowAs(daybridge::model::ShowAs::Free))].into() };
    let update = |version: &str| {
        let (connector, patch, version) = (&connector, &patch, Version(version.into()));
        async move { connector.update(&at("a"), &version, patch, &draft(), Mail::Silent).await }
    };
    update("DwA1").await.unwrap();
    let stale = update("DwA0").await.unwrap_err();
    assert_eq!((stale.problem.clone(), stale.class().name()), (Problem::Stale, "conflict"));
    connector.delete(&at("a"), &Version("DwA1".into()), Mail::All).await.unwrap();
    let last = asked(&server).pop().unwrap();
    assert_eq!((last.method.as_str(), last.path().ends_with("/events/a/cancel")), ("POST", true));
    let stale = connector.delete(&at("a"), &Version("DwA0".into()), Mail::All).await.unwrap_err();
    assert_eq!(stale.problem, Problem::Stale);
}

#[tokio::test]
async fn a_page_for_people_is_no_yes_to_a_write_whose_answer_is_empty() {
    // A portal in between that signs people in: 200 for whatever is asked.
    let portal = || Answer {
        body: "<html>Sign in</html>".into(),
        ..Answer::empty(200).with("Content-Type", "text/html; charset=utf-8")
    };
    for guests in
        [json!([]), json!([{"emailAddress": {"name": "Ann", "address": "ann@client.test"}, "type": "required"}])]
    {
        let server = graph(move |_, asked| match asked.method.as_str() {
            "GET" => Answer::json(200, &shown("a", json!({"attendees": guests}))),
            _ => portal(),
        })
        .await;
        let deleted = connect(&server, &clock()).delete(&at("a"), &Version("DwA1".into()), Mail::All).await;
        assert_eq!(deleted.unwrap_err().problem, Problem::Malformed, "it was not deleted");
    }
}

#[tokio::test]
async fn ids_of_ews_are_translated_a_thousand_at_a_time_and_a_bad_one_costs_its_neighbours_only() {
    let server = graph(|_, asked| {
        let ids = asked.json()["inputIds"].as_array().cloned().unwrap_or_default();
        if ids.iter().any(|id| id == "ews-1007") {
            return no(400, "ErrorInvalidIdMalformed");
        }
        let row = |id: &Value| match id.as_str().unwrap_or_default() {
            "ews-3" => json!({"sourceId": id, "errorDetails": {"code": "ErrorItemNotFound"}}),
            text => json!({"sourceId": id, "targetId": text.replace("ews", "rest")}),
        };
        // In no order.
        Answer::json(200, &json!({"value": ids.iter().rev().map(row).collect::<Vec<_>>()}))
    })
    .await;
    let connector = connect(&server, &clock());
    let ids: Vec<String> = (0..2_040).map(|number| format!("ews-{number}")).collect();
    let new = connector.translate(&container(), Naming::Ews, &ids).await.unwrap();
    assert_eq!(new.len(), ids.len());
    for (number, new) in new.iter().enumerate() {
        let lost = number == 3 || (1_000..1_020).contains(&number);
        assert_eq!(new.as_deref(), (!lost).then(|| format!("rest-{number}")).as_deref(), "{number}");
    }
    let all = asked(&server);
    assert!(all.iter().all(|one| one.path() == "/v1.0/users/susan.maye@example.test/translateExchangeIds"));
    let body = all[0].json();
    assert_eq!((&body["sourceIdType"], &body["targetIdType"]), (&json!("ewsId"), &json!("restImmutableEntryId")));
    let counts: Vec<usize> = all.iter().map(|one| one.json()["inputIds"].as_array().unwrap().len()).collect();
    assert_eq!((counts[0], counts[1], counts[2], *counts.last().unwrap(), counts.len()), (1_000, 1_000, 20, 40, 53));
    // Ids of its own are in no need of it, and a server that is busy is no server that cannot.
    let same = connector.translate(&container(), Naming::Graph, &ids).await.unwrap();
    assert!(same.iter().all(Option::is_none) && asked(&server).len() == 53);
    let busy = graph(|_, _| no(429, "ApplicationThrottled")).await;
    let error = connect(&busy, &clock()).translate(&container(), Naming::Ews, &ids).await.unwrap_err();
    assert!(matches!(error.problem, Problem::Throttled { .. }), "{error:?}");
}
