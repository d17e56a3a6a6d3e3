//! Servers in trouble, and servers that are none.

use std::time::Duration;

use daybridge::clock::SystemClock;
use daybridge::connector::http::{HttpConfig, Secret};
use daybridge::connector::sage::Sage;
use daybridge::connector::sage::config::SageConfig;
use daybridge::connector::{Connector, Error, Problem};
use daybridge::error::{Chain, Class};
use daybridge::model::{Container, ItemRef, Seen};
use daybridge::sim::fault::{Down, Fault, Kind};
use serde_json::json;

use super::calendar::Crm;
use super::config;
use crate::http::{Canned, answer};

fn sage_at(url: &str) -> Sage {
    let http = HttpConfig { body_limit: 2000, request_timeout: Duration::from_secs(10), ..HttpConfig::default() };
    let config = SageConfig { url: url.into(), http, ..config() };
    Sage::new(config, std::sync::Arc::new(SystemClock)).unwrap()
}

async fn refused(server: &Canned) -> Error {
    let error = sage_at(&server.url).probe(&Container::Crm).await.unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.starts_with("sign in in Sage CRM: "), "{text}");
    for secret in ["demo", "ZGF5", "jo@example.test"] {
        assert!(!text.contains(secret), "{text}");
    }
    error
}

#[tokio::test]
async fn a_foreign_answer_says_what_is_wrong_with_the_address() {
    let xml = "<?xml version=\"1.0\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"/>";
    for (answer, problem, words) in [
        (answer("200 OK", "Content-Type: application/atom+xml\r\n", xml), Problem::Malformed, "contract \"sagecrm2\""),
        (answer("200 OK", "", xml), Problem::Malformed, "contract \"sagecrm2\""),
        (
            answer("200 OK", "Content-Type: text/html\r\n", "<html>Log on"),
            Problem::Malformed,
            "sign-in page or a proxy",
        ),
        (answer("200 OK", "", " <!DOCTYPE html><p>"), Problem::Malformed, "sign-in page or a proxy"),
        (answer("200 OK", "Content-Type: application/json\r\n", "{\"$resources\": [{"), Problem::Malformed, "no JSON"),
        (answer("200 OK", "", "{\"hello\": 1}"), Problem::Malformed, "holds no list of Communication"),
        (answer("200 OK", "", "[]"), Problem::Malformed, "holds no list of Communication"),
        (answer("200 OK", "", ""), Problem::Malformed, "holds no list of Communication"),
        (answer("200 OK", "", vec![b'x'; 2001]), Problem::Malformed, "longer than 2000 bytes"),
        (answer("404 Not Found", "", "nothing here"), Problem::Malformed, "check url, install and contract"),
        (answer("302 Found", "Location: /login\r\n", ""), Problem::Malformed, "redirects are not followed"),
        (answer("401 Unauthorized", "", ""), Problem::SignIn, "401 Unauthorized"),
        (answer("403 Forbidden", "", ""), Problem::Forbidden, "403 Forbidden"),
        (answer("500 Oops", "", "<html>"), Problem::Unreachable { after: None }, "500 Internal Server Error"),
        (
            answer("503 Busy", "Retry-After: 9\r\n", ""),
            Problem::Unreachable { after: Some(Duration::from_secs(9)) },
            "503 Service Unavailable",
        ),
        (
            answer(
                "400 Bad Request",
                "",
                r#"{"$diagnoses":[{"$severity":"error","$sdataCode":"BadWhereSyntax","$message":"no jo@example.test"}]}"#,
            ),
            Problem::Refused,
            "the CRM says: no … (BadWhereSyntax)",
        ),
        (
            answer("200 OK", "", r#"{"$diagnosis":{"$severity":"error","$message":"Query failed"}}"#),
            Problem::Refused,
            "the CRM says: Query failed",
        ),
        (
            answer("400 Bad", "", r#"{"$diagnoses":[{"$severity":"transient","$sdataCode":"Locked"}]}"#),
            Problem::Throttled { after: None },
            "the CRM says: Locked",
        ),
    ] {
        let server = Canned::start([answer]).await;
        let error = refused(&server).await;
        assert_eq!(error.problem, problem, "{}", Chain(&error));
        assert!(Chain(&error).to_string().contains(words), "{words} not in {}", Chain(&error));
    }
}

#[tokio::test]
async fn no_credential_follows_a_redirect() {
    let elsewhere = Canned::start([answer("200 OK", "", "{}")]).await;
    let server =
        Canned::start([answer("307 Temporary Redirect", &format!("Location: {}\r\n", elsewhere.url), "")]).await;
    refused(&server).await;
    assert!(server.requests()[0].to_lowercase().contains("authorization: basic "), "signed in without being asked");
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_wrong_password_waits_for_a_person() {
    let crm = Crm::start().await;
    crm.sage().probe(&Container::Crm).await.unwrap();
    let wrong = crm.sage_with(|config| config.password = Secret::new("wrong"));
    let error = wrong.changed_since(&Container::Crm, None).await.unwrap_err();
    assert_eq!((error.problem.clone(), error.class()), (Problem::SignIn, Class::Auth));
}

#[tokio::test]
async fn a_column_that_does_not_exist_is_told_before_anything_is_written() {
    let crm = Crm::start().await;
    for (sage, name) in [
        (crm.sage_with(|config| config.stamp_column = "comm_nothere".into()), "comm_nothere"),
        (crm.sage_with(|config| config.responses_column = Some("comm_answers".into())), "comm_answers"),
        (crm.sage_with(|config| config.columns = vec!["Comm_Action".into(), "comm_colour".into()]), "comm_colour"),
    ] {
        let error = sage.probe(&Container::Crm).await.unwrap_err();
        assert_eq!(error.problem, Problem::Refused);
        assert_eq!(error.hint(), "create the column in the CRM, or change the setting that names it");
        let words = format!("Communication has no column {name}");
        assert!(Chain(&error).to_string().ends_with(&words), "{}", Chain(&error));
    }
}

#[tokio::test]
async fn trouble_of_the_server_is_no_fault_of_the_appointment() {
    let crm = Crm::start().await;
    let sage = crm.sage();
    let id = crm.meeting(json!({})).await;
    let faults = crm.running.faults();
    let seven = Some(Duration::from_secs(7));
    for (fault, class) in [
        (
            Fault { status: Some(429), retry_after_s: Some(7), ..Fault::new("GET Communication", Kind::Status) },
            Class::Retry { after: seven },
        ),
        (
            Fault { status: Some(503), retry_after_s: Some(7), ..Fault::new("GET Communication", Kind::Status) },
            Class::Down { after: seven },
        ),
        (Fault::new("GET Communication", Kind::DropBefore), Class::Down { after: None }),
        (Fault::new("GET Communication", Kind::Malformed), Class::Retry { after: None }),
        (Fault::new("GET Comm_Link", Kind::Malformed), Class::Retry { after: None }),
        (Fault { status: Some(500), ..Fault::new("GET Users", Kind::Status) }, Class::Down { after: None }),
    ] {
        let name = format!("{:?} {}", fault.kind, fault.operation);
        crm.fault(fault);
        let error = sage.read(&ItemRef::crm(&id)).await.unwrap_err();
        assert_eq!(error.class(), class, "{name}: {}", Chain(&error));
    }
    for down in [Down::Refuse, Down::Unavailable] {
        faults.set_down(Some(down));
        let error = sage.read(&ItemRef::crm(&id)).await.unwrap_err();
        assert_eq!(error.class(), Class::Down { after: None });
        faults.set_down(None);
    }
    assert!(matches!(sage.read(&ItemRef::crm(&id)).await.unwrap(), Seen::Present(_)), "and goes on afterwards");
}

#[tokio::test]
async fn a_row_without_a_start_is_refused_with_words() {
    let crm = Crm::start().await;
    let id = crm.meeting(json!({"Comm_DateTime": null})).await;
    let error = crm.sage().read(&ItemRef::crm(&id)).await.unwrap_err();
    assert_eq!(error.class(), Class::Park);
    assert!(Chain(&error).to_string().contains("has no start time"), "{}", Chain(&error));
    assert_eq!(crm.sage().changed_since(&Container::Crm, None).await.unwrap().changes.len(), 1, "the feed goes on");
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let bad = SageConfig { url: "nowhere".into(), ..config() };
    let error = Sage::new(bad, std::sync::Arc::new(SystemClock)).unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.starts_with("set up the connection to Sage CRM: crm.url: is no address"), "{text}");
}
