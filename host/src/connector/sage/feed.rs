//! Where a poll stands: pages, overlap, and which rows were already told.
//!
//! Promises: pure, and built on the server's own update stamps only; no clock of ours takes part. A row is told when it is
//! new or differs in anything from when it was told last, also within the same second; an unchanged row in the overlap is
//! not. A list that moved while it was paged is noticed and read again. The first reading of everything goes by ids, since
//! the work that it sets off writes to the very rows it reads.
//! Limits: rows that vanish from the list (deleted, type changed) are not seen here; a read or a sweep finds them.
//! Must not know: requests, columns.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::wall;

/// A page begins so many rows before the end of the last one: so many rows may move away from the front between two pages
/// before one could slip through.
const STEP_BACK: usize = 20;
/// A list that moves all the time is read on after so many new starts; the sweep repairs what slipped through.
const RESTARTS_MAX: u32 = 3;
/// Some servers cut pages at 100 whatever was asked; a page shorter than that is the last.
const PAGE_CUT: usize = 100;
/// Rows remembered in the cursor: some 100 KiB of it.
const SEEN_MAX: usize = 2000;

/// Progress through the pages of one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// Number of the next record to ask for, from 1.
    pub index: u64,
    /// Marks of the last page.
    tail: Vec<String>,
    restarts: u32,
}

impl Default for Pages {
    fn default() -> Self {
        Self { index: 1, tail: Vec::new(), restarts: 0 }
    }
}

impl Pages {
    /// The progress in a text that [`Pages::to_text`] made.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes note of a page that was asked for at `index`; true if it was the last. `marks` name the rows at their places:
    /// ids, and with their stamps where the list is in the order of those.
    pub fn take(&mut self, marks: &[String], total: Option<u64>, asked: u32) -> bool {
        let moved = !self.tail.is_empty() && marks.first().is_none_or(|first| !self.tail.contains(first));
        if moved && self.restarts < RESTARTS_MAX {
            *self = Self { restarts: self.restarts + 1, ..Self::default() };
            return false;
        }
        let end = self.index + marks.len() as u64;
        let last = match total {
            _ if marks.is_empty() => true,
            Some(total) => end > total,
            None => marks.len() < PAGE_CUT.min(asked as usize) || marks.iter().all(|mark| self.tail.contains(mark)),
        };
        if !last {
            let back = STEP_BACK.min(marks.len() / 2) as u64;
            self.index = end - back;
            self.tail = marks.to_vec();
        }
        last
    }
}

/// Progress through everything there is, in the order of the ids: rows keep their places in it whatever is written to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// The highest id met.
    pub after: Option<i64>,
}

impl Walk {
    /// Takes a page of what lies behind; true if it was the last. Nothing if the server did not answer in that order.
    pub fn take(&mut self, ids: &[String], total: Option<u64>, asked: u32) -> Option<bool> {
        for id in ids {
            let id = id.parse().ok().filter(|id| self.after.is_none_or(|after| *id > after))?;
            self.after = Some(id);
        }
        let short = ids.len() < PAGE_CUT.min(asked as usize);
        Some(ids.is_empty() || total.map_or(short, |total| ids.len() as u64 >= total))
    }
}

/// A row met in a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub id: String,
    /// The server's update stamp, as wall time.
    pub stamp: Option<NaiveDateTime>,
    /// Digest of the whole row.
    pub digest: String,
}

/// Where the poll of one entity stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Rows updated before this were told; without it everything is asked for.
    pub since: Option<NaiveDateTime>,
    /// Newest update stamp met.
    pub newest: Option<NaiveDateTime>,
    pub pages: Pages,
    /// Rows told, by id: stamp and digest.
    seen: BTreeMap<String, (NaiveDateTime, String)>,
}

/// What a page brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Positions of the rows to tell.
    pub news: Vec<usize>,
    /// The list is read to its end.
    pub drained: bool,
}

impl Place {
    /// Starts at an update stamp instead of at the beginning.
    pub fn at(newest: NaiveDateTime, zone: Tz, overlap: TimeDelta) -> Self {
        Self { since: Some(wall::window_start(zone, newest, overlap)), newest: Some(newest), ..Self::default() }
    }

    /// Ids of the rows that were told and may be met again.
    pub fn remembered(&self) -> impl Iterator<Item = String> {
        self.seen.keys().cloned()
    }

    /// Takes note of rows that were told otherwise, as far as they will be met again.
    pub fn told(&mut self, rows: &[Met]) {
        for row in rows {
            if let Some(stamp) = row.stamp.filter(|stamp| self.since.is_none_or(|since| *stamp >= since))
                && self.seen.len() < SEEN_MAX
            {
                self.seen.insert(row.id.clone(), (stamp, row.digest.clone()));
            }
        }
    }

    /// Takes a page.
    pub fn take(&mut self, page: &[Met], total: Option<u64>, asked: u32, zone: Tz, overlap: TimeDelta) -> Taken {
        let mut news = Vec::new();
        for (position, row) in page.iter().enumerate() {
            let Some(stamp) = row.stamp else {
                // Without a stamp it cannot be remembered. Such rows match no later poll, so they are told once.
                news.push(position);
                continue;
            };
            // The server may understand days only, or no dates at all.
            if self.since.is_some_and(|since| stamp < since) {
                continue;
            }
            let met = (stamp, row.digest.clone());
            if self.seen.get(&row.id) != Some(&met) {
                news.push(position);
                self.seen.insert(row.id.clone(), met);
            }
            self.newest = self.newest.max(Some(stamp));
        }
        // With its stamp, because a row that changed has moved to the end of the list and marks no place any more.
        let mark = |row: &Met| format!("{} {}", row.id, row.stamp.map(wall::literal).unwrap_or_default());
        let marks: Vec<String> = page.iter().map(mark).collect();
        let drained = self.pages.take(&marks, total, asked);
        let start = self.newest.map(|newest| wall::window_start(zone, newest, overlap));
        let start = self.forget(start);
        if drained {
            self.pages = Pages::default();
            self.since = start.max(self.since);
        }
        Taken { news, drained }
    }

    /// Forgets rows from before the window, and moves the window's start when it holds too many rows, by whole seconds.
    fn forget(&mut self, start: Option<NaiveDateTime>) -> Option<NaiveDateTime> {
        let start = start?;
        self.seen.retain(|_, (stamp, _)| *stamp >= start);
        if self.seen.len() <= SEEN_MAX {
            return Some(start);
        }
        let mut stamps: Vec<NaiveDateTime> = self.seen.values().map(|(stamp, _)| *stamp).collect();
        stamps.sort_unstable_by(|one, other| other.cmp(one));
        let start = stamps.get(SEEN_MAX).map_or(start, |first_left_out| {
            let newest = stamps.first().copied().unwrap_or(*first_left_out);
            // A single second that holds more is kept whole: half of it would be told again at every poll.
            if *first_left_out == newest { newest } else { *first_left_out + TimeDelta::seconds(1) }
        });
        self.seen.retain(|_, (stamp, _)| *stamp >= start);
        Some(start)
    }
}

/// The cursor: where the polls of communications and of their link rows stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Version of this record.
    v: u32,
    /// The first reading of everything, as long as it lasts. The polls begin where the CRM stood when it began.
    #[serde(default)]
    pub walk: Option<Walk>,
    pub communications: Place,
    pub links: Place,
}

/// Version 1 knew no walk.
const VERSION: u32 = 2;

impl Places {
    /// Begins with everything there is; `now` is where the CRM stands. Without a walk the list is polled from its beginning.
    pub fn new(now: Place, walks: bool) -> Self {
        let communications = if walks { now.clone() } else { Place::default() };
        Self { v: VERSION, walk: walks.then(Walk::default), communications, links: now }
    }

    /// The places in a cursor's text, or nothing if this version cannot read it.
    pub fn parse(text: &str) -> Option<Self> {
        let places: Self = serde_json::from_str(text).ok()?;
        (1..=VERSION).contains(&places.v).then_some(Self { v: VERSION, ..places })
    }

    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
