//! Many requests in one.

use super::*;

fn part(id: &str, method: &str, url: &str, more: Value) -> Value {
    with(json!({ "id": id, "method": method, "url": url }), more)
}

fn find<'a>(answer: &'a Answer, id: &str) -> &'a Value {
    let all = answer.body["responses"].as_array().unwrap();
    all.iter().find(|part| part["id"] == id).unwrap_or_else(|| panic!("no part {id} in {}", answer.body))
}

#[tokio::test]
async fn parts_are_answered_each_and_depend_on_each_other() {
    let sim = Sim::start().await;
    let events = format!("/users/{SUSAN}/events");
    let json_body = |body: Value| json!({ "headers": { "Content-Type": "application/json" }, "body": body });
    let requests = json!([
        part("1", "POST", &events, json_body(event("One", 8))),
        part(
            "2",
            "GET",
            &events,
            json!({ "dependsOn": ["1"], "headers": { "Prefer": "outlook.timezone=\"Romance Standard Time\"" } })
        ),
        part("3", "GET", &format!("{events}/AAMkAA=="), json!({})),
        part("4", "POST", &events, with(json_body(event("Never", 9)), json!({ "dependsOn": ["3"] }))),
        part("5", "POST", &events, json!({ "body": event("No type", 9) })),
        part("6", "POST", "/$batch", json!({})),
    ]);
    let answer = sim.post("/$batch", json!({ "requests": requests })).await;
    assert_eq!(answer.status, StatusCode::OK);
    let status = |id: &str| find(&answer, id)["status"].as_u64().unwrap();
    assert_eq!(["1", "2", "3", "4", "5", "6"].map(status), [201, 200, 400, 424, 400, 400], "{}", answer.body);
    let listed = find(&answer, "2");
    assert_eq!(listed["body"]["value"][0]["start"]["timeZone"], "Romance Standard Time");
    assert!(listed["headers"]["Preference-Applied"].is_string(), "{}", listed["headers"]);
    assert_eq!(sim.events(SUSAN).await.len(), 1);
    sim.stop().await;
}

#[tokio::test]
async fn a_batch_is_bounded_and_throttled_part_by_part() {
    let sim = Sim::start().await;
    let events = format!("/users/{SUSAN}/events");
    let many = |count: usize| -> Value {
        let requests: Vec<Value> = (0..count).map(|at| part(&at.to_string(), "GET", &events, json!({}))).collect();
        json!({ "requests": requests })
    };
    assert_eq!(sim.post("/$batch", many(21)).await.status, StatusCode::BAD_REQUEST);
    sim.set(json!({ "requests_max": 5 })).await;
    let answer = sim.post("/$batch", many(8)).await;
    let all = answer.body["responses"].as_array().unwrap();
    let throttled: Vec<&Value> = all.iter().filter(|part| part["status"] == 429).collect();
    assert_eq!((all.len(), throttled.len()), (8, 3));
    assert_eq!(throttled[0]["headers"]["Retry-After"], "600");
    sim.stop().await;
}
