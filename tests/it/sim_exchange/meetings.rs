//! Meetings: which Send value mails whom, and what becomes of the copies.

use serde_json::{Value, json};

use super::{Id, MARY, SUSAN, Sim, TERRY, attendees, delete, get, only, plain, set, texts};

const GUESTS: [&str; 3] = ["terry.smith@example.test", "mary.jones@example.test", "customer@elsewhere.test"];
const SUBJECT: &str = "<t:Subject>Other</t:Subject>";

fn meeting() -> String {
    format!("{}{}", plain("Review"), attendees("RequiredAttendees", &GUESTS))
}

async fn start() -> (Sim, Id) {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToAllAndSaveCopy", &meeting()).await;
    assert_eq!(sim.mails().await, json!({ "request": 3 }));
    (sim, id)
}

#[tokio::test]
async fn create_mails_as_told() {
    for (send, mails, copies, sent) in [
        ("SendToNone", json!({}), 0, 0),
        ("SendOnlyToAll", json!({ "request": 3 }), 1, 0),
        ("SendToAllAndSaveCopy", json!({ "request": 3 }), 1, 3),
    ] {
        let sim = Sim::start().await;
        sim.create(SUSAN, send, &meeting()).await;
        assert_eq!(sim.mails().await, mails, "{send}");
        for login in [TERRY, MARY] {
            assert_eq!(sim.list(login, "calendar").await.len(), copies, "{send}");
            assert_eq!(sim.list(login, "inbox").await.len(), copies, "{send}");
        }
        assert_eq!(sim.list(SUSAN, "sentitems").await.len(), sent, "{send}");
        assert_eq!(sim.sim("counters").await["writes"], 1, "{send}");
        sim.stop().await;
    }
}

/// Each Send value of an update: mails and what the attendee sees, first of a new subject, then of one guest less and
/// one more.
async fn check_update(send: &str, on_subject: Value, on_guests: Value) {
    let (sim, id) = start().await;
    let id = sim.update(SUSAN, &id, send, &set("item:Subject", SUBJECT)).await;
    assert_eq!(sim.mails().await, on_subject, "{send}, subject");
    let copy = sim.only_copy(TERRY).await;
    let reached = on_subject.get("update").is_some();
    assert_eq!(only(&sim.get(TERRY, &copy).await, "Subject"), if reached { "Other" } else { "Review" }, "{send}");
    let guests = ["terry.smith@example.test", "customer@elsewhere.test", "william.dolan@example.test"];
    let replaced = set("calendar:RequiredAttendees", &attendees("RequiredAttendees", &guests));
    sim.update(SUSAN, &id, send, &replaced).await;
    assert_eq!(sim.mails().await, on_guests, "{send}, guests");
    let told = usize::from(on_guests.get("request").is_some());
    assert_eq!(sim.list("william.dolan", "calendar").await.len(), told, "{send}");
    assert_eq!(sim.list(MARY, "calendar").await.len(), 1 - told, "{send}");
    sim.stop().await;
}

#[tokio::test]
async fn update_mails_as_told() {
    check_update("SendToNone", json!({}), json!({})).await;
    let all = json!({ "request": 1, "update": 2, "cancellation": 1 });
    check_update("SendOnlyToAll", json!({ "update": 3 }), all.clone()).await;
    check_update("SendToAllAndSaveCopy", json!({ "update": 3 }), all).await;
    let changed = json!({ "request": 1, "cancellation": 1 });
    check_update("SendOnlyToChanged", json!({}), changed.clone()).await;
    check_update("SendToChangedAndSaveCopy", json!({}), changed).await;
}

#[tokio::test]
async fn delete_mails_as_told() {
    for (send, mails, left) in [
        ("SendToNone", json!({}), 1),
        ("SendOnlyToAll", json!({ "cancellation": 3 }), 0),
        ("SendToAllAndSaveCopy", json!({ "cancellation": 3 }), 0),
    ] {
        for kind in ["HardDelete", "SoftDelete", "MoveToDeletedItems"] {
            let (sim, id) = start().await;
            assert_eq!(sim.codes(SUSAN, &delete(kind, send, &id)).await, ["NoError"]);
            assert_eq!(sim.mails().await, mails, "{send}");
            assert_eq!(sim.list(TERRY, "calendar").await.len(), left, "{send}");
            assert!(sim.list(SUSAN, "calendar").await.is_empty());
            let kept = usize::from(kind == "MoveToDeletedItems");
            assert_eq!(sim.list(SUSAN, "deleteditems").await.len(), kept, "{kind}");
            sim.stop().await;
        }
    }
}

#[tokio::test]
async fn the_first_mails_of_a_silent_meeting_are_requests() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &meeting()).await;
    assert_eq!(only(&sim.get(SUSAN, &id).await, "MeetingRequestWasSent"), "false");
    sim.update(SUSAN, &id, "SendToAllAndSaveCopy", &set("item:Subject", SUBJECT)).await;
    assert_eq!(sim.mails().await, json!({ "request": 3 }));
    let shown = sim.get(SUSAN, &id).await;
    assert_eq!(only(&shown, "MeetingRequestWasSent"), "true");
    sim.stop().await;
}

fn reply(kind: &str, disposition: &str, id: &Id) -> String {
    let reference = id.xml().replace("ItemId", "ReferenceItemId");
    format!(
        "<m:CreateItem MessageDisposition=\"{disposition}\"><m:Items><t:{kind}>{reference}</t:{kind}></m:Items></m:CreateItem>"
    )
}

#[tokio::test]
async fn answers_reach_the_organizer_if_sent() {
    let (sim, id) = start().await;
    let copy = sim.only_copy(TERRY).await;
    assert_eq!(sim.codes(TERRY, &reply("AcceptItem", "SaveOnly", &copy)).await, ["NoError"]);
    assert_eq!(sim.mails().await, json!({}));
    assert_eq!(texts(&sim.get(SUSAN, &id).await, "ResponseType"), ["Unknown"; 3]);
    for (kind, answer) in [("TentativelyAcceptItem", "Tentative"), ("AcceptItem", "Accept"), ("DeclineItem", "Decline")]
    {
        let before = sim.list(SUSAN, "calendar").await;
        assert_eq!(sim.codes(TERRY, &reply(kind, "SendAndSaveCopy", &copy)).await, ["NoError"]);
        assert_eq!(sim.mails().await, json!({ "response": 1 }), "{kind}");
        let shown = sim.get(SUSAN, &id).await;
        assert_eq!(texts(&shown, "ResponseType"), [answer, "Unknown", "Unknown"]);
        assert_eq!(texts(&shown, "LastResponseTime"), ["2027-01-15T08:00:00Z"]);
        assert_ne!(sim.list(SUSAN, "calendar").await, before, "the change key is a new one");
        // Other attendees do not learn of it.
        let mary = sim.get(MARY, &sim.only_copy(MARY).await).await;
        assert_eq!(texts(&mary, "ResponseType"), ["Unknown"; 3]);
    }
    assert!(sim.list(TERRY, "calendar").await.is_empty(), "declined, so out of the calendar");
    assert_eq!(sim.list(TERRY, "deleteditems").await.len(), 1);
    assert_eq!(sim.codes(SUSAN, &reply("AcceptItem", "SendOnly", &id)).await, ["ErrorCalendarIsOrganizerForAccept"]);
    assert_eq!(sim.codes(SUSAN, &reply("DeclineItem", "SendOnly", &id)).await, ["ErrorCalendarIsOrganizerForDecline"]);
    let mary = sim.only_copy(MARY).await;
    assert_eq!(sim.codes(MARY, &reply("CancelCalendarItem", "SendOnly", &mary)).await, ["ErrorCalendarIsNotOrganizer"]);
    assert_eq!(sim.codes(SUSAN, &reply("CancelCalendarItem", "SendOnly", &id)).await, ["NoError"]);
    assert_eq!(sim.mails().await, json!({ "cancellation": 3 }));
    assert!(sim.list(MARY, "calendar").await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn a_new_time_asks_again_and_a_new_place_does_not() {
    let (sim, id) = start().await;
    let copy = sim.only_copy(TERRY).await;
    sim.call(TERRY, &reply("AcceptItem", "SendOnly", &copy)).await;
    let latest = sim.list(SUSAN, "calendar").await.remove(0);
    assert_eq!(latest.id, id.id);
    let place = set("calendar:Location", "<t:Location>Plant 3</t:Location>");
    let latest = sim.update(SUSAN, &latest, "SendToAllAndSaveCopy", &place).await;
    assert_eq!(texts(&sim.get(SUSAN, &latest).await, "ResponseType"), ["Accept", "Unknown", "Unknown"]);
    let own = "<t:ReminderMinutesBeforeStart>5</t:ReminderMinutesBeforeStart>";
    let copy = sim.only_copy(TERRY).await;
    let silent = "SendToNone";
    sim.update(TERRY, &copy, silent, &set("item:ReminderMinutesBeforeStart", own)).await;
    let end = set("calendar:End", "<t:End>2027-02-08T11:00:00Z</t:End>");
    let latest = sim.update(SUSAN, &latest, "SendToAllAndSaveCopy", &end).await;
    let shown = sim.get(SUSAN, &latest).await;
    assert_eq!(texts(&shown, "ResponseType"), ["Unknown"; 3]);
    assert_eq!(only(&shown, "AppointmentSequenceNumber"), "1");
    let copy = sim.get(TERRY, &sim.only_copy(TERRY).await).await;
    assert_eq!(only(&copy, "MyResponseType"), "NoResponseReceived");
    assert_eq!(only(&copy, "ReminderMinutesBeforeStart"), "5", "the attendee's own");
    assert_eq!((only(&copy, "Location").as_str(), only(&copy, "End").as_str()), ("Plant 3", "2027-02-08T11:00:00Z"));
    sim.stop().await;
}

#[tokio::test]
async fn a_guest_by_alias_has_one_copy_and_the_organizer_none() {
    let sim = Sim::start().await;
    let guests = attendees("RequiredAttendees", &["tsmith@example.test", "Susan.Maye@example.test"]);
    let id = sim.create(SUSAN, "SendToAllAndSaveCopy", &format!("{}{guests}", plain("Review"))).await;
    assert_eq!(sim.mails().await, json!({ "request": 1 }));
    let copy = sim.only_copy(TERRY).await;
    let uid = |text: &str| only(text, "UID");
    let (mine, theirs) = (sim.get(SUSAN, &id).await, sim.get(TERRY, &copy).await);
    assert_eq!(uid(&mine), uid(&theirs));
    assert_eq!(only(&mine, "AppointmentState"), "1");
    assert_eq!(only(&theirs, "AppointmentState"), "3");
    assert_eq!(sim.list(SUSAN, "calendar").await.len(), 1);
    // The copy's answer comes from the mailbox, whichever address was invited.
    sim.call(TERRY, &reply("AcceptItem", "SendOnly", &copy)).await;
    let replies = sim.call(SUSAN, &get("AllProperties", "", &id.xml())).await;
    assert_eq!(texts(&replies, "ResponseType"), ["Accept", "Unknown"]);
    sim.stop().await;
}
