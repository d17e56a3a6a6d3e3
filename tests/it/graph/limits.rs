//! The limits of Microsoft Graph for one program in one mailbox: four requests at a time, and so many in ten minutes. A first sync takes as
//! long as they make it take, and nobody else waits for it. Time is the two clocks' own: nothing here depends on how fast the machine is.

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::clock::Clock as _;
use daybridge::control::{Desk as _, QueueFilter};
use daybridge_tests::crm::Booking;
use daybridge_tests::host::{Mails, Reach, Servers, TestHost, get, post};
use daybridge_tests::time::day;
use daybridge_tests::user::{MARY, SUSAN};
use serde_json::json;

const WINDOW_S: i64 = 600;
/// As many at a time as the real service takes.
const AT_A_TIME: u64 = 4;
const SUSANS: &str = "susan.maye@example.test";
const OTHERS: i64 = 20;

/// A first sync, measured.
struct Measured {
    host: TestHost,
    /// Requests to the mailbox, refused ones too.
    requests: u64,
    refused: u64,
    took: TimeDelta,
}

/// Takes `appointments` of one mailbox over while the server grants so many requests in a window, and the host believes that it may make
/// `budget` of them.
async fn first_sync(appointments: i64, granted: u64, budget: u64) -> Measured {
    let mut servers = Servers::reached(Reach::Graph).await;
    servers.exchange_more = format!("mailbox_budget = {budget}\n");
    let mut host = TestHost::on(servers, "[sync]\nworkers = 8\n").await;
    host.settle().await;
    for number in 0..appointments {
        let hour = 8 + u32::try_from(number % 10).expect("small");
        host.crm().book(&Booking::at(&format!("Item {number}"), &day(30 + number / 10), hour, SUSAN)).await;
    }
    for number in 0..OTHERS {
        host.crm().book(&Booking::at(&format!("Other {number}"), &day(30 + number), 9, MARY)).await;
    }
    let limits = json!({"concurrent_max": AT_A_TIME, "requests_max": granted, "window_s": WINDOW_S});
    post(&format!("{}_sim/graph", host.servers.exchange.url()), &limits).await;
    // Whatever was asked before is of another window.
    pass_time(&host, TimeDelta::seconds(WINDOW_S + 10)).await;
    let (began, before) = (host.clock.now(), asked(&host).await);
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
            waited = true;
            pass_time(&host, until - host.clock.now()).await;
        }
    }
    let took = host.clock.now() - began;
    let after = asked(&host).await;
    Measured { host, requests: after.0 - before.0, refused: after.1 - before.1, took }
}

/// Requests to Susan's mailbox, and refused ones.
async fn asked(host: &TestHost) -> (u64, u64) {
    let shown = get(&format!("{}_sim/graph", host.servers.exchange.url())).await;
    let requests = shown["requests"][SUSANS].as_u64().unwrap_or_default();
    (requests, shown["throttled"].as_u64().expect("a number"))
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
}

#[tokio::test]
async fn s70_a_first_sync_of_a_thousand_takes_as_long_as_the_limits_do_and_is_never_refused() {
    const GRANTED: u64 = 1_000;
    let mut measured = first_sync(1_000, GRANTED, GRANTED).await;
    assert_eq!(measured.refused, 0, "the host keeps to the limits by itself");
    measured.in_time(GRANTED);
    assert_eq!(measured.host.outlook("susan.maye").calendar().await.len(), 1_000);
    measured.host.no_story("at rest the limits still hold, and the oracle asks more than they grant");
}

#[tokio::test]
async fn s70_a_limit_that_the_host_does_not_know_of_is_run_into_once_a_window() {
    const GRANTED: u64 = 150;
    let mut measured = first_sync(150, GRANTED, 10_000).await;
    assert!(measured.refused > 0);
    let windows = measured.requests.div_ceil(GRANTED);
    assert!(measured.refused <= windows * AT_A_TIME, "{} refused in {windows} windows", measured.refused);
    measured.in_time(GRANTED);
    post(&format!("{}_sim/graph", measured.host.servers.exchange.url()), &json!({"requests_max": null})).await;
    measured.host.oracle(150 + u64::try_from(OTHERS).expect("few"), Mails::NONE).await;
}
