//! Organizers, attendees, responses.

use chrono::TimeDelta;
use daybridge::control::{RefusalKind, UserDesk, UserList, UserOrder, UserState};
use daybridge_tests::crm::Booking;
use daybridge_tests::ews::TO_ALL;
use daybridge_tests::host::{Mails, Servers, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{MARY, SUSAN, TERRY, WILLIAM};
use serde_json::json;

/// For the CRM, William now has no synchronized mailbox: an organizer from elsewhere.
async fn william_is_elsewhere(host: &mut TestHost) {
    host.crm().patch("Users", WILLIAM, &json!({"User_EmailAddress": null})).await;
    host.settle_after_user_change().await;
}

#[tokio::test]
async fn s16_response_is_stored_in_the_crm_and_mails_nobody() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    let terry = host.outlook("terry.smith");
    let copy = terry.by_subject("Review").await.expect("an invitation").id;
    terry.respond(&copy, "Accept").await;
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    assert!(row.text("comm_responses").contains("Terry Smith: accepted"), "{}", row.text("comm_responses"));
    let links = host.crm().links(&id).await;
    let terry = links.iter().find(|link| link.text("CmLi_Comm_UserId") == TERRY).expect("Terry's row");
    assert_eq!(terry.text("cmli_status"), "3");
    assert_eq!(row.text("Comm_Subject"), "Review");
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s35_crm_that_sends_its_own_mail_is_the_only_one_that_does() {
    let mut host = TestHost::settled_with("[sync]\ninvitations = \"crm\"\n").await;
    let booking = Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_external("ann.lee@client.test");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    host.crm()
        .patch(
            "Communication",
            &id,
            &json!({"Comm_DateTime": format!("{}T11:00:00", day(41)),
        "Comm_ToDateTime": format!("{}T12:00:00", day(41))}),
        )
        .await;
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").by_subject("Review").await.expect("there").start, utc(&day(41), 11));
    host.crm().patch("Communication", &id, &json!({"Comm_Status": "Cancelled"})).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").calendar().await.is_empty());
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s44_declined_attendee_is_shown_and_is_no_user_of_the_appointment() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let people = ["terry.smith@example.test", "mary.jones@example.test"];
    host.outlook("susan.maye").book("Board", &utc(&day, 9), &utc(&day, 10), &people).await;
    host.people_mailed(Mails::new(2, 0, 0));
    let terry = host.outlook("terry.smith");
    let copy = terry.by_subject("Board").await.expect("an invitation").id;
    terry.respond(&copy, "Decline").await;
    host.settle().await;
    let row = host.crm().appointments().await.remove(0);
    let shown = |links: &[daybridge_tests::crm::Row]| {
        let mut shown: Vec<(String, String, String)> = links
            .iter()
            .map(|link| (link.text("CmLi_Comm_UserId"), link.text("cmli_recipient"), link.text("cmli_status")))
            .collect();
        shown.sort();
        shown
    };
    let line = |user: &str, address: &str, status: &str| (user.to_owned(), address.to_owned(), status.to_owned());
    assert_eq!(
        shown(&host.crm().links(&row.id()).await),
        [line("", "terry.smith@example.test", "4"), line(SUSAN, "", "6"), line(MARY, "", "0")]
    );
    assert!(row.text("comm_responses").contains("Terry Smith: declined"), "{}", row.text("comm_responses"));
    // He comes after all.
    let Some(copy) = terry.by_subject("Board").await else {
        host.oracle(1, Mails::new(2, 0, 0)).await;
        return;
    };
    terry.respond(&copy.id, "Accept").await;
    host.settle().await;
    assert_eq!(
        shown(&host.crm().links(&row.id()).await),
        [line(SUSAN, "", "6"), line(TERRY, "", "3"), line(MARY, "", "0")]
    );
    host.oracle(1, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn s45_answer_given_in_the_crm_is_sent_from_the_users_own_copy() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let outlook = host.outlook("susan.maye");
    let item = outlook.book("Board", &utc(&day, 9), &utc(&day, 10), &["terry.smith@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let row = host.crm().appointments().await.remove(0);
    let links = host.crm().links(&row.id()).await;
    let terry = links.iter().find(|link| link.text("CmLi_Comm_UserId") == TERRY).expect("Terry's row");
    host.crm().patch("Comm_Link", &terry.id(), &json!({"cmli_status": 3})).await;
    // The link row's own change is no change of the communication: a sweep finds it.
    host.settle_with_sweep().await;
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!(shown.attendees, [("terry.smith@example.test".to_owned(), "Accept".to_owned())]);
    assert_eq!(host.outlook("terry.smith").by_subject("Board").await.expect("his copy").my_response, "Accept");
    let row = host.crm().get("Communication", &row.id()).await.expect("there");
    assert!(row.text("comm_responses").contains("Terry Smith: accepted"), "{}", row.text("comm_responses"));
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s37_meeting_of_an_outside_organizer_is_one_stub() {
    let mut host = TestHost::settled().await;
    william_is_elsewhere(&mut host).await;
    let day = day(40);
    let people = ["susan.maye@example.test", "terry.smith@example.test"];
    let outlook = host.outlook("william.dolan");
    let item = outlook.book("Outside", &utc(&day, 9), &utc(&day, 10), &people).await;
    host.people_mailed(Mails::new(2, 0, 0));
    host.settle().await;
    assert_eq!(host.crm().appointments().await.len(), 1);
    outlook.reschedule(&item, &utc(&day, 16), &utc(&day, 17), TO_ALL).await;
    host.people_mailed(Mails::new(0, 2, 0));
    host.settle().await;
    assert_eq!(host.crm().appointments().await[0].text("Comm_DateTime"), format!("{day}T16:00:00"));
    host.oracle(1, Mails::new(2, 2, 0)).await;
}

#[tokio::test]
async fn s38_stub_folds_into_the_real_appointment_when_its_organizer_joins() {
    let mut host = TestHost::settled().await;
    william_is_elsewhere(&mut host).await;
    let day = day(40);
    let outlook = host.outlook("william.dolan");
    outlook.book("Outside", &utc(&day, 9), &utc(&day, 10), &["susan.maye@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    host.crm().patch("Users", WILLIAM, &json!({"User_EmailAddress": "william.dolan@example.test"})).await;
    host.settle_after_user_change().await;
    let rows = host.crm().appointments().await;
    assert_eq!(
        rows.iter().map(daybridge_tests::crm::Row::id).collect::<Vec<_>>(),
        [id.as_str()],
        "folded, not doubled"
    );
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Now ours to edit"})).await;
    host.settle().await;
    assert_eq!(outlook.by_subject("Outside").await.expect("there").location, "Now ours to edit");
    host.oracle(1, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn s40_attendee_removed_on_one_side_is_removed_on_the_other() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Review", &day(40), 9, SUSAN).with_user(TERRY).with_user(MARY)).await;
    host.settle().await;
    let links = host.crm().links(&id).await;
    let terry = links.iter().find(|link| link.text("CmLi_Comm_UserId") == TERRY).expect("Terry's row");
    host.crm().delete("Comm_Link", &terry.id()).await;
    host.settle_with_sweep().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Review").await.expect("there");
    let people: Vec<&str> = item.attendees.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(people, ["mary.jones@example.test"]);
    assert!(host.outlook("terry.smith").by_subject("Review").await.is_none());
    // And the other way round.
    let mary = "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>william.dolan@example.test</t:EmailAddress>\
                </t:Mailbox></t:Attendee></t:RequiredAttendees>";
    outlook.set(&item.id, "calendar:RequiredAttendees", mary, TO_ALL).await;
    host.people_mailed(Mails::new(1, 0, 1));
    host.settle().await;
    let mut users: Vec<String> = host.crm().links(&id).await.iter().map(|link| link.text("CmLi_Comm_UserId")).collect();
    users.sort();
    assert_eq!(users, [SUSAN, WILLIAM]);
    host.oracle(1, Mails::new(3, 0, 2)).await;
}

#[tokio::test]
async fn s41_address_in_other_letter_case_is_the_same_user() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    host.outlook("susan.maye").book("Case", &utc(&day, 9), &utc(&day, 10), &["Terry.SMITH@Example.Test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    let mut users: Vec<String> =
        host.crm().links(&rows[0].id()).await.iter().map(|link| link.text("CmLi_Comm_UserId")).collect();
    users.sort();
    assert_eq!(users, [SUSAN, TERRY]);
    host.oracle(1, Mails::new(1, 0, 0)).await;
}

#[tokio::test]
async fn s43_two_crm_users_with_one_mailbox_are_refused_in_clear_text() {
    let mut host = TestHost::settled().await;
    host.crm().patch("Users", MARY, &json!({"User_EmailAddress": "terry.smith@example.test"})).await;
    host.settle_after_user_change().await;
    let left_out = host.app.left_out();
    assert!(
        left_out.iter().any(|(id, reason)| id == MARY && reason.contains("already has this mailbox")),
        "{left_out:?}"
    );
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s30_user_taken_out_of_the_sync_stays_out_whatever_is_synced_and_nothing_is_read_or_deleted() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Before", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Before").await.expect("there").id;
    let out = UserOrder { user: "Susan.Maye".into(), enabled: false };
    let susan = host.app.set_user(&out).await.expect("done");
    assert_eq!((susan.state, susan.mailbox), (UserState::Disabled, None));
    assert!(susan.reason.expect("a reason").contains("daybridge users enable susan.maye"));
    // Whatever asks her calendar for anything would use this up.
    let susans =
        json!({"operation": "*", "container": "susan.maye@example.test", "kind": "error", "code": "ErrorAccessDenied"});
    host.exchange_fault(susans).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Room 1"})).await;
    host.crm().book(&Booking::at("New in the CRM", &day(41), 9, SUSAN)).await;
    host.settle_with_sweep().await;
    let listed = host.app.sync_users().await.expect("users");
    let states: Vec<_> = listed.users.iter().map(|user| (user.login.as_str(), user.state)).collect();
    assert!(states.contains(&("susan.maye", UserState::Disabled)), "{states:?}");
    assert!(states.contains(&("terry.smith", UserState::Synchronized)), "{states:?}");
    host.settle_after_user_change().await;
    host.restart().await;
    host.settle_with_sweep().await;
    let unused = host.servers.exchange.faults().pending().pending.len();
    assert_eq!(unused, 1, "her calendar was asked for something");
    host.clear_exchange_faults().await;
    outlook.set_subject(&item, "Changed in Outlook").await;
    outlook.book("New in Outlook", &utc(&day(42), 9), &utc(&day(42), 10), &[]).await;
    host.settle_with_sweep().await;
    let mut subjects: Vec<String> =
        host.crm().appointments().await.iter().map(|row| row.text("Comm_Subject")).collect();
    subjects.sort();
    assert_eq!(subjects, ["Before", "New in the CRM"]);
    assert_eq!(outlook.calendar().await.len(), 2);
    // Taken in again, everything is made up for.
    let susan = host.app.set_user(&UserOrder { enabled: true, ..out }).await.expect("done");
    assert_eq!((susan.state, susan.mailbox.as_deref()), (UserState::Synchronized, Some("susan.maye@example.test")));
    host.settle_with_sweep().await;
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!((shown.subject.as_str(), shown.location.as_str()), ("Changed in Outlook", "Room 1"));
    assert_eq!(host.crm().get("Communication", &id).await.expect("there").text("Comm_Subject"), "Changed in Outlook");
    assert_eq!((outlook.calendar().await.len(), host.crm().appointments().await.len()), (3, 3));
    host.oracle(3, Mails::NONE).await;
}

#[tokio::test]
async fn user_without_an_address_is_found_in_the_directory_by_name() {
    let mut host = TestHost::settled().await;
    william_is_elsewhere(&mut host).await;
    let william = |listed: UserList| listed.users.into_iter().find(|user| user.id == WILLIAM).expect("William");
    let before = william(host.app.users().await.expect("users"));
    assert_eq!((before.state, before.mailbox), (UserState::LeftOut, None));
    assert!(before.reason.expect("a reason").contains("daybridge users sync"));
    let found = william(host.app.sync_users().await.expect("users"));
    assert_eq!((found.state, found.matched.as_deref()), (UserState::Synchronized, Some("name")));
    assert_eq!(found.mailbox.as_deref(), Some("william.dolan@example.test"));
    // The CRM still has no address of his, and he organizes and is asked all the same, also after a restart.
    host.restart().await;
    host.settle().await;
    host.crm().book(&Booking::at("His", &day(40), 9, WILLIAM).with_user(SUSAN)).await;
    host.settle().await;
    let his = host.outlook("william.dolan").by_subject("His").await.expect("in his calendar");
    assert_eq!(
        his.attendees.iter().map(|(address, _)| address.as_str()).collect::<Vec<_>>(),
        ["susan.maye@example.test"]
    );
    let outlook = host.outlook("susan.maye");
    outlook.book("Hers", &utc(&day(41), 9), &utc(&day(41), 10), &["william.dolan@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    let hers = rows.iter().find(|row| row.text("Comm_Subject") == "Hers").expect("in the CRM");
    let users: Vec<String> =
        host.crm().links(&hers.id()).await.iter().map(|link| link.text("CmLi_Comm_UserId")).collect();
    assert!(users.contains(&WILLIAM.to_owned()), "{users:?}");
    host.oracle(2, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn names_are_not_gone_by_if_the_operator_says_so() {
    let mut host = TestHost::settled_with("[users]\nnames = false\n").await;
    william_is_elsewhere(&mut host).await;
    let listed = host.app.sync_users().await.expect("users");
    let william = listed.users.iter().find(|user| user.id == WILLIAM).expect("William");
    assert_eq!((william.state, &william.mailbox), (UserState::LeftOut, &None));
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn resource_takes_no_part_if_the_operator_says_so() {
    let mut host = TestHost::settled_with("[users]\nresources = false\n").await;
    host.crm().patch("Users", MARY, &json!({"User_Resource": "true"})).await;
    host.settle_after_user_change().await;
    let left_out = host.app.left_out();
    assert!(left_out.iter().any(|(id, reason)| id == MARY && reason.contains("a resource")), "{left_out:?}");
    host.oracle(0, Mails::NONE).await;
}

#[tokio::test]
async fn s41_user_whose_address_is_an_alias_is_found_by_the_directory() {
    let mut host = TestHost::settled().await;
    host.crm().patch("Users", SUSAN, &json!({"User_EmailAddress": "smaye@example.test"})).await;
    host.clock.advance(TimeDelta::minutes(11));
    let listed = host.app.sync_users().await.expect("users");
    let susan = listed.users.iter().find(|user| user.id == SUSAN).expect("Susan");
    assert_eq!((susan.matched.as_deref(), susan.address.as_str()), (Some("alias"), "smaye@example.test"));
    assert_eq!(susan.mailbox.as_deref(), Some("susan.maye@example.test"));
    // She is one person in both directions, whichever of her addresses is written.
    host.crm().book(&Booking::at("Own", &day(40), 9, SUSAN).with_user(TERRY)).await;
    host.settle().await;
    assert!(host.outlook("susan.maye").by_subject("Own").await.is_some());
    let outlook = host.outlook("terry.smith");
    outlook.book("Asked", &utc(&day(41), 9), &utc(&day(41), 10), &["smaye@example.test"]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    let asked = rows.iter().find(|row| row.text("Comm_Subject") == "Asked").expect("in the CRM");
    let users: Vec<String> =
        host.crm().links(&asked.id()).await.iter().map(|link| link.text("CmLi_Comm_UserId")).collect();
    assert!(users.contains(&SUSAN.to_owned()), "{users:?}");
    assert_eq!(rows.len(), 2);
    host.oracle(2, Mails::new(2, 0, 0)).await;
}

#[tokio::test]
async fn a_list_of_people_stays_one_attendee_whatever_the_crm_edits() {
    const LIST: &str = "sales@example.test";
    let servers = Servers::with_list("sales", &["terry.smith", "william.dolan"]).await;
    let mut host = TestHost::on(servers, "").await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    outlook.book("Kick-off", &utc(&day(40), 9), &utc(&day(40), 10), &[LIST]).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let id = host.crm().appointments().await[0].id();
    host.crm().patch("Communication", &id, &json!({"Comm_Location": "Hall"})).await;
    host.settle().await;
    let meeting = outlook.by_subject("Kick-off").await.expect("there");
    let asked: Vec<&str> = meeting.attendees.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!((asked, meeting.location.as_str()), (vec![LIST], "Hall"), "nobody on it is asked once more by name");
    host.oracle(1, Mails::new(1, 1, 0)).await;
}

#[tokio::test]
async fn user_nobody_knows_is_refused_with_a_hint() {
    let mut host = TestHost::settled().await;
    let refused =
        host.app.set_user(&UserOrder { user: "nobody".into(), enabled: false }).await.expect_err("no such user");
    assert_eq!((refused.kind, refused.code.as_str()), (RefusalKind::Unknown, "user-not-known"));
    assert!(refused.hint.contains("daybridge users list"), "{}", refused.hint);
    host.no_story("nobody was changed");
}
