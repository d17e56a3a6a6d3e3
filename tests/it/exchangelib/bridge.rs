//! What a client that others wrote does in Exchange reaches the CRM, and what happens in the CRM reaches that client.

use std::io::Write;
use std::process::{Command, Stdio};

use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::python::python;
use daybridge_tests::time::{day, utc};
use daybridge_tests::user::SUSAN;
use serde_json::{Value, json};

/// Acts as Susan and answers her calendar.
async fn susan(host: &TestHost, mut order: Value) -> Vec<Value> {
    order["ews"] = json!(host.servers.exchange.ews_url());
    order["users"] = json!(host.servers.exchange.users());
    order["login"] = json!("susan.maye");
    let python = python("exchangelib");
    let acted = tokio::task::spawn_blocking(move || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/exchangelib_person.py");
        let (input, output, errors) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
        let mut client =
            Command::new(python).arg(script).stdin(input).stdout(output).stderr(errors).spawn().expect("Python starts");
        let mut told = client.stdin.take().expect("a pipe");
        told.write_all(order.to_string().as_bytes()).expect("the client listens");
        drop(told);
        client.wait_with_output().expect("the client ends")
    });
    let output = acted.await.expect("the client ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    answer["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exchangelib_does_reaches_the_crm_and_back() {
    let mut host = TestHost::settled().await;
    let day = day(40);
    let created = json!({"act": "create", "subject": "From Python", "body": "Second line",
        "start": utc(&day, 9), "end": utc(&day, 10), "attendees": ["terry.smith@example.test"]});
    susan(&host, created).await;
    host.people_mailed(Mails::new(1, 0, 0));
    host.settle().await;
    let rows = host.crm().appointments().await;
    assert_eq!(rows.len(), 1);
    let (id, row) = (rows[0].id(), &rows[0]);
    assert_eq!((row.text("Comm_Subject").as_str(), row.text("Comm_Note").trim_end()), ("From Python", "Second line"));
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T09:00:00"));

    let moved = json!({"act": "move", "subject": "From Python", "start": utc(&day, 13), "end": utc(&day, 14)});
    susan(&host, moved).await;
    host.crm().patch("Communication", &id, &json!({"Comm_Note": "From the CRM"})).await;
    host.crm().book(&Booking::at("Made in the CRM", &day, 16, SUSAN).note("Agenda")).await;
    host.settle().await;
    let row = host.crm().get("Communication", &id).await.expect("there");
    assert_eq!(row.text("Comm_DateTime"), format!("{day}T13:00:00"));
    let mut shown: Vec<[String; 3]> = susan(&host, json!({"act": "list"}))
        .await
        .iter()
        .map(|item| {
            ["subject", "body", "start"].map(|key| item[key].as_str().unwrap_or_default().trim_end().to_owned())
        })
        .collect();
    shown.sort();
    let first = ["From Python", "From the CRM", &utc(&day, 13)].map(str::to_owned);
    let second = ["Made in the CRM", "Agenda", &utc(&day, 16)].map(str::to_owned);
    assert_eq!(shown, [first, second]);

    susan(&host, json!({"act": "delete", "subject": "Made in the CRM"})).await;
    host.settle().await;
    let left: Vec<String> = host.crm().appointments().await.iter().map(|row| row.text("Comm_Subject")).collect();
    assert_eq!(left, ["From Python"]);
    // The new description was told to the one attendee.
    host.oracle(1, Mails::new(1, 1, 0)).await;
}
