//! MimeContent: a calendar item as iCalendar (RFC 5545), and back, as far as clients of EWS use it (MS-OXCICAL).
//!
//! Promises: what is read is turned into the elements of a CalendarItem and goes through the same checks as those; times carry
//! the item's own zone with its rules. Must not know: requests, other mailboxes.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc, Weekday};
use localzone::iana_to_win_zone;

use super::edit::Change;
use super::edit_xml;
use super::error::ExchangeError;
use super::item::{Attendee, Reply, Role, Value, View};
use super::series::{INDEXES, Pattern, Range, Recurrence};
use super::xml::{self, TYPES, Xml};
use super::zones::Zone;

/// The largest text taken.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What the MimeContent of a new item asks for.
pub fn changes(base64: &str, owner: &str) -> Result<Vec<Change>, ExchangeError> {
    let invalid = |text: &str| ExchangeError::new("ErrorMimeContentInvalid", text);
    let packed: String = base64.split_whitespace().collect();
    let bytes = STANDARD
        .decode(packed)
        .map_err(|_| ExchangeError::new("ErrorMimeContentInvalidBase64String", "The MIME content is not base64."))?;
    let text = String::from_utf8(bytes).map_err(|_| invalid("The MIME content is not UTF-8."))?;
    let elements = (text.len() <= TEXT_BYTES_MAX).then(|| elements(&text, owner)).flatten();
    let elements = elements.ok_or_else(|| invalid("The MIME content is not an appointment that can be stored."))?;
    let item = format!("<t:CalendarItem xmlns:t=\"{TYPES}\">{elements}</t:CalendarItem>");
    edit_xml::changes_of(xml::read(&item)?.root_element())
}

/// One property of a component.
#[derive(Clone, Debug, Default)]
struct Line {
    name: String,
    parameters: Vec<(String, String)>,
    value: String,
}

impl Line {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value as a text.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut letters = self.value.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some('n' | 'N') => text.push('\n'),
                    Some(other) => text.push(other),
                    None => {}
                },
                other => text.push(other),
            }
        }
        text
    }
}

/// The lines of the first component of that name, without those of components within; and the names of these.
fn component(text: &str, wanted: &str) -> Option<(Vec<Line>, Vec<Vec<Line>>)> {
    let (mut own, mut inner, mut open) = (Vec::new(), Vec::new(), Vec::<String>::new());
    let mut within = false;
    for line in unfold(text).iter().filter_map(|line| parse(line)) {
        match line.name.as_str() {
            "BEGIN" => {
                let name = line.value.to_uppercase();
                if !within && name == wanted {
                    within = true;
                } else if within {
                    open.push(name);
                    if open.len() == 1 {
                        inner.push(Vec::new());
                    }
                }
            }
            "END" if within => {
                let Some(_inner) = open.pop() else { return Some((own, inner)) };
            }
            _ if within && open.is_empty() => own.push(line),
            _ if within => {
                if let Some(last) = inner.last_mut() {
                    last.push(line);
                }
            }
            _ => {}
        }
    }
    None
}

fn unfold(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix([' ', '\t']) {
            Some(more) => {
                if let Some(last) = lines.last_mut() {
                    last.push_str(more);
                }
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines
}

fn parse(line: &str) -> Option<Line> {
    let mut quoted = false;
    let cut = |c: char| {
        quoted ^= c == '"';
        c == ':' && !quoted
    };
    let colon = line.find(cut)?;
    let (head, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    let mut parts = head.split(';');
    let name = parts.next()?.trim().to_uppercase();
    let parameters = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.to_uppercase(), value.trim_matches('"').to_owned()))
        .collect();
    Some(Line { name, parameters, value: value.to_owned() })
}

/// The elements of a CalendarItem that an iCalendar text says, in the schema's order, as XML. Nothing if it holds no event.
fn elements(text: &str, owner: &str) -> Option<String> {
    let (event, alarms) = component(text, "VEVENT")?;
    let line = |name: &str| event.iter().find(|line| line.name == name);
    let words = |name: &str| line(name).map(Line::text).unwrap_or_default();
    let zone = component(text, "VTIMEZONE").and_then(|(zone, _)| zone.into_iter().find(|line| line.name == "TZID"));
    let zone = zone.map(|line| line.value);
    let start = Moment::of(line("DTSTART")?, zone.as_deref())?;
    let end = line("DTEND").and_then(|end| Moment::of(end, zone.as_deref())).unwrap_or_else(|| start.later());
    let mut xml = Xml::new();
    let all_day = start.is_day || words("X-MICROSOFT-CDO-ALLDAYEVENT").eq_ignore_ascii_case("TRUE");
    xml.text("t:Subject", words("SUMMARY"));
    let sensitivity = match words("CLASS").to_uppercase().as_str() {
        "PRIVATE" => "Private",
        "CONFIDENTIAL" => "Confidential",
        _ => "Normal",
    };
    xml.text("t:Sensitivity", sensitivity);
    xml.text_with("t:Body", &[("BodyType", "Text")], words("DESCRIPTION"));
    let categories: Vec<String> = event
        .iter()
        .filter(|line| line.name == "CATEGORIES")
        .flat_map(|line| line.value.split(',').map(str::to_owned).collect::<Vec<_>>())
        .filter(|category| !category.is_empty())
        .collect();
    if !categories.is_empty() {
        xml.open("t:Categories", |xml| categories.iter().for_each(|category| xml.text("t:String", category)));
    }
    let importance = match words("PRIORITY").trim() {
        "1" | "2" | "3" | "4" => "High",
        "6" | "7" | "8" | "9" => "Low",
        _ => "Normal",
    };
    xml.text("t:Importance", importance);
    let minutes = alarms.iter().flatten().find(|line| line.name == "TRIGGER").and_then(|line| minutes(&line.value));
    xml.text("t:ReminderIsSet", minutes.is_some());
    if let Some(minutes) = minutes {
        xml.text("t:ReminderMinutesBeforeStart", minutes);
    }
    if let Some(uid) = line("UID") {
        xml.text("t:UID", &uid.value);
    }
    xml.text("t:Start", &start.text);
    xml.text("t:End", &end.text);
    xml.text("t:IsAllDayEvent", all_day);
    let free_busy = match words("X-MICROSOFT-CDO-BUSYSTATUS").to_uppercase().as_str() {
        "FREE" => "Free",
        "TENTATIVE" => "Tentative",
        "OOF" => "OOF",
        "" if words("TRANSP").eq_ignore_ascii_case("TRANSPARENT") => "Free",
        _ => "Busy",
    };
    xml.text("t:LegacyFreeBusyStatus", free_busy);
    xml.text("t:Location", words("LOCATION"));
    attendees(&event, owner, &mut xml);
    if let Some(rule) = line("RRULE") {
        recurrence(&rule.value, start.day, &mut xml)?;
    }
    xml.empty("t:StartTimeZone", &[("Id", &start.zone)]);
    xml.empty("t:EndTimeZone", &[("Id", &end.zone)]);
    Some(xml.into_string())
}

/// A time as an element writes it.
struct Moment {
    text: String,
    /// Windows name.
    zone: String,
    day: NaiveDate,
    is_day: bool,
}

impl Moment {
    fn of(line: &Line, zone: Option<&str>) -> Option<Self> {
        let value = line.value.trim();
        let zone = line.parameter("TZID").or(zone).unwrap_or("UTC");
        let zone =
            Zone::named(zone).map(|zone| zone.id).ok().or_else(|| iana_to_win_zone(zone).map(|(id, _)| id.to_owned()));
        let zone = zone.unwrap_or_else(|| "UTC".to_owned());
        if let Ok(day) = NaiveDate::parse_from_str(value, "%Y%m%d") {
            return Some(Self { text: format!("{day}T00:00:00"), zone, day, is_day: true });
        }
        let (value, is_utc) = value.strip_suffix('Z').map_or((value, false), |value| (value, true));
        let at = NaiveDateTime::parse_from_str(value, "%Y%m%dT%H%M%S").ok()?;
        let end = if is_utc { "Z" } else { "" };
        let zone = if is_utc && line.parameter("TZID").is_none() { "UTC".to_owned() } else { zone };
        Some(Self { text: format!("{}{end}", at.format("%Y-%m-%dT%H:%M:%S")), zone, day: at.date(), is_day: false })
    }

    /// Where there is no end: the next day, or the same moment.
    fn later(&self) -> Self {
        let day = if self.is_day { super::zones::next_day(self.day) } else { self.day };
        let text = if self.is_day { format!("{day}T00:00:00") } else { self.text.clone() };
        Self { text, zone: self.zone.clone(), day, is_day: self.is_day }
    }
}

/// `-PT15M` is 15, `-P1DT2H` 1560.
fn minutes(trigger: &str) -> Option<i64> {
    let text = trigger.trim().strip_prefix('-').unwrap_or(trigger.trim()).strip_prefix('P')?;
    let (mut total, mut number) = (0_i64, 0_i64);
    for letter in text.chars() {
        match letter {
            '0'..='9' => number = number.checked_mul(10)?.checked_add(i64::from(letter.to_digit(10)?))?,
            'T' => {}
            unit => {
                let each = match unit {
                    'W' => 7 * 24 * 60,
                    'D' => 24 * 60,
                    'H' => 60,
                    'M' => 1,
                    'S' => 0,
                    _ => return None,
                };
                total = total.checked_add(number.checked_mul(each)?)?;
                number = 0;
            }
        }
    }
    Some(total)
}

fn attendees(event: &[Line], owner: &str, xml: &mut Xml) {
    let address = |line: &Line| {
        let value = line.value.trim();
        let is_mail = value.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("mailto:"));
        if is_mail { value.get(7..).unwrap_or_default().to_owned() } else { value.to_owned() }
    };
    let all: Vec<&Line> = event
        .iter()
        .filter(|line| line.name == "ATTENDEE" && address(line).contains('@'))
        .filter(|line| !address(line).eq_ignore_ascii_case(owner))
        .collect();
    let role = |line: &Line| match (line.parameter("CUTYPE"), line.parameter("ROLE")) {
        (Some("RESOURCE" | "ROOM"), _) | (_, Some("NON-PARTICIPANT")) => "t:Resources",
        (_, Some("OPT-PARTICIPANT")) => "t:OptionalAttendees",
        _ => "t:RequiredAttendees",
    };
    for list in ["t:RequiredAttendees", "t:OptionalAttendees", "t:Resources"] {
        let mut people = all.iter().filter(|line| role(line) == list).peekable();
        if people.peek().is_none() {
            continue;
        }
        xml.open(list, |xml| {
            for line in people {
                xml.open("t:Attendee", |xml| {
                    xml.open("t:Mailbox", |xml| {
                        xml.text("t:Name", line.parameter("CN").unwrap_or_default());
                        xml.text("t:EmailAddress", address(line));
                    });
                });
            }
        });
    }
}

const WEEK: [(&str, &str); 7] = [
    ("SU", "Sunday"),
    ("MO", "Monday"),
    ("TU", "Tuesday"),
    ("WE", "Wednesday"),
    ("TH", "Thursday"),
    ("FR", "Friday"),
    ("SA", "Saturday"),
];

/// Daily, weekly, monthly and yearly rules by day; nothing for others.
fn recurrence(rule: &str, first: NaiveDate, xml: &mut Xml) -> Option<()> {
    let part = |name: &str| {
        let found =
            rule.split(';').filter_map(|part| part.split_once('=')).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let interval = part("INTERVAL").unwrap_or_else(|| "1".to_owned());
    let days = part("BYDAY").unwrap_or_default();
    let names: Vec<&str> =
        days.split(',').filter_map(|day| WEEK.iter().find(|(short, _)| *short == day)).map(|(_, name)| *name).collect();
    let own = first.format("%A").to_string();
    xml.open("t:Recurrence", |xml| {
        match part("FREQ").unwrap_or_default().as_str() {
            "WEEKLY" => xml.open("t:WeeklyRecurrence", |xml| {
                xml.text("t:Interval", &interval);
                xml.text("t:DaysOfWeek", if names.is_empty() { own.clone() } else { names.join(" ") });
            }),
            "MONTHLY" => xml.open("t:AbsoluteMonthlyRecurrence", |xml| {
                xml.text("t:Interval", &interval);
                xml.text("t:DayOfMonth", part("BYMONTHDAY").unwrap_or_else(|| first.day().to_string()));
            }),
            "YEARLY" => xml.open("t:AbsoluteYearlyRecurrence", |xml| {
                xml.text("t:DayOfMonth", part("BYMONTHDAY").unwrap_or_else(|| first.day().to_string()));
                xml.text("t:Month", first.format("%B"));
            }),
            _ => xml.open("t:DailyRecurrence", |xml| xml.text("t:Interval", &interval)),
        }
        let until = part("UNTIL").and_then(|until| NaiveDate::parse_from_str(until.get(..8)?, "%Y%m%d").ok());
        match (part("COUNT"), until) {
            (Some(count), _) => xml.open("t:NumberedRecurrence", |xml| {
                xml.text("t:StartDate", first);
                xml.text("t:NumberOfOccurrences", count);
            }),
            (None, Some(until)) => xml.open("t:EndDateRecurrence", |xml| {
                xml.text("t:StartDate", first);
                xml.text("t:EndDate", until);
            }),
            (None, None) => xml.open("t:NoEndRecurrence", |xml| xml.text("t:StartDate", first)),
        }
    });
    // What a calendar item cannot say is refused, not bent.
    let known = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"].contains(&part("FREQ").unwrap_or_default().as_str());
    let is_plain = part("BYSETPOS").is_none() && days.split(',').all(|day| day.len() <= 2);
    (known && is_plain).then_some(())
}

/// An item, or one instance of a series, as iCalendar. A series shows its first occurrence and its rule.
pub fn render(view: View<'_>) -> String {
    let (item, content) = (view.item, view.content);
    let text = |name: &str| escaped(content.text(name).unwrap_or_default());
    let mut out = String::new();
    let mut line = |text: String| fold(&mut out, &text);
    line("BEGIN:VCALENDAR".into());
    line(format!("METHOD:{}", if item.is_meeting() { "REQUEST" } else { "PUBLISH" }));
    line("PRODID:-//Exchange simulator//EN".into());
    line("VERSION:2.0".into());
    time_zone(&content.start_zone, view.start).into_iter().for_each(&mut line);
    line("BEGIN:VEVENT".into());
    if item.is_meeting() {
        line(format!("ORGANIZER;CN={}:mailto:{}", quoted(&item.organizer.name), item.organizer.address));
        content.attendees.iter().map(attendee).for_each(&mut line);
    }
    line(format!("DESCRIPTION;LANGUAGE=en-US:{}", escaped(&view.text_body())));
    line(format!("UID:{}", item.uid));
    line(format!("SUMMARY;LANGUAGE=en-US:{}", text("Subject")));
    let time = |name: &str, at: DateTime<Utc>, zone: &Zone| match content.all_day {
        true => format!("{name};VALUE=DATE:{}", zone.local(at).format("%Y%m%d")),
        false => format!("{name};TZID={}:{}", zone.id, zone.local(at).format("%Y%m%dT%H%M%S")),
    };
    line(time("DTSTART", view.start, &content.start_zone));
    line(time("DTEND", view.end, &content.start_zone));
    if let Some(series) = &item.series {
        match view.original_start {
            None => {
                line(format!("RRULE:{}", rule(&series.recurrence)));
                series.deleted.iter().map(|at| time("EXDATE", *at, &content.start_zone)).for_each(&mut line);
            }
            Some(original) => line(time("RECURRENCE-ID", original, &content.start_zone)),
        }
    }
    let class = match content.text("Sensitivity") {
        Some("Private") => "PRIVATE",
        Some("Confidential") => "CONFIDENTIAL",
        _ => "PUBLIC",
    };
    line(format!("CLASS:{class}"));
    let priority = match content.text("Importance") {
        Some("High") => 1,
        Some("Low") => 9,
        _ => 5,
    };
    line(format!("PRIORITY:{priority}"));
    line(format!("DTSTAMP:{}", item.modified.format("%Y%m%dT%H%M%SZ")));
    let busy = content.text("LegacyFreeBusyStatus").unwrap_or("Busy").to_uppercase();
    line(format!("TRANSP:{}", if busy == "FREE" { "TRANSPARENT" } else { "OPAQUE" }));
    line(format!("STATUS:{}", if item.cancelled { "CANCELLED" } else { "CONFIRMED" }));
    line(format!("SEQUENCE:{}", item.sequence));
    line(format!("LOCATION;LANGUAGE=en-US:{}", text("Location")));
    if let Some(Value::Strings(categories)) = content.plain.get("Categories") {
        line(format!("CATEGORIES:{}", categories.iter().map(|one| escaped(one)).collect::<Vec<_>>().join(",")));
    }
    line(format!("X-MICROSOFT-CDO-BUSYSTATUS:{busy}"));
    line(format!("X-MICROSOFT-CDO-ALLDAYEVENT:{}", if content.all_day { "TRUE" } else { "FALSE" }));
    if content.plain.get("ReminderIsSet") == Some(&Value::Boolean(true)) {
        let minutes = match content.plain.get("ReminderMinutesBeforeStart") {
            Some(Value::Integer(minutes)) => *minutes,
            _ => 15,
        };
        [
            "BEGIN:VALARM",
            "DESCRIPTION:REMINDER",
            &format!("TRIGGER;RELATED=START:-PT{minutes}M"),
            "ACTION:DISPLAY",
            "END:VALARM",
        ]
        .into_iter()
        .map(str::to_owned)
        .for_each(&mut line);
    }
    line("END:VEVENT".into());
    line("END:VCALENDAR".into());
    out
}

fn rule(recurrence: &Recurrence) -> String {
    let list = |days: &super::series::DayList| days.days().map(short).collect::<Vec<_>>().join(",");
    let nth =
        |index: &usize| if *index + 1 == INDEXES.len() { -1 } else { i64::try_from(*index).unwrap_or_default() + 1 };
    let mut text = match &recurrence.pattern {
        Pattern::Daily { interval } => format!("FREQ=DAILY;INTERVAL={interval}"),
        Pattern::Weekly { interval, days, .. } => format!("FREQ=WEEKLY;INTERVAL={interval};BYDAY={}", list(days)),
        Pattern::AbsoluteMonthly { interval, day } => format!("FREQ=MONTHLY;INTERVAL={interval};BYMONTHDAY={day}"),
        Pattern::RelativeMonthly { interval, days, index } => {
            format!("FREQ=MONTHLY;INTERVAL={interval};BYDAY={};BYSETPOS={}", list(days), nth(index))
        }
        Pattern::AbsoluteYearly { interval, day, month } => {
            format!("FREQ=YEARLY;INTERVAL={interval};BYMONTHDAY={day};BYMONTH={month}")
        }
        Pattern::RelativeYearly { interval, days, index, month } => {
            format!("FREQ=YEARLY;INTERVAL={interval};BYDAY={};BYSETPOS={};BYMONTH={month}", list(days), nth(index))
        }
    };
    match &recurrence.range {
        Range::NoEnd => {}
        Range::Until(end) => text.push_str(&format!(";UNTIL={}T235959Z", end.format("%Y%m%d"))),
        Range::Count(count) => text.push_str(&format!(";COUNT={count}")),
    }
    text
}

fn attendee(attendee: &Attendee) -> String {
    let role = match attendee.role {
        Role::Required => "REQ-PARTICIPANT",
        Role::Optional => "OPT-PARTICIPANT",
        Role::Resource => "NON-PARTICIPANT;CUTYPE=RESOURCE",
    };
    let status = match attendee.reply {
        Reply::Accept | Reply::Organizer => "ACCEPTED",
        Reply::Decline => "DECLINED",
        Reply::Tentative => "TENTATIVE",
        Reply::Unknown | Reply::NoResponseReceived => "NEEDS-ACTION",
    };
    let person = &attendee.person;
    format!("ATTENDEE;ROLE={role};PARTSTAT={status};RSVP=TRUE;CN={}:mailto:{}", quoted(&person.name), person.address)
}

/// The zone's rules as they are in the year of a moment.
fn time_zone(zone: &Zone, at: DateTime<Utc>) -> Vec<String> {
    let year = zone.local(at).year();
    let noon =
        |month: u32, day: u32| NaiveDate::from_ymd_opt(year, month, day).and_then(|date| date.and_hms_opt(12, 0, 0));
    let offset = |local: NaiveDateTime| local - zone.instant(local).naive_utc();
    let (winter, summer) = (noon(1, 1).map(offset).unwrap_or_default(), noon(7, 1).map(offset).unwrap_or_default());
    let standard = winter.min(summer);
    let mut lines = vec!["BEGIN:VTIMEZONE".to_owned(), format!("TZID:{}", zone.id)];
    let mut changes = Vec::new();
    let mut day = noon(1, 1);
    while let Some(today) = day.filter(|today| today.year() == year) {
        let before = offset(today - TimeDelta::days(1));
        if offset(today) != before {
            changes.push((today.date(), before, offset(today)));
        }
        day = today.checked_add_signed(TimeDelta::days(1));
    }
    if changes.is_empty() {
        changes.extend(NaiveDate::from_ymd_opt(1601, 1, 1).map(|day| (day, standard, standard)));
    }
    for (date, from, to) in changes {
        let kind = if to == standard { "STANDARD" } else { "DAYLIGHT" };
        lines.push(format!("BEGIN:{kind}"));
        // Clocks change in the night, at a full hour that is not kept apart here.
        lines.push(format!("DTSTART:16010101T{}", if to == standard { "030000" } else { "020000" }));
        lines.push(format!("TZOFFSETFROM:{}", written(from)));
        lines.push(format!("TZOFFSETTO:{}", written(to)));
        if from != to {
            let is_last = date.day() + 7 > 28 && (date + TimeDelta::days(7)).month() != date.month();
            let nth = if is_last { -1 } else { i64::from((date.day() - 1) / 7 + 1) };
            let day = short(date.weekday());
            lines.push(format!("RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY={nth}{day};BYMONTH={}", date.month()));
        }
        lines.push(format!("END:{kind}"));
    }
    lines.push("END:VTIMEZONE".to_owned());
    lines
}

fn short(day: Weekday) -> &'static str {
    let place = usize::try_from(day.num_days_from_sunday()).unwrap_or_default();
    WEEK.get(place).map_or("SU", |(short, _)| short)
}

fn written(offset: TimeDelta) -> String {
    let minutes = offset.num_minutes();
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace("\r\n", "\\n").replace('\n', "\\n")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "'"))
}

/// Lines end after 75 octets at most (RFC 5545, 3.1).
fn fold(out: &mut String, line: &str) {
    let mut length = 0;
    for letter in line.chars() {
        if length + letter.len_utf8() > 75 {
            out.push_str("\r\n ");
            length = 1;
        }
        length += letter.len_utf8();
        // Writing to memory does not fail.
        let _ = out.write_char(letter);
    }
    out.push_str("\r\n");
}
