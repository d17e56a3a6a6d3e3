//! The default chain: what goes in, what comes out.

use std::time::Instant;

use daybridge::model::{Address, Value};
use daybridge::model::{
    Appointment, Body, Direction, Field, Link, Person, Recurrence, Response, Scalar, Sensitivity, Status, User, UserId,
};
use daybridge::plugin::{Chain, RuleEntry, default_chain};
use daybridge::rules::{Call, Conflict, Explanation, Failure, Resolution, Rules, Verdict};
use serde_json::{Value as Json, json};

use super::support::{appointment, attendee, chain, entry, judge, passed};

use Direction::{CrmToExchange, ExchangeToCrm};

/// The default chain built from source, one rule's settings changed.
fn default_with(rule: &str, given: Json) -> Chain {
    let with = |mut entry: RuleEntry| {
        if entry.file == format!("{rule}.wasm") {
            entry.settings = super::support::settings(given.clone());
        }
        entry
    };
    chain(default_chain().into_iter().map(with).collect())
}

/// One line of the table: the direction, what is changed in a plain appointment, and what the other side gets.
struct Line {
    what: &'static str,
    direction: Direction,
    source: fn(&mut Appointment),
    draft: fn(&mut Appointment),
    removed: bool,
    mail: bool,
}

fn line(what: &'static str, direction: Direction, source: fn(&mut Appointment), draft: fn(&mut Appointment)) -> Line {
    Line { what, direction, source, draft, removed: false, mail: true }
}

async fn check(chain: &Chain, lines: Vec<Line>) {
    for Line { what, direction, source, draft, removed, mail } in lines {
        let (mut from, mut to) = (appointment(), appointment());
        source(&mut from);
        draft(&mut to);
        let passed = passed(chain, direction, &from).await;
        assert_eq!((passed.appointment, passed.removed, passed.mail_allowed), (to, removed, mail), "{what}");
    }
}

fn all_of_the_crm(a: &mut Appointment) {
    a.body = Body::plain("Room 4\nBring figures");
    a.location = "Dublin".into();
    a.attendees = vec![attendee("Mary Jones", Response::None)];
    a.categories = vec!["Sales".into()];
    a.reminder_minutes = Some(15);
    a.sensitivity = Sensitivity::Private;
}

#[tokio::test]
async fn to_exchange() {
    let lines = vec![
        line("nothing to change", CrmToExchange, |_| {}, |_| {}),
        line("what both sides have goes over", CrmToExchange, all_of_the_crm, all_of_the_crm),
        line(
            "no subject: the first line is the subject, the rest the body",
            CrmToExchange,
            |a| (a.subject, a.body) = (String::new(), Body::plain("Budget\r\nBring figures\nand numbers")),
            |a| a.body = Body::plain("Bring figures\nand numbers"),
        ),
        line(
            "what only the CRM may know stays there",
            CrmToExchange,
            |a| {
                a.regarding = vec![Link { entity: "company".into(), id: "7".into(), name: "Acme".into() }];
                a.responses = "Terry Smith: accepted".into();
                a.custom.insert("comm_secret".into(), Scalar::Text("x".into()));
            },
            |_| {},
        ),
        line("work in progress is nothing Exchange knows", CrmToExchange, |a| a.status = Status::InProgress, |_| {}),
        Line {
            mail: false,
            ..line(
                "complete: nobody is told, no reminder",
                CrmToExchange,
                |a| (a.status, a.reminder_minutes) = (Status::Complete, Some(15)),
                |_| {},
            )
        },
        Line { removed: true, ..line("cancelled: removed", CrmToExchange, |a| a.status = Status::Cancelled, |_| {}) },
    ];
    check(&chain(default_chain()), lines).await;
}

#[tokio::test]
async fn to_the_crm() {
    let lines = vec![
        line("what both sides have goes over", ExchangeToCrm, all_of_the_crm, all_of_the_crm),
        line(
            "confidential is private",
            ExchangeToCrm,
            |a| a.sensitivity = Sensitivity::Confidential,
            |a| a.sensitivity = Sensitivity::Private,
        ),
        line(
            "answers are listed, sorted by name",
            ExchangeToCrm,
            |a| {
                a.attendees = vec![
                    attendee("Terry Smith", Response::Accepted),
                    attendee("Mary Jones", Response::None),
                    attendee("Anna Ek", Response::Declined),
                ];
            },
            |a| {
                // A draft's attendees keep the order the source has; only edits sort.
                a.attendees = vec![
                    attendee("Terry Smith", Response::Accepted),
                    attendee("Mary Jones", Response::None),
                    attendee("Anna Ek", Response::Declined),
                ];
                a.responses = "Anna Ek: declined\nTerry Smith: accepted".into();
            },
        ),
        line("Exchange never moves the status", ExchangeToCrm, |a| a.status = Status::Complete, |_| {}),
    ];
    check(&chain(default_chain()), lines).await;
}

#[tokio::test]
async fn settings_change_what_the_default_rules_do() {
    let first_line = default_with("subject-line", json!({"mode": "first-line"}));
    check(
        &first_line,
        vec![
            line(
                "always the first line",
                CrmToExchange,
                |a| a.body = Body::plain("Forecast\nBring figures"),
                |a| (a.subject, a.body) = ("Forecast".into(), Body::plain("Bring figures")),
            ),
            line(
                "and back",
                ExchangeToCrm,
                |a| a.body = Body::plain("Bring figures"),
                |a| a.body = Body::plain("Budget\nBring figures"),
            ),
        ],
    )
    .await;
    let reminders = default_with("reminders", json!({"copy-reminders": false}));
    check(&reminders, vec![line("no reminder", ExchangeToCrm, |a| a.reminder_minutes = Some(15), |_| {})]).await;
    let masked = default_with("privacy", json!({"mask-body": true}));
    check(
        &masked,
        vec![line(
            "a private body stays",
            CrmToExchange,
            |a| (a.sensitivity, a.body) = (Sensitivity::Private, Body::plain("Salary")),
            |a| a.sensitivity = Sensitivity::Private,
        )],
    )
    .await;
}

#[tokio::test]
async fn a_series_passes_by_default_and_is_left_alone_where_the_operator_wants_that() {
    let mut series = appointment();
    series.recurrence = Some(Recurrence { rule: "FREQ=WEEKLY".into() });
    for direction in [CrmToExchange, ExchangeToCrm] {
        assert_eq!(passed(&chain(default_chain()), direction, &series).await.appointment.recurrence, series.recurrence);
    }
    let chain = chain(vec![entry("appointments-only", json!({}))]);
    for direction in [CrmToExchange, ExchangeToCrm] {
        let Ok(Verdict::Skip { rule, reason }) = judge(&chain, direction, &series).await else { panic!("not skipped") };
        assert_eq!(
            (rule.as_str(), reason.as_str()),
            ("appointments-only", "it is a recurring appointment; only single appointments are synchronized")
        );
    }
}

#[tokio::test]
async fn the_examples_do_what_they_say() {
    let chain = chain(vec![entry("category", json!({"name": "Sage"})), entry("subject-tag", json!({"tag": "CRM: "}))]);
    let there = passed(&chain, CrmToExchange, &appointment()).await.appointment;
    assert_eq!((there.subject.as_str(), there.categories.as_slice()), ("CRM: Budget", ["Sage".to_owned()].as_slice()));
    let back = passed(&chain, ExchangeToCrm, &there).await.appointment;
    assert_eq!((back.subject.as_str(), back.categories.as_slice()), ("Budget", ["Sage".to_owned()].as_slice()));
}

#[tokio::test]
async fn every_failure_a_connector_or_a_rule_can_have_is_explained() {
    let chain = chain(default_chain());
    for code in [
        "server-unreachable",
        "throttled",
        "sign-in-refused",
        "no-right",
        "mailbox-missing",
        "mailbox-full",
        "changed-meanwhile",
        "not-found",
        "feed-restarted",
        "data-refused",
        "answer-not-understood",
        "certificate-not-trusted",
        "not-supported",
        "rule-deadline",
        "rule-memory",
        "rule-table",
        "rule-stack",
        "rule-output",
        "rule-panic",
        "rule-trap",
        "rule-answer",
        "rule-start",
        "rule-condition",
    ] {
        let explained = explained(&chain, code).await;
        let words = explained.unwrap_or_else(|| panic!("nothing is said of {code}"));
        assert_eq!(words.rule, "messages");
        assert!(
            ![words.title, words.text, words.hint].iter().any(|text| text.is_empty() || text.contains('{')),
            "{code}"
        );
    }
    assert_eq!(explained(&chain, "an-authors-own").await, None);
}

async fn explained(chain: &Chain, code: &str) -> Option<Explanation> {
    let failure = Failure {
        code: code.into(),
        class: "park".into(),
        origin: "exchange".into(),
        message: String::new(),
        hint: String::new(),
        appointment: "crm:1".into(),
        attempts: 1,
    };
    chain.explain(&failure).await.expect("an answer")
}

#[tokio::test]
async fn rules_decide_conflicts_and_match_users_where_they_say_so() {
    let chain = chain(vec![entry("category", json!({})), entry("misbehaves", json!({}))]);
    let text = |text: &str| Value::Text(text.into());
    let conflict = |field| Conflict { field, base: text("a"), crm: text("b"), exchange: text("c") };
    let conflicts = [Field::Subject, Field::Location, Field::Body].map(conflict);
    let call = Call { id: "crm:1", direction: CrmToExchange, source: &appointment() };
    let decided = chain.resolve(&conflicts, call).await.expect("an answer");
    let expected = [(Field::Subject, Resolution::Crm), (Field::Location, Resolution::Value(text("both")))];
    assert_eq!(decided, expected.into_iter().collect());

    let user = |id: &str, logon: &str| User {
        id: UserId(id.into()),
        logon: logon.into(),
        first_name: String::new(),
        last_name: String::new(),
        address: Address::default(),
        active: true,
        resource: false,
    };
    let users = [user("3", "mary"), user("4", "terry")];
    let person = |name: &str| Person { name: name.into(), address: Address::default() };
    assert_eq!(chain.match_user(&person("terry"), &users).await, Ok(Some(UserId("4".into()))));
    assert_eq!(chain.match_user(&person("nobody"), &users).await, Ok(None));
}

#[tokio::test]
async fn the_same_input_gives_the_same_output() {
    let mut source = appointment();
    all_of_the_crm(&mut source);
    source.attendees.push(attendee("Terry Smith", Response::Accepted));
    let (one, two) = (chain(default_chain()), chain(default_chain()));
    assert_eq!(one.generation().digest, two.generation().digest);
    // A number is for what is in force; these are tried only.
    assert_eq!((one.generation().number, two.generation().number), (0, 0));
    for direction in [CrmToExchange, ExchangeToCrm] {
        assert_eq!(passed(&one, direction, &source).await, passed(&two, direction, &source).await);
    }
    let changed = default_with("reminders", json!({"copy-reminders": false}));
    assert_ne!(changed.generation().digest, one.generation().digest);
}

#[tokio::test]
async fn the_list_shows_the_chain_as_people_ask_for_it() {
    let mut rules = vec![entry("subject-line", json!({})), entry("category", json!({}))];
    rules[1].enabled = false;
    rules[0].name = "our subject".into();
    let chain = chain(rules);
    let listed: Vec<_> = chain.list().iter().map(|rule| (rule.order, rule.name.as_str(), rule.enabled)).collect();
    assert_eq!(listed, [(1, "our subject", true), (2, "category", false)]);
    let rule = &chain.list()[1];
    assert_eq!((rule.version.as_str(), rule.directions.as_slice()), ("0.1.0", [CrmToExchange].as_slice()));
    assert_eq!((rule.purpose.as_str(), rule.digest.len()), ("Adds a category to what goes to Exchange", 64));
    // A disabled rule does nothing.
    assert_eq!(passed(&chain, CrmToExchange, &appointment()).await.appointment, appointment());
}

/// Not a limit, a figure for people: `cargo test ... -- --nocapture`.
#[tokio::test]
async fn time_of_a_chain_of_five() {
    let mut source = appointment();
    source.body = Body::plain("x".repeat(2000));
    source.attendees = ["A B", "C D", "E F", "G H", "I J"].map(|name| attendee(name, Response::Accepted)).to_vec();
    let chain = chain(default_chain().into_iter().take(5).collect());
    let mut times: Vec<_> = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        passed(&chain, CrmToExchange, &source).await;
        times.push(started.elapsed());
    }
    times.sort();
    println!("chain of five rules: median {:?}, fastest {:?}", times[100], times[0]);
}
