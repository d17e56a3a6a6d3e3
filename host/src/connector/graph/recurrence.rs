//! The recurrence patterns of Graph in the words of RFC 5545.
//!
//! Promises: pure; a pattern that is not understood is named as such instead of being dropped, so that a series is never
//! taken for a single appointment. Must not know: requests, the rest of an event.

use serde::Deserialize;

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
    let pattern = recurrence.pattern.clone().unwrap_or_default();
    let Some(mut parts) = parts(&pattern) else {
        return format!("X-GRAPH={}", pattern.kind.as_deref().unwrap_or("nothing"));
    };
    parts.extend(recurrence.range.as_ref().and_then(end));
    parts.join(";")
}

fn parts(pattern: &Pattern) -> Option<Vec<String>> {
    let interval = pattern.interval.unwrap_or(1);
    let interval = move |parts: &mut Vec<String>| {
        if interval != 1 {
            parts.push(format!("INTERVAL={interval}"));
        }
    };
    let month = || pattern.month.filter(|month| (1..=12).contains(month)).map(|month| format!("BYMONTH={month}"));
    let mut parts = Vec::new();
    match pattern.kind.as_deref()? {
        "daily" => {
            parts.push("FREQ=DAILY".to_owned());
            interval(&mut parts);
        }
        "weekly" => {
            parts.push("FREQ=WEEKLY".to_owned());
            interval(&mut parts);
            parts.push(format!("BYDAY={}", days(pattern)?.join(",")));
            parts.extend(pattern.first_day_of_week.as_deref().and_then(day).map(|day| format!("WKST={day}")));
        }
        "absoluteMonthly" => {
            parts.push("FREQ=MONTHLY".to_owned());
            interval(&mut parts);
            parts.push(day_of_month(pattern.day_of_month?));
        }
        "relativeMonthly" => {
            parts.push("FREQ=MONTHLY".to_owned());
            interval(&mut parts);
            parts.push(relative_days(pattern)?);
        }
        "absoluteYearly" => {
            parts.push("FREQ=YEARLY".to_owned());
            interval(&mut parts);
            parts.push(month()?);
            parts.push(day_of_month(pattern.day_of_month?));
        }
        "relativeYearly" => {
            parts.push("FREQ=YEARLY".to_owned());
            interval(&mut parts);
            parts.push(month()?);
            parts.push(relative_days(pattern)?);
        }
        _ => return None,
    }
    Some(parts)
}

/// Exchange takes a day that a month does not have as its last day; RFC 5545 would skip that month.
fn day_of_month(day: u32) -> String {
    if day <= 28 {
        return format!("BYMONTHDAY={day}");
    }
    let days: Vec<_> = (28..=day.min(31)).map(|day| day.to_string()).collect();
    format!("BYMONTHDAY={};BYSETPOS=-1", days.join(","))
}

fn relative_days(pattern: &Pattern) -> Option<String> {
    let index = match pattern.index.as_deref().unwrap_or("first") {
        "first" => 1,
        "second" => 2,
        "third" => 3,
        "fourth" => 4,
        "last" => -1,
        _ => return None,
    };
    Some(match days(pattern)?.as_slice() {
        [day] => format!("BYDAY={index}{day}"),
        days => format!("BYDAY={};BYSETPOS={index}", days.join(",")),
    })
}

fn days(pattern: &Pattern) -> Option<Vec<&'static str>> {
    let names: Option<Vec<_>> = pattern.days_of_week.as_ref()?.iter().map(|name| day(name)).collect();
    names.filter(|names| !names.is_empty())
}

fn day(name: &str) -> Option<&'static str> {
    Some(match name {
        "monday" => "MO",
        "tuesday" => "TU",
        "wednesday" => "WE",
        "thursday" => "TH",
        "friday" => "FR",
        "saturday" => "SA",
        "sunday" => "SU",
        _ => return None,
    })
}

/// The end of a series; an endless one has none.
fn end(range: &Range) -> Option<String> {
    match range.kind.as_deref()? {
        "endDate" => {
            let date: String = range.end_date.as_deref()?.chars().take(10).filter(char::is_ascii_digit).collect();
            Some(format!("UNTIL={date}"))
        }
        "numbered" => Some(format!("COUNT={}", range.number_of_occurrences?)),
        _ => None,
    }
}
