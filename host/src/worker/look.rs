//! Reads both sides of an appointment afresh, and finds the partner of one that is not paired yet.
//!
//! A partner is found by our stamp first, then by iCalendar UID, then by the natural key (subject, organizer, time,
//! all-ness; a unique match only). The organizer's copy stands for a meeting; copies in attendees' calendars are noted.
//! Promises: reads only. Must not know: rules, what will be done.

use std::collections::BTreeSet;

use super::{Trouble, Worker};
use crate::connector;
use crate::ledger::Entry;
use crate::model::{Address, Appointment, Change, Container, Direction, Item, ItemRef, Key, Role, Seen, Side};
use crate::rules::{Call, Verdict};

/// Both sides as they are now.
#[derive(Clone, Debug)]
pub struct View {
    pub crm: Seen,
    pub exchange: Seen,
    /// Copies of the meeting in other mailboxes.
    pub copies: BTreeSet<ItemRef>,
    /// The calendar that was searched for a partner of an appointment known in the CRM alone.
    pub searched: Option<Container>,
}

impl Worker {
    /// Reads both sides.
    pub(super) async fn look(&self, key: &Key, entry: Option<&Entry>, changes: &[Change]) -> Result<View, Trouble> {
        if let Key::Occurrence { uid, date } = key {
            return self.look_at_occurrence(key, uid, *date, entry, changes).await;
        }
        let mut copies: BTreeSet<ItemRef> =
            entry.map(|entry| entry.copies.iter().cloned().collect()).unwrap_or_default();
        copies.extend(changes.iter().map(|change| change.at.clone()).filter(|at| at.side() == Side::Exchange));
        let crm_at = self.crm_place(key, entry, changes);
        if entry.is_none() && matches!(key, Key::Crm(_) | Key::Uid(_)) {
            // The appointment may have become part of a pair since its change was queued under this key.
            for at in crm_at.iter().chain(&copies) {
                if let Some(other) = self.ledger.find_item(at).await?.filter(|other| other != key) {
                    return Err(Trouble::Belongs(other));
                }
            }
        }
        let mut crm = match &crm_at {
            Some(at) => self.read(at).await?,
            None => Seen::Absent,
        };
        let known = entry.and_then(|entry| entry.exchange.as_ref()).map(|known| known.at.clone());
        let mut exchange = match &known {
            Some(at) => self.read(at).await?,
            None => Seen::Absent,
        };
        if exchange.present().is_none_or(|item| item.role == Role::Attendee) {
            exchange = self.best_copy(key, known.as_ref(), exchange, &copies).await?;
        }
        let mut searched = None;
        if let (None, Seen::Absent | Seen::Deleted, Some(item)) = (&known, &exchange, crm.present())
            // One communication does not stand for its series.
            && !matches!(key, Key::CrmSeries(_))
            && let Some(home) = self.home(&item.appointment)
        {
            exchange = self.partner_in_exchange(key, item, &home, exchange).await?;
            searched = Some(home);
        }
        if let (None, Seen::Absent, Some(item)) = (&crm_at, &crm, exchange.present())
            // The master of a series has no copy in the CRM: its occurrences have.
            && item.appointment.recurrence.is_none()
        {
            crm = self.partner_in_crm(key, item).await?;
        }
        let crm = self.made_in_place(key, entry, crm).await?;
        if let Some(item) = exchange.present() {
            copies.remove(&item.at);
        }
        if let Some(at) = &known {
            copies.remove(at);
        }
        Ok(View { crm, exchange, copies, searched })
    }

    /// What the CRM shows; if it has lost its copy, one that was made in its place and never recorded.
    pub(super) async fn made_in_place(&self, key: &Key, entry: Option<&Entry>, crm: Seen) -> Result<Seen, Trouble> {
        let lost = entry.is_some_and(|entry| entry.crm.is_some()) && crm.present().is_none();
        if !lost || self.ledger.begun(key).await?.is_none() {
            return Ok(crm);
        }
        let server = self.servers.crm().clone();
        let made = self.ask(&server, &Container::Crm, server.find_stamped(&Container::Crm, key)).await?;
        Ok(self.unpaired(made).await?.into_iter().next().map_or(crm, |item| Seen::Present(Box::new(item))))
    }

    /// Where the CRM's copy is, as far as anything tells.
    pub(super) fn crm_place(&self, key: &Key, entry: Option<&Entry>, changes: &[Change]) -> Option<ItemRef> {
        if let Some(known) = entry.and_then(|entry| entry.crm.as_ref()) {
            return Some(known.at.clone());
        }
        if let Some(change) = changes.iter().find(|change| change.at.side() == Side::Crm) {
            return Some(change.at.clone());
        }
        match key {
            Key::Crm(id) => Some(ItemRef::crm(id)),
            Key::Uid(_) | Key::Occurrence { .. } | Key::CrmSeries(_) => None,
        }
    }

    pub(super) async fn read(&self, at: &ItemRef) -> Result<Seen, Trouble> {
        match self.servers.of(&at.container) {
            Some(server) => self.ask(&server, &at.container, server.read(at)).await,
            // The mailbox takes no part any more: that says nothing about the item, so nothing may follow from it.
            None => Err(Trouble::NotSynchronized),
        }
    }

    /// Among the copies at hand: the organizer's, wherever it is; else the one already known; else the first.
    /// `known` is where the copy was that both sides agreed on; `current` what is there now.
    async fn best_copy(
        &self,
        key: &Key,
        known: Option<&ItemRef>,
        current: Seen,
        copies: &BTreeSet<ItemRef>,
    ) -> Result<Seen, Trouble> {
        let current_at = current.present().map(|item| item.at.clone());
        let was_deleted = matches!(current, Seen::Deleted);
        let mut best = current;
        for at in copies.iter().filter(|at| Some(*at) != current_at.as_ref()) {
            let seen = match self.read(at).await {
                Ok(seen) => seen,
                Err(Trouble::NotSynchronized) => continue,
                Err(trouble) => return Err(trouble),
            };
            let Seen::Present(item) = seen else {
                if matches!(best, Seen::Absent) {
                    best = seen;
                }
                continue;
            };
            self.check_key(key, &item).await?;
            if item.role == Role::Organizer {
                return Ok(Seen::Present(item));
            }
            if best.present().is_none() {
                best = Seen::Present(item);
            }
        }
        let Some(copy) = best.present() else { return Ok(best) };
        if copy.role == Role::Organizer {
            return Ok(best);
        }
        // An attendee's copy. If its organizer is synchronized too, that calendar holds the truth.
        let Some(home) = copy.appointment.organizer.as_ref().and_then(|person| self.servers.calendar(&person.address))
        else {
            return Ok(best);
        };
        if home == copy.at.container {
            return Ok(best);
        }
        let (Some(uid), Some(server)) = (copy.uid.clone(), self.servers.of(&home)) else { return Ok(best) };
        let found = self.ask(&server, &home, server.find_uid(&home, &uid)).await?;
        match found.into_iter().find(|item| item.role == Role::Organizer) {
            Some(item) => {
                self.check_key(key, &item).await?;
                Ok(Seen::Present(Box::new(item)))
            }
            // The copy both sides agreed on was the organizer's, and it is gone, whatever others still have: it was deleted
            // without a word to them.
            None if was_deleted && known.is_some_and(|known| known.container == home) => Ok(Seen::Deleted),
            None => Err(Trouble::Orphan),
        }
    }

    /// An item whose stamp or UID belongs to another key is worked on under that key. The UID alone says nothing as long as nothing is
    /// known under it: of a meeting whose stamp leads here, the attendees' copies bear no stamp.
    async fn check_key(&self, key: &Key, item: &Item) -> Result<(), Trouble> {
        let change = Change {
            at: item.at.clone(),
            uid: item.uid.clone(),
            stamp: item.stamp.clone(),
            cause: crate::model::Cause::Again,
        };
        match super::keys::key_for(&self.ledger, &change).await? {
            Some(other @ Key::Uid(_)) if other != *key && self.ledger.get(&other).await?.is_none() => Ok(()),
            Some(other) if other != *key => Err(Trouble::Belongs(other)),
            Some(_) | None => Ok(()),
        }
    }

    async fn partner_in_exchange(
        &self,
        key: &Key,
        item: &Item,
        home: &Container,
        otherwise: Seen,
    ) -> Result<Seen, Trouble> {
        let Some(server) = self.servers.of(home) else { return Ok(otherwise) };
        let stamped = self.ask(&server, home, server.find_stamped(home, key)).await?;
        if let Some(found) = self.unpaired(stamped).await?.into_iter().next() {
            return Ok(Seen::Present(Box::new(found)));
        }
        let like = self.for_exchange(key, &item.appointment).await;
        let mut matches = self.unpaired(self.ask(&server, home, server.find_alike(home, &like)).await?).await?;
        matches.retain(|found| may_match(found) && alike(&found.appointment, &like));
        Ok(only(matches).map_or(otherwise, |found| Seen::Present(Box::new(found))))
    }

    async fn partner_in_crm(&self, key: &Key, item: &Item) -> Result<Seen, Trouble> {
        let crm = self.servers.crm().clone();
        let stamped = self.ask(&crm, &Container::Crm, crm.find_stamped(&Container::Crm, key)).await?;
        if let Some(found) = self.unpaired(stamped).await?.into_iter().next() {
            return Ok(Seen::Present(Box::new(found)));
        }
        let candidates = self.ask(&crm, &Container::Crm, crm.find_alike(&Container::Crm, &item.appointment)).await?;
        let mut matches = Vec::new();
        for found in self.unpaired(candidates).await? {
            // Everybody's appointments at that time are among them; rules are asked about the few that belong in this calendar.
            if !may_match(&found) || self.home(&found.appointment).as_ref() != Some(&item.at.container) {
                continue;
            }
            let shown = self.for_exchange(key, &found.appointment).await;
            if alike(&shown, &item.appointment) {
                matches.push(found);
            }
        }
        Ok(only(matches).map_or(Seen::Absent, |found| Seen::Present(Box::new(found))))
    }

    /// A CRM appointment as the rules would show it in Exchange, so that like is compared with like; as it is where they
    /// do not pass it (the decision about that comes later).
    pub(super) async fn for_exchange(&self, key: &Key, crm: &Appointment) -> Appointment {
        let id = key.to_string();
        let call = Call { id: &id, direction: Direction::CrmToExchange, source: crm };
        match self.rules.current().judge(call).await {
            Ok(Verdict::Pass(draft)) => draft.appointment,
            Ok(_) | Err(_) => crm.clone(),
        }
    }

    /// The calendar a CRM appointment belongs in: its organizer's.
    pub(super) fn home(&self, appointment: &Appointment) -> Option<Container> {
        self.servers.calendar(&organizer(appointment)?)
    }

    pub(super) async fn unpaired(&self, items: Vec<Item>) -> Result<Vec<Item>, Trouble> {
        let mut free = Vec::new();
        for item in items {
            if self.ledger.find_item(&item.at).await?.is_none() {
                free.push(item);
            }
        }
        Ok(free)
    }

    /// Asks a server, minding and keeping its circuit.
    pub(crate) async fn ask<T>(
        &self,
        server: &std::sync::Arc<dyn connector::Connector>,
        container: &Container,
        request: impl Future<Output = Result<T, connector::Error>>,
    ) -> Result<T, Trouble> {
        self.not_held(container)?;
        self.is_ours(server, container).await?;
        self.ask_anyone(server, container, request).await
    }

    /// As [`Worker::ask`], whoever keeps the calendar.
    pub(crate) async fn ask_anyone<T>(
        &self,
        server: &std::sync::Arc<dyn connector::Connector>,
        container: &Container,
        request: impl Future<Output = Result<T, connector::Error>>,
    ) -> Result<T, Trouble> {
        self.mind(server.name(), container)?;
        match request.await {
            Ok(answer) => {
                self.answered(server.name(), container);
                Ok(answer)
            }
            Err(error) => {
                Err(Trouble::Server { server: server.name().to_owned(), container: container.clone(), error })
            }
        }
    }
}

/// The organizer's address, where there is one.
pub(super) fn organizer(appointment: &Appointment) -> Option<Address> {
    appointment.organizer.as_ref().map(|person| person.address.clone()).filter(|address| !address.is_empty())
}

/// Only an organizer's own, unstamped item may be taken for a partner.
fn may_match(item: &Item) -> bool {
    item.stamp.is_none() && item.role == Role::Organizer
}

/// The only one; with two candidates nobody can tell which is meant, and both are kept apart.
pub(super) fn only(mut items: Vec<Item>) -> Option<Item> {
    if items.len() == 1 { items.pop() } else { None }
}

/// The natural key: subject, organizer, time, all-ness. Blank subjects match nothing.
pub(super) fn alike(a: &Appointment, b: &Appointment) -> bool {
    let subject = |appointment: &Appointment| appointment.subject.trim().to_lowercase();
    !subject(a).is_empty() && subject(a) == subject(b) && a.time == b.time && organizer(a) == organizer(b)
}
