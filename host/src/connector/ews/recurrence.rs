//! The recurrence patterns of EWS in the words of RFC 5545.
//!
//! Promises: pure; a pattern that is not understood is named as such instead of being dropped, so that a series is never
//! taken for a single appointment. Must not know: requests, the rest of a calendar item.

use super::wire::Recurrence;

/// The RRULE value of a recurrence. An unknown pattern gives `X-EWS=<its name>`, which no reader takes for a rule.
pub fn rule(recurrence: &Recurrence) -> String {
    pattern(recurrence).map_or_else(
        || format!("X-EWS={}", recurrence.pattern),
        |parts| {
            let mut parts = parts;
            parts.extend(range(recurrence));
            parts.join(";")
        },
    )
}

fn part<'a>(recurrence: &'a Recurrence, name: &str) -> Option<&'a str> {
    recurrence.parts.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn number(recurrence: &Recurrence, name: &str) -> Option<u32> {
    part(recurrence, name)?.parse().ok()
}

fn pattern(recurrence: &Recurrence) -> Option<Vec<String>> {
    let interval = || {
        let count = number(recurrence, "Interval").unwrap_or(1);
        (count != 1).then(|| format!("INTERVAL={count}"))
    };
    let month = || part(recurrence, "Month").and_then(month_number).map(|month| format!("BYMONTH={month}"));
    let mut parts = Vec::new();
    match recurrence.pattern.as_str() {
        "DailyRecurrence" => {
            parts.push("FREQ=DAILY".to_owned());
            parts.extend(interval());
        }
        "WeeklyRecurrence" => {
            parts.push("FREQ=WEEKLY".to_owned());
            parts.extend(interval());
            parts.push(format!("BYDAY={}", days(part(recurrence, "DaysOfWeek")?)?.join(",")));
            parts.extend(part(recurrence, "FirstDayOfWeek").and_then(day).map(|day| format!("WKST={day}")));
        }
        "AbsoluteMonthlyRecurrence" => {
            parts.push("FREQ=MONTHLY".to_owned());
            parts.extend(interval());
            parts.push(day_of_month(number(recurrence, "DayOfMonth")?));
        }
        "RelativeMonthlyRecurrence" => {
            parts.push("FREQ=MONTHLY".to_owned());
            parts.extend(interval());
            parts.push(relative_days(recurrence)?);
        }
        "AbsoluteYearlyRecurrence" => {
            parts.push("FREQ=YEARLY".to_owned());
            parts.push(month()?);
            parts.push(day_of_month(number(recurrence, "DayOfMonth")?));
        }
        "RelativeYearlyRecurrence" => {
            parts.push("FREQ=YEARLY".to_owned());
            parts.push(month()?);
            parts.push(relative_days(recurrence)?);
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

fn relative_days(recurrence: &Recurrence) -> Option<String> {
    let index = match part(recurrence, "DayOfWeekIndex")? {
        "First" => 1,
        "Second" => 2,
        "Third" => 3,
        "Fourth" => 4,
        "Last" => -1,
        _ => return None,
    };
    let days = days(part(recurrence, "DaysOfWeek")?)?;
    Some(match days.as_slice() {
        [day] => format!("BYDAY={index}{day}"),
        days => format!("BYDAY={};BYSETPOS={index}", days.join(",")),
    })
}

fn days(list: &str) -> Option<Vec<&'static str>> {
    let mut names = Vec::new();
    for name in list.split_whitespace() {
        match name {
            "Day" => names.extend(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]),
            "Weekday" => names.extend(["MO", "TU", "WE", "TH", "FR"]),
            "WeekendDay" => names.extend(["SA", "SU"]),
            name => names.push(day(name)?),
        }
    }
    (!names.is_empty()).then_some(names)
}

fn day(name: &str) -> Option<&'static str> {
    Some(match name {
        "Monday" => "MO",
        "Tuesday" => "TU",
        "Wednesday" => "WE",
        "Thursday" => "TH",
        "Friday" => "FR",
        "Saturday" => "SA",
        "Sunday" => "SU",
        _ => return None,
    })
}

fn month_number(name: &str) -> Option<usize> {
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
    MONTHS.iter().position(|month| *month == name).map(|index| index + 1)
}

/// The end of a series; an endless one has none. Dates may carry an offset (`2027-02-08+01:00`), which says nothing here.
fn range(recurrence: &Recurrence) -> Option<String> {
    match recurrence.range.as_str() {
        "EndDateRecurrence" => {
            let date: String = part(recurrence, "EndDate")?.chars().take(10).filter(char::is_ascii_digit).collect();
            Some(format!("UNTIL={date}"))
        }
        "NumberedRecurrence" => Some(format!("COUNT={}", number(recurrence, "NumberOfOccurrences")?)),
        _ => None,
    }
}
