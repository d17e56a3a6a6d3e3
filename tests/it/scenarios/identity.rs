//! Creation, identity, duplicates; echo.

use daybridge::control::{Desk, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY};
use serde_json::json;

#[tokio::test]
async fn s01_crm_appointment_without_attendees_becomes_one_exchange_item() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let booking = Booking::at("Site visit", &day, 9, SUSAN)
        .note("Bring samples\nand gloves")
        .with("Comm_Location", json!("Plant 2"))
        .with("Comm_NotifyDelta", json!(15));
    host.crm().book(&booking).await;
    host.settle().await;
    let item = host.outlook("susan.maye").by_subject("Site visit").await.expect("in Outlook");
    assert_eq!((item.start.as_str(), item.end.as_str()), (utc(&day, 9).as_str(), utc(&day, 10).as_str()));
    assert_eq!(item.body.replace("\r\n", "\n").trim_end(), "Bring samples\nand gloves");
    assert_eq!((item.location.as_str(), item.reminder), ("Plant 2", Some(15)));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s02_exchange_appointment_becomes_one_communication() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let outlook = host.outlook("mary.jones");
    let id = outlook.book("Dentist", &utc(&day, 15), &utc(&day, 16), &[]).await;
    outlook.set_location(&id, "High Street").await;
    host.settle().await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.text("Comm_Subject").as_str(), row.text("Comm_Location").as_str()), ("Dentist", "High Street"));
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T15:00:00"));
    assert_eq!(row.text("Comm_Organizer"), MARY);
    let links = host.crm().links(&row.id()).await;
    assert_eq!(links.iter().map(|link| link.text("CmLi_Comm_UserId")).collect::<Vec<_>>(), [MARY]);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s03_create_that_times_out_after_commit_is_found_again() {
    let mut host = TestHost::settled().await;
    host.exchange_fault(json!({"operation": "CreateItem", "kind": "drop-after-commit", "times": 1})).await;
    host.crm().book(&Booking::at("Only once", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let crm = host.crm();
    host.until("the item is paired", || async { (host.app.pairs() == 1).then_some(()) }).await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1);
    assert_eq!(crm.appointments().await.len(), 1);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s03_create_in_the_crm_that_times_out_after_commit_is_found_again() {
    let mut host = TestHost::settled().await;
    host.crm_fault(json!({"operation": "POST Communication", "kind": "drop-after-commit", "times": 1})).await;
    host.outlook("susan.maye").book("Only once", &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
    host.settle().await;
    host.until("the item is paired", || async { (host.app.pairs() == 1).then_some(()) }).await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 1);
    let links = host.crm().links(&rows[0].id()).await;
    assert_eq!(links.iter().map(|link| link.text("CmLi_Comm_UserId")).collect::<Vec<_>>(), [SUSAN]);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s05_meeting_seen_from_three_mailboxes_is_one_communication() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let people = ["terry.smith@example.test", "mary.jones@example.test"];
    host.outlook("susan.maye").book("Board", &utc(&day, 9), &utc(&day, 10), &people).await;
    host.people_mailed(Mails::new(2, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 1);
    let mut users: Vec<String> =
        host.crm().links(&rows[0].id()).await.iter().map(|link| link.text("CmLi_Comm_UserId")).collect();
    users.sort();
    assert_eq!(users, [SUSAN, TERRY, MARY]);
    host.oracle(1, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn s06_copies_met_by_several_workers_at_once_are_one_communication() {
    let mut host = TestHost::settled_with("[sync]\nworkers = 8\n").await;
    host.app.start();
    let day = day(41);
    let people = ["terry.smith@example.test", "mary.jones@example.test", "william.dolan@example.test"];
    host.outlook("susan.maye").book("All hands", &utc(&day, 9), &utc(&day, 10), &people).await;
    host.people_mailed(Mails::new(3, 0, 0));
    host.until("the CRM has it", || async { (!host.crm().appointments().await.is_empty()).then_some(()) }).await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    host.oracle(1, Mails::new(3, 0, 0)).await;
}

#[tokio::test]
async fn s07_lost_ledger_is_rebuilt_without_a_single_write() {
    let mut host = TestHost::settled().await;
    host.crm().book(&Booking::at("From the CRM", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.outlook("mary.jones").book("From Outlook", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    host.settle().await;
    assert_eq!(host.app.pairs(), 2);
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    host.restart_without_data().await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    assert_eq!(host.app.pairs(), 2);
    assert_eq!(host.crm().appointments().await.len(), 2);
    host.oracle(2, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s07_lost_ledger_reopens_nothing_that_is_complete() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Done", &day(40), 9, SUSAN)).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Complete", "Comm_Priority": "High"})).await;
    host.settle().await;
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    host.restart_without_data().await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    assert_eq!(host.crm().get("Communication", &id).await.expect("there").text("Comm_Status"), "Complete");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s08_identical_appointments_on_both_sides_are_linked() {
    let mut host = TestHost::start().await;
    let day = day(40);
    host.crm().book(&Booking::at("Twin", &day, 9, SUSAN)).await;
    host.outlook("susan.maye").book("Twin", &utc(&day, 9), &utc(&day, 10), &[]).await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s08_identical_appointments_met_in_exchange_first_are_linked_once() {
    let mut host = TestHost::start().await;
    let day = day(40);
    host.crm().book(&Booking::at("Twin", &day, 9, SUSAN)).await;
    host.outlook("susan.maye").book("Twin", &utc(&day, 9), &utc(&day, 10), &[]).await;
    // Both wait in the queue, each under its own key, when the copy in Exchange finds the other.
    let containers = vec!["susan.maye@example.test".to_owned(), "crm".to_owned()];
    let report = host.app.sync(&SyncOrder { containers, ..SyncOrder::default() }).await.expect("a pass");
    assert_eq!(report.unfinished, 0, "{:?}", report.lines);
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s09_two_alike_appointments_on_each_side_are_not_merged_wrongly() {
    let mut host = TestHost::start().await;
    let day = day(40);
    for room in ["A", "B"] {
        host.crm().book(&Booking::at("Interview", &day, 9, SUSAN).with("Comm_Location", json!(room))).await;
    }
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 2);
    let mut rooms: Vec<String> =
        host.outlook("susan.maye").calendar().await.into_iter().map(|item| item.location).collect();
    rooms.sort();
    assert_eq!(rooms, ["A", "B"]);
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s12_doorbell_rung_five_times_is_one_write() {
    let mut host = TestHost::settled().await;
    let writes = host.servers.exchange_writes().await;
    host.crm().book(&Booking::at("Ring", &day(40), 9, SUSAN)).await;
    for _ in 0..5 {
        host.pass(false).await;
    }
    host.settle().await;
    assert_eq!(host.servers.exchange_writes().await, writes + 1);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s13_own_write_coming_back_is_no_write() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Echo", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let writes = host.servers.crm_writes().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Echo two"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await[0].subject, "Echo two");
    assert_eq!(host.servers.crm_writes().await, writes + 1, "only the person's own");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s14_subject_longer_than_the_column_does_not_ping_pong() {
    let mut host = TestHost::settled().await;
    let long = "x".repeat(300);
    let day = day(40);
    let outlook = host.outlook("susan.maye");
    let id = outlook.book(&long, &utc(&day, 9), &utc(&day, 10), &[]).await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await[0].text("Comm_Subject").len(), 255);
    outlook.set_location(&id, "Hall").await;
    host.settle().await;
    assert_eq!(outlook.meeting(&id).await.expect("there").subject, long);
    assert_eq!(host.crm().appointments().await[0].text("Comm_Location"), "Hall");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s10_item_moved_out_of_the_calendar_and_back_is_not_doubled() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Wanderer", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Wanderer").await.expect("in Outlook").id;
    let moved = outlook.relocate(&item, "deleteditems").await;
    // Back before the host looked: the item may carry a new id, its stamp leads to the pair.
    outlook.relocate(&moved, "calendar").await;
    host.settle().await;
    assert_eq!(outlook.calendar().await.len(), 1);
    let row = host.crm().get("Communication", &id).await.expect("kept");
    assert_eq!(row.text("Comm_Status"), "Pending");
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Found"})).await;
    host.settle().await;
    assert_eq!(outlook.by_subject("Wanderer").await.expect("in Outlook").location, "Found");
    host.oracle(1, Mails::NONE).await;
}
