//! The Exchange simulator against exchangelib, a client that others wrote: unmodified, from PyPI, without hints.

mod bridge;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use daybridge::clock::SystemClock;
use daybridge::lifecycle::Tasks;
use daybridge::sim::exchange::{self, Options, Running, Scheme};
use daybridge_tests::gateway::{Gateway, Route};
use daybridge_tests::python::python;
use serde_json::json;

async fn start(options: Options, tasks: &Tasks) -> Running {
    let listen = ([127, 0, 0, 1], 0).into();
    exchange::serve(listen, options, Arc::new(SystemClock), tasks).await.unwrap()
}

/// Runs one case of the client script against a fresh server, and compares the mails it caused, by kind.
fn check(case: &str, mails: serde_json::Value) {
    check_on(Options::default(), case, mails);
}

/// The same on a server with these ways to sign in; the client finds out by itself.
fn check_with(schemes: &[Scheme], case: &str, mails: serde_json::Value) {
    check_on(Options { schemes: schemes.to_vec(), ..Options::default() }, case, mails);
}

fn check_on(options: Options, case: &str, mails: serde_json::Value) {
    check_through(&[], options, case, mails);
}

/// The same with a proxy that leads to the server by these names.
fn check_through(names: &[&'static str], options: Options, case: &str, mails: serde_json::Value) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tasks = Tasks::new();
    let running = runtime.block_on(start(options, &tasks));
    let app = Options::default().app;
    let given = json!({ "ews": running.ews_url(), "users": running.users(), "app": {
        "authority": running.url(), "tenant": app.tenant, "client_id": app.client_id, "secret": app.secret,
    }});
    let given = given.to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/exchangelib_cases.py");
    let gateway = (!names.is_empty()).then(|| {
        let routes = names.iter().map(|name| (*name, Route::To(running.address)));
        runtime.block_on(Gateway::start(routes))
    });
    let mut command = Command::new(python("exchangelib"));
    if let Some(gateway) = &gateway {
        // What it keeps between runs would show it the way.
        let own = gateway.ca_file.parent().unwrap();
        command.env("HTTPS_PROXY", gateway.url()).env("REQUESTS_CA_BUNDLE", &gateway.ca_file).env("TMPDIR", own);
    }
    let mut client = command
        .args([script, case])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exchangelib case {case} failed:\n{told}");
    let counted: serde_json::Value = runtime
        .block_on(async { reqwest::get(format!("{}_sim/mails", running.url())).await.unwrap().json().await.unwrap() });
    assert_eq!(counted["counts"], mails, "{}", counted["mails"]);
    assert!(runtime.block_on(tasks.finish()), "the simulator did not stop cleanly");
}

#[test]
fn creates_reads_updates_and_deletes() {
    check("crud", json!({}));
}

#[test]
fn invites_answers_moves_and_cancels() {
    // Three invited, then asked again on the move; three answers; cancelled for three; one short meeting on and off.
    check("meeting", json!({ "request": 4, "update": 3, "response": 3, "cancellation": 4 }));
}

#[test]
fn syncs_a_folder_incrementally() {
    check("sync", json!({}));
}

#[test]
fn shows_a_window_of_the_calendar() {
    check("view", json!({}));
}

#[test]
fn finds_by_extended_property_and_field() {
    check("search", json!({}));
}

#[test]
fn keeps_a_weekly_series_with_exceptions() {
    check("weekly", json!({ "request": 1, "update": 1, "cancellation": 2 }));
}

#[test]
fn impersonates_with_a_service_account() {
    check("impersonation", json!({}));
}

#[test]
fn polls_a_pull_subscription() {
    check("pull", json!({}));
}

#[test]
fn listens_to_a_streaming_subscription() {
    check("streaming", json!({}));
}

#[test]
fn refuses_wrong_passwords_and_foreign_mailboxes() {
    check("denied", json!({}));
}

#[test]
fn walks_folders_and_resolves_names() {
    check("folders", json!({}));
}

#[test]
fn signs_in_by_ntlm() {
    check_with(&[Scheme::Ntlm], "crud", json!({}));
    // Offered both, it takes the stronger one.
    check_with(&[Scheme::Basic, Scheme::Ntlm], "denied", json!({}));
}

#[test]
fn impersonates_and_listens_by_ntlm() {
    check_with(&[Scheme::Ntlm], "impersonation", json!({}));
    check_with(&[Scheme::Ntlm], "streaming", json!({}));
}

#[test]
fn is_told_that_attachments_are_not_taken() {
    check("attachments", json!({}));
}

#[test]
fn signs_in_as_an_application() {
    check("oauth", json!({}));
}

#[test]
fn finds_the_server_by_autodiscover() {
    check_through(&["https://autodiscover.example.test"], Options::default(), "autodiscover", json!({}));
}

#[test]
fn takes_and_gives_icalendar() {
    check("mime", json!({}));
}
