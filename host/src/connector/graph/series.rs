//! Occurrences of a series: which there are in a span of time, and the one of a day.
//!
//! Lists and searches show masters only; occurrences come from the master's instances, and those that were moved out of the
//! span from its exceptions. Promises: an occurrence is named by its original day, as the server says it; bounded by the
//! window and its limit. Must not know: what becomes of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

use super::client::{Act, BATCH_MAX, PAGES_MAX};
use super::config::WINDOW_DAYS_MAX;
use super::wire::{self, Event, Page};
use super::{GraphConnector, map};
use crate::connector::exchange::short;
use crate::connector::http::Url;
use crate::connector::{Error, Problem};
use crate::model::recurrence::Window;
use crate::model::{Address, Instance, ItemRef, Seen};

/// The longest span of one list of instances: that of calendar views (inferred).
const SPAN_DAYS: i64 = WINDOW_DAYS_MAX as i64;
/// Series whose UID is remembered; beyond it all are forgotten.
const SERIES_MAX: usize = 20_000;

/// UIDs of series by their master. An instance shows a UID of its own, and only its master's id.
#[derive(Debug, Default)]
pub struct Uids(Mutex<HashMap<(Address, String), String>>);

impl Uids {
    fn of(&self, mailbox: &Address, master: &str) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(mailbox.clone(), master.to_owned())).cloned()
    }

    fn note(&self, mailbox: &Address, master: &str, uid: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SERIES_MAX {
            known.clear();
        }
        known.insert((mailbox.clone(), master.to_owned()), uid.to_owned());
    }
}

/// A master, and what it says of its occurrences.
struct Master {
    wire: Event,
    /// The mailbox's zone, where it is needed.
    home: Option<Tz>,
    /// Ids of changed occurrences by their original days.
    exceptions: BTreeMap<NaiveDate, String>,
}

impl Master {
    /// The original day of an instance; an unchanged one begins on it.
    fn day(&self, instance: &Event) -> Option<NaiveDate> {
        let own = instance.original_start.as_deref().and_then(map::moment);
        let shown = || instance.start.as_ref().and_then(map::instant);
        let start = own.or_else(|| shown().filter(|_| instance.kind.as_deref() == Some("occurrence")))?;
        Some(map::original_day(start, &self.wire, self.home))
    }
}

fn end_of_span(from: DateTime<Utc>, until: DateTime<Utc>) -> DateTime<Utc> {
    until.min(from + TimeDelta::days(SPAN_DAYS))
}

impl GraphConnector {
    /// The UID of a series, if its master lies in the calendar.
    pub(super) async fn series_uid(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        master: &str,
    ) -> Result<Option<String>, Error> {
        if let Some(uid) = self.uids.of(mailbox, master)
            && self.calendars.shows(mailbox, master)
        {
            return Ok(Some(uid));
        }
        let found = match self.event(act, mailbox, master, &[("$select", wire::SELECT_KEYS)]).await? {
            Ok(event) => event,
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act, mailbox).await?;
                return Ok(None);
            }
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        let lies_there = self.is_in_calendar(act, mailbox, &found).await?;
        let uid = found.uid.filter(|uid| lies_there && !uid.is_empty());
        if let Some(uid) = &uid {
            self.uids.note(mailbox, master, uid);
        }
        Ok(uid)
    }

    /// The master, or nothing if it is gone or no series any more.
    async fn master(&self, act: Act<'_>, mailbox: &Address, id: &str) -> Result<Option<Master>, Error> {
        let query = [("$select", wire::SELECT_MASTER), ("$expand", wire::EXPAND_EXCEPTIONS)];
        let mut event = match self.event(act, mailbox, id, &query).await? {
            Ok(event) => event,
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act, mailbox).await?;
                return Ok(None);
            }
            Err(refusal) => return Err(self.client.failed(act, refusal)),
        };
        if event.recurrence.is_none() || !self.is_in_calendar(act, mailbox, &event).await? {
            return Ok(None);
        }
        let Some(uid) = event.uid.clone().filter(|uid| !uid.is_empty()) else { return Ok(None) };
        self.uids.note(mailbox, id, &uid);
        let home = if self.needs_home(&event) { self.home(mailbox).await? } else { None };
        let mut exceptions = event.exception_occurrences.take().unwrap_or_default();
        if let Some(more) = event.exceptions_next.take() {
            exceptions.extend(self.client.list::<Event>(act, self.client.link(act, &more)?).await?);
        }
        let mut master = Master { wire: event, home, exceptions: BTreeMap::new() };
        master.exceptions = exceptions.into_iter().filter_map(|one| Some((master.day(&one)?, one.id))).collect();
        Ok(Some(master))
    }

    /// Instances that touch a span, by their original days, from the first on until so many unchanged ones were met.
    async fn shown(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        master: &Master,
        window: Window,
    ) -> Result<BTreeMap<NaiveDate, Event>, Error> {
        let mut found: BTreeMap<NaiveDate, Event> = BTreeMap::new();
        let mut start = window.from;
        let mut next = Some(self.span(mailbox, &master.wire.id, start, window.until));
        for _ in 0..PAGES_MAX {
            let Some(url) = next else { return Ok(found) };
            let page: Page<Event> = self.client.page(act, url).await?;
            found.extend(page.value.into_iter().filter_map(|event| Some((master.day(&event)?, event))));
            // They come in the order of time, so that these are the earliest; the changed ones are known from the master.
            let unchanged = found.values().filter(|event| event.kind.as_deref() == Some("occurrence")).count();
            next = match page.next {
                _ if unchanged >= window.limit => None,
                Some(link) => Some(self.client.link(act, &link)?),
                None => {
                    start = end_of_span(start, window.until);
                    (start < window.until).then(|| self.span(mailbox, &master.wire.id, start, window.until))
                }
            };
        }
        Err(self.client.malformed(act, "the list of instances has no end"))
    }

    /// Where the instances of one span are asked for.
    fn span(&self, mailbox: &Address, master: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Url {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (from, until, expand) = (text(from), text(end_of_span(from, until)), self.whole());
        let query = [
            ("startDateTime", from.as_str()),
            ("endDateTime", until.as_str()),
            ("$select", wire::SELECT),
            ("$expand", expand.as_str()),
            ("$orderby", "start/dateTime"),
        ];
        self.client.of_mailbox(mailbox, &["events", master, "instances"], &query)
    }

    pub(super) async fn instances(&self, at: &ItemRef, window: Window) -> Result<Vec<Instance>, Error> {
        let what = format!("read the occurrences of series {}", short(&at.id));
        let mailbox = self.mailbox(&at.container)?;
        let act = Act::new(&what, mailbox);
        let Some(master) = self.master(act, mailbox, &at.id).await? else {
            return Err(self.client.error(act, Problem::NotFound));
        };
        let mut shown = self.shown(act, mailbox, &master, window).await?;
        let (first, last) = (window.from.date_naive(), window.until.date_naive());
        let exceptions = master.exceptions.iter().filter(|(day, _)| **day >= first && **day < last);
        let mut days: Vec<NaiveDate> = shown.keys().copied().chain(exceptions.map(|(day, _)| *day)).collect();
        days.sort_unstable();
        days.dedup();
        days.truncate(window.limit);
        let moved_out = days.iter().filter(|day| !shown.contains_key(day)).filter_map(|day| master.exceptions.get(day));
        let moved_out: Vec<&str> = moved_out.map(String::as_str).collect();
        for event in self.whole_by_id(act, mailbox, &moved_out).await? {
            shown.extend(master.day(&event).map(|day| (day, event)));
        }
        let mut instances = Vec::with_capacity(days.len());
        for date in days {
            if let Some(event) = shown.remove(&date) {
                instances.push(Instance { date, item: self.mapped(act, &event, mailbox).await? });
            }
        }
        Ok(instances)
    }

    /// How many people are invited to each of the occurrences that were changed by themselves: Graph mails once for the series,
    /// and once more for each of these.
    pub(super) async fn exceptions(&self, at: &ItemRef) -> Result<Vec<u32>, Error> {
        let what = format!("read the exceptions of series {}", short(&at.id));
        let mailbox = self.mailbox(&at.container)?;
        let act = Act::new(&what, mailbox);
        let Some(master) = self.master(act, mailbox, &at.id).await? else { return Ok(Vec::new()) };
        let ids: Vec<&str> = master.exceptions.values().map(String::as_str).collect();
        // Their people alone: what else they hold may be unreadable, or long past.
        let events = self.by_id(act, mailbox, &ids, &[("$select", wire::SELECT_PEOPLE)]).await?;
        Ok(events.iter().map(|event| u32::try_from(map::those_mailed(event).len()).unwrap_or(u32::MAX)).collect())
    }

    async fn whole_by_id(&self, act: Act<'_>, mailbox: &Address, ids: &[&str]) -> Result<Vec<Event>, Error> {
        let expand = self.whole();
        self.by_id(act, mailbox, ids, &[("$select", wire::SELECT), ("$expand", expand.as_str())]).await
    }

    /// Events by id, in few round trips. Those that vanished meanwhile are left out.
    async fn by_id(
        &self,
        act: Act<'_>,
        mailbox: &Address,
        ids: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<Event>, Error> {
        let mut events = Vec::with_capacity(ids.len());
        for some in ids.chunks(BATCH_MAX) {
            let urls: Vec<_> = some.iter().map(|id| self.client.of_mailbox(mailbox, &["events", id], query)).collect();
            for answer in self.client.batch::<Event>(act, &urls).await? {
                match answer {
                    Ok(event) => events.push(event),
                    Err(refusal) if refusal.problem() == Problem::NotFound => {}
                    Err(refusal) => return Err(self.client.failed(act, refusal)),
                }
            }
        }
        Ok(events)
    }

    pub(super) async fn instance(&self, at: &ItemRef, date: NaiveDate) -> Result<Seen, Error> {
        let what = format!("read an occurrence of series {}", short(&at.id));
        let mailbox = self.mailbox(&at.container)?;
        let act = Act::new(&what, mailbox);
        let Some(master) = self.master(act, mailbox, &at.id).await? else { return Ok(Seen::Deleted) };
        let found = match master.exceptions.get(&date) {
            Some(id) => self.whole_by_id(act, mailbox, &[id]).await?.into_iter().next(),
            None => {
                let midnight = date.and_time(NaiveTime::MIN).and_utc();
                let (from, until) = (midnight - TimeDelta::days(1), midnight + TimeDelta::days(2));
                self.shown(act, mailbox, &master, Window { from, until, limit: usize::MAX }).await?.remove(&date)
            }
        };
        match found {
            Some(event) => Ok(Seen::Present(Box::new(self.mapped(act, &event, mailbox).await?))),
            None => Ok(Seen::Deleted),
        }
    }
}
