//! Ten thousand random patterns over ten years against a second implementation: python-dateutil.

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::{NaiveDate, TimeDelta, Weekday};
use chrono_tz::Tz;
use daybridge::model::Recurrence;
use daybridge::model::recurrence::{Days, Index, Pattern, Range, Rule, Window, expand};
use daybridge_tests::python::python;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SEED: u64 = 0x5e71e5;
const CASES: usize = 10_000;
/// North, south, without clock changes, half-hour changes, odd offsets, changes at midnight.
const ZONES: [Tz; 16] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::Europe__London,
    Tz::Europe__Kyiv,
    Tz::America__New_York,
    Tz::America__Los_Angeles,
    Tz::America__St_Johns,
    Tz::America__Santiago,
    Tz::America__Havana,
    Tz::Australia__Sydney,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Auckland,
    Tz::Pacific__Chatham,
    Tz::Asia__Kolkata,
    Tz::Asia__Kathmandu,
    Tz::Asia__Tokyo,
];
const WEEK: [Weekday; 7] =
    [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

#[derive(Clone, Debug)]
struct Case {
    rule: Recurrence,
    first: chrono::NaiveDateTime,
    zone: Tz,
    window: Window,
}

fn days(chance: &mut StdRng, relative: bool) -> Days {
    match chance.random_range(0..if relative { 6 } else { 3 }) {
        0 => Days::of((0..3).map(|_| WEEK[chance.random_range(0..7)])).expect("days"),
        3 => Days::ALL,
        4 => Days::WEEKDAYS,
        5 => Days::WEEKEND,
        _ => Days::one(WEEK[chance.random_range(0..7)]),
    }
}

fn pattern(chance: &mut StdRng) -> Pattern {
    let index = Index::ALL[chance.random_range(0..5)];
    // Often the days that not every month has.
    let day = if chance.random_bool(0.4) { chance.random_range(28..=31) } else { chance.random_range(1..=31) };
    let interval = if chance.random_bool(0.4) { 1 } else { chance.random_range(1..=12) };
    let month = chance.random_range(1..=12);
    match chance.random_range(0..6) {
        0 => Pattern::Daily { interval: if chance.random_bool(0.1) { 1 } else { chance.random_range(1..=60) } },
        1 => {
            let week_start = WEEK[chance.random_range(0..7)];
            Pattern::Weekly { interval, days: days(chance, false), week_start }
        }
        2 => Pattern::AbsoluteMonthly { interval, day },
        3 => Pattern::RelativeMonthly { interval, days: days(chance, true), index },
        4 => {
            let (month, day) = if chance.random_bool(0.2) { (2, 29) } else { (month, day) };
            Pattern::AbsoluteYearly { interval: interval.min(4), month, day }
        }
        _ => Pattern::RelativeYearly { interval: interval.min(4), month, days: days(chance, true), index },
    }
}

fn case(chance: &mut StdRng) -> Case {
    let pattern = pattern(chance);
    let earliest = NaiveDate::from_ymd_opt(2018, 1, 1).expect("a date");
    let day = earliest + TimeDelta::days(chance.random_range(0..2_000));
    // Series begin on a day of their pattern; some clients' do not.
    let day = if chance.random_bool(0.8) { pattern.first_from(day).expect("a day of the pattern") } else { day };
    // Often in the small hours in which clocks change.
    let minutes = if chance.random_bool(0.5) { chance.random_range(0..240) } else { chance.random_range(0..1_440) };
    let range = match chance.random_range(0..3) {
        0 => Range::NoEnd,
        1 => Range::Until(day + TimeDelta::days(chance.random_range(0..3_000))),
        _ => Range::Count(chance.random_range(1..400)),
    };
    let rule = Rule { pattern, range };
    assert_eq!(Rule::parse(&rule.to_string()), Some(rule), "written and read again: {rule}");
    let from =
        (day + TimeDelta::days(chance.random_range(-400..400))).and_hms_opt(0, 0, 0).expect("midnight").and_utc();
    Case {
        rule: rule.into(),
        first: day.and_hms_opt(minutes / 60, minutes % 60, 0).expect("a time"),
        zone: ZONES[chance.random_range(0..ZONES.len())],
        window: Window { from, until: from + TimeDelta::days(3_653), limit: usize::MAX },
    }
}

fn asked(cases: &[Case], show: bool) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/recurrence_cases.py");
    let mut client = Command::new(python("dateutil"));
    client.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("Python starts");
    let mut told = client.stdin.take().expect("a pipe");
    for case in cases {
        let (zone, first) = (case.zone.name(), case.first.format("%Y-%m-%dT%H:%M:%S").to_string());
        let (from, until) = (case.window.from.timestamp(), case.window.until.timestamp());
        let line =
            json!({"rule": case.rule.rule, "first": first, "zone": zone, "from": from, "until": until, "show": show});
        writeln!(told, "{line}").expect("the client listens");
    }
    drop(told);
    let output = client.wait_with_output().expect("the client ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn ours(case: &Case) -> Vec<String> {
    let found = expand(&case.rule, case.first, case.zone, case.window).expect("a rule");
    assert!(!found.cut);
    found.occurrences.iter().map(|one| one.start.timestamp().to_string()).collect()
}

#[test]
fn ten_thousand_random_patterns_give_the_same_occurrences_as_dateutil() {
    let mut chance = StdRng::seed_from_u64(SEED);
    let cases: Vec<Case> = (0..CASES).map(|_| case(&mut chance)).collect();
    let theirs = asked(&cases, false);
    assert_eq!(theirs.len(), CASES);
    let mut total = 0;
    for (case, theirs) in cases.iter().zip(&theirs) {
        let ours = ours(case);
        total += ours.len();
        let hash: String = Sha256::digest(ours.join(",")).iter().map(|byte| format!("{byte:02x}")).collect();
        if *theirs != json!([ours.len(), hash]) {
            let shown = asked(std::slice::from_ref(case), true);
            let theirs: Vec<String> = shown[0][1].as_array().expect("a list").iter().map(Value::to_string).collect();
            let at =
                ours.iter().zip(&theirs).position(|(one, other)| one != other).unwrap_or(ours.len().min(theirs.len()));
            let (one, other) = (ours.get(at), theirs.get(at));
            panic!(
                "seed {SEED:#x}: {case:?}\n{} and {} occurrences; number {at}: {one:?}, {other:?}",
                ours.len(),
                theirs.len()
            );
        }
    }
    println!("seed {SEED:#x}: {CASES} patterns, {total} occurrences");
    assert!(total > 300_000, "the patterns hardly recur: {total} occurrences");
}
