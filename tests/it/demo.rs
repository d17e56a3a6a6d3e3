//! The demo, as a script runs it.

use std::collections::BTreeMap;

use daybridge_tests::program;

const STEPS: [&str; 10] = [
    "start",
    "crm-to-exchange",
    "response",
    "both-sides",
    "exchange-to-crm",
    "cancel",
    "outage",
    "crash",
    "rule-swap",
    "quiet",
];

#[tokio::test]
async fn every_step_of_the_story_is_seen_on_the_other_side() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = program::start(folder.path(), &["demo", "--exit", "--json", "--data", "demo"]);
    let mut told = Vec::new();
    let mut times = BTreeMap::new();
    while let Some(line) = demo.next().await {
        let log = || std::fs::read_to_string(folder.path().join("demo/host.log")).unwrap_or_default();
        assert_eq!(line["ok"], true, "{line}\n{}", log());
        assert!(line["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{line}");
        let step = line["step"].as_str().expect("a step's name").to_owned();
        if let Some(elapsed) = line["elapsed_ms"].as_u64() {
            times.insert(step.clone(), elapsed);
        }
        told.push(step);
    }
    assert_eq!(demo.ended().await.code(), Some(0), "{}", demo.messages());
    assert_eq!(told, STEPS);
    for step in ["crm-to-exchange", "exchange-to-crm"] {
        assert!(times.contains_key(step), "no time for {step}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn without_exit_it_stays_up_and_says_where_everything_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = program::start(folder.path(), &["demo", "--json", "--data", "demo"]);
    let ready = loop {
        let line = demo.json().await;
        if line["ready"] == true {
            break line;
        }
        assert_eq!(line["ok"], true, "{line}");
    };
    for key in ["ews", "crm", "control"] {
        assert!(ready[key].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1:")), "{key}: {ready}");
    }
    for key in ["users", "crm_users"] {
        assert!(ready[key].as_array().is_some_and(|users| !users.is_empty()), "{key}: {ready}");
    }
    let status = program::run(folder.path(), &["status", "--config", "demo/daybridge.toml"]).await;
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert_eq!(demo.terminate().await.code(), Some(0));
    let status = program::run(folder.path(), &["status", "--config", "demo/daybridge.toml"]).await;
    assert!(status.stderr.starts_with("error: no host is running"), "{}", status.stderr);
}

#[tokio::test]
async fn a_folder_of_somebody_elses_is_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("state")).expect("a folder");
    let outcome = program::run(folder.path(), &["demo", "--exit", "--json", "--data", "."]).await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(outcome.stderr.contains(" holds something else than an earlier demo\nhint: "), "{}", outcome.stderr);
    assert!(folder.path().join("state").is_dir());
}
