//! The first pass: what it would do is told beforehand, and it does no more.

use daybridge::control::{Desk, Preview, SyncOrder};
use daybridge_tests::crm::Booking;
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
