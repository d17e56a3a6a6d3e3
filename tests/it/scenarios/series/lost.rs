//! Series whose pairs the host forgot.

use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use serde_json::json;

use super::from_crm::{book, days};
use super::{daily, rows, shown};

#[tokio::test]
async fn s07_series_are_linked_again_without_a_single_write() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 5), &[]).await;
    let ids = book(&host, "Stand-up", 17, &days(20..24)).await;
    host.settle().await;
    // In each an exception and an occurrence that is gone, from either side.
    let second = shown(&host, "susan.maye", 11, 12).await.remove(0);
    outlook.reschedule(&second.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_NONE).await;
    let third = shown(&host, "susan.maye", 12, 13).await.remove(0);
    outlook.delete(&third.id, TO_NONE).await;
    host.crm().patch("Communication", &ids[1], &json!({"Comm_Location": "Room 7"})).await;
    host.crm().patch("Communication", &ids[2], &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    let pairs = host.app.pairs();
    assert_eq!((rows(&host).await.len(), shown(&host, "susan.maye", 9, 30).await.len()), (7, 7));

    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    let mails = host.servers.mails().await;
    host.restart_without_data().await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    assert_eq!((rows(&host).await.len(), shown(&host, "susan.maye", 9, 30).await.len()), (7, 7));
    // They are pairs as before: what changes on one side reaches the other.
    outlook.set_location(&second.id, "Gate 4").await;
    host.crm().patch("Communication", &ids[3], &json!({"Comm_Location": "Room 9"})).await;
    host.settle().await;
    assert_eq!(shown(&host, "susan.maye", 23, 24).await.remove(0).location, "Room 9");
    assert!(rows(&host).await.iter().any(|row| row.text("Comm_Location") == "Gate 4"));
    // Terry is in the CRM's series: he hears of the place.
    host.oracle(pairs, Mails { updates: mails.updates + 1, ..mails }).await;
}

#[tokio::test]
async fn s07_a_series_of_which_one_communication_is_left_is_linked_again() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 17, &days(20..24)).await;
    host.settle().await;
    for id in [&ids[0], &ids[1], &ids[3]] {
        host.crm().patch("Communication", id, &json!({"Comm_Status": "Cancelled"})).await;
    }
    host.settle().await;
    let pairs = host.app.pairs();
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    let mails = host.servers.mails().await;
    host.restart_without_data().await;
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    assert_eq!((rows(&host).await.len(), shown(&host, "susan.maye", 19, 30).await.len()), (1, 1));
    host.oracle(pairs, mails).await;
}
