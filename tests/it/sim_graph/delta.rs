//! Deltas: what a follower is told, page by page and round by round.

use std::collections::BTreeMap;

use super::*;

const WINDOW: &str = "startDateTime=2027-02-01T00:00:00Z&endDateTime=2027-03-01T00:00:00Z";

/// Follows a round to its end: the subject of each row by id (nothing for a removed one), and the delta link.
async fn follow(sim: &Sim, start: &str, page_size: usize) -> (BTreeMap<String, Option<String>>, String) {
    let mut rows = BTreeMap::new();
    let mut url = start.to_owned();
    loop {
        let request = sim.request(Method::GET, &url).header("Prefer", format!("odata.maxpagesize={page_size}"));
        let page = sim.send(request).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        for row in page.body["value"].as_array().unwrap() {
            let gone = row.get("@removed").is_some();
            rows.insert(id(row).to_owned(), (!gone).then(|| row["subject"].as_str().unwrap_or_default().to_owned()));
        }
        match (page.body["@odata.nextLink"].as_str(), page.body["@odata.deltaLink"].as_str()) {
            (Some(next), None) => url = next.to_owned(),
            (None, Some(delta)) => return (rows, delta.to_owned()),
            links => panic!("neither or both links: {links:?}"),
        }
    }
}

fn subjects(rows: &BTreeMap<String, Option<String>>) -> Vec<&str> {
    let mut subjects: Vec<&str> = rows.values().map(|subject| subject.as_deref().unwrap_or("-")).collect();
    subjects.sort_unstable();
    subjects
}

#[tokio::test]
async fn a_round_tells_what_is_new_changed_gone_and_outside() {
    let sim = Sim::start().await;
    let mut ids = Vec::new();
    for day in 1..=7 {
        ids.push(id(&sim.create(SUSAN, event(&format!("Day {day}"), day)).await).to_owned());
    }
    let start = format!("/users/{SUSAN}/calendarView/delta()?{WINDOW}");
    let (first, link) = follow(&sim, &start, 3).await;
    assert_eq!(first.len(), 7);
    let (nothing, link) = follow(&sim, &link, 3).await;
    assert!(nothing.is_empty(), "{nothing:?}");
    let path = |at: usize| format!("/users/{SUSAN}/events/{}", ids[at]);
    sim.patch(&path(0), json!({ "subject": "Changed" })).await;
    sim.delete(&path(1)).await;
    let march = json!({ "start": { "dateTime": "2027-03-09T09:00:00", "timeZone": "UTC" }, "end": { "dateTime": "2027-03-09T10:00:00", "timeZone": "UTC" } });
    sim.patch(&path(2), march.clone()).await;
    sim.create(SUSAN, event("New", 20)).await;
    let (second, link) = follow(&sim, &link, 2).await;
    assert_eq!(subjects(&second), ["-", "-", "Changed", "New"]);
    assert!(second[&ids[1]].is_none() && second[&ids[2]].is_none());
    // What is outside and changes is told as removed, also if it was never inside.
    let outside = sim.create(SUSAN, with(event("Outside", 8), march)).await;
    let (third, _) = follow(&sim, &link, 2).await;
    assert_eq!(third.get(id(&outside)), Some(&None));
    sim.stop().await;
}

#[tokio::test]
async fn a_series_is_told_by_its_instances_also_those_it_loses() {
    let sim = Sim::start().await;
    let weekly = |day: &str| {
        json!({ "recurrence": {
        "pattern": { "type": "weekly", "interval": 1, "daysOfWeek": [day] },
        "range": { "type": "noEnd", "startDate": if day == "monday" { "2027-02-01" } else { "2027-02-02" } } } })
    };
    let master = sim.create(SUSAN, with(event("Weekly", 1), weekly("monday"))).await;
    let start = format!("/users/{SUSAN}/calendarView/delta?{WINDOW}");
    let (first, link) = follow(&sim, &start, 3).await;
    assert_eq!(subjects(&first), ["Weekly"; 4]);
    let second = first.keys().nth(1).unwrap();
    sim.delete(&format!("/users/{SUSAN}/events/{second}")).await;
    let (rows, link) = follow(&sim, &link, 3).await;
    assert_eq!(rows.get(second), Some(&None));
    let tuesdays = with(json!({ "start": event("", 2)["start"], "end": event("", 2)["end"] }), weekly("tuesday"));
    let path = format!("/users/{SUSAN}/events/{}", id(&master));
    assert_eq!(sim.patch(&path, tuesdays).await.status, StatusCode::OK);
    let (rows, link) = follow(&sim, &link, 3).await;
    let kept: Vec<_> = first.keys().filter(|old| *old != second).collect();
    assert!(kept.iter().all(|old| rows.get(*old) == Some(&None)), "{rows:?}");
    assert_eq!(rows.values().flatten().count(), 4);
    let shown: Vec<String> = rows.iter().filter(|(_, row)| row.is_some()).map(|(id, _)| id.clone()).collect();
    sim.delete(&path).await;
    let (rows, _) = follow(&sim, &link, 3).await;
    assert!(shown.iter().all(|old| rows.get(old) == Some(&None)), "{rows:?}");
    sim.stop().await;
}

#[tokio::test]
async fn what_changes_between_pages_is_not_lost() {
    let sim = Sim::start().await;
    let mut ids = Vec::new();
    for day in 1..=6 {
        ids.push(id(&sim.create(SUSAN, event(&format!("Day {day}"), day)).await).to_owned());
    }
    let path = format!("/users/{SUSAN}/events/delta");
    let request = sim.request(Method::GET, &path).header("Prefer", "odata.maxpagesize=2");
    let page = sim.send(request).await;
    assert_eq!(page.column("id"), [&ids[0], &ids[1]]);
    sim.delete(&format!("/users/{SUSAN}/events/{}", ids[0])).await;
    sim.patch(&format!("/users/{SUSAN}/events/{}", ids[3]), json!({ "subject": "Changed" })).await;
    let (rest, _) = follow(&sim, page.body["@odata.nextLink"].as_str().unwrap(), 2).await;
    assert_eq!(rest[&ids[0]], None);
    assert_eq!(subjects(&rest), ["-", "Changed", "Day 3", "Day 5", "Day 6"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_round_may_repeat_shuffle_and_replay_and_loses_nothing() {
    let sim = Sim::start().await;
    for day in 1..=5 {
        sim.create(SUSAN, event(&format!("Day {day}"), day)).await;
    }
    sim.set(json!({ "delta_repeats": true, "delta_shuffle": 7, "delta_replay": 2 })).await;
    let start = format!("/users/{SUSAN}/calendarView/microsoft.graph.delta()?{WINDOW}");
    let (first, link) = follow(&sim, &start, 2).await;
    assert_eq!(first.len(), 5);
    let (again, _) = follow(&sim, &link, 2).await;
    assert_eq!(subjects(&again), ["Day 4", "Day 5"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_forgotten_token_is_gone_and_leads_to_a_fresh_round() {
    let sim = Sim::start().await;
    sim.create(SUSAN, event("One", 8)).await;
    let (_, link) = follow(&sim, &format!("/users/{SUSAN}/calendarView/delta?{WINDOW}"), 9).await;
    sim.sim(Method::DELETE, "graph/delta", Value::Null).await;
    let gone = sim.get(&link).await;
    assert_eq!((gone.status, gone.code()), (StatusCode::GONE, "syncStateNotFound"));
    let (rows, _) = follow(&sim, gone.header("location"), 9).await;
    assert_eq!(subjects(&rows), ["One"]);
    sim.set(json!({ "delta_reset": "state-not-found" })).await;
    let lost = sim.get(&link).await;
    assert_eq!((lost.status, lost.code()), (StatusCode::BAD_REQUEST, "syncStateNotFound"));
    let select = sim.get(&format!("/users/{SUSAN}/calendarView/delta?{WINDOW}&$select=subject")).await;
    assert_eq!(select.code(), "ErrorInvalidUrlQuery");
    let foreign = sim.get(&link.replace(SUSAN, TERRY)).await;
    assert_eq!(foreign.code(), "syncStateNotFound");
    sim.stop().await;
}
