//! Subscriptions: handshake, delivery, retry, life and end.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;

/// Posts by path, and what is rung when one comes.
type Told = (Mutex<VecDeque<(String, Value)>>, Notify);

/// Takes posts over a socket: it answers handshakes, refuses as many posts as it is told to, and keeps the rest.
#[derive(Clone)]
struct Listener {
    port: u16,
    told: Arc<Told>,
    refusals: Arc<Mutex<(u32, u32)>>,
}

impl Listener {
    async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let listener = Self { port, told: Arc::default(), refusals: Arc::default() };
        let own = listener.clone();
        #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                own.serve(stream).await;
            }
        });
        listener
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Refuses the next posts; answers how many it refused so far.
    fn refuse(&self, posts: u32) {
        self.refusals.lock().unwrap().0 = posts;
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut text = Vec::new();
        let (head, body) = loop {
            let mut part = [0; 4_096];
            let Ok(length @ 1..) = stream.read(&mut part).await else { return };
            text.extend_from_slice(&part[..length]);
            let request = String::from_utf8_lossy(&text).into_owned();
            let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        };
        let target = head.split(' ').nth(1).unwrap_or_default();
        let url: reqwest::Url = self.url(target).parse().unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "validationToken").map(|(_, token)| token.into_owned());
        let (status, answer) = match token {
            Some(_) if url.path().contains("rude") => ("200 OK", "hello".to_owned()),
            Some(token) => ("200 OK", token),
            None => {
                let mut refusals = self.refusals.lock().unwrap();
                if refusals.0 > 0 {
                    *refusals = (refusals.0 - 1, refusals.1 + 1);
                    ("503 Later", String::new())
                } else {
                    let posts: Value = serde_json::from_str(&body).unwrap();
                    let posts =
                        posts["value"].as_array().unwrap().iter().map(|post| (url.path().to_owned(), post.clone()));
                    self.told.0.lock().unwrap().extend(posts);
                    self.told.1.notify_one();
                    ("202 Accepted", String::new())
                }
            }
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all(format!("{head}{answer}").as_bytes()).await;
    }

    async fn take(&self) -> (String, Value) {
        let wait = async {
            loop {
                let next = self.told.0.lock().unwrap().pop_front();
                match next {
                    Some(post) => return post,
                    None => self.told.1.notified().await,
                }
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("a post")
    }
}

fn wanted(listener: &Listener, expires: &str) -> Value {
    json!({ "changeType": "created,updated,deleted", "notificationUrl": listener.url("/changes"),
        "lifecycleNotificationUrl": listener.url("/life"), "resource": format!("/users/{SUSAN}/events"),
        "expirationDateTime": expires, "clientState": "ours" })
}

#[tokio::test]
async fn a_subscriber_shakes_hands_and_is_told_of_every_change() {
    let sim = Sim::start().await;
    let listener = Listener::start().await;
    let mut rude = wanted(&listener, "2027-01-16T08:00:00Z");
    rude["lifecycleNotificationUrl"] = listener.url("/rude").into();
    let refused = sim.post("/subscriptions", rude).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "ValidationError"));
    let request = sim.request(Method::POST, "/subscriptions").header("Prefer", "IdType=\"ImmutableId\"");
    let made = sim.send(request.json(&wanted(&listener, "2027-01-16T08:00:00Z"))).await;
    assert_eq!((made.status, &made.body["clientState"]), (StatusCode::CREATED, &json!("ours")), "{}", made.body);
    let again = sim.post("/subscriptions", wanted(&listener, "2027-01-16T08:00:00Z")).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    sim.create(TERRY, event("Not ours", 8)).await;
    let created = sim.create(SUSAN, event("One", 8)).await;
    let (path, told) = listener.take().await;
    assert_eq!(
        (path.as_str(), &told["changeType"], &told["clientState"]),
        ("/changes", &json!("created"), &json!("ours"))
    );
    assert_eq!((&told["subscriptionId"], &told["tenantId"]), (&made.body["id"], &json!(sim.running.tenant())));
    let immutable = told["resourceData"]["id"].as_str().unwrap().to_owned();
    assert_ne!(immutable, id(&created));
    let event_path = format!("/users/{SUSAN}/events/{immutable}");
    listener.refuse(2);
    sim.set(json!({ "notify_retry_ms": 1 })).await;
    sim.patch(&event_path, json!({ "subject": "Two" })).await;
    // The clock stands still, so it is moved until the waits are over.
    let moving = async {
        loop {
            sim.sim(Method::POST, "clock", json!({ "advance_s": 1 })).await;
        }
    };
    let (_, told) = tokio::select! { told = listener.take() => told, () = moving => unreachable!() };
    assert_eq!((&told["changeType"], listener.refusals.lock().unwrap().1), (&json!("updated"), 2));
    sim.delete(&event_path).await;
    let (_, told) = listener.take().await;
    assert_eq!((&told["changeType"], &told["resourceData"]["id"]), (&json!("deleted"), &json!(immutable)));
    sim.stop().await;
}

#[tokio::test]
async fn a_subscription_lives_by_the_clock_and_says_when_it_ends() {
    let mut sim = Sim::start().await;
    sim.set(json!({ "token_lifetime_s": 86_400 })).await;
    sim.sign_in().await;
    let listener = Listener::start().await;
    let made = sim.post("/subscriptions", wanted(&listener, "2027-01-15T08:01:00Z")).await.body;
    assert_eq!(made["expirationDateTime"], "2027-01-15T08:45:00Z");
    let path = format!("/subscriptions/{}", id(&made));
    let renewed = sim.patch(&path, json!({ "expirationDateTime": "2027-01-15T10:00:00Z" })).await;
    assert_eq!((renewed.status, &renewed.body["expirationDateTime"]), (StatusCode::OK, &json!("2027-01-15T10:00:00Z")));
    let too_long = sim.patch(&path, json!({ "expirationDateTime": "2027-02-15T10:00:00Z" })).await;
    assert_eq!(too_long.code(), "ValidationError");
    sim.sim(Method::POST, "clock", json!({ "now": "2027-01-15T09:50:00Z" })).await;
    let (at, told) = listener.take().await;
    assert_eq!((at.as_str(), &told["lifecycleEvent"]), ("/life", &json!("reauthorizationRequired")));
    assert_eq!(sim.post(&format!("{path}/reauthorize"), json!({})).await.status, StatusCode::ACCEPTED);
    sim.sim(Method::POST, "graph/lifecycle", json!({ "event": "missed" })).await;
    assert_eq!(listener.take().await.1["lifecycleEvent"], "missed");
    sim.sim(Method::POST, "graph/lifecycle", json!({ "event": "subscriptionRemoved", "subscription": id(&made) }))
        .await;
    assert_eq!(listener.take().await.1["lifecycleEvent"], "subscriptionRemoved");
    assert_eq!(sim.get(&path).await.status, StatusCode::NOT_FOUND);
    let short = sim.post("/subscriptions", wanted(&listener, "2027-01-15T11:00:00Z")).await.body;
    sim.sim(Method::POST, "clock", json!({ "now": "2027-01-15T11:00:00Z" })).await;
    assert_eq!(sim.get(&format!("/subscriptions/{}", id(&short))).await.status, StatusCode::NOT_FOUND);
    sim.stop().await;
}
