//! Series: one master in Exchange, one communication for each of its occurrences in the CRM.
//!
//! ```text
//! change of the master -> read its occurrences in the window -> queue those that are to be looked at
//! occurrence -> look (by UID and original day) -> consider -> act, like any other pair
//! ```
//! How a series maps to pairs: the series is one entry of the ledger (Exchange: the master; CRM: nothing). Each occurrence in a
//! rolling window is a pair under a key of UID and original day, so an exception stays the same pair wherever it is moved, a
//! removed occurrence keeps an entry that is gone and does not come back, and retries, parking, conflicts, brake and mail budget are
//! those of every pair. Patterns need not be understood: Exchange itself says which occurrences there are. A change of
//! the master costs one reading of the window; occurrences that are as last agreed are not looked at. When a single
//! appointment becomes a series, its communication becomes that of an occurrence, and back when the series becomes single:
//! the key stays. A series split in two is two series; what the first lost and the second has is told apart by UID.
//! Promises: reads the window in a bounded number of requests; writes the ledger only, and that before work is queued.
//! Must not know: how occurrences are read, what rules say of them.

mod gather;
mod occurrence;
mod whole;

pub(in crate::worker) use whole::Whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};

use super::look::View;
use super::{Summary, Trouble, Worker};
use crate::connector::Problem;
use crate::engine::{self, KnownOccurrence, Look};
use crate::ledger::{Entry, Event, SeriesState, State};
use crate::model::recurrence::Window;
use crate::model::{Cause, Change, Container, Direction, Instance, Item, Key, Known, MailBudget, Seen, Side, Time};
use crate::queue::{Lease, QueueError};
use crate::rules::{Call, Rules, Verdict};

/// How much of a series is kept in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesSettings {
    /// How far ahead its occurrences are kept; the window rolls on with time.
    pub ahead: TimeDelta,
    /// Most occurrences of one series, the earliest of the window.
    pub max: usize,
}

/// What is to become of a series' ledger entries, and which of its occurrences are to be looked at.
#[derive(Default)]
struct Spread {
    /// The entry of the series, if it changed.
    entry: Option<Entry>,
    /// The communication of a single appointment that became a series passes to an occurrence, or back.
    handed: Option<(Entry, Entry, &'static str)>,
    /// How far it was looked at; `Some(None)`: it is a series no more.
    state: Option<Option<SeriesState>>,
    /// Occurrences whose entries no longer hold.
    forget: Vec<Key>,
    looks: Vec<(Key, Change)>,
}

impl Worker {
    /// Turns what was seen of a series away from the way of a single appointment.
    pub(super) async fn divert(&self, key: &Key, entry: Option<&Entry>, view: &View) -> Result<(), Trouble> {
        if matches!(key, Key::Occurrence { .. }) {
            return Ok(());
        }
        let is_master = view.exchange.present().is_some_and(|item| item.appointment.recurrence.is_some());
        if is_master || self.ledger.series(key).await?.is_some() {
            return Err(Trouble::Series);
        }
        if matches!(key, Key::CrmSeries(_)) {
            return Err(Trouble::Series);
        }
        // A communication of a series of the CRM's own that never was a pair: worked on as a whole, once.
        let unpaired = entry.is_none_or(|entry| entry.exchange.is_none()) && view.exchange.present().is_none();
        if let Some(row) = view.crm.present().filter(|_| unpaired)
            && let Some(series) = gather::crm_series(row)
        {
            let whole = Key::CrmSeries(series.to_owned());
            // Known as a whole, and this one is not part of it: it stays single.
            let left_out = match self.ledger.get(&whole).await? {
                Some(found) => found.state == State::Gone || !self.is_awaited(&found, row).await?,
                None => false,
            };
            if !left_out {
                return Err(Trouble::Belongs(whole));
            }
        }
        Ok(())
    }

    /// Works off a series: its occurrences are queued before its own change is forgotten.
    pub(super) async fn work_series(&self, lease: Lease, rules: &Arc<dyn Rules>) -> Result<(), QueueError> {
        let generation = rules.generation();
        match self.spread(&lease.key, &lease.changes, rules).await {
            Ok(occurrences) => self.queue.put(occurrences).await?,
            Err(trouble) if trouble.leaves_alone() => {
                tracing::debug!(appointment.key = %lease.key, rules.generation = generation.number, "Left alone: {trouble}");
            }
            Err(trouble) => return self.failed(lease, trouble, &generation).await,
        }
        self.queue.ack(&lease).await?;
        self.judged(&lease.key);
        Ok(())
    }

    /// Looks at a series as a whole: keeps its entry, and answers the occurrences to be worked on.
    ///
    /// # Errors
    /// [`Trouble`] that keeps it from being read.
    async fn spread(
        &self,
        key: &Key,
        changes: &[Change],
        rules: &Arc<dyn Rules>,
    ) -> Result<Vec<(Key, Change)>, Trouble> {
        let spread = self.plan_spread(key, changes, rules).await?;
        if let Some((from, to, why)) = &spread.handed {
            let event = Event::new(self.clock.now(), "handed over").note(*why);
            self.ledger.hand_over(from, to, event).await?;
        }
        for gone in &spread.forget {
            self.ledger.remove(gone).await?;
        }
        if let Some(entry) = &spread.entry {
            self.ledger.record(entry, Vec::new()).await?;
        }
        if let Some(state) = &spread.state {
            self.ledger.set_series(key, state.as_ref()).await?;
        }
        if !spread.looks.is_empty() {
            tracing::info!(appointment.key = %key, occurrences = spread.looks.len(), "A series: {} occurrences to look at", spread.looks.len());
        }
        Ok(spread.looks)
    }

    /// What [`Worker::spread`] would do, in a line.
    pub(super) async fn plan_series(
        &self,
        key: &Key,
        changes: &[Change],
        rules: &Arc<dyn Rules>,
    ) -> Result<Summary, Trouble> {
        let spread = self.plan_spread(key, changes, rules).await?;
        Ok(Summary {
            key: key.clone(),
            op: "series",
            target: None,
            container: None,
            fields: Vec::new(),
            mail: MailBudget::NONE,
            crm_writes: 0,
            exchange_writes: 0,
            kept: Vec::new(),
            items: changes.iter().map(|change| change.at.clone()).collect(),
            links: false,
            reason: match spread.looks.len() {
                0 => "a series whose occurrences are as last agreed".into(),
                count => format!("a series with {count} occurrences to look at, each by itself"),
            },
        })
    }

    /// Series of a mailbox whose window has rolled on by more than a quarter since they were looked at.
    ///
    /// # Errors
    /// [`Trouble::Ledger`] if it cannot be read.
    pub(crate) async fn series_to_roll(&self, container: &Container) -> Result<Vec<(Key, Change)>, Trouble> {
        if container.side() == Side::Crm {
            return Ok(Vec::new());
        }
        let due = self.clock.now() + self.settings.series.ahead * 3 / 4;
        let mut found = Vec::new();
        for key in self.ledger.series_before(due).await? {
            let master = self.ledger.get(&key).await?.and_then(|entry| entry.exchange).map(|known| known.at);
            if let Some(at) = master.filter(|at| at.container == *container) {
                found.push((key, Change { at, uid: None, stamp: None, cause: Cause::Sweep }));
            }
        }
        Ok(found)
    }

    async fn plan_spread(&self, key: &Key, changes: &[Change], rules: &Arc<dyn Rules>) -> Result<Spread, Trouble> {
        let entry = self.ledger.get(key).await?.unwrap_or_else(|| Entry::new(key.clone()));
        let view = self.look(key, Some(&entry), changes).await?;
        let in_crm = changes.iter().any(|change| change.at.side() == Side::Crm);
        if let Key::CrmSeries(series) = key
            && (in_crm || (entry.exchange.is_none() && view.exchange.present().is_none()))
        {
            let mut spread = self.gather(entry, series, changes, rules).await?;
            // What changed in Exchange beside it is a look of its own, under the same key.
            let other = changes.iter().filter(|change| in_crm && change.at.side() == Side::Exchange);
            spread.looks.extend(other.map(|change| (key.clone(), change.clone())));
            return Ok(spread);
        }
        let cause = changes.iter().map(|change| change.cause).find(|cause| *cause == Cause::First);
        let cause = cause.or(changes.last().map(|change| change.cause)).unwrap_or(Cause::Again);
        let known = self.ledger.series(key).await?;
        // Of one that was made and not looked over yet, nothing but its master is known.
        let made = matches!(key, Key::CrmSeries(_)) && entry.state == State::Live && entry.exchange.is_some();
        match &view.exchange {
            Seen::Present(item) if item.appointment.recurrence.is_some() => {
                self.over_the_window(entry, item, &view, cause, rules).await
            }
            Seen::Present(item) if known.is_some() => self.fold(entry, item, cause).await,
            Seen::Deleted if known.is_some() || made => self.scatter(entry, cause).await,
            Seen::Present(_) | Seen::Deleted | Seen::Absent => Ok(Spread::default()),
        }
    }

    /// The master is there: its occurrences in the window against what the ledger knows of them.
    async fn over_the_window(
        &self,
        entry: Entry,
        master: &Item,
        view: &View,
        cause: Cause,
        rules: &Arc<dyn Rules>,
    ) -> Result<Spread, Trouble> {
        let Some(uid) = master.uid.clone() else { return Ok(Spread::default()) };
        if !self.takes_series(&entry.key, master, rules).await? {
            return Ok(Spread::default());
        }
        let (window, shown) = self.shown(master).await?;
        let mut handed = None;
        let mut series = Entry {
            uid: Some(uid.clone()),
            exchange: Some(Known::from(master)),
            state: State::Live,
            generation: Some(rules.generation()),
            copies: view.copies.iter().cloned().collect(),
            ..entry.clone()
        };
        let mut known = self.known(&uid).await?;
        if let Some(single) = &entry.crm
            && let Some(first) = heir(&shown, entry.exchange.as_ref())
        {
            series.crm = None;
            let key = Key::Occurrence { uid: uid.clone(), date: first.date };
            // What was agreed on of the single appointment, in the place of the occurrence.
            let mut agreed = entry.exchange.clone().unwrap_or_else(|| Known::from(&first.item));
            agreed.at = first.item.at.clone();
            agreed.appointment.recurrence = None;
            let occurrence = Entry {
                crm: Some(single.clone()),
                exchange: Some(agreed.clone()),
                generation: entry.generation.clone(),
                ..Entry::new(key)
            };
            known.insert(first.date, KnownOccurrence { live: true, exchange: Some(agreed) });
            handed = Some((series.clone(), occurrence, "the appointment became a series; this is its occurrence now"));
        }
        let looks = engine::looks(&shown, &known, window);
        Ok(Spread {
            entry: (handed.is_none() && series != entry).then_some(series),
            handed,
            state: Some(Some(SeriesState { until: window.until })),
            forget: looks.iter().filter(|look| look.anew).map(|look| occurrence_key(&uid, look)).collect(),
            looks: looks.into_iter().map(|look| work(&uid, look, cause)).collect(),
        })
    }

    /// Whether the chain lets the series pass at all: it judges the master first, then each occurrence by itself.
    async fn takes_series(&self, key: &Key, master: &Item, rules: &Arc<dyn Rules>) -> Result<bool, Trouble> {
        let direction = Direction::ExchangeToCrm;
        if !self.settings.policy.allows(direction) {
            return Ok(true);
        }
        let id = key.to_string();
        match rules.judge(Call { id: &id, direction, source: &master.appointment }).await? {
            Verdict::Pass(_) => Ok(true),
            Verdict::Skip { rule, reason } => {
                tracing::debug!(appointment.key = %key, rule.name = rule, "The series is left alone: {reason}");
                Ok(false)
            }
            Verdict::Hold { rule, reason, after } => Err(Trouble::Held { rule, reason, after }),
            Verdict::Refuse(refusal) => Err(Trouble::Refused(refusal)),
        }
    }

    /// The occurrences of the window as Exchange shows them.
    async fn shown(&self, master: &Item) -> Result<(Window, Vec<Instance>), Trouble> {
        let window = occurrence_window(self);
        let container = &master.at.container;
        let server = self.servers.of(container).ok_or(Trouble::NotSynchronized)?;
        match self.ask(&server, container, server.occurrences(&master.at, window)).await {
            Ok(shown) => Ok((window, shown)),
            // It stopped being a series between two looks: reading again tells.
            Err(Trouble::Server { error, .. }) if error.problem == Problem::NotFound => Err(Trouble::Undecided),
            Err(trouble) => Err(trouble),
        }
    }

    async fn known(&self, uid: &str) -> Result<BTreeMap<NaiveDate, KnownOccurrence>, Trouble> {
        let entries = self.ledger.occurrences(uid).await?;
        let known = |entry: Entry| match entry.key {
            Key::Occurrence { date, .. } => {
                Some((date, KnownOccurrence { live: entry.state == State::Live, exchange: entry.exchange }))
            }
            Key::Crm(_) | Key::Uid(_) | Key::CrmSeries(_) => None,
        };
        Ok(entries.into_iter().filter_map(known).collect())
    }

    /// The series became a single appointment: one occurrence's communication is its copy now, the others go.
    async fn fold(&self, entry: Entry, single: &Item, cause: Cause) -> Result<Spread, Trouble> {
        let Some(uid) = entry.uid.clone().or_else(|| single.uid.clone()) else { return Ok(Spread::default()) };
        let mut live: Vec<Entry> = self.ledger.occurrences(&uid).await?;
        live.retain(|one| one.state == State::Live && one.crm.is_some() && one.exchange.is_some());
        let same =
            |one: &Entry| one.exchange.as_ref().is_some_and(|known| known.appointment.time == single.appointment.time);
        let mut handed = None;
        let mut forget = Vec::new();
        if let Some(place) = live.iter().position(same).or(if live.is_empty() { None } else { Some(0) }) {
            let heir = live.remove(place);
            let left = Entry { crm: None, exchange: None, state: State::Gone, ..heir.clone() };
            let exchange = heir.exchange.map(|known| Known { at: single.at.clone(), ..known });
            let now = Entry { crm: heir.crm, exchange, state: State::Live, uid: Some(uid.clone()), ..entry.clone() };
            forget.push(left.key.clone());
            handed = Some((left, now, "the series became a single appointment again"));
        }
        let mut looks: Vec<(Key, Change)> = live.into_iter().filter_map(|one| removal(one, cause)).collect();
        looks.push((entry.key, Change { at: single.at.clone(), uid: None, stamp: None, cause: Cause::Again }));
        Ok(Spread { handed, forget, state: Some(None), looks, entry: None })
    }

    /// The series is gone: each of its occurrences decides by itself what that means.
    async fn scatter(&self, mut entry: Entry, cause: Cause) -> Result<Spread, Trouble> {
        let Some(uid) = entry.uid.clone() else { return Ok(Spread::default()) };
        let live = self.ledger.occurrences(&uid).await?.into_iter().filter(|one| one.state == State::Live);
        let looks = live.filter_map(|one| removal(one, cause)).collect();
        entry.state = State::Gone;
        Ok(Spread { entry: Some(entry), state: Some(None), looks, ..Spread::default() })
    }
}

/// The window of every series now.
fn occurrence_window(worker: &Worker) -> Window {
    let settings = &worker.settings;
    engine::series_window(worker.clock.now(), settings.past_window, settings.series.ahead, settings.series.max)
}

/// The occurrence that takes over the communication of what was a single appointment: the one at its time, else the first.
fn heir<'a>(shown: &'a [Instance], single: Option<&Known>) -> Option<&'a Instance> {
    let time: Option<&Time> = single.map(|known| &known.appointment.time);
    shown.iter().find(|one| Some(&one.item.appointment.time) == time).or_else(|| shown.first())
}

fn occurrence_key(uid: &str, look: &Look) -> Key {
    Key::Occurrence { uid: uid.to_owned(), date: look.date }
}

fn work(uid: &str, look: Look, cause: Cause) -> (Key, Change) {
    (occurrence_key(uid, &look), Change { at: look.at, uid: None, stamp: None, cause })
}

/// A look at an occurrence whose series has lost it.
fn removal(entry: Entry, cause: Cause) -> Option<(Key, Change)> {
    let at = entry.exchange.or(entry.crm)?.at;
    Some((entry.key, Change { at, uid: None, stamp: None, cause }))
}
