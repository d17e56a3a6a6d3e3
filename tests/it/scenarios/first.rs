//! The first pass: what it would do is told beforehand, and it does no more.

use daybridge::control::{Desk, Preview, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::first_sync::{self, Figures, Size};
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY};

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

/// What a host may take, whatever it syncs: unoptimised, with its rules, its store's cache and a page of each mailbox.
const MEMORY_KIB_MAX: u64 = 300 * 1024;
/// What five times as many appointments may take more.
const MEMORY_KIB_MORE: u64 = 48 * 1024;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn s77_first_sync_is_bounded_in_memory_resumes_after_a_kill_and_mails_nobody() {
    let (small, large) = (Size { mailboxes: 8, appointments: 320 }, Size { mailboxes: 20, appointments: 1500 });
    let few = first_sync::run(small, |_| {}).await;
    let many = first_sync::run(large, |_| {}).await;
    for (size, figures) in [(small, &few), (large, &many)] {
        let all = size.appointments as u64;
        assert!((all / 2..all).contains(&figures.killed_at), "killed in the middle: {figures:?}");
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
