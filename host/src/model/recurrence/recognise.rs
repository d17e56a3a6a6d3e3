//! The pattern behind a list of days, for a CRM that keeps a series as its occurrences alone.
//!
//! Promises: a rule is answered only if it gives exactly these days; of several, the one that people would name first.
//! Must not know: times of day, zones.

use chrono::{Datelike, NaiveDate, NaiveTime, TimeDelta, Weekday};

use super::{Days, Index, Pattern, Range, Rule, Window, expand, is_last_of_month, is_nth};
use crate::model::Recurrence;

/// Longest list looked at; no calendar lets a person make a longer series in one go.
const DAYS_MAX: usize = 1_000;

/// The rule that gives exactly these days, which must be in order and without repeats; nothing for fewer than two, or if
/// there is no such pattern. `week_start` is what the CRM's people take for the first day of a week.
pub fn recognise(days: &[NaiveDate], week_start: Weekday) -> Option<Rule> {
    let (first, last) = (*days.first()?, *days.last()?);
    let rising = days.is_sorted_by(|one, next| one < next);
    if days.len() < 2 || days.len() > DAYS_MAX || !rising {
        return None;
    }
    let range = Range::Count(u32::try_from(days.len()).ok()?);
    candidates(days, first, week_start)
        .into_iter()
        .map(|pattern| Rule { pattern, range })
        .find(|rule| gives(*rule, first, last, days))
}

/// Whether the rule, begun on the first day, gives these days and no others.
fn gives(rule: Rule, first: NaiveDate, last: NaiveDate, days: &[NaiveDate]) -> bool {
    let noon = NaiveTime::MIN + TimeDelta::hours(12);
    let from = first.and_time(NaiveTime::MIN).and_utc();
    let until = last.and_time(NaiveTime::MIN).and_utc() + TimeDelta::days(1);
    let window = Window { from, until, limit: days.len() };
    let found = expand(&Recurrence::from(rule), first.and_time(noon), chrono_tz::UTC, window);
    found.is_ok_and(|found| found.occurrences.iter().map(|one| one.date).eq(days.iter().copied()))
}

/// Patterns that could be meant, the most natural first.
fn candidates(days: &[NaiveDate], first: NaiveDate, week_start: Weekday) -> Vec<Pattern> {
    let gaps = || days.iter().zip(days.iter().skip(1)).map(|(one, next)| (*next - *one).num_days());
    let smallest = gaps().min().and_then(|gap| u32::try_from(gap).ok()).unwrap_or(1);
    let mut found = Vec::new();
    if gaps().all(|gap| gap == i64::from(smallest)) {
        match smallest % 7 {
            0 => found.push(Pattern::Weekly { interval: smallest / 7, days: Days::one(first.weekday()), week_start }),
            _ => found.push(Pattern::Daily { interval: smallest }),
        }
    }
    found.extend(weekly(days, week_start));
    found.extend(by_month(days, first));
    found
}

/// Some days of every n-th week.
fn weekly(days: &[NaiveDate], week_start: Weekday) -> Option<Pattern> {
    let week = |day: NaiveDate| day - TimeDelta::days(day.weekday().days_since(week_start).into());
    let mut weeks: Vec<NaiveDate> = days.iter().copied().map(week).collect();
    weeks.dedup();
    let between = weeks.iter().zip(weeks.iter().skip(1)).map(|(one, next)| (*next - *one).num_weeks());
    let interval = u32::try_from(between.min().unwrap_or(1)).ok()?;
    let of_week = Days::of(days.iter().map(|day| day.weekday()))?;
    Some(Pattern::Weekly { interval, days: of_week, week_start })
}

/// A day of every n-th month, by its number or by its place in the month; twelve months are a year.
fn by_month(days: &[NaiveDate], first: NaiveDate) -> Vec<Pattern> {
    let month_number = |day: &NaiveDate| day.year() * 12 + day.month0() as i32;
    let apart = days.iter().zip(days.iter().skip(1)).map(|(one, next)| month_number(next) - month_number(one));
    let Some(months) = apart.min().and_then(|months| u32::try_from(months).ok()).filter(|months| *months > 0) else {
        return Vec::new();
    };
    let (interval, yearly) = if months % 12 == 0 { (months / 12, true) } else { (months, false) };
    let month = first.month();
    let by_day = |day| match yearly {
        true => Pattern::AbsoluteYearly { interval, month, day },
        false => Pattern::AbsoluteMonthly { interval, day },
    };
    let nth = |days, index| match yearly {
        true => Pattern::RelativeYearly { interval, month, days, index },
        false => Pattern::RelativeMonthly { interval, days, index },
    };
    let mut found = Vec::new();
    // A series on the 31st shows shorter days too.
    if let Some(day) = days.iter().map(Datelike::day).max() {
        found.push(by_day(day));
    }
    if days.iter().all(|day| is_last_of_month(*day)) {
        found.push(by_day(31));
    }
    for of_week in [Days::one(first.weekday()), Days::WEEKDAYS, Days::WEEKEND] {
        let fitting = Index::ALL.into_iter().filter(|index| days.iter().all(|day| is_nth(*day, of_week, *index)));
        found.extend(fitting.map(|index| nth(of_week, index)));
    }
    found
}
