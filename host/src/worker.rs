//! The one place that joins all: from a queued change to an acknowledged one.
//!
//! ```text
//! lease -> look (read both sides) -> consider (rules, plan, merge) -> act (write) -> ledger + ack in one commit
//! ```
//! Promises: an appointment is worked on by one worker at a time; every failure turns back here and nowhere else: retry,
//! wait for the server, read again, or park with its reason. Nothing is dropped. Must not know: protocols, wasm.

mod act;
mod anew;
mod answer;
mod circuit;
mod consider;
mod failed;
mod guard;
mod halt;
pub(crate) mod keys;
mod look;
mod moved;
mod owned;
mod series;
mod trouble;
mod unasked;
mod written;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::broadcast;

pub use circuit::{CircuitTimes, Circuits, Waiting};
pub use consider::{Decision, Summary};
pub use halt::Halted;
pub(crate) use moved::Moved;
pub use series::SeriesSettings;
pub use trouble::Trouble;
#[cfg(feature = "program")]
pub(crate) use trouble::{ELSEWHERE, MOVED};

use crate::clock::Clock;
use crate::engine::{Brake, BrakeLimits, MailMeter, Op, Policy, RestlessLimits};
use crate::error::{Chain, Class};
use crate::identity::HostIdentity;
use crate::ledger::{Ledger, LedgerError, Mark};
use crate::lifecycle::Tasks;
use crate::model::{Change, Container, Direction, Key, MailBudget};
use crate::notify::Notifier;
use crate::queue::{Lease, Queue, QueueError};
use crate::rules::{Call, PassedOver, Rules};
use crate::servers::Servers;

/// How long a worker may take for one appointment before another may try: longer than all time limits of the requests one
/// step can make.
const LEASE: Duration = Duration::from_secs(600);

/// Outcomes kept for a listener that is slower than the work; the oldest are let go and only the listing suffers.
const OUTCOMES_MAX: usize = 1024;

/// How often a step is tried again at once after somebody changed the item in between, before it goes back to the queue.
const CONFLICTS_MAX: u32 = 5;

/// Something that always gives the rules in force; each appointment is finished with the generation it began with.
pub trait RuleSource: Send + Sync {
    fn current(&self) -> Arc<dyn Rules>;
}

/// Who wins a field that both sides moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// The policy's winner, always.
    Fixed,
    /// The side whose change the host heard of last. Wall clocks of the two servers are never compared.
    Latest,
}

/// The operator's choices.
#[derive(Clone, Debug)]
pub struct Settings {
    pub policy: Policy,
    pub conflicts: Conflicts,
    /// Unpaired appointments that ended longer ago are not taken up.
    pub past_window: TimeDelta,
    pub series: SeriesSettings,
    pub brake: BrakeLimits,
    /// When a pair is taken for one that will not come to rest.
    pub restless: RestlessLimits,
    /// Exchange invites people; else the CRM does, and no write makes Exchange mail anybody.
    pub exchange_invites: bool,
    /// Mails that may be caused within an hour; a write that would cause more is parked.
    pub mail_cap: u32,
    pub circuit: CircuitTimes,
    pub workers: usize,
    /// Calendars are claimed, so that no second host works on them.
    pub claim_mailboxes: bool,
}

/// Works the queue.
pub struct Worker {
    pub(crate) queue: Arc<Queue>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) servers: Arc<Servers>,
    pub(crate) rules: Arc<dyn RuleSource>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    host: HostIdentity,
    circuits: Circuits,
    halt: halt::Halt,
    moved: Mutex<BTreeMap<Container, Moved>>,
    calendars: owned::Calendars,
    /// Held by every step; whoever changes the names of items waits for them.
    still: tokio::sync::RwLock<()>,
    brake: Mutex<Brake>,
    mail_meter: Mutex<MailMeter>,
    counts: Counts,
    outcomes: broadcast::Sender<Summary>,
}

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Counts {
    pub crm_writes: AtomicU64,
    pub exchange_writes: AtomicU64,
    pub looked_at: AtomicU64,
    mail: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counts {
    /// Mails declared by writes that were carried out: invitations, updates, cancellations.
    pub fn mail(&self) -> (u64, u64, u64) {
        let mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |kind| mail.get(kind).copied().unwrap_or(0);
        (of("invitations"), of("updates"), of("cancellations"))
    }

    fn add_mail(&self, budget: MailBudget) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in
            [("invitations", budget.invitations), ("updates", budget.updates), ("cancellations", budget.cancellations)]
        {
            *mail.entry(kind).or_default() += u64::from(count);
        }
    }
}

/// All a worker is made of.
pub struct Parts {
    pub queue: Arc<Queue>,
    pub ledger: Arc<Ledger>,
    pub servers: Arc<Servers>,
    pub rules: Arc<dyn RuleSource>,
    pub notifier: Arc<Notifier>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    /// Which host this is, to calendars that say who keeps them.
    pub host: HostIdentity,
}

impl Worker {
    pub fn new(parts: Parts) -> Self {
        let Parts { queue, ledger, servers, rules, notifier, clock, settings, host } = parts;
        Self {
            queue,
            ledger,
            servers,
            rules,
            notifier,
            clock,
            settings,
            host,
            circuits: Circuits::default(),
            halt: halt::Halt::default(),
            moved: Mutex::default(),
            calendars: owned::Calendars::default(),
            still: tokio::sync::RwLock::default(),
            brake: Mutex::default(),
            mail_meter: Mutex::default(),
            counts: Counts::default(),
            outcomes: broadcast::Sender::new(OUTCOMES_MAX),
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is done from now on, one summary for each appointment worked off.
    pub fn watch(&self) -> broadcast::Receiver<Summary> {
        self.outcomes.subscribe()
    }

    /// What would be done about an appointment; writes nothing.
    ///
    /// # Errors
    /// [`Trouble`] that would keep it from being worked off.
    pub async fn plan(&self, key: &Key, changes: &[Change]) -> Result<Summary, Trouble> {
        let rules = self.rules.current();
        match self.consider(key, changes, &rules, false).await {
            Err(Trouble::Belongs(other)) => {
                self.consider(&other, changes, &rules, false).await.map(|decision| decision.summary())
            }
            Err(Trouble::Series) => self.plan_series(key, changes, &rules).await,
            other => other.map(|decision| decision.summary()),
        }
    }

    /// What would be done about a pair that is made anew by the rules in force; writes nothing.
    ///
    /// # Errors
    /// [`Trouble`] that would keep it from being worked off.
    pub async fn plan_anew(&self, key: &Key) -> Result<Summary, Trouble> {
        self.consider(key, &[], &self.rules.current(), true).await.map(|decision| decision.summary())
    }

    /// Which rules are passed over for an appointment as both sides show it, and why; writes nothing.
    ///
    /// # Errors
    /// [`Trouble`] that keeps the sides from being read.
    pub async fn passed_over(&self, key: &Key, changes: &[Change]) -> Result<Vec<(Direction, PassedOver)>, Trouble> {
        let entry = self.ledger.get(key).await?;
        let view = self.look(key, entry.as_ref(), changes).await?;
        let (rules, id) = (self.rules.current(), key.to_string());
        let mut passed = Vec::new();
        for (direction, seen) in [(Direction::CrmToExchange, &view.crm), (Direction::ExchangeToCrm, &view.exchange)] {
            let Some(item) = seen.present().filter(|_| self.settings.policy.allows(direction)) else { continue };
            let over = rules.passed_over(Call { id: &id, direction, source: &item.appointment }).await;
            passed.extend(over.into_iter().map(|over| (direction, over)));
        }
        Ok(passed)
    }

    /// Servers and mailboxes that are being waited for.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.circuits.waiting()
    }

    /// Starts the workers.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        for _ in 0..self.settings.workers.max(1) {
            let (worker, stop, host) = (self.clone(), tasks.stopping(), tasks.clone());
            tasks.spawn("worker", async move {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = worker.servers.people_read() => {}
                }
                loop {
                    let gate = worker.gate();
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = worker.queue.wait(&gate) => {}
                    }
                    // A step under way is finished: a clean stop never leaves a write without its ledger entry.
                    while !stop.is_cancelled() {
                        match worker.step().await {
                            Ok(true) => {}
                            Ok(false) => break,
                            // Memory and disk may disagree now; what was acknowledged is safe, and a start reads it again.
                            Err(error) => {
                                tracing::error!(error = %Chain(&error), hint = error.hint(), "The store failed; the host stops");
                                return host.give_up();
                            }
                        }
                    }
                }
            });
        }
    }

    /// Works until nothing is due, as many appointments at a time as there are workers.
    ///
    /// # Errors
    /// As [`Worker::step`].
    pub async fn work_off(&self) -> Result<(), QueueError> {
        let hands = (0..self.settings.workers.max(1)).map(|_| async {
            while self.step().await? {}
            Ok(())
        });
        futures::future::try_join_all(hands).await.map(drop)
    }

    /// Works one due appointment; false if none is due.
    ///
    /// # Errors
    /// [`QueueError::Store`] if the store failed: nothing more can be done with it.
    pub async fn step(&self) -> Result<bool, QueueError> {
        let _moving = self.still.read().await;
        let Some(lease) = self.queue.lease(LEASE, &self.gate()).await? else { return Ok(false) };
        self.counts.looked_at.fetch_add(1, Ordering::Relaxed);
        match self.work(lease).await {
            Err(QueueError::LeaseLost { key } | QueueError::Busy { key }) => {
                tracing::warn!(appointment.key = %key, "{key} took longer than its lease; it is worked on once more");
                Ok(true)
            }
            other => other.map(|()| true),
        }
    }

    /// One appointment, from its changes to an acknowledgement.
    async fn work(&self, lease: Lease) -> Result<(), QueueError> {
        let mut conflicts = 0;
        loop {
            let rules = self.rules.current();
            let generation = rules.generation();
            match self.once(&lease.key, &lease.changes, &rules).await {
                Ok((decision, done)) => {
                    self.account(&decision, &done);
                    if let Some(entry) = &done.entry
                        && let Err(error) = self.ledger.record(entry, done.event.into_iter().collect()).await
                    {
                        return self.failed(lease, Trouble::from(error), &generation).await;
                    }
                    if let Err(error) = self.marked(&decision, done.crm_writes + done.exchange_writes > 0).await {
                        return self.failed(lease, Trouble::from(error), &generation).await;
                    }
                    self.queue.ack(&lease).await?;
                    self.judged(&lease.key);
                    return Ok(());
                }
                Err(Trouble::Server { error, .. }) if error.class() == Class::Conflict && conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                }
                Err(Trouble::Belongs(key)) => return self.move_to(lease, &key).await,
                Err(Trouble::Series) => return self.work_series(lease, &rules).await,
                Err(trouble) if trouble.leaves_alone() => {
                    tracing::debug!(appointment.key = %lease.key, rules.generation = generation.number, "Left alone: {trouble}");
                    self.queue.ack(&lease).await?;
                    self.judged(&lease.key);
                    return Ok(());
                }
                Err(trouble) => return self.failed(lease, trouble, &generation).await,
            }
        }
    }

    /// Keeps the pair's mark true: made anew, or written to by other rules since.
    async fn marked(&self, decision: &Decision, wrote: bool) -> Result<(), LedgerError> {
        let Some(mark) = &decision.mark else { return Ok(()) };
        let key = &decision.key;
        match (decision.reapply, mark.done) {
            (true, _) => self.ledger.set_marks(std::slice::from_ref(key), &Mark { done: true, ..mark.clone() }).await,
            // Other rules came in force before it was made anew: a person decides once more.
            (false, false) => self.ledger.clear_mark(key).await,
            (false, true) if wrote && mark.digest != decision.rules.generation().digest => {
                self.ledger.clear_mark(key).await
            }
            (false, true) => Ok(()),
        }
    }

    async fn move_to(&self, lease: Lease, key: &Key) -> Result<(), QueueError> {
        tracing::debug!(appointment.key = %lease.key, "Worked on under {key}");
        self.queue.move_to(&lease, key).await?;
        self.halt.moved(&lease.key, key);
        Ok(())
    }

    async fn once(
        &self,
        key: &Key,
        changes: &[Change],
        rules: &Arc<dyn Rules>,
    ) -> Result<(Decision, act::Done), Trouble> {
        let decision = self.consider(key, changes, rules, false).await?;
        let done = self.act(&decision).await?;
        Ok((decision, done))
    }

    fn account(&self, decision: &Decision, done: &act::Done) {
        self.counts.crm_writes.fetch_add(done.crm_writes.into(), Ordering::Relaxed);
        self.counts.exchange_writes.fetch_add(done.exchange_writes.into(), Ordering::Relaxed);
        // Nobody may be listening.
        let _ = self.outcomes.send(decision.summary());
        let generation = decision.rules.generation();
        match &decision.op {
            Op::Nothing | Op::Skip(_) => tracing::debug!(
                appointment.key = %decision.key, rules.generation = generation.number, "Left alone: {}", decision.why
            ),
            Op::Note(_) | Op::Create { .. } | Op::Merge | Op::Delete { .. } => tracing::info!(
                appointment.key = %decision.key,
                rules.generation = generation.number,
                writes.crm = done.crm_writes,
                writes.exchange = done.exchange_writes,
                mails = decision.mail.budget.total(),
                "Synchronized: {}",
                decision.why
            ),
        }
    }
}
