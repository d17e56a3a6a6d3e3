//! Removing needs certainty.

use daybridge_tests::crm::Booking;
use daybridge_tests::ews::{TO_ALL, TO_NONE};
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

#[tokio::test]
async fn s23_cancelled_in_the_crm_is_gone_everywhere_with_one_cancellation_each() {
    let mut host = TestHost::settled().await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    for name in ["susan.maye", "terry.smith"] {
        assert!(host.outlook(name).calendar().await.is_empty(), "{name} still has it");
    }
    host.oracle(0, Mails::new(2, 0, 2)).await;
}

#[tokio::test]
async fn s23_cancelled_after_it_was_over_mails_nobody() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Yesterday", &day(-2), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").by_subject("Yesterday").await.is_some());
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").calendar().await.is_empty());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s23_deleted_in_the_crm_is_gone_everywhere_and_mails_who_was_to_come() {
    let mut host = TestHost::settled().await;
    let meeting = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    let alone = host.crm().book(&Booking::at("Desk", &day(41), 9, SUSAN)).await;
    let past = host.crm().book(&Booking::at("Yesterday", &day(-2), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 3);
    // The record stays in the database and is hidden from then on.
    for id in [&meeting, &alone, &past] {
        host.crm().delete("Communication", id).await;
    }
    host.settle_with_sweep().await;
    for name in ["susan.maye", "terry.smith"] {
        assert!(host.outlook(name).calendar().await.is_empty(), "{name} still has one");
    }
    host.oracle(0, Mails::new(1, 0, 1)).await;
}

#[tokio::test]
async fn s23_link_row_of_the_last_user_deleted_in_the_crm_cancels_nothing() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Desk", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let links = host.crm().links(&id).await;
    host.crm().delete("Comm_Link", &links.first().expect("Susan's row").id()).await;
    host.settle_with_sweep().await;
    // The organizer column still names her.
    assert!(host.outlook("susan.maye").by_subject("Desk").await.is_some());
    assert_eq!(host.crm().get("Communication", &id).await.expect("kept").text("Comm_Status"), "Pending");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s24_deleted_by_the_organizer_in_outlook_is_cancelled_in_the_crm() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Review").await.expect("in Outlook").id;
    outlook.delete(&item, TO_NONE).await;
    host.settle().await;
    assert!(host.crm().appointments().await.is_empty());
    assert_eq!(host.crm().get("Communication", &id).await.expect("kept").text("Comm_Status"), "Cancelled");
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s24_meeting_deleted_by_its_organizer_without_a_word_is_cancelled_in_the_crm() {
    let mut host = TestHost::settled().await;
    host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Review").await.expect("in Outlook").id;
    outlook.delete(&item, TO_NONE).await;
    host.settle().await;
    assert!(host.crm().appointments().await.is_empty(), "Terry's copy, which nobody took back, does not keep it alive");
    host.oracle(0, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s26_deletion_of_what_is_already_gone_is_success() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Review").await.expect("in Outlook").id;
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    outlook.delete(&item, TO_NONE).await;
    host.settle().await;
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s27_mailbox_that_lost_most_of_its_items_meets_the_brake() {
    let mut host = TestHost::settled_with("[sync]\ndelete_count = 3\ndelete_fraction = 0.1\n").await;
    let crm = host.crm();
    for number in 0..12 {
        crm.book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN)).await;
    }
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    for item in outlook.calendar().await {
        outlook.delete(&item.id, TO_NONE).await;
    }
    host.settle().await;
    assert_eq!(crm.appointments().await.len(), 9, "three went, then the brake held");
    let parked = host.parked().await;
    assert_eq!(parked.len(), 9);
    assert!(parked.values().all(|code| code == "deletions-held"), "{parked:?}");
    // A person looks, and lets them go.
    host.retry_all().await;
    host.settle().await;
    assert!(crm.appointments().await.is_empty());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s28_past_meeting_cleaned_out_of_outlook_stays_in_the_crm() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Last week", &day(-5), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Last week").await.expect("in Outlook").id;
    outlook.delete(&item, TO_NONE).await;
    host.settle().await;
    assert_eq!(host.crm().get("Communication", &id).await.expect("kept").text("Comm_Status"), "Pending");
    assert!(outlook.calendar().await.is_empty());
    // An edit of the record does not bring it back.
    host.crm().patch("Communication", &id, &json!({"Comm_Note": "Minutes"})).await;
    host.settle().await;
    assert!(outlook.calendar().await.is_empty());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s29_mailbox_without_right_deletes_nothing() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let fault = json!({"operation": "*", "container": "susan.maye@example.test", "kind": "error",
        "code": "ErrorNonExistentMailbox", "times": 200});
    host.exchange_fault(fault).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Note": "While the mailbox is away"})).await;
    host.pass(true).await;
    host.pass(true).await;
    assert_eq!(host.crm().get("Communication", &id).await.expect("kept").text("Comm_Status"), "Pending");
    assert_eq!(host.parked().await.values().collect::<Vec<_>>(), ["mailbox-missing"]);
    host.clear_exchange_faults().await;
    host.retry_all().await;
    host.settle().await;
    let item = host.outlook("susan.maye").by_subject("Review").await.expect("still there");
    assert_eq!(item.body.trim_end(), "While the mailbox is away");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s39_external_organizer_cancels_and_the_stub_is_removed() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    // William has a mailbox but, for the CRM, no address: an organizer from elsewhere.
    host.crm().patch("Users", daybridge_tests::user::WILLIAM, &json!({"User_EmailAddress": null})).await;
    host.settle_after_user_change().await;
    let outlook = host.outlook("william.dolan");
    let item = outlook.book("Outside", &utc(&day, 9), &utc(&day, 10), &["susan.maye@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    outlook.delete(&item, TO_ALL).await;
    host.people_mailed(Mails::new(0, 0, 1));
    host.settle().await;
    assert!(host.crm().appointments().await.is_empty());
    host.oracle(0, Mails::new(1, 0, 1)).await;
}
