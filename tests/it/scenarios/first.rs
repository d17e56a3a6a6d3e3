//! The first pass: what it would do is told beforehand, and it does no more.

use daybridge::control::{Desk, Preview, SyncOrder};
use daybridge::queue::BACKLOG_MAX;
use daybridge_tests::crm::Booking;
use daybridge_tests::first_sync::{self, Figures, Size};
use daybridge_tests::host::{Mails, TestHost, delete, get, post};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY};
use daybridge_tests::wait::wait_for;
use serde_json::json;

#[tokio::test]
async fn a_preview_counts_what_the_first_pass_then_does_and_nothing_is_mailed() {
    let mut host = TestHost::start().await;
    let crm = host.crm();
    crm.book(&Booking::at("Twin", &day(40), 9, SUSAN)).await;
    crm.book(&Booking::at("Meeting", &day(41), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test")).await;
    crm.book(&Booking::at("Own", &day(42), 9, MARY)).await;
    crm.book(&Booking::at("Long ago", &day(-90), 9, MARY)).await;
    let outlook = host.outlook("susan.maye");
    outlook.book("Twin", &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
    outlook.book("Dentist", &utc(&day(43), 9), &utc(&day(43), 10), &[]).await;
    let order = SyncOrder { dry_run: true, ..SyncOrder::default() };
    let before = host.app.sync(&order).await.expect("a preview");
    let Preview { linked, created_in_crm, created_in_exchange, updated, deleted, skipped, failed } = before.preview;
    assert_eq!((linked, created_in_crm, created_in_exchange), (1, 1, 2), "{:?}", before.lines);
    assert_eq!((updated, deleted, failed, before.mail.total()), (0, 0, 0, 0));
    assert_eq!(skipped.into_iter().collect::<Vec<_>>(), [("it ended before the synchronized period".to_owned(), 1)]);
    assert_eq!(host.servers.exchange_writes().await, 2, "only what Susan booked herself");
    host.settle().await;
    assert_eq!(crm.appointments().await.len(), 5);
    assert_eq!(outlook.calendar().await.len(), 3);
    assert_eq!(host.outlook("mary.jones").calendar().await.len(), 1);
    host.oracle(4, Mails::NONE).await;
}

#[tokio::test]
async fn a_first_pass_that_is_cut_off_goes_on_where_it_was() {
    let mut host = TestHost::start().await;
    for number in 0..30 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number), 9, SUSAN).with_user(TERRY)).await;
    }
    // The host is stopped in the middle of its work, and again.
    let order = SyncOrder::default();
    for _ in 0..2 {
        tokio::select! {
            _ = host.app.sync(&order) => {}
            () = daybridge_tests::wait::wait_for("some are written", || async {
                (host.servers.exchange_writes().await >= 5).then_some(())
            }) => {}
        }
        host.restart().await;
    }
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 30);
    host.oracle(30, Mails::NONE).await;
}

#[tokio::test]
async fn a_feed_reads_no_further_than_the_work_follows() {
    let mut host = TestHost::start().await;
    let rows: Vec<_> =
        (0..4500).map(|number| Booking::at(&format!("Item {number}"), &day(30), 9, SUSAN).row()).collect();
    let url = format!("{}_sim/", host.servers.crm.url());
    post(&format!("{url}rows"), &json!({"entity": "Communication", "rows": rows})).await;
    // The work stands still at its first write.
    host.exchange_fault(json!({"operation": "CreateItem", "kind": "hold"})).await;
    delete(&format!("{url}counters")).await;
    // The newest row, three lots of five pages each, and the one that is worked on.
    let lots_are_read = wait_for("three lots are read", || async {
        let counters = get(&format!("{url}counters")).await;
        counters["operations"]["GET Communication"].as_u64().filter(|count| *count >= 17)
    });
    let order = SyncOrder::default();
    tokio::select! {
        report = host.app.sync(&order) => panic!("the pass ended: {report:?}"),
        _ = lots_are_read => {}
    }
    let waiting = host.app.status().await.expect("a status").queue.waiting;
    // What may be due, and a lot beyond it.
    assert!((1..=2 * BACKLOG_MAX as u64).contains(&waiting), "{waiting} wait");
    host.clear_exchange_faults().await;
    host.no_story("it is left in the middle of its work");
}

/// What a host may take, whatever it syncs: unoptimised, with its rules, its store's cache and a page of each mailbox.
const MEMORY_KIB_MAX: u64 = 300 * 1024;
/// What three times as many appointments may take more.
const MEMORY_KIB_MORE: u64 = 48 * 1024;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn s77_first_sync_is_bounded_in_memory_resumes_after_a_kill_and_mails_nobody() {
    let small = Size { mailboxes: 4, appointments: 80 };
    let large = Size { mailboxes: 8, appointments: 240 };
    let few = first_sync::run(small, |_| {}).await;
    let many = first_sync::run(large, |_| {}).await;
    for (size, figures) in [(small, &few), (large, &many)] {
        let all = size.appointments as u64;
        assert!((all / 4..all).contains(&figures.killed_at), "killed in the middle: {figures:?}");
        assert_eq!((figures.pairs, figures.in_crm, figures.in_exchange), (all, all, all), "{figures:?}");
        assert_eq!(figures.mails, Mails::NONE);
        let Preview { linked, created_in_crm, created_in_exchange, .. } = figures.preview;
        assert_eq!((linked, created_in_crm, created_in_exchange), (all / 4, all / 4, all / 2), "{figures:?}");
        assert!(figures.idle_requests.exchange <= size.mailboxes as u64, "one for each mailbox: {figures:?}");
        assert!(figures.idle_requests.crm <= first_sync::IDLE_CRM_MAX, "none for any pair: {figures:?}");
    }
    let peaks = |figures: &Figures| [figures.preview_kib, figures.sync_kib, figures.passes_kib];
    for (few, many) in peaks(&few).into_iter().zip(peaks(&many)) {
        assert!(few.max(many) < MEMORY_KIB_MAX, "{few} and {many} KiB");
        assert!(many < few + MEMORY_KIB_MORE, "{few} and {many} KiB");
    }
}
