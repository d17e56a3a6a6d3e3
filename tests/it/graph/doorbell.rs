//! Notifications of Graph, end to end: the simulator's subscriptions, an operator's proxy, the address a host listens on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use daybridge::connector::Connector as _;
use daybridge::connector::graph::GraphConnector;
use daybridge::connector::graph::config::{GraphConfig, Notifications};
use daybridge::connector::http::Secret;
use daybridge::control::Desk as _;
use daybridge::hook::{Hook, serve};
use daybridge::lifecycle::Tasks;
use daybridge::model::{Address, Container};
use daybridge::sim::exchange::Running;
use daybridge_tests::answering::{Answer, Answering};
use daybridge_tests::ews::TO_NONE;
use daybridge_tests::host::{AheadClock, Mails, Reach, Servers, TestHost, get, post};
use daybridge_tests::http;
use daybridge_tests::time::{day, utc};
use daybridge_tests::wait::{LIMIT, wait_for};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The public address, as an operator's proxy has one: it leads to the host, somewhere else, or nowhere.
struct Proxy {
    address: SocketAddr,
    target: watch::Sender<Option<SocketAddr>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (target, watched) = watch::channel(None);
        #[expect(clippy::disallowed_methods, reason = "a test's own server ends with the test")]
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(carry(stream, watched.clone()));
            }
        });
        Self { address, target, task }
    }

    fn url(&self) -> String {
        format!("http://{}/graph/online", self.address)
    }

    /// Open connections end.
    fn lead(&self, to: Option<SocketAddr>) {
        self.target.send_replace(to);
    }

    /// What an operator writes about it.
    fn settings(&self) -> String {
        format!("[exchange.notifications]\nurl = \"{}\"\nlisten = \"127.0.0.1:0\"\n", self.url())
    }
}

async fn carry(mut stream: TcpStream, mut target: watch::Receiver<Option<SocketAddr>>) {
    let Some(to) = *target.borrow_and_update() else { return };
    let Ok(mut onward) = TcpStream::connect(to).await else { return };
    // Whoever goes away first ends it.
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut stream, &mut onward) => {}
        _ = target.changed() => {}
    }
}

/// What the simulator says about subscriptions: how many there are, and how many posts were taken.
async fn told(exchange: &Running) -> (u64, u64) {
    let shown = get(&format!("{}_sim/graph", exchange.url())).await;
    (shown["subscriptions"].as_u64().unwrap_or(0), shown["notified"].as_u64().unwrap_or(0))
}

async fn advance(exchange: &Running, clock: &AheadClock, by: TimeDelta) {
    post(&format!("{}_sim/clock", exchange.url()), &json!({"advance_s": by.num_seconds()})).await;
    clock.advance(by);
}

#[expect(clippy::disallowed_methods, reason = "tests speak HTTP themselves")]
async fn answer(request: reqwest::RequestBuilder) -> serde_json::Value {
    request.send().await.expect("the simulator answers").json().await.expect("JSON")
}

async fn lifecycle(exchange: &Running, event: &str) {
    post(&format!("{}_sim/graph/lifecycle", exchange.url()), &json!({"event": event})).await;
}

/// A connector behind the proxy, without a host around it.
struct Bells {
    servers: Servers,
    proxy: Proxy,
    clock: Arc<AheadClock>,
    connector: GraphConnector,
    containers: [Container; 2],
    tasks: Tasks,
}

impl Drop for Bells {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

impl Bells {
    async fn start() -> Self {
        let (servers, proxy, clock) = (Servers::start().await, Proxy::start().await, Arc::new(AheadClock::default()));
        let exchange = &servers.exchange;
        post(&format!("{}_sim/graph", exchange.url()), &json!({"notify_retry_ms": 10})).await;
        let secret = Secret::new(exchange.client_secret());
        let mut config = GraphConfig::new(exchange.tenant(), exchange.client_id(), secret);
        (config.url, config.authority) = (exchange.graph_url(), exchange.url());
        config.notifications = Some(Notifications { url: proxy.url(), listen: ([127, 0, 0, 1], 0).into() });
        let connector = GraphConnector::new(config, clock.clone()).expect("a connector");
        let (listen, path) = connector.hook().expect("it is to be posted to");
        let tasks = Tasks::new();
        let hook = Hook { listen, path, inbox: connector.inbox() };
        proxy.lead(Some(serve(&[hook], &tasks).await.expect("a port")[0]));
        let containers =
            ["susan.maye@example.test", "terry.smith@example.test"].map(|name| Container::Mailbox(Address::new(name)));
        Self { servers, proxy, clock, connector, containers, tasks }
    }

    /// The mailboxes that ring, as soon as one does.
    async fn rung(&self) -> Vec<Container> {
        let rung = self.connector.doorbell(&self.containers, LIMIT).await.expect("it is listened");
        assert!(!rung.is_empty(), "nothing rang within {LIMIT:?}");
        rung
    }

    /// The mailboxes that have rung already.
    async fn ring_now(&self) -> Vec<Container> {
        self.connector.doorbell(&self.containers, Duration::ZERO).await.expect("it is listened")
    }

    fn asked(&self, operation: &str) -> u64 {
        let counters = self.servers.exchange.faults().counters();
        counters.operations.get(operation).copied().unwrap_or(0)
    }

    /// The id of somebody's subscription, as the server lists it to the application.
    async fn subscription_of(&self, name: &str) -> String {
        let exchange = &self.servers.exchange;
        let (application, secret) = (exchange.client_id(), exchange.client_secret());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", application.as_str()),
            ("client_secret", secret.as_str()),
            ("scope", "https://graph.microsoft.com/.default"),
        ];
        let (client, url) = (http::plain(), format!("{}/oauth2/v2.0/token", exchange.authority()));
        let token: serde_json::Value = answer(client.post(url).form(&form)).await;
        let token = token["access_token"].as_str().expect("a token");
        let url = format!("{}/subscriptions", exchange.graph_url());
        let listed = answer(client.get(url).bearer_auth(token)).await;
        let rows = listed["value"].as_array().expect("a list");
        let hers = rows.iter().find(|row| row["resource"].as_str().is_some_and(|path| path.contains(name)));
        hers.and_then(|row| row["id"].as_str()).expect("a subscription").to_owned()
    }

    async fn book(&self, name: &str, subject: &str) {
        self.servers.outlook(name).book(subject, &utc(&day(40), 9), &utc(&day(40), 10), &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_rings_for_its_mailbox_and_a_stranger_does_not() {
    let bells = Bells::start().await;
    assert_eq!(bells.rung().await, bells.containers, "a subscription rings as it begins");
    assert_eq!(told(&bells.servers.exchange).await.0, 2);
    bells.book("susan.maye", "One").await;
    assert_eq!(bells.rung().await, bells.containers[..1]);
    bells.book("mary.jones", "Nobody asked about her").await;
    bells.book("terry.smith", "Two").await;
    assert_eq!(bells.rung().await, bells.containers[1..]);
    // Who knows the address and the subscription, but not the secret.
    let id = bells.subscription_of("susan.maye").await;
    for state in [json!({"clientState": "guess"}), json!({})] {
        let mut entry = json!({"subscriptionId": id, "changeType": "updated"});
        entry.as_object_mut().expect("an object").extend(state.as_object().cloned().expect("an object"));
        post(&bells.proxy.url(), &json!({"value": [entry]})).await;
    }
    assert!(bells.ring_now().await.is_empty());
    assert_eq!(bells.connector.inbox().passed_over(), 2, "passed over, and counted");
    // While the way is barred the server tries again.
    bells.proxy.lead(None);
    let (_, before) = told(&bells.servers.exchange).await;
    bells.book("susan.maye", "Three").await;
    assert!(bells.ring_now().await.is_empty());
    assert_eq!(told(&bells.servers.exchange).await.1, before);
    let (listen, path) = bells.connector.hook().expect("a hook");
    let hook = Hook { listen, path, inbox: bells.connector.inbox() };
    bells.proxy.lead(Some(serve(&[hook], &bells.tasks).await.expect("a port")[0]));
    assert_eq!(bells.rung().await, bells.containers[..1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_renewed_before_it_ends_and_made_anew_when_it_ended() {
    let bells = Bells::start().await;
    let exchange = &bells.servers.exchange;
    assert_eq!(bells.rung().await, bells.containers);
    advance(exchange, &bells.clock, TimeDelta::hours(36)).await;
    assert!(bells.ring_now().await.is_empty());
    assert_eq!((bells.asked("Graph.Renew"), bells.asked("Graph.Subscribe")), (2, 2));
    // Longer than the first life, shorter than the second.
    advance(exchange, &bells.clock, TimeDelta::hours(42)).await;
    assert!(bells.ring_now().await.is_empty());
    assert_eq!(bells.asked("Graph.Subscribe"), 2);
    bells.book("terry.smith", "Still heard").await;
    assert_eq!(bells.rung().await, bells.containers[1..]);
    // A machine that slept.
    advance(exchange, &bells.clock, TimeDelta::days(4)).await;
    wait_for("the end of the subscriptions", || async { (told(exchange).await.0 == 0).then_some(()) }).await;
    bells.book("susan.maye", "Not heard").await;
    assert_eq!(bells.rung().await, bells.containers, "whatever happened meanwhile is looked for");
    assert_eq!((told(exchange).await.0, bells.asked("Graph.Subscribe")), (2, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_graph_says_about_a_subscription_is_minded() {
    let bells = Bells::start().await;
    let exchange = &bells.servers.exchange;
    assert_eq!(bells.rung().await, bells.containers);
    lifecycle(exchange, "reauthorizationRequired").await;
    wait_for("both renewed", || async {
        assert!(bells.ring_now().await.is_empty());
        (bells.asked("Graph.Renew") == 2).then_some(())
    })
    .await;
    lifecycle(exchange, "subscriptionRemoved").await;
    let mut rung = Vec::new();
    while rung.len() < 2 {
        rung.extend(bells.rung().await);
        rung.sort();
        rung.dedup();
    }
    assert_eq!((told(exchange).await.0, bells.asked("Graph.Subscribe")), (2, 4));
    // Posts that somebody else took: Graph says so afterwards.
    let taker = Answering::start(|_, _| Answer::empty(202)).await;
    bells.proxy.lead(taker.url.strip_prefix("http://").and_then(|address| address.parse().ok()));
    bells.book("susan.maye", "Lost on its way").await;
    wait_for("the post taken", || async { (!taker.asked().is_empty()).then_some(()) }).await;
    let (listen, path) = bells.connector.hook().expect("a hook");
    let hook = Hook { listen, path, inbox: bells.connector.inbox() };
    bells.proxy.lead(Some(serve(&[hook], &bells.tasks).await.expect("a port")[0]));
    assert!(bells.ring_now().await.is_empty());
    lifecycle(exchange, "missed").await;
    bells.rung().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rang_is_told_to_the_next_who_waits_when_one_gives_up() {
    let bells = Bells::start().await;
    let exchange = &bells.servers.exchange;
    assert_eq!(bells.rung().await, bells.containers);
    let (_, before) = told(exchange).await;
    bells.book("susan.maye", "Rang").await;
    wait_for("the post taken", || async { (told(exchange).await.1 > before).then_some(()) }).await;
    // It is heard, and while the subscriptions are renewed whoever waits for it goes away.
    advance(exchange, &bells.clock, TimeDelta::hours(36)).await;
    post(&format!("{}_sim/faults", exchange.url()), &json!({"operation": "Graph.Renew", "kind": "hold", "times": 100}))
        .await;
    tokio::select! {
        _ = bells.connector.doorbell(&bells.containers, LIMIT) => panic!("it waits for the server"),
        () = wait_for("the renewal under way", || async { (exchange.faults().pending().held > 0).then_some(()) }) => {}
    }
    exchange.faults().clear();
    assert_eq!(bells.ring_now().await, bells.containers[..1]);
}

/// Lets a host listen and work, and waits until each of its mailboxes has a subscription and has been read once.
async fn set_going(host: &TestHost, proxy: &Proxy) {
    let address = host.app.listen().await.expect("it listens");
    proxy.lead(address.first().copied());
    host.app.start();
    wait_for("all mailboxes subscribed to", || async {
        let status = host.app.status().await.expect("a status");
        let mailboxes = status.containers.len() as u64 - 1;
        let (subscriptions, _) = told(&host.servers.exchange).await;
        (mailboxes > 0 && subscriptions == mailboxes).then_some(())
    })
    .await;
}

async fn in_the_crm(host: &TestHost, wanted: &[&str]) {
    wait_for(&format!("{wanted:?} in the CRM"), || async {
        let mut shown: Vec<_> = host.crm().appointments().await.iter().map(|row| row.text("Comm_Subject")).collect();
        shown.sort();
        (shown == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s74_what_happened_while_a_subscription_ran_out_and_the_host_was_off_is_caught_up() {
    let proxy = Proxy::start().await;
    // Nothing is polled within the story: what reaches the CRM was rung for, or was looked for at a start.
    let mut host = TestHost::on(Servers::reached(Reach::Graph).await, &proxy.settings()).await;
    host.settle().await;
    set_going(&host, &proxy).await;
    let outlook = host.outlook("susan.maye");
    let book =
        async |subject: &str, hour| outlook.book(subject, &utc(&day(40), hour), &utc(&day(40), hour + 1), &[]).await;
    let first = book("One", 8).await;
    in_the_crm(&host, &["One"]).await;
    // The feeds were read at the start; this one can only have been rung for.
    let second = book("Two", 10).await;
    in_the_crm(&host, &["One", "Two"]).await;

    proxy.lead(None);
    host.restart().await;
    advance(&host.servers.exchange, &host.clock, TimeDelta::days(4)).await;
    wait_for("no subscription left", || async { (told(&host.servers.exchange).await.0 == 0).then_some(()) }).await;
    outlook.delete(&first, TO_NONE).await;
    outlook.set_location(&second, "Plant 2").await;
    book("While it was off", 12).await;

    set_going(&host, &proxy).await;
    in_the_crm(&host, &["Two", "While it was off"]).await;
    let place = || async {
        let rows = host.crm().appointments().await;
        rows.iter().any(|row| row.text("Comm_Location") == "Plant 2").then_some(())
    };
    wait_for("the new place", place).await;
    book("Yet another", 14).await;
    in_the_crm(&host, &["Two", "While it was off", "Yet another"]).await;

    // Started again in the middle of their lives: those of the run before go, and new ones are heard.
    proxy.lead(None);
    host.restart().await;
    set_going(&host, &proxy).await;
    book("Heard", 15).await;
    in_the_crm(&host, &["Heard", "Two", "While it was off", "Yet another"]).await;
    book("Heard again", 16).await;
    in_the_crm(&host, &["Heard", "Heard again", "Two", "While it was off", "Yet another"]).await;
    host.restart().await;
    host.oracle(5, Mails::NONE).await;
}
