//! Turns what servers report into queued changes: a feed for each container, on a period, on a doorbell, and as a full
//! sweep now and then that repairs whatever was missed, deletes above all.
//!
//! Promises: a cursor is stored in the same commit as the changes before it. Running a pass twice is harmless. What the
//! first pass over a container brings was there before the sync and is marked so. Reads no faster than the work goes: of a
//! container no more than a page is in memory. Must not know: what will be done about a change.

mod moved;
mod sweep;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::connector::{Batch, Cursor, Naming, Problem};
use crate::error::{Chain, Class};
use crate::ledger::Ledger;
use crate::lifecycle::Tasks;
use crate::model::{Cause, Change, Container, Key};
use crate::notify::Notice;
use crate::people::{Matching, People};
use crate::queue::Queue;
use crate::roster::Roster;
use crate::servers::Servers;
use crate::worker::keys::key_for;
use crate::worker::{Trouble, Worker};

/// How long one wait for a server's doorbell may last before it is renewed.
const DOORBELL_LIMIT: Duration = Duration::from_secs(25 * 60);
/// Least time between two sweeps of the CRM that a doorbell without any change sets off.
const DOORBELL_SWEEP_MIN: TimeDelta = TimeDelta::seconds(5);

/// How often things are looked at.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    pub poll: Duration,
    pub sweep: Duration,
    pub users: Duration,
    pub matching: Matching,
    /// Who names the items on each Exchange server.
    pub namings: BTreeMap<String, Naming>,
}

/// How a container's feed stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// When the feed was last read to its end.
    pub last_pass: Option<DateTime<Utc>>,
    pub last_sweep: Option<DateTime<Utc>>,
    /// Why the last pass failed; none if it did not.
    pub failure: Option<FeedFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFailure {
    pub code: String,
    pub message: String,
    pub hint: String,
}

/// What a pass over a container brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Changes that were queued.
    pub found: usize,
    /// More waits there, but the time was up.
    pub more: bool,
}

/// The feeds of all containers.
pub struct Feeds {
    worker: Arc<Worker>,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    servers: Arc<Servers>,
    roster: Arc<Roster>,
    clock: Arc<dyn Clock>,
    settings: FeedSettings,
    watches: Mutex<BTreeMap<Container, Arc<Watch>>>,
    people_changed: Notify,
    /// Somebody else read the people: feeds are to follow them.
    people_read: Notify,
    statuses: Mutex<BTreeMap<Container, FeedStatus>>,
    /// Held by the one whose changes are queued next, once there is room.
    door: tokio::sync::Mutex<()>,
}

/// What one page of a feed brought.
struct Page {
    found: usize,
    /// More waits behind it.
    more: bool,
    /// The server no longer knew the place: the feed began again.
    restarted: bool,
}

#[derive(Debug, Default)]
struct Watch {
    bell: Notify,
    /// Held for a page: two at a time could store their cursors out of order.
    page: tokio::sync::Mutex<()>,
}

impl Feeds {
    pub fn new(worker: Arc<Worker>, roster: Arc<Roster>, settings: FeedSettings) -> Self {
        Self {
            queue: worker.queue.clone(),
            ledger: worker.ledger.clone(),
            servers: worker.servers.clone(),
            clock: worker.clock.clone(),
            worker,
            roster,
            settings,
            watches: Mutex::default(),
            people_changed: Notify::new(),
            people_read: Notify::new(),
            statuses: Mutex::default(),
            door: tokio::sync::Mutex::default(),
        }
    }

    /// Starts the feeds: users first, then a feed for the CRM and each mailbox, doorbells, sweeps.
    pub fn start(self: &Arc<Self>, tasks: &Tasks) {
        let (feeds, own) = (self.clone(), tasks.clone());
        tasks.spawn("users", async move {
            loop {
                let wait = match feeds.refresh_people().await {
                    Ok(()) => {
                        feeds.watch_all(&own);
                        feeds.settings.users
                    }
                    // While the server is waited for, a try costs no request.
                    Err(trouble) => {
                        tracing::debug!(error = %trouble, "The CRM's users could not be read; tried again");
                        feeds.worker.settings.circuit.first
                    }
                };
                tokio::select! {
                    () = own.stopping().cancelled_owned() => return,
                    () = tokio::time::sleep(wait) => {}
                    () = feeds.people_read.notified() => {}
                }
            }
        });
        for server in self.servers.exchange() {
            let (feeds, name, stop) = (self.clone(), server.name().to_owned(), tasks.stopping());
            tasks.spawn("doorbell", async move {
                tokio::select! { () = stop.cancelled() => {}, () = feeds.listen(&name) => {} }
            });
        }
    }

    /// Reads the CRM's users and matches them with mailboxes.
    ///
    /// # Errors
    /// [`Trouble`] if the CRM does not answer.
    pub async fn refresh_people(&self) -> Result<(), Trouble> {
        let crm = self.servers.crm().clone();
        let users = self.worker.ask(&crm, &Container::Crm, crm.users()).await.inspect_err(|trouble| {
            if let Trouble::Server { server, container, error } = trouble {
                self.worker.trouble_with(server, container, error);
            }
        })?;
        let people = People::matched(&users, &self.settings.matching, &self.roster.standings());
        crm.know_mailboxes(&people.addresses()).await;
        let before = self.servers.people();
        for (user, absence) in &people.left_out {
            if !before.left_out.iter().any(|(other, told)| other.id == user.id && told == absence) {
                tracing::info!(user.id = user.id.0, "CRM user {} takes no part: {}", user.id.0, absence.code());
            }
        }
        // Before anybody may be looked for there.
        self.hold_moved(&people).await?;
        let same = before.mailboxes().eq(people.mailboxes());
        self.servers.set_people(people);
        if !same {
            self.people_changed.notify_waiters();
        }
        Ok(())
    }

    /// The feeds of a running host follow the people as they were read last.
    pub fn follow_people(&self) {
        self.people_read.notify_one();
    }

    pub fn matching(&self) -> &Matching {
        &self.settings.matching
    }

    /// Every container there is to watch.
    pub fn containers(&self) -> Vec<Container> {
        let people = self.servers.people();
        std::iter::once(Container::Crm)
            .chain(people.mailboxes().map(|mailbox| Container::Mailbox(mailbox.address.clone())))
            .collect()
    }

    /// "Something changed there": the feed looks now.
    pub fn ring(&self, container: &Container) {
        self.watch(container).bell.notify_one();
    }

    pub fn status(&self, container: &Container) -> FeedStatus {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.get(container).cloned().unwrap_or_default()
    }

    fn watch(&self, container: &Container) -> Arc<Watch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.entry(container.clone()).or_default().clone()
    }

    fn watch_all(self: &Arc<Self>, tasks: &Tasks) {
        for container in self.containers() {
            let known = {
                let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
                watches.contains_key(&container)
            };
            let watched = self.watch(&container);
            // A task holds the watch as long as it runs; a bell rung before the task began is kept by the Notify.
            if known && Arc::strong_count(&watched) > 2 {
                continue;
            }
            let (feeds, stop) = (self.clone(), tasks.stopping());
            tasks.spawn("feed", async move {
                tokio::select! { () = stop.cancelled() => {}, () = feeds.follow(&container, &watched) => {} }
            });
        }
    }

    /// The life of one feed. Ends when the container takes no part any more.
    async fn follow(&self, container: &Container, watch: &Watch) {
        let mut swept = Instant::now();
        let mut rung = false;
        loop {
            if self.servers.of(container).is_none() {
                return;
            }
            let passed = self.pass(container, None).await;
            let found = passed.map(|passed| passed.found);
            let sweep_due = swept.elapsed() >= self.settings.sweep
                || (rung && found == Ok(0) && *container == Container::Crm && self.may_sweep_on_bell(container));
            // A sweep that failed is in the status and is due again after the next pass.
            if sweep_due && found.is_ok() && self.sweep(container).await.is_ok() {
                swept = Instant::now();
            }
            tokio::select! {
                () = watch.bell.notified() => rung = true,
                () = tokio::time::sleep(self.settings.poll) => rung = false,
            }
        }
    }

    /// The CRM hides deleted rows from its feed: a bell without any change most likely means a deletion.
    fn may_sweep_on_bell(&self, container: &Container) -> bool {
        let last = self.status(container).last_sweep;
        last.is_none_or(|last| self.clock.now() - last >= DOORBELL_SWEEP_MIN)
    }

    /// Reads the feed of a container into the queue: to its end, or until the time is up.
    ///
    /// # Errors
    /// The failure, which is kept in the status and told already.
    pub async fn pass(&self, container: &Container, end: Option<Instant>) -> Result<Passed, FeedFailure> {
        let (mut passed, mut restarted) = (Passed::default(), false);
        let outcome = loop {
            match self.page(container).await {
                Ok(page) => {
                    passed.found += page.found;
                    restarted |= page.restarted;
                    passed.more = page.more && end.is_some_and(|end| Instant::now() >= end);
                    if passed.more || !page.more {
                        break Ok(passed);
                    }
                }
                Err(trouble) => break Err(self.failed(container, &trouble)),
            }
        };
        {
            let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
            let status = statuses.entry(container.clone()).or_default();
            match &outcome {
                Ok(passed) if passed.more => status.failure = None,
                Ok(_) => {
                    status.last_pass = Some(self.clock.now());
                    status.failure = None;
                }
                Err(failure) => status.failure = Some(failure.clone()),
            }
        }
        // A feed that starts over tells what is there; what went meanwhile only a comparison shows.
        if restarted && outcome.is_ok() {
            passed.found += self.sweep(container).await?;
            return Ok(passed);
        }
        outcome
    }

    /// One page of the feed, queued together with its cursor.
    async fn page(&self, container: &Container) -> Result<Page, Trouble> {
        let watch = self.watch(container);
        let _one = watch.page.lock().await;
        let place = self.queue.cursor(container).await?.map(|stored| Place::parse(&stored));
        let cursor = place.as_ref().and_then(Place::after);
        let mut restarted = place.is_some() && cursor.is_none();
        let batch = match self.ask(container, cursor).await {
            Err(Trouble::Server { error, .. }) if error.problem == Problem::CursorLost && cursor.is_some() => {
                tracing::warn!(container.side = %container.side(), "The feed starts over: the server no longer knows the place");
                restarted = true;
                self.ask(container, None).await?
            }
            other => other?,
        };
        let first = place.as_ref().is_none_or(|place| place.first);
        let next = Place { first: first && batch.more, cursor: batch.next.clone() };
        let changes = self.keyed(batch.changes, first.then_some(Cause::First)).await?;
        let found = changes.len();
        if found > 0 || place.as_ref() != Some(&next) {
            let text = next.text();
            self.admit(changes, Some((container, &text))).await?;
        }
        Ok(Page { found, more: batch.more, restarted })
    }

    /// Queues changes as soon as there is room: what is due at a time is bounded, however much the servers hold. While the
    /// work is halted nothing makes room, and what changes is taken note of all the same.
    async fn admit(&self, changes: Vec<(Key, Change)>, cursor: Option<(&Container, &str)>) -> Result<(), Trouble> {
        let _one = if changes.is_empty() { None } else { Some(self.door.lock().await) };
        if !changes.is_empty() {
            self.queue.until(|queue| !queue.is_full() || self.worker.halted().is_some()).await;
        }
        match cursor {
            Some((container, cursor)) => self.queue.put_with_cursor(changes, container, cursor).await?,
            None => self.queue.put(changes).await?,
        }
        Ok(())
    }

    async fn ask(&self, container: &Container, cursor: Option<&Cursor>) -> Result<Batch, Trouble> {
        let server = self.servers.of(container).ok_or(Trouble::NotSynchronized)?;
        self.worker.ask(&server, container, server.changed_since(container, cursor)).await
    }

    /// Gives each change its key. A change that leads nowhere (an unknown item is gone) is dropped: nothing was lost with it.
    async fn keyed(&self, changes: Vec<Change>, cause: Option<Cause>) -> Result<Vec<(Key, Change)>, Trouble> {
        let mut keyed = Vec::with_capacity(changes.len());
        for mut change in changes {
            if let Some(cause) = cause {
                change.cause = cause;
            }
            if let Some(key) = key_for(&self.ledger, &change).await? {
                keyed.push((key, change));
            }
        }
        Ok(keyed)
    }

    /// A page of what a pass would queue, without queueing it, and where the next one begins. Begins without `from` where
    /// the feed stands.
    ///
    /// # Errors
    /// [`Trouble`] if the server does not answer.
    pub async fn peek(
        &self,
        container: &Container,
        from: Option<Place>,
    ) -> Result<(Vec<(Key, Change)>, Option<Place>), Trouble> {
        let place = match from {
            Some(place) => Some(place),
            None => self.queue.cursor(container).await?.map(|stored| Place::parse(&stored)),
        };
        let first = place.as_ref().is_none_or(|place| place.first);
        let batch = self.ask(container, place.as_ref().and_then(Place::after)).await?;
        let changes = self.keyed(batch.changes, first.then_some(Cause::First)).await?;
        Ok((changes, batch.more.then_some(Place { first, cursor: batch.next })))
    }

    fn failed(&self, container: &Container, trouble: &Trouble) -> FeedFailure {
        let failure = self.failure(trouble);
        match trouble {
            Trouble::Waiting { .. } | Trouble::Moved { .. } | Trouble::NotSynchronized => {}
            Trouble::Elsewhere { .. } => {
                let server = self.servers.of(container);
                self.tell(server.as_ref().map_or("Exchange", |server| server.name()), container, &failure);
            }
            Trouble::Server { server, container, error } => {
                self.worker.trouble_with(server, container, error);
                if error.class() == Class::Park {
                    self.tell(server, container, &failure);
                }
            }
            other => {
                tracing::warn!(container.side = %container.side(), error = %other, "A feed could not be read; tried again");
            }
        }
        failure
    }

    /// A container that stays unread until a person acts (a mailbox that does not exist, a right that is missing).
    fn tell(&self, server: &str, container: &Container, failure: &FeedFailure) {
        let notice = Notice {
            code: failure.code.clone(),
            about: server.to_owned(),
            title: format!("One {} container cannot be read", container.side()),
            text: failure.message.clone(),
            hint: format!("`daybridge status` names it; {}", failure.hint),
        };
        self.worker.notifier.tell(notice, self.clock.now());
    }

    /// A trouble in words for people.
    pub fn failure(&self, trouble: &Trouble) -> FeedFailure {
        FeedFailure { code: trouble.code(), message: trouble.to_string(), hint: trouble.hint() }
    }

    /// Waits for one server's doorbell for ever and rings the feeds of the mailboxes it names.
    async fn listen(&self, server: &str) {
        loop {
            // Made before the people are read: a change between that and the wait is not missed.
            let people_changed = self.people_changed.notified();
            let containers = self.servers.people().containers(server);
            let Some(connector) = self.servers.exchange().find(|connector| connector.name() == server).cloned() else {
                return;
            };
            if containers.is_empty() {
                people_changed.await;
                continue;
            }
            let heard = tokio::select! {
                () = people_changed => continue,
                heard = connector.doorbell(&containers, DOORBELL_LIMIT) => heard,
            };
            match heard {
                Ok(rung) => rung.iter().for_each(|container| self.ring(container)),
                Err(error) if error.problem == Problem::Unsupported => {
                    tracing::info!(server.name = server, "{server} has no doorbell: its mailboxes are polled");
                    return;
                }
                Err(error) => {
                    tracing::debug!(server.name = server, error = %Chain(&error), "The doorbell of {server} was lost");
                    let wait = match (&error.problem, containers.first()) {
                        // It does not say which mailbox is too busy to listen to: none of them is paused for it.
                        (Problem::Throttled { after }, _) => *after,
                        (_, Some(container)) => self.worker.trouble_with(server, container, &error),
                        (_, None) => None,
                    };
                    tokio::time::sleep(wait.unwrap_or(self.settings.poll)).await;
                    // Whatever rang meanwhile was not heard.
                    containers.iter().for_each(|container| self.ring(container));
                }
            }
        }
    }
}

/// Where a feed stands, as stored: the connector's cursor (empty: it starts over), and whether the first pass is still under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    first: bool,
    cursor: Cursor,
}

impl Place {
    fn parse(stored: &str) -> Self {
        match stored.strip_prefix("first ") {
            Some(cursor) => Self { first: true, cursor: Cursor(cursor.to_owned()) },
            None => Self { first: false, cursor: Cursor(stored.strip_prefix("then ").unwrap_or(stored).to_owned()) },
        }
    }

    /// Behind what the next page begins; nothing for a feed that starts over.
    fn after(&self) -> Option<&Cursor> {
        Some(&self.cursor).filter(|cursor| !cursor.0.is_empty())
    }

    fn text(&self) -> String {
        format!("{} {}", if self.first { "first" } else { "then" }, self.cursor.0)
    }
}
