//! Where a mailbox's feed stands, and how a window that moves with the calendar is followed.
//!
//! A delta of Graph covers a fixed window. When today has moved on, a delta over a new window is begun; of it only what the old
//! window did not show is reported, and the old delta is read once more to its end, so that nothing between the two is missed.
//! Promises: pure; nothing is judged gone for having left the window. Must not know: requests.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::config::Window;
use super::map;
use super::wire::{Event, Page};
use crate::connector::Cursor;

/// The place in a feed; stored as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub window: Window,
    /// The next page, or where changes since the last page are asked for; none before the first page.
    pub link: Option<String>,
    /// `link` waits for changes: the window was read to its end.
    pub caught_up: bool,
    /// The delta over the window before, until it is read to its end for the last time.
    pub old: Option<Old>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    pub window: Window,
    pub link: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u8,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    link: Option<String>,
    caught_up: bool,
    old: Option<StoredOld>,
}

#[derive(Serialize, Deserialize)]
struct StoredOld {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    link: String,
}

/// What one page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Ids to be looked at, each once, with the UID if the page shows it. An instance of a series stands as its master.
    pub present: Vec<(String, Option<String>)>,
    /// Gone, or no longer in the window.
    pub removed: Vec<String>,
}

impl Place {
    /// The beginning of a feed.
    pub fn start(window: Window) -> Self {
        Self { window, link: None, caught_up: false, old: None }
    }

    /// Reads a stored place; nothing if it was written by something else.
    pub fn parse(cursor: &Cursor) -> Option<Self> {
        let stored: Stored = serde_json::from_str(&cursor.0).ok().filter(|stored: &Stored| stored.v == 1)?;
        let old = stored.old.map(|old| Old { window: Window { from: old.from, to: old.to }, link: old.link });
        let window = Window { from: stored.from, to: stored.to };
        Some(Self { window, link: stored.link, caught_up: stored.caught_up, old })
    }

    pub fn cursor(&self) -> Cursor {
        let old =
            self.old.as_ref().map(|old| StoredOld { from: old.window.from, to: old.window.to, link: old.link.clone() });
        let stored = Stored {
            v: 1,
            from: self.window.from,
            to: self.window.to,
            link: self.link.clone(),
            caught_up: self.caught_up,
            old,
        };
        Cursor(serde_json::to_string(&stored).unwrap_or_default())
    }

    /// Begins a delta over today's window if the one in use has fallen behind by `roll` days or more.
    #[must_use]
    pub fn rolled(self, today: Window, roll: u32) -> Self {
        let behind = today.from - self.window.from >= TimeDelta::days(roll.into());
        match self.link {
            Some(link) if self.caught_up && self.old.is_none() && behind => {
                Self { old: Some(Old { window: self.window, link }), ..Self::start(today) }
            }
            link => Self { link, ..self },
        }
    }

    /// Whether the last look at the old delta is due.
    pub fn drains(&self) -> bool {
        self.caught_up && self.old.is_some()
    }

    /// The link to ask for; none if the window is to be begun.
    pub fn ask(&self) -> Option<&str> {
        match &self.old {
            Some(old) if self.caught_up => Some(&old.link),
            _ => self.link.as_deref(),
        }
    }

    /// Takes in a page: what it says, the place after it, and whether more waits there.
    ///
    /// # Errors
    /// The page has no link to go on with.
    pub fn take(mut self, page: Page<Event>) -> Result<(News, Self, bool), Endless> {
        let drains = self.drains();
        let shown = self.old.as_ref().filter(|_| !drains).map(|old| old.window);
        let news = news(page.value, shown);
        let (link, ended) = match (page.next, page.delta) {
            (Some(next), _) => (next, false),
            (None, Some(delta)) => (delta, true),
            (None, None) => return Err(Endless),
        };
        let more = match (&mut self.old, drains) {
            (Some(old), true) => {
                old.link = link;
                if ended {
                    self.old = None;
                }
                !ended
            }
            (old, _) => {
                self.link = Some(link);
                self.caught_up = ended;
                !ended || old.is_some()
            }
        };
        Ok((news, self, more))
    }
}

/// A page of a delta that tells neither the next page nor where to ask later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page has no link to go on with")]
pub struct Endless;

/// The rows of a page, the last word on each id alone. What touches the window `shown` was told before.
fn news(rows: Vec<Event>, shown: Option<Window>) -> News {
    let mut news = News::default();
    let mut known = HashSet::new();
    for row in rows.into_iter().rev() {
        if row.id.is_empty() {
            continue;
        }
        if row.removed.is_some() {
            if known.insert(row.id.clone()) {
                news.removed.push(row.id);
            }
            continue;
        }
        if shown.is_some_and(|shown| touches(&row, shown)) {
            continue;
        }
        let whole = row.whole_id().to_owned();
        // An instance's UID is its own.
        let uid = (whole == row.id).then_some(row.uid).flatten();
        if known.insert(whole.clone()) {
            news.present.push((whole, uid));
        }
    }
    news.present.reverse();
    news.removed.reverse();
    news
}

/// What shows no times may be anywhere: it is told once more rather than not at all.
fn touches(row: &Event, window: Window) -> bool {
    let at = |time: &Option<_>| time.as_ref().and_then(map::instant);
    match (at(&row.start), at(&row.end)) {
        (Some(start), Some(end)) => window.touches(start, end),
        _ => false,
    }
}
