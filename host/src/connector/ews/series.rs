//! Occurrences of a series: which there are in a span of time, and the one of a day.
//!
//! SyncFolderItems and searches show masters only; occurrences come from a calendar view, and those that were moved out of
//! it from the master's list. Promises: an occurrence is named by its original day, as the master lists it or as its start
//! shows; bounded by the window and by [`VIEWS_MAX`]. Must not know: what becomes of them.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Utc};

use super::client::Act;
use super::operations::{Search, Shape};
use super::wire::CalendarItem;
use super::{EwsConnector, map};
use crate::connector::exchange::short;
use crate::connector::{Error, Problem};
use crate::model::recurrence::Window;
use crate::model::{Instance, ItemRef, Seen};

/// The longest span of one view; Exchange refuses more than two years.
const VIEW_DAYS: i64 = 720;
/// Views asked for in one go: what would need more is no calendar of a person.
const VIEWS_MAX: usize = 200;

/// A master, and what it says of its occurrences.
struct Master {
    uid: String,
    wire: CalendarItem,
    /// Original days of changed occurrences, by id.
    modified: HashMap<String, NaiveDate>,
}

impl Master {
    fn day(&self, appointment: &crate::model::Appointment, start: DateTime<Utc>) -> NaiveDate {
        map::original_day(start, appointment, self.wire.start_zone.as_deref())
    }
}

impl EwsConnector {
    /// The master, or nothing if it is gone or no series any more.
    async fn master(&self, act: Act<'_>, id: &str) -> Result<Option<Master>, Error> {
        let wire = match self.get_one(act, id, Shape::Series).await? {
            Ok(Some(wire)) => wire,
            Ok(None) => return Ok(None),
            Err(refusal) if refusal.problem() == Problem::NotFound => {
                self.confirm_gone(act).await?;
                return Ok(None);
            }
            Err(refusal) => return Err(self.client.failed(act.what, refusal)),
        };
        if wire.recurrence.is_none() || !self.is_in_calendar(act, &wire).await? {
            return Ok(None);
        }
        let item = self.mapped(act.what, &wire, act.mailbox)?;
        let Some(uid) = wire.uid.clone() else { return Ok(None) };
        let listed = wire.modified.iter().filter_map(|one| Some((one.id.clone(), map::instant(&one.original_start)?)));
        let day = |start| map::original_day(start, &item.appointment, wire.start_zone.as_deref());
        let modified = listed.map(|(id, start)| (id, day(start))).collect();
        Ok(Some(Master { uid, modified, wire }))
    }

    /// Ids of the series' occurrences in a calendar view, with their original days.
    async fn viewed(
        &self,
        act: Act<'_>,
        master: &Master,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<BTreeMap<NaiveDate, String>, Error> {
        let appointment = self.mapped(act.what, &master.wire, act.mailbox)?.appointment;
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        // FindItem cuts long texts; nothing else of a calendar begins like a long UID.
        let is_ours = |row: &CalendarItem| row.uid.as_deref().is_some_and(|uid| master.uid.starts_with(uid));
        let mut found = BTreeMap::new();
        let mut start = from;
        for _ in 0..VIEWS_MAX {
            let end = until.min(start + TimeDelta::days(VIEW_DAYS));
            let page = self.client.find_items(act, Search::Between { start: &text(start), end: &text(end) }).await?;
            // A view that was cut goes on where it ended: it is in the order of time.
            let last = page.items.iter().filter_map(|row| map::instant(row.start.as_deref()?)).max();
            for row in page.items.iter().filter(|row| is_ours(row)) {
                let begins = row.start.as_deref().and_then(map::instant);
                let known = master.modified.get(&row.id.id).copied();
                if let Some(day) = known.or_else(|| begins.map(|begins| master.day(&appointment, begins))) {
                    found.insert(day, row.id.id.clone());
                }
            }
            start = match (page.cut, last) {
                (true, Some(last)) if last > start => last,
                // More at one moment than a view holds: the rest of that moment is left out.
                (true, _) => start + TimeDelta::minutes(1),
                (false, _) => end,
            };
            if start >= until {
                return Ok(found);
            }
        }
        Err(Error::new(self.client.name_act(act.what), Problem::Refused).caused_by("the calendar holds too much"))
    }

    pub(super) async fn instances(&self, at: &ItemRef, window: Window) -> Result<Vec<Instance>, Error> {
        let what = format!("read the occurrences of series {}", short(&at.id));
        let act = Act::new(&what, self.mailbox(&at.container)?);
        let Some(master) = self.master(act, &at.id).await? else {
            return Err(Error::new(self.client.name_act(&what), Problem::NotFound));
        };
        let mut days = self.viewed(act, &master, window.from, window.until).await?;
        let (first, last) = (window.from.date_naive(), window.until.date_naive());
        let moved_out = master.modified.iter().filter(|(_, day)| **day >= first && **day < last);
        for (id, day) in moved_out {
            days.entry(*day).or_insert_with(|| id.clone());
        }
        let chosen: Vec<(NaiveDate, String)> = days.into_iter().take(window.limit).collect();
        let ids: Vec<String> = chosen.iter().map(|(_, id)| id.clone()).collect();
        let mut instances = Vec::new();
        for ((date, _), answer) in chosen.iter().zip(self.get_batches(act, &ids, Shape::Full).await?) {
            match answer {
                Ok(Some(wire)) => {
                    instances.push(Instance { date: *date, item: self.mapped(act.what, &wire, act.mailbox)? });
                }
                Ok(None) => {}
                Err(refusal) if refusal.problem() == Problem::NotFound => {}
                Err(refusal) => return Err(self.client.failed(act.what, refusal)),
            }
        }
        Ok(instances)
    }

    pub(super) async fn instance(&self, at: &ItemRef, date: NaiveDate) -> Result<Seen, Error> {
        let what = format!("read an occurrence of series {}", short(&at.id));
        let act = Act::new(&what, self.mailbox(&at.container)?);
        let Some(master) = self.master(act, &at.id).await? else { return Ok(Seen::Deleted) };
        let listed = master.modified.iter().find(|(_, day)| **day == date).map(|(id, _)| id.clone());
        let id = match listed {
            Some(id) => Some(id),
            None => {
                let midnight = date.and_time(NaiveTime::MIN).and_utc();
                let (from, until) = (midnight - TimeDelta::days(1), midnight + TimeDelta::days(2));
                self.viewed(act, &master, from, until).await?.remove(&date)
            }
        };
        let Some(id) = id else { return Ok(Seen::Deleted) };
        match self.get_one(act, &id, Shape::Full).await? {
            Ok(Some(wire)) => Ok(Seen::Present(Box::new(self.mapped(act.what, &wire, act.mailbox)?))),
            Ok(None) => Ok(Seen::Deleted),
            Err(refusal) if refusal.problem() == Problem::NotFound => Ok(Seen::Deleted),
            Err(refusal) => Err(self.client.failed(act.what, refusal)),
        }
    }
}
