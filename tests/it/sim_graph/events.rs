//! Events as they are written and read.

use super::*;

const PROPERTY: &str = "String {66f5a359-4659-4638-81a3-d1d2b2f5c5b4} Name CrmId";

#[tokio::test]
async fn an_event_is_created_read_changed_and_deleted() {
    let sim = Sim::start().await;
    let body = json!({
        "Subject": "Quarterly review",
        "start": { "dateTime": "2027-02-08T09:00:00", "timeZone": "Romance Standard Time" },
        "end": { "dateTime": "2027-02-08T10:00:00.0000000", "timeZone": "Europe/Paris" },
        "location": { "displayName": "Room 2" },
        "body": { "contentType": "text", "content": "Bring figures\n& a hat" },
        "showAs": "oof", "sensitivity": "private", "importance": "high", "categories": ["Red"],
        "isReminderOn": true, "reminderMinutesBeforeStart": 45,
        "SingleValueExtendedProperties": [
            { "id": PROPERTY, "value": "4711" },
            { "id": "Boolean {00020329-0000-0000-C000-000000000046} Name DoNotForward", "value": true },
        ],
        "transactionId": null,
    });
    let made = sim.create(SUSAN, body).await;
    assert_eq!(made["start"], json!({ "dateTime": "2027-02-08T08:00:00.0000000", "timeZone": "UTC" }));
    assert_eq!(made["originalStartTimeZone"], "Romance Standard Time");
    assert_eq!(made["originalEndTimeZone"], "Romance Standard Time");
    assert_eq!(made.get("transactionId"), None);
    assert_eq!(made.get("singleValueExtendedProperties"), None);
    let path = format!("/users/{SUSAN}/events/{}", id(&made));
    let read = sim.get(&format!("{path}?$expand=singleValueExtendedProperties($filter=id%20eq%20'{PROPERTY}')")).await;
    assert_eq!(read.body["singleValueExtendedProperties"], json!([{ "id": PROPERTY, "value": "4711" }]));
    for (name, value) in [
        ("subject", json!("Quarterly review")),
        ("showAs", json!("oof")),
        ("sensitivity", json!("private")),
        ("importance", json!("high")),
        ("categories", json!(["Red"])),
        ("reminderMinutesBeforeStart", json!(45)),
        ("type", json!("singleInstance")),
        ("bodyPreview", json!("Bring figures\n& a hat")),
        ("isOrganizer", json!(true)),
        ("@odata.etag", made["@odata.etag"].clone()),
    ] {
        assert_eq!(read.body[name], value, "{name}");
    }
    assert_eq!(read.body["location"]["displayName"], "Room 2");
    let html = read.body["body"]["content"].as_str().unwrap();
    assert!(html.contains("Bring figures<br>\n&amp; a hat") && read.body["body"]["contentType"] == "html", "{html}");
    let changed = sim.patch(&path, json!({ "subject": "Review", "showAs": "free", "categories": [] })).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!((&changed.body["subject"], &changed.body["showAs"]), (&json!("Review"), &json!("free")));
    assert_eq!(changed.body["location"]["displayName"], "Room 2");
    assert_ne!(changed.body["changeKey"], made["changeKey"]);
    assert_eq!(sim.delete(&path).await.status, StatusCode::NO_CONTENT);
    let gone = sim.get(&path).await;
    assert_eq!((gone.status, gone.code()), (StatusCode::NOT_FOUND, "ErrorItemNotFound"));
    assert_eq!(gone.body["error"]["innerError"]["request-id"], gone.header("request-id"));
    assert_eq!(sim.delete(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sim.mails().await, json!({}));
    sim.stop().await;
}

#[tokio::test]
async fn preferences_come_in_lists_and_in_many_headers() {
    let sim = Sim::start().await;
    let made = sim
        .create(SUSAN, with(event("Noon", 8), json!({ "body": { "contentType": "html", "content": "<p>Hi</p>" } })))
        .await;
    let request = sim
        .request(Method::GET, &format!("/users/{SUSAN}/events/{}", id(&made)))
        .header("Prefer", "outlook.timezone=\"Romance Standard Time\", outlook.body-content-type=\"text\"")
        .header("Prefer", "IdType=\"ImmutableId\"");
    let answer = sim.send(request).await;
    let start = json!({ "dateTime": "2027-02-08T10:00:00.0000000", "timeZone": "Romance Standard Time" });
    assert_eq!(answer.body["start"], start);
    assert_eq!(
        (answer.body["body"]["contentType"].as_str(), answer.body["body"]["content"].as_str().map(str::trim)),
        (Some("text"), Some("Hi"))
    );
    assert_ne!(answer.body["id"], made["id"]);
    for applied in
        ["outlook.timezone=\"Romance Standard Time\"", "outlook.body-content-type=\"text\"", "IdType=\"ImmutableId\""]
    {
        assert!(answer.header("preference-applied").contains(applied), "{}", answer.header("preference-applied"));
    }
    let request =
        sim.request(Method::GET, &format!("/users/{SUSAN}/events")).header("Prefer", "outlook.timezone=\"Atlantis\"");
    assert_eq!(sim.send(request).await.code(), "TimeZoneNotSupportedException");
    sim.stop().await;
}

#[tokio::test]
async fn an_all_day_event_begins_and_ends_at_midnight_of_one_zone() {
    let sim = Sim::start().await;
    let day = |start: &str, end: &str| {
        json!({ "subject": "Fair", "isAllDay": true,
            "start": { "dateTime": start, "timeZone": "Romance Standard Time" },
            "end": { "dateTime": end, "timeZone": "Romance Standard Time" } })
    };
    let made = sim.create(SUSAN, day("2027-03-01T00:00:00", "2027-03-03T00:00:00")).await;
    assert_eq!(made["isAllDay"], true);
    assert_eq!(made["start"]["dateTime"], "2027-02-28T23:00:00.0000000");
    let path = format!("/users/{SUSAN}/events");
    let wrong = sim.post(&path, day("2027-03-01T00:00:00", "2027-03-02T12:00:00")).await;
    assert_eq!((wrong.status, wrong.code()), (StatusCode::BAD_REQUEST, "ErrorPropertyValidationFailure"));
    let mut two_zones = day("2027-03-01T00:00:00", "2027-03-02T00:00:00");
    two_zones["end"]["timeZone"] = "Pacific Standard Time".into();
    assert_eq!(sim.post(&path, two_zones).await.code(), "ErrorPropertyValidationFailure");
    let unknown =
        with(event("Nowhere", 8), json!({ "start": { "dateTime": "2027-02-08T09:00:00", "timeZone": "Atlantis" } }));
    assert_eq!(sim.post(&path, unknown).await.code(), "ErrorPropertyValidationFailure");
    sim.stop().await;
}

#[tokio::test]
async fn a_series_shows_its_instances_and_keeps_exceptions() {
    let sim = Sim::start().await;
    let weekly = json!({ "recurrence": {
        "pattern": { "type": "weekly", "interval": 1, "daysOfWeek": ["monday"] },
        "range": { "type": "numbered", "startDate": "2027-02-08", "numberOfOccurrences": 4 } } });
    let master = sim.create(SUSAN, with(event("Weekly", 8), weekly)).await;
    assert_eq!(master["type"], "seriesMaster");
    assert_eq!(master["recurrence"]["range"]["recurrenceTimeZone"], "UTC");
    assert_eq!(master["recurrence"]["pattern"]["firstDayOfWeek"], "sunday");
    let window = "startDateTime=2027-02-01T00:00:00Z&endDateTime=2027-04-01T00:00:00Z";
    let path = format!("/users/{SUSAN}/events/{}", id(&master));
    let instances = sim.get(&format!("{path}/instances?{window}")).await;
    assert_eq!(instances.column("type"), ["occurrence"; 4]);
    assert_eq!(instances.column("seriesMasterId"), [id(&master); 4]);
    let uids = instances.column("iCalUId");
    assert!(uids.iter().all(|uid| *uid != master["iCalUId"]) && uids[0] != uids[1], "{uids:?}");
    let second = instances.column("id")[1].to_owned();
    let moved = with(event("Moved", 16), json!({}));
    let answer = sim.patch(&format!("/users/{SUSAN}/events/{second}"), moved).await;
    assert_eq!((answer.status, &answer.body["type"]), (StatusCode::OK, &json!("exception")), "{}", answer.body);
    assert_eq!(answer.body["originalStart"], "2027-02-15T09:00:00.0000000Z");
    let too_far = sim.patch(&format!("/users/{SUSAN}/events/{second}"), event("Moved", 22)).await;
    assert_eq!((too_far.status, too_far.code()), (StatusCode::BAD_REQUEST, "ErrorOccurrenceCrossingBoundary"));
    let third = instances.column("id")[2].to_owned();
    assert_eq!(sim.delete(&format!("/users/{SUSAN}/events/{third}")).await.status, StatusCode::NO_CONTENT);
    let view = sim.get(&format!("/users/{SUSAN}/calendarView?{window}&$orderby=start/dateTime")).await;
    assert_eq!(view.column("type"), ["occurrence", "exception", "occurrence"]);
    assert_eq!(view.column("subject"), ["Weekly", "Moved", "Weekly"]);
    // What happened to single instances is told by the master alone, and only if it is selected as well as expanded.
    let query = "$select=subject,cancelledOccurrences,exceptionOccurrences&$expand=exceptionOccurrences";
    let master = sim.get(&format!("{path}?{query}")).await;
    let cancelled = master.body["cancelledOccurrences"].as_array().expect("a list");
    assert!(
        cancelled.len() == 1 && cancelled[0].as_str().is_some_and(|id| id.ends_with(".2027-02-22")),
        "{cancelled:?}"
    );
    assert_eq!(master.body["exceptionOccurrences"][0]["subject"], "Moved");
    let few = sim.get(&format!("{path}?{query}($select=originalStart)")).await;
    let exception = few.body["exceptionOccurrences"][0].as_object().expect("an exception");
    assert_eq!((&exception["id"], &exception["originalStart"]), (&json!(second), &answer.body["originalStart"]));
    assert!(!exception.contains_key("subject"), "{exception:?}");
    let unselected = sim.get(&format!("{path}?$expand=exceptionOccurrences")).await;
    assert!(unselected.body.get("exceptionOccurrences").is_none());
    let listed = sim.get(&format!("/users/{SUSAN}/events?{query}")).await;
    assert_eq!((listed.column("subject"), listed.body["value"][0].get("exceptionOccurrences")), (vec!["Weekly"], None));
    assert_eq!(sim.get(&format!("/users/{SUSAN}/events")).await.column("type"), ["seriesMaster"]);
    sim.stop().await;
}

#[tokio::test]
async fn every_pattern_goes_in_and_comes_out() {
    let sim = Sim::start().await;
    let monday = json!(["monday"]);
    for (pattern, range) in [
        (json!({ "type": "daily", "interval": 2 }), json!({ "type": "noEnd" })),
        (
            json!({ "type": "weekly", "interval": 3, "daysOfWeek": ["monday", "friday"], "firstDayOfWeek": "monday" }),
            json!({ "type": "endDate", "endDate": "2027-12-31" }),
        ),
        (json!({ "type": "absoluteMonthly", "interval": 1, "dayOfMonth": 8 }), json!({ "type": "noEnd" })),
        (
            json!({ "type": "relativeMonthly", "interval": 2, "daysOfWeek": monday, "index": "second" }),
            json!({ "type": "numbered", "numberOfOccurrences": 5 }),
        ),
        (json!({ "type": "absoluteYearly", "interval": 2, "dayOfMonth": 8, "month": 2 }), json!({ "type": "noEnd" })),
        (
            json!({ "type": "relativeYearly", "interval": 1, "daysOfWeek": monday, "index": "second", "month": 2 }),
            json!({ "type": "noEnd" }),
        ),
    ] {
        let range = with(range, json!({ "startDate": "2027-02-08" }));
        let given = json!({ "pattern": pattern, "range": range });
        let made = sim.create(SUSAN, with(event("Series", 8), json!({ "recurrence": given }))).await;
        for (part, name, value) in ["pattern", "range"]
            .into_iter()
            .flat_map(|part| given[part].as_object().unwrap().iter().map(move |(name, value)| (part, name, value)))
        {
            assert_eq!(&made["recurrence"][part][name], value, "{part}/{name} of {given}");
        }
    }
    let wrong = json!({ "recurrence": { "pattern": { "type": "daily", "interval": 1 }, "range": { "type": "noEnd", "startDate": "2027-02-09" } } });
    let answer = sim.post(&format!("/users/{SUSAN}/events"), with(event("Late", 8), wrong)).await;
    assert_eq!(answer.code(), "ErrorPropertyValidationFailure");
    sim.stop().await;
}

#[tokio::test]
async fn an_online_meeting_lives_in_the_body() {
    let sim = Sim::start().await;
    let body = json!({ "isOnlineMeeting": true, "onlineMeetingProvider": "teamsForBusiness",
        "body": { "contentType": "text", "content": "Agenda" } });
    let made = sim.create(SUSAN, with(event("Call", 8), body)).await;
    let url = made["onlineMeeting"]["joinUrl"].as_str().unwrap().to_owned();
    let html = made["body"]["content"].as_str().unwrap().to_owned();
    assert!(html.contains(&url) && html.contains("Agenda"), "{html}");
    let path = format!("/users/{SUSAN}/events/{}", id(&made));
    let kept = html.replace("Agenda", "New agenda");
    let kept = sim.patch(&path, json!({ "body": { "contentType": "html", "content": kept } })).await.body;
    assert_eq!((&kept["isOnlineMeeting"], &kept["onlineMeeting"]["joinUrl"]), (&json!(true), &json!(url)));
    assert_eq!(sim.patch(&path, json!({ "isOnlineMeeting": false })).await.body["isOnlineMeeting"], true);
    let lost = sim.patch(&path, json!({ "body": { "contentType": "text", "content": "Agenda" } })).await.body;
    assert_eq!((&lost["isOnlineMeeting"], &lost["onlineMeeting"]), (&json!(false), &Value::Null));
    sim.stop().await;
}
