//! Both sides changed.

use chrono::TimeDelta;
use daybridge::control::Desk;
use daybridge_tests::crm::{Booking, Row};
use daybridge_tests::ews::{Outlook, TO_ALL, TO_NONE};
use daybridge_tests::host::{Mails, Servers, TestHost};
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::{SUSAN, TERRY, WILLIAM};
use serde_json::json;

/// A pair at rest: the CRM's id, Susan's Outlook, the item's id.
async fn pair(host: &mut TestHost) -> (String, Outlook, String) {
    let id = host.crm().book(&Booking::at("Plan", &day(40), 9, SUSAN)).await;
    host.settle().await;
    let outlook = host.outlook("susan.maye");
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    (id, outlook, item)
}

#[tokio::test]
async fn s17_subject_in_the_crm_and_location_in_outlook_are_both_kept() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
    outlook.set_location(&item, "Room 9").await;
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!((row.text("Comm_Subject").as_str(), row.text("Comm_Location").as_str()), ("Plan B", "Room 9"));
    assert_eq!((shown.subject.as_str(), shown.location.as_str()), ("Plan B", "Room 9"));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s17_time_in_outlook_and_description_in_the_crm_are_both_kept() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    let day = day(40);
    host.crm().patch("Communication", &id, &json!({"Comm_Note": "New agenda"})).await;
    outlook.reschedule(&item, &utc(&day, 14), &utc(&day, 15), TO_NONE).await;
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    let shown = outlook.meeting(&item).await.expect("there");
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T14:00:00"));
    assert_eq!((shown.body.trim_end(), shown.start), ("New agenda", utc(&day, 14)));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s18_same_field_on_both_sides_has_a_declared_winner_and_the_loser_is_kept() {
    for (policy, wanted, loser) in [("crm", "By CRM", "Exchange"), ("exchange", "By Outlook", "the CRM")] {
        let mut host = TestHost::settled_with(&format!("[sync]\nconflict = \"{policy}\"\n")).await;
        let (id, outlook, item) = pair(&mut host).await;
        host.crm().patch("Communication", &id, &json!({"Comm_Subject": "By CRM"})).await;
        outlook.set_subject(&item, "By Outlook").await;
        host.settle().await;
        let row = host.crm().get("Communication", &id).await.expect("there");
        assert_eq!(row.text("Comm_Subject"), wanted);
        assert_eq!(outlook.meeting(&item).await.expect("there").subject, wanted);
        let trace = host.trace(&id).await;
        assert!(trace.contains(&format!("subject was changed on both sides; what {loser} had gave way")), "{trace}");
        let story = host.app.trace(&id).await.expect("a story");
        let lost: Vec<_> = story.lines.iter().flat_map(|line| &line.lost).collect();
        let values: Vec<(&str, &str)> = lost.iter().map(|lost| (lost.value.as_str(), lost.kept.as_str())).collect();
        let given_way = if wanted == "By CRM" { "By Outlook" } else { "By CRM" };
        assert_eq!(values, [(given_way, wanted)], "the old value and the new");
        host.oracle(1, Mails::NONE).await;
    }
}

#[tokio::test]
async fn s19_same_value_on_both_sides_is_no_write() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Agreed"})).await;
    outlook.set_subject(&item, "Agreed").await;
    let before = (host.servers.crm_writes().await, host.servers.exchange_writes().await);
    host.settle().await;
    assert_eq!((host.servers.crm_writes().await, host.servers.exchange_writes().await), before);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s21_deleted_in_the_crm_but_edited_in_outlook_is_restored() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    host.crm().delete("Communication", &id).await;
    outlook.set_subject(&item, "Still on").await;
    host.settle_with_sweep().await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.iter().map(|row| row.text("Comm_Subject")).collect::<Vec<_>>(), ["Still on"]);
    assert!(host.trace(&rows[0].id()).await.contains("the edit wins"));
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s21_deleted_in_outlook_but_edited_in_the_crm_is_restored() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    outlook.delete(&item, TO_NONE).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Still on"})).await;
    host.settle().await;
    assert!(outlook.by_subject("Still on").await.is_some());
    assert_eq!(host.crm().appointments().await.len(), 1);
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s22_change_key_that_went_stale_is_read_again_and_no_edit_is_lost() {
    let mut host = TestHost::settled().await;
    let (id, outlook, item) = pair(&mut host).await;
    host.exchange_fault(
        json!({"operation": "UpdateItem", "kind": "error", "code": "ErrorIrresolvableConflict", "times": 2}),
    )
    .await;
    host.crm().patch("Communication", &id, &json!({"Comm_Subject": "Patient"})).await;
    host.settle().await;
    assert_eq!(outlook.meeting(&item).await.expect("there").subject, "Patient");
    host.oracle(1, Mails::NONE).await;
}

/// Who changes the subject between a creation whose answer is lost and the next look at it.
async fn after_a_creation_that_was_cut_off(from_crm: bool, change_in_crm: bool) {
    let mut host = TestHost::settled().await;
    let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
    if from_crm {
        crm.book(&Booking::at("Plan", &day(40), 9, SUSAN).note("Agenda")).await;
        host.exchange_fault(json!({"operation": "CreateItem", "kind": "drop-after-commit"})).await;
    } else {
        outlook.book("Plan", &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
        host.crm_fault(json!({"operation": "POST Communication", "kind": "drop-after-commit"})).await;
    }
    host.pass(false).await;
    let id = crm.appointments().await.first().expect("in the CRM").id();
    let item = outlook.by_subject("Plan").await.expect("in Outlook").id;
    if change_in_crm {
        crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
    } else {
        outlook.set_subject(&item, "Plan B").await;
    }
    host.settle().await;
    let case = format!("from the CRM: {from_crm}, changed in the CRM: {change_in_crm}");
    assert_eq!(crm.get("Communication", &id).await.expect("there").text("Comm_Subject"), "Plan B", "{case}");
    assert_eq!(outlook.meeting(&item).await.expect("there").subject, "Plan B", "{case}");
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s17_a_change_made_before_a_creation_was_recorded_is_kept() {
    for from_crm in [true, false] {
        for change_in_crm in [true, false] {
            after_a_creation_that_was_cut_off(from_crm, change_in_crm).await;
        }
    }
}

#[tokio::test]
async fn s17_a_copy_that_was_made_by_half_goes_with_what_it_was_made_of() {
    for (fault, completed) in [
        (json!({"operation": "POST Comm_Link", "kind": "drop-before", "times": 2}), false),
        (json!({"operation": "POST Communication", "kind": "drop-after-commit", "times": 2}), false),
        (json!({"operation": "POST Comm_Link", "kind": "drop-before", "times": 2}), true),
    ] {
        let mut host = TestHost::settled().await;
        let (crm, outlook) = (host.crm(), host.outlook("susan.maye"));
        let item = outlook.book("Plan", &utc(&day(40), 9), &utc(&day(40), 10), &["terry.smith@example.test"]).await;
        host.crm_fault(fault.clone()).await;
        host.pass(false).await;
        let id = crm.appointments().await.first().expect("in the CRM").id();
        if completed {
            crm.patch("Communication", &id, &json!({"Comm_Status": "Complete"})).await;
        }
        outlook.delete(&item, TO_ALL).await;
        host.people_mailed(Mails::new(1, 0, 1));
        host.settle().await;
        let left: Vec<_> = crm.appointments().await.iter().map(|row| row.text("Comm_Status")).collect();
        assert!(left.iter().all(|status| status == "Cancelled"), "{left:?}, {fault}: {}", host.trace(&id).await);
        host.oracle(0, Mails::new(1, 0, 1)).await;
    }
}

/// The subject is changed twice on one side; the write of the first change is carried out, and its answer lost.
async fn after_a_change_that_was_cut_off(in_crm: bool, winner: &str, also: bool) {
    let mut host = TestHost::settled_with(&format!("[sync]\nconflict = \"{winner}\"\n")).await;
    let (id, outlook, item) = pair(&mut host).await;
    let crm = host.crm();
    if in_crm {
        host.exchange_fault(json!({"operation": "UpdateItem", "kind": "drop-after-commit"})).await;
        crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan B"})).await;
    } else {
        host.crm_fault(json!({"operation": "PATCH Communication", "kind": "drop-after-commit"})).await;
        outlook.set_subject(&item, "Plan B").await;
    }
    host.pass(false).await;
    let case = format!("in the CRM: {in_crm}, winner: {winner}, also on the other side: {also}");
    assert_eq!(crm.get("Communication", &id).await.expect("there").text("Comm_Subject"), "Plan B", "{case}");
    assert_eq!(outlook.meeting(&item).await.expect("there").subject, "Plan B", "{case}");
    if in_crm {
        crm.patch("Communication", &id, &json!({"Comm_Subject": "Plan C"})).await;
    } else {
        outlook.set_subject(&item, "Plan C").await;
    }
    if also {
        outlook.set_location(&item, "Annex").await;
    }
    host.settle().await;
    let row = crm.get("Communication", &id).await.expect("there");
    let meeting = outlook.meeting(&item).await.expect("there");
    assert_eq!((row.text("Comm_Subject").as_str(), meeting.subject.as_str()), ("Plan C", "Plan C"), "{case}");
    if also {
        assert_eq!((row.text("Comm_Location").as_str(), meeting.location.as_str()), ("Annex", "Annex"), "{case}");
    }
    host.oracle(1, Mails::NONE).await;
}

#[tokio::test]
async fn s17_a_change_made_before_the_last_one_was_recorded_is_no_conflict() {
    for in_crm in [true, false] {
        for winner in ["crm", "exchange"] {
            for also in [true, false] {
                after_a_change_that_was_cut_off(in_crm, winner, also).await;
            }
        }
    }
}

#[tokio::test]
async fn s17_an_answer_that_was_cut_off_on_its_way_to_the_crm_arrives_though_somebody_was_removed_there() {
    let mut host = TestHost::settled().await;
    let id = host.crm().book(&Booking::at("Plan", &day(40), 9, SUSAN).with_user(TERRY).with_user(WILLIAM)).await;
    host.settle().await;
    let terry = host.outlook("terry.smith");
    terry.respond(&terry.by_subject("Plan").await.expect("an invitation").id, "Accept").await;
    let of = |user: &'static str| move |link: &Row| link.text("CmLi_Comm_UserId") == user;
    let link = host.crm().links(&id).await.into_iter().find(of(WILLIAM)).expect("William's row");
    host.crm().delete("Comm_Link", &link.id()).await;
    host.crm_fault(json!({"operation": "PATCH Communication", "kind": "drop-before", "times": 2})).await;
    host.pass(false).await;
    host.settle().await;
    let links = host.crm().links(&id).await;
    assert!(!links.iter().any(of(WILLIAM)));
    assert_eq!(links.iter().find(|link| of(TERRY)(link)).expect("Terry's row").text("cmli_status"), "3");
    let row = host.crm().get("Communication", &id).await.expect("there");
    assert!(row.text("comm_responses").contains("Terry Smith: accepted"), "{}", row.text("comm_responses"));
    let meeting = host.outlook("susan.maye").by_subject("Plan").await.expect("there");
    assert_eq!(meeting.attendees.len(), 1, "{:?}", meeting.attendees);
    host.oracle(1, Mails::new(2, 0, 1)).await;
}

#[tokio::test]
async fn s20_clock_of_the_crm_ten_minutes_ahead_changes_no_outcome() {
    for ahead in [0, 10, -10] {
        let servers = Servers::with_crm_clock(TimeDelta::minutes(ahead)).await;
        let mut host = TestHost::on(servers, "[sync]\nconflict = \"exchange\"\n").await;
        host.settle().await;
        let (id, outlook, item) = pair(&mut host).await;
        host.crm().patch("Communication", &id, &json!({"Comm_Subject": "By CRM", "Comm_Note": "Kept"})).await;
        outlook.set_subject(&item, "By Outlook").await;
        host.settle().await;
        let row = host.crm().get("Communication", &id).await.expect("there");
        assert_eq!(
            (row.text("Comm_Subject").as_str(), row.text("Comm_Note").as_str()),
            ("By Outlook", "Kept"),
            "{ahead}"
        );
        host.oracle(1, Mails::NONE).await;
    }
}
