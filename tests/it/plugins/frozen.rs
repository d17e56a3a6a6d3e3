//! Rules built for released versions of the contract, kept as files: each still loads and gives the answers it always gave,
//! alone and between rules of the newest version. Requirement 19 of a rule host. Never build these files again.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daybridge::model::{
    Address, Appointment, Body, Direction, Field, Link, Person, Recurrence, Response, Scalar, Sensitivity, User,
    UserId, Value,
};
use daybridge::plugin::lookup::{Kind, LookupSource, Unavailable};
use daybridge::plugin::{Chain, ChainConfig, RuleEntry};
use daybridge::rules::{Call, Conflict, Failure, Refusal, Rules, Verdict};
use daybridge_tests::guests;
use serde_json::{Value as Json, json};

use super::support::{appointment, attendee, engine, settings};

use Direction::{CrmToExchange, ExchangeToCrm};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/plugins/frozen")
}

/// A chain of frozen rules (`0.1.0-NAME`) and of rules built from source, each with its settings.
fn chain(rules: &[(&str, Json)]) -> Chain {
    let place = tempfile::tempdir().expect("a folder");
    let entry = |(name, given): &(&str, Json)| {
        let file = format!("{name}.wasm");
        let kept = folder().join(&file);
        let bytes = if kept.is_file() { std::fs::read(kept).expect("a kept rule") } else { guests::component(name) };
        std::fs::write(place.path().join(&file), bytes).expect("write a rule");
        RuleEntry { settings: settings(given.clone()), lookups: Kind::ALL.to_vec(), ..RuleEntry::new(file) }
    };
    let config = ChainConfig { rules: rules.iter().map(entry).collect(), folder: Some(place.path().to_owned()) };
    let lookups: Arc<dyn LookupSource> = Arc::new(Data);
    Chain::load(&config, &engine(), &lookups).unwrap_or_else(|error| panic!("{error}"))
}

/// What the look-ups of these tests find.
struct Data;

impl LookupSource for Data {
    fn user_by_id(&self, id: &str) -> Result<Option<User>, Unavailable> {
        Ok(Some(user(id, "terry")))
    }
    fn user_by_address(&self, _: &Address) -> Result<Option<User>, Unavailable> {
        Ok(Some(user("4", "terry")))
    }
    fn caption(&self, family: &str, code: &str) -> Result<Option<String>, Unavailable> {
        Ok(Some(format!("{family} {code}")))
    }
    fn key_value(&self, _: &str, _: &str) -> Result<Option<String>, Unavailable> {
        Err(Unavailable)
    }
}

fn user(id: &str, logon: &str) -> User {
    let (first_name, last_name) = ("Terry".into(), "Smith".into());
    let address = Address::new("terry@example.com");
    User { id: UserId(id.into()), logon: logon.into(), first_name, last_name, address, active: true, resource: false }
}

/// An appointment in which every field a rule of 0.1 knows has a value.
fn full() -> Appointment {
    let mut full = appointment();
    full.body = Body { text: "Room 4\nBring figures".into(), html: Some("<p>Room 4</p>".into()) };
    full.location = "Dublin".into();
    full.organizer = Some(Person { name: "Terry Smith".into(), address: Address::new("terry@example.com") });
    full.attendees = vec![attendee("Mary Jones", Response::Declined)];
    full.reminder_minutes = Some(15);
    full.sensitivity = Sensitivity::Confidential;
    full.categories = vec!["Sales".into()];
    full.online_meeting = Some("https://meet.example.com".into());
    full.recurrence = Some(Recurrence { rule: "FREQ=DAILY".into() });
    full.regarding = vec![Link { entity: "company".into(), id: "7".into(), name: "Acme".into() }];
    full.responses = "Mary Jones: declined".into();
    full.custom.insert("area".into(), Scalar::Text("north".into()));
    full.custom.insert("level".into(), Scalar::Number(3));
    full
}

/// What a chain says of an appointment, in one line: the verdict, and of the draft what is another than in the source.
async fn said(chain: &Chain, direction: Direction, source: &Appointment) -> String {
    match chain.judge(Call { id: "crm:4711", direction, source }).await {
        Ok(Verdict::Pass(draft)) => {
            let new = |field: &Field| matches!(field, Field::Custom(name) if !source.custom.contains_key(name));
            let fields = source.fields().chain(draft.appointment.fields().filter(new));
            let changed = |field: Field| {
                let value = draft.appointment.get(&field);
                (value != source.get(&field)).then(|| format!(" {field}={value:?}"))
            };
            let changes: String = fields.filter_map(changed).collect();
            format!("pass removed={} mail={}{changes}", draft.removed, draft.mail_allowed)
        }
        Ok(Verdict::Skip { reason, .. }) => format!("skip {reason:?}"),
        Ok(Verdict::Hold { reason, after, .. }) => format!("hold {after:?} {reason:?}"),
        Ok(Verdict::Refuse(Refusal { code, message, field, retry, .. })) => {
            format!("refuse {code:?} {message:?} {field:?} retry={retry}")
        }
        Err(fault) => format!("fault {}", fault.kind),
    }
}

/// Holds the answers against those in the file.
fn check(file: &str, answers: &str) {
    let path = folder().join(file);
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(answers, expected, "answers of a released rule changed; they must be those of {}", path.display());
}

#[tokio::test]
async fn r19_verdicts_of_0_1_rules_are_what_they_were() {
    let mut answers = String::new();
    let blank = Appointment { subject: " ".into(), ..full() };
    let named = |subject: &str| Appointment { subject: subject.into(), ..full() };
    let mut cases: Vec<(&str, Json, Direction, Appointment)> = Vec::new();
    for mode in ["auto", "first-line", "field"] {
        for direction in [CrmToExchange, ExchangeToCrm] {
            for source in [full(), blank.clone(), appointment()] {
                cases.push(("0.1.0-subject-line", json!({"mode": mode}), direction, source));
            }
        }
    }
    for act in ["nothing", "count", "skip", "hold", "refuse", "lookup", "panic"] {
        cases.push(("0.1.0-misbehaves", json!({"act": act, "number": 3}), CrmToExchange, full()));
    }
    for subject in ["unknown", "kind", "mail", "look up", "else"] {
        cases.push(("0.1.0-lies", json!({}), ExchangeToCrm, named(subject)));
    }
    for (rule, given, direction, source) in cases {
        let answer = said(&chain(&[(rule, given.clone())]), direction, &source).await;
        writeln!(answers, "{rule} {given} {} {:?}: {answer}", direction.name(), source.subject).expect("a text");
    }
    check("0.1.0-verdicts.txt", &answers);
}

#[tokio::test]
async fn r19_words_of_0_1_rules_are_what_they_were() {
    let explains = chain(&[("0.1.0-messages", json!({}))]);
    let codes = "server-unreachable throttled sign-in-refused no-right mailbox-missing mailbox-full changed-meanwhile \
        not-found feed-restarted data-refused answer-not-understood certificate-not-trusted not-supported rule-deadline \
        rule-memory rule-table rule-stack rule-output rule-panic rule-trap rule-answer rule-start an-authors-own";
    let mut answers = String::new();
    for (code, origin) in codes.split_whitespace().zip(["crm", "exchange", "our-rule"].into_iter().cycle()) {
        let failure = Failure {
            code: code.into(),
            class: "park".into(),
            origin: origin.into(),
            message: "m".into(),
            hint: "h".into(),
            appointment: "crm:1".into(),
            attempts: 1,
        };
        let words = explains.explain(&failure).await.expect("an answer");
        assert_eq!(words.as_ref().and_then(|words| words.next), None);
        let words = words.map(|words| [words.title, words.text, words.hint].join(" | "));
        writeln!(answers, "{code} {origin}: {words:?}").expect("a text");
    }
    check("0.1.0-words.txt", &answers);
}

#[tokio::test]
async fn r19_0_1_rules_decide_conflicts_and_match_users_as_they_did() {
    let chain = chain(&[("0.1.0-misbehaves", json!({}))]);
    let text = |text: &str| Value::Text(text.into());
    let conflict = |field| Conflict { field, base: text("a"), crm: text("b"), exchange: text("c") };
    let conflicts = [Field::Subject, Field::Location, Field::Body].map(conflict);
    let decided = chain.resolve(&conflicts, Call { id: "crm:1", direction: CrmToExchange, source: &full() }).await;
    let person = Person { name: "mary".into(), address: Address::default() };
    let matched = chain.match_user(&person, &[user("3", "mary"), user("4", "terry")]).await;
    check("0.1.0-decisions.txt", &format!("{decided:?}\n{matched:?}\n"));
}

#[tokio::test]
async fn r19_rules_of_both_versions_work_in_one_chain() {
    // Each sees what the ones before it made, whichever version they speak: the old one gets the whole draft, the new one
    // what is different in it.
    let mixed = chain(&[
        ("subject-tag", json!({"tag": "A "})),
        ("0.1.0-subject-line", json!({"mode": "first-line"})),
        ("category", json!({"name": "Sage"})),
        ("0.1.0-misbehaves", json!({})),
        ("inside-only", json!({})),
        ("0.1.0-messages", json!({})),
    ]);
    let speaks: Vec<&str> = mixed.list().iter().map(|rule| rule.api.as_str()).collect();
    assert_eq!(speaks, ["0.2.0", "0.1.0", "0.2.0", "0.1.0", "0.2.0", "0.1.0"]);
    let there = said(&mixed, CrmToExchange, &full()).await;
    let back = said(&mixed, ExchangeToCrm, &full()).await;
    check("0.1.0-mixed.txt", &format!("{there}\n{back}\n"));
}

/// What a rule may call are plain functions that answer from memory: the deadline cannot interrupt the host itself. A new
/// import has to be thought about here.
#[test]
fn r05_no_import_of_a_rule_waits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v0.2");
    let mut contract = wit_parser::Resolve::default();
    contract.push_path(&folder).unwrap();
    let mut imports = Vec::new();
    for (_, interface) in &contract.interfaces {
        let Some(name) = interface.name.as_deref().filter(|name| !matches!(*name, "hooks" | "compiler")) else {
            continue;
        };
        for function in interface.functions.values() {
            assert!(matches!(function.kind, wit_parser::FunctionKind::Freestanding), "{name}.{}", function.name);
            imports.push(format!("{name}.{}", function.name));
        }
    }
    imports.sort();
    let known = [
        "log.panicked",
        "log.write",
        "lookup.caption",
        "lookup.key-value",
        "lookup.user-by-address",
        "lookup.user-by-id",
        "script.code",
        "settings.get",
        "settings.list",
    ];
    assert_eq!(imports, known);
}
