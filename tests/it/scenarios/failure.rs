//! Servers and rules that fail.

use daybridge::control::Desk;
use daybridge_tests::crm::Booking;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, WILLIAM};
use serde_json::json;

#[tokio::test]
async fn s69_edits_in_exchange_wait_while_the_crm_is_down() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    let id = outlook.book("Review", &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
    host.settle().await;
    host.crm_down(true).await;
    for location in ["Room 1", "Room 2", "Room 3"] {
        outlook.set_location(&id, location).await;
    }
    let failed = host.app.sync(&daybridge::control::SyncOrder::default()).await;
    assert!(failed.is_err() || failed.is_ok_and(|report| report.unfinished > 0), "the CRM is down");
    host.crm_down(false).await;
    host.settle().await;
    assert_eq!(host.crm().appointments().await[0].text("Comm_Location"), "Room 3");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s72_one_poison_item_is_parked_alone() {
    let mut host = TestHost::settled().await;
    let fault = json!({"operation": "CreateItem", "container": "william.dolan@example.test", "kind": "error",
        "code": "ErrorInvalidPropertySet", "times": 50});
    host.exchange_fault(fault).await;
    for number in 0..20 {
        let organizer = if number == 7 { WILLIAM } else { SUSAN };
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, organizer)).await;
    }
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 19);
    assert_eq!(host.parked().await.values().collect::<Vec<_>>(), ["data-refused"]);
    host.clear_exchange_faults().await;
    host.retry_all().await;
    host.settle().await;
    host.oracle(20, Mails::NONE).await;
}

#[tokio::test]
async fn s75_rule_that_traps_or_loops_parks_the_appointment_and_the_host_lives() {
    // The deadline is short for the loop alone: on a busy machine the others must not meet it first.
    for (act, code, deadline_ms) in
        [("loop", "rule-deadline", 50), ("allocate", "rule-memory", 5000), ("panic", "rule-panic", 5000)]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("house.wasm");
        std::fs::write(&file, guests::component("misbehaves")).expect("the rule is written");
        let chain = format!(
            "rules_dir = \"{}\"\n[[rules]]\nfile = \"house.wasm\"\nsettings = {{ act = \"{act}\" }}\nlimits = {{ deadline_ms = {deadline_ms} }}\n",
            folder.path().display()
        );
        let mut host = TestHost::settled_with(&chain).await;
        let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN)).await;
        host.settle().await;
        assert_eq!(host.parked().await.values().collect::<Vec<_>>(), [code], "{act}");
        let entry = host.app.queue_entry(&format!("crm:{id}")).await.expect("kept");
        let reason = entry.reason.expect("a reason");
        assert!(reason.message.contains("misbehaves") && !reason.hint.is_empty(), "{reason:?}");
        host.expect_parked(1);
        host.oracle(0, Mails::NONE).await;
    }
}
