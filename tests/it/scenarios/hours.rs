//! Zones, the two odd hours of a year, days without a zone.

use chrono::{Datelike, Days, NaiveDate, TimeZone, Utc, Weekday};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

/// The number'th Sunday of a month (from 0), or the last.
fn sunday(year: i32, month: u32, number: Option<u8>) -> NaiveDate {
    match number {
        Some(number) => NaiveDate::from_weekday_of_month_opt(year, month, Weekday::Sun, number + 1).expect("a Sunday"),
        None => {
            let next = NaiveDate::from_ymd_opt(year + i32::from(month == 12), month % 12 + 1, 1).expect("a day");
            (1..=7).map(|back| next - Days::new(back)).find(|day| day.weekday() == Weekday::Sun).expect("a Sunday")
        }
    }
}

/// A year that lies ahead, whenever the story is told.
#[expect(clippy::disallowed_methods, reason = "stories are told relative to the day they are told on")]
fn next_year() -> i32 {
    Utc::now().year() + 1
}

#[tokio::test]
async fn s47_zones_that_change_their_clocks_on_different_days_keep_the_instants() {
    let mut host = TestHost::settled().await;
    let year = next_year();
    // New York changes its clocks two to three weeks before Berlin in spring, and one week after it in autumn.
    let days = [
        (sunday(year, 3, Some(1)) - Days::new(2), 15),
        (sunday(year, 3, Some(1)) + Days::new(2), 14),
        (sunday(year, 3, None) + Days::new(1), 15),
        (sunday(year, 10, None) + Days::new(1), 14),
        (sunday(year, 11, Some(0)) + Days::new(1), 15),
    ];
    let outlook = host.outlook("susan.maye");
    for (number, (day, _)) in days.iter().enumerate() {
        let item = format!(
            "<t:Subject>Call {number}</t:Subject><t:Start>{day}T09:00:00</t:Start><t:End>{day}T10:00:00</t:End>\
             <t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>terry.smith@example.test</t:EmailAddress>\
             </t:Mailbox></t:Attendee></t:RequiredAttendees>\
             <t:StartTimeZone Id=\"Eastern Standard Time\"/><t:EndTimeZone Id=\"Eastern Standard Time\"/>"
        );
        outlook.create(daybridge_tests::ews::TO_ALL, &item).await;
    }
    host.people_mailed(Mails::new(5, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    for (number, (day, hour)) in days.iter().enumerate() {
        let row = rows.iter().find(|row| row.text("Comm_Subject") == format!("Call {number}")).expect("in the CRM");
        assert_eq!(row.text("Comm_DateTime"), format!("{day}T{hour:02}:00:00"), "nine in New York, in Berlin");
    }
    // Somebody in Berlin moves one by an hour of Berlin's clock.
    let moved = rows.iter().find(|row| row.text("Comm_Subject") == "Call 1").expect("in the CRM").id();
    let day = days[1].0;
    let to = json!({"Comm_DateTime": format!("{day}T16:00:00"), "Comm_ToDateTime": format!("{day}T17:00:00")});
    host.crm().patch("Communication", &moved, &to).await;
    host.settle().await;
    let shown = host.outlook("terry.smith").by_subject("Call 1").await.expect("his copy");
    let start = chrono_tz::America::New_York.with_ymd_and_hms(year, day.month(), day.day(), 11, 0, 0).single();
    assert_eq!(shown.start, start.expect("an hour").with_timezone(&Utc).format("%Y-%m-%dT%H:%M:%SZ").to_string());
    host.oracle(5, Mails::new(5, 1, 0)).await;
}

#[tokio::test]
async fn s48_hour_that_spring_skips_and_hour_that_autumn_repeats_are_defined_and_stable() {
    let mut host = TestHost::settled().await;
    let (spring, autumn) = (sunday(next_year(), 3, None), sunday(next_year(), 10, None));
    let crm = host.crm();
    for (subject, day) in [("Skipped", spring), ("Repeated", autumn)] {
        let mut booking = Booking::at(subject, &day.to_string(), 2, SUSAN);
        booking.start = format!("{day}T02:30:00");
        booking.end = format!("{day}T04:30:00");
        crm.book(&booking).await;
    }
    // The second pass of the repeated hour, which the CRM's wall time cannot tell from the first.
    let outlook = host.outlook("susan.maye");
    let second = outlook.book("Second pass", &format!("{autumn}T01:30:00Z"), &format!("{autumn}T02:30:00Z"), &[]).await;
    host.settle().await;
    let starts = |subject: &'static str| {
        let outlook = outlook.clone();
        async move { outlook.by_subject(subject).await.expect("in Outlook").start }
    };
    // 02:30 does not exist: as far behind the change as it was meant to be. Repeated: the first of the two.
    assert_eq!(starts("Skipped").await, format!("{spring}T01:30:00Z"));
    assert_eq!(starts("Repeated").await, format!("{autumn}T00:30:00Z"));
    for _ in 0..3 {
        host.settle_with_sweep().await;
        assert_eq!(starts("Second pass").await, format!("{autumn}T01:30:00Z"), "an hour that the CRM cannot hold");
    }
    // An edit of something else moves neither.
    outlook.set_location(&second, "Night desk").await;
    let rows = crm.appointments().await;
    for row in rows.iter().filter(|row| row.text("Comm_Subject") != "Second pass") {
        crm.patch("Communication", &row.id(), &json!({"Comm_Note": "Bring coffee"})).await;
    }
    host.settle().await;
    assert_eq!(starts("Skipped").await, format!("{spring}T01:30:00Z"));
    assert_eq!(starts("Repeated").await, format!("{autumn}T00:30:00Z"));
    assert_eq!(starts("Second pass").await, format!("{autumn}T01:30:00Z"));
    let row = crm.appointments().await.into_iter().find(|row| row.text("Comm_Subject") == "Second pass");
    assert_eq!(row.expect("in the CRM").text("Comm_Location"), "Night desk");
    host.oracle(3, Mails::NONE).await;
}

#[tokio::test]
async fn s50_all_day_turned_into_timed_and_back_is_followed() {
    let mut host = TestHost::settled().await;
    let (first, second) = (day(40), day(41));
    let id = host.crm().book(&Booking::at("Fair", &first, 9, SUSAN)).await;
    host.settle().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    let all_day = json!({"Comm_IsAllDayEvent": "Y", "Comm_DateTime": format!("{first}T00:00:00"),
        "Comm_ToDateTime": format!("{second}T00:00:00")});
    let timed = json!({"Comm_IsAllDayEvent": null, "Comm_DateTime": format!("{first}T14:00:00"),
        "Comm_ToDateTime": format!("{first}T15:30:00")});
    for _ in 0..2 {
        crm.patch("Communication", &id, &all_day).await;
        host.settle().await;
        assert!(outlook.by_subject("Fair").await.expect("there").all_day);
        crm.patch("Communication", &id, &timed).await;
        host.settle().await;
        let shown = outlook.by_subject("Fair").await.expect("there");
        assert_eq!((shown.all_day, shown.start.as_str()), (false, utc(&first, 14).as_str()));
    }
    // And in Outlook.
    let item = outlook.by_subject("Fair").await.expect("there").id;
    outlook.set_times(&item, &format!("{first}T00:00:00"), &format!("{second}T00:00:00"), true).await;
    host.settle().await;
    let row = crm.get("Communication", &id).await.expect("there");
    assert_eq!(row.text("Comm_IsAllDayEvent"), "Y");
    assert!(row.text("Comm_DateTime").starts_with(&first), "{}", row.text("Comm_DateTime"));
    outlook.set_times(&item, &utc(&first, 11), &utc(&first, 12), false).await;
    host.settle().await;
    let row = crm.get("Communication", &id).await.expect("there");
    assert_eq!((row.text("Comm_IsAllDayEvent").as_str(), row.text("Comm_DateTime")), ("", format!("{first}T11:00:00")));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s51_zone_names_of_every_kind_keep_the_instant_and_are_not_rewritten() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let outlook = host.outlook("susan.maye");
    // Noon UTC, entered in zones that the server knows by different kinds of names; an unknown one is the server's own.
    let zones = ["W. Europe Standard Time", "FLE Standard Time", "tzone://Microsoft/Utc", "UTC", "Tonga Standard Time"];
    for (number, zone) in zones.iter().enumerate() {
        let item = format!(
            "<t:Subject>Zone {number}</t:Subject><t:Start>{day}T12:00:00Z</t:Start><t:End>{day}T13:00:00Z</t:End>\
             <t:StartTimeZone Id=\"{zone}\"/><t:EndTimeZone Id=\"{zone}\"/>"
        );
        outlook.create(TO_NONE, &item).await;
    }
    host.settle().await;
    let wall = host.crm().appointments().await;
    let noon = chrono_tz::Europe::Berlin.from_utc_datetime(&format!("{day}T12:00:00").parse().expect("a time"));
    for (number, zone) in zones.iter().enumerate() {
        let row = wall.iter().find(|row| row.text("Comm_Subject") == format!("Zone {number}")).expect("in the CRM");
        assert_eq!(row.text("Comm_DateTime"), noon.format("%Y-%m-%dT%H:%M:%S").to_string(), "{zone}");
        // A write from the CRM moves the time and nothing of the zone.
        host.crm().patch("Communication", &row.id(), &json!({"Comm_Location": "Room"})).await;
    }
    host.settle().await;
    for number in 0..zones.len() {
        let shown = outlook.by_subject(&format!("Zone {number}")).await.expect("there");
        assert_eq!((shown.start, shown.location.as_str()), (format!("{day}T12:00:00Z"), "Room"));
    }
    host.oracle(zones.len() as u64, Mails::NONE).await;
}

#[tokio::test]
async fn another_reading_of_the_same_rows_rewrites_nothing() {
    let mut host = TestHost::settled().await;
    for number in 0..4 {
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(40 + number), 9, SUSAN).with_user(TERRY)).await;
    }
    host.settle().await;
    let writes = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    // A newer zone table, or a corrected zone: every wall time of the CRM now stands for another instant.
    host.restart_with("time_zone = \"Europe/Moscow\"\n").await;
    host.settle_with_sweep().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), writes);
    host.oracle(4, Mails::new(4, 0, 0)).await;
}
