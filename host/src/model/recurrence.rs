//! How a series repeats: the patterns that calendars know, the range, and both as an RFC 5545 rule.
//!
//! Promises: pure. [`Rule::parse`] takes only rules that one of the patterns says exactly, and writing it again gives a rule with
//! the same occurrences; everything else stays the text it is ([`super::Recurrence`]) and is never guessed. A day that a
//! month does not have means its last day, as calendars take it (RFC 5545 would skip the month, so the rule is written
//! with `BYSETPOS`). Must not know: any server's format.

mod expand;
mod recognise;
mod series;

use std::fmt;

use chrono::{Datelike, NaiveDate, Weekday};

pub use expand::{ExpandError, Expansion, Occurrence, Window, expand};
pub use recognise::recognise;
pub use series::{Crossing, Series};

use super::Recurrence;

/// Interval and count beyond this are no calendar's (EWS allows 999).
const NUMBER_MAX: u32 = 9_999;

const NAMES: [(&str, Weekday); 7] = [
    ("MO", Weekday::Mon),
    ("TU", Weekday::Tue),
    ("WE", Weekday::Wed),
    ("TH", Weekday::Thu),
    ("FR", Weekday::Fri),
    ("SA", Weekday::Sat),
    ("SU", Weekday::Sun),
];

/// A pattern and how long it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    pub pattern: Pattern,
    pub range: Range,
}

/// The patterns of Exchange (EWS and Graph). Intervals count from 1, days of a month from 1 to 31, months from 1 to 12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    Daily {
        interval: u32,
    },
    /// Weeks begin on `week_start`, which decides for intervals beyond one.
    Weekly {
        interval: u32,
        days: Days,
        week_start: Weekday,
    },
    AbsoluteMonthly {
        interval: u32,
        day: u32,
    },
    RelativeMonthly {
        interval: u32,
        days: Days,
        index: Index,
    },
    AbsoluteYearly {
        interval: u32,
        month: u32,
        day: u32,
    },
    RelativeYearly {
        interval: u32,
        month: u32,
        days: Days,
        index: Index,
    },
}

/// Which of the fitting days of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

/// How long a series goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    NoEnd,
    /// The last day an occurrence may begin on, in the series' own zone.
    Until(NaiveDate),
    /// So many occurrences, deleted ones counted.
    Count(u32),
}

/// A set of days of the week; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Days = Days(0b111_1111);
    /// Monday to Friday.
    pub const WEEKDAYS: Days = Days(0b001_1111);
    /// Saturday and Sunday.
    pub const WEEKEND: Days = Days(0b110_0000);

    /// The set of these days, or nothing for none.
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Option<Self> {
        let bits = days.into_iter().fold(0, |bits, day| bits | 1 << day.num_days_from_monday());
        (bits != 0).then_some(Self(bits))
    }

    pub fn one(day: Weekday) -> Self {
        Self(1 << day.num_days_from_monday())
    }

    pub fn contains(self, day: Weekday) -> bool {
        self.0 & 1 << day.num_days_from_monday() != 0
    }

    /// From Monday on.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        NAMES.into_iter().map(|(_, day)| day).filter(move |day| self.contains(*day))
    }

    /// The only day in it, if there is but one.
    pub fn single(self) -> Option<Weekday> {
        let mut days = self.iter();
        days.next().filter(|_| days.next().is_none())
    }
}

impl Index {
    pub const ALL: [Index; 5] = [Index::First, Index::Second, Index::Third, Index::Fourth, Index::Last];

    /// 1 to 4, or -1 for the last.
    pub fn number(self) -> i32 {
        match self {
            Index::First => 1,
            Index::Second => 2,
            Index::Third => 3,
            Index::Fourth => 4,
            Index::Last => -1,
        }
    }

    /// The index of a number as [`Index::number`] gives it.
    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|index| index.number() == number)
    }
}

impl Recurrence {
    /// The rule, if it is one of the patterns.
    pub fn rule(&self) -> Option<Rule> {
        Rule::parse(&self.rule)
    }
}

impl From<Rule> for Recurrence {
    fn from(rule: Rule) -> Self {
        Self { rule: rule.to_string() }
    }
}

impl Rule {
    /// The rule in an RRULE value; nothing for one that none of the patterns says exactly.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Parts::split(text)?;
        let frequency = parts.take("FREQ")?;
        let interval = parts.number("INTERVAL", 1)?;
        let range = match (parts.take("UNTIL"), parts.take("COUNT")) {
            (None, None) => Range::NoEnd,
            (Some(until), None) => Range::Until(date(until)?),
            (None, Some(count)) => Range::Count(number(count)?),
            (Some(_), Some(_)) => return None,
        };
        let pattern = match frequency {
            "DAILY" => Pattern::Daily { interval },
            "WEEKLY" => {
                let days = plain_days(parts.take("BYDAY")?)?;
                let week_start = parts.take("WKST").map_or(Some(Weekday::Mon), day)?;
                Pattern::Weekly { interval, days, week_start }
            }
            "MONTHLY" => match parts.of_month()? {
                OfMonth::Day(day) => Pattern::AbsoluteMonthly { interval, day },
                OfMonth::Nth(days, index) => Pattern::RelativeMonthly { interval, days, index },
            },
            "YEARLY" => {
                let month = number(parts.take("BYMONTH")?).filter(|month| *month <= 12)?;
                match parts.of_month()? {
                    OfMonth::Day(day) => Pattern::AbsoluteYearly { interval, month, day },
                    OfMonth::Nth(days, index) => Pattern::RelativeYearly { interval, month, days, index },
                }
            }
            _ => return None,
        };
        parts.is_empty().then_some(Self { pattern, range })
    }
}

impl fmt::Display for Rule {
    /// The RRULE value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (frequency, interval) = match self.pattern {
            Pattern::Daily { interval } => ("DAILY", interval),
            Pattern::Weekly { interval, .. } => ("WEEKLY", interval),
            Pattern::AbsoluteMonthly { interval, .. } | Pattern::RelativeMonthly { interval, .. } => {
                ("MONTHLY", interval)
            }
            Pattern::AbsoluteYearly { interval, .. } | Pattern::RelativeYearly { interval, .. } => ("YEARLY", interval),
        };
        write!(f, "FREQ={frequency}")?;
        if interval != 1 {
            write!(f, ";INTERVAL={interval}")?;
        }
        match self.pattern {
            Pattern::Daily { .. } => {}
            Pattern::Weekly { days, week_start, .. } => write!(f, ";BYDAY={days};WKST={}", name(week_start))?,
            Pattern::AbsoluteMonthly { day, .. } => write_day(f, day)?,
            Pattern::RelativeMonthly { days, index, .. } => write_nth(f, days, index)?,
            Pattern::AbsoluteYearly { month, day, .. } => {
                write!(f, ";BYMONTH={month}")?;
                write_day(f, day)?;
            }
            Pattern::RelativeYearly { month, days, index, .. } => {
                write!(f, ";BYMONTH={month}")?;
                write_nth(f, days, index)?;
            }
        }
        match self.range {
            Range::NoEnd => Ok(()),
            Range::Until(last) => write!(f, ";UNTIL={}", last.format("%Y%m%d")),
            Range::Count(count) => write!(f, ";COUNT={count}"),
        }
    }
}

impl fmt::Display for Days {
    /// `MO,WE`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, day) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", name(day))?;
        }
        Ok(())
    }
}

/// A day that not every month has is written as the last of the days up to it.
fn write_day(f: &mut fmt::Formatter<'_>, day: u32) -> fmt::Result {
    if day <= 28 {
        return write!(f, ";BYMONTHDAY={day}");
    }
    let days: Vec<String> = (28..=day.min(31)).map(|day| day.to_string()).collect();
    write!(f, ";BYMONTHDAY={};BYSETPOS=-1", days.join(","))
}

fn write_nth(f: &mut fmt::Formatter<'_>, days: Days, index: Index) -> fmt::Result {
    match days.single() {
        Some(day) => write!(f, ";BYDAY={}{}", index.number(), name(day)),
        None => write!(f, ";BYDAY={days};BYSETPOS={}", index.number()),
    }
}

/// What a month's occurrence falls on.
enum OfMonth {
    Day(u32),
    Nth(Days, Index),
}

/// The parts of an RRULE value that were not taken yet.
struct Parts<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Parts<'a> {
    /// Nothing for a text that is no list of parts, or names one twice.
    fn split(text: &'a str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in text.split(';') {
            let (name, value) = part.split_once('=')?;
            if parts.iter().any(|(known, _)| *known == name) {
                return None;
            }
            parts.push((name, value));
        }
        Some(Self(parts))
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn number(&mut self, name: &str, default: u32) -> Option<u32> {
        self.take(name).map_or(Some(default), number)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of_month(&mut self) -> Option<OfMonth> {
        let position = self.take("BYSETPOS");
        match (self.take("BYMONTHDAY"), self.take("BYDAY"), position) {
            (Some("-1"), None, None) => Some(OfMonth::Day(31)),
            // 29 to 31 alone would skip the months that lack the day: no calendar pattern does.
            (Some(days), None, None) => number(days).filter(|day| *day <= 28).map(OfMonth::Day),
            (Some(days), None, Some("-1")) => {
                let list: Option<Vec<u32>> = days.split(',').map(number).collect();
                let list = list?;
                let last = *list.last()?;
                let whole = (29..=31).contains(&last) && (28..=last).eq(list.iter().copied());
                whole.then_some(OfMonth::Day(last))
            }
            (None, Some(days), None) => {
                let (index, day_name) = days.split_at_checked(days.len().checked_sub(2)?)?;
                let index = Index::numbered(index.parse().ok()?)?;
                Some(OfMonth::Nth(Days::one(day(day_name)?), index))
            }
            (None, Some(days), Some(index)) => {
                Some(OfMonth::Nth(plain_days(days)?, Index::numbered(index.parse().ok()?)?))
            }
            _ => None,
        }
    }
}

/// From 1 to [`NUMBER_MAX`].
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && (1..=NUMBER_MAX).contains(number))
}

fn date(text: &str) -> Option<NaiveDate> {
    let plain = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| NaiveDate::parse_from_str(text, "%Y%m%d").ok()).flatten()
}

fn plain_days(list: &str) -> Option<Days> {
    let days: Option<Vec<Weekday>> = list.split(',').map(day).collect();
    Days::of(days?)
}

fn day(text: &str) -> Option<Weekday> {
    NAMES.into_iter().find(|(known, _)| *known == text).map(|(_, day)| day)
}

fn name(day: Weekday) -> &'static str {
    NAMES.into_iter().find(|(_, known)| *known == day).map_or("MO", |(name, _)| name)
}

impl Pattern {
    /// The first day of the pattern on or after `day`, within eight years (29 February across a century that is no leap
    /// year needs as many) and one interval.
    pub fn first_from(self, day: NaiveDate) -> Option<NaiveDate> {
        let fits = |one: &NaiveDate| match self {
            Pattern::Daily { .. } => true,
            Pattern::Weekly { days, .. } => days.contains(one.weekday()),
            Pattern::AbsoluteMonthly { day, .. } => is_day(*one, day),
            Pattern::RelativeMonthly { days, index, .. } => is_nth(*one, days, index),
            Pattern::AbsoluteYearly { month, day, .. } => one.month() == month && is_day(*one, day),
            Pattern::RelativeYearly { month, days, index, .. } => one.month() == month && is_nth(*one, days, index),
        };
        day.iter_days().take(8 * 366).find(fits)
    }
}

fn is_day(date: NaiveDate, day: u32) -> bool {
    date.day() == day || (date.day() < day && is_last_of_month(date))
}

fn is_nth(date: NaiveDate, days: Days, index: Index) -> bool {
    let fitting = |one: &NaiveDate| days.contains(one.weekday());
    let Some(first) = date.with_day(1) else { return false };
    if !fitting(&date) {
        return false;
    }
    match index {
        Index::Last => !date.iter_days().skip(1).take_while(|one| one.month() == date.month()).any(|one| fitting(&one)),
        Index::First | Index::Second | Index::Third | Index::Fourth => {
            let before = first.iter_days().take_while(|one| *one < date).filter(fitting).count();
            i32::try_from(before).is_ok_and(|before| before + 1 == index.number())
        }
    }
}

fn is_last_of_month(date: NaiveDate) -> bool {
    date.succ_opt().is_none_or(|next| next.month() != date.month())
}
