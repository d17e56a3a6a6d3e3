//! The address that Graph posts to, over a real socket; and subscriptions against a server that a test writes.
#![expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybridge::clock::FixedClock;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::{GraphConfig, Notifications};
use daybridge::connector::graph::inbox::Inbox;
use daybridge::connector::http::Secret;
use daybridge::connector::{Connector as _, Problem};
use daybridge::hook::{Hook, serve};
use daybridge::lifecycle::Tasks;
use daybridge::model::{Address, Container};
use daybridge_tests::answering::{Answer, Answering, Asked};
use serde_json::json;

use super::susan;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn hook(inbox: &Arc<Inbox>, tasks: &Tasks) -> String {
    let hook = Hook { listen: LISTEN, path: "/graph/online".into(), inbox: inbox.clone() };
    let address = serve(&[hook], tasks).await.unwrap()[0];
    format!("http://{address}")
}

async fn post(url: String, body: String) -> (u16, String, String) {
    let answer = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    let kind = answer.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn only_posts_of_the_protocol_are_answered() {
    let (inbox, tasks) = (Arc::new(Inbox::new()), Tasks::new());
    let url = hook(&inbox, &tasks).await;
    let token = "a%20b%2Bc%3Cscript%3E";
    let (status, kind, body) = post(format!("{url}/graph/online?validationToken={token}"), String::new()).await;
    assert_eq!((status, kind.as_str(), body.as_str()), (200, "text/plain", "a b+c<script>"));
    inbox.expect("sub-1", &susan());
    let news = json!({"value": [{"subscriptionId": "sub-1", "clientState": inbox.secret()}]}).to_string();
    assert_eq!(post(format!("{url}/graph/other"), news.clone()).await.0, 404);
    assert_eq!(post(format!("{url}/graph/online"), "<html>".into()).await.0, 400);
    assert_eq!(post(format!("{url}/graph/online"), "x".repeat(300 << 10)).await.0, 413);
    assert!(inbox.take().0.is_empty());
    assert_eq!(post(format!("{url}/graph/online"), news).await.0, 202);
    assert_eq!(inbox.take().0.len(), 1);
    let got = reqwest::get(format!("{url}/graph/online")).await.unwrap();
    assert_eq!(got.status().as_u16(), 405);
    assert!(tasks.finish().await);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind(LISTEN).unwrap();
    let hook = Hook { listen: taken.local_addr().unwrap(), path: "/x".into(), inbox: Arc::new(Inbox::new()) };
    let error = serve(&[hook], &Tasks::new()).await.unwrap_err();
    assert!(error.hint().contains("notifications.listen"));
}

/// A tenant with one old subscription of ours and one of somebody else, which numbers new ones.
async fn tenant(refuse: &'static str) -> (Answering, Arc<Mutex<Vec<String>>>) {
    let (count, acts) = (AtomicU32::new(0), Arc::<Mutex<Vec<String>>>::default());
    let kept = acts.clone();
    let server = Answering::start(move |_, asked: &Asked| {
        if asked.path().ends_with("/token") {
            return Answer::json(200, &json!({"expires_in": 3600, "access_token": "t"}));
        }
        let last = asked.path().rsplit('/').next().unwrap_or_default();
        let resource = asked.json()["resource"].as_str().unwrap_or_default().to_owned();
        kept.lock().unwrap().push(format!("{} {last} {resource}", asked.method).trim_end().to_owned());
        match asked.method.as_str() {
            "GET" => Answer::json(
                200,
                &json!({"value": [
                    {"id": "old", "notificationUrl": "https://bridge.example.test/graph"},
                    {"id": "stranger", "notificationUrl": "https://other.example.test/"},
                ]}),
            ),
            "POST" if !refuse.is_empty() && resource.contains(refuse) => {
                Answer::json(403, &json!({"error": {"code": "ErrorAccessDenied", "message": "no"}}))
            }
            "POST" => {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                Answer::json(201, &json!({"id": format!("sub-{number}")}))
            }
            "PATCH" => Answer::json(200, &json!({"id": last})),
            _ => Answer::empty(204),
        }
    })
    .await;
    (server, acts)
}

fn connector(server: &Answering, clock: &Arc<FixedClock>) -> GraphConnector {
    let mut config = GraphConfig::new("example.test", "client", Secret::new("secret"));
    (config.url, config.authority) = (format!("{}/v1.0", server.url), server.url.clone());
    config.notifications = Some(Notifications { url: "https://bridge.example.test/graph".into(), listen: LISTEN });
    GraphConnector::new(config, clock.clone()).unwrap()
}

fn mailbox(address: &str) -> Container {
    Container::Mailbox(Address::new(address))
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new("2027-02-01T08:00:00Z".parse().unwrap(), 1))
}

fn ring(connector: &GraphConnector, subscription: &str, event: Option<&str>) {
    let entry =
        json!({"subscriptionId": subscription, "clientState": connector.inbox().secret(), "lifecycleEvent": event});
    connector.inbox().post(None, json!({ "value": [entry] }).to_string().as_bytes());
}

#[tokio::test]
async fn each_mailbox_has_one_subscription_that_is_kept_alive() {
    let ((server, acts), clock) = (tenant("").await, clock());
    let connector = connector(&server, &clock);
    let both = [mailbox("susan.maye@example.test"), mailbox("terry.smith@example.test")];
    let done = |acts: &Arc<Mutex<Vec<String>>>| std::mem::take(&mut *acts.lock().unwrap());
    let rung = connector.doorbell(&both, Duration::from_secs(5)).await.unwrap();
    assert_eq!(rung, both, "both ring once at the beginning");
    assert_eq!(
        done(&acts),
        [
            "GET subscriptions",
            "DELETE old",
            "POST subscriptions /users/susan.maye@example.test/events",
            "POST subscriptions /users/terry.smith@example.test/events",
        ]
    );
    let sent = server
        .asked()
        .into_iter()
        .find(|asked| asked.method == "POST" && asked.path().ends_with("subscriptions"))
        .unwrap();
    assert_eq!(sent.json()["expirationDateTime"], "2027-02-04T08:00:00Z");
    assert_eq!(sent.json()["lifecycleNotificationUrl"], sent.json()["notificationUrl"]);
    assert!(sent.header("prefer").contains("ImmutableId"));

    ring(&connector, "sub-2", None);
    assert_eq!(connector.doorbell(&both, Duration::from_secs(5)).await.unwrap(), both[1..]);
    assert!(done(&acts).is_empty(), "nothing is sent for a ring");
    clock.advance(chrono::TimeDelta::hours(36));
    ring(&connector, "sub-1", Some("missed"));
    assert_eq!(connector.doorbell(&both, Duration::from_secs(5)).await.unwrap(), both[..1]);
    assert_eq!(done(&acts), ["PATCH sub-1", "PATCH sub-2"]);
    ring(&connector, "sub-1", Some("subscriptionRemoved"));
    assert_eq!(connector.doorbell(&both, Duration::from_secs(5)).await.unwrap(), both[..1]);
    assert_eq!(done(&acts), ["POST subscriptions /users/susan.maye@example.test/events"]);
    ring(&connector, "sub-2", Some("reauthorizationRequired"));
    assert!(connector.doorbell(&both, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(done(&acts), ["PATCH sub-2"]);
    // Terry takes no part any more.
    assert!(connector.doorbell(&both[..1], Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(done(&acts), ["DELETE sub-2"]);
}

#[tokio::test]
async fn a_mailbox_that_cannot_be_subscribed_to_does_not_keep_the_others_from_it() {
    let ((server, acts), clock) = (tenant("susan").await, clock());
    let connector = connector(&server, &clock);
    let both = [mailbox("susan.maye@example.test"), mailbox("terry.smith@example.test")];
    assert_eq!(connector.doorbell(&both, Duration::from_secs(5)).await.unwrap(), both[1..]);
    let first = acts.lock().unwrap().len();
    assert!(connector.doorbell(&both, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(acts.lock().unwrap().len(), first, "not asked again at once");
    clock.advance(chrono::TimeDelta::minutes(5));
    assert!(connector.doorbell(&both, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(acts.lock().unwrap().len(), first + 1);
}

#[tokio::test]
async fn without_a_public_address_there_is_no_doorbell() {
    let (server, _) = tenant("").await;
    let mut config = GraphConfig::new("example.test", "client", Secret::new("secret"));
    (config.url, config.authority) = (format!("{}/v1.0", server.url), server.url.clone());
    let connector = GraphConnector::new(config, clock()).unwrap();
    let error = connector.doorbell(&[mailbox("susan.maye@example.test")], Duration::ZERO).await.unwrap_err();
    assert_eq!((error.problem, server.asked().len()), (Problem::Unsupported, 0));
}
