//! A whole host between the simulators, with rules that fail: who is set aside, what is kept of a failure, what is counted.

use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use daybridge::app::App;
use daybridge::clock::SystemClock;
use daybridge::config::Config;
use daybridge::control::{Desk, EntryState, QueueEntry, QueueFilter, SyncOrder};
use daybridge::plugin::Engine;
use daybridge::store::{MemoryStore, Store};
use daybridge_tests::crm::Booking;
use daybridge_tests::figures::Figures;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, Servers, TestHost};
use daybridge_tests::time::day;
use daybridge_tests::user::SUSAN;
use serde_json::{Value, json};

/// A chain of one rule, called `house`, in a folder.
fn house(folder: &Path, guest: &str, more: &str) -> String {
    std::fs::write(folder.join("house.wasm"), guests::component(guest)).expect("the rule is written");
    format!("rules_dir = \"{}\"\n[[rules]]\nname = \"house\"\nfile = \"house.wasm\"\n{more}\n", folder.display())
}

fn misbehaves(folder: &Path, act: &str) -> String {
    let settings = format!("settings = {{ act = \"{act}\", number = 9437184 }}\nlimits = {{ deadline_ms = 5000 }}");
    house(folder, "misbehaves", &settings)
}

async fn book(host: &TestHost, subject: &str, count: usize, first_day: usize) {
    for number in 0..count {
        let day = day(i64::try_from(first_day + number).expect("a day"));
        host.crm().book(&Booking::at(subject, &day, 9, SUSAN)).await;
    }
}

/// How many appointments are parked with a code.
async fn parked(host: &TestHost, code: &str) -> usize {
    host.parked().await.values().filter(|found| *found == code).count()
}

async fn told(host: &TestHost, code: &str) -> usize {
    let status = host.app.status().await.expect("a status");
    status.notices.iter().filter(|notice| notice.code == code).count()
}

#[tokio::test]
async fn r12_a_query_of_death_parks_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = TestHost::settled_with(&misbehaves(folder.path(), "poison")).await;
    book(&host, "good", 7, 30).await;
    book(&host, "poison", 1, 37).await;
    book(&host, "good", 12, 38).await;
    host.settle().await;
    // Again and again: it is still one appointment.
    for _ in 0..10 {
        host.retry_all().await;
        host.settle().await;
    }
    assert_eq!(host.parked().await.values().collect::<Vec<_>>(), ["rule-panic"]);
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 19);
    assert_eq!(host.app.status().await.expect("a status").set_aside, []);
    host.expect_parked(1);
    host.oracle(19, Mails::NONE).await;
}

#[tokio::test]
async fn r12_a_rule_that_always_fails_is_set_aside_and_its_next_version_takes_up_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = TestHost::settled_with(&house(folder.path(), "lies", "lookups = [\"users\"]")).await;
    book(&host, "unknown", 12, 30).await;
    host.pass(false).await;
    // The feed looks back a little, so one that failed may have been met twice and wait by now as well.
    let (failed, waiting) = (parked(&host, "rule-answer").await, parked(&host, "rule-set-aside").await);
    assert!(failed + waiting == 12 && (1..=5).contains(&failed), "{failed} and {waiting}");
    let aside = host.app.status().await.expect("a status").set_aside;
    assert_eq!((aside.len(), aside[0].rule.as_str(), aside[0].parked), (1, "house", waiting as u64));
    assert!(host.app.rules().await.expect("rules").rules[0].set_aside.is_some());
    assert_eq!(told(&host, "rule-set-aside").await, 1);
    let page = host
        .app
        .queue(&QueueFilter { state: Some(EntryState::Parked), ..QueueFilter::default() })
        .await
        .expect("the queue");
    let waits = |entry: &&QueueEntry| entry.reason.as_ref().is_some_and(|reason| reason.code == "rule-set-aside");
    assert!(page.entries.iter().filter(waits).all(|entry| entry.attempts == 0), "no attempt is burnt");
    let figures = Figures::parse(&host.app.metrics().await.expect("figures"));
    let house = [("rule", "house"), ("version", "9")];
    let calls = figures.sum("daybridge_rule_calls_total", &[house[0], ("function", "apply")]);
    assert!((5.0..12.0).contains(&calls), "{calls} calls");
    assert_eq!(figures.sum("daybridge_rule_faults_total", &[house[0], ("kind", "answer")]), calls);
    assert!(figures.sum("daybridge_rule_kept_out_total", &house) >= 7.0);
    assert_eq!(figures.sum("daybridge_rule_set_aside", &house), 1.0);
    assert_eq!(figures.sum("daybridge_rule_parked", &[house[0], ("kind", "set-aside")]), waiting as f64);
    assert_eq!(figures.sum("daybridge_rule_parked", &[house[0], ("kind", "answer")]), failed as f64);

    // The time is over: one of those that wait is a trial, and fails.
    host.clock.advance(TimeDelta::seconds(31));
    host.pass(false).await;
    let after = Figures::parse(&host.app.metrics().await.expect("figures"));
    assert_eq!(after.sum("daybridge_rule_calls_total", &[house[0], ("function", "apply")]), calls + 1.0);
    assert_eq!(host.parked().await.len(), 12);

    std::fs::write(folder.path().join("house.wasm"), guests::component("privacy")).expect("a healed version");
    host.app.reload_rules().await.expect("a new chain");
    host.settle().await;
    assert_eq!(host.outlook("susan.maye").calendar().await.len(), 12);
    assert_eq!(
        (host.app.status().await.expect("a status").set_aside, told(&host, "rule-works-again").await),
        (vec![], 1)
    );
    host.oracle(12, Mails::NONE).await;
}

#[tokio::test]
async fn r12_a_rule_that_works_again_takes_up_what_waited() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut host = TestHost::settled_with(&misbehaves(folder.path(), "poison")).await;
    book(&host, "poison", 5, 30).await;
    host.pass(false).await;
    book(&host, "good", 10, 40).await;
    host.pass(false).await;
    assert_eq!((host.parked().await.len(), host.app.pairs()), (15, 0));
    host.clock.advance(TimeDelta::seconds(31));
    host.settle().await;
    assert_eq!((parked(&host, "rule-panic").await, parked(&host, "rule-set-aside").await), (5, 0));
    assert_eq!((told(&host, "rule-set-aside").await, told(&host, "rule-works-again").await), (1, 1));
    host.expect_parked(5);
    host.oracle(10, Mails::NONE).await;
}

#[tokio::test]
async fn after_a_restart_what_waited_for_a_rule_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let (servers, data) = (Servers::start().await, tempfile::tempdir().expect("a folder"));
    let text = servers.config(data.path(), &misbehaves(folder.path(), "poison"));
    let file = data.path().join("daybridge.toml");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = || async {
        let config = Config::parse(&file, &text, &|_| None).expect("a configuration");
        let engine = Engine::new().expect("an engine");
        App::open_on(store.clone(), engine, config, Arc::new(SystemClock)).await.expect("a host")
    };
    let app = open().await;
    app.sync(&SyncOrder::default()).await.expect("a first pass");
    for (number, subject) in ["poison", "poison", "poison", "poison", "poison", "good", "good"].iter().enumerate() {
        let day = day(30 + i64::try_from(number).expect("a day"));
        servers.crm().book(&Booking::at(subject, &day, 9, SUSAN)).await;
        // One after the other, so that the poison comes first.
        app.sync(&SyncOrder::default()).await.expect("a pass");
    }
    assert_eq!((app.status().await.expect("a status").queue.parked, app.pairs()), (7, 0));
    assert!(app.stop_now().await);
    drop(app);
    let app = open().await;
    app.sync(&SyncOrder::default()).await.expect("a pass");
    assert_eq!((app.status().await.expect("a status").queue.parked, app.pairs()), (5, 2));
}

/// Requirement 8: the whole record of every kind of failure that a guest can cause, through the queue, as a person sees it.
#[tokio::test]
async fn r08_the_queue_keeps_the_whole_record_of_each_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let chain = format!("{}[breaker]\nappointments = 100\ncalls = 100\n", misbehaves(folder.path(), "as-told"));
    let mut host = TestHost::settled_with(&chain).await;
    host.no_story("every appointment ends parked or is tried for ever");
    let expected = [
        ("loop", "deadline", "ran longer than 5s", Value::Null),
        ("allocate", "memory", "bytes of memory, limit 33554432", Value::Null),
        ("recurse", "stack", "recursed deeper than its stack of 524288 bytes", Value::Null),
        ("answer", "output", "answered with more than 1048576 bytes", Value::Null),
        ("panic", "panic", "panicked: no such case: 9437184 (", Value::Null),
        ("trap", "trap", "trapped: ", Value::Null),
        ("refuse", "refusal", "no-case: There is no case", json!("regarding")),
    ];
    for (at, (act, ..)) in expected.iter().enumerate() {
        book(&host, act, 1, 30 + at).await;
    }
    host.pass(false).await;
    let page = host.app.queue(&QueueFilter::default()).await.expect("the queue");
    assert_eq!(page.entries.len(), expected.len());
    let mut kinds = Vec::new();
    for entry in page.entries {
        let entry = host.app.queue_entry(&entry.key).await.expect("kept");
        let record = serde_json::to_value(entry.failure.expect("a record")).expect("JSON");
        let kind = record["kind"].as_str().expect("a kind").to_owned();
        let (act, _, message, field) = expected.iter().find(|row| row.1 == kind).expect("a kind that was caused");
        let names: Vec<&str> = record.as_object().expect("an object").keys().map(String::as_str).collect();
        let wanted = [
            "appointment",
            "at",
            "backtrace",
            "correlation",
            "digest",
            "elapsed_us",
            "field",
            "function",
            "generation",
            "kind",
            "memory_peak",
            "message",
            "rule",
            "step",
            "version",
        ];
        assert_eq!(names, wanted);
        assert!(record["message"].as_str().expect("a text").contains(message), "{act}: {record}");
        let known = json!([record["rule"], record["version"], record["step"], record["function"], record["field"]]);
        assert_eq!(known, json!(["house", "0.1.0", 1, "apply", field]), "{act}");
        assert_eq!(record["appointment"], json!(entry.key));
        assert_eq!(record["digest"].as_str().map(str::len), Some(64));
        assert_eq!(record["generation"]["number"], json!(host.app.status().await.expect("a status").generation.number));
        assert!(
            record["elapsed_us"].as_u64() > Some(0) && record["memory_peak"].as_u64() >= Some(192 << 10),
            "{record}"
        );
        assert!(record["correlation"].as_str().is_some_and(|name| name.contains('-')), "{record}");
        let stopped_inside = ["memory", "stack", "panic", "trap"].contains(&kind.as_str());
        assert!(!stopped_inside || record["backtrace"].as_array().is_some_and(|frames| !frames.is_empty()), "{record}");
        kinds.push(kind);
    }
    kinds.sort();
    assert_eq!(kinds, ["deadline", "memory", "output", "panic", "refusal", "stack", "trap"]);
}

#[tokio::test]
async fn figures_are_served_to_whoever_has_the_token() {
    let mut host = TestHost::settled().await;
    // The calendars are this host's.
    let claims = host.servers.exchange_writes().await;
    book(&host, "Review", 2, 30).await;
    host.settle().await;
    let address = host.app.serve().await.expect("an address");
    let token = std::fs::read_to_string(host.data.path().join("control.token")).expect("a token");
    #[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
    let ask = |token: Option<&str>| {
        let request = reqwest::Client::new().get(format!("{}/metrics", address.url));
        token.map_or(request.try_clone().expect("no body"), |token| request.bearer_auth(token)).send()
    };
    assert_eq!(ask(None).await.expect("an answer").status(), 401);
    assert_eq!(ask(Some("wrong")).await.expect("an answer").status(), 401);
    let answer = ask(Some(&token)).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().expect("a text").to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text().await.expect("a body");
    let figures = Figures::parse(&text);
    assert_eq!(
        figures.sum("daybridge_writes_total", &[("side", "exchange")]),
        (host.servers.exchange_writes().await - claims) as f64
    );
    assert_eq!((figures.sum("daybridge_pairs", &[]), figures.sum("daybridge_queue_entries", &[])), (2.0, 0.0));
    assert_eq!(figures.sum("daybridge_rule_set_aside", &[]), 0.0);
    assert!(figures.sum("daybridge_rule_calls_total", &[("rule", "status"), ("function", "apply")]) >= 2.0);
    let status = host.app.status().await.expect("a status");
    assert_eq!(
        figures.sum("daybridge_rules_generation", &[("digest", &status.generation.digest)]),
        status.generation.number as f64
    );
    for private in ["crm:", "uid:", "Review", "@", "susan"] {
        assert!(!figures.label_values().iter().any(|value| value.contains(private)), "{private} in a label");
    }
    host.oracle(2, Mails::NONE).await;
    assert!(host.app.stop_now().await);
}
