//! The limits of Exchange for one program in one mailbox, by Microsoft Graph and by EWS: so many requests at a time, and so many in a
//! window. A first sync takes as long as they make it take, and nobody else waits for it. Time is the two clocks' own: nothing here
//! depends on how fast the machine is.

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::clock::Clock as _;
use daybridge::control::{Desk as _, QueueFilter, SyncOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, Reach, Servers, TestHost, get, post};
use daybridge_tests::time::day;
use daybridge_tests::user::{MARY, SUSAN};
use serde_json::{Value, json};

const WINDOW_S: i64 = 600;
/// As many at a time as Microsoft Graph takes; and how many the host makes of itself by EWS.
const GRAPH_AT_A_TIME: u64 = 4;
const EWS_AT_A_TIME: u64 = 3;
/// Parts of one batch: they are under way together, and each counts.
const GRAPH_BATCH: u64 = 20;
/// Longer than it takes the host to make ready the next request, so that requests do overlap.
const LATENCY_MS: u64 = 5;
const SUSANS: &str = "susan.maye@example.test";
const OTHERS: i64 = 20;

/// A first sync, measured.
struct Measured {
    host: TestHost,
    /// Requests to the mailbox, refused ones too.
    requests: u64,
    refused: u64,
    /// The most at the same time.
    at_once: u64,
    took: TimeDelta,
    /// It was told to wait, and time was let pass.
    waited: bool,
}

/// Takes `appointments` of one mailbox over while the server has these limits; `more` is what the host is told of them.
async fn first_sync(reach: Reach, appointments: i64, limits: &Value, more: &str) -> Measured {
    let mut servers = Servers::reached(reach).await;
    servers.exchange_more = more.to_owned();
    let mut host = TestHost::on(servers, "[sync]\nworkers = 8\n").await;
    host.settle().await;
    for number in 0..appointments {
        let hour = 8 + u32::try_from(number % 10).expect("small");
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number / 10), hour, SUSAN)).await;
    }
    for number in 0..OTHERS {
        host.crm().book(&Booking::at(&format!("Other {number}"), &day(30 + number), 9, MARY)).await;
    }
    post(&told(&host), limits).await;
    // Whatever was asked before is of another window.
    pass_time(&host, TimeDelta::seconds(WINDOW_S + 10)).await;
    let began = host.clock.now();
    let mut waited = false;
    loop {
        let report = host.pass(false).await;
        if !waited {
            let hers = host.outlook("mary.jones").calendar().await.len();
            assert_eq!(hers, usize::try_from(OTHERS).expect("few"), "another mailbox waits for none of this");
        }
        if report.looked_at == 0 && report.unfinished == 0 {
            break;
        }
        if let Some(until) = waits_until(&host).await {
            if !waited {
                is_left_alone(&host).await;
            }
            waited = true;
            pass_time(&host, until - host.clock.now()).await;
        }
    }
    let took = host.clock.now() - began;
    let shown = get(&told(&host)).await;
    let hers = |what: &str| shown[what][SUSANS].as_u64().unwrap_or_default();
    let (requests, at_once) = (hers("requests"), hers("at_once"));
    Measured { requests, at_once, refused: shown["throttled"].as_u64().expect("a number"), host, took, waited }
}

/// Where the server is told its limits, and shows what was asked.
fn told(host: &TestHost) -> String {
    let path = if host.servers.reach == Reach::Ews { "ews" } else { "graph" };
    format!("{}_sim/{path}", host.servers.exchange.url())
}

/// Not one request to her mailbox, however often the host is told to look there.
async fn is_left_alone(host: &TestHost) {
    let before = get(&told(host)).await["requests"][SUSANS].clone();
    for sweep in [false, true, false] {
        let order = SyncOrder { containers: vec![SUSANS.into()], sweep, ..SyncOrder::default() };
        let _ = host.app.sync(&order).await;
    }
    assert_eq!(get(&told(host)).await["requests"][SUSANS], before, "the time that was told has not passed");
}

/// Until when there is nothing to do: the next appointment's time, or until when the host leaves Susan's mailbox alone.
async fn waits_until(host: &TestHost) -> Option<DateTime<Utc>> {
    let queue = host.app.queue(&QueueFilter::default()).await.expect("the queue");
    let status = host.app.status().await.expect("a status");
    let hers = status.containers.into_iter().find(|place| place.container == SUSANS)?;
    let paused = hers.paused.and_then(|paused| paused.until);
    let next = queue.entries.iter().filter_map(|entry| entry.due).min().or(paused);
    next.filter(|until| *until > host.clock.now())
}

/// The same time passes for host and server.
async fn pass_time(host: &TestHost, by: TimeDelta) {
    let by = by + TimeDelta::milliseconds(10);
    host.servers.exchange.clock().advance(by);
    host.clock.advance(by);
}

impl Measured {
    /// Full windows that must pass before the last request may be made.
    fn allowed(&self, granted: u64) -> TimeDelta {
        let windows = i64::try_from(self.requests.div_ceil(granted)).expect("few");
        TimeDelta::seconds((windows - 1) * WINDOW_S)
    }

    fn in_time(&self, granted: u64) {
        let allowed = self.allowed(granted);
        assert!(
            allowed >= TimeDelta::seconds(2 * WINDOW_S),
            "the limit is what holds it up: {} requests",
            self.requests
        );
        let limit = allowed * 6 / 5;
        assert!(self.took <= limit, "{} requests took {} where {allowed} are allowed", self.requests, self.took);
    }

    /// Nothing but the number at a time held it up.
    fn without_waiting(&self, at_a_time: u64) {
        assert_eq!(self.refused, 0);
        assert_eq!(self.at_once, at_a_time, "as many at a time as may be, and no more");
        assert!(!self.waited, "it waited, and took {}", self.took);
    }

    /// What was asked without need is bounded by what was under way when the server said so.
    fn refused_at_most_once_a_window(&self, granted: u64, under_way: u64) {
        assert!(self.refused > 0, "the limit was met");
        let windows = self.requests.div_ceil(granted);
        assert!(self.refused <= windows * under_way, "{} refused in {windows} windows", self.refused);
    }

    /// Everything is there, once, and nothing is left to do.
    async fn whole(&mut self, appointments: u64) {
        post(&told(&self.host), &json!({"requests_max": null, "latency_ms": 0})).await;
        self.host.oracle(appointments + u64::try_from(OTHERS).expect("few"), Mails::NONE).await;
    }
}

#[tokio::test]
async fn s70_a_first_sync_of_a_thousand_takes_as_long_as_the_limits_do_and_is_never_refused() {
    const GRANTED: u64 = 1_000;
    let limits = json!({"concurrent_max": GRAPH_AT_A_TIME, "requests_max": GRANTED, "window_s": WINDOW_S});
    let mut measured = first_sync(Reach::Graph, 1_000, &limits, &format!("mailbox_budget = {GRANTED}\n")).await;
    assert_eq!(measured.refused, 0, "the host keeps to the limits by itself");
    measured.in_time(GRANTED);
    assert_eq!(measured.host.outlook("susan.maye").calendar().await.len(), 1_000);
    measured.host.no_story("at rest the limits still hold, and the oracle asks more than they grant");
}

#[tokio::test]
async fn s70_a_first_sync_of_a_thousand_meets_none_of_graphs_real_limits_but_four_at_a_time() {
    const GRANTED: u64 = 10_000;
    let limits = json!({"concurrent_max": GRAPH_AT_A_TIME, "requests_max": GRANTED, "window_s": WINDOW_S,
        "latency_ms": LATENCY_MS});
    let mut measured = first_sync(Reach::Graph, 1_000, &limits, "").await;
    measured.without_waiting(GRAPH_AT_A_TIME);
    assert!(measured.requests < GRANTED, "{} requests", measured.requests);
    measured.whole(1_000).await;
}

#[tokio::test]
async fn s70_a_limit_that_the_host_does_not_know_of_is_run_into_once_a_window() {
    const GRANTED: u64 = 150;
    let limits = json!({"concurrent_max": GRAPH_AT_A_TIME, "requests_max": GRANTED, "window_s": WINDOW_S});
    let mut measured = first_sync(Reach::Graph, 150, &limits, "").await;
    measured.refused_at_most_once_a_window(GRANTED, GRAPH_BATCH);
    measured.in_time(GRANTED);
    measured.whole(150).await;
}

#[tokio::test]
async fn s70_a_first_sync_of_a_thousand_stays_below_the_real_limit_of_ews() {
    let limits = json!({"concurrent_max": 27, "latency_ms": LATENCY_MS});
    let mut measured = first_sync(Reach::Ews, 1_000, &limits, "").await;
    measured.without_waiting(EWS_AT_A_TIME);
    measured.whole(1_000).await;
}

#[tokio::test]
async fn s70_a_budget_of_ews_is_run_into_once_a_window_and_other_mailboxes_go_on() {
    const GRANTED: u64 = 150;
    let limits = json!({"concurrent_max": 27, "requests_max": GRANTED, "window_s": WINDOW_S, "latency_ms": LATENCY_MS});
    // One at a time, so that nothing is under way already when the server says that it is busy.
    for (at_a_time, more) in [(EWS_AT_A_TIME, ""), (1, "mailbox_requests_max = 1\n")] {
        let mut measured = first_sync(Reach::Ews, 100, &limits, more).await;
        measured.refused_at_most_once_a_window(GRANTED, at_a_time);
        if at_a_time == 1 {
            let early = get(&told(&measured.host)).await["early"][SUSANS].as_u64();
            assert_eq!(early, Some(0), "no request before the time that was told");
        }
        measured.in_time(GRANTED);
        measured.whole(100).await;
    }
}
