//! Meetings that are stored with their attendees and were never sent, by EWS: Microsoft Graph has no such meetings.

use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, Reach, Servers, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::{Value, json};

async fn host() -> TestHost {
    TestHost::on(Servers::reached(Reach::Ews).await, "").await
}

/// The time of a communication an hour later.
fn later() -> Value {
    let day = day(40);
    json!({"Comm_DateTime": format!("{day}T11:00:00"), "Comm_ToDateTime": format!("{day}T12:00:00")})
}

#[tokio::test]
async fn a_meeting_of_the_first_sync_invites_everybody_once_it_is_moved_and_says_so_beforehand() {
    let mut host = host().await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    host.crm().patch("Communication", &id, &later()).await;
    host.settle().await;
    assert_eq!(host.outlook("terry.smith").by_subject("Review").await.expect("invited").start, utc(&day(40), 11));
    host.oracle(1, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn a_meeting_of_the_first_sync_that_is_removed_again_tells_nobody() {
    let mut host = host().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").by_subject("Review").await.is_none());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn a_meeting_that_its_organizer_has_not_sent_yet_is_not_sent_by_the_host() {
    let mut host = host().await;
    host.settle().await;
    let (outlook, day) = (host.outlook("susan.maye"), day(40));
    let times = (&*utc(&day, 9), &*utc(&day, 10));
    let item = outlook.book_telling(TO_NONE, "Draft", times, &["ann.lee@client.test"]).await;
    host.settle().await;
    let id = host.crm().appointments().await.first().expect("in the CRM").id();
    host.crm().patch("Communication", &id, &later()).await;
    host.settle().await;
    assert_eq!(outlook.meeting(&item).await.expect("there").start, utc(&day, 11));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn a_series_that_its_organizer_has_not_sent_yet_is_not_sent_for_a_day_without_people() {
    let mut host = host().await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let pattern = format!(
        "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence><t:NumberedRecurrence><t:StartDate>{}\
         </t:StartDate><t:NumberOfOccurrences>3</t:NumberOfOccurrences></t:NumberedRecurrence>",
        day(10)
    );
    let master = outlook.book_series("Draft", &day(10), 9, &pattern, &[]).await;
    // What is an exception already stays without the people of the series.
    let first = outlook.view(&utc(&day(10), 0), &utc(&day(11), 0)).await.remove(0);
    outlook.set_subject(&first.id, "Draft, alone").await;
    outlook.invite(&master, &["ann.lee@client.test"], TO_NONE).await;
    host.settle().await;
    for row in host.crm().appointments().await {
        host.crm().patch("Communication", &row.id(), &json!({"Comm_Location": "Room 9"})).await;
    }
    host.settle().await;
    let shown = outlook.view(&utc(&day(10), 0), &utc(&day(13), 0)).await;
    assert_eq!(shown.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["Room 9"; 3]);
    host.oracle(4, Mails::NONE).await;
}
