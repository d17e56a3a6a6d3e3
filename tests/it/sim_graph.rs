//! The Graph face of the simulated Exchange server, over a real socket, by what a client of Graph sees on the wire.
#![expect(clippy::disallowed_methods, reason = "a test is its own HTTP client")]

mod batch;
mod delta;
mod events;
mod faults;
mod identity;
mod meetings;
mod queries;
mod signing;
mod subscriptions;
mod writes;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use daybridge::clock::FixedClock;
use daybridge::lifecycle::Tasks;
use daybridge::sim::exchange::{Options, Running, serve};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// No named state takes longer than this on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

const SUSAN: &str = "susan.maye@example.test";
const TERRY: &str = "terry.smith@example.test";
const MARY: &str = "mary.jones@example.test";

struct Sim {
    running: Running,
    http: reqwest::Client,
    token: String,
    tasks: Tasks,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// One text of each row of a list.
    fn column(&self, name: &str) -> Vec<&str> {
        let rows = self.body["value"].as_array().unwrap_or_else(|| panic!("no list: {}", self.body));
        rows.iter().map(|row| row[name].as_str().unwrap_or_default()).collect()
    }
}

impl Sim {
    async fn start() -> Self {
        let tasks = Tasks::new();
        let clock = Arc::new(FixedClock::new("2027-01-15T08:00:00Z".parse().unwrap(), 1));
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = serve(listen, Options::default(), clock, &tasks).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        let mut sim = Self { running, http, token: String::new(), tasks };
        sim.sign_in().await;
        sim
    }

    async fn sign_in(&mut self) {
        let secret = self.running.client_secret();
        let (status, body) = self.ask_token(&[("client_secret", &secret)]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        self.token = body["access_token"].as_str().unwrap().to_owned();
    }

    /// Asks for a token with the usual fields and these.
    async fn ask_token(&self, more: &[(&str, &str)]) -> (StatusCode, Value) {
        let client = self.running.client_id();
        let usual = [
            ("grant_type", "client_credentials"),
            ("client_id", client.as_str()),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        let usual = usual.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
        let form: Vec<(&str, &str)> = usual.chain(more.iter().copied()).collect();
        let url = format!("{}/oauth2/v2.0/token", self.running.authority());
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.running.graph_url()) };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
        Answer { status, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Creates an event that is not refused.
    async fn create(&self, user: &str, body: Value) -> Value {
        let answer = self.post(&format!("/users/{user}/events"), body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    async fn events(&self, user: &str) -> Vec<Value> {
        self.get(&format!("/users/{user}/events?$top=100")).await.body["value"].as_array().unwrap().clone()
    }

    async fn sim(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}_sim/{path}", self.running.url());
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let text = answer.text().await.unwrap();
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    async fn set(&self, settings: Value) {
        self.sim(Method::POST, "graph", settings).await;
    }

    /// Counts of mails by kind since the last look.
    async fn mails(&self) -> Value {
        let counts = self.sim(Method::GET, "mails", Value::Null).await["counts"].clone();
        self.sim(Method::DELETE, "mails", Value::Null).await;
        counts
    }

    async fn stop(self) {
        assert!(self.tasks.finish().await, "the simulator did not stop cleanly");
    }
}

/// An hour on a day of February 2027, in UTC.
fn event(subject: &str, day: u32) -> Value {
    json!({
        "subject": subject,
        "start": { "dateTime": format!("2027-02-{day:02}T09:00:00"), "timeZone": "UTC" },
        "end": { "dateTime": format!("2027-02-{day:02}T10:00:00"), "timeZone": "UTC" },
    })
}

/// The same with more members.
fn with(mut event: Value, more: Value) -> Value {
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn attendees(addresses: &[&str]) -> Value {
    let one = |address: &&str| json!({ "emailAddress": { "address": address }, "type": "required" });
    addresses.iter().map(one).collect()
}

fn id(event: &Value) -> &str {
    event["id"].as_str().unwrap()
}
