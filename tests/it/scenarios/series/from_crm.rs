//! Series that people make in the CRM: communications that share a recurrence id.

use chrono::{Datelike, NaiveDate, TimeDelta};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::{TO_ALL, TO_NONE};
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

use super::{at, rows, shown, starts};

/// What the CRM's page for a recurring appointment leaves: one communication for each day, all with one recurrence id.
pub(super) async fn book(host: &TestHost, subject: &str, series: i64, days: &[String]) -> Vec<String> {
    let mut ids = Vec::new();
    for day in days {
        let booking = Booking::at(subject, day, 9, SUSAN).with_user(TERRY).with("Comm_RecurrenceId", json!(series));
        ids.push(host.crm().book(&booking).await);
    }
    ids
}

pub(super) fn days(offsets: impl IntoIterator<Item = i64>) -> Vec<String> {
    offsets.into_iter().map(day).collect()
}

#[tokio::test]
async fn s54_communications_of_one_recurrence_become_one_series() {
    let mut host = TestHost::settled().await;
    book(&host, "Stand-up", 17, &days((10..40).step_by(7))).await;
    host.settle().await;
    let calendar = host.outlook("susan.maye").calendar().await;
    assert_eq!(calendar.len(), 1, "one series");
    let seen: Vec<String> = shown(&host, "susan.maye", 9, 45).await.into_iter().map(|one| one.start).collect();
    assert_eq!(seen, (10..40).step_by(7).map(|offset| utc(&day(offset), 9)).collect::<Vec<_>>());
    assert_eq!(starts(&host).await, at((10..40).step_by(7), 9), "nothing came back");
    // One invitation for the whole series.
    host.oracle(6, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s54_monthly_and_yearly_from_the_crm() {
    let mut host = TestHost::settled().await;
    let first: NaiveDate = day(20).parse().expect("a date");
    let month_end = |number: u32| {
        let month = first.with_day(1).expect("a day") + chrono::Months::new(number + 1);
        (month - TimeDelta::days(1)).to_string()
    };
    book(&host, "Month end", 18, &(0..6).map(month_end).collect::<Vec<_>>()).await;
    let year = |number: i32| first.with_year(first.year() + number).map(|day| day.to_string());
    book(&host, "Anniversary", 19, &(0..4).filter_map(year).collect::<Vec<_>>()).await;
    host.settle().await;
    let mut subjects: Vec<String> =
        host.outlook("susan.maye").calendar().await.into_iter().map(|one| one.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["Anniversary", "Month end"]);
    let pairs = rows(&host).await.len() as u64 + 2;
    host.oracle(pairs, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn s54_a_series_whose_first_day_is_complete_invites_to_what_is_to_come() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 17, &days(10..14)).await;
    host.crm().patch("Communication", &ids[0], &json!({"Comm_Status": "Complete"})).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1, "one series");
    assert_eq!(shown(&host, "terry.smith", 9, 15).await.len(), 4);
    host.oracle(5, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s54_days_without_a_pattern_stay_single_appointments() {
    let mut host = TestHost::settled().await;
    book(&host, "Visits", 20, &days([10, 11, 14, 40])).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 4);
    host.oracle(4, Mails::new(4, 0, 0)).await;
}

#[tokio::test]
async fn s55_what_differs_in_one_communication_becomes_an_exception() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 21, &days(10..15)).await;
    let other = json!({"Comm_DateTime": format!("{}T15:00:00", day(12)), "Comm_ToDateTime": format!("{}T16:00:00", day(12)),
        "Comm_Location": "Room 7"});
    host.crm().patch("Communication", &ids[2], &other).await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 1, "one series");
    let third = shown(&host, "susan.maye", 12, 13).await.remove(0);
    assert_eq!((third.start.as_str(), third.location.as_str()), (utc(&day(12), 15).as_str(), "Room 7"));
    // Changed and removed later, it is still that occurrence.
    host.crm().patch("Communication", &ids[1], &json!({"Comm_Status": "Cancelled"})).await;
    host.crm().patch("Communication", &ids[3], &json!({"Comm_Subject": "Stand-up, long"})).await;
    host.settle().await;
    let subjects: Vec<String> = shown(&host, "susan.maye", 10, 15).await.into_iter().map(|one| one.subject).collect();
    assert_eq!(subjects, ["Stand-up", "Stand-up", "Stand-up, long", "Stand-up"]);
    // The invitation, one update for each changed exception, one cancellation of an occurrence.
    host.oracle(5, Mails::new(1, 2, 1)).await;
}

#[tokio::test]
async fn s34_a_change_of_all_occurrences_is_one_update_and_no_exceptions() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 22, &days(10..15)).await;
    host.settle().await;
    for id in &ids {
        host.crm().patch("Communication", id, &json!({"Comm_Location": "Room 9"})).await;
    }
    host.settle().await;
    let series = host.outlook("susan.maye").by_subject("Stand-up").await.expect("one series");
    assert_eq!(series.location, "Room 9");
    let shown = shown(&host, "susan.maye", 10, 15).await;
    assert!(shown.len() == 5 && shown.iter().all(|one| one.location == "Room 9"));
    host.oracle(6, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn s34_a_change_of_all_is_written_to_an_exception_by_itself_and_every_mail_is_declared() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 23, &days(10..15)).await;
    host.settle().await;
    let later =
        json!({"Comm_DateTime": format!("{}T15:00:00", day(10)), "Comm_ToDateTime": format!("{}T16:00:00", day(10))});
    host.crm().patch("Communication", &ids[0], &later).await;
    host.settle().await;
    for id in &ids {
        host.crm().patch("Communication", id, &json!({"Comm_Location": "Room 9"})).await;
    }
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    assert_eq!(outlook.by_subject("Stand-up").await.expect("one series").location, "Room 9");
    let shown = shown(&host, "susan.maye", 10, 15).await;
    assert_eq!(shown.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["Room 9"; 5]);
    assert_eq!(shown[0].start, utc(&day(10), 15), "it keeps its hour");
    // The exception's hour, the series, the exception's place; a server that mails by itself tells of the exception again.
    let unasked = u64::from(!host.servers.reach.writes_silently());
    host.oracle(6, Mails::new(1, 3 + unasked, 0)).await;
}

#[tokio::test]
async fn s34_a_change_of_all_tells_the_people_of_an_exception_who_are_others_than_those_of_the_series() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 24, &days(10..15)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let third = shown(&host, "susan.maye", 12, 13).await.remove(0);
    outlook.invite(&third.id, &["terry.smith@example.test", "ada@elsewhere.test", "bob@elsewhere.test"], TO_NONE).await;
    host.settle().await;
    for id in &ids {
        host.crm().patch("Communication", id, &json!({"Comm_Location": "Room 9"})).await;
    }
    host.settle().await;
    let shown = shown(&host, "susan.maye", 10, 15).await;
    assert_eq!(shown.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["Room 9"; 5]);
    assert_eq!(outlook.meeting(&shown[2].id).await.expect("the third").attendees.len(), 3, "it keeps its people");
    // One person is told of the series, three of the exception; a server that mails by itself tells these again.
    let unasked = 3 * u64::from(!host.servers.reach.writes_silently());
    host.oracle(6, Mails::new(1, 4 + unasked, 0)).await;
}

#[tokio::test]
async fn s34_a_change_of_a_series_without_people_tells_those_of_its_exceptions() {
    let mut host = TestHost::settled().await;
    let mut ids = Vec::new();
    for day in days(10..14) {
        let booking = Booking::at("Focus", &day, 9, SUSAN).with("Comm_RecurrenceId", json!(25));
        ids.push(host.crm().book(&booking).await);
    }
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let third = shown(&host, "susan.maye", 12, 13).await.remove(0);
    outlook.invite(&third.id, &["ada@elsewhere.test", "bob@elsewhere.test"], TO_ALL).await;
    host.people_mailed(Mails::new(2, 0, 0));
    host.settle().await;
    for id in &ids {
        host.crm().patch("Communication", id, &json!({"Comm_Location": "Room 9"})).await;
    }
    host.settle().await;
    let shown = shown(&host, "susan.maye", 10, 14).await;
    assert_eq!(shown.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["Room 9"; 4]);
    let unasked = 2 * u64::from(!host.servers.reach.writes_silently());
    host.oracle(5, Mails::new(2, 2 + unasked, 0)).await;
}

#[tokio::test]
async fn s55_what_changes_while_a_new_series_is_cut_off_is_told_from_what_it_was_made_as() {
    let mut host = TestHost::settled().await;
    let ids = book(&host, "Stand-up", 22, &days(10..14)).await;
    host.exchange_fault(json!({"operation": "CreateItem", "kind": "drop-after-commit"})).await;
    host.pass(false).await;
    let outlook = host.outlook("susan.maye");
    let series = outlook.calendar().await.remove(0);
    outlook.set_subject(&series.id, "Round").await;
    host.crm().patch("Communication", &ids[2], &json!({"Comm_Location": "Room 7"})).await;
    host.settle().await;
    let seen: Vec<_> =
        shown(&host, "susan.maye", 9, 15).await.into_iter().map(|one| (one.subject, one.location)).collect();
    let told: Vec<_> =
        rows(&host).await.iter().map(|row| (row.text("Comm_Subject"), row.text("Comm_Location"))).collect();
    let wanted = ["", "", "Room 7", ""].map(|place| ("Round".to_owned(), place.to_owned()));
    assert_eq!((seen.as_slice(), told.as_slice()), (wanted.as_slice(), wanted.as_slice()));
    // The answer that would have told of the invitation was lost.
    host.rests(5, Mails::new(1, 1, 0)).await;
}
