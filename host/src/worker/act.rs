//! Carries a decision out: brake, mail cap and the watch for restless pairs first, then the conditional write, then the ledger.
//!
//! Promises: nothing is written before brake and cap agreed; the ledger entry holds what the servers show after the write
//! and is durable before the queue forgets the change. Must not know: how the decision was made.

use std::collections::BTreeSet;

use super::consider::Decision;
use super::unasked::{UNWRITTEN, WITHOUT_ATTENDEES};
use super::{Trouble, Worker};
use crate::connector::{self, Problem};
use crate::engine::{Merged, Op};
use crate::ledger::{Begun, Entry, Event, FieldChange, Lost, State, Writing};
use crate::model::{Appointment, Container, Direction, Field, Item, Known, MailBudget, Patch, Role, Seen, Side, Value};

/// What was done, for traces and metrics.
#[derive(Debug)]
pub struct Done {
    /// Writes on the two sides.
    pub crm_writes: u32,
    pub exchange_writes: u32,
    /// The entry to record; nothing if the ledger is right as it is.
    pub entry: Option<Entry>,
    /// What to add to the pair's history.
    pub event: Option<Event>,
}

impl Done {
    /// Nothing was written and nothing is to be recorded.
    const NOTHING: Done = Done { crm_writes: 0, exchange_writes: 0, entry: None, event: None };
}

impl Worker {
    /// Does what was decided.
    pub(super) async fn act(&self, decision: &Decision) -> Result<Done, Trouble> {
        let wanted = if decision.by_person { 0 } else { decision.mail.budget.total() };
        let written = matches!(&decision.op, Op::Merge)
            && !(decision.merged.to_crm.is_empty() && decision.merged.to_exchange.is_empty());
        if written {
            self.ask_rest(decision).await?;
        }
        let writes = matches!(decision.op, Op::Merge | Op::Create { .. } | Op::Delete { .. });
        if decision.taken_in
            && writes
            && let Some(entry) = &decision.entry
        {
            // The write that is begun now takes the place of the one that this was known from.
            let event = Event::new(self.clock.now(), "noted").note(TAKEN_IN);
            self.ledger.record(entry, vec![event]).await?;
        }
        self.ask_mail_cap(wanted).await?;
        let done = self.carry_out(decision).await;
        if wanted > 0 && done.as_ref().is_err_and(Trouble::mailed_nobody) {
            self.unmail(wanted);
        }
        done
    }

    async fn carry_out(&self, decision: &Decision) -> Result<Done, Trouble> {
        match &decision.op {
            Op::Nothing => Ok(self.refreshed(decision)),
            Op::Skip(_) => Ok(Done::NOTHING),
            Op::Note(why) => Ok(self.note(decision, why)),
            Op::Create { on: Side::Exchange, why } => self.create_in_exchange(decision, why).await,
            Op::Create { on: Side::Crm, why } => self.create_in_crm(decision, why).await,
            Op::Delete { on, why } => self.delete(decision, *on, why).await,
            Op::Merge => self.write_merged(decision).await,
        }
    }

    /// Versions and copies are kept up to date without an event: nothing happened that a person would ask about, unless an
    /// earlier run wrote it and could not say so.
    fn refreshed(&self, decision: &Decision) -> Done {
        let Some(before) = &decision.entry else { return Done::NOTHING };
        let mut entry = before.clone();
        entry.crm = decision.view.crm.present().map(Known::from).or(entry.crm);
        entry.exchange = decision.view.exchange.present().map(Known::from).or(entry.exchange);
        entry.copies = decision.view.copies.iter().cloned().collect();
        if let Some(item) = decision.view.exchange.present() {
            entry.uid = item.uid.clone().or(entry.uid);
        }
        let event = decision.taken_in.then(|| self.event("noted", TAKEN_IN, decision));
        let entry = (decision.taken_in || entry != *before).then_some(entry);
        Done { entry, event, ..Done::NOTHING }
    }

    fn note(&self, decision: &Decision, why: &str) -> Done {
        let mut entry = self.entry(decision);
        entry.crm = known(&decision.view.crm);
        entry.exchange = known(&decision.view.exchange);
        if entry.crm.is_none() || entry.exchange.is_none() {
            entry.state = State::Gone;
        }
        let event = self.event("noted", why, decision);
        Done { entry: Some(entry), event: Some(event), ..Done::NOTHING }
    }

    async fn create_in_exchange(&self, decision: &Decision, why: &str) -> Result<Done, Trouble> {
        let (Some(draft), Some(source)) = (&decision.for_exchange, decision.view.crm.present()) else {
            return Err(Trouble::Undecided);
        };
        let Some(home) = self.home(&draft.appointment) else { return Err(Trouble::NoCalendar) };
        let server = self.servers.of(&home).ok_or(Trouble::NotSynchronized)?;
        // Users were read meanwhile, or a rule names another organizer: this calendar was not searched for what an earlier
        // run may have made there. Reading again finds it.
        if decision.view.searched.as_ref() != Some(&home)
            && !self.ask(&server, &home, server.find_stamped(&home, &decision.key)).await?.is_empty()
        {
            let error = connector::Error::new("create an appointment that is there already", Problem::Stale);
            return Err(Trouble::Server { server: server.name().to_owned(), container: home, error });
        }
        let mut wanted = draft.appointment.clone();
        wanted.attendees.retain(|attendee| !attendee.person.address.is_empty());
        let begun =
            Begun { crm: source.appointment.clone(), exchange: wanted.clone(), source: Some(source.at.clone()) };
        self.ledger.begin(&decision.key, begun).await?;
        let made = self.ask(&server, &home, server.create(&home, &wanted, &decision.key, decision.mail.mail)).await?;
        self.counts.add_mail(decision.mail.budget);
        let mut entry = self.paired(decision, Some(source), Some(&made));
        entry.uid = made.uid.clone().or(entry.uid);
        let mut event = self.event("created in Exchange", why, decision);
        if !decision.withheld.is_empty() {
            event = event.note(format!("{why}; {WITHOUT_ATTENDEES}"));
        }
        Ok(Done { exchange_writes: 1, entry: Some(entry), event: Some(event), ..Done::NOTHING })
    }

    async fn create_in_crm(&self, decision: &Decision, why: &str) -> Result<Done, Trouble> {
        let (Some(draft), Some(source)) = (&decision.for_crm, decision.view.exchange.present()) else {
            return Err(Trouble::Undecided);
        };
        let crm = self.servers.crm().clone();
        // Its people are written one by one: who is missing from a copy made by half was not removed by anybody.
        let alone = |appointment: &Appointment| Appointment { attendees: Vec::new(), ..appointment.clone() };
        let begun = Begun {
            crm: alone(&draft.appointment),
            exchange: alone(&source.appointment),
            source: Some(source.at.clone()),
        };
        self.ledger.begin(&decision.key, begun).await?;
        let request = crm.create(&Container::Crm, &draft.appointment, &decision.key, decision.mail.mail);
        let made = self.ask(&crm, &Container::Crm, request).await?;
        let entry = self.paired(decision, Some(&made), Some(source));
        let event = self.event("created in the CRM", why, decision);
        Ok(Done { crm_writes: 1, entry: Some(entry), event: Some(event), ..Done::NOTHING })
    }

    async fn delete(&self, decision: &Decision, on: Side, why: &str) -> Result<Done, Trouble> {
        let seen = match on {
            Side::Crm => &decision.view.crm,
            Side::Exchange => &decision.view.exchange,
        };
        let Some(item) = seen.present() else { return Err(Trouble::Undecided) };
        let server = self.servers.of(&item.at.container).ok_or(Trouble::NotSynchronized)?;
        self.mind(server.name(), &item.at.container)?;
        if !decision.by_person {
            self.ask_brake(decision, &item.at.container).await?;
        }
        let request = server.delete(&item.at, &item.version, decision.mail.mail);
        if let Err(trouble) = self.ask(&server, &item.at.container, request).await {
            if !decision.by_person && trouble.is_conflict() {
                self.unbrake(decision, &item.at.container);
            }
            return Err(trouble);
        }
        self.counts.add_mail(decision.mail.budget);
        // What a deletion leaves is the server's affair (the CRM may keep a cancelled row): keep what it shows now.
        let left = self.read(&item.at).await?;
        let mut entry = self.entry(decision);
        match on {
            Side::Crm => (entry.crm, entry.exchange) = (known(&left), known(&decision.view.exchange)),
            Side::Exchange => (entry.crm, entry.exchange) = (known(&decision.view.crm), known(&left)),
        }
        entry.state = State::Gone;
        entry.copies.clear();
        let what = match on {
            Side::Crm => "removed in the CRM",
            Side::Exchange => "removed in Exchange",
        };
        let event = self.event(what, why, decision);
        Ok(Done {
            crm_writes: u32::from(on == Side::Crm),
            exchange_writes: u32::from(on == Side::Exchange),
            entry: Some(entry),
            event: Some(event),
        })
    }

    async fn write_merged(&self, decision: &Decision) -> Result<Done, Trouble> {
        let (Some(crm), Some(exchange)) = (decision.view.crm.present(), decision.view.exchange.present()) else {
            return Err(Trouble::Undecided);
        };
        let merged = &decision.merged;
        let answered = self.send_answers(decision).await?;
        if !(merged.to_exchange.is_empty() && merged.to_crm.is_empty()) {
            self.ledger.write_begins(&decision.key, writing(crm, exchange, merged)?).await?;
        }
        let mut shown = (crm.clone(), exchange.clone());
        let mut besides = MailBudget::NONE;
        if !merged.to_exchange.is_empty() {
            (shown.1, besides) = match &decision.whole {
                Some(whole) => self.update_whole(decision, whole).await?,
                None => (self.update(exchange, &merged.to_exchange, decision).await?, besides),
            };
        }
        if !merged.to_crm.is_empty() {
            shown.0 = self.update(crm, &merged.to_crm, decision).await?;
        }
        let mut entry = self.paired(decision, None, None);
        entry.crm = Some(agreed(crm, &merged.to_crm, &shown.0));
        entry.exchange = Some(agreed(exchange, &merged.to_exchange, &shown.1));
        let before = (&crm.appointment, &exchange.appointment);
        let linked = decision.entry.as_ref().is_some_and(|entry| entry.crm.is_some() && entry.exchange.is_some());
        let (what, why) = match (linked, merged.to_crm.is_empty(), merged.to_exchange.is_empty()) {
            (false, _, _) => ("linked", "the two copies were found to be the same appointment"),
            (true, true, true) if answered > 0 => ("answered in Exchange", "a CRM user answered in the CRM"),
            (true, true, true) => ("noted", unwritten(decision)),
            (true, false, true) if decision.reapply => ("updated in the CRM", ANEW),
            (true, true, false) if decision.reapply => ("updated in Exchange", ANEW),
            (true, true, false) => ("updated in Exchange", "changed in the CRM"),
            (true, false, true) => ("updated in the CRM", "changed in Exchange"),
            (true, false, false) => ("updated on both sides", "changed on both sides"),
        };
        let mut event = self.event(what, why, decision);
        event.mail += besides;
        if !decision.withheld.is_empty() && why != UNWRITTEN {
            event = event.note(format!("{why}; {UNWRITTEN}"));
        }
        event.changes.extend(changes(before.0, &merged.to_crm));
        event.changes.extend(changes(before.1, &merged.to_exchange));
        event.lost = merged
            .losers
            .iter()
            .map(|loser| Lost {
                field: loser.field.clone(),
                side: loser.side,
                value: loser.value.clone(),
                winner: loser.winner.clone(),
            })
            .collect();
        event.direction = match (merged.to_crm.is_empty(), merged.to_exchange.is_empty()) {
            (true, false) => Some(Direction::CrmToExchange),
            (false, true) => Some(Direction::ExchangeToCrm),
            (true, true) | (false, false) => None,
        };
        Ok(Done {
            crm_writes: u32::from(!merged.to_crm.is_empty()),
            exchange_writes: u32::from(!merged.to_exchange.is_empty()) + answered,
            entry: Some(entry),
            event: (why != NOTHING_TO_WRITE).then_some(event),
        })
    }

    async fn update(&self, item: &Item, patch: &Patch, decision: &Decision) -> Result<Item, Trouble> {
        let mut after = item.appointment.clone();
        patch.apply(&mut after)?;
        if item.at.side() == Side::Exchange && patch.set.contains_key(&Field::Time) {
            self.check_neighbours(&decision.key, &after).await?;
        }
        let server = self.servers.of(&item.at.container).ok_or(Trouble::NotSynchronized)?;
        let request = server.update(&item.at, &item.version, patch, &after, decision.mail.mail);
        let updated = self.ask(&server, &item.at.container, request).await?;
        if item.at.side() == Side::Exchange {
            self.counts.add_mail(decision.mail.budget);
        }
        Ok(updated)
    }

    /// The entry to go on from: the ledger's, or a new one.
    fn entry(&self, decision: &Decision) -> Entry {
        let generation = decision.rules.generation();
        let mut entry = decision.entry.clone().unwrap_or_else(|| Entry::new(decision.key.clone()));
        entry.generation = Some(generation);
        entry.copies = decision.view.copies.iter().cloned().collect();
        if let Some(item) = decision.view.exchange.present() {
            entry.uid = item.uid.clone().or(entry.uid);
        }
        entry
    }

    fn paired(&self, decision: &Decision, crm: Option<&Item>, exchange: Option<&Item>) -> Entry {
        let mut entry = self.entry(decision);
        entry.crm = crm.map(Known::from);
        entry.exchange = exchange.map(Known::from);
        entry.state = State::Live;
        entry
    }

    fn event(&self, what: &str, why: &str, decision: &Decision) -> Event {
        let mut event = Event::new(self.clock.now(), what).note(why);
        event.mail = decision.mail.budget;
        event.generation = Some(decision.rules.generation());
        event
    }
}

/// Both sides as they will be after these patches.
fn writing(crm: &Item, exchange: &Item, merged: &Merged) -> Result<Writing, Trouble> {
    let after = |item: &Item, patch: &Patch| {
        let mut after = item.appointment.clone();
        patch.apply(&mut after).map(|()| after)
    };
    let fields = |patch: &Patch| patch.set.keys().cloned().collect();
    Ok(Writing {
        crm: after(crm, &merged.to_crm)?,
        exchange: after(exchange, &merged.to_exchange)?,
        to_crm: fields(&merged.to_crm),
        to_exchange: fields(&merged.to_exchange),
    })
}

const ANEW: &str = "made anew by the rules in force";
const TAKEN_IN: &str = "an earlier run wrote it, and was stopped before it could note that";
const NOTHING_TO_WRITE: &str = "a change that does not reach the other side";

/// Why a merge wrote nothing although something moved.
fn unwritten(decision: &Decision) -> &'static str {
    if !decision.withheld.is_empty() {
        return UNWRITTEN;
    }
    match decision.view.exchange.present().map(|item| item.role) {
        Some(Role::Attendee) => "the meeting belongs to an organizer elsewhere: changes in the CRM stay in the CRM",
        Some(Role::Organizer) | None => NOTHING_TO_WRITE,
    }
}

/// What both sides agree on after a write: the item as its server shows it now, but for what somebody else changed between
/// our reading and our reading back (the CRM cannot write conditionally, and no server reads back in the same instant). A
/// field that was not written and yet differs is kept as it was, under the old version, so that the next look finds it as
/// the change it is.
fn agreed(before: &Item, written: &Patch, shown: &Item) -> Known {
    let mut known = Known::from(shown);
    let fields: BTreeSet<Field> = before.appointment.fields().chain(shown.appointment.fields()).collect();
    for field in fields.into_iter().filter(|field| !written.set.contains_key(field)) {
        let old = before.appointment.get(&field);
        // A field that cannot take its own old value (there is none) keeps what is shown.
        if old != shown.appointment.get(&field) && known.appointment.set(&field, old).is_ok() {
            known.version.clone_from(&before.version);
        }
    }
    known
}

fn known(seen: &Seen) -> Option<Known> {
    seen.present().map(Known::from)
}

fn changes(before: &Appointment, patch: &Patch) -> Vec<FieldChange> {
    let change = |(field, value): (&Field, &Value)| FieldChange {
        field: field.clone(),
        old: before.get(field),
        new: value.clone(),
    };
    patch.set.iter().map(change).collect()
}
