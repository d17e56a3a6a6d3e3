//! Series that people make and change in Outlook.

use chrono::{Datelike, NaiveDate, TimeDelta};
use daybridge::control::{Desk, EntryState, QueueFilter};
use daybridge_tests::ews::{TO_ALL, TO_NONE};
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{TERRY, WILLIAM};
use serde_json::json;

use super::{at, counted, daily, endless, rows, shown, starts, weekly};

#[tokio::test]
async fn s46_weekly_at_nine_stays_nine_over_both_changes_of_clocks() {
    let mut host = TestHost::settled_with("[sync]\nseries_days = 380\n").await;
    let first: NaiveDate = day(3).parse().expect("a date");
    let name = format!("{:?}", first.weekday());
    let name = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
        .into_iter()
        .find(|day| day.starts_with(&name))
        .expect("a day");
    host.outlook("susan.maye").book_series("Stand-up", &day(3), 9, &weekly(name, &day(3), 53), &[]).await;
    host.settle().await;
    let expected: Vec<String> = (0..53).map(|week| format!("{}T09:00:00", first + TimeDelta::weeks(week))).collect();
    assert_eq!(starts(&host).await, expected);
    let hours: std::collections::BTreeSet<String> =
        shown(&host, "susan.maye", 0, 379).await.iter().map(|one| one.start[11..13].to_owned()).collect();
    assert_eq!(hours.into_iter().collect::<Vec<_>>(), ["07", "08"], "both sides of a change of clocks in UTC");
    // The series itself, and each of its occurrences.
    host.oracle(54, Mails::NONE).await;
}

#[tokio::test]
async fn s53_an_endless_series_rolls_in_a_window() {
    let mut host = TestHost::settled_with("[sync]\nseries_days = 10\n").await;
    let pattern = format!("<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>{}", endless(&day(2)));
    host.outlook("susan.maye").book_series("Every day", &day(2), 9, &pattern, &[]).await;
    host.settle().await;
    assert_eq!(starts(&host).await, at(2..=10, 9));
    // They belong together, and are none of the CRM's own series.
    let series: std::collections::BTreeSet<String> =
        rows(&host).await.iter().map(|row| row.text("Comm_RecurrenceId")).collect();
    assert_eq!(series.len(), 1);
    assert!(series.first().is_some_and(|number| number.starts_with('-')), "{series:?}");
    // Time goes on: a sweep adds what came into the window, and nothing in Exchange moved.
    let writes = host.servers.exchange_writes().await;
    host.clock.advance(TimeDelta::days(5));
    host.settle_with_sweep().await;
    assert_eq!(starts(&host).await, at(2..=15, 9));
    assert_eq!(host.servers.exchange_writes().await, writes);
    host.oracle(15, Mails::NONE).await;
}

#[tokio::test]
async fn s53_no_more_occurrences_than_the_operator_allows() {
    let mut host = TestHost::settled_with("[sync]\nseries_max = 5\n").await;
    host.outlook("susan.maye").book_series("Often", &day(2), 9, &daily(&day(2), 100), &[]).await;
    host.settle().await;
    assert_eq!(starts(&host).await, at(2..7, 9));
    host.oracle(6, Mails::NONE).await;
}

#[tokio::test]
async fn s54_patterns_of_every_kind_show_the_same_days_for_ten_years() {
    let mut host = TestHost::settled_with("[sync]\nseries_days = 3650\nseries_max = 1000\n").await;
    let outlook = host.outlook("susan.maye");
    let element = |name: &str, parts: &str| format!("<t:{name}>{parts}</t:{name}>{}", endless(&day(5)));
    let every = |count: u32| format!("<t:Interval>{count}</t:Interval>");
    let on = |days: &str, index: &str| {
        format!("<t:DaysOfWeek>{days}</t:DaysOfWeek><t:DayOfWeekIndex>{index}</t:DayOfWeekIndex>")
    };
    for (subject, pattern) in [
        ("every 100 days", element("DailyRecurrence", &every(100))),
        (
            "weekly",
            element(
                "WeeklyRecurrence",
                &format!(
                    "{}<t:DaysOfWeek>Monday Thursday</t:DaysOfWeek><t:FirstDayOfWeek>Sunday</t:FirstDayOfWeek>",
                    every(26)
                ),
            ),
        ),
        ("the 31st", element("AbsoluteMonthlyRecurrence", &format!("{}<t:DayOfMonth>31</t:DayOfMonth>", every(5)))),
        ("last weekday", element("RelativeMonthlyRecurrence", &format!("{}{}", every(7), on("Weekday", "Last")))),
        ("fourth weekday", element("RelativeMonthlyRecurrence", &format!("{}{}", every(11), on("Weekday", "Fourth")))),
        ("leap day", element("AbsoluteYearlyRecurrence", "<t:DayOfMonth>29</t:DayOfMonth><t:Month>February</t:Month>")),
        ("yearly", element("RelativeYearlyRecurrence", &format!("{}<t:Month>March</t:Month>", on("Sunday", "Second")))),
    ] {
        outlook.book_series(subject, &day(5), 9, &pattern, &[]).await;
    }
    // Much work for one pass, which takes as long as it takes.
    host.pass(false).await;
    host.settle().await;
    let mut seen: Vec<(String, String)> = Vec::new();
    for from in (0..3_650).step_by(700) {
        let part = shown(&host, "susan.maye", from, (from + 700).min(3_651)).await;
        seen.extend(part.into_iter().map(|one| (one.start[..10].to_owned(), one.subject)));
    }
    let mut kept: Vec<(String, String)> = rows(&host)
        .await
        .iter()
        .map(|row| (row.text("Comm_DateTime")[..10].to_owned(), row.text("Comm_Subject")))
        .collect();
    seen.sort();
    kept.sort();
    assert!(seen.len() > 120, "{}", seen.len());
    assert_eq!(kept, seen);
    host.oracle(7 + seen.len() as u64, Mails::NONE).await;
}

#[tokio::test]
async fn s55_an_occurrence_moved_in_outlook_and_one_in_the_crm() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 5), &["terry.smith@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    assert_eq!(starts(&host).await, at(10..15, 9));
    let ids: Vec<String> = rows(&host).await.iter().map(|row| row.id()).collect();

    let second = shown(&host, "susan.maye", 11, 12).await.remove(0);
    outlook.reschedule(&second.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_ALL).await;
    host.people_mailed(Mails::new(0, 1, 0));
    host.settle().await;
    let moved = host.crm().get("Communication", &ids[1]).await.expect("the same row");
    assert_eq!(moved.text("Comm_DateTime"), format!("{}T14:00:00", day(11)));
    assert_eq!(moved.text("Comm_Exception"), "Y");

    // The other way: one occurrence, one mail, and the series stays.
    let change =
        json!({"Comm_DateTime": format!("{}T16:00:00", day(12)), "Comm_ToDateTime": format!("{}T17:00:00", day(12))});
    host.crm().patch("Communication", &ids[2], &change).await;
    host.settle().await;
    let starts: Vec<String> = shown(&host, "susan.maye", 10, 15).await.into_iter().map(|one| one.start).collect();
    let expected = [(10, 9), (11, 14), (12, 16), (13, 9), (14, 9)].map(|(offset, hour)| utc(&day(offset), hour));
    assert_eq!(starts, expected);
    assert_eq!(outlook.calendar().await.len(), 1, "one series");
    host.oracle(6, Mails::new(1, 2, 0)).await;
}

#[tokio::test]
async fn s56_a_deleted_occurrence_never_comes_back() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 5), &[]).await;
    host.settle().await;
    let ids: Vec<String> = rows(&host).await.iter().map(|row| row.id()).collect();
    let second = shown(&host, "susan.maye", 11, 12).await.remove(0);
    outlook.delete(&second.id, TO_NONE).await;
    host.crm().patch("Communication", &ids[3], &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    let master = outlook.by_subject("Review").await.expect("the series");
    for pass in 0..5 {
        // The series changes and is looked at again.
        outlook.set_location(&master.id, &format!("Room {pass}")).await;
        host.settle_with_sweep().await;
        assert_eq!(starts(&host).await, at([10, 12, 14], 9), "pass {pass}");
        assert_eq!(shown(&host, "susan.maye", 10, 15).await.len(), 3, "pass {pass}");
    }
    assert_eq!(rows(&host).await[0].text("Comm_Location"), "Room 4");
    host.oracle(4, Mails::NONE).await;
}

#[tokio::test]
async fn s57_the_first_occurrence_is_deleted_and_the_series_lives() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 4), &[]).await;
    host.settle().await;
    let first = shown(&host, "susan.maye", 10, 11).await.remove(0);
    outlook.delete(&first.id, TO_NONE).await;
    host.settle().await;
    assert_eq!(starts(&host).await, at(11..14, 9));
    host.oracle(4, Mails::NONE).await;
}

#[tokio::test]
async fn s57_a_deleted_series_takes_its_occurrences_along() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    let id = outlook.book_series("Review", &day(10), 9, &daily(&day(10), 4), &[]).await;
    host.settle().await;
    outlook.delete(&id, TO_NONE).await;
    host.settle().await;
    assert_eq!(starts(&host).await, Vec::<String>::new());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s58_this_and_following_split_in_outlook() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    let id = outlook.book_series("Review", &day(10), 9, &daily(&day(10), 6), &[]).await;
    host.settle().await;
    let moved = shown(&host, "susan.maye", 11, 12).await.remove(0);
    outlook.reschedule(&moved.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_NONE).await;
    host.settle().await;
    // Outlook ends the old series and begins a new one.
    let shorter = format!(
        "<t:Recurrence><t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>{}</t:Recurrence>",
        counted(&day(10), 3)
    );
    outlook.set(&id, "calendar:Recurrence", &shorter, TO_NONE).await;
    // Exchange forgets what was special when the pattern changes; Outlook writes it again.
    let again = shown(&host, "susan.maye", 11, 12).await.remove(0);
    outlook.reschedule(&again.id, &utc(&day(11), 14), &utc(&day(11), 15), TO_NONE).await;
    outlook.book_series("Review", &day(13), 11, &daily(&day(13), 3), &[]).await;
    host.settle().await;
    let expected = [(10, 9), (11, 14), (12, 9), (13, 11), (14, 11), (15, 11)];
    assert_eq!(starts(&host).await, expected.map(|(offset, hour)| format!("{}T{hour:02}:00:00", day(offset))));
    host.oracle(8, Mails::NONE).await;
}

#[tokio::test]
async fn s59_a_single_becomes_a_series_and_single_again() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    let id = outlook.book("Review", &utc(&day(10), 9), &utc(&day(10), 10), &[]).await;
    host.settle().await;
    let row = rows(&host).await[0].id();
    let pattern = format!("<t:Recurrence>{}</t:Recurrence>", daily(&day(10), 3));
    outlook.set(&id, "calendar:Recurrence", &pattern, TO_NONE).await;
    host.settle().await;
    assert_eq!(starts(&host).await, at(10..13, 9));
    assert_eq!(rows(&host).await[0].id(), row, "the same communication");
    host.oracle(4, Mails::NONE).await;

    let key = outlook.meeting(&id).await.expect("the series").change_key;
    let body = format!(
        "<m:UpdateItem ConflictResolution=\"AutoResolve\" SendMeetingInvitationsOrCancellations=\"SendToNone\">\
         <m:ItemChanges><t:ItemChange><t:ItemId Id=\"{id}\" ChangeKey=\"{key}\"/><t:Updates><t:DeleteItemField>\
         <t:FieldURI FieldURI=\"calendar:Recurrence\"/></t:DeleteItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
    );
    assert!(outlook.call(&body).await.contains("ResponseClass=\"Success\""));
    host.settle().await;
    assert_eq!(starts(&host).await, at([10], 9));
    assert_eq!(rows(&host).await[0].id(), row, "the same communication");
    // And it is a pair as before: a change reaches the other side.
    host.crm().patch("Communication", &row, &json!({"Comm_Subject": "Review, once"})).await;
    host.settle().await;
    assert_eq!(outlook.meeting(&id).await.expect("there").subject, "Review, once");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s60_an_exception_that_would_cross_its_neighbour_is_parked_with_words() {
    let mut host = TestHost::settled().await;
    host.outlook("susan.maye").book_series("Review", &day(10), 9, &daily(&day(10), 4), &[]).await;
    host.settle().await;
    let second = rows(&host).await[1].id();
    let change =
        json!({"Comm_DateTime": format!("{}T16:00:00", day(12)), "Comm_ToDateTime": format!("{}T17:00:00", day(12))});
    host.crm().patch("Communication", &second, &change).await;
    let writes = host.servers.exchange_writes().await;
    host.settle().await;
    let parked = host.parked().await;
    assert_eq!(parked.values().collect::<Vec<_>>(), ["occurrence-crosses-neighbour"]);
    let filter = QueueFilter { state: Some(EntryState::Parked), ..QueueFilter::default() };
    let words = host.app.queue(&filter).await.expect("the queue").entries.remove(0).reason.expect("a reason").message;
    assert!(words.contains(&format!("cannot be moved to {}", day(12))), "{words}");
    assert_eq!(host.servers.exchange_writes().await, writes, "Exchange was not even asked");
    // Moved to where it may be, it goes through.
    let change =
        json!({"Comm_DateTime": format!("{}T16:00:00", day(11)), "Comm_ToDateTime": format!("{}T17:00:00", day(11))});
    host.crm().patch("Communication", &second, &change).await;
    host.settle().await;
    assert_eq!(shown(&host, "susan.maye", 11, 12).await.remove(0).start, utc(&day(11), 16));
    host.oracle(5, Mails::NONE).await;
}

#[tokio::test]
async fn s45_answer_to_one_occurrence_is_sent_for_that_one_alone() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Review", &day(10), 9, &daily(&day(10), 4), &["terry.smith@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let rows = rows(&host).await;
    assert_eq!(rows.len(), 4);
    // Terry accepts the second and declines the third, in the CRM.
    for (number, status) in [(1, 3), (2, 4)] {
        let links = host.crm().links(&rows[number].id()).await;
        let terry = links.iter().find(|link| link.text("CmLi_Comm_UserId") == TERRY).expect("Terry's row");
        host.crm().patch("Comm_Link", &terry.id(), &json!({"cmli_status": status})).await;
    }
    host.settle_with_sweep().await;
    let mut his = Vec::new();
    for one in shown(&host, "terry.smith", 9, 16).await {
        let one = host.outlook("terry.smith").meeting(&one.id).await.expect("there");
        his.push((one.start, one.my_response));
    }
    let expected = [(10, "NoResponseReceived"), (11, "Accept"), (13, "NoResponseReceived")];
    let expected = expected.map(|(offset, answer)| (utc(&day(offset), 9), answer.to_owned()));
    assert_eq!(his, expected, "the third has left his calendar, the others are as they were");
    for (one, answer) in shown(&host, "susan.maye", 9, 16).await.iter().zip(["Unknown", "Accept", "Decline", "Unknown"])
    {
        let one = outlook.meeting(&one.id).await.expect("there");
        assert_eq!(one.attendees, [("terry.smith@example.test".to_owned(), answer.to_owned())], "{}", one.start);
    }
    assert_eq!(starts(&host).await, at(10..14, 9), "the CRM keeps all four");
    host.oracle(5, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s61_who_is_invited_to_one_occurrence_gets_one_stub_and_no_series() {
    let mut host = TestHost::settled().await;
    // William is no CRM user with a mailbox: an organizer from elsewhere.
    host.crm().patch("Users", WILLIAM, &json!({"User_EmailAddress": null})).await;
    host.settle_after_user_change().await;
    let outlook = host.outlook("william.dolan");
    outlook.book_series("Outside", &day(10), 9, &daily(&day(10), 5), &[]).await;
    let one = shown(&host, "william.dolan", 12, 13).await.remove(0);
    let attendee = "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>susan.maye@example.test</t:EmailAddress>\
                    </t:Mailbox></t:Attendee></t:RequiredAttendees>";
    outlook.set(&one.id, "calendar:RequiredAttendees", attendee, TO_ALL).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    assert_eq!(starts(&host).await, at([12], 9));
    assert_eq!(rows(&host).await[0].text("Comm_RecurrenceId"), "");
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s62_a_series_with_a_thousand_exceptions_costs_bounded_requests() {
    let mut host = TestHost::settled_with("[sync]\nseries_days = 40\n").await;
    let outlook = host.outlook("susan.maye");
    outlook.book_series("Shift", &day(10), 9, &daily(&day(10), 999), &[]).await;
    let mut changed = 0;
    for from in (10..1010).step_by(200) {
        let ids: Vec<String> =
            shown(&host, "susan.maye", from, (from + 200).min(1010)).await.into_iter().map(|one| one.id).collect();
        changed += ids.len();
        outlook.set_locations(&ids, "Gate 4").await;
    }
    assert_eq!(changed, 999);
    let asked = |before: (u64, u64), after: (u64, u64)| (after.0 - before.0, after.1 - before.1);
    let before = host.servers.requests().await;
    host.settle().await;
    let first = asked(before, host.servers.requests().await);
    assert_eq!(starts(&host).await, at(10..=40, 9));
    assert!(rows(&host).await.iter().all(|row| row.text("Comm_Location") == "Gate 4"));
    // Some requests for each occurrence of the window, and none for the others.
    assert!(first.1 < 31 * 4 + 30, "{first:?} requests to CRM and Exchange");

    // One more change: the window is read in batches, and one occurrence is worked on.
    let one = shown(&host, "susan.maye", 20, 21).await.remove(0);
    outlook.set_subject(&one.id, "Shift, swapped").await;
    let before = host.servers.requests().await;
    host.settle().await;
    let then = asked(before, host.servers.requests().await);
    assert!(then.1 < 40, "{then:?} requests to CRM and Exchange");
    assert_eq!(rows(&host).await.iter().filter(|row| row.text("Comm_Subject") == "Shift, swapped").count(), 1);
    println!("1,000 exceptions: {first:?} requests to CRM and Exchange at first, {then:?} for one more change");
    host.oracle(32, Mails::NONE).await;
}
