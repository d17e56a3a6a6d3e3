//! Carrying mailboxes over from one Exchange server to another: the ledger's pairs get the new server's names for their items.
//!
//! Which mailboxes: those that the configuration has on another server than the ledger, and that are held for it ([`Feeds`]). Nothing is
//! written to any server. Pairs are renamed page by page while no appointment is worked on, and each page is noted, so that a run
//! that is cut off anywhere is gone on with. Changes that wait follow; then the feed starts over, and the mailbox is let go.
//! A server that asks for a pause is waited for as long as it asks; any other failure ends the mailbox's run, not the others'.
//! Promises: a dry run asks and writes nothing down. What was edited since both sides agreed stays such an edit, for the next pass.
//! Must not know: how a server names items.
//!
//! [`Feeds`]: crate::feed::Feeds

mod find;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};

use self::find::{Calendar, Found, Way};
use super::App;
use super::desk::queue_failed;
use crate::connector::{Connector, Error, Listed, Naming, Problem};
use crate::control::{
    MailboxMove, MigrateOrder, MigrateReport, NotCarried, Reason, Refusal, RefusalKind, SYNC_LINES_MAX,
};
use crate::engine;
use crate::error::Chain;
use crate::ledger::{Entry, Event, Home, Ledger, LedgerError, Moving, State};
use crate::model::{Container, Field, ItemRef, Key, Known, Seen};
use crate::people::Mailbox;
use crate::queue::QueueError;
use crate::worker::{MOVED, Trouble};

/// Pairs renamed at one time, while nothing else is worked on.
const PAGE: usize = 50;
/// Items read at the same time: as many as Graph takes from one program in one mailbox.
const HANDS: usize = 4;
/// Longest pause that a server may ask for; the window of Graph's limit is ten minutes.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// A server that wants a pause and does not say how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(10);

const NOT_THERE: &str = "not one of its appointments is in that calendar";
const NOT_THERE_HINT: &str = "check that the mailbox has moved with its content, and that its address leads to the same one there; nothing was changed";

/// A mailbox that is to be carried over.
struct Place {
    container: Container,
    server: Arc<dyn Connector>,
    /// Where it was.
    home: Home,
    /// Where it is.
    now: Home,
}

/// Why the run of a mailbox ended before its end.
enum Stopped {
    Server(Error),
    NotThere,
    /// The host's own store.
    Ours(Refusal),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Server(error)
    }
}

impl From<LedgerError> for Stopped {
    fn from(error: LedgerError) -> Self {
        Stopped::Ours(Refusal::failed("use the ledger", &error))
    }
}

impl From<QueueError> for Stopped {
    fn from(error: QueueError) -> Self {
        Stopped::Ours(queue_failed(error))
    }
}

impl App {
    /// Carries over what the order names, or tells what that would do.
    pub(super) async fn carry_over(&self, order: &MigrateOrder) -> Result<MigrateReport, Refusal> {
        let Ok(_one) = self.migrating.try_lock() else {
            let message = "mailboxes are being carried over already";
            let hint = "wait for that run to end; `daybridge status` shows which mailboxes still wait";
            return Err(Refusal::new(RefusalKind::NotNow, "migration-under-way", message, hint));
        };
        self.feeds.refresh_people().await.map_err(not_now)?;
        let mut report = MigrateReport { done: order.yes, ..MigrateReport::default() };
        for chosen in self.moved_mailboxes(order).await? {
            let place = match chosen {
                Ok(place) => place,
                Err(refused) => {
                    report.mailboxes.push(refused);
                    continue;
                }
            };
            let mut run = Run { app: self, place: &place, yes: order.yes, tally: Tally::new(&place) };
            let outcome = run.go().await;
            let Tally { mut mailbox, lines } = run.tally;
            mailbox.refused = match outcome {
                Ok(()) => None,
                Err(Stopped::Server(error)) => Some(Reason {
                    code: error.problem.code().to_owned(),
                    message: Chain(&error).to_string(),
                    hint: format!("{}; then run the same command again: it goes on where it was", error.hint()),
                }),
                Err(Stopped::NotThere) => Some(Reason {
                    code: "mailbox-not-there".to_owned(),
                    message: NOT_THERE.to_owned(),
                    hint: NOT_THERE_HINT.to_owned(),
                }),
                Err(Stopped::Ours(refusal)) => return Err(refusal),
            };
            report.mailboxes.push(mailbox);
            let room = SYNC_LINES_MAX.saturating_sub(report.lines.len());
            report.left_out += lines.len().saturating_sub(room) as u64;
            report.lines.extend(lines.into_iter().take(room));
        }
        Ok(report)
    }

    /// The mailboxes that moved as the order says; of those it names, also why one is not among them.
    async fn moved_mailboxes(&self, order: &MigrateOrder) -> Result<Vec<Result<Place, MailboxMove>>, Refusal> {
        self.known_servers(order)?;
        let people = self.servers.people();
        for name in &order.mailboxes {
            if !people.mailboxes().any(|mailbox| mailbox.address.folded() == name.to_lowercase()) {
                let hint = "use the address of a mailbox that `daybridge status` lists";
                let message = format!("{name} is not synchronized");
                return Err(Refusal::new(RefusalKind::Unknown, "container-not-known", message, hint));
            }
        }
        let mut chosen = Vec::new();
        for mailbox in people.mailboxes() {
            let named = order.mailboxes.iter().any(|name| name.to_lowercase() == mailbox.address.folded());
            if !named && !order.mailboxes.is_empty() {
                continue;
            }
            match self.place(mailbox, order).await? {
                Ok(place) => chosen.push(Ok(place)),
                Err(refused) if named => chosen.push(Err(refused)),
                Err(_) => {}
            }
        }
        if chosen.is_empty() {
            return Err(Refusal::new(
                RefusalKind::Unknown,
                "nothing-to-migrate",
                format!("no mailbox waits to be carried over from {} to {}", order.from, order.to),
                format!(
                    "list the mailboxes that moved under `mailboxes` of {} in the configuration, and start the host again if it runs; `daybridge status` shows where each is",
                    order.to
                ),
            ));
        }
        Ok(chosen)
    }

    fn known_servers(&self, order: &MigrateOrder) -> Result<(), Refusal> {
        let servers: Vec<(&str, &str)> = self
            .config
            .exchange
            .iter()
            .map(|server| (server.name.as_str(), super::naming(&server.protocol).name()))
            .collect();
        if !servers.iter().any(|(name, kind)| order.to == *name || order.to == *kind) {
            let known: Vec<String> = servers.iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
            return Err(Refusal::new(
                RefusalKind::Unknown,
                "server-not-known",
                format!("no Exchange server of the configuration is {}", order.to),
                format!("give its name or its kind: {}", known.join(", ")),
            ));
        }
        Ok(())
    }

    async fn place(&self, mailbox: &Mailbox, order: &MigrateOrder) -> Result<Result<Place, MailboxMove>, Refusal> {
        let container = Container::Mailbox(mailbox.address.clone());
        let home = self.ledger.home(&container).await.map_err(|error| Refusal::failed("use the ledger", &error))?;
        let (Some(server), Some(home)) = (self.servers.of(&container), home) else {
            return Err(not_now(Trouble::NotSynchronized));
        };
        let protocol = self.config.exchange.iter().find(|other| other.name == mailbox.server);
        let kind = protocol.map(|server| super::naming(&server.protocol).name()).unwrap_or_default();
        let now = Home { server: mailbox.server.clone(), kind: kind.to_owned(), moving: None };
        let is = |wanted: &str, name: &str, kind: &str| wanted == name || wanted == kind;
        let refused = |code: &str, message: String, hint: String| MailboxMove {
            mailbox: container.key(),
            from: home.server.clone(),
            to: now.server.clone(),
            refused: Some(Reason { code: code.to_owned(), message, hint }),
            ..MailboxMove::default()
        };
        if !is(&order.to, &now.server, &now.kind) {
            let message = format!("the configuration has it on {}", now.server);
            let hint = format!("list it under `mailboxes` of {}, and start the host again if it runs", order.to);
            return Ok(Err(refused("not-routed-there", message, hint)));
        }
        if home == now {
            let hint = "nothing to do".to_owned();
            return Ok(Err(refused("already-there", format!("it is synchronized with {} already", now.server), hint)));
        }
        let on_the_way = home.moving.as_ref().is_some_and(|moving| is(&order.from, &moving.server, &moving.kind));
        if !is(&order.from, &home.server, &home.kind) && !on_the_way {
            let message = format!("it comes from {}", home.server);
            return Ok(Err(refused("another-origin", message, format!("say --from {}", home.server))));
        }
        Ok(Ok(Place { container, server, home, now }))
    }
}

/// What was found so far.
struct Tally {
    mailbox: MailboxMove,
    lines: Vec<NotCarried>,
}

impl Tally {
    fn new(place: &Place) -> Self {
        let mailbox = MailboxMove {
            mailbox: place.container.key(),
            from: place.home.server.clone(),
            to: place.now.server.clone(),
            ..MailboxMove::default()
        };
        Self { mailbox, lines: Vec::new() }
    }

    fn add(&mut self, renamed: &Renamed) {
        let mailbox = &mut self.mailbox;
        mailbox.copies += renamed.copies;
        mailbox.copies_missing += renamed.copies_missing;
        let Some(pair) = &renamed.pair else { return };
        mailbox.pairs += 1;
        mailbox.edited += u64::from(renamed.edited);
        match pair {
            Found::At(Way::Id, _) => mailbox.by_id += 1,
            Found::At(Way::Uid, _) => mailbox.by_uid += 1,
            Found::At(Way::Stamp, _) => mailbox.by_stamp += 1,
            Found::At(Way::Series, _) => mailbox.by_series += 1,
            Found::Missing(why) => {
                *mailbox.missing.entry((*why).to_owned()).or_default() += 1;
                let key = renamed.after.key.to_string();
                self.lines.push(NotCarried { mailbox: mailbox.mailbox.clone(), key, why: (*why).to_owned() });
            }
        }
    }
}

/// An entry of the ledger under the new names.
struct Renamed {
    before: Entry,
    after: Entry,
    event: Option<Event>,
    /// How the pair's own item was found; nothing if it lies elsewhere, or the pair is gone.
    pair: Option<Found>,
    edited: bool,
    copies: u64,
    copies_missing: u64,
}

/// The run of one mailbox.
struct Run<'a> {
    app: &'a App,
    place: &'a Place,
    yes: bool,
    tally: Tally,
}

impl Run<'_> {
    async fn go(&mut self) -> Result<(), Stopped> {
        let Place { container, server, .. } = self.place;
        let calendar = Calendar::of(listed(&**server, container).await?);
        let resumed = self.resumed();
        let mut keys = self.app.ledger.keys_in(container).await?;
        if let Some(after) = &resumed {
            keys.retain(|key| Ledger::in_order(key, after).is_gt());
        }
        let names = self.names(&keys).await?;
        if resumed.is_none() && !self.any_found(&keys, &names, &calendar).await? {
            return Err(Stopped::NotThere);
        }
        while !keys.is_empty() {
            let page: Vec<Key> = keys.drain(..keys.len().min(PAGE)).collect();
            self.page(page, &names, &calendar).await?;
        }
        if self.yes { self.finish(&names).await } else { Ok(()) }
    }

    /// Up to where an earlier run came that was on the same way.
    fn resumed(&self) -> Option<Key> {
        let moving = self.place.home.moving.as_ref()?;
        let same = moving.server == self.place.now.server && moving.kind == self.place.now.kind;
        moving.after.as_deref().filter(|_| same).and_then(Key::parse)
    }

    /// The new server's names of all items these keys have in the mailbox, and of those that changes wait for; by the old names.
    async fn names(&self, keys: &[Key]) -> Result<HashMap<String, String>, Stopped> {
        let Place { container, server, home, .. } = self.place;
        let mut old = self.app.queue.names_in(container).await?;
        for key in keys {
            let entry = self.app.ledger.get(key).await?;
            let items = entry.iter().flat_map(|entry| entry.items()).filter(|at| at.container == *container);
            old.extend(items.map(|at| at.id.clone()));
            tokio::task::yield_now().await;
        }
        old.sort();
        old.dedup();
        let Some(naming) = Naming::parse(&home.kind) else { return Ok(HashMap::new()) };
        let new = patiently(|| server.translate(container, naming, &old)).await?;
        Ok(old.into_iter().zip(new).filter_map(|(old, new)| Some((old, new?))).collect())
    }

    /// Whether the calendar is the mailbox's at all: it holds one of its appointments, or there is none to hold.
    async fn any_found(
        &self,
        keys: &[Key],
        names: &HashMap<String, String>,
        calendar: &Calendar,
    ) -> Result<bool, Stopped> {
        let mut looked = false;
        for key in keys {
            let Some(entry) = self.app.ledger.get(key).await? else { continue };
            if entry.state == State::Gone {
                continue;
            }
            looked = true;
            let items = entry.items().into_iter().filter(|at| at.container == self.place.container);
            for at in items {
                let new = names.get(&at.id);
                let (uid, series) = (entry.uid.as_deref(), find::series(key));
                let found = calendar.find(key, uid, new).is_some();
                if found || series.is_some_and(|uid| calendar.by_uid(uid).is_some()) {
                    return Ok(true);
                }
            }
        }
        Ok(!looked)
    }

    /// Renames a page of entries, once more for those that somebody worked on meanwhile.
    async fn page(
        &mut self,
        mut keys: Vec<Key>,
        names: &HashMap<String, String>,
        calendar: &Calendar,
    ) -> Result<(), Stopped> {
        let Some(last) = keys.last().cloned() else { return Ok(()) };
        while !keys.is_empty() {
            let run = &*self;
            let renamed: Vec<Option<Renamed>> = futures::stream::iter(std::mem::take(&mut keys))
                .map(|key| run.renamed(key, names, calendar))
                .buffered(HANDS)
                .try_collect()
                .await?;
            let renamed: Vec<Renamed> = renamed.into_iter().flatten().collect();
            if !self.yes {
                renamed.iter().for_each(|one| self.tally.add(one));
                return Ok(());
            }
            let app = self.app;
            let _still = app.worker.stand_still().await;
            let mut records = Vec::new();
            for one in &renamed {
                if app.ledger.get(&one.before.key).await?.as_ref() != Some(&one.before) {
                    keys.push(one.before.key.clone());
                    continue;
                }
                self.tally.add(one);
                records.push(app.ledger.record(&one.after, one.event.iter().cloned().collect()));
            }
            // Together, so that they reach the disk in few steps.
            futures::future::try_join_all(records).await?;
        }
        if self.yes {
            self.note(Some(&last)).await?;
        }
        Ok(())
    }

    /// Notes how far the run is.
    async fn note(&self, after: Option<&Key>) -> Result<(), Stopped> {
        let Place { container, home, now, .. } = self.place;
        let moving =
            Moving { server: now.server.clone(), kind: now.kind.clone(), after: after.map(ToString::to_string) };
        Ok(self.app.ledger.set_home(container, &Home { moving: Some(moving), ..home.clone() }).await?)
    }

    /// An entry under the new names, as far as it has items in the mailbox.
    async fn renamed(
        &self,
        key: Key,
        names: &HashMap<String, String>,
        calendar: &Calendar,
    ) -> Result<Option<Renamed>, Stopped> {
        let Some(before) = self.app.ledger.get(&key).await? else { return Ok(None) };
        let container = &self.place.container;
        let mut after = before.clone();
        let (mut pair, mut edited, mut event, mut copies, mut copies_missing) = (None, false, None, 0, 0);
        after.copies.clear();
        for copy in &before.copies {
            if copy.container != *container {
                after.copies.push(copy.clone());
                continue;
            }
            copies += 1;
            match self.find(&before, copy, names, calendar).await? {
                Found::At(_, id) => after.copies.push(ItemRef { container: container.clone(), id }),
                Found::Missing(_) => copies_missing += 1,
            }
        }
        if let Some(known) = before.exchange.as_ref().filter(|known| known.at.container == *container) {
            let found = self.find(&before, &known.at, names, calendar).await?;
            let live = before.state == State::Live;
            let at = self.app.clock.now();
            match &found {
                Found::At(_, id) => {
                    let at_new = ItemRef { container: container.clone(), id: id.clone() };
                    let (known, differs) = self.known(known, at_new, calendar).await?;
                    after.exchange = Some(known);
                    edited = differs;
                    event = live.then(|| Event::new(at, "carried over").note(self.way("its item was found there")));
                }
                Found::Missing(why) => {
                    after.exchange = None;
                    after.state = State::Gone;
                    let note = format!("{}; what the CRM has stays as it is", self.way(why));
                    event = live.then(|| Event::new(at, "not carried over").note(note));
                }
            }
            pair = live.then_some(found);
        }
        Ok(Some(Renamed { before, after, event, pair, edited, copies, copies_missing }))
    }

    fn way(&self, what: &str) -> String {
        format!("the mailbox moved from {} to {}: {what}", self.place.home.server, self.place.now.server)
    }

    /// What the ledger is to hold of an item under its new name, and whether it may have been edited. An item that is as it was agreed on
    /// is kept as the new server shows it, since no two servers show one alike; one that is not keeps what was agreed on, so
    /// that the next look finds what moved.
    async fn known(&self, old: &Known, at: ItemRef, calendar: &Calendar) -> Result<(Known, bool), Stopped> {
        let as_before = |at| Known { at, ..old.clone() };
        if !self.yes {
            let same = calendar.version(&at.id).is_none_or(|version| *version == old.version);
            return Ok((as_before(at), !same));
        }
        let server = &self.place.server;
        let Seen::Present(item) = patiently(|| server.read(&at)).await? else { return Ok((as_before(at), true)) };
        let (before, now) = (&old.appointment, &item.appointment);
        let unmoved = || {
            engine::moved(before, now).is_empty()
                && [Field::Organizer, Field::Recurrence].iter().all(|field| before.get(field) == now.get(field))
        };
        if item.version == old.version || unmoved() {
            return Ok((Known::from(item.as_ref()), false));
        }
        Ok((as_before(at), true))
    }

    /// Changes that wait get the new names, the feed starts over, and the mailbox is the new server's.
    async fn finish(&mut self, names: &HashMap<String, String>) -> Result<(), Stopped> {
        let Place { container, now, .. } = self.place;
        let app = self.app;
        {
            let _still = app.worker.stand_still().await;
            for key in app.queue.rename(container, names).await? {
                app.worker.judged(&key);
            }
            app.feeds.begin_again(container).await.map_err(|trouble| Stopped::Ours(not_now(trouble)))?;
            app.ledger.set_home(container, now).await?;
            app.worker.let_go(container);
        }
        app.end_wait(MOVED).await?;
        app.feeds.ring(container);
        self.tally.mailbox.done = true;
        tracing::info!(server.name = now.server, "A mailbox is carried over to {}", now.server);
        Ok(())
    }
}

/// All that the calendar holds, page by page.
async fn listed(server: &dyn Connector, container: &Container) -> Result<Vec<Listed>, Error> {
    let mut listed = Vec::new();
    let mut from = None;
    loop {
        let page = patiently(|| server.list(container, from.as_ref())).await?;
        listed.extend(page.items);
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(listed),
        }
    }
}

/// Asks; a server that wants a pause gets it, and is asked again.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(ask: impl Fn() -> F) -> Result<T, Error> {
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Problem::Throttled { after } = error.problem else { return Err(error) };
        let pause = after.unwrap_or(PAUSE_DEFAULT);
        if pause > PAUSE_MAX {
            return Err(error);
        }
        tracing::debug!("The server asks for a pause of {pause:?}");
        tokio::time::sleep(pause).await;
    }
}

fn not_now(trouble: Trouble) -> Refusal {
    Refusal::new(RefusalKind::NotNow, &trouble.code(), trouble.to_string(), trouble.hint())
}
