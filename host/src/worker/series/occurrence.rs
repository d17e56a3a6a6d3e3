//! One occurrence of a series, on both sides.
//!
//! Promises: an occurrence counts as deleted only if its calendar answers and its series is gone, is none any more, or has no
//! such occurrence; a move across a neighbour is refused before it is written. Must not know: windows, other occurrences'
//! content.

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveTime};

use super::super::look::{View, alike, only};
use super::super::{Trouble, Worker};
use crate::ledger::{Entry, State};
use crate::model::recurrence::Series;
use crate::model::{Appointment, Change, Container, Item, ItemRef, Key, Role, Seen, Side, Status, Time, Zone};

impl Worker {
    /// Reads both sides of an occurrence.
    pub(in crate::worker) async fn look_at_occurrence(
        &self,
        key: &Key,
        uid: &str,
        date: NaiveDate,
        entry: Option<&Entry>,
        changes: &[Change],
    ) -> Result<View, Trouble> {
        let crm_at = self.crm_place(key, entry, changes);
        let mut crm = match &crm_at {
            Some(at) => self.read(at).await?,
            None => Seen::Absent,
        };
        let exchange = self.occurrence_in_exchange((uid, date), entry, changes, &crm).await?;
        if let (None, Some(item)) = (&crm_at, exchange.present()) {
            crm = self.occurrence_in_crm(key, uid, item).await?;
        }
        let crm = self.made_in_place(key, entry, crm).await?;
        Ok(View { crm, exchange, copies: BTreeSet::new(), searched: None })
    }

    async fn occurrence_in_exchange(
        &self,
        (uid, date): (&str, NaiveDate),
        entry: Option<&Entry>,
        changes: &[Change],
        crm: &Seen,
    ) -> Result<Seen, Trouble> {
        // Where it was when last seen, or where its series showed it: mostly it still is.
        let known = entry.and_then(|entry| entry.exchange.as_ref()).map(|known| &known.at);
        let shown = changes.iter().map(|change| &change.at).rfind(|at| at.side() == Side::Exchange);
        if let Some(at) = known.or(shown)
            && let Seen::Present(item) = self.read(at).await?
            && item.series.as_deref() == Some(uid)
        {
            return Ok(Seen::Present(item));
        }
        let series = match self.ledger.find_uid(uid).await? {
            Some(key) => self.ledger.get(&key).await?,
            None => None,
        };
        let master: Option<ItemRef> = match series {
            // Its end was confirmed when it was noted.
            Some(series) if series.state == State::Gone => return Ok(Seen::Deleted),
            Some(series) => series.exchange.map(|known| known.at),
            None => self.master_of(uid, crm).await?,
        };
        let Some(at) = master else { return Err(Trouble::Orphan) };
        let server = self.servers.of(&at.container).ok_or(Trouble::NotSynchronized)?;
        self.ask(&server, &at.container, server.occurrence(&at, date)).await
    }

    /// The series an occurrence's communication was made for, where the ledger does not know it (any more).
    async fn master_of(&self, uid: &str, crm: &Seen) -> Result<Option<ItemRef>, Trouble> {
        let Some(home) = crm.present().and_then(|item| self.home(&item.appointment)) else { return Ok(None) };
        let Some(server) = self.servers.of(&home) else { return Ok(None) };
        let found = self.ask(&server, &home, server.find_uid(&home, uid)).await?;
        Ok(found.into_iter().find(|item| item.appointment.recurrence.is_some()).map(|item| item.at))
    }

    /// The communication of an occurrence that has none in the ledger: by our stamp, else by its natural key. A cancelled one is
    /// history: Exchange shows the occurrence.
    async fn occurrence_in_crm(&self, key: &Key, uid: &str, item: &Item) -> Result<Seen, Trouble> {
        let crm = self.servers.crm().clone();
        let live = |items: Vec<Item>| items.into_iter().filter(|one| one.appointment.status != Status::Cancelled);
        let stamped = self.ask(&crm, &Container::Crm, crm.find_stamped(&Container::Crm, key)).await?;
        if let Some(found) = live(self.unpaired(stamped).await?).next() {
            return Ok(Seen::Present(Box::new(found)));
        }
        let candidates = self.ask(&crm, &Container::Crm, crm.find_alike(&Container::Crm, &item.appointment)).await?;
        let mut matches = Vec::new();
        // What was single before it became a series bears the stamp of the whole.
        let whole = Key::Uid(uid.to_owned());
        for found in live(self.unpaired(candidates).await?) {
            let free = found.stamp.as_ref().is_none_or(|stamp| *stamp == whole) && found.role == Role::Organizer;
            if !free || self.home(&found.appointment).as_ref() != Some(&item.at.container) {
                continue;
            }
            let shown = self.for_exchange(key, &found.appointment).await;
            if alike(&shown, &item.appointment) {
                matches.push(found);
            }
        }
        Ok(only(matches).map_or(Seen::Absent, |found| Seen::Present(Box::new(found))))
    }

    /// Whether an occurrence may be written with that time.
    ///
    /// # Errors
    /// [`Trouble::Crossing`] if it would change places with its neighbour: Exchange refuses that, and would do so for ever.
    pub(in crate::worker) async fn check_neighbours(&self, key: &Key, after: &Appointment) -> Result<(), Trouble> {
        let Key::Occurrence { uid, date } = key else { return Ok(()) };
        let Some(series_key) = self.ledger.find_uid(uid).await? else { return Ok(()) };
        let Some(master) = self.ledger.get(&series_key).await?.and_then(|entry| entry.exchange) else { return Ok(()) };
        let Some(mut series) = series_of(&master.appointment) else { return Ok(()) };
        for entry in self.ledger.occurrences(uid).await? {
            let Key::Occurrence { date, .. } = entry.key else { continue };
            match (entry.state, entry.side(Side::Exchange)) {
                (State::Live, Some(known)) => {
                    series.moved.insert(date, start(&known.appointment.time));
                }
                (State::Gone, _) => {
                    series.cancelled.insert(date);
                }
                (State::Live, None) => {}
            }
        }
        series.may_move(*date, start(&after.time)).map_err(Trouble::Crossing)
    }
}

/// The series of a master, in its own zone; nothing in a zone no table knows.
fn series_of(master: &Appointment) -> Option<Series> {
    let recurrence = master.recurrence.clone()?;
    match &master.time {
        Time::Timed(span) => match &span.zone {
            Zone::Iana(zone) => Some(Series::new(recurrence, span.start.with_timezone(zone).naive_local(), *zone)),
            Zone::Unknown(_) => None,
        },
        Time::AllDay { first, .. } => Some(Series::new(recurrence, first.and_time(NaiveTime::MIN), chrono_tz::UTC)),
    }
}

fn start(time: &Time) -> chrono::DateTime<chrono::Utc> {
    match time {
        Time::Timed(span) => span.start,
        Time::AllDay { first, .. } => first.and_time(NaiveTime::MIN).and_utc(),
    }
}
