//! Faults on demand, over HTTP as a test in any language would ask for them.

use reqwest::{Method, StatusCode};
use roxmltree::Document;
use serde_json::{Value, json};

use super::{LIMIT, SUSAN, Sim, TERRY, create, find, get, only, plain, texts};

impl Sim {
    async fn demand(&self, fault: Value) {
        let answer = self.send(Method::POST, "faults", &fault).await;
        assert_eq!(answer.0, StatusCode::OK, "{fault}: {}", answer.1);
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, String) {
        let url = format!("{}_sim/{path}", self.running.url());
        let request = self.http.request(method, url).header("Content-Type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// Waits until so many requests are held.
    async fn held(&self, wanted: u64) {
        let look = async { while self.sim("faults").await["held"] != wanted {} };
        tokio::time::timeout(LIMIT, look).await.expect("a held request");
    }
}

#[tokio::test]
async fn a_dropped_answer_leaves_the_work_done_or_undone() {
    let sim = Sim::start().await;
    for (kind, items) in [("drop-before", 0), ("drop-after-commit", 1)] {
        sim.demand(json!({ "operation": "CreateItem", "kind": kind })).await;
        let request = sim.request(SUSAN, "", &create("SendToNone", &plain("One")));
        let error = request.send().await.expect_err("a broken connection, not an answer");
        assert!(error.is_request() && !error.is_timeout() && !error.is_connect(), "{error:?}");
        assert_eq!(sim.list(SUSAN, "calendar").await.len(), items, "{kind}");
    }
    // Used up.
    sim.create(SUSAN, "SendToNone", &plain("Two")).await;
    sim.stop().await;
}

#[tokio::test]
async fn a_held_answer_waits_until_the_faults_are_cleared() {
    let sim = Sim::start().await;
    sim.demand(json!({ "operation": "CreateItem", "kind": "hold" })).await;
    let request = sim.request(SUSAN, "", &create("SendToNone", &plain("One")));
    let waiting = async { request.send().await.unwrap().text().await.unwrap() };
    let watching = async {
        sim.held(1).await;
        assert_eq!(sim.list(SUSAN, "calendar").await.len(), 1, "carried out");
        sim.send(Method::DELETE, "faults", &json!({})).await;
    };
    let (answer, ()) = tokio::join!(waiting, watching);
    assert_eq!(only(&answer, "ResponseCode"), "NoError");
    sim.held(0).await;
    // A client that dies while it is held no longer counts.
    sim.demand(json!({ "operation": "CreateItem", "kind": "hold" })).await;
    let request = sim.request(SUSAN, "", &create("SendToNone", &plain("Two")));
    tokio::select! {
        answer = request.send() => panic!("not held: {answer:?}"),
        () = sim.held(1) => {}
    }
    sim.held(0).await;
    assert_eq!(sim.list(SUSAN, "calendar").await.len(), 2);
    sim.stop().await;
}

#[tokio::test]
async fn throttling_is_a_fault_with_a_back_off() {
    let sim = Sim::start().await;
    sim.demand(json!({ "operation": "*", "kind": "throttle", "back_off_ms": 4500, "retry_after_s": 5, "times": 2 }))
        .await;
    for _ in 0..2 {
        let answer = sim.request(SUSAN, "", &create("SendToNone", &plain("One"))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()["retry-after"], "5");
        let text = answer.text().await.unwrap();
        assert_eq!(only(&text, "ResponseCode"), "ErrorServerBusy");
        assert_eq!(only(&text, "Value"), "4500");
    }
    assert!(sim.list(SUSAN, "calendar").await.is_empty());
    sim.stop().await;
}

#[tokio::test]
async fn errors_statuses_and_broken_answers() {
    let sim = Sim::start().await;
    let id = sim.create(SUSAN, "SendToNone", &plain("One")).await;
    // One message for each item asked for; only in the mailbox named.
    let code = "ErrorMailboxStoreUnavailable";
    sim.demand(
        json!({ "operation": "GetItem", "kind": "error", "code": code, "container": "Susan.Maye@example.test" }),
    )
    .await;
    assert_eq!(sim.codes(TERRY, &get("IdOnly", "", &id.xml())).await, ["ErrorItemNotFound"]);
    assert_eq!(sim.codes(SUSAN, &get("IdOnly", "", &id.xml().repeat(2))).await, [code, code]);
    sim.demand(json!({ "operation": "GetItem", "kind": "status", "status": 503, "retry_after_s": 7 })).await;
    let answer = sim.request(SUSAN, "", &get("IdOnly", "", &id.xml())).send().await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "7")
    );
    sim.demand(json!({ "operation": "GetItem", "kind": "malformed" })).await;
    let (status, text) = sim.ask(SUSAN, "", &get("IdOnly", "", &id.xml())).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!text.is_empty() && Document::parse(&text).is_err(), "{text}");
    sim.demand(json!({ "operation": "GetItem", "kind": "delay", "delay_ms": 60_000 })).await;
    let request = get("IdOnly", "", &id.xml());
    let waiting = sim.codes(SUSAN, &request);
    let release = async {
        let taken = async { while !sim.sim("faults").await["pending"].as_array().unwrap().is_empty() {} };
        tokio::time::timeout(LIMIT, taken).await.expect("the delay to begin");
        sim.send(Method::DELETE, "faults", &json!({})).await;
    };
    let (codes, ()) = tokio::join!(waiting, release);
    assert_eq!(codes, ["NoError"]);
    sim.stop().await;
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused() {
    let sim = Sim::start().await;
    for wrong in [
        json!({ "operation": "GetItem", "kind": "explode" }),
        json!({ "operation": "GetItem", "kind": "error" }),
        json!({ "operation": "GetItem", "kind": "status", "status": 7 }),
        json!({ "operation": "GetItem", "kind": "delay", "delay_ms": 60_001 }),
        json!({ "operation": "GetItem", "kind": "hold", "times": 0 }),
        json!({ "operation": "GetItem", "kind": "hold", "colour": "red" }),
    ] {
        assert!(sim.send(Method::POST, "faults", &wrong).await.0.is_client_error(), "{wrong}");
    }
    assert_eq!(sim.sim("faults").await, json!({ "pending": [], "held": 0, "down": null }));
    sim.stop().await;
}

#[tokio::test]
async fn a_server_that_is_down_cuts_or_refuses_and_still_counts() {
    let sim = Sim::start().await;
    let list = find("calendar", "");
    let down = |body: Value| {
        let sim = &sim;
        async move { assert_eq!(sim.send(Method::POST, "down", &body).await.0, StatusCode::OK) }
    };
    down(json!({ "down": true, "mode": "refuse" })).await;
    sim.request(SUSAN, "", &list).send().await.expect_err("a broken connection");
    let page = sim.http.get(sim.running.url()).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("The server is down"), "the page stays up to say so");
    down(json!({ "down": true, "mode": "503" })).await;
    assert_eq!(sim.ask(SUSAN, "", &list).await.0, StatusCode::SERVICE_UNAVAILABLE);
    down(json!({ "down": false })).await;
    sim.create(SUSAN, "SendToNone", &plain("One")).await;
    let missing = sim.codes(SUSAN, &get("IdOnly", "", &sim.list(SUSAN, "calendar").await[0].xml())).await;
    assert_eq!(missing, ["NoError"]);
    let counters = sim.sim("counters").await;
    assert_eq!((&counters["requests"], &counters["writes"]), (&json!(5), &json!(1)));
    assert_eq!(counters["operations"], json!({ "CreateItem": 1, "FindItem": 1, "GetItem": 1 }));
    assert!(
        counters["bytes_received"].as_u64() > Some(1_000) && counters["bytes_sent"].as_u64() > Some(500),
        "{counters}"
    );
    sim.send(Method::DELETE, "counters", &json!({})).await;
    assert_eq!(sim.sim("counters").await["requests"], 0);
    assert!(texts(&sim.call(SUSAN, &list).await, "Subject").is_empty());
    sim.stop().await;
}
