//! Writes that are conditional, repeated, or refused.

use super::*;

#[tokio::test]
async fn a_stale_etag_is_refused_and_the_fresh_one_is_not() {
    let sim = Sim::start().await;
    let made = sim.create(SUSAN, event("One", 8)).await;
    let path = format!("/users/{SUSAN}/events/{}", id(&made));
    let old = made["@odata.etag"].as_str().unwrap();
    let write = |etag: &str, subject: &str| {
        sim.request(Method::PATCH, &path).header("If-Match", etag).json(&json!({ "subject": subject }))
    };
    let changed = sim.send(write(old, "Two")).await;
    assert_eq!(changed.status, StatusCode::OK);
    let stale = sim.send(write(old, "Three")).await;
    assert_eq!((stale.status, stale.code()), (StatusCode::PRECONDITION_FAILED, "ErrorIrresolvableConflict"));
    sim.set(json!({ "conflict_status": 409 })).await;
    let stale = sim.send(sim.request(Method::DELETE, &path).header("If-Match", old)).await;
    assert_eq!((stale.status, stale.code()), (StatusCode::CONFLICT, "ErrorIrresolvableConflict"));
    assert_eq!(sim.get(&path).await.body["subject"], "Two");
    assert_eq!(sim.send(write("*", "Four")).await.status, StatusCode::OK);
    let fresh = sim.get(&path).await.body["@odata.etag"].as_str().unwrap().to_owned();
    let deleted = sim.send(sim.request(Method::DELETE, &path).header("If-Match", fresh)).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    sim.stop().await;
}

#[tokio::test]
async fn a_repeated_create_is_known_by_its_transaction() {
    let sim = Sim::start().await;
    let body = with(event("Once", 8), json!({ "transactionId": "crm-4711-1", "attendees": attendees(&[TERRY]) }));
    let made = sim.create(SUSAN, body.clone()).await;
    assert_eq!(made["transactionId"], "crm-4711-1");
    let path = format!("/users/{SUSAN}/events");
    let again = sim.post(&path, body.clone()).await;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "ErrorDuplicateTransactionId"));
    sim.set(json!({ "duplicate": "bad-request", "duplicate_names_event": true })).await;
    let again = sim.post(&path, body.clone()).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert_eq!(again.body["error"]["@event.existingEventId"], made["id"]);
    sim.set(json!({ "duplicate": "existing" })).await;
    let again = sim.post(&path, body.clone()).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::CREATED, &made["id"]));
    assert_eq!(sim.events(SUSAN).await.len(), 1);
    assert_eq!(sim.mails().await, json!({ "request": 1 }));
    // The same token in another mailbox is another event.
    sim.create(MARY, body).await;
    sim.stop().await;
}

#[tokio::test]
async fn what_no_event_has_is_refused() {
    let sim = Sim::start().await;
    let path = format!("/users/{SUSAN}/events");
    let unknown = sim.post(&path, with(event("One", 8), json!({ "colour": "red" }))).await;
    assert_eq!((unknown.status, unknown.code()), (StatusCode::BAD_REQUEST, "RequestBodyRead"));
    let no_times = sim.post(&path, json!({ "subject": "One" })).await;
    assert_eq!(no_times.code(), "ErrorPropertyValidationFailure");
    let backwards = json!({ "start": event("", 9)["start"], "end": event("", 8)["end"] });
    assert_eq!(sim.post(&path, backwards).await.code(), "ErrorCalendarEndDateIsEarlierThanStartDate");
    let cut = sim.request(Method::POST, &path).header("Content-Type", "application/json").body("{\"subject\":");
    assert_eq!(sim.send(cut).await.code(), "BadRequest");
    assert_eq!(sim.get(&format!("{path}/not-an-id")).await.code(), "ErrorInvalidIdMalformed");
    assert_eq!(sim.get("/users/nobody@example.test/events").await.code(), "ErrorInvalidUser");
    assert_eq!(sim.get("/users/svc-daybridge@example.test/events").await.code(), "MailboxNotEnabledForRESTAPI");
    sim.set(json!({ "denied": [TERRY] })).await;
    let denied = sim.get(&format!("/users/{TERRY}/events")).await;
    assert_eq!((denied.status, denied.code()), (StatusCode::FORBIDDEN, "ErrorAccessDenied"));
    assert!(sim.events(SUSAN).await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn limits_hold_for_each_mailbox_and_tell_when_to_come_back() {
    let sim = Sim::start().await;
    sim.set(json!({ "requests_max": 3, "window_s": 600 })).await;
    let path = format!("/users/{SUSAN}/events");
    for _ in 0..3 {
        assert_eq!(sim.get(&path).await.status, StatusCode::OK);
    }
    sim.sim(Method::POST, "clock", json!({ "advance_s": 60 })).await;
    let over = sim.get(&path).await;
    assert_eq!((over.status, over.code()), (StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled"));
    assert_eq!(over.header("retry-after"), "540");
    assert_eq!(sim.get(&format!("/users/{TERRY}/events")).await.status, StatusCode::OK);
    sim.sim(Method::POST, "clock", json!({ "advance_s": 540 })).await;
    assert_eq!(sim.get(&path).await.status, StatusCode::OK);
    assert_eq!(sim.sim(Method::GET, "graph", Value::Null).await["throttled"], 1);
    sim.stop().await;
}
