//! Mail is declared before it is caused, and mostly not caused.

use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_ALL;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use daybridge_tests::wait::wait_for;
use serde_json::json;

#[tokio::test]
async fn s31_first_sync_of_meetings_mails_nobody() {
    let mut host = TestHost::start().await;
    for number in 0..20 {
        let booking = Booking::at(&format!("Old meeting {number}"), &day(20 + number), 9, SUSAN)
            .with_user(TERRY)
            .with_external("ann.lee@client.test");
        host.crm().book(&booking).await;
    }
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 20);
    host.oracle(20, Mails::NONE).await;
}

#[tokio::test]
async fn s32_complete_mails_nobody_and_drops_the_reminder() {
    let mut host = TestHost::settled().await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with("Comm_NotifyDelta", json!(30));
    let id = host.crm().book(&booking).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    assert_eq!(outlook.by_subject("Review").await.expect("in Outlook").reminder, Some(30));
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Complete", "Comm_Note": "Done: signed"})).await;
    host.settle().await;
    let item = outlook.by_subject("Review").await.expect("in Outlook");
    // A server that would mail the new text to Terry is not given it.
    let body = if host.servers.reach.writes_silently() { "Done: signed" } else { "" };
    assert_eq!((item.reminder, item.body.trim_end()), (None, body));
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s33_change_of_crm_only_fields_reaches_nobody() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    let before = host.servers.exchange_writes().await;
    host.crm().patch("Communication", &id, &json!({"Comm_OpportunityId": 7})).await;
    host.crm()
        .post("Comm_Link", &json!({"CmLi_Comm_CommunicationId": id.parse::<i64>().expect("an id"), "CmLi_Comm_CompanyId": 28, "CmLi_Comm_PersonId": 30}))
        .await;
    host.settle().await;
    assert_eq!(host.servers.exchange_writes().await, before);
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s34_time_change_is_one_update_for_each_attendee() {
    let mut host = TestHost::settled().await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    let day = day(41);
    host.crm()
        .patch(
            "Communication",
            &id,
            &json!({"Comm_DateTime": format!("{day}T11:00:00"), "Comm_ToDateTime": format!("{day}T12:00:00")}),
        )
        .await;
    host.settle().await;
    assert_eq!(host.outlook("terry.smith").by_subject("Review").await.expect("in Outlook").start, utc(&day, 11));
    host.oracle(1, Mails::new(2, 2, 0)).await;
}

#[tokio::test]
async fn s34_reminder_and_priority_mail_nobody() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    host.crm().patch("Communication", &id, &json!({"Comm_NotifyDelta": 45, "Comm_Priority": "High"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").by_subject("Review").await.expect("in Outlook").reminder, Some(45));
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s36_edit_by_the_crm_of_somebody_elses_meeting_stays_in_the_crm() {
    let mut host = TestHost::settled().await;
    host.crm().patch("Users", daybridge_tests::user::WILLIAM, &json!({"User_EmailAddress": null})).await;
    host.settle_after_user_change().await;
    let day = day(40);
    let outlook = host.outlook("william.dolan");
    let item = outlook.book("Outside", &utc(&day, 9), &utc(&day, 10), &["susan.maye@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    let before = host.servers.exchange_writes().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Mine now"})).await;
    host.settle().await;
    assert_eq!(host.servers.exchange_writes().await, before);
    let trace = host.trace(&id).await;
    assert!(trace.contains("belongs to an organizer elsewhere"), "{trace}");
    outlook.reschedule(&item, &utc(&day, 13), &utc(&day, 14), TO_ALL).await;
    host.people_mailed(Mails::new(0, 1, 0));
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T13:00:00"));
    host.oracle(1, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn idle_pairs_cost_no_request() {
    let mut host = TestHost::settled().await;
    let mut costs = Vec::new();
    for pairs in [1, 15] {
        for number in 0..pairs {
            host.crm().book(&Booking::at(&format!("Pair {pairs}-{number}"), &day(30 + number), 9, SUSAN)).await;
        }
        host.settle().await;
        let before = host.servers.requests().await;
        host.pass(false).await;
        let after = host.servers.requests().await;
        costs.push((after.0 - before.0, after.1 - before.1));
    }
    assert_eq!(costs[0], costs[1], "a pass with 16 idle pairs costs what one with a single pair does");
    host.oracle(16, Mails::NONE).await;
}

#[tokio::test]
async fn more_mail_than_allowed_within_an_hour_waits_for_a_person() {
    let mut host = TestHost::settled_with("[sync]\nmail_cap = 3\n").await;
    for number in 0..3 {
        let booking = Booking::at(&format!("Meeting {number}"), &day(40 + number), 9, SUSAN)
            .with_user(TERRY)
            .with_external("ann.lee@client.test");
        host.crm().book(&booking).await;
        host.settle().await;
    }
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1, "two mails each, three allowed");
    assert_eq!(host.parked().await.values().collect::<Vec<_>>(), ["mail-cap", "mail-cap"]);
    host.retry_all().await;
    host.settle().await;
    host.oracle(3, Mails::new(6, 0, 0)).await;
}

#[tokio::test]
async fn mails_of_a_write_that_was_carried_out_count_against_the_cap_whatever_became_of_its_answer() {
    let mut host = TestHost::settled_with("[sync]\nmail_cap = 3\n").await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    // One: the invitation goes out, and the answer is lost.
    host.exchange_fault(json!({"operation": "CreateItem", "kind": "drop-after-commit"})).await;
    let id = crm.book(&Booking::at("Plan", &day(40), 9, SUSAN).with_external("ann.lee@client.test")).await;
    host.settle().await;
    // Two: the update goes out, and somebody edits the item before the host has read it back.
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
    host.exchange_fault(json!({"operation": "UpdateItem", "kind": "hold"})).await;
    let faults = host.servers.exchange.faults();
    let person = async {
        wait_for("the host's write is held", || async { (faults.pending().held == 1).then_some(()) }).await;
        outlook.set_location(&item, "Room 9").await;
        faults.clear();
    };
    tokio::join!(host.pass(false), person);
    host.settle().await;
    assert_eq!(host.servers.mails().await, Mails::new(1, 1, 0));
    // Three is the last that may go out within the hour.
    for subject in ["Plan C", "Plan D"] {
        crm.patch("Communication", &id, &json!({ "Comm_Subject": subject })).await;
        host.settle().await;
    }
    assert_eq!(host.servers.mails().await, Mails::new(1, 2, 0));
    assert_eq!(host.parked().await.values().collect::<Vec<_>>(), ["mail-cap"]);
    host.retry_all().await;
    host.rests(1, Mails::new(1, 3, 0)).await;
}
