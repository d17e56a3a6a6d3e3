//! The Graph face against O365 and msgraph-sdk with tokens by MSAL: clients that others wrote, unmodified, from PyPI.
//!
//! They know Microsoft's hosts by name and speak TLS only, so a front with a certificate for these names stands before
//! the simulator, and the process leads the names there.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use daybridge::clock::SystemClock;
use daybridge::lifecycle::Tasks;
use daybridge::sim::exchange::{self, Options, Running};
use daybridge_tests::host::{Mails, Reach, Servers, TestHost};
use daybridge_tests::python::python;
use daybridge_tests::time::{day, utc};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

const HOSTS: [&str; 2] = ["graph.microsoft.com", "login.microsoftonline.com"];

/// Runs one case of the client script against a fresh server, and answers the mails it caused, by kind.
fn check(case: &str, mails: Value) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tasks = Tasks::new();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pem");
    let (running, front) = runtime.block_on(async {
        let listen = ([127, 0, 0, 1], 0).into();
        let running = exchange::serve(listen, Options::default(), Arc::new(SystemClock), &tasks).await.unwrap();
        let (front, authority) = front(running.address, &tasks).await;
        std::fs::write(&trusted, authority).unwrap();
        (running, front)
    });
    // Links and audiences carry the scheme by which these clients come.
    runtime.block_on(post(&running, "graph", json!({ "scheme": "https" })));
    run(case, &given(&running, front, ""), &trusted);
    let counted: Value = runtime
        .block_on(async { reqwest::get(format!("{}_sim/mails", running.url())).await.unwrap().json().await.unwrap() });
    assert_eq!(counted["counts"], mails, "{}", counted["mails"]);
    assert!(runtime.block_on(tasks.finish()), "the simulator did not stop cleanly");
}

/// What the client script is to know; `day` is the one it acts on, where it does not choose by itself.
fn given(running: &Running, front: SocketAddr, day: &str) -> Value {
    json!({
        "graph": running.graph_url(), "tenant": running.tenant(), "client_id": running.client_id(),
        "client_secret": running.client_secret(), "front": front.port(), "sim": format!("{}_sim/", running.url()),
        "ews": running.ews_url(), "users": running.users(), "day": day,
    })
}

/// Runs one case of the client script.
fn run(case: &str, given: &Value, trusted: &Path) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/graph_cases.py");
    let mut client = Command::new(python("O365"))
        .args([script, case])
        .env("REQUESTS_CA_BUNDLE", trusted)
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "case {case} failed:\n{told}");
}

#[expect(clippy::disallowed_methods, reason = "a test is its own HTTP client")]
async fn post(running: &Running, path: &str, body: Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("{}_sim/{path}", running.url())).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

/// Speaks TLS under Microsoft's names and hands on what it hears; answers its address and whom to trust (PEM).
async fn front(server: SocketAddr, tasks: &Tasks) -> (SocketAddr, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new([]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "A test's own authority");
    authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let pem = authority.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, key);
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(HOSTS.map(str::to_owned)).unwrap();
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key.serialize_der().try_into().unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stopping, own) = (tasks.stopping(), tasks.clone());
    tasks.spawn("tls front", async move {
        loop {
            let (stream, _) = tokio::select! {
                () = stopping.cancelled() => return,
                accepted = listener.accept() => accepted.unwrap(),
            };
            let (acceptor, stopping) = (acceptor.clone(), stopping.clone());
            own.spawn("tls connection", async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    () = stopping.cancelled() => {}
                    // A client that goes away without a word is no failure.
                    _ = copy_bidirectional(&mut outside, &mut inside) => {}
                }
            });
        }
    });
    (address, pem)
}

#[test]
fn o365_creates_reads_updates_and_deletes() {
    check("o365_crud", json!({}));
}

#[test]
fn o365_invites_answers_and_cancels() {
    // One of the two answers silently.
    check("o365_meeting", json!({ "request": 2, "update": 2, "response": 1, "cancellation": 2 }));
}

#[test]
fn o365_keeps_a_weekly_series_with_exceptions() {
    check("o365_series", json!({}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_o365_writes_reaches_the_crm() {
    let mut host = TestHost::on(Servers::reached(Reach::Graph).await, "").await;
    host.settle().await;
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("ca.pem");
    let (front, authority) = front(host.servers.exchange.address, &host.servers.tasks).await;
    std::fs::write(&trusted, authority).unwrap();
    post(&host.servers.exchange, "graph", json!({ "scheme": "https" })).await;
    let given = given(&host.servers.exchange, front, &day(30));
    tokio::task::spawn_blocking(move || run("o365_keeps_a_meeting_going", &given, &trusted)).await.unwrap();
    // The host comes by another way than this client.
    post(&host.servers.exchange, "graph", json!({ "scheme": "http" })).await;
    host.settle().await;
    let mut shown: Vec<[String; 2]> = host
        .crm()
        .appointments()
        .await
        .iter()
        .map(|row| ["Comm_DateTime", "Comm_Subject"].map(|name| row.text(name)))
        .collect();
    shown.sort();
    let expected = [(30, "Daily"), (31, "Special"), (33, "Daily")];
    assert_eq!(shown, expected.map(|(offset, subject)| [format!("{}T09:00:00", day(offset)), subject.to_owned()]));
    // And back: what the CRM changes in one of them is that occurrence's alone.
    let last = host
        .crm()
        .appointments()
        .await
        .into_iter()
        .find(|row| row.text("Comm_DateTime").starts_with(&day(33)))
        .expect("the last");
    host.crm().patch("Communication", &last.id(), &json!({ "Comm_Location": "Plant 2" })).await;
    host.settle().await;
    let view = host.outlook("susan.maye").view(&utc(&day(30), 0), &utc(&day(34), 0)).await;
    assert_eq!(view.iter().map(|one| one.location.as_str()).collect::<Vec<_>>(), ["", "", "Plant 2"]);
    host.oracle(4, Mails::NONE).await;
}

#[test]
fn o365_is_notified() {
    check("o365_subscription", json!({}));
}

#[test]
fn what_exchangelib_writes_o365_reads_and_back() {
    check("o365_and_exchangelib", json!({ "request": 1 }));
}

#[test]
fn msgraph_creates_finds_updates_and_deletes() {
    check("sdk_crud", json!({}));
}

#[test]
fn msgraph_follows_deltas_and_a_window() {
    check("sdk_delta", json!({}));
}

#[test]
fn msgraph_batches_and_is_throttled_part_by_part() {
    check("sdk_batch", json!({}));
}

#[test]
fn msgraph_invites_to_a_series_and_is_answered() {
    check("sdk_meeting", json!({ "request": 3, "response": 1, "cancellation": 3 }));
}

#[test]
fn msgraph_is_notified() {
    check("sdk_subscription", json!({}));
}

#[test]
fn msal_signs_in_with_a_certificate() {
    check("certificate", json!({}));
}
