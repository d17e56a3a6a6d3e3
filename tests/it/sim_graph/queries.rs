//! Lists: pages, filters, selections; users and zones.

use super::*;

#[tokio::test]
async fn users_are_listed_in_pages_and_found_by_address() {
    let sim = Sim::start().await;
    let first = sim.get("/users?$select=id,userPrincipalName,mail,accountEnabled&$top=3").await;
    assert_eq!(first.column("userPrincipalName").len(), 3);
    assert_eq!(first.body["value"][0].as_object().unwrap().len(), 4, "{}", first.body);
    let second = sim.get(first.body["@odata.nextLink"].as_str().unwrap()).await;
    assert_eq!(second.column("userPrincipalName").len(), 2);
    assert_eq!(second.body.get("@odata.nextLink"), None);
    assert_eq!(second.body["value"][1]["mail"], Value::Null);
    let found = sim.get(&format!("/users?$filter=mail eq '{TERRY}' or userPrincipalName eq '{TERRY}'")).await;
    assert_eq!(found.column("displayName"), ["Terry Smith"]);
    assert_eq!(found.body["value"][0].get("accountEnabled"), None);
    let by_id = sim.get(&format!("/users/{}", found.column("id")[0])).await;
    assert_eq!((&by_id.body["givenName"], &by_id.body["surname"]), (&json!("Terry"), &json!("Smith")));
    assert_eq!(sim.get("/users/nobody@example.test").await.code(), "Request_ResourceNotFound");
    assert_eq!(sim.get("/users?$filter=endswith(mail,'test')").await.code(), "Request_UnsupportedQuery");
    sim.stop().await;
}

#[tokio::test]
async fn a_mailbox_tells_its_zone_and_the_zones_it_knows() {
    let sim = Sim::start().await;
    let settings = sim.get(&format!("/users/{SUSAN}/mailboxSettings")).await;
    assert_eq!(settings.body["timeZone"], "Romance Standard Time");
    let zone = sim.get(&format!("/users/{SUSAN}/mailboxSettings/timeZone")).await;
    assert_eq!(zone.body["value"], "Romance Standard Time");
    let windows = sim.get(&format!("/users/{SUSAN}/outlook/supportedTimeZones")).await;
    assert!(windows.column("alias").contains(&"Romance Standard Time"));
    let iana = "supportedTimeZones(TimeZoneStandard=microsoft.graph.timeZoneStandard'Iana')";
    let iana = sim.get(&format!("/users/{SUSAN}/outlook/{iana}")).await;
    assert!(iana.column("alias").contains(&"Europe/Paris") && !iana.column("alias").contains(&"Romance Standard Time"));
    sim.stop().await;
}

#[tokio::test]
async fn events_are_found_by_own_property_uid_subject_and_time() {
    let sim = Sim::start().await;
    let property = "String {66F5A359-4659-4638-81A3-D1D2B2F5C5B4} Name CrmId";
    for (day, subject) in [(8, "Alpha's day"), (9, "Beta"), (10, "Gamma")] {
        let own = json!({ "singleValueExtendedProperties": [{ "id": property, "value": format!("crm-{day}") }] });
        sim.create(SUSAN, with(event(subject, day), own)).await;
    }
    let uid = sim.events(SUSAN).await[1]["iCalUId"].as_str().unwrap().to_owned();
    let same_property = property.to_lowercase().replace("string", "String").replace("name crmid", "Name CrmId");
    for (filter, wanted) in [
        (
            format!("singleValueExtendedProperties/Any(ep: ep/id eq '{same_property}' and ep/value eq 'CRM-9')"),
            vec!["Beta"],
        ),
        (format!("singleValueExtendedProperties/any(ep:ep/id eq '{property}' and ep/value eq 'other')"), vec![]),
        (format!("iCalUId eq '{uid}'"), vec!["Beta"]),
        ("subject eq 'Alpha''s day'".into(), vec!["Alpha's day"]),
        ("startswith(subject,'b') or contains(subject,'mm')".into(), vec!["Beta", "Gamma"]),
        ("start/dateTime ge '2027-02-09T00:00:00' and end/dateTime lt '2027-02-10T00:00:00'".into(), vec!["Beta"]),
        ("not (isAllDay eq true) and start/dateTime gt '2027-02-09T12:00:00Z'".into(), vec!["Gamma"]),
    ] {
        let request = sim.request(Method::GET, &format!("/users/{SUSAN}/events")).query(&[("$filter", &filter)]);
        assert_eq!(sim.send(request).await.column("subject"), wanted, "{filter}");
    }
    for bad in ["subject", "subject eq", "subject eq 'a", "(subject eq 'a'", "shout(subject,'a')"] {
        let request = sim.request(Method::GET, &format!("/users/{SUSAN}/events")).query(&[("$filter", bad)]);
        assert_eq!(sim.send(request).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    sim.stop().await;
}

#[tokio::test]
async fn lists_are_paged_counted_ordered_and_cut_to_the_selection() {
    let sim = Sim::start().await;
    for day in 1..=12 {
        sim.create(SUSAN, event(&format!("Day {day:02}"), day)).await;
    }
    let path = format!("/users/{SUSAN}/events?$select=subject&$orderby=start/dateTime desc&$count=true");
    let first = sim.get(&path).await;
    assert_eq!((first.body["@odata.count"].as_u64(), first.column("subject").len()), (Some(12), 10));
    assert_eq!(first.column("subject")[0], "Day 12");
    assert_eq!(first.body["value"][0].get("start"), None);
    let rest = sim.get(first.body["@odata.nextLink"].as_str().unwrap()).await;
    assert_eq!(rest.column("subject"), ["Day 02", "Day 01"]);
    let window = "startDateTime=2027-02-03T10:00:00%2B01:00&endDateTime=2027-02-05T09:00:00";
    let view = sim.get(&format!("/users/{SUSAN}/calendar/calendarView?{window}&$top=1&$skip=1")).await;
    assert_eq!(view.column("subject"), ["Day 04"]);
    assert_eq!(sim.get(&format!("/users/{SUSAN}/calendarView")).await.status, StatusCode::BAD_REQUEST);
    sim.stop().await;
}

#[tokio::test]
async fn a_second_calendar_keeps_its_own_events() {
    let sim = Sim::start().await;
    let made = sim.post(&format!("/users/{SUSAN}/calendars"), json!({ "name": "Projects" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let calendar = id(&made.body).to_owned();
    let listed = sim.get(&format!("/users/{SUSAN}/calendars")).await;
    assert_eq!(listed.column("name"), ["Calendar", "Projects"]);
    let path = format!("/users/{SUSAN}/calendars/{calendar}");
    let created = sim.post(&format!("{path}/events"), event("Plan", 8)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.body);
    assert_eq!(sim.get(&format!("{path}/events")).await.column("subject"), ["Plan"]);
    assert!(sim.events(SUSAN).await.is_empty());
    assert_eq!(sim.get(&format!("/users/{TERRY}/calendars/{calendar}/events")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sim.get(&format!("/users/{SUSAN}/events/{}", id(&created.body))).await.body["subject"], "Plan");
    sim.stop().await;
}
