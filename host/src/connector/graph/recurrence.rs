//! The recurrence patterns of Graph, read and written.
//!
//! Promises: pure; a pattern that is not understood is named as such instead of being dropped, so that a series is never
//! taken for a single appointment. Must not know: requests, the rest of an event.

use chrono::{NaiveDate, Weekday};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::recurrence::{self as model, Days, Index, Rule};

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];
const INDEXES: [(&str, Index); 5] = [
    ("first", Index::First),
    ("second", Index::Second),
    ("third", Index::Third),
    ("fourth", Index::Fourth),
    ("last", Index::Last),
];

/// `recurrence` of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PatternedRecurrence {
    pub pattern: Option<Pattern>,
    pub range: Option<Range>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pattern {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub interval: Option<u32>,
    pub month: Option<u32>,
    pub day_of_month: Option<u32>,
    pub days_of_week: Option<Vec<String>>,
    pub first_day_of_week: Option<String>,
    pub index: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Range {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `2027-02-08`
    pub start_date: Option<String>,
    pub end_date: Option<String>,
    pub number_of_occurrences: Option<u32>,
    pub recurrence_time_zone: Option<String>,
}

/// The RRULE value of a recurrence. An unknown pattern gives `X-GRAPH=<its name>`, which no reader takes for a rule.
pub fn rule(recurrence: &PatternedRecurrence) -> String {
    let kind = || recurrence.pattern.as_ref().and_then(|pattern| pattern.kind.as_deref()).unwrap_or("nothing");
    read(recurrence).map_or_else(|| format!("X-GRAPH={}", kind()), |rule| rule.to_string())
}

/// The rule of a recurrence; nothing for one that is not understood.
pub fn read(recurrence: &PatternedRecurrence) -> Option<Rule> {
    let pattern = read_pattern(recurrence.pattern.as_ref()?)?;
    let range = recurrence.range.as_ref()?;
    let range = match range.kind.as_deref()? {
        "noEnd" => model::Range::NoEnd,
        "endDate" => model::Range::Until(range.end_date.as_deref()?.get(..10)?.parse().ok()?),
        "numbered" => model::Range::Count(range.number_of_occurrences.filter(|count| *count > 0)?),
        _ => return None,
    };
    Some(Rule { pattern, range })
}

fn read_pattern(pattern: &Pattern) -> Option<model::Pattern> {
    let interval = Some(pattern.interval.unwrap_or(1)).filter(|interval| *interval > 0)?;
    let day = || pattern.day_of_month.filter(|day| (1..=31).contains(day));
    let month = || pattern.month.filter(|month| (1..=12).contains(month));
    let days = || {
        let days: Option<Vec<Weekday>> = pattern.days_of_week.as_ref()?.iter().map(|name| weekday(name)).collect();
        Days::of(days?)
    };
    // The defaults are those that Graph documents.
    let index = || {
        let name = pattern.index.as_deref().unwrap_or("first");
        INDEXES.iter().find(|(known, _)| *known == name).map(|(_, index)| *index)
    };
    Some(match pattern.kind.as_deref()? {
        "daily" => model::Pattern::Daily { interval },
        "weekly" => {
            let week_start = weekday(pattern.first_day_of_week.as_deref().unwrap_or("sunday"))?;
            model::Pattern::Weekly { interval, days: days()?, week_start }
        }
        "absoluteMonthly" => model::Pattern::AbsoluteMonthly { interval, day: day()? },
        "relativeMonthly" => model::Pattern::RelativeMonthly { interval, days: days()?, index: index()? },
        "absoluteYearly" => model::Pattern::AbsoluteYearly { interval, month: month()?, day: day()? },
        "relativeYearly" => {
            model::Pattern::RelativeYearly { interval, month: month()?, days: days()?, index: index()? }
        }
        _ => return None,
    })
}

fn weekday(name: &str) -> Option<Weekday> {
    DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
}

fn day_name(day: Weekday) -> &'static str {
    DAYS.iter().find(|(_, known)| *known == day).map_or("monday", |(name, _)| name)
}

/// `recurrence` of a series that begins on a day in a zone, by the zone's Windows name. Graph can say every rule.
pub fn written(rule: Rule, first: NaiveDate, zone: &str) -> Value {
    let names = |days: Days| days.iter().map(day_name).collect::<Vec<_>>();
    let index_name = |index: Index| INDEXES.iter().find(|(_, known)| *known == index).map_or("first", |(name, _)| name);
    let pattern = match rule.pattern {
        model::Pattern::Daily { interval } => json!({ "type": "daily", "interval": interval }),
        model::Pattern::Weekly { interval, days, week_start } => json!({
            "type": "weekly", "interval": interval, "daysOfWeek": names(days), "firstDayOfWeek": day_name(week_start),
        }),
        model::Pattern::AbsoluteMonthly { interval, day } => {
            json!({ "type": "absoluteMonthly", "interval": interval, "dayOfMonth": day })
        }
        model::Pattern::RelativeMonthly { interval, days, index } => json!({
            "type": "relativeMonthly", "interval": interval, "daysOfWeek": names(days), "index": index_name(index),
        }),
        model::Pattern::AbsoluteYearly { interval, month, day } => {
            json!({ "type": "absoluteYearly", "interval": interval, "month": month, "dayOfMonth": day })
        }
        model::Pattern::RelativeYearly { interval, month, days, index } => json!({
            "type": "relativeYearly", "interval": interval, "month": month, "daysOfWeek": names(days),
            "index": index_name(index),
        }),
    };
    let mut range = match rule.range {
        model::Range::NoEnd => json!({ "type": "noEnd" }),
        model::Range::Until(last) => json!({ "type": "endDate", "endDate": last.to_string() }),
        model::Range::Count(count) => json!({ "type": "numbered", "numberOfOccurrences": count }),
    };
    if let Value::Object(range) = &mut range {
        range.insert("startDate".into(), first.to_string().into());
        range.insert("recurrenceTimeZone".into(), zone.into());
    }
    json!({ "pattern": pattern, "range": range })
}
