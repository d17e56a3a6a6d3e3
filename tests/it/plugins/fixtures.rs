//! Fixtures: the form, what differs, those that travel with rules; and replay of recorded calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybridge::clock::FixedClock;
use daybridge::model::{Appointment, Direction};
use daybridge::plugin::fixture::{self, Answer, Ask, Difference, Edits, Fixture, Lookups};
use daybridge::plugin::lookup::Question;
use daybridge::plugin::package;
use daybridge::plugin::recorder::{RecordedCall, Recorder, RecordingSettings};
use daybridge::plugin::replay::{CallDiff, ReplayReport, compare};
use daybridge::plugin::{Chain, Engine, Observer, Observers, OnError, RuleEntry};
use daybridge_tests::guests;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::generated;
use super::support::{self, acting, at, engine, entry};

fn chain_of(engine: &Engine, name: &str) -> Chain {
    let entry = RuleEntry::new(format!("{name}.wasm"));
    Chain::of_rule(engine, &entry, &guests::component(name)).expect("a rule that is accepted")
}

fn fixture(json: &Json) -> Fixture {
    Fixture::parse("tried", json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A plain fixture with some of its parts replaced.
fn with(more: Json) -> Json {
    let mut json = json!({
        "direction": "crm-to-exchange",
        "appointment": {
            "subject": "Budget",
            "time": {"start": "2026-11-24T10:00:00+01:00", "end": "2026-11-24T11:00:00+01:00", "zone": "Europe/Berlin"},
        },
    });
    for (name, value) in support::settings(more) {
        json[name] = value;
    }
    json
}

fn apply(source: Appointment) -> Fixture {
    let (direction, key) = (Direction::CrmToExchange, "crm:4711".to_owned());
    Fixture {
        name: "generated".into(),
        rule: None,
        about: None,
        ask: Ask::Apply { direction, key, source: Box::new(source), draft: Edits::default() },
        settings: Map::new(),
        lookups: Lookups::default(),
        expected: None,
    }
}

/// Requirements 14 and 21: every default rule carries fixtures; each passes, twice, on two engines, with the same bytes.
#[test]
fn r21_every_rule_carries_fixtures_that_pass_the_same_way_on_two_engines() {
    let other = Engine::new().expect("an engine");
    let mut rules = package::rule_crates(&guests::plugins()).expect("the rules");
    // The engine of scripts is no rule itself.
    rules.remove("javascript").expect("the engine of scripts");
    for (name, folder) in rules {
        let bytes = guests::component(&name);
        let carried = fixture::carried(&bytes).unwrap_or_else(|error| panic!("{error}"));
        let written = fixture::read_folder(&folder.join("fixtures")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(carried, written, "{name} carries what lies in its crate");
        assert!(carried.len() >= 2, "{name} has {} fixtures", carried.len());
        let chains = [engine(), other.clone()].map(|engine| chain_of(&engine, &name));
        for carried in carried {
            let outcome = fixture::run(&chains[0], &carried);
            assert!(outcome.passed(), "{name}, {}: {:#?}", carried.name, outcome.differences);
            let answers = chains.each_ref().map(|chain| {
                let answers = [(); 2].map(|()| {
                    let answered = fixture::answer(chain, &carried).expect("an answer");
                    carried.clone().expecting(answered.answer).to_json()
                });
                assert_eq!(answers[0], answers[1], "{name}, {}", carried.name);
                answers[0].clone()
            });
            assert_eq!(answers[0], answers[1], "{name}, {}", carried.name);
        }
    }
}

proptest! {
    #![proptest_config(generated::config(512, 20_261_124))]

    #[test]
    fn a_fixture_is_read_back_to_the_letter(source in generated::appointment()) {
        let written = apply(source);
        let read = Fixture::parse("generated", written.to_json().as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        prop_assert_eq!(&read, &written);
        // Zones, HTML and letter case of addresses are no part of equality, but of the fixture.
        prop_assert_eq!(read.to_json(), written.to_json());
        let (Ask::Apply { source: read, .. }, Ask::Apply { source: written, .. }) = (read.ask, written.ask) else {
            panic!("another question")
        };
        prop_assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }
}

#[test]
fn every_part_of_a_fixture_is_read_back() {
    let user = json!({"id": "4", "logon": "terry", "first-name": "Terry", "last-name": "Smith",
        "address": "Terry@example.com", "active": true, "resource": false});
    let lookups = json!({"users": [user], "captions": {"comm_status": {"Pending": "Open"}}, "key-values": {"a": "b"}});
    let answers = [
        json!({"pass": {"subject": "New", "body": null, "reminder": 5, "removed": true, "mail-allowed": false}}),
        json!({"skip": {"reason": "why"}}),
        json!({"hold": {"rule": "a", "seconds": 90, "reason": "why"}}),
        json!({"refuse": {"code": "no-case", "message": "words", "field": "regarding", "retry": true}}),
        json!({"fault": {"kind": "panic"}}),
    ];
    for answer in answers {
        let json =
            with(json!({"rule": "a", "about": "why", "draft": {"location": "there"}, "settings": {"x": [1, true]},
            "key": "crm:2", "lookups": lookups, "expected": answer}));
        assert_eq!(serde_json::from_str::<Json>(&fixture(&json).to_json()).unwrap(), json);
    }
    let conflict = json!({"base": "a", "crm": "b", "exchange": null});
    let resolve =
        with(json!({"hook": "resolve", "key": "crm:2", "conflicts": {"subject": conflict, "custom.x": conflict},
        "expected": {"resolve": {"subject": "crm", "location": "exchange", "custom.x": {"value": 3}}}}));
    let failure = json!({"code": "c", "class": "retry", "origin": "crm", "message": "m", "hint": "h", "appointment": "crm:1", "attempts": 2});
    let explain = json!({"hook": "explain", "failure": failure, "expected": {"explain": {"title": "t", "text": "x", "hint": "h"}}});
    let silent = json!({"hook": "explain", "failure": failure, "expected": {"explain": null}});
    let person = json!({"name": "Terry", "address": "Terry@example.com"});
    let user = json!({"hook": "match-user", "person": person, "candidates": [user], "expected": {"user": "4"}});
    let nobody = json!({"hook": "match-user", "person": person, "candidates": [], "expected": {"user": null}});
    for json in [resolve, explain, silent, user, nobody] {
        assert_eq!(serde_json::from_str::<Json>(&fixture(&json).to_json()).unwrap(), json);
    }
}

#[test]
fn a_mistake_in_a_fixture_is_told_with_its_place_and_what_to_write() {
    let check = |json: Json, message: &str| {
        let error = Fixture::parse("mine", json.to_string().as_bytes()).expect_err("a mistake");
        assert_eq!(error.to_string(), format!("fixture mine: {message}"));
    };
    let timed = |time: Json| with(json!({"appointment": {"subject": "x", "time": time}}));
    check(json!([]), "a list where an object is due; write {...}");
    check(json!({}), "direction is missing; write \"crm-to-exchange\" or \"exchange-to-crm\"");
    check(
        timed(json!({"start": "tomorrow", "end": "2026-11-24T11:00:00Z"})),
        "appointment.time.start: not an instant; write 2026-11-24T10:00:00+01:00",
    );
    check(
        timed(json!({"start": "2026-11-24T11:00:00Z", "end": "2026-11-24T10:00:00Z"})),
        "appointment.time: the end is before the start; change the two about",
    );
    check(
        with(json!({"expect": {}})),
        "expect is unknown here; known are name, rule, about, hook, direction, key, appointment, draft, settings, lookups, expected",
    );
    check(
        with(json!({"expected": {"pass": {"status": "done"}}})),
        "expected.pass.status: \"done\" is no word for it; write one of pending, in-progress, complete, cancelled",
    );
    check(
        with(json!({"expected": {"pass": {"time": null}}})),
        "expected.pass.time: field time cannot hold nothing; write a value of the field's kind",
    );
    check(
        with(
            json!({"appointment": {"time": {"first": "2026-11-24", "last": "2026-11-24"}, "attendees": [{"name": "A"}, {"kind": "boss"}]}}),
        ),
        "appointment.attendees[1].kind: \"boss\" is no word for it; write one of required, optional, resource",
    );
    let error = Fixture::parse("mine", b"{ \"direction\": }").expect_err("a mistake").to_string();
    assert!(error.starts_with("fixture mine: not JSON (expected value at line 1"), "{error}");
}

fn differences(chain: &Chain, json: Json) -> Vec<(String, String, String)> {
    let told = |Difference { field, expected, actual }| (field, expected, actual);
    fixture::run(chain, &fixture(&json)).differences.into_iter().map(told).collect()
}

fn difference(field: &str, expected: &str, actual: &str) -> Vec<(String, String, String)> {
    vec![(field.to_owned(), expected.to_owned(), actual.to_owned())]
}

#[test]
fn what_differs_is_told_field_by_field() {
    let tag = chain_of(&engine(), "subject-tag");
    let expected = |edits: Json| with(json!({"expected": {"pass": edits}}));
    assert_eq!(differences(&tag, expected(json!({"subject": "[CRM] Budget"}))), []);
    // Setting a field to what it is anyway is no edit.
    assert_eq!(differences(&tag, expected(json!({"subject": "[CRM] Budget", "location": null}))), []);
    assert_eq!(differences(&tag, expected(json!({}))), difference("subject", "\"Budget\"", "\"[CRM] Budget\""));
    assert_eq!(
        differences(&tag, expected(json!({"subject": "[CRM] Budget", "reminder": 5, "removed": true}))),
        [difference("reminder", "5", "(nothing)"), difference("removed", "true", "false")].concat()
    );
    assert_eq!(
        differences(&tag, with(json!({"expected": {"skip": {}}}))),
        difference("verdict", "skip", "pass, setting subject")
    );
    // The fixture's settings, not the operator's; what rules before it did to the draft.
    let settings = json!({"settings": {"tag": "(X) "}, "draft": {"subject": "Plan"}, "expected": {"pass": {"subject": "(X) Plan"}}});
    assert_eq!(differences(&tag, with(settings)), []);
    assert_eq!(
        differences(&tag, with(json!({"settings": {"mood": 1}, "expected": {"pass": {}}}))),
        difference("(fixture)", "a fixture that fits", "setting mood is unknown; this rule has: tag")
    );
    assert_eq!(
        differences(&tag, with(json!({"rule": "category", "expected": {"pass": {}}}))),
        difference("(fixture)", "a fixture that fits", "is for rule category, and here is subject-tag")
    );
}

#[test]
fn every_answer_is_held_against_what_is_expected() {
    let misbehaves = chain_of(&engine(), "misbehaves");
    let run = |act: &str, expected: Json| {
        differences(&misbehaves, with(json!({"settings": {"act": act}, "expected": expected})))
    };
    assert_eq!(run("refuse", json!({"refuse": {"code": "no-case"}})), []);
    assert_eq!(
        run("refuse", json!({"refuse": {"code": "no-one", "retry": false}})),
        [difference("code", "\"no-one\"", "\"no-case\""), difference("retry", "false", "true")].concat()
    );
    assert_eq!(run("hold", json!({"hold": {"seconds": 60}})), difference("seconds", "60", "90"));
    assert_eq!(run("panic", json!({"fault": {"kind": "panic"}})), []);
    assert_eq!(run("panic", json!({"pass": {}})), difference("verdict", "pass", "fault panic"));
    let conflict = json!({"base": "a", "crm": "b", "exchange": "c"});
    let conflicts = json!({"subject": conflict, "location": conflict, "responses": conflict});
    let resolve = |expected: Json| {
        differences(
            &misbehaves,
            with(json!({"hook": "resolve", "conflicts": conflicts, "expected": {"resolve": expected}})),
        )
    };
    assert_eq!(resolve(json!({"subject": "crm", "location": {"value": "both"}})), []);
    assert_eq!(
        resolve(json!({"subject": "exchange"})),
        [difference("subject", "exchange", "crm"), difference("location", "(left to the host)", "\"both\"")].concat()
    );
    let explain = |code: &str, expected: Json| {
        differences(
            &misbehaves,
            json!({"hook": "explain", "failure": {"code": code}, "expected": {"explain": expected}}),
        )
    };
    assert_eq!(explain("no-case", json!({"title": "No case"})), []);
    assert_eq!(explain("no-case", json!(null)), difference("verdict", "says nothing", "says \"No case\""));
    assert_eq!(explain("other", json!(null)), []);
    let candidates = json!([{"id": "4", "logon": "terry"}]);
    let user = |expected: Json| {
        differences(
            &misbehaves,
            json!({"hook": "match-user", "person": {"name": "terry"}, "candidates": candidates, "expected": {"user": expected}}),
        )
    };
    assert_eq!(user(json!("4")), []);
    assert_eq!(user(json!(null)), difference("verdict", "nobody", "user 4"));
}

#[test]
fn lookups_are_answered_from_the_fixture_alone() {
    let lies = chain_of(&engine(), "lies");
    let appointment = json!({"subject": "look up", "time": {"first": "2026-11-24", "last": "2026-11-24"}});
    let location = |lookups: Json, location: &str| {
        let json = json!({"direction": "crm-to-exchange", "appointment": appointment, "lookups": lookups,
            "expected": {"pass": {"location": location}}});
        assert_eq!(differences(&lies, json), []);
    };
    let terry = json!({"id": "4", "logon": "terry", "address": "terry@example.com"});
    location(json!({"users": [terry]}), "Ok(Some(\"terry\")) Err(LookupError::NotGranted)");
    location(json!({"users": []}), "Ok(None) Err(LookupError::NotGranted)");
    location(json!({}), "Err(LookupError::Unavailable) Err(LookupError::NotGranted)");
}

/// What is recorded of an appointment with this subject that a chain judges at a minute of the day.
async fn recorded(chain: &Chain, subject: &str, minute: u32) -> RecordedCall {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(FixedClock::new(at(&format!("2026-11-24T10:{minute:02}:00Z")), 1));
    let recorder = Arc::new(Recorder::open(folder.path(), RecordingSettings::default(), clock));
    let observed = chain.clone().observed(&Observers::new([Arc::clone(&recorder) as Arc<dyn Observer>]));
    let source = Appointment { subject: subject.into(), ..support::appointment() };
    // A fault is recorded, too.
    let _ = support::judge(&observed, Direction::CrmToExchange, &source).await;
    recorder.recent(1).remove(0)
}

fn told(report: &ReplayReport) -> String {
    let mut text = format!("compared {}, skipped {}, unsure {}\n", report.compared, report.skipped, report.unsure);
    for (what, diffs) in
        [("changed", &report.changed), ("new fault", &report.new_faults), ("fault gone", &report.old_faults_gone)]
    {
        for CallDiff { index, key, direction, old, new, fields } in diffs {
            text += &format!(
                "{what}: call {index}, {key} {direction}: {} ({}) -> {} ({})\n",
                old.told, old.rule, new.told, new.rule
            );
            fields.iter().for_each(|field| text += &format!("  {}: {} -> {}\n", field.field, field.old, field.new));
        }
    }
    text
}

const BUDGET: Duration = Duration::from_secs(60);

/// Requirement 16.
#[tokio::test]
async fn r16_a_replay_tells_what_would_come_out_otherwise() {
    let tag = |tag: &str| support::chain(vec![entry("subject-tag", json!({"tag": tag}))]);
    let (old, new) = (tag("[CRM] "), tag("[Sage] "));
    let calls = [recorded(&old, "Budget", 1).await, recorded(&old, "[Sage] Plan", 2).await];
    assert!(compare(&old, &old, &calls, BUDGET).same());
    assert_eq!(
        told(&compare(&old, &new, &calls, BUDGET)),
        "\
compared 2, skipped 0, unsure 0
changed: call 1, crm:4711 crm-to-exchange: pass, setting subject () -> pass ()
  subject: \"[CRM] [Sage] Plan\" -> \"[Sage] Plan\"
changed: call 0, crm:4711 crm-to-exchange: pass, setting subject () -> pass, setting subject ()
  subject: \"[CRM] Budget\" -> \"[Sage] Budget\"
"
    );
    let (skips, panics) = (acting("skip", 0), acting("panic", 1));
    let calls = [recorded(&skips, "Budget", 1).await];
    assert_eq!(
        told(&compare(&skips, &panics, &calls, BUDGET)),
        "\
compared 1, skipped 0, unsure 0
new fault: call 0, crm:4711 crm-to-exchange: skip: it says [31mso (misbehaves) -> fault panic (misbehaves)
"
    );
    let calls = [recorded(&panics, "Budget", 1).await];
    let gone = compare(&panics, &skips, &calls, BUDGET);
    assert_eq!((gone.old_faults_gone.len(), gone.new_faults.len(), gone.changed.len()), (1, 0, 0));
}

/// Of the rules in force a trial leaves no trace: what the chain went on without is counted for real appointments only.
#[tokio::test]
async fn a_trial_counts_for_nothing_and_a_rule_alone_is_not_covered_by_its_entry() {
    let covered = RuleEntry {
        on_error: OnError::Skip,
        condition: Some("appointment.subject == \"Budget\"".into()),
        ..entry("misbehaves", json!({"act": "panic"}))
    };
    let chain = support::chain(vec![covered]);
    let mut call = recorded(&chain, "Budget", 1).await;
    let times = |chain: &Chain| chain.fail_open().iter().map(|rule| rule.times).sum::<u64>();
    assert_eq!(times(&chain), 1, "the call that was recorded");
    call.generation = "another".into();
    assert!(compare(&chain, &chain, &[call.clone(), call], BUDGET).same());
    assert_eq!(times(&chain), 1);
    let panics = |subject: &str| {
        let time = json!({"first": "2026-11-24", "last": "2026-11-24"});
        with(json!({"appointment": {"subject": subject, "time": time}, "settings": {"act": "panic"},
            "expected": {"fault": {"kind": "panic"}}}))
    };
    assert_eq!(differences(&chain, panics("Budget")), []);
    assert_eq!(differences(&chain, panics("Plan")), []);
}

#[tokio::test]
async fn a_replay_keeps_to_its_time_and_begins_with_the_newest() {
    let (old, new) = (support::chain(Vec::new()), acting("nothing", 0));
    let mut calls = Vec::new();
    for minute in 0..20 {
        calls.push(recorded(&old, "Budget", minute).await);
    }
    let report = compare(&old, &new, &calls, Duration::ZERO);
    assert_eq!((report.compared, report.skipped, report.changed[0].index), (1, 19, 19));
}

/// What was recorded stands for the old chain only if that very generation recorded it.
#[tokio::test]
async fn what_another_generation_recorded_is_judged_again() {
    let (old, new) = (acting("nothing", 0), acting("nothing", 1));
    let mut call = recorded(&old, "Budget", 1).await;
    call.fixture.expected = Some(Answer::Skip { rule: None, reason: Some("as recorded".into()) });
    assert_eq!(compare(&old, &new, &[call.clone()], BUDGET).changed.len(), 1);
    call.generation = "another".into();
    assert!(compare(&old, &new, &[call], BUDGET).same());
}

#[tokio::test]
async fn a_replay_answers_lookups_as_they_were_answered_and_counts_the_others() {
    let lies = chain_of(&engine(), "lies");
    let none = support::chain(Vec::new());
    let mut call = recorded(&none, "look up", 1).await;
    let users = json!([{"id": "4", "logon": "terry", "address": "terry@example.com"}]);
    call.fixture.lookups = fixture(&with(json!({"lookups": {"users": users}}))).lookups;
    let report = compare(&none, &lies, &[call.clone()], BUDGET);
    assert_eq!((report.unsure, report.changed[0].fields[0].new.contains("Unavailable")), (1, true));
    call.asked = vec![Question::UserByAddress(daybridge::model::Address::new("terry@example.com"))];
    let report = compare(&none, &lies, &[call], BUDGET);
    assert_eq!((report.unsure, report.changed[0].fields[0].new.contains("terry")), (0, true));
}

/// The fields of each span that begins on this thread, as `name: field=value ...`.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!(" {field}={value:?}"));
            }
        }
        let mut text = Text(attributes.metadata().name().to_owned());
        attributes.record(&mut text);
        self.0.lock().expect("no panic").push(text.0);
    }
}

/// A span for each step, with what is needed to find it and nothing of the appointment.
#[test]
fn r24_each_step_of_a_call_is_a_span_without_anybodys_data() {
    let two = ["subject-tag", "category"].map(|name| entry(name, json!({})));
    let chain = support::chain(two.into());
    let spans = Spans::default();
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let outcome = fixture::run(&chain, &fixture(&with(json!({ "expected": { "pass": {} } }))));
    drop(listening);
    println!("{outcome:?}");
    let seen = spans.0.lock().expect("no panic").clone();
    let steps: Vec<&String> = seen.iter().filter(|span| span.starts_with("step ")).collect();
    assert_eq!(steps.len(), 2, "{seen:?}");
    for (step, (rule, number)) in steps.iter().zip([("subject-tag", 1), ("category", 2)]) {
        let names = format!("step rule.name={rule} rule.version=0.1.0 rule.step={number} rule.function=\"apply\" ");
        assert!(step.starts_with(&names) && step.contains(" correlation="), "{step}");
        assert!(!step.contains("Budget"), "{step}");
    }
}
