//! The queue against a model of a few lines: random verbs, restarts, and power lost at random moments.
//!
//! The model keeps, after every commit, what the queue must hold if exactly the commits up to there survive. A power cut
//! keeps what was flushed and a random number of the commits behind it; the queue must then equal the model of that moment.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chrono::TimeDelta;
use daybridge::clock::{Clock, FixedClock};
use daybridge::model::{Cause, Container, Key};
use daybridge::queue::{EntryState, Lease, Queue, QueueError, QueueSettings, nothing_blocked};
use daybridge::store::{MemoryStore, SledStore, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{change, failure, key, start};

const SEED: [u8; 32] = *b"daybridge queue model, seed 0001";

/// Causes by weight: of two changes of an item the weightier cause stays. The first two bring no news.
const WEIGHTS: [Cause; 5] = [Cause::Sweep, Cause::Again, Cause::Feed, Cause::First, Cause::Person];

#[derive(Clone, Debug)]
enum Op {
    Put {
        key: u8,
        item: u8,
        cause: Cause,
    },
    PutPage {
        keys: Vec<u8>,
    },
    Lease,
    Ack(usize),
    Retry {
        lease: usize,
        after: Option<u64>,
        burn: bool,
    },
    Release(usize),
    Park(usize),
    Move {
        lease: usize,
        to: u8,
    },
    RetryNow(u8),
    Discard(u8),
    Pass(u64),
    /// What was committed reaches the disk.
    Flush,
    Restart,
    /// Power is lost; this share (of 255) of the commits under way had reached the disk.
    PowerLost(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let cause = prop::sample::select(&WEIGHTS[..]);
    let (key, lease) = (0..4_u8, 0..4_usize);
    prop_oneof![
        6 => (key.clone(), 0..3_u8, cause).prop_map(|(key, item, cause)| Op::Put { key, item, cause }),
        2 => prop::collection::vec(key.clone(), 0..6).prop_map(|keys| Op::PutPage { keys }),
        6 => Just(Op::Lease),
        4 => lease.clone().prop_map(Op::Ack),
        2 => (lease.clone(), prop::option::of(0..90_u64), any::<bool>())
            .prop_map(|(lease, after, burn)| Op::Retry { lease, after, burn }),
        1 => lease.clone().prop_map(Op::Release),
        2 => lease.clone().prop_map(Op::Park),
        2 => (lease, key.clone()).prop_map(|(lease, to)| Op::Move { lease, to }),
        1 => key.clone().prop_map(Op::RetryNow),
        1 => key.prop_map(Op::Discard),
        3 => (0..100_u64).prop_map(Op::Pass),
        2 => Just(Op::Flush),
        1 => Just(Op::Restart),
        2 => any::<u8>().prop_map(Op::PowerLost),
    ]
}

/// Items in the order of their latest change, with their causes.
type Changes = Vec<(String, Cause)>;

/// What survives: one entry of the model.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    changes: Changes,
    /// What came since the lease under way.
    fresh: Changes,
    attempts: u32,
    parked: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Disk {
    entries: BTreeMap<String, Kept>,
    pages: u32,
}

impl Kept {
    fn merged(mut self) -> Self {
        for (item, cause) in std::mem::take(&mut self.fresh) {
            join(&mut self.changes, &item, cause);
        }
        self
    }
}

fn join(list: &mut Changes, item: &str, cause: Cause) {
    let weight = |cause: &Cause| WEIGHTS.iter().position(|known| known == cause);
    let known = list.iter().position(|(known, _)| known == item).map(|at| list.remove(at).1);
    list.push((item.to_owned(), known.into_iter().chain([cause]).max_by_key(weight).unwrap()));
}

fn is_news(cause: Cause) -> bool {
    !WEIGHTS[..2].contains(&cause)
}

/// A lease under way, and when it ends.
#[derive(Clone, Debug)]
struct Held {
    lease: Lease,
    ends: chrono::DateTime<chrono::Utc>,
}

struct World {
    backend: Backend,
    clock: Arc<FixedClock>,
    queue: Queue,
    now: Disk,
    /// After commit n (in the order they were made), what is kept if it is the last to survive.
    after: Vec<Disk>,
    held: Vec<Held>,
    runtime: tokio::runtime::Runtime,
}

enum Backend {
    Memory(Arc<MemoryStore>),
    Sled { folder: tempfile::TempDir },
}

const LEASE_SECONDS: u64 = 60;

impl World {
    fn new(sled: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let clock = Arc::new(FixedClock::new(start(), 7));
        let (backend, store): (_, Arc<dyn Store>) = if sled {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(SledStore::open(folder.path()).unwrap());
            (Backend::Sled { folder }, store)
        } else {
            let store = Arc::new(MemoryStore::held());
            (Backend::Memory(store.clone()), store)
        };
        let queue = runtime.block_on(Queue::open(store, clock.clone(), settings())).unwrap();
        Self { backend, clock, queue, now: Disk::default(), after: vec![Disk::default()], held: Vec::new(), runtime }
    }

    /// Starts a verb and sees to it that what it committed is not confirmed before it is on disk. An error is the verb's
    /// own refusal.
    fn start<T>(&self, verb: impl Future<Output = Result<T, QueueError>>) -> Result<Option<T>, QueueError> {
        let pending = || if let Backend::Memory(store) = &self.backend { store.pending() } else { 0 };
        let before = pending();
        let result = self.begin(verb)?;
        assert!(pending() == before || result.is_none(), "confirmed before it is durable");
        Ok(result)
    }

    /// Starts a verb; on the held store one that waits for the disk stays under way.
    fn begin<T>(&self, verb: impl Future<Output = Result<T, QueueError>>) -> Result<Option<T>, QueueError> {
        match self.backend {
            Backend::Sled { .. } => self.runtime.block_on(verb).map(Some),
            Backend::Memory(_) => match pin!(verb).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => result.map(Some),
                Poll::Pending => Ok(None),
            },
        }
    }

    fn committed(&mut self) {
        self.after.push(self.now.clone());
    }

    fn reopen(&mut self, store: Arc<dyn Store>, keeps: usize) {
        self.now = self.after[keeps].clone();
        self.after.truncate(keeps + 1);
        self.held.clear();
        self.expire();
        self.queue = self.runtime.block_on(Queue::open(store, self.clock.clone(), settings())).unwrap();
    }

    fn restart(&mut self, lost_share: Option<u8>) {
        let commits = self.after.len() - 1;
        match &self.backend {
            Backend::Memory(store) => {
                let pending = store.pending();
                let written = pending * usize::from(lost_share.unwrap_or(u8::MAX)) / usize::from(u8::MAX);
                let next = Arc::new(store.power_lost(written));
                self.backend = Backend::Memory(next.clone());
                self.reopen(next, commits - pending + written);
            }
            Backend::Sled { folder } => {
                let path = folder.path().to_owned();
                let clock = self.clock.clone();
                // The folder is free only when the old queue has let go of its store.
                self.queue =
                    self.runtime.block_on(Queue::open(Arc::new(MemoryStore::new()), clock, settings())).unwrap();
                self.reopen(Arc::new(SledStore::open(&path).unwrap()), commits);
            }
        }
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        self.held.retain(|held| held.ends > now);
        let held: Vec<_> = self.held.iter().map(|held| name_of(&held.lease.key)).collect();
        for (name, kept) in &mut self.now.entries {
            if !held.contains(name) {
                *kept = std::mem::take(kept).merged();
            }
        }
    }

    fn fold(&mut self, name: &str, item: &str, cause: Cause) {
        let held = self.held.iter().any(|held| held.lease.key == key(name));
        let kept = self.now.entries.entry(name.to_owned()).or_default();
        if kept.parked && is_news(cause) {
            (kept.parked, kept.attempts) = (false, 0);
        }
        join(if held { &mut kept.fresh } else { &mut kept.changes }, item, cause);
    }

    /// Takes the lease's place in the list; an index beyond it is taken modulo its length.
    fn take(&mut self, index: usize) -> Option<(Held, String)> {
        self.expire();
        if self.held.is_empty() {
            return None;
        }
        let held = self.held.remove(index % self.held.len());
        let name = name_of(&held.lease.key);
        Some((held, name))
    }

    fn lease(&mut self) {
        self.expire();
        let now = self.clock.now();
        let all = self.runtime.block_on(self.queue.list(None, None, 99)).unwrap();
        let due = all.iter().filter(|view| view.state == EntryState::Waiting && view.due <= now).count();
        let time = Duration::from_secs(LEASE_SECONDS);
        let lease = self.begin(self.queue.lease(time, &nothing_blocked)).unwrap().expect("a lease waits for nothing");
        let Some(lease) = lease else {
            assert_eq!(due, 0, "something is due, and is not leased");
            return;
        };
        assert!(due > 0);
        assert!(self.held.iter().all(|held| held.lease.key != lease.key), "two live leases of {}", lease.key);
        let name = name_of(&lease.key);
        let kept = self.now.entries.get_mut(&name).expect("a lease of an entry that was forgotten");
        kept.attempts += 1;
        let items: Vec<_> = lease.changes.iter().map(|change| (change.at.id.clone(), change.cause)).collect();
        assert_eq!((lease.attempt, items), (kept.attempts, kept.changes.clone()));
        self.held.push(Held { lease, ends: now + TimeDelta::seconds(LEASE_SECONDS as i64) });
        self.committed();
    }

    fn play(&mut self, op: &Op) {
        match op {
            Op::Put { key: name, item, cause } => {
                let (name, item) = (format!("k{name}"), format!("i{item}"));
                self.start(self.queue.put(vec![(key(&name), change(&item, *cause))])).unwrap();
                self.expire();
                self.fold(&name, &item, *cause);
                self.committed();
            }
            Op::PutPage { keys } => {
                let page = self.now.pages + 1;
                let changes =
                    keys.iter().map(|name| (key(&format!("k{name}")), change(&format!("p{page}"), Cause::Feed)));
                let cursor = page.to_string();
                let verb = self.queue.put_with_cursor(changes.collect(), &Container::Crm, &cursor);
                self.start(verb).unwrap();
                self.expire();
                for name in keys {
                    self.fold(&format!("k{name}"), &format!("p{page}"), Cause::Feed);
                }
                self.now.pages = page;
                self.committed();
            }
            Op::Lease => self.lease(),
            Op::Ack(index) => {
                let Some((held, name)) = self.take(*index) else { return };
                self.start(self.queue.ack(&held.lease)).unwrap();
                let fresh = self.now.entries.remove(&name).unwrap().fresh;
                if !fresh.is_empty() {
                    self.now.entries.insert(name, Kept { changes: fresh, ..Kept::default() });
                }
                self.committed();
                let again = self.start(self.queue.ack(&held.lease));
                assert!(matches!(again, Err(QueueError::LeaseLost { .. })), "{again:?}");
            }
            Op::Retry { lease, after, burn } => {
                let Some((held, name)) = self.take(*lease) else { return };
                let after = after.map(Duration::from_secs);
                self.start(self.queue.retry(&held.lease, after, failure("x"), *burn)).unwrap();
                if !burn {
                    self.kept(&name).attempts -= 1;
                }
                self.expire();
                self.committed();
            }
            Op::Release(index) => {
                let Some((held, name)) = self.take(*index) else { return };
                self.start(self.queue.release(&held.lease)).unwrap();
                self.kept(&name).attempts -= 1;
                self.expire();
                self.committed();
            }
            Op::Park(index) => {
                let Some((held, name)) = self.take(*index) else { return };
                self.start(self.queue.park(&held.lease, failure("x"))).unwrap();
                let kept = self.kept(&name);
                if kept.fresh.iter().any(|(_, cause)| is_news(*cause)) {
                    kept.attempts = 0;
                } else {
                    kept.parked = true;
                }
                self.expire();
                self.committed();
            }
            Op::Move { lease, to } => {
                let Some((held, name)) = self.take(*lease) else { return };
                let to = format!("k{to}");
                self.start(self.queue.move_to(&held.lease, &key(&to))).unwrap();
                if to == name {
                    self.kept(&name).attempts -= 1;
                    self.expire();
                } else {
                    let moved = self.now.entries.remove(&name).unwrap().merged();
                    for (item, cause) in moved.changes {
                        self.fold(&to, &item, cause);
                    }
                }
                self.committed();
            }
            Op::RetryNow(name) => self.retry_or_discard(&format!("k{name}"), true),
            Op::Discard(name) => self.retry_or_discard(&format!("k{name}"), false),
            Op::Pass(seconds) => self.clock.advance(TimeDelta::seconds(*seconds as i64)),
            Op::Flush => {
                if let Backend::Memory(store) = &self.backend {
                    store.flush();
                }
            }
            Op::Restart => {
                if let Backend::Memory(store) = &self.backend {
                    store.flush();
                }
                self.restart(None);
            }
            Op::PowerLost(share) => self.restart(Some(*share)),
        }
    }

    fn kept(&mut self, name: &str) -> &mut Kept {
        self.now.entries.get_mut(name).expect("an entry under lease is kept")
    }

    fn retry_or_discard(&mut self, name: &str, retry: bool) {
        // Leases that ended by time are noticed by whoever looks next.
        self.queue.counts();
        self.expire();
        let busy = self.held.iter().any(|held| held.lease.key == key(name));
        let result = if retry {
            self.start(self.queue.retry_now(&key(name))).map(|_| ())
        } else {
            self.start(self.queue.discard(&key(name))).map(|_| ())
        };
        assert_eq!(matches!(result, Err(QueueError::Busy { .. })), busy, "{result:?}");
        if busy || !self.now.entries.contains_key(name) {
            return;
        }
        if retry {
            let kept = self.kept(name);
            (kept.parked, kept.attempts) = (false, 0);
        } else {
            self.now.entries.remove(name);
        }
        self.committed();
    }

    /// The queue equals the model.
    fn check(&mut self) {
        let counts = self.queue.counts();
        self.expire();
        let views = self.runtime.block_on(self.queue.list(None, None, 99)).unwrap();
        let found: BTreeMap<_, _> = views
            .iter()
            .map(|view| {
                let changes = view.changes.iter().map(|change| (change.at.id.clone(), change.cause)).collect();
                let parked = view.state == EntryState::Parked;
                (name_of(&view.key), Kept { changes, fresh: Vec::new(), attempts: view.attempts, parked })
            })
            .collect();
        let expected = self.now.entries.clone().into_iter().map(|(name, kept)| (name, kept.merged()));
        assert_eq!(found, expected.collect());
        let cursor = self.runtime.block_on(self.queue.cursor(&Container::Crm)).unwrap();
        assert_eq!(cursor, (self.now.pages > 0).then(|| self.now.pages.to_string()), "the cursor and its changes part");
        let state = |state| views.iter().filter(|view| view.state == state).count();
        assert_eq!(
            (counts.waiting, counts.leased, counts.parked),
            (state(EntryState::Waiting), state(EntryState::Leased), state(EntryState::Parked))
        );
        assert_eq!(counts.leased, self.held.len());
    }
}

fn name_of(key: &Key) -> String {
    key.to_string().trim_start_matches("crm:").to_owned()
}

fn settings() -> QueueSettings {
    QueueSettings { settle: Duration::from_secs(1), ..QueueSettings::default() }
}

fn play_all(sled: bool, cases: u32, ops: std::ops::Range<usize>) {
    println!("seed {:?}, {cases} cases", String::from_utf8_lossy(&SEED));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let result = runner.run(&prop::collection::vec(op(), ops), |ops| {
        let mut world = World::new(sled);
        for op in &ops {
            world.play(op);
            world.check();
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn the_queue_equals_its_model_through_power_cuts() {
    play_all(false, 600, 1..80);
}

#[test]
fn the_queue_equals_its_model_on_sled_through_restarts() {
    play_all(true, 12, 20..60);
}
