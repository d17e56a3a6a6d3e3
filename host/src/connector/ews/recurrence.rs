//! The recurrence patterns of EWS, read and written.
//!
//! Promises: pure; a pattern that is not understood is named as such instead of being dropped, so that a series is never
//! taken for a single appointment; what EWS cannot say exactly is not written. Must not know: requests, the rest of a
//! calendar item.

use chrono::{NaiveDate, Weekday};

use super::soap::Xml;
use super::wire::Recurrence;
use crate::connector::exchange::NoPattern;
use crate::model::recurrence::{Days, Index, Pattern, Range, Rule};

const DAYS: [(&str, Weekday); 7] = [
    ("Monday", Weekday::Mon),
    ("Tuesday", Weekday::Tue),
    ("Wednesday", Weekday::Wed),
    ("Thursday", Weekday::Thu),
    ("Friday", Weekday::Fri),
    ("Saturday", Weekday::Sat),
    ("Sunday", Weekday::Sun),
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
const INDEXES: [(&str, Index); 5] = [
    ("First", Index::First),
    ("Second", Index::Second),
    ("Third", Index::Third),
    ("Fourth", Index::Fourth),
    ("Last", Index::Last),
];
/// Sets of days that have a name; in patterns by place in the month no other set of several days can be written.
const SETS: [(&str, Days); 3] = [("Day", Days::ALL), ("Weekday", Days::WEEKDAYS), ("WeekendDay", Days::WEEKEND)];

/// The RRULE value of a recurrence. An unknown pattern gives `X-EWS=<its name>`, which no reader takes for a rule.
pub fn rule(recurrence: &Recurrence) -> String {
    read(recurrence).map_or_else(|| format!("X-EWS={}", recurrence.pattern), |rule| rule.to_string())
}

/// The rule of a recurrence; nothing for one that is not understood.
pub fn read(recurrence: &Recurrence) -> Option<Rule> {
    let part = |name: &str| recurrence.parts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number = |name: &str| part(name)?.parse::<u32>().ok().filter(|number| *number > 0);
    let interval = part("Interval").map_or(Some(1), |_| number("Interval"))?;
    let day = || number("DayOfMonth").filter(|day| *day <= 31);
    let month = || {
        let at = MONTHS.iter().position(|name| Some(*name) == part("Month"))?;
        u32::try_from(at + 1).ok()
    };
    let days = || days(part("DaysOfWeek")?);
    let index = || INDEXES.iter().find(|(name, _)| Some(*name) == part("DayOfWeekIndex")).map(|(_, index)| *index);
    let pattern = match recurrence.pattern.as_str() {
        "DailyRecurrence" => Pattern::Daily { interval },
        // Graph documents Sunday as the default; EWS names none (inferred).
        "WeeklyRecurrence" => {
            let week_start = part("FirstDayOfWeek").map_or(Some(Weekday::Sun), weekday)?;
            Pattern::Weekly { interval, days: days()?, week_start }
        }
        "AbsoluteMonthlyRecurrence" => Pattern::AbsoluteMonthly { interval, day: day()? },
        "RelativeMonthlyRecurrence" => Pattern::RelativeMonthly { interval, days: days()?, index: index()? },
        "AbsoluteYearlyRecurrence" => Pattern::AbsoluteYearly { interval: 1, month: month()?, day: day()? },
        "RelativeYearlyRecurrence" => {
            Pattern::RelativeYearly { interval: 1, month: month()?, days: days()?, index: index()? }
        }
        _ => return None,
    };
    let range = match recurrence.range.as_str() {
        // Dates may carry an offset (`2027-02-08+01:00`), which says nothing here.
        "EndDateRecurrence" => Range::Until(part("EndDate")?.get(..10)?.parse().ok()?),
        "NumberedRecurrence" => Range::Count(number("NumberOfOccurrences")?),
        "NoEndRecurrence" => Range::NoEnd,
        _ => return None,
    };
    Some(Rule { pattern, range })
}

fn days(list: &str) -> Option<Days> {
    let mut found = Vec::new();
    for name in list.split_whitespace() {
        match SETS.iter().find(|(known, _)| *known == name) {
            Some((_, set)) => found.extend(set.iter()),
            None => found.push(weekday(name)?),
        }
    }
    Days::of(found)
}

fn weekday(name: &str) -> Option<Weekday> {
    DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
}

fn day_name(day: Weekday) -> &'static str {
    DAYS.iter().find(|(_, known)| *known == day).map_or("Monday", |(name, _)| name)
}

/// A recurrence ready to be written: it was checked that EWS can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pattern: &'static str,
    parts: Vec<(&'static str, String)>,
    range: &'static str,
    range_parts: Vec<(&'static str, String)>,
}

/// The recurrence of a series that begins on a day.
///
/// # Errors
/// [`NoPattern`] if EWS cannot say it.
pub fn written(rule: Rule, first: NaiveDate) -> Result<Written, NoPattern> {
    let interval = |interval: u32| ("t:Interval", interval.to_string());
    let day_of_month = |day: u32| ("t:DayOfMonth", day.to_string());
    let month_name = |month: u32| -> Result<_, NoPattern> {
        let name = usize::try_from(month).ok().and_then(|at| MONTHS.get(at.checked_sub(1)?)).ok_or(NoPattern)?;
        Ok(("t:Month", (*name).to_owned()))
    };
    let nth = |days: Days, index: Index| -> Result<[(&'static str, String); 2], NoPattern> {
        let named = SETS.iter().find(|(_, set)| *set == days).map(|(name, _)| *name);
        let name = days.single().map(day_name).or(named).ok_or(NoPattern)?;
        let index = INDEXES.iter().find(|(_, known)| *known == index).map_or("First", |(name, _)| name);
        Ok([("t:DaysOfWeek", name.to_owned()), ("t:DayOfWeekIndex", index.to_owned())])
    };
    let (pattern, parts) = match rule.pattern {
        Pattern::Daily { interval: every } => ("t:DailyRecurrence", vec![interval(every)]),
        Pattern::Weekly { interval: every, days, week_start } => {
            let days: Vec<&str> = days.iter().map(day_name).collect();
            let first_day = ("t:FirstDayOfWeek", day_name(week_start).to_owned());
            ("t:WeeklyRecurrence", vec![interval(every), ("t:DaysOfWeek", days.join(" ")), first_day])
        }
        Pattern::AbsoluteMonthly { interval: every, day } => {
            ("t:AbsoluteMonthlyRecurrence", vec![interval(every), day_of_month(day)])
        }
        Pattern::RelativeMonthly { interval: every, days, index } => {
            ("t:RelativeMonthlyRecurrence", [vec![interval(every)], nth(days, index)?.to_vec()].concat())
        }
        Pattern::AbsoluteYearly { interval: 1, month, day } => {
            ("t:AbsoluteYearlyRecurrence", vec![day_of_month(day), month_name(month)?])
        }
        Pattern::RelativeYearly { interval: 1, month, days, index } => {
            ("t:RelativeYearlyRecurrence", [nth(days, index)?.to_vec(), vec![month_name(month)?]].concat())
        }
        // EWS repeats every year or by months: some years are so many months.
        Pattern::AbsoluteYearly { interval: years, day, .. } => {
            ("t:AbsoluteMonthlyRecurrence", vec![interval(years.saturating_mul(12)), day_of_month(day)])
        }
        Pattern::RelativeYearly { interval: years, days, index, .. } => {
            let every = interval(years.saturating_mul(12));
            ("t:RelativeMonthlyRecurrence", [vec![every], nth(days, index)?.to_vec()].concat())
        }
    };
    let start = ("t:StartDate", first.to_string());
    let (range, range_parts) = match rule.range {
        Range::NoEnd => ("t:NoEndRecurrence", vec![start]),
        Range::Until(last) => ("t:EndDateRecurrence", vec![start, ("t:EndDate", last.to_string())]),
        Range::Count(count) => ("t:NumberedRecurrence", vec![start, ("t:NumberOfOccurrences", count.to_string())]),
    };
    Ok(Written { pattern, parts, range, range_parts })
}

impl Written {
    /// Writes pattern and range.
    pub fn write(&self, xml: &mut Xml) {
        for (element, parts) in [(self.pattern, &self.parts), (self.range, &self.range_parts)] {
            xml.element(element, &[], |xml| parts.iter().for_each(|(name, text)| xml.text(name, &[], text)));
        }
    }
}
