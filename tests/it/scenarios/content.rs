//! Times and content.

use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::online::Online;
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY};
use serde_json::json;

#[tokio::test]
async fn s42_attendee_without_address_stays_in_the_crm_and_the_rest_goes_on() {
    let mut host = TestHost::settled().await;
    host.crm().patch("Users", TERRY, &json!({"User_EmailAddress": null})).await;
    host.settle_after_user_change().await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    let item = host.outlook("susan.maye").by_subject("Review").await.expect("in Outlook");
    let people: Vec<&str> = item.attendees.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(people, ["ann.lee@client.test"]);
    assert_eq!(host.crm().links(&id).await.len(), 3, "Terry stays on the CRM's list");
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s49_all_day_over_three_days_keeps_its_dates() {
    let mut host = TestHost::settled().await;
    let (first, last, end) = (day(40), day(42), day(43));
    let outlook = host.outlook("susan.maye");
    let item = format!(
        "<t:Subject>Fair</t:Subject><t:Start>{first}T00:00:00</t:Start><t:End>{end}T00:00:00</t:End>\
         <t:IsAllDayEvent>true</t:IsAllDayEvent><t:StartTimeZone Id=\"Pacific Standard Time\"/>\
         <t:EndTimeZone Id=\"Pacific Standard Time\"/>"
    );
    outlook.create(TO_NONE, &item).await;
    host.settle().await;
    let row = &host.crm().appointments().await[0];
    assert_eq!(row.text("Comm_IsAllDayEvent"), "Y");
    let days = |text: String| text.split('T').next().unwrap_or_default().to_owned();
    assert_eq!((days(row.text("Comm_DateTime")), days(row.text("Comm_ToDateTime"))), (first, last));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s52_zero_length_and_longer_than_a_day_are_equal_after_the_round_trip() {
    let mut host = TestHost::settled().await;
    let (one, two) = (day(40), day(43));
    let outlook = host.outlook("susan.maye");
    outlook.book("A point", &utc(&one, 9), &utc(&one, 9), &[]).await;
    outlook.book("A journey", &utc(&one, 12), &utc(&two, 18), &[]).await;
    host.settle().await;
    let mut rows: Vec<(String, String, String)> = host
        .crm()
        .appointments()
        .await
        .iter()
        .map(|row| (row.text("Comm_Subject"), row.text("Comm_DateTime"), row.text("Comm_ToDateTime")))
        .collect();
    rows.sort();
    let wall = |day: &str, hour: u32| format!("{day}T{hour:02}:00:00");
    assert_eq!(
        rows,
        [
            ("A journey".to_owned(), wall(&one, 12), wall(&two, 18)),
            ("A point".to_owned(), wall(&one, 9), wall(&one, 9))
        ]
    );
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s65_private_on_either_side_is_private_on_both() {
    let mut host = TestHost::settled().await;
    host.crm().book(&Booking::at("Doctor", &day(40), 9, SUSAN).with("Comm_Private", json!("Y"))).await;
    let outlook = host.outlook("susan.maye");
    let start = utc(&day(41), 9);
    let item = format!(
        "<t:Subject>Lawyer</t:Subject><t:Sensitivity>Private</t:Sensitivity><t:Start>{start}</t:Start><t:End>{}</t:End>",
        utc(&day(41), 10)
    );
    outlook.create(TO_NONE, &item).await;
    host.settle().await;
    assert_eq!(outlook.by_subject("Doctor").await.expect("in Outlook").sensitivity, "Private");
    let rows = host.crm().appointments().await;
    assert!(rows.iter().all(|row| row.text("Comm_Private") == "Y"));
    assert_eq!(rows.len(), 2);
    host.oracle(2, Mails::NONE).await;
}

#[tokio::test]
async fn s66_first_line_of_the_description_is_the_subject_and_stays_so() {
    let mut host = TestHost::settled().await;
    let booking = Booking::at("", &day(40), 9, SUSAN).note("Budget talk\nBring figures");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Budget talk").await.expect("in Outlook");
    assert_eq!(item.body.trim_end(), "Bring figures");
    // Edited in Outlook: subject and body must not be mistaken for one another on the way back, now or later.
    outlook.set_body(&item.id, "Bring figures and charts").await;
    host.settle().await;
    outlook.set_subject(&item.id, "Budget talk II").await;
    host.settle().await;
    let shown = outlook.meeting(&item.id).await.expect("there");
    assert_eq!((shown.subject.as_str(), shown.body.trim_end()), ("Budget talk II", "Bring figures and charts"));
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Room 2"})).await;
    host.settle().await;
    let shown = outlook.meeting(&item.id).await.expect("there");
    assert_eq!((shown.subject.as_str(), shown.body.trim_end()), ("Budget talk II", "Bring figures and charts"));
    assert_eq!(shown.location, "Room 2");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s67_reminders_of_every_length_are_as_set() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    for (number, minutes) in [json!(null), json!(0), json!(15), json!(20_160)].into_iter().enumerate() {
        let subject = format!("Reminder {number}");
        let hour = 8 + u32::try_from(number).expect("few");
        let start = format!("{}T{hour:02}:00:00", day(40));
        let mut booking = Booking::at(&subject, &day(40), hour, SUSAN).with("Comm_NotifyDelta", minutes.clone());
        if minutes == json!(0) {
            // The column's zero means none unless the moment is set too, as the CRM's screens do.
            booking = booking.with("Comm_NotifyTime", json!(start));
        }
        host.crm().book(&booking).await;
        host.settle().await;
        let shown = outlook.by_subject(&subject).await.expect("in Outlook").reminder;
        assert_eq!(shown.map(u64::from), minutes.as_u64(), "{subject}");
    }
    host.oracle(4, Mails::NONE).await;
}

#[tokio::test]
async fn s63_html_stays_where_the_crm_edits_one_line() {
    let mut host = TestHost::settled().await;
    let outlook = host.outlook("susan.maye");
    let html =
        "<html><body><p>Dear <b>all</b>,</p><p><img src=\"cid:logo\"/>bring the <i>figures</i></p></body></html>";
    let escaped = html.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let item = format!(
        "<t:Subject>Rich</t:Subject><t:Body BodyType=\"HTML\">{escaped}</t:Body><t:Start>{}</t:Start><t:End>{}</t:End>",
        utc(&day(40), 9),
        utc(&day(40), 10)
    );
    let item = outlook.create(TO_NONE, &item).await;
    host.settle().await;
    let row = &host.crm().appointments().await[0];
    let note = row.text("Comm_Note");
    assert!(note.contains("figures"), "{note}");
    host.crm().patch("Communication", &row.id(), &json!({"Comm_Note": note.replace("figures", "samples")})).await;
    host.settle().await;
    let raw = outlook.raw_body(&item).await;
    for kept in ["<b>all</b>", "cid:logo", "<i>samples</i>"] {
        assert!(raw.contains(kept), "{kept} is lost: {raw}");
    }
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s64_the_crm_edits_the_body_of_an_online_meeting_and_its_link_survives() {
    let mut host = TestHost::settled().await;
    let (start, end) = (utc(&day(40), 9), utc(&day(40), 10));
    let exchange = &host.servers.exchange;
    let call =
        Online::book(exchange, "susan.maye@example.test", "Call", "<p>Agenda</p><p>Figures</p>", [&start, &end]).await;
    assert!(call.is_online(exchange).await, "{}", call.join_url);
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    let note = async |host: &TestHost| host.crm().get("Communication", &id).await.expect("there").text("Comm_Note");
    let before = note(&host).await;
    assert!(before.contains("Agenda") && before.contains(&call.join_url), "{before}");
    host.crm().patch("Communication", &id, &json!({"Comm_Note": before.replace("Agenda", "Plan")})).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Call").await.expect("in Outlook").id;
    let raw = outlook.raw_body(&item).await;
    assert!(raw.contains("<p>Plan</p>") && raw.contains("<p>Figures</p>"), "{raw}");
    assert!(raw.contains(&call.join_url) && call.is_online(&host.servers.exchange).await, "{raw}");
    // Somebody who clears the text in the CRM does not take the meeting offline.
    host.crm().patch("Communication", &id, &json!({"Comm_Note": "See the invitation"})).await;
    host.settle().await;
    let raw = outlook.raw_body(&item).await;
    assert!(raw.contains("See the invitation") && !raw.contains("Figures"), "{raw}");
    assert!(raw.contains(&call.join_url) && call.is_online(&host.servers.exchange).await, "{raw}");
    host.oracle(1, Mails::NONE).await;
}
