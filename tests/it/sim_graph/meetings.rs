//! Meetings: who is mailed, whose calendar shows what, and that both protocols see the same.

use super::*;

#[tokio::test]
async fn a_meeting_is_invited_answered_changed_and_cancelled() {
    let sim = Sim::start().await;
    let body = with(event("Board", 8), json!({ "attendees": attendees(&[TERRY, MARY, "ann@client.test"]) }));
    let made = sim.create(SUSAN, body).await;
    assert_eq!(sim.mails().await, json!({ "request": 3 }));
    let path = format!("/users/{SUSAN}/events/{}", id(&made));
    let copy = &sim.events(TERRY).await[0];
    assert_eq!((&copy["iCalUId"], &copy["isOrganizer"]), (&made["iCalUId"], &json!(false)));
    assert_eq!(copy["responseStatus"]["response"], "notResponded");
    let copy = format!("/users/{TERRY}/events/{}", id(copy));
    assert_eq!(sim.post(&format!("{copy}/accept"), json!({ "comment": "Yes" })).await.status, StatusCode::ACCEPTED);
    let mary = format!("/users/{MARY}/events/{}", id(&sim.events(MARY).await[0]));
    assert_eq!(
        sim.post(&format!("{mary}/tentativelyAccept"), json!({ "sendResponse": false })).await.status,
        StatusCode::ACCEPTED
    );
    assert_eq!(sim.mails().await, json!({ "response": 1 }));
    let answers = |event: &Value| -> Vec<Value> {
        event["attendees"].as_array().unwrap().iter().map(|one| one["status"]["response"].clone()).collect()
    };
    assert_eq!(answers(&sim.get(&path).await.body), [json!("accepted"), json!("none"), json!("none")]);
    assert_eq!(sim.get(&mary).await.body["responseStatus"]["response"], "tentativelyAccepted");
    // What is the owner's own is nobody else's business.
    sim.patch(&path, json!({ "reminderMinutesBeforeStart": 5, "categories": ["Red"], "showAs": "oof" })).await;
    assert_eq!(sim.mails().await, json!({}));
    sim.patch(&path, json!({ "subject": "Board" })).await;
    assert_eq!(sim.mails().await, json!({}));
    sim.patch(&path, json!({ "location": { "displayName": "Hall" } })).await;
    assert_eq!(sim.mails().await, json!({ "update": 3 }));
    sim.patch(&path, json!({ "attendees": attendees(&[TERRY, MARY, "bob@client.test"]) })).await;
    assert_eq!(sim.mails().await, json!({ "request": 1, "cancellation": 1 }));
    assert_eq!(answers(&sim.get(&path).await.body)[0], "accepted");
    sim.patch(&path, json!({ "start": event("", 9)["start"], "end": event("", 9)["end"] })).await;
    assert_eq!(sim.mails().await, json!({ "update": 3 }));
    assert_eq!(answers(&sim.get(&path).await.body)[0], "none");
    assert_eq!(sim.post(&format!("{mary}/cancel"), json!({})).await.code(), "ErrorInvalidRequest");
    assert_eq!(sim.post(&format!("{path}/accept"), json!({})).await.code(), "ErrorInvalidRequest");
    assert_eq!(sim.post(&format!("{path}/cancel"), json!({ "comment": "Off" })).await.status, StatusCode::ACCEPTED);
    assert_eq!(sim.mails().await, json!({ "cancellation": 3 }));
    assert!(sim.events(TERRY).await.is_empty() && sim.events(SUSAN).await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn deleting_as_organizer_cancels_and_as_attendee_says_nothing() {
    let sim = Sim::start().await;
    let body = with(event("Talk", 8), json!({ "attendees": attendees(&[TERRY, MARY]) }));
    let made = sim.create(SUSAN, body).await;
    sim.mails().await;
    let copy = sim.events(TERRY).await;
    assert_eq!(sim.delete(&format!("/users/{TERRY}/events/{}", id(&copy[0]))).await.status, StatusCode::NO_CONTENT);
    assert_eq!(sim.mails().await, json!({}));
    sim.delete(&format!("/users/{SUSAN}/events/{}", id(&made))).await;
    assert_eq!(sim.mails().await, json!({ "cancellation": 2 }));
    assert!(sim.events(MARY).await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn a_changed_series_is_told_once_more_for_each_changed_instance() {
    let sim = Sim::start().await;
    let weekly = json!({ "attendees": attendees(&[TERRY]), "recurrence": {
        "pattern": { "type": "weekly", "interval": 1, "daysOfWeek": ["monday"] },
        "range": { "type": "numbered", "startDate": "2027-02-08", "numberOfOccurrences": 4 } } });
    let master = sim.create(SUSAN, with(event("Weekly", 8), weekly)).await;
    let window = "startDateTime=2027-02-01T00:00:00Z&endDateTime=2027-04-01T00:00:00Z";
    let view = sim.get(&format!("/users/{SUSAN}/calendarView?{window}")).await;
    sim.mails().await;
    let second = view.column("id")[1].to_owned();
    sim.patch(&format!("/users/{SUSAN}/events/{second}"), json!({ "location": { "displayName": "Hall" } })).await;
    assert_eq!(sim.mails().await, json!({ "update": 1 }));
    sim.patch(&format!("/users/{SUSAN}/events/{}", id(&master)), json!({ "subject": "Every week" })).await;
    assert_eq!(sim.mails().await, json!({ "update": 2 }));
    sim.stop().await;
}
