//! A series that people made in the CRM: several communications that share a recurrence id become one series in Exchange.
//!
//! The CRM shows no pattern, so it is found in the days. Only a pattern that gives exactly these days is taken; else the
//! communications stay single appointments, which the history says. What differs in one of them (another hour, another place)
//! becomes an exception, by the way of every pair. Promises: one create, found again by its stamp; the mail of that one
//! create is declared. Must not know: how a pattern is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;

use super::super::unasked::WITHOUT_ATTENDEES;
use super::super::{Trouble, Worker};
use super::{Spread, occurrence_window};
use crate::connector::Problem;
use crate::engine;
use crate::ledger::{Begun, Entry, Event, State};
use crate::model::recurrence::{Rule, recognise};
use crate::model::{
    Appointment, Cause, Change, Container, Direction, Instance, Item, ItemRef, Key, Known, MailBudget, Recurrence,
    Side, Status, Time, Version, Zone, instant_of,
};
use crate::rules::{Call, Draft, Rules, Verdict};

/// What a list of communications was found to be.
struct Found {
    rule: Rule,
    /// The one that most of the others are like; content and time of day of the series.
    model: Item,
    /// All of them are over.
    past: bool,
}

/// Communications with the key and the occurrence they stand for, and those that stand for none.
type Placed = (Vec<(Key, Instance, Item)>, Vec<Item>);

/// The master of a series in Exchange.
struct Made {
    master: Item,
    mail: MailBudget,
    /// It was made without its attendees.
    uninvited: bool,
    /// What it was made of, and as what; nothing if it was there.
    begun: Option<Begun>,
}

impl Worker {
    /// Makes one series of the CRM's communications, or leaves them single; answers what is to be looked at.
    pub(super) async fn gather(
        &self,
        entry: Entry,
        series: &str,
        changes: &[Change],
        rules: &Arc<dyn Rules>,
    ) -> Result<Spread, Trouble> {
        let rows = self.rows_of(series).await?;
        let free = self.unpaired(rows.clone()).await?;
        let begun = self.ledger.begun(&entry.key).await?;
        if free.is_empty() && begun.is_none() {
            return Ok(Spread::default());
        }
        let master = match &entry.exchange {
            Some(known) => self.read(&known.at).await?.present().cloned(),
            None => self.made_before(&entry.key, &rows).await?,
        };
        if let Some(master) = master {
            let entry = Entry { state: State::Live, ..entry };
            return match begun {
                // An earlier run was cut off before all were paired, or before it could say that they are.
                Some(begun) => self.pair_up(entry, &master, &begun, free).await,
                None => self.adopt(entry, &master, free).await,
            };
        }
        if free.is_empty() {
            return Ok(Spread::default());
        }
        let single = |rows: Vec<Item>| Ok(kept_single(&entry, rows));
        let found = found(&rows, self.clock.now()).filter(|_| free.len() == rows.len());
        let Some(found) = found else { return single(free) };
        let Some((draft, home)) = self.draft(&entry.key, &found, rules).await? else { return single(free) };
        let made = match self.make(&entry.key, &found, &draft, &home, changes).await {
            Ok(made) => made,
            // A server that cannot hold it, or has no such pattern.
            Err(Trouble::Server { error, .. }) if error.problem == Problem::Unsupported => return single(free),
            Err(trouble) => return Err(trouble),
        };
        let entry = Entry { generation: Some(rules.generation()), ..entry };
        let Some(begun) = made.begun.or(begun) else { return self.adopt(entry, &made.master, free).await };
        let series = whole(&entry, &made.master);
        let mut note = format!("a series of {} communications, recognised by its days", rows.len());
        if made.uninvited {
            note = format!("{note}; {WITHOUT_ATTENDEES}");
        }
        let mut event = Event::new(self.clock.now(), "created in Exchange").note(note);
        event.mail = made.mail;
        // It is complete only when all of it is paired.
        self.ledger.record_begun(&series, vec![event], begun.clone()).await?;
        self.pair_up(series, &made.master, &begun, free).await
    }

    /// Whether the rules pass it, and where it belongs.
    async fn draft(
        &self,
        key: &Key,
        found: &Found,
        rules: &Arc<dyn Rules>,
    ) -> Result<Option<(Draft, Container)>, Trouble> {
        let direction = Direction::CrmToExchange;
        if !self.settings.policy.allows(direction) {
            return Err(Trouble::NotSynchronized);
        }
        let mut source = found.model.appointment.clone();
        source.recurrence = Some(Recurrence::from(found.rule));
        let id = key.to_string();
        let draft = match rules.judge(Call { id: &id, direction, source: &source }).await? {
            Verdict::Pass(draft) if !draft.removed => *draft,
            Verdict::Pass(_) => return Ok(None),
            // None of the sync's business, as a whole.
            Verdict::Skip { .. } => return Err(Trouble::NotSynchronized),
            Verdict::Hold { rule, reason, after } => return Err(Trouble::Held { rule, reason, after }),
            Verdict::Refuse(refusal) => return Err(Trouble::Refused(refusal)),
        };
        let home = self.home(&draft.appointment).ok_or(Trouble::NoCalendar)?;
        Ok(draft.appointment.recurrence.is_some().then_some((draft, home)))
    }

    /// The master that an earlier run made of these communications, and that the ledger was never told of, or has lost.
    async fn made_before(&self, key: &Key, rows: &[Item]) -> Result<Option<Item>, Trouble> {
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(home) = self.home(&self.for_exchange(key, &row.appointment).await) else { return Ok(None) };
        let Some(server) = self.servers.of(&home) else { return Ok(None) };
        let stamped = self.ask(&server, &home, server.find_stamped(&home, key)).await?;
        Ok(stamped.into_iter().find(|item| item.appointment.recurrence.is_some()))
    }

    /// Whether a communication is to become part of its series: an earlier run was cut off before it paired it with its
    /// occurrence.
    pub(super) async fn is_awaited(&self, series: &Entry, row: &Item) -> Result<bool, Trouble> {
        let (Some(uid), Some(known)) = (&series.uid, &series.exchange) else { return Ok(series.exchange.is_none()) };
        let Some(id) = crm_series(row) else { return Ok(false) };
        if self.read(&known.at).await?.present().is_none() {
            return Ok(false);
        }
        let rows = self.rows_of(id).await?;
        let free = self.unpaired(rows).await?;
        let (placed, _) = self.placed(uid, &known.at, free).await?;
        Ok(placed.iter().any(|(_, _, one)| one.at == row.at))
    }

    /// The communications of a series that count, in their order.
    async fn rows_of(&self, series: &str) -> Result<Vec<Item>, Trouble> {
        let crm = self.servers.crm().clone();
        let mut rows = self.ask(&crm, &Container::Crm, crm.in_series(&Container::Crm, series)).await?;
        rows.retain(|row| row.appointment.status != Status::Cancelled);
        rows.sort_by_key(|row| (first_wall(&row.appointment.time), row.at.id.clone()));
        Ok(rows)
    }

    /// Communications with the occurrences they stand for, as far as these have none yet; and those that stand for none.
    async fn placed(&self, uid: &str, master: &ItemRef, rows: Vec<Item>) -> Result<Placed, Trouble> {
        let mut instances = self.instances_of(master, &rows).await?;
        let (mut placed, mut single) = (Vec::new(), Vec::new());
        for row in rows {
            let Some(instance) = day_of(&instances, &row).and_then(|date| instances.remove(&date)) else {
                single.push(row);
                continue;
            };
            let key = Key::Occurrence { uid: uid.to_owned(), date: instance.date };
            match self.ledger.get(&key).await? {
                None => placed.push((key, instance, row)),
                Some(_) => single.push(row),
            }
        }
        Ok((placed, single))
    }

    /// Makes the master, unless there is one.
    async fn make(
        &self,
        key: &Key,
        found: &Found,
        draft: &Draft,
        home: &Container,
        changes: &[Change],
    ) -> Result<Made, Trouble> {
        let server = self.servers.of(home).ok_or(Trouble::NotSynchronized)?;
        // With its pattern the rules may lead elsewhere than where it was looked for.
        let model = &found.model.appointment;
        if let Some(master) = self.ask(&server, home, server.find_stamped(home, key)).await?.into_iter().next() {
            return Ok(Made { master, mail: MailBudget::NONE, uninvited: false, begun: None });
        }
        let first = changes.iter().any(|change| change.cause == Cause::First);
        let past = found.past;
        let mail = engine::mail_for_create(&draft.appointment, draft.mail_allowed && !first && !past);
        self.ask_mail_cap(mail.budget.total()).await?;
        let mut wanted = draft.appointment.clone();
        wanted.attendees.retain(|attendee| !attendee.person.address.is_empty());
        let uninvited = self.leaves_uninvited(home, &wanted, mail);
        if uninvited {
            wanted.attendees.clear();
        }
        let begun = Begun { crm: model.clone(), exchange: wanted.clone(), source: None };
        self.ledger.begin(key, begun).await?;
        let master = self.ask(&server, home, server.create(home, &wanted, key, mail.mail)).await?;
        self.counts.exchange_writes.fetch_add(1, Ordering::Relaxed);
        self.counts.add_mail(mail.budget);
        let begun = Begun { crm: model.clone(), exchange: master.appointment.clone(), source: None };
        Ok(Made { master, mail: mail.budget, uninvited, begun: Some(begun) })
    }

    /// Pairs each communication with its occurrence. What both agree on is what the series was made of and as what: where one
    /// of the sides differs from that, the next look finds its difference as the change it is.
    async fn pair_up(&self, entry: Entry, master: &Item, begun: &Begun, rows: Vec<Item>) -> Result<Spread, Trouble> {
        let Some(uid) = master.uid.clone() else { return Err(Trouble::Undecided) };
        let (placed, single) = self.placed(&uid, &master.at, rows).await?;
        let mut looks = Vec::new();
        for (key, instance, row) in placed {
            let (crm, crm_differs) = agreed_on(&begun.crm, instance.date, &row);
            let (exchange, exchange_differs) = agreed_on(&begun.exchange, instance.date, &instance.item);
            let entry = Entry { crm: Some(crm), exchange: Some(exchange), ..Entry::new(key.clone()) };
            let event = Event::new(self.clock.now(), "linked").note("an occurrence of a series made in the CRM");
            self.ledger.record(&entry, vec![event]).await?;
            if crm_differs || exchange_differs {
                looks.push((key, Change { at: row.at, uid: None, stamp: None, cause: Cause::Again }));
            }
        }
        let series = whole(&entry, master);
        looks.extend(kept_single(&series, single).looks);
        let until = occurrence_window(self).until;
        let state = Some(Some(crate::ledger::SeriesState { until }));
        Ok(Spread { entry: Some(series), state, looks, ..Spread::default() })
    }

    /// Communications that joined a series which is in Exchange already: those of its days pair with its occurrences (an
    /// earlier run was cut off), the others stay single.
    async fn adopt(&self, entry: Entry, master: &Item, free: Vec<Item>) -> Result<Spread, Trouble> {
        let series = whole(&entry, master);
        let Some(uid) = &series.uid else { return Err(Trouble::Undecided) };
        let again = |at: ItemRef| Change { at, uid: None, stamp: None, cause: Cause::Again };
        let (placed, single) = self.placed(uid, &master.at, free).await?;
        let mut looks: Vec<_> = placed.into_iter().map(|(key, _, row)| (key, again(row.at))).collect();
        // Nobody has looked at the whole yet.
        if self.ledger.series(&entry.key).await?.is_none() {
            looks.push((entry.key.clone(), again(master.at.clone())));
        }
        looks.extend(kept_single(&series, single).looks);
        Ok(Spread { entry: (series != entry).then_some(series), looks, ..Spread::default() })
    }

    async fn instances_of(&self, master: &ItemRef, rows: &[Item]) -> Result<BTreeMap<NaiveDate, Instance>, Trouble> {
        let days = rows.iter().map(|row| date_of(&row.appointment.time));
        let (Some(first), Some(last)) = (days.clone().min(), days.max()) else { return Ok(BTreeMap::new()) };
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        let window = crate::model::recurrence::Window {
            from: midnight(first) - TimeDelta::days(1),
            until: midnight(last) + TimeDelta::days(2),
            limit: rows.len() + 4,
        };
        let container = &master.container;
        let server = self.servers.of(container).ok_or(Trouble::NotSynchronized)?;
        let shown = self.ask(&server, container, server.occurrences(master, window)).await?;
        Ok(shown.into_iter().map(|one| (one.date, one)).collect())
    }
}

/// The entry of a series with this master.
fn whole(entry: &Entry, master: &Item) -> Entry {
    Entry {
        uid: master.uid.clone(),
        crm: None,
        exchange: Some(Known::from(master)),
        state: State::Live,
        ..entry.clone()
    }
}

/// What was agreed on of one day of a series (what the whole was made as, at its hours on that day), and whether the item differs
/// from it. The version is none of the item's then: what differs is a change, not another reading of the same.
fn agreed_on(made: &Appointment, date: NaiveDate, item: &Item) -> (Known, bool) {
    let time = shifted(&made.time, date, zone(&made.time));
    let appointment = Appointment { time, recurrence: None, ..made.clone() };
    if engine::moved(&appointment, &item.appointment).is_empty() {
        return (Known::from(item), false);
    }
    (Known { at: item.at.clone(), version: Version(String::new()), appointment }, true)
}

/// The communications stay single appointments: a note in the ledger keeps them from being gathered again.
fn kept_single(entry: &Entry, rows: Vec<Item>) -> Spread {
    let looks = rows
        .into_iter()
        .map(|row| {
            let key = row.stamp.clone().unwrap_or_else(|| Key::Crm(row.at.id.clone()));
            (key, Change { at: row.at, uid: None, stamp: None, cause: Cause::Again })
        })
        .collect();
    let note =
        (entry.exchange.is_none() && entry.state == State::Live).then(|| Entry { state: State::Gone, ..entry.clone() });
    Spread { entry: note, looks, ..Spread::default() }
}

/// The pattern of communications, if there is one.
fn found(rows: &[Item], now: DateTime<Utc>) -> Option<Found> {
    let days: Vec<NaiveDate> = rows.iter().map(|row| date_of(&row.appointment.time)).collect();
    let rule = recognise(&days, Weekday::Mon)?;
    // The hour most of them share. The first of these stands for the series, of those still to come if there are any: they are
    // what people are invited to.
    let mut hours: BTreeMap<(NaiveTime, TimeDelta), usize> = BTreeMap::new();
    for row in rows {
        *hours.entry(hour(&row.appointment.time)).or_default() += 1;
    }
    let most = hours.values().copied().max()?;
    let mut usual = rows.iter().filter(|row| hours.get(&hour(&row.appointment.time)) == Some(&most));
    let to_come = |row: &&Item| row.appointment.status != Status::Complete && !row.appointment.time.is_past(now);
    let model = usual.clone().find(to_come).or_else(|| usual.next())?;
    let zone = zone(&model.appointment.time);
    let first = *days.first()?;
    let mut model = model.clone();
    model.appointment.time = shifted(&model.appointment.time, first, zone);
    let past = rows.iter().all(|row| row.appointment.time.is_past(now));
    Some(Found { rule, model, past })
}

fn zone(time: &Time) -> Option<Tz> {
    match time {
        Time::Timed(span) => match &span.zone {
            Zone::Iana(zone) => Some(*zone),
            Zone::Unknown(_) => None,
        },
        Time::AllDay { .. } => None,
    }
}

/// The wall time it begins at, in its own zone.
fn first_wall(time: &Time) -> NaiveDateTime {
    match time {
        Time::Timed(span) => match &span.zone {
            Zone::Iana(zone) => span.start.with_timezone(zone).naive_local(),
            Zone::Unknown(_) => span.start.naive_utc(),
        },
        Time::AllDay { first, .. } => first.and_time(NaiveTime::MIN),
    }
}

fn date_of(time: &Time) -> NaiveDate {
    first_wall(time).date()
}

/// The day of a series that a communication stands for: what is shown at its time, else on its day.
fn day_of(instances: &BTreeMap<NaiveDate, Instance>, row: &Item) -> Option<NaiveDate> {
    let time = &row.appointment.time;
    let at_its_time = instances.iter().find(|(_, one)| one.item.appointment.time == *time).map(|(date, _)| *date);
    at_its_time.or_else(|| Some(date_of(time)).filter(|date| instances.contains_key(date)))
}

/// Hour of the day and length.
fn hour(time: &Time) -> (NaiveTime, TimeDelta) {
    let length = match time {
        Time::Timed(span) => span.end - span.start,
        Time::AllDay { first, last } => *last - *first,
    };
    (first_wall(time).time(), length)
}

/// The same hours on another day.
fn shifted(time: &Time, day: NaiveDate, zone: Option<Tz>) -> Time {
    match (time, zone) {
        (Time::Timed(span), Some(zone)) => {
            let start = instant_of(zone, day.and_time(first_wall(time).time()));
            Time::timed(start, start + (span.end - span.start), span.zone.clone())
        }
        (Time::Timed(span), None) => {
            let start = day.and_time(span.start.time()).and_utc();
            Time::timed(start, start + (span.end - span.start), span.zone.clone())
        }
        (Time::AllDay { first, last }, _) => Time::AllDay { first: day, last: day + (*last - *first) },
    }
}

/// Whether a communication belongs to a series of the CRM's own (those the host made bear numbers below zero).
pub(in crate::worker) fn crm_series(item: &Item) -> Option<&str> {
    item.series.as_deref().filter(|id| !id.starts_with('-') && item.stamp.is_none() && item.at.side() == Side::Crm)
}
