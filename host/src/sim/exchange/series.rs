//! Recurrence: patterns and ranges, their XML, and the days they fall on.
//!
//! Promises: expansion is bounded by [`OCCURRENCES_MAX`]. Must not know: items, mailboxes.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

use super::error::{ExchangeError, schema_violation};
use super::xml::{Element, Read, Xml, integer};
use super::zones;

/// Occurrences looked at in one expansion: a daily series of some 27 years.
pub const OCCURRENCES_MAX: usize = 10_000;

const DAYS: [(&str, Weekday); 7] = [
    ("Sunday", Weekday::Sun),
    ("Monday", Weekday::Mon),
    ("Tuesday", Weekday::Tue),
    ("Wednesday", Weekday::Wed),
    ("Thursday", Weekday::Thu),
    ("Friday", Weekday::Fri),
    ("Saturday", Weekday::Sat),
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Which of a month's days; the last one is the last.
pub const INDEXES: [&str; 5] = ["First", "Second", "Third", "Fourth", "Last"];

/// Weekdays as the client wrote them (`Monday Friday`, `Weekday`), checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayList(String);

impl DayList {
    fn read(text: &str) -> Result<Self, ExchangeError> {
        let known =
            |word: &str| matches!(word, "Day" | "Weekday" | "WeekendDay") || DAYS.iter().any(|(name, _)| *name == word);
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() || !words.iter().all(|word| known(word)) {
            return Err(schema_violation(format!("{text:?} is not a list of days of the week")));
        }
        Ok(Self(words.join(" ")))
    }

    /// A list of those days; nothing if there are none.
    pub fn of(days: &[Weekday]) -> Option<Self> {
        let names: Vec<&str> = DAYS.iter().filter(|(_, day)| days.contains(day)).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| Self(names.join(" ")))
    }

    /// The days, from Sunday on.
    pub fn days(&self) -> impl Iterator<Item = Weekday> {
        DAYS.iter().map(|(_, day)| *day).filter(|day| self.holds(*day))
    }

    fn holds(&self, day: Weekday) -> bool {
        let weekend = matches!(day, Weekday::Sat | Weekday::Sun);
        self.0.split(' ').any(|word| match word {
            "Day" => true,
            "Weekday" => !weekend,
            "WeekendDay" => weekend,
            name => DAYS.iter().any(|(known, known_day)| *known == name && *known_day == day),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    Daily { interval: u32 },
    Weekly { interval: u32, days: DayList, first_day: Weekday },
    AbsoluteMonthly { interval: u32, day: u32 },
    RelativeMonthly { interval: u32, days: DayList, index: usize },
    AbsoluteYearly { interval: u32, day: u32, month: u32 },
    RelativeYearly { interval: u32, days: DayList, index: usize, month: u32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    NoEnd,
    Until(NaiveDate),
    Count(u32),
}

/// One pattern and one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    pub pattern: Pattern,
    pub start: NaiveDate,
    pub range: Range,
}

impl Recurrence {
    pub fn read(node: Element<'_>) -> Result<Self, ExchangeError> {
        let mut kids = node.kids();
        let (Some(pattern), Some(range)) = (kids.next(), kids.next()) else {
            return Err(schema_violation("Recurrence needs a pattern and a range"));
        };
        let start = zones::date(&range.need("StartDate")?.content())?;
        let range = match range.local() {
            "NoEndRecurrence" => Range::NoEnd,
            "EndDateRecurrence" => Range::Until(zones::date(&range.need("EndDate")?.content())?),
            "NumberedRecurrence" => Range::Count(number(range, "NumberOfOccurrences", 1, 999)?),
            other => return Err(schema_violation(format!("{other} is not a recurrence range"))),
        };
        if matches!(range, Range::Until(end) if end < start) {
            return Err(ExchangeError::new("ErrorCalendarInvalidRecurrence", "The series ends before it starts."));
        }
        Ok(Self { pattern: read_pattern(pattern)?, start, range })
    }

    pub fn write(&self, xml: &mut Xml) {
        write_pattern(&self.pattern, xml);
        let start = format!("{}Z", self.start);
        match &self.range {
            Range::NoEnd => xml.open("t:NoEndRecurrence", |xml| xml.text("t:StartDate", start)),
            Range::Until(end) => xml.open("t:EndDateRecurrence", |xml| {
                xml.text("t:StartDate", start);
                xml.text("t:EndDate", format_args!("{end}Z"));
            }),
            Range::Count(count) => xml.open("t:NumberedRecurrence", |xml| {
                xml.text("t:StartDate", start);
                xml.text("t:NumberOfOccurrences", count);
            }),
        }
    }

    /// The days of the series up to and including `until`, in order, deleted ones too.
    pub fn days(&self, until: NaiveDate) -> Vec<NaiveDate> {
        let last = match self.range {
            Range::Until(end) => end.min(until),
            Range::NoEnd | Range::Count(_) => until,
        };
        let limit = match self.range {
            Range::Count(count) => (count as usize).min(OCCURRENCES_MAX),
            Range::NoEnd | Range::Until(_) => OCCURRENCES_MAX,
        };
        let mut days = Vec::new();
        // A period may be empty (no Monday in its window), but never 1,000 in a row.
        let mut empty_periods = 0;
        for period in 0.. {
            let (begin, found) = self.period(period);
            let Some(begin) = begin else { break };
            if begin > last || days.len() >= limit || empty_periods > 1_000 {
                break;
            }
            empty_periods = if found.is_empty() { empty_periods + 1 } else { 0 };
            days.extend(found.into_iter().filter(|day| *day >= self.start && *day <= last));
        }
        days.truncate(limit);
        days
    }

    /// Whether the series has an end.
    pub fn is_bounded(&self) -> bool {
        self.range != Range::NoEnd
    }

    /// The n-th period (day, week, month, year): its first day, and the days of the pattern in it.
    fn period(&self, n: u32) -> (Option<NaiveDate>, Vec<NaiveDate>) {
        match &self.pattern {
            Pattern::Daily { interval } => {
                let day = self.start.checked_add_days(Days::new(u64::from(n) * u64::from(*interval)));
                (day, day.into_iter().collect())
            }
            Pattern::Weekly { interval, days, first_day } => {
                let back = self.start.weekday().days_since(*first_day);
                let week = self
                    .start
                    .checked_sub_days(Days::new(u64::from(back)))
                    .and_then(|first| first.checked_add_days(Days::new(7 * u64::from(n) * u64::from(*interval))));
                let found = week.into_iter().flat_map(|first| first.iter_days().take(7));
                (week, found.filter(|day| days.holds(day.weekday())).collect())
            }
            Pattern::AbsoluteMonthly { interval, day } => {
                let month = month_after(self.start, n.saturating_mul(*interval));
                (month, month.and_then(|first| day_of_month(first, *day)).into_iter().collect())
            }
            Pattern::RelativeMonthly { interval, days, index } => {
                let month = month_after(self.start, n.saturating_mul(*interval));
                (month, month.and_then(|first| nth_day(first, days, *index)).into_iter().collect())
            }
            Pattern::AbsoluteYearly { interval, day, month } => {
                let first = self.month_of_year(n.saturating_mul(*interval), *month);
                (first, first.and_then(|first| day_of_month(first, *day)).into_iter().collect())
            }
            Pattern::RelativeYearly { interval, days, index, month } => {
                let first = self.month_of_year(n.saturating_mul(*interval), *month);
                (first, first.and_then(|first| nth_day(first, days, *index)).into_iter().collect())
            }
        }
    }

    fn month_of_year(&self, n: u32, month: u32) -> Option<NaiveDate> {
        NaiveDate::from_ymd_opt(self.start.year().checked_add(i32::try_from(n).ok()?)?, month, 1)
    }
}

fn month_after(start: NaiveDate, months: u32) -> Option<NaiveDate> {
    start.with_day(1)?.checked_add_months(Months::new(months))
}

/// That day of the month, or the month's last day if it is shorter.
fn day_of_month(first: NaiveDate, day: u32) -> Option<NaiveDate> {
    (0..4).find_map(|shorter| first.with_day(day.saturating_sub(shorter)))
}

fn nth_day(first: NaiveDate, days: &DayList, index: usize) -> Option<NaiveDate> {
    let mut fitting =
        first.iter_days().take_while(|day| day.month() == first.month()).filter(|day| days.holds(day.weekday()));
    if index + 1 == INDEXES.len() { fitting.last() } else { fitting.nth(index) }
}

fn read_pattern(node: Element<'_>) -> Result<Pattern, ExchangeError> {
    let interval = || number(node, "Interval", 1, 999);
    let days = || DayList::read(&node.need("DaysOfWeek")?.content());
    let index = || choice(node, "DayOfWeekIndex", &INDEXES);
    let month = || choice(node, "Month", &MONTHS).map(|at| at as u32 + 1);
    Ok(match node.local() {
        "DailyRecurrence" => Pattern::Daily { interval: interval()? },
        "WeeklyRecurrence" => {
            let first = node.kid_text("FirstDayOfWeek").unwrap_or_else(|| "Sunday".into());
            let first_day = DAYS.iter().find(|(name, _)| *name == first).map(|(_, day)| *day);
            let first_day = first_day.ok_or_else(|| schema_violation(format!("{first:?} is not a day of the week")))?;
            Pattern::Weekly { interval: interval()?, days: days()?, first_day }
        }
        "AbsoluteMonthlyRecurrence" => {
            Pattern::AbsoluteMonthly { interval: interval()?, day: number(node, "DayOfMonth", 1, 31)? }
        }
        "RelativeMonthlyRecurrence" => {
            Pattern::RelativeMonthly { interval: interval()?, days: days()?, index: index()? }
        }
        "AbsoluteYearlyRecurrence" => {
            Pattern::AbsoluteYearly { interval: 1, day: number(node, "DayOfMonth", 1, 31)?, month: month()? }
        }
        "RelativeYearlyRecurrence" => {
            Pattern::RelativeYearly { interval: 1, days: days()?, index: index()?, month: month()? }
        }
        other => return Err(schema_violation(format!("{other} is not a recurrence pattern"))),
    })
}

fn write_pattern(pattern: &Pattern, xml: &mut Xml) {
    let index_name = |index: &usize| INDEXES.get(*index).copied().unwrap_or_default();
    let month_name = |month: &u32| MONTHS.get(*month as usize - 1).copied().unwrap_or_default();
    match pattern {
        Pattern::Daily { interval } => xml.open("t:DailyRecurrence", |xml| xml.text("t:Interval", interval)),
        Pattern::Weekly { interval, days, first_day } => xml.open("t:WeeklyRecurrence", |xml| {
            xml.text("t:Interval", interval);
            xml.text("t:DaysOfWeek", &days.0);
            let name = DAYS.iter().find(|(_, day)| day == first_day).map_or("Sunday", |(name, _)| name);
            xml.text("t:FirstDayOfWeek", name);
        }),
        Pattern::AbsoluteMonthly { interval, day } => absolute_monthly(*interval, *day, xml),
        Pattern::RelativeMonthly { interval, days, index } => relative_monthly(*interval, days, index_name(index), xml),
        // EWS has no interval for years; every other year is every 24th month.
        Pattern::AbsoluteYearly { interval: years @ 2.., day, .. } => absolute_monthly(12 * years, *day, xml),
        Pattern::RelativeYearly { interval: years @ 2.., days, index, .. } => {
            relative_monthly(12 * years, days, index_name(index), xml);
        }
        Pattern::AbsoluteYearly { day, month, .. } => xml.open("t:AbsoluteYearlyRecurrence", |xml| {
            xml.text("t:DayOfMonth", day);
            xml.text("t:Month", month_name(month));
        }),
        Pattern::RelativeYearly { days, index, month, .. } => xml.open("t:RelativeYearlyRecurrence", |xml| {
            xml.text("t:DaysOfWeek", &days.0);
            xml.text("t:DayOfWeekIndex", index_name(index));
            xml.text("t:Month", month_name(month));
        }),
    }
}

fn absolute_monthly(months: u32, day: u32, xml: &mut Xml) {
    xml.open("t:AbsoluteMonthlyRecurrence", |xml| {
        xml.text("t:Interval", months);
        xml.text("t:DayOfMonth", day);
    });
}

fn relative_monthly(months: u32, days: &DayList, index: &str, xml: &mut Xml) {
    xml.open("t:RelativeMonthlyRecurrence", |xml| {
        xml.text("t:Interval", months);
        xml.text("t:DaysOfWeek", &days.0);
        xml.text("t:DayOfWeekIndex", index);
    });
}

fn number(node: Element<'_>, name: &str, least: i64, most: i64) -> Result<u32, ExchangeError> {
    let value = integer(&node.need(name)?.content())?;
    if (least..=most).contains(&value) {
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    } else {
        Err(schema_violation(format!("{name} must be between {least} and {most}")))
    }
}

fn choice(node: Element<'_>, name: &str, names: &[&str]) -> Result<usize, ExchangeError> {
    let text = node.need(name)?.content();
    names
        .iter()
        .position(|known| *known == text.trim())
        .ok_or_else(|| schema_violation(format!("{text:?} is not a value of {name}")))
}
