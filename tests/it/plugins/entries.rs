//! What an operator may say of a rule beside its settings: a condition, words for people, what to do when it fails.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daybridge::model::{Appointment, Body, Direction, Link, Person, Response, Scalar, Sensitivity, UserId};
use daybridge::plugin::condition::{Condition, LENGTH_MAX, Subject};
use daybridge::plugin::{LogLevel, OnError, RuleEntry};
use daybridge::rules::{AfterFault, Call, FaultKind, PassedOver, Rules, Verdict};
use serde_json::json;

use super::support::{appointment, attendee, chain, entry, judge, passed, try_chain};

use Direction::{CrmToExchange, ExchangeToCrm};

/// An appointment with something in every field that conditions are asked about below.
fn full() -> Appointment {
    let mut one = appointment();
    one.body = Body::plain("Bring figures");
    one.location = "Dublin".into();
    one.organizer =
        Some(Person { name: "Susan Maye".into(), address: daybridge::model::Address::new("Susan@Example.com") });
    one.attendees = vec![attendee("Mary Jones", Response::Accepted), attendee("Terry Smith", Response::None)];
    one.attendees[1].user = Some(UserId("4".into()));
    one.sensitivity = Sensitivity::Private;
    one.categories = vec!["Board".into(), "Sales".into()];
    one.regarding = vec![Link { entity: "case".into(), id: "7".into(), name: "Acme".into() }];
    one.custom.insert("comm_region".into(), Scalar::Text("EU".into()));
    one.custom.insert("comm_floor".into(), Scalar::Number(3));
    one
}

fn holds(expression: &str, direction: Direction, one: &Appointment) -> Result<bool, String> {
    let condition = Condition::compile(expression).unwrap_or_else(|mistake| panic!("{expression}: {mistake}"));
    condition.holds(Subject { direction, source: one, draft: one })
}

#[test]
fn conditions_ask_about_everything_a_rule_sees() {
    let yes = [
        "direction == 'crm-to-exchange'",
        "appointment.subject == 'Budget' && source.subject == appointment.subject",
        "appointment.subject.lowerAscii().contains('budg') && appointment.body.startsWith('Bring')",
        "!appointment.all_day && appointment.meeting && !appointment.recurring",
        "appointment.sensitivity == 'private' && appointment.status in ['pending', 'in-progress']",
        "appointment.organizer.address == 'susan@example.com'",
        "appointment.attendees.exists(a, a.address.endsWith('@example.com') && a.response == 'accepted')",
        "appointment.attendees.all(a, a.kind == 'required')",
        "appointment.attendees.exists_one(a, a.user == '4')",
        "appointment.attendees.filter(a, a.response == 'none').size() == 1",
        "size(appointment.attendees) < 3 && appointment.attendees[0].name == 'Mary Jones'",
        "'4' in users && !('5' in users)",
        "'Sales' in appointment.categories",
        "appointment.regarding.exists(r, r.entity == 'case')",
        "has(appointment.custom.comm_region) && appointment.custom.comm_region == 'EU'",
        "appointment.custom['comm_floor'] > 2",
        "!has(appointment.reminder)",
        "appointment.start < timestamp('2027-01-01T00:00:00Z')",
        "appointment.end - appointment.start == duration('1h')",
        "appointment.start.getHours('Europe/Berlin') == 10 && appointment.start.getDayOfWeek() == 2",
        "appointment.meeting ? appointment.location == 'Dublin' : false",
        "appointment.attendees.exists(a, appointment.categories.exists(c, a.name.contains(c) || c == 'Board'))",
    ];
    for expression in yes {
        assert_eq!(holds(expression, CrmToExchange, &full()), Ok(true), "{expression}");
        assert_eq!(holds(&format!("!({expression})"), CrmToExchange, &full()), Ok(false), "{expression}");
    }
    assert_eq!(holds("direction == 'crm-to-exchange'", ExchangeToCrm, &full()), Ok(false));
}

#[test]
fn a_condition_that_is_wrong_is_told_with_its_place() {
    let cases = [
        ("appointment.subjct == 'x'", "line 1, column 12: an appointment has no subjct; did you mean subject?"),
        ("apointment.subject == 'x'", "line 1, column 1: there is no apointment; did you mean appointment?"),
        ("direction == 'crm'", "this is never \"crm\"; it is one of crm-to-exchange, exchange-to-crm"),
        (
            "appointment.status == 'canceled'",
            "this is never \"canceled\"; it is one of pending, in-progress, complete, cancelled",
        ),
        ("appointment.subject", "this is a text, but a condition must be true or false"),
        ("appointment.subject == 7", "a text is never equal to a number"),
        ("appointment.subject > 7", "a text cannot be before or after a number"),
        ("appointment.subject.matches('(a+)+$')", "matches is not offered here"),
        ("appointment.attendees.map(a, a.name).size() > 1", "lists have all, exists, exists_one, filter and size"),
        ("appointment.subject + 'x' == 'y'", "only numbers and times are added and subtracted"),
        ("appointment.subject.exists(c, true)", "a text cannot be gone through; only lists can"),
        ("appointment.start > timestamp('tomorrow')", "write it like \"2026-11-24T09:00:00Z\""),
        (
            "users.exists(a, users.exists(b, users.exists(c, a == c)))",
            "lists are gone through within one another more than 2 times",
        ),
        ("appointment.custom[appointment.subject] == 'x'", "in [brackets] stands a column's name in quotes"),
        ("{'a': 1}.size() == 1", "a condition makes no values of its own but lists"),
        ("now() > appointment.start", "now is not offered here"),
        ("true ||", "this is no expression"),
        ("appointment.meeting &&\n  appointment.nobody == ''", "line 2, column 14: an appointment has no nobody"),
        ("  ", "the expression is empty"),
    ];
    for (expression, expected) in cases {
        let mistake = Condition::compile(expression).expect_err(expression).to_string();
        assert!(mistake.contains(expected), "{expression}: {mistake}");
    }
    let long = format!("'{}' == ''", "x".repeat(LENGTH_MAX));
    assert!(Condition::compile(&long).expect_err("too long").to_string().contains("more than 2000"));
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    assert!(Condition::compile(&deep).is_err(), "too deep");
    // At the gate, too, with the file's name.
    let rule = RuleEntry { condition: Some("appointment.subjct == 'x'".into()), ..entry("category", json!({})) };
    let refused = try_chain(vec![rule]).expect_err("refused").to_string();
    assert_eq!(
        refused,
        "rule file category.wasm has a condition that is wrong in line 1, column 12: an appointment has no subjct; did you mean subject?; correct `condition` in its entry"
    );
}

#[test]
fn no_condition_runs_for_long_and_none_quotes_what_it_read() {
    let mut crowd = full();
    crowd.attendees = (0..5000).map(|number| attendee(&format!("Guest {number}"), Response::None)).collect();
    let started = Instant::now();
    assert_eq!(holds("appointment.attendees.exists(a, a.name == 'nobody')", CrmToExchange, &crowd), Ok(false));
    let once = started.elapsed();
    let twice = "appointment.attendees.exists(a, appointment.attendees.exists(b, a.name == b.address))";
    let started = Instant::now();
    let error = holds(twice, CrmToExchange, &crowd).expect_err("too many steps");
    assert!(error.starts_with("it would take ") && error.ends_with("more than 1000000"), "{error}");
    println!("5000 attendees once: {once:?}; twice, refused: {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(2));
    // The most that is let through.
    crowd.attendees.truncate(300);
    let started = Instant::now();
    assert_eq!(holds(twice, CrmToExchange, &crowd), Ok(false));
    println!("300 attendees twice: {:?}", started.elapsed());
    let mut long = full();
    long.body = Body::plain("x".repeat(8 << 20));
    long.attendees = crowd.attendees.clone();
    holds("appointment.attendees.exists(a, appointment.body.contains(a.name))", CrmToExchange, &long)
        .expect_err("too much text");
    for (expression, expected) in [
        ("appointment.custom.comm_case == 'x'", "there is no comm_case; ask with has(...) whether it is there"),
        ("appointment.reminder > 5", "there is no reminder; ask with has(...) whether it is there"),
        ("appointment.custom.comm_region > 5", ""),
        ("appointment.attendees[9].name == 'x'", ""),
        ("appointment.start.getHours(appointment.subject) == 1", ""),
    ] {
        let error = holds(expression, CrmToExchange, &full()).expect_err(expression);
        assert!(error.contains(expected), "{expression}: {error}");
        for value in ["Budget", "EU", "Mary", "Dublin"] {
            assert!(!error.contains(value), "{expression}: {error}");
        }
    }
}

#[tokio::test]
async fn a_rule_runs_only_where_its_condition_holds() {
    let mut rule = entry("category", json!({"name": "Sage"}));
    // What the rule before made of it is what the condition sees; the source is what it was.
    rule.condition = Some("appointment.subject.startsWith('[CRM]') && source.location == 'Dublin'".into());
    let chain = chain(vec![entry("subject-tag", json!({})), rule]);
    let mut there = appointment();
    there.location = "Dublin".into();
    assert_eq!(passed(&chain, CrmToExchange, &there).await.appointment.categories, ["Sage"]);
    assert!(passed(&chain, CrmToExchange, &appointment()).await.appointment.categories.is_empty());
    let call = Call { id: "crm:1", direction: CrmToExchange, source: &appointment() };
    let steps = chain.trace(call).await.steps;
    let over: Vec<_> = steps.iter().map(|step| (step.rule.as_str(), step.passed_over.as_deref())).collect();
    assert_eq!(over, [("subject-tag", None), ("category", Some("its condition is not met"))]);
    let expected = PassedOver { rule: "category".into(), why: "its condition is not met".into() };
    assert_eq!(chain.passed_over(call).await, [expected]);
    assert_eq!(chain.passed_over(Call { source: &there, ..call }).await, []);
}

#[tokio::test]
async fn a_condition_that_cannot_be_evaluated_is_a_fault_of_its_entry() {
    let rule =
        RuleEntry { condition: Some("appointment.custom.comm_case == 'x'".into()), ..entry("category", json!({})) };
    let fault = judge(&chain(vec![rule.clone()]), CrmToExchange, &appointment()).await.expect_err("a fault");
    assert_eq!((fault.kind_name(), fault.function.as_str(), fault.then), ("condition", "condition", AfterFault::Park));
    assert_eq!(
        fault.to_string(),
        "rule category 0.1.0 (step 1, condition, generation 0) stopped: has a condition that cannot be evaluated: there is no comm_case; ask with has(...) whether it is there"
    );
    let open = chain(vec![RuleEntry { on_error: OnError::Skip, ..rule }]);
    assert!(passed(&open, CrmToExchange, &appointment()).await.appointment.categories.is_empty());
    assert_eq!((open.fail_open()[0].rule.as_str(), open.fail_open()[0].times), ("category", 1));
}

#[tokio::test]
async fn a_fault_says_what_its_entry_wants_done() {
    let retry = OnError::Retry { after: Some(Duration::from_secs(300)) };
    for (on_error, then) in [
        (OnError::Park, AfterFault::Park),
        (retry, AfterFault::Retry { after: Some(Duration::from_secs(300)) }),
        (OnError::Stop, AfterFault::Stop),
    ] {
        let rule = RuleEntry { on_error, ..entry("misbehaves", json!({"act": "panic"})) };
        let rule = RuleEntry { default_message: Some("Ask the help desk".into()), only_default_message: true, ..rule };
        let fault = judge(&chain(vec![rule]), CrmToExchange, &appointment()).await.expect_err("a fault");
        assert_eq!(fault.then, then);
        let words = fault.default_message.expect("the operator's words");
        assert_eq!(words.over("rule x stopped"), "Ask the help desk");
        assert!(matches!(fault.kind, FaultKind::Panic { .. }));
    }
}

#[tokio::test]
async fn a_default_message_stands_before_the_rules_words_or_alone() {
    for (only, expected) in [(false, "Ask the help desk (There is no case)"), (true, "Ask the help desk")] {
        let rule = RuleEntry {
            default_message: Some("Ask the help desk".into()),
            only_default_message: only,
            ..entry("misbehaves", json!({"act": "refuse"}))
        };
        let Ok(Verdict::Refuse(refusal)) = judge(&chain(vec![rule]), CrmToExchange, &appointment()).await else {
            panic!("not refused")
        };
        let words = refusal.default_message.expect("the operator's words");
        assert_eq!((refusal.message.as_str(), words.over(&refusal.message).as_str()), ("There is no case", expected));
    }
}

/// What the process logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_rules_own_lines_rise_above_debug_only_where_the_operator_says_so() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    // The rules run on threads of their own, so this is for the whole process; no other test logs in it.
    tracing::subscriber::set_global_default(subscriber).expect("nobody listens yet");
    for (level, expected) in [
        (None, vec!["DEBUG a detail", "DEBUG a fact", "DEBUG a doubt"]),
        (Some(LogLevel::Debug), vec!["DEBUG a detail", "INFO a fact", "WARN a doubt"]),
        (Some(LogLevel::Info), vec!["INFO a fact", "WARN a doubt"]),
        (Some(LogLevel::Error), vec![]),
        (Some(LogLevel::Off), vec![]),
    ] {
        let name = format!("talker-{}", level.map_or("plain", LogLevel::name));
        let rule = RuleEntry { log_level: level, name: name.clone(), ..entry("misbehaves", json!({"act": "talk"})) };
        passed(&chain(vec![rule]), CrmToExchange, &appointment()).await;
        let text = String::from_utf8(log.0.lock().expect("the log").clone()).expect("text");
        let lines: Vec<String> = text
            .lines()
            .filter(|line| line.contains(&format!("rule.name=\"{name}\"")))
            .map(|line| {
                let (level, rest) = line.trim().split_once(" daybridge::rule: ").expect("its own target");
                format!("{} {}", level.trim(), rest.split(" rule.name").next().unwrap_or_default())
            })
            .collect();
        assert_eq!(lines, expected, "{name}: {text}");
    }
}
