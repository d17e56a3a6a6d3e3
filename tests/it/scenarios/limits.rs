//! Servers that are away, busy, or refuse; failures in great number; two hosts where there should be one.

use chrono::TimeDelta;
use daybridge::control::{ClaimOrder, Desk, QueueFilter, SyncOrder, Which, WriteCounts};
use daybridge::notify::{Notice, Notifier};
use daybridge::store::SledStore;
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::program;
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY, WILLIAM};
use serde_json::json;

#[tokio::test]
async fn s68_edits_in_the_crm_while_exchange_is_down_are_applied_once_and_newest() {
    const APPOINTMENTS: i64 = 10;
    const EDITS: usize = 20;
    let mut host = TestHost::settled().await;
    let mut ids = Vec::new();
    for number in 0..APPOINTMENTS {
        ids.push(host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN)).await);
    }
    host.settle().await;
    let writes = host.servers.exchange_writes().await;
    host.exchange_down(true).await;
    for edit in 0..EDITS {
        for id in &ids {
            host.crm().patch("Communication", id, &json!({"Comm_Location": format!("Room {edit}")})).await;
        }
        if edit % 5 == 0 {
            host.pass(false).await;
        }
    }
    let status = host.app.status().await.expect("a status");
    assert_eq!(status.queue.parked, 0, "nothing burns its tries on a server that is down");
    host.clock.advance(TimeDelta::hours(3));
    host.exchange_down(false).await;
    host.settle().await;
    let shown = host.outlook("susan.maye").calendar().await;
    assert!(shown.iter().all(|item| item.location == format!("Room {}", EDITS - 1)), "{shown:?}");
    assert_eq!(host.servers.exchange_writes().await - writes, APPOINTMENTS as u64, "the newest state, once");
    assert_eq!(host.notices().await, vec!["server-unreachable"; host.servers.reach.servers()], "one for each server");
    host.oracle(APPOINTMENTS as u64, Mails::NONE).await;
}

#[tokio::test]
async fn s70_throttled_mailbox_is_left_alone_for_as_long_as_it_asked_and_others_go_on() {
    let mut host = TestHost::settled().await;
    let busy = json!({"operation": "*", "container": "susan.maye@example.test", "kind": "throttle",
        "back_off_ms": 90_000, "times": 1});
    host.exchange_fault(busy).await;
    host.crm().book(&Booking::at("Hers", &day(40), 9, SUSAN)).await;
    host.crm().book(&Booking::at("His", &day(40), 9, WILLIAM)).await;
    host.pass(false).await;
    host.pass(false).await;
    assert!(host.outlook("william.dolan").by_subject("His").await.is_some(), "another mailbox goes on");
    assert!(host.outlook("susan.maye").by_subject("Hers").await.is_none());
    let status = host.app.status().await.expect("a status");
    let hers = status.containers.iter().find(|place| place.container.starts_with("susan")).expect("her mailbox");
    let until = hers.paused.as_ref().and_then(|paused| paused.until).expect("paused until");
    let left = until - daybridge::clock::Clock::now(host.clock.as_ref());
    assert!(left > TimeDelta::seconds(60) && left <= TimeDelta::seconds(90), "{left}");
    // Not one request before the time: passes over her mailbox alone ask Exchange nothing.
    let before = host.servers.requests().await.1;
    for _ in 0..5 {
        let order = SyncOrder { containers: vec!["susan.maye@example.test".into()], ..SyncOrder::default() };
        let _ = host.app.sync(&order).await;
    }
    assert_eq!(host.servers.requests().await.1, before);
    assert!(host.notices().await.is_empty(), "being asked to wait is no failure");
    host.clock.advance(TimeDelta::seconds(91));
    host.settle().await;
    assert!(host.outlook("susan.maye").by_subject("Hers").await.is_some());
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s71_expired_secret_is_one_notice_and_the_work_goes_on_by_itself() {
    let mut host = TestHost::settled().await;
    host.exchange_fault(json!({"operation": "*", "kind": "status", "status": 401, "times": 100_000})).await;
    for number in 0..30 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN)).await;
    }
    for _ in 0..5 {
        host.pass(false).await;
        host.clock.advance(TimeDelta::minutes(1));
    }
    let told = vec!["sign-in-refused"; host.servers.reach.servers()];
    assert_eq!(host.notices().await, told, "one notice for a server, not one for each appointment");
    assert_eq!(host.parked().await.len(), 0);
    host.clear_exchange_faults().await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 30);
    host.oracle(30, Mails::NONE).await;
}

#[test]
fn s76_ten_thousand_failures_are_one_digest_an_interval() {
    let notifier = Notifier::new(TimeDelta::minutes(15));
    let failure = |number: u32| Notice {
        code: "data-refused".into(),
        about: "exchange".into(),
        title: format!("Appointment crm:{number} is parked"),
        text: "the server refused it".into(),
        hint: "look".into(),
    };
    let start = chrono::DateTime::UNIX_EPOCH;
    let told = (0..10_000)
        .filter(|number| notifier.tell(failure(*number), start + TimeDelta::milliseconds(80 * i64::from(*number))))
        .count();
    assert_eq!(told, 1);
    let kept = notifier.told();
    assert_eq!(kept.iter().map(|told| told.more).collect::<Vec<_>>(), [9_999]);
    // The next interval has its own, and another cause is told at once.
    assert!(notifier.tell(failure(1), start + TimeDelta::minutes(16)));
    assert!(notifier.tell(Notice { about: "the CRM".into(), ..failure(2) }, start + TimeDelta::minutes(16)));
    assert_eq!(notifier.told().len(), 3);
}

#[tokio::test]
async fn s76_a_storm_of_failures_in_a_host_is_one_notice() {
    const ITEMS: i64 = 40;
    let mut host = TestHost::settled().await;
    let fault =
        json!({"operation": "CreateItem", "kind": "error", "code": "ErrorInvalidPropertySet", "times": 100_000});
    host.exchange_fault(fault).await;
    for number in 0..ITEMS {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN)).await;
    }
    host.settle().await;
    assert_eq!(host.parked().await.len(), ITEMS as usize);
    assert_eq!(host.notices().await, ["data-refused"]);
    host.clear_exchange_faults().await;
    host.app.queue_retry(&Which::Code("data-refused".into())).await.expect("the queue");
    host.settle().await;
    host.oracle(ITEMS as u64, Mails::NONE).await;
}

#[tokio::test]
async fn s78_second_host_on_the_same_data_folder_refuses() {
    let mut host = TestHost::settled().await;
    let second = SledStore::open(host.data.path()).expect_err("the first holds it");
    let told = format!("{second} {}", second.hint());
    assert!(told.contains("another") || told.contains("running"), "{told}");
    host.crm().book(&Booking::at("Untouched", &day(40), 9, SUSAN)).await;
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s78_second_host_with_a_data_folder_of_its_own_leaves_the_mailboxes_to_the_first() {
    let mut host = TestHost::settled().await;
    host.crm().book(&Booking::at("Kept once", &day(40), 9, SUSAN)).await;
    host.settle().await;
    host.outlook("susan.maye").book("Hers", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);

    let (folder, second) = host.second().await;
    let dry = second.sync(&SyncOrder { dry_run: true, ..SyncOrder::default() }).await.expect("a preview");
    assert!(dry.unfinished > 0 && dry.writes == WriteCounts::default(), "{dry:?}");
    for sweep in [false, true] {
        let report = second.sync(&SyncOrder { sweep, ..SyncOrder::default() }).await.expect("a pass");
        assert!(report.unfinished > 0 && report.writes == WriteCounts::default(), "{report:?}");
    }
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before, "it writes nothing");
    let status = second.status().await.expect("a status");
    assert_eq!(status.queue.parked, 0, "what it found waits");
    let told: Vec<_> = status.notices.iter().map(|notice| notice.code.as_str()).collect();
    assert!(!told.is_empty() && told.iter().all(|code| *code == "mailbox-of-another-host"), "{told:?}");
    assert!(status.notices[0].hint.contains("daybridge exchange claim"), "{}", status.notices[0].hint);

    // A person gives the mailboxes to the second; the first hears of it within the hour, and leaves them alone.
    drop((status, second));
    let text = host.servers.config(folder.path(), "");
    std::fs::write(folder.path().join("daybridge.toml"), text).expect("the configuration is written");
    let claim = ["exchange", "claim", "--all", "--config", "daybridge.toml"];
    let claimed = program::run(folder.path(), &claim).await;
    assert!(claimed.code == 0 && claimed.stdout.contains("4 mailboxes are now this host's"), "{claimed:?}");
    let gone = program::run(folder.path(), &["exchange", "claim", "--mailbox", "nobody@example.test"]).await;
    assert!(gone.code != 0 && gone.stderr.contains("nobody@example.test is not synchronized"), "{gone:?}");
    let pass = program::run(folder.path(), &["sync", "--json"]).await;
    assert_eq!(pass.code, 0, "{pass:?}");
    assert_eq!(host.crm().appointments().await.len(), 2, "the second links what is there and takes along what is new");
    host.clock.advance(TimeDelta::minutes(61));
    host.outlook("susan.maye").book("Hers too", &utc(&day(42), 9), &utc(&day(42), 10), &[]).await;
    host.crm().book(&Booking::at("Not for the first", &day(43), 9, SUSAN)).await;
    let report = host.pass(true).await;
    assert_eq!(report.writes, WriteCounts::default(), "{report:?}");
    let servers = host.servers.reach.servers();
    assert_eq!(host.notices().await, vec!["mailbox-of-another-host"; servers], "one for each server");

    // And back: what waited goes on, and nothing is doubled.
    let order = ClaimOrder { all: true, ..ClaimOrder::default() };
    let report = host.app.claim(&order).await.expect("a report");
    assert!(report.mailboxes.len() == 4 && report.mailboxes.iter().all(|one| one.refused.is_none()), "{report:?}");
    host.settle_with_sweep().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 4);
    host.oracle(4, Mails::NONE).await;
}

#[tokio::test]
async fn s78_host_that_only_looks_claims_nothing_and_a_lost_data_folder_is_another_host() {
    let mut host = TestHost::start().await;
    let dry = host.app.sync(&SyncOrder { dry_run: true, ..SyncOrder::default() }).await.expect("a preview");
    assert_eq!((dry.unfinished, host.servers.exchange_writes().await), (0, 0), "{dry:?}");
    let (_folder, second) = host.second().await;
    let pass = second.sync(&SyncOrder::default()).await.expect("a pass");
    assert_eq!(pass.unfinished, 0, "nobody kept the mailboxes: {pass:?}");
    assert!(host.pass(false).await.unfinished > 0, "the other one was first");
    let order = ClaimOrder { mailboxes: vec!["susan.maye@example.test".into()], ..ClaimOrder::default() };
    host.app.claim(&order).await.expect("a report");
    let report = host.pass(false).await;
    let left: Vec<_> = report.lines.iter().map(|line| line.key.as_str()).collect();
    assert!(left.len() == 3 && !left.iter().any(|key| key.starts_with("susan")), "only what was named: {left:?}");
    let crm = ClaimOrder { mailboxes: vec!["crm".into()], ..ClaimOrder::default() };
    for wrong in [ClaimOrder::default(), ClaimOrder { all: true, ..order.clone() }, crm] {
        let refusal = host.app.claim(&wrong).await.expect_err("a refusal");
        assert_eq!(refusal.code, "mailbox-not-named");
    }
    host.no_story("three of its mailboxes are another host's");
}

#[tokio::test]
async fn s78_hosts_that_claim_at_the_same_moment_find_out() {
    let mut host = TestHost::settled().await;
    let (_folder, second) = host.second().await;
    // As if it had read the calendars before the first wrote itself into them.
    second.claim(&ClaimOrder { all: true, ..ClaimOrder::default() }).await.expect("a report");
    host.clock.advance(TimeDelta::minutes(2));
    host.outlook("susan.maye").book("Once", &utc(&day(41), 9), &utc(&day(41), 10), &[]).await;
    let report = host.pass(false).await;
    assert!(report.unfinished > 0 && report.writes == WriteCounts::default(), "{report:?}");
    second.sync(&SyncOrder::default()).await.expect("a pass");
    assert_eq!(host.crm().appointments().await.len(), 1);
    host.no_story("its mailboxes are another host's");
}

#[tokio::test]
async fn s78_claims_can_be_switched_off() {
    let mut host = TestHost::settled_with("[sync]\nclaim_mailboxes = false\n").await;
    assert_eq!(host.servers.exchange_writes().await, 0);
    host.crm().book(&Booking::at("Once", &day(40), 9, SUSAN)).await;
    host.settle().await;
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s79_deleted_calendar_is_one_clear_error_and_no_loop() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Before", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    let gone = json!({"operation": "*", "container": "susan.maye@example.test", "kind": "error",
        "code": "ErrorFolderNotFound", "times": 100_000});
    host.exchange_fault(gone).await;
    for number in 0..10 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(50 + number), 9, SUSAN)).await;
    }
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Elsewhere"})).await;
    host.crm().book(&Booking::at("Mary's", &day(40), 9, MARY)).await;
    for _ in 0..4 {
        host.pass(true).await;
    }
    assert_eq!(host.notices().await, ["mailbox-missing"], "one clear error");
    assert!(host.outlook("mary.jones").by_subject("Mary's").await.is_some(), "the others go on");
    assert_eq!(host.crm().appointments().await.len(), 12, "nothing is deleted in the CRM");
    // No loop: what is parked asks nothing more.
    let before = host.servers.requests().await.1;
    host.pass(false).await;
    let idle = host.servers.requests().await.1 - before;
    assert!(idle <= 4, "{idle} requests of a pass over four mailboxes");
    host.clear_exchange_faults().await;
    host.retry_all().await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 11);
    host.oracle(12, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn s27_brake_and_mail_cap_forget_nothing_in_a_restart() {
    let more = "[sync]\ndelete_count = 3\ndelete_fraction = 0.1\nmail_cap = 3\n";
    let mut host = TestHost::settled_with(more).await;
    for number in 0..12 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN)).await;
    }
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let items = outlook.calendar().await;
    for item in &items[..3] {
        outlook.delete(&item.id, TO_NONE).await;
    }
    let guest = |number: i64| {
        Booking::at(&format!("Guest {number}"), &day(60 + number), 9, MARY).with_external("ann.lee@client.test")
    };
    for number in 0..3 {
        host.crm().book(&guest(number)).await;
    }
    host.settle().await;
    host.restart().await;
    outlook.delete(&items[3].id, TO_NONE).await;
    host.crm().book(&guest(3)).await;
    host.settle().await;
    let mut codes: Vec<String> = host.parked().await.into_values().collect();
    codes.sort();
    assert_eq!(codes, ["deletions-held", "mail-cap"]);
    // An hour later there is room again for what a person lets go by its code.
    for code in ["deletions-held", "mail-cap"] {
        let filter = QueueFilter { code: Some(code.into()), ..QueueFilter::default() };
        assert_eq!(host.app.queue(&filter).await.expect("the queue").total, 1);
        assert_eq!(host.app.queue_retry(&Which::Code(code.into())).await.expect("the queue").entries, 1);
    }
    host.settle().await;
    host.oracle(12, Mails::new(4, 0, 0)).await;
}

#[tokio::test]
async fn unpaired_item_far_in_the_past_is_left_where_it_is() {
    let mut host = TestHost::start().await;
    host.crm().book(&Booking::at("Long ago", &day(-60), 9, SUSAN)).await;
    host.outlook("mary.jones").book("Also long ago", &utc(&day(-60), 9), &utc(&day(-60), 10), &[]).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").calendar().await.is_empty());
    assert_eq!(host.crm().appointments().await.len(), 1);
    host.oracle(0, Mails::NONE).await;
}
