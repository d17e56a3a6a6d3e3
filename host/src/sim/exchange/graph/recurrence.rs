//! Recurrence in Graph's words, both ways [recurrencepattern, recurrencerange].
//!
//! Must not know: items.

use chrono::{Datelike, NaiveDate, Weekday};
use serde_json::{Map, Value, json};

use super::answer::Refused;
use crate::sim::exchange::series::{DayList, INDEXES, Pattern, Range, Recurrence};
use crate::sim::exchange::zones;

const DAYS: [(&str, Weekday); 7] = [
    ("sunday", Weekday::Sun),
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
];
/// The longest interval and the most occurrences that a pattern takes.
const NUMBER_MAX: u64 = 999;

/// A recurrence and the zone it names itself, if it does.
pub struct Read {
    pub recurrence: Recurrence,
    pub zone: Option<String>,
}

/// Reads `{pattern, range}`.
pub fn read(value: &Value) -> Result<Read, Refused> {
    let (Some(pattern), Some(range)) = (object(value, "pattern"), object(value, "range")) else {
        return Err(Refused::property("A recurrence needs a pattern and a range."));
    };
    let start = date(range, "startDate")?;
    let kind = text(range, "type").unwrap_or_default();
    let bounds = match kind.to_ascii_lowercase().as_str() {
        "noend" => Range::NoEnd,
        "enddate" => Range::Until(date(range, "endDate")?),
        "numbered" => Range::Count(number(range, "numberOfOccurrences")?),
        _ => return Err(Refused::property("The type of a recurrence range is endDate, noEnd or numbered.")),
    };
    if matches!(bounds, Range::Until(end) if end < start) {
        return Err(Refused::bad("ErrorCalendarInvalidRecurrence", "The series ends before it starts."));
    }
    let recurrence = Recurrence { pattern: read_pattern(pattern, start)?, start, range: bounds };
    let zone = text(range, "recurrenceTimeZone").filter(|zone| !zone.is_empty()).map(str::to_owned);
    Ok(Read { recurrence, zone })
}

fn read_pattern(pattern: &Map<String, Value>, start: NaiveDate) -> Result<Pattern, Refused> {
    let interval = number(pattern, "interval")?;
    let day = || number(pattern, "dayOfMonth");
    let month = || number(pattern, "month");
    let days = || {
        let names = pattern.get("daysOfWeek").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let named = |name: &Value| {
            let name = name.as_str()?.to_ascii_lowercase();
            DAYS.iter().find(|(known, _)| *known == name).map(|(_, day)| *day)
        };
        let days: Option<Vec<Weekday>> = names.iter().map(named).collect();
        let missing = || Refused::property("This recurrence pattern needs daysOfWeek.");
        days.as_deref().and_then(DayList::of).ok_or_else(missing)
    };
    let index = || {
        let name = text(pattern, "index").unwrap_or("first");
        let place = INDEXES.iter().position(|known| known.eq_ignore_ascii_case(name));
        place.ok_or_else(|| Refused::property("The index of a recurrence pattern is one of first to last."))
    };
    Ok(match text(pattern, "type").unwrap_or_default().to_ascii_lowercase().as_str() {
        "daily" => Pattern::Daily { interval },
        "weekly" => {
            let first = text(pattern, "firstDayOfWeek").unwrap_or("sunday").to_ascii_lowercase();
            let first_day = DAYS.iter().find(|(known, _)| *known == first).map_or(Weekday::Sun, |(_, day)| *day);
            Pattern::Weekly { interval, days: days()?, first_day }
        }
        "absolutemonthly" => Pattern::AbsoluteMonthly { interval, day: day()? },
        "relativemonthly" => Pattern::RelativeMonthly { interval, days: days()?, index: index()? },
        "absoluteyearly" => Pattern::AbsoluteYearly { interval, day: day()?, month: month()?.clamp(1, 12) },
        "relativeyearly" => {
            // Clients leave the month out where it is that of the first day.
            let month = month().unwrap_or_else(|_| start.month()).clamp(1, 12);
            Pattern::RelativeYearly { interval, days: days()?, index: index()?, month }
        }
        _ => return Err(Refused::property("The recurrence pattern has no such type.")),
    })
}

/// Writes `{pattern, range}`; `zone` is that of the series.
pub fn write(recurrence: &Recurrence, zone: &str) -> Value {
    let names = |days: &DayList| -> Vec<&str> {
        days.days().filter_map(|day| DAYS.iter().find(|(_, known)| *known == day)).map(|(name, _)| *name).collect()
    };
    let index_name = |index: &usize| INDEXES.get(*index).copied().unwrap_or("First").to_ascii_lowercase();
    let mut pattern = json!({ "type": "", "interval": 1, "month": 0, "dayOfMonth": 0, "daysOfWeek": [],
        "firstDayOfWeek": "sunday", "index": "first" });
    let said = match &recurrence.pattern {
        Pattern::Daily { interval } => json!({ "type": "daily", "interval": interval }),
        Pattern::Weekly { interval, days, first_day } => {
            let first = DAYS.iter().find(|(_, day)| day == first_day).map_or("sunday", |(name, _)| *name);
            json!({ "type": "weekly", "interval": interval, "daysOfWeek": names(days), "firstDayOfWeek": first })
        }
        Pattern::AbsoluteMonthly { interval, day } => {
            json!({ "type": "absoluteMonthly", "interval": interval, "dayOfMonth": day })
        }
        Pattern::RelativeMonthly { interval, days, index } => json!({
            "type": "relativeMonthly", "interval": interval, "daysOfWeek": names(days), "index": index_name(index),
        }),
        Pattern::AbsoluteYearly { interval, day, month } => {
            json!({ "type": "absoluteYearly", "interval": interval, "dayOfMonth": day, "month": month })
        }
        Pattern::RelativeYearly { interval, days, index, month } => json!({
            "type": "relativeYearly", "interval": interval, "daysOfWeek": names(days), "index": index_name(index),
            "month": month,
        }),
    };
    if let (Value::Object(pattern), Value::Object(said)) = (&mut pattern, said) {
        pattern.extend(said);
    }
    let (kind, end, count) = match &recurrence.range {
        Range::NoEnd => ("noEnd", None, 0),
        Range::Until(end) => ("endDate", Some(*end), 0),
        Range::Count(count) => ("numbered", None, *count),
    };
    let end = end.map_or_else(|| "0001-01-01".to_owned(), |end| end.to_string());
    json!({
        "pattern": pattern,
        "range": { "type": kind, "startDate": recurrence.start.to_string(), "endDate": end,
            "recurrenceTimeZone": zone, "numberOfOccurrences": count },
    })
}

fn object<'a>(value: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    value.get(name)?.as_object()
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name)?.as_str()
}

fn date(map: &Map<String, Value>, name: &str) -> Result<NaiveDate, Refused> {
    let text = text(map, name).ok_or_else(|| Refused::property(format!("A recurrence range lacks {name}.")))?;
    Ok(zones::date(text)?)
}

fn number(map: &Map<String, Value>, name: &str) -> Result<u32, Refused> {
    let number = map.get(name).and_then(Value::as_u64).filter(|number| (1..=NUMBER_MAX).contains(number));
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| Refused::property(format!("{name} must be between 1 and {NUMBER_MAX}.")))
}
