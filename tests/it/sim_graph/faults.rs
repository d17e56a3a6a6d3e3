//! Faults on demand and by chance, as a client of Graph meets them.

use super::*;

async fn fault(sim: &Sim, fault: Value) {
    sim.sim(Method::POST, "faults", fault).await;
}

#[tokio::test]
async fn errors_and_statuses_come_in_the_form_of_graph() {
    let sim = Sim::start().await;
    let path = format!("/users/{SUSAN}/events");
    for (asked, status, code) in [
        (json!({ "kind": "error", "code": "ErrorQuotaExceeded" }), 507, "ErrorQuotaExceeded"),
        (json!({ "kind": "error", "code": "MailboxNotEnabledForRESTAPI" }), 404, "MailboxNotEnabledForRESTAPI"),
        (json!({ "kind": "error", "code": "ErrorQuotaExceeded", "status": 403 }), 403, "ErrorQuotaExceeded"),
        (json!({ "kind": "status", "status": 503, "retry_after_s": 7 }), 503, "generalException"),
        (json!({ "kind": "throttle", "retry_after_s": 7 }), 429, "ApplicationThrottled"),
    ] {
        fault(&sim, with(json!({ "operation": "Graph.Create*", "container": SUSAN }), asked.clone())).await;
        assert_eq!(sim.get(&path).await.status, StatusCode::OK, "another operation was hit: {asked}");
        let answer = sim.post(&path, event("One", 8)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{asked}");
        assert_eq!(answer.header("retry-after").is_empty(), asked.get("retry_after_s").is_none(), "{asked}");
    }
    assert!(sim.events(SUSAN).await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn an_answer_can_be_lost_spoilt_or_led_astray_after_the_commit() {
    let sim = Sim::start().await;
    let path = format!("/users/{SUSAN}/events");
    let mut made = 0;
    for kind in ["drop-after-commit", "malformed", "wrong-type", "gzip-bomb", "fail-after-commit", "stall", "redirect"]
    {
        fault(&sim, json!({ "operation": "Graph.CreateEvent", "kind": kind, "location": "http://127.0.0.1:9/else" }))
            .await;
        let request = sim.request(Method::POST, &path).header("Accept-Encoding", "identity").json(&event(kind, 8));
        let mut sent = request.send().await;
        made += usize::from(kind != "redirect");
        match (kind, &mut sent) {
            ("drop-after-commit", sent) => assert!(sent.is_err()),
            // Its target is not there: a client that follows finds nobody.
            ("redirect", sent) => assert!(sent.is_err()),
            ("fail-after-commit", Ok(answer)) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE),
            ("wrong-type", Ok(answer)) => assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8"),
            ("gzip-bomb", Ok(answer)) => {
                // Read as it comes, so that nothing here unpacks it.
                assert_eq!(answer.status(), StatusCode::CREATED);
                assert!(answer.content_length().is_none_or(|length| length < 200_000), "{:?}", answer.content_length());
            }
            ("stall", Ok(answer)) => {
                let first = answer.chunk().await.unwrap();
                assert!(first.is_some_and(|part| part.starts_with(b"{")));
                sim.sim(Method::DELETE, "faults", Value::Null).await;
                assert!(answer.chunk().await.is_err(), "the rest came");
            }
            ("malformed", Ok(_)) => {
                let text = sent.unwrap().text().await.unwrap();
                assert!(serde_json::from_str::<Value>(&text).is_err() && text.starts_with('{'), "{text}");
            }
            (kind, Err(error)) => panic!("{kind}: {error}"),
            (kind, Ok(_)) => panic!("{kind} is not looked at"),
        }
    }
    assert_eq!(sim.events(SUSAN).await.len(), made);
    sim.stop().await;
}

#[tokio::test]
async fn failures_by_chance_repeat_with_their_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let sim = Sim::start().await;
        sim.sim(Method::POST, "chance", json!({ "percent": 30.0, "seed": 7 })).await;
        let path = format!("/users/{SUSAN}/events");
        let mut statuses = Vec::new();
        for number in 0..40 {
            statuses.push(status(&sim, &path, number).await);
        }
        sim.sim(Method::DELETE, "chance", Value::Null).await;
        let made = sim.events(SUSAN).await.len();
        let answered = statuses.iter().filter(|status| **status == 201).count();
        assert!(answered < made && made < 40, "{answered} were answered, {made} were made: {statuses:?}");
        runs.push((statuses, made));
        sim.stop().await;
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn at_most_so_many_requests_of_a_mailbox_run_at_the_same_time() {
    let sim = Sim::start().await;
    sim.set(json!({ "concurrent_max": 2 })).await;
    fault(&sim, json!({ "operation": "Graph.ListEvents", "kind": "hold", "times": 2 })).await;
    let path = format!("/users/{SUSAN}/events");
    let (one, other) = (sim.get(&path), sim.get(&path));
    let over = async {
        let mut held = 0;
        while held < 2 {
            held = sim.sim(Method::GET, "faults", Value::Null).await["held"].as_u64().unwrap();
        }
        let over = sim.get(&path).await;
        assert_eq!((over.status, over.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
        assert_eq!(sim.get(&format!("/users/{TERRY}/events")).await.status, StatusCode::OK);
        sim.sim(Method::DELETE, "faults", Value::Null).await;
    };
    let (one, other, ()) = tokio::join!(one, other, over);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(sim.get(&path).await.status, StatusCode::OK);
    sim.stop().await;
}

/// The status of a create; a bare status has no body to read.
async fn status(sim: &Sim, path: &str, number: u32) -> u16 {
    let request = sim.request(Method::POST, path).json(&event(&number.to_string(), 8));
    request.send().await.unwrap().status().as_u16()
}
