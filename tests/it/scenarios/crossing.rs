//! A person writes at the very moment at which the host does.

use std::path::Path;
use std::sync::Arc;

use daybridge::app::App;
use daybridge::clock::SystemClock;
use daybridge::config::Config;
use daybridge::control::{Desk, SyncOrder};
use daybridge::sim::fault::{Fault, Faults, Kind};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, Servers, TestHost};
use daybridge_tests::time::day;
use daybridge_tests::user::SUSAN;
use daybridge_tests::wait::wait_for;
use serde_json::json;

/// Longer than the test: the fault ends when it is cleared.
const DELAY_MS: u64 = 50_000;

/// Waits until the host's own write has run into the fault.
async fn caught(faults: &Faults, held: bool) {
    wait_for("the host's write is under way", || async {
        let pending = faults.pending();
        (pending.pending.is_empty() && (!held || pending.held == 1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_edit_in_the_crm_that_crosses_the_hosts_write_is_not_lost() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Plan", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    outlook.set_location(&item, "Room 9").await;
    // The host has read the row and writes the location; before that arrives, a person renames.
    host.crm_fault(json!({"operation": "PATCH Communication", "kind": "delay", "delay_ms": DELAY_MS})).await;
    let faults = host.servers.crm.faults().clone();
    let person = async {
        caught(&faults, false).await;
        crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
        faults.clear();
    };
    tokio::join!(host.pass(false), person);
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!((row.text("Comm_Subject").as_str(), row.text("Comm_Location").as_str()), ("Plan B", "Room 9"));
    assert_eq!((shown.subject.as_str(), shown.location.as_str()), ("Plan B", "Room 9"));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn an_edit_in_outlook_that_crosses_the_hosts_write_is_not_lost() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Plan", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
    // The host's write is done; before it has read the item back, a person sets the location.
    host.exchange_fault(json!({"operation": "UpdateItem", "kind": "hold"})).await;
    let faults = host.servers.exchange.faults();
    let person = async {
        caught(&faults, true).await;
        outlook.set_location(&item, "Room 9").await;
        faults.clear();
    };
    tokio::join!(host.pass(false), person);
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!((row.text("Comm_Subject").as_str(), row.text("Comm_Location").as_str()), ("Plan B", "Room 9"));
    assert_eq!((shown.subject.as_str(), shown.location.as_str()), ("Plan B", "Room 9"));
    host.oracle(1, Mails::NONE).await;
}

/// A host of these servers on this data, not started.
async fn open(servers: &Servers, data: &Path) -> Arc<App> {
    let file = data.join("daybridge.toml");
    std::fs::write(&file, servers.config(data, "")).expect("the configuration is written");
    let config = Config::load(&file, &|_| None).expect("the configuration is good");
    App::open(config, Arc::new(SystemClock)).await.expect("the host opens")
}

#[tokio::test]
async fn a_started_host_knows_the_users_before_it_works_on_anything() {
    let (servers, data) = (Servers::start().await, tempfile::tempdir().expect("a temporary folder"));
    let (crm_faults, exchange_faults) = (servers.crm.faults().clone(), servers.exchange.faults());
    let app = open(&servers, data.path()).await;
    let order = SyncOrder::default();
    app.sync(&order).await.expect("a first pass");
    // The host dies while it waits for the answer to its write.
    exchange_faults.add(Fault::new(servers.reach.operation("CreateItem"), Kind::Hold)).expect("a fault");
    servers.crm().book(&Booking::at("Only once", &day(40), 9, SUSAN)).await;
    tokio::select! {
        _ = app.sync(&order) => panic!("the pass ended although the answer is withheld"),
        () = caught(&exchange_faults, true) => {}
    }
    drop(app);
    exchange_faults.clear();
    // It starts again, and the CRM takes its time to list its users.
    let slow = Fault { delay_ms: Some(DELAY_MS), ..Fault::new("GET Users", Kind::Delay) };
    crm_faults.add(slow).expect("a fault");
    let app = open(&servers, data.path()).await;
    crm_faults.reset_counters();
    app.start();
    caught(&crm_faults, false).await;
    let asked = crm_faults.counters().operations;
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["GET Users"], "asked of the CRM before the users are known");
    crm_faults.clear();
    wait_for("the item is paired", || async { (app.pairs() == 1).then_some(()) }).await;
    assert_eq!(servers.outlook("susan.maye").calendar().await.len(), 1);
    assert_eq!(servers.mails().await, Mails::NONE);
    assert!(app.stop_now().await, "the host stops cleanly");
}
