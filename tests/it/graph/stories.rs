//! What differs when Exchange is reached by Graph: stories that run with it whatever the suite is told.

use chrono::TimeDelta;
use daybridge::control::{Desk as _, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, Reach, Servers, TestHost, delete, post};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

async fn host(more: &str) -> TestHost {
    TestHost::on(Servers::reached(Reach::Graph).await, more).await
}

async fn settled(more: &str) -> TestHost {
    let mut host = host(more).await;
    host.settle().await;
    host
}

#[tokio::test]
async fn s31_a_first_pass_makes_meetings_without_their_attendees_and_says_so() {
    let mut host = host("").await;
    let booking = Booking::at("Old meeting", &day(20), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    let plan =
        host.app.sync(&SyncOrder { containers: Vec::new(), sweep: false, dry_run: true }).await.expect("a dry run");
    let line = plan.lines.iter().find(|line| line.target.is_some()).expect("a planned write");
    assert!(line.reason.contains("without its attendees"), "{}", line.reason);
    host.settle().await;
    let meeting = host.outlook("susan.maye").by_subject("Old meeting").await.expect("in Outlook");
    assert_eq!(meeting.attendees, []);
    assert_eq!(host.crm().links(&id).await.len(), 3, "who is to come stays in the CRM");
    let trace = host.trace(&id).await;
    assert!(trace.contains("made without its attendees"), "{trace}");
    // Edited later: still nobody is mailed who was never invited.
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Room 7"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").by_subject("Old meeting").await.expect("there").location, "Room 7");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s31_a_first_pass_makes_a_series_without_its_attendees_and_says_so() {
    let mut host = host("").await;
    let mut ids = Vec::new();
    for offset in 20..24 {
        let booking = Booking::at("Old series", &day(offset), 9, SUSAN).with_user(TERRY);
        ids.push(host.crm().book(&booking.with("Comm_RecurrenceId", json!(31))).await);
    }
    host.settle().await;
    let calendar = host.outlook("susan.maye").calendar().await;
    assert_eq!(
        calendar.iter().map(|one| (one.subject.as_str(), one.attendees.len())).collect::<Vec<_>>(),
        [("Old series", 0)]
    );
    assert_eq!(host.crm().links(&ids[0]).await.len(), 2, "who is to come stays in the CRM");
    let trace = host.trace("crm-series:31").await;
    assert!(trace.contains("made without its attendees"), "{trace}");
    // One occurrence, edited later, is an exception that mails nobody either.
    host.crm().patch("Communication", &ids[2], &json!({"Comm_Location": "Room 7"})).await;
    host.settle().await;
    let view = host.outlook("susan.maye").view(&utc(&day(20), 0), &utc(&day(24), 0)).await;
    assert_eq!(view.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["", "", "Room 7", ""]);
    host.oracle(5, Mails::NONE).await;
}

#[tokio::test]
async fn a_change_of_a_meeting_that_is_over_is_not_written_where_it_would_be_mailed() {
    let mut host = settled("").await;
    // A meeting of Outlook's own, over by now, with a guest who was invited.
    let (outlook, past) = (host.outlook("susan.maye"), day(-2));
    outlook.book("Yesterday", &utc(&past, 9), &utc(&past, 10), &["terry.smith@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "As it went", "Comm_Note": "Minutes"})).await;
    host.settle().await;
    assert!(outlook.by_subject("Yesterday").await.is_some(), "the guest is not told of minutes");
    let trace = host.trace(&id).await;
    assert!(trace.contains("was not written to Exchange"), "{trace}");
    // Nor is it cancelled by mail.
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    assert!(outlook.by_subject("Yesterday").await.is_some());
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn making_a_meeting_private_is_written_and_declared_and_its_priority_alone_is_not() {
    let mut host = settled("").await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Priority": "High"})).await;
    host.settle().await;
    assert_eq!(host.servers.mails().await, Mails::new(1, 0, 0));
    host.crm().patch("Communication", &id, &json!({"Comm_Private": "Y"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").by_subject("Review").await.expect("there").sensitivity, "Private");
    host.oracle(1, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn s07_a_lost_ledger_is_rebuilt_by_graph_from_what_ews_made() {
    let mut host = TestHost::on(Servers::reached(Reach::Ews).await, "").await;
    host.settle().await;
    host.crm().book(&Booking::at("From the CRM", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.outlook("mary.jones").book("From Outlook", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    host.settle().await;
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    host.servers.reach = Reach::Graph;
    host.restart_without_data().await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    host.oracle(2, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn a_window_that_moves_on_loses_nothing_and_writes_nothing() {
    let mut host = settled("").await;
    host.crm().book(&Booking::at("Known", &day(40), 9, SUSAN)).await;
    // Beyond the window's end as yet: made by Outlook, so only the feed or a sweep can tell.
    host.outlook("susan.maye").book("Far", &utc(&day(735), 9), &utc(&day(735), 10), &[]).await;
    host.settle().await;
    assert_eq!(host.app.pairs(), 1);
    host.clock.advance(TimeDelta::days(8));
    let writes = host.servers.exchange_writes().await;
    host.settle().await;
    assert_eq!((host.app.pairs(), host.servers.exchange_writes().await), (2, writes));
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s73_a_forgotten_delta_starts_over_without_a_write() {
    let mut host = settled("").await;
    for number in 0..3 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(40 + number), 9, SUSAN).with_user(TERRY)).await;
    }
    host.settle().await;
    for reset in ["gone", "state-not-found"] {
        post(&format!("{}_sim/graph", host.servers.exchange.url()), &json!({"delta_reset": reset})).await;
        delete(&format!("{}_sim/graph/delta", host.servers.exchange.url())).await;
        host.oracle(3, Mails::new(3, 0, 0)).await;
    }
}
