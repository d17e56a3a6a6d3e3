//! The queue's verbs one by one; [`model`] plays them against each other, with power cuts.

mod model;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use daybridge::clock::FixedClock;
use daybridge::model::{Address, Cause, Change, Container, ItemRef, Key};
use daybridge::queue::retry::{RetrySettings, delay};
use daybridge::queue::{
    CHANGES_MAX, EntryState, FailureRecord, Lease, Queue, QueueCounts, QueueError, QueueSettings, RuleFailure,
    nothing_blocked,
};
use daybridge::store::{MemoryStore, Store};

const LEASE: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(2);

fn start() -> DateTime<Utc> {
    "2026-11-24T08:00:00Z".parse().unwrap()
}

fn key(name: &str) -> Key {
    Key::Crm(name.into())
}

fn mailbox(name: &str) -> Container {
    Container::Mailbox(Address::new(&format!("{name}@example.com")))
}

fn change(item: &str, cause: Cause) -> Change {
    Change { at: ItemRef::crm(item), uid: None, stamp: None, cause }
}

fn failure(code: &str) -> FailureRecord {
    FailureRecord {
        code: code.into(),
        class: "retry".into(),
        message: "the server said no".into(),
        hint: "wait".into(),
        origin: "exchange".into(),
        at: start(),
        attempts: 1,
        rule: None,
    }
}

struct Bench {
    store: Arc<dyn Store>,
    clock: Arc<FixedClock>,
    queue: Queue,
}

impl Bench {
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(FixedClock::new(start(), 1));
        let queue = Self::open(&store, &clock).await;
        Self { store, clock, queue }
    }

    async fn open(store: &Arc<dyn Store>, clock: &Arc<FixedClock>) -> Queue {
        let settings = QueueSettings { settle: SETTLE, retry: RetrySettings::default() };
        Queue::open(store.clone(), clock.clone(), settings).await.unwrap()
    }

    /// The process ends and another begins.
    async fn restart(&mut self) {
        self.queue = Self::open(&self.store, &self.clock).await;
    }

    async fn put(&self, name: &str, cause: Cause) {
        self.queue.put(vec![(key(name), change(name, cause))]).await.unwrap();
    }

    async fn lease(&self) -> Option<Lease> {
        self.queue.lease(LEASE, &nothing_blocked).await.unwrap()
    }

    async fn lease_of(&self, name: &str) -> Lease {
        let lease = self.lease().await.unwrap_or_else(|| panic!("nothing is due, {name} expected"));
        assert_eq!(lease.key, key(name));
        lease
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(TimeDelta::from_std(time).unwrap());
    }

    async fn state(&self, name: &str) -> Option<EntryState> {
        self.queue.show(&key(name)).await.unwrap().map(|view| view.state)
    }
}

async fn within_limit<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("{what}: not within {limit:?}"))
}

#[tokio::test]
async fn changes_settle_and_fold_into_one_entry() {
    let bench = Bench::new().await;
    let with_uid = Change { uid: Some("u".into()), ..change("1", Cause::Feed) };
    bench.queue.put(vec![(key("a"), with_uid), (key("a"), change("2", Cause::Feed))]).await.unwrap();
    assert!(bench.lease().await.is_none(), "it settles first");
    bench.pass(SETTLE / 2);
    bench.queue.put(vec![(key("a"), change("1", Cause::Feed))]).await.unwrap();
    bench.pass(SETTLE / 2);
    assert!(bench.lease().await.is_none(), "a later change puts it off");
    bench.pass(SETTLE / 2);
    let lease = bench.lease_of("a").await;
    assert_eq!(lease.attempt, 1);
    let items: Vec<_> = lease.changes.iter().map(|change| (change.at.id.as_str(), change.uid.as_deref())).collect();
    assert_eq!(items, [("2", None), ("1", Some("u"))], "one per item, the newest last, nothing known is forgotten");
    assert!(bench.lease().await.is_none(), "a key is leased once");
    bench.queue.ack(&lease).await.unwrap();
    assert_eq!(bench.state("a").await, None);
    assert_eq!(bench.queue.counts(), QueueCounts::default());
}

#[tokio::test]
async fn a_stream_of_changes_cannot_put_an_entry_off_forever() {
    let bench = Bench::new().await;
    for _ in 0..20 {
        bench.put("a", Cause::Feed).await;
        bench.pass(SETTLE / 2);
    }
    bench.lease_of("a").await;
}

#[tokio::test]
async fn what_a_person_asks_for_is_due_at_once() {
    let bench = Bench::new().await;
    bench.put("a", Cause::Feed).await;
    bench.put("b", Cause::Person).await;
    bench.lease_of("b").await;
    bench.put("a", Cause::Person).await;
    bench.lease_of("a").await;
}

#[tokio::test]
async fn a_change_during_a_lease_causes_one_more_run() {
    let bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    let first = bench.lease_of("a").await;
    bench.put("a", Cause::Feed).await;
    bench.put("a", Cause::Feed).await;
    bench.pass(SETTLE);
    assert!(bench.lease().await.is_none(), "it is still leased");
    bench.queue.ack(&first).await.unwrap();
    let second = bench.lease_of("a").await;
    assert_eq!((second.attempt, second.changes.len()), (1, 1));
    bench.queue.ack(&second).await.unwrap();
    assert!(bench.queue.counts().is_settled());
}

#[tokio::test]
async fn the_weightier_cause_stays_until_its_work_is_done() {
    let bench = Bench::new().await;
    for cause in [Cause::Sweep, Cause::First, Cause::Feed, Cause::Sweep] {
        bench.put("a", cause).await;
    }
    bench.pass(SETTLE);
    let first = bench.lease_of("a").await;
    assert_eq!(first.changes[0].cause, Cause::First, "it was there before the sync, whatever is reported later");
    bench.put("a", Cause::Feed).await;
    bench.queue.retry(&first, Some(Duration::ZERO), failure("x"), true).await.unwrap();
    let second = bench.lease_of("a").await;
    assert_eq!((second.changes.len(), second.changes[0].cause), (1, Cause::First), "its work is not done yet");
    bench.put("a", Cause::Feed).await;
    bench.queue.ack(&second).await.unwrap();
    bench.pass(SETTLE);
    assert_eq!(bench.lease_of("a").await.changes[0].cause, Cause::Feed, "a later edit is a change like any other");
}

#[tokio::test]
async fn a_lease_that_ended_by_time_goes_to_another_worker_and_its_answer_is_refused() {
    let bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    let slow = bench.lease_of("a").await;
    bench.pass(LEASE / 2);
    bench.queue.extend(&slow, LEASE).await.unwrap();
    bench.pass(LEASE / 2);
    assert!(bench.lease().await.is_none(), "it was extended");
    bench.pass(LEASE / 2);
    let quick = bench.lease_of("a").await;
    assert_eq!(quick.attempt, 2);
    let lost =
        |result: Result<(), QueueError>| assert!(matches!(result, Err(QueueError::LeaseLost { .. })), "{result:?}");
    lost(bench.queue.ack(&slow).await);
    lost(bench.queue.retry(&slow, None, failure("x"), true).await);
    lost(bench.queue.park(&slow, failure("x")).await.map(|_| ()));
    lost(bench.queue.move_to(&slow, &key("b")).await);
    lost(bench.queue.extend(&slow, LEASE).await);
    lost(bench.queue.release(&slow).await);
    bench.queue.ack(&quick).await.unwrap();
}

#[tokio::test]
async fn a_restart_voids_leases_and_keeps_the_count_of_attempts() {
    let mut bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    for attempt in 1..4 {
        let lease = bench.lease_of("a").await;
        assert_eq!(lease.attempt, attempt, "an attempt that killed the process is counted");
        bench.restart().await;
        assert!(matches!(bench.queue.ack(&lease).await, Err(QueueError::LeaseLost { .. })));
    }
}

#[tokio::test]
async fn retries_wait_longer_each_time_and_the_servers_word_wins() {
    let mut bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    for expected in [15.0, 30.0, 60.0, 120.0] {
        let lease = bench.lease_of("a").await;
        bench.queue.retry(&lease, None, failure("throttled"), true).await.unwrap();
        let view = bench.queue.show(&key("a")).await.unwrap().unwrap();
        assert_eq!(view.failure.unwrap().code, "throttled");
        bench.pass(Duration::from_secs_f64(expected * 0.89));
        assert!(bench.lease().await.is_none(), "not before {expected} s less a tenth");
        bench.pass(Duration::from_secs_f64(expected * 0.22));
        bench.restart().await;
    }
    let lease = bench.lease_of("a").await;
    assert_eq!(lease.attempt, 5);
    bench.queue.retry(&lease, Some(Duration::from_secs(600)), failure("throttled"), true).await.unwrap();
    bench.pass(Duration::from_secs(599));
    assert!(bench.lease().await.is_none(), "the server's word is never shortened");
    bench.pass(Duration::from_secs(62));
    let lease = bench.lease_of("a").await;
    bench.queue.retry(&lease, Some(Duration::ZERO), failure("server-unreachable"), false).await.unwrap();
    assert_eq!(bench.lease_of("a").await.attempt, 6, "an attempt that was not burnt is not counted");
}

#[tokio::test]
async fn news_hurry_an_entry_that_waits_for_its_next_attempt_and_a_sweep_does_not() {
    let bench = Bench::new().await;
    for (burn, cause) in [(true, Cause::Feed), (false, Cause::Feed), (true, Cause::Person)] {
        bench.put("a", Cause::Person).await;
        let lease = bench.lease_of("a").await;
        bench.queue.retry(&lease, Some(Duration::from_secs(9999)), failure("held"), burn).await.unwrap();
        bench.put("a", Cause::Sweep).await;
        bench.pass(SETTLE * 10);
        assert!(bench.lease().await.is_none(), "a sweep repeats what is known");
        bench.put("a", cause).await;
        bench.pass(SETTLE);
        let lease = bench.lease_of("a").await;
        assert_eq!(lease.attempt, if burn { 2 } else { 1 });
        bench.queue.ack(&lease).await.unwrap();
    }
}

#[test]
fn delays_grow_to_a_cap_and_are_spread() {
    let settings = RetrySettings::default();
    let seconds = |attempt, chance| delay(&settings, attempt, chance, None).as_secs_f64();
    assert_eq!((1..5).map(|attempt| seconds(attempt, 0.5)).collect::<Vec<_>>(), [15.0, 30.0, 60.0, 120.0]);
    assert!((13.4..13.6).contains(&seconds(1, 0.0)) && (16.4..16.6).contains(&seconds(1, 1.0)));
    for attempt in [9, 10, 50, u32::MAX] {
        assert!((3240.0..=3600.0).contains(&seconds(attempt, 0.7)), "{attempt}");
    }
    let asked = |seconds| delay(&settings, 1, 0.0, Some(Duration::from_secs(seconds))).as_secs();
    assert_eq!((asked(0), asked(7200), asked(u64::MAX)), (0, 7200, 24 * 3600));
}

#[tokio::test]
async fn a_released_lease_is_due_at_once_and_was_no_attempt() {
    let bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    let lease = bench.lease_of("a").await;
    bench.queue.release(&lease).await.unwrap();
    assert_eq!(bench.lease_of("a").await.attempt, 1);
}

#[tokio::test]
async fn a_parked_entry_waits_for_a_person_or_for_new_content() {
    let mut bench = Bench::new().await;
    bench.put("a", Cause::Person).await;
    let lease = bench.lease_of("a").await;
    assert!(bench.queue.park(&lease, FailureRecord { message: "m".repeat(99_999), ..failure("full") }).await.unwrap());
    bench.restart().await;
    bench.pass(Duration::from_secs(999_999));
    bench.put("a", Cause::Sweep).await;
    assert!(bench.lease().await.is_none(), "a sweep repeats what is known");
    let parked = bench.queue.list(Some(EntryState::Parked), None, 10).await.unwrap();
    assert_eq!(parked.len(), 1);
    let reason = parked[0].failure.as_ref().unwrap();
    assert_eq!((reason.code.as_str(), reason.hint.as_str()), ("full", "wait"));
    assert!(reason.message.len() < 10_000);
    assert_eq!(bench.queue.counts().parked, 1);

    assert!(bench.queue.retry_now(&key("a")).await.unwrap());
    assert!(!bench.queue.retry_now(&key("nobody")).await.unwrap());
    let lease = bench.lease_of("a").await;
    assert_eq!(lease.attempt, 1);
    assert!(matches!(bench.queue.retry_now(&key("a")).await, Err(QueueError::Busy { .. })));
    assert!(matches!(bench.queue.discard(&key("a")).await, Err(QueueError::Busy { .. })));
    assert!(bench.queue.park(&lease, failure("full")).await.unwrap());

    bench.put("a", Cause::Feed).await;
    bench.pass(SETTLE);
    let lease = bench.lease_of("a").await;
    assert_eq!(lease.attempt, 1, "new content begins anew");
    bench.put("a", Cause::Feed).await;
    assert!(!bench.queue.park(&lease, failure("full")).await.unwrap(), "new content came meanwhile");
    let lease = bench.lease_of("a").await;
    bench.put("a", Cause::Sweep).await;
    assert!(bench.queue.park(&lease, failure("full")).await.unwrap());

    let given_up = bench.queue.discard(&key("a")).await.unwrap().unwrap();
    assert_eq!((given_up.state, given_up.changes.len()), (EntryState::Parked, 1));
    assert_eq!(bench.queue.discard(&key("a")).await.unwrap(), None);
    bench.restart().await;
    assert_eq!(bench.queue.counts(), QueueCounts::default());
}

#[tokio::test]
async fn a_blocked_mailbox_waits_without_the_others() {
    let bench = Bench::new().await;
    let at = |name: &str, box_: &str| {
        let at = ItemRef { container: mailbox(box_), id: name.into() };
        (key(name), Change { at, ..change(name, Cause::Person) })
    };
    bench.queue.put(vec![at("a", "slow"), at("b", "slow"), at("c", "quick")]).await.unwrap();
    bench.queue.put(vec![at("c", "slow-too")]).await.unwrap();
    let slow = |_: &Key, containers: &[Container]| containers.contains(&mailbox("SLOW"));
    let lease = bench.queue.lease(LEASE, &slow).await.unwrap().unwrap();
    assert_eq!(lease.key, key("c"));
    assert!(bench.queue.lease(LEASE, &slow).await.unwrap().is_none());
    assert!(bench.lease().await.is_some());
}

#[tokio::test]
async fn an_entry_moves_to_the_key_it_turned_out_to_belong_to() {
    let mut bench = Bench::new().await;
    for target in ["new", "waiting", "leased", "parked"] {
        let (from, to) = (format!("from {target}"), format!("to {target}"));
        if target != "new" {
            bench.put(&to, Cause::Person).await;
        }
        let held = if target == "leased" || target == "parked" { Some(bench.lease_of(&to).await) } else { None };
        if target == "parked" {
            assert!(bench.queue.park(held.as_ref().unwrap(), failure("x")).await.unwrap());
        }
        bench.queue.put(vec![(key(&from), change("moved", Cause::Feed))]).await.unwrap();
        bench.pass(SETTLE);
        let lease = match bench.lease().await.unwrap() {
            lease if lease.key == key(&from) => lease,
            other => {
                let lease = bench.lease_of(&from).await;
                bench.queue.release(&other).await.unwrap();
                lease
            }
        };
        bench.queue.move_to(&lease, &key(&to)).await.unwrap();
        assert_eq!(bench.state(&from).await, None);
        if let Some(held) = held.filter(|_| target == "leased") {
            bench.queue.ack(&held).await.unwrap();
        }
        bench.restart().await;
        let lease = bench.lease_of(&to).await;
        let items: Vec<_> = lease.changes.iter().map(|change| change.at.id.as_str()).collect();
        let own = to.as_str();
        assert_eq!(items, if matches!(target, "new" | "leased") { vec!["moved"] } else { vec![own, "moved"] });
        bench.queue.ack(&lease).await.unwrap();
    }
    assert_eq!(bench.queue.counts(), QueueCounts::default());
}

#[tokio::test]
async fn more_changes_than_are_kept_are_told() {
    let bench = Bench::new().await;
    let changes = (0..CHANGES_MAX + 5).map(|item| (key("a"), change(&item.to_string(), Cause::Person)));
    bench.queue.put(changes.collect()).await.unwrap();
    let lease = bench.lease_of("a").await;
    assert!(lease.overflow);
    assert_eq!(lease.changes.len(), CHANGES_MAX);
    assert_eq!(lease.changes.last().unwrap().at.id, (CHANGES_MAX + 4).to_string());
    bench.put("a", Cause::Person).await;
    bench.queue.ack(&lease).await.unwrap();
    let lease = bench.lease_of("a").await;
    assert!(!lease.overflow);
    let changes = (0..CHANGES_MAX + 5).map(|item| (key("a"), change(&item.to_string(), Cause::Person)));
    bench.queue.put(changes.collect()).await.unwrap();
    bench.queue.ack(&lease).await.unwrap();
    assert!(bench.lease_of("a").await.overflow, "it overflowed while the lease lasted");
}

#[tokio::test]
async fn a_cursor_is_kept_per_container_with_the_changes_it_stands_behind() {
    let mut bench = Bench::new().await;
    let page: Vec<_> = (0..2500).map(|item| (key(&item.to_string()), change("i", Cause::Feed))).collect();
    bench.queue.put_with_cursor(page, &mailbox("ann"), "c1").await.unwrap();
    bench.queue.put_with_cursor(Vec::new(), &Container::Crm, "c2").await.unwrap();
    bench.restart().await;
    assert_eq!(bench.queue.counts().waiting, 2500);
    assert_eq!(bench.queue.cursor(&mailbox("ANN")).await.unwrap().as_deref(), Some("c1"));
    assert_eq!(bench.queue.cursor(&Container::Crm).await.unwrap().as_deref(), Some("c2"));
    assert_eq!(bench.queue.cursor(&mailbox("bob")).await.unwrap(), None);
    bench.queue.clear_cursor(&Container::Crm).await.unwrap();
    assert_eq!(bench.queue.cursor(&Container::Crm).await.unwrap(), None);

    let mut listed = Vec::new();
    while let page = bench.queue.list(None, listed.last(), 999).await.unwrap()
        && !page.is_empty()
    {
        listed.extend(page.into_iter().map(|view| view.key));
    }
    assert_eq!(listed.len(), 2500);
}

#[tokio::test]
async fn a_key_that_would_not_read_back_is_refused() {
    let mut bench = Bench::new().await;
    assert!(bench.queue.put(vec![(Key::Uid(String::new()), change("i", Cause::Feed))]).await.is_err());
    bench.queue.put(vec![(Key::Uid("a:b\n\u{0}".into()), change("i", Cause::Feed))]).await.unwrap();
    bench.restart().await;
    assert_eq!(bench.queue.counts().waiting, 1);
}

#[tokio::test]
async fn waiting_ends_when_something_may_be_due() {
    let bench = Bench::new().await;
    let wait = || bench.queue.wait(&nothing_blocked);
    // Each wait below would otherwise end only at its own limit of several seconds, one by one: together they show.
    let begun = std::time::Instant::now();
    within_limit("woken by a put", async { tokio::join!(wait(), bench.put("a", Cause::Person)) }).await;
    within_limit("due already", wait()).await;
    let lease = bench.lease_of("a").await;
    within_limit("woken by a retry", async {
        tokio::join!(wait(), async { bench.queue.retry(&lease, None, failure("x"), true).await.unwrap() })
    })
    .await;
    within_limit("woken by a nudge", async { tokio::join!(wait(), async { bench.queue.nudge() }) }).await;
    bench.pass(Duration::from_secs(17));
    within_limit("due after time passed", wait()).await;
    let lease = bench.lease_of("a").await;
    bench.pass(LEASE);
    within_limit("a lease ended by time", wait()).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "a wake-up was missed");
    drop(lease);

    let all = |_: &Key, _: &[Container]| true;
    let blocked = tokio::time::timeout(Duration::from_millis(50), bench.queue.wait(&all)).await;
    assert!(blocked.is_err(), "what is blocked wakes nobody");
}

#[tokio::test]
async fn entries_set_aside_come_back_in_their_order_without_a_burnt_attempt() {
    let mut bench = Bench::new().await;
    let names = ["3", "1", "2"];
    for name in names {
        bench.put(name, Cause::Feed).await;
        bench.pass(SETTLE);
    }
    let rule = RuleFailure { rule: "house".into(), kind: "set-aside".into(), step: 2, ..RuleFailure::default() };
    let aside = FailureRecord { rule: Some(rule), ..failure("rule-set-aside") };
    for name in names {
        let lease = bench.lease_of(name).await;
        bench.queue.set_aside(&lease, aside.clone()).await.unwrap();
    }
    assert!(bench.lease().await.is_none());
    bench.restart().await;
    let (cause, keys) = (aside.parked_by(), names.map(key));
    assert_eq!(bench.queue.parked_by(), [(cause.clone(), 3)]);
    assert_eq!(bench.queue.show(&keys[0]).await.unwrap().unwrap().failure, Some(aside));
    assert_eq!(bench.queue.parked_keys(&cause, 2), keys[..2]);
    assert_eq!(bench.queue.unpark(&keys[1..]).await.unwrap(), 2);
    assert_eq!(bench.queue.unpark(&keys).await.unwrap(), 1, "what is not parked any more is left as it is");
    assert_eq!((bench.queue.parked_by(), bench.queue.counts().waiting), (Vec::new(), 3));
    for name in names {
        assert_eq!(bench.lease_of(name).await.attempt, 1);
    }
}
