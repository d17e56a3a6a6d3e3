//! The recording of the last calls: what is kept, what survives, who may read it, and what leaves it without its people.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybridge::clock::FixedClock;
use daybridge::control::{CaptureOrder, Desk};
use daybridge::model::{Appointment, Direction};
use daybridge::plugin::capture::{CaptureError, capture};
use daybridge::plugin::fixture::{self, Answer, Ask, Edits, Fixture, Lookups};
use daybridge::plugin::mask::masked;
use daybridge::plugin::recorder::{RecordedCall, Recorder, RecordingSettings};
use daybridge::plugin::{Chain, Judged, Observer, Observers, RuleEntry, Trace};
use daybridge::rules::{Call, Draft, Generation, Rules, Verdict};
use daybridge_tests::crm::Booking;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::day;
use daybridge_tests::user::{SUSAN, TERRY};
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::generated;
use super::support::{self, appointment, at, chain, engine, entry};

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(at("2026-11-24T10:00:00Z"), 1))
}

fn open(folder: &Path, settings: RecordingSettings) -> Recorder {
    Recorder::open(folder, settings, clock())
}

fn settings(calls: usize, bytes: u64) -> RecordingSettings {
    RecordingSettings { enabled: true, calls, bytes }
}

/// Tells a recorder that an appointment passed as it is.
fn judged(recorder: &Recorder, subject: &str) {
    let source = Appointment { subject: subject.to_owned(), ..appointment() };
    let trace = Trace { verdict: Ok(Verdict::Pass(Box::new(Draft::of(&source)))), steps: Vec::new() };
    let call = Call { id: "crm:4711", direction: Direction::CrmToExchange, source: &source };
    recorder.judged(&Judged { generation: &Generation { number: 1, digest: "abc".into() }, call, trace: &trace });
}

fn subjects(recorder: &Recorder) -> Vec<String> {
    let subject = |call: RecordedCall| match call.fixture.ask {
        Ask::Apply { source, .. } => source.subject,
        other => panic!("{other:?}"),
    };
    recorder.recent(usize::MAX).into_iter().map(subject).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn bytes(folder: &Path) -> u64 {
    files(folder).iter().map(|file| file.metadata().expect("a file").len()).sum()
}

/// Judges as many as the disk takes, one by one, so that none is dropped.
fn judge_all(recorder: &Recorder, subjects: impl Iterator<Item = String>) {
    for subject in subjects {
        judged(recorder, &subject);
        recorder.recent(1);
    }
}

#[tokio::test]
async fn a_call_is_kept_with_all_that_is_needed_to_judge_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Arc::new(open(folder.path(), RecordingSettings::default()));
    let lookups = Lookups { users: Some(vec![terry()]), ..Lookups::default() };
    let entry = RuleEntry { lookups: vec![daybridge::plugin::lookup::Kind::Users], ..entry("lies", json!({})) };
    let rules = tempfile::tempdir().expect("a folder");
    support::lay_out(rules.path(), std::slice::from_ref(&entry));
    let config = daybridge::plugin::ChainConfig { folder: Some(rules.path().to_owned()), rules: vec![entry] };
    let chain = Chain::load(&config, &engine(), &(Arc::new(lookups) as _)).expect("a chain");
    let chain = chain.observed(&Observers::new([Arc::clone(&recorder) as Arc<dyn Observer>]));
    let source = Appointment { subject: "look up".into(), ..appointment() };
    let Ok(Verdict::Pass(draft)) = support::judge(&chain, Direction::CrmToExchange, &source).await else {
        panic!("it passes")
    };
    assert!(draft.appointment.location.contains("terry"));
    let [call] = recorder.recent(10).try_into().expect("one call");
    assert_eq!((call.generation, call.at), (chain.generation().digest, at("2026-11-24T10:00:00Z")));
    assert_eq!(call.fixture.lookups.users, Some(vec![terry()]));
    assert_eq!(call.asked.len(), 1);
    let outcome = fixture::run(&chain, &call.fixture);
    assert!(outcome.passed(), "{:?}", outcome.differences);
}

fn terry() -> daybridge::model::User {
    daybridge::model::User {
        id: daybridge::model::UserId("4".into()),
        logon: "terry".into(),
        first_name: "Terry".into(),
        last_name: "Smith".into(),
        address: daybridge::model::Address::new("terry@example.com"),
        active: true,
        resource: false,
    }
}

#[test]
fn a_recording_survives_an_end_by_force_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), RecordingSettings::default());
    judge_all(&recorder, ["one", "two"].map(str::to_owned).into_iter());
    // Nobody says goodbye.
    std::mem::forget(recorder);
    let recorder = open(folder.path(), RecordingSettings::default());
    judge_all(&recorder, ["three".to_owned()].into_iter());
    assert_eq!(subjects(&recorder), ["three", "two", "one"]);
}

#[test]
fn damage_loses_the_damaged_calls_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), RecordingSettings::default());
    judge_all(&recorder, ["one", "two", "three"].map(str::to_owned).into_iter());
    drop(recorder);
    let [file] = files(folder.path()).try_into().expect("one file");
    let content = std::fs::read(&file).expect("the file");
    // Every possible cut, as a power cut leaves them, and rubbish within.
    for length in (0..content.len()).step_by(97) {
        std::fs::write(&file, &content[..length]).expect("write");
        let whole = content[..length].iter().filter(|byte| **byte == b'\n').count();
        let recorder = open(folder.path(), RecordingSettings::default());
        judge_all(&recorder, ["new".to_owned()].into_iter());
        let mut expected = vec!["new".to_owned()];
        expected.extend(["one", "two", "three"].iter().take(whole).rev().map(|subject| (*subject).to_owned()));
        assert_eq!(subjects(&recorder), expected, "cut at {length}");
    }
    let middle = content.iter().position(|byte| *byte == b'\n').expect("a line end") + 20;
    let mut rubbish = content.clone();
    rubbish[middle..middle + 5].copy_from_slice(b"\0\xff\"{}");
    std::fs::write(&file, rubbish).expect("write");
    assert_eq!(subjects(&open(folder.path(), RecordingSettings::default())), ["three", "one"]);
}

#[test]
fn no_more_is_kept_than_was_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), settings(20, 1 << 20));
    judge_all(&recorder, (0..100).map(|number| format!("call {number}")));
    let expected: Vec<String> = (80..100).rev().map(|number| format!("call {number}")).collect();
    assert_eq!(subjects(&recorder), expected);
    drop(recorder);
    let lines: usize =
        files(folder.path()).iter().map(|file| std::fs::read_to_string(file).expect("a file").lines().count()).sum();
    assert!(lines <= 25, "{lines} calls on disk");

    // Bytes count, too; a call that would be most of the recording is not kept at all.
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), settings(10_000, 64 << 10));
    for number in 0..100 {
        judge_all(&recorder, [format!("{number} {}", "x".repeat(3000))].into_iter());
        assert!(bytes(folder.path()) <= 64 << 10, "{} bytes", bytes(folder.path()));
    }
    let kept = subjects(&recorder);
    assert!(kept.len() >= 8 && kept[0].starts_with("99 "), "{} calls", kept.len());
    judge_all(&recorder, ["y".repeat(100_000)].into_iter());
    assert_eq!((recorder.dropped(), subjects(&recorder).len()), (1, kept.len()));
    // A smaller bound takes effect when it is opened.
    drop(recorder);
    assert_eq!(subjects(&open(folder.path(), settings(3, 64 << 10))).len(), 3);
}

#[test]
fn what_an_appointment_was_before_is_not_kept_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), RecordingSettings::default());
    judge_all(&recorder, ["one", "one", "two", "two", "one"].map(str::to_owned).into_iter());
    assert_eq!(subjects(&recorder), ["one", "two", "one"]);
}

#[test]
fn an_appointment_never_waits_for_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = open(folder.path(), settings(100_000, 1 << 30));
    let begun = Instant::now();
    let count = 5_000;
    for number in 0..count {
        judged(&recorder, &format!("call {number}"));
    }
    // Generous: what is looked for is a wait for the disk in each call.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(subjects(&recorder).len() as u64 + recorder.dropped(), count);
}

#[test]
fn switched_off_nothing_is_written_and_what_was_is_deleted() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("rules/recorded");
    let recorder = open(&folder, RecordingSettings::default());
    judge_all(&recorder, ["one".to_owned()].into_iter());
    drop(recorder);
    assert!(bytes(&folder) > 0);
    let off = RecordingSettings { enabled: false, ..RecordingSettings::default() };
    let recorder = open(&folder, off);
    judged(&recorder, "two");
    assert_eq!((recorder.is_on(), subjects(&recorder).len(), recorder.dropped()), (false, 0, 0));
    assert!(!folder.exists());
    // Where nothing was, nothing is made.
    drop(open(&parent.path().join("never"), off));
    assert!(!parent.path().join("never").exists());
}

#[cfg(unix)]
#[test]
fn only_the_hosts_own_account_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("recorded");
    // Also where somebody made the folder for everybody.
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("rights");
    let recorder = open(&folder, RecordingSettings::default());
    judge_all(&recorder, ["one".to_owned()].into_iter());
    assert_eq!(mode(&folder), 0o700);
    for file in files(&folder) {
        assert_eq!(mode(&file), 0o600);
    }
}

#[test]
fn a_folder_that_cannot_be_used_stops_nothing() {
    let parent = tempfile::tempdir().expect("a folder");
    let file = parent.path().join("recorded");
    std::fs::write(&file, "in the way").expect("a file");
    let recorder = open(&file, RecordingSettings::default());
    judged(&recorder, "one");
    assert_eq!((recorder.is_on(), subjects(&recorder).len()), (false, 0));
}

fn call(source: Appointment) -> RecordedCall {
    let ask = Ask::Apply {
        direction: Direction::CrmToExchange,
        key: "uid:Q040000-qabc@qdef.test".into(),
        source: Box::new(source),
        draft: Edits::default(),
    };
    RecordedCall {
        at: at("2026-11-24T10:00:00Z"),
        generation: "abc".into(),
        fixture: Fixture {
            name: "x".into(),
            rule: None,
            about: None,
            ask,
            settings: Map::new(),
            lookups: Lookups::default(),
            expected: None,
        },
        asked: Vec::new(),
        elapsed: Duration::ZERO,
    }
}

/// Texts of a JSON value, names of objects left out.
fn texts(json: &Json, to: &mut Vec<String>) {
    match json {
        Json::String(text) => to.push(text.to_lowercase()),
        Json::Array(items) => items.iter().for_each(|item| texts(item, to)),
        Json::Object(map) => map.values().for_each(|value| texts(value, to)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The words of an appointment that must not be seen again: those of the generator's own kind, and its long numbers.
fn secrets(source: &Appointment) -> BTreeSet<String> {
    let json: Json = serde_json::from_str(&call(source.clone()).fixture.to_json()).expect("JSON");
    let mut all = Vec::new();
    texts(&json["appointment"], &mut all);
    all.push("qabc@qdef q040000".into());
    let words = all.iter().flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric()));
    let secret = |word: &&str| {
        (word.starts_with('q') && word.len() > 4)
            || (word.len() == 5 && word.bytes().all(|byte| (b'2'..=b'9').contains(&byte)))
    };
    words.filter(secret).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(generated::config(512, 20_261_125))]

    #[test]
    fn nothing_of_anybody_is_left_in_a_masked_fixture(source in generated::appointment()) {
        let fixture = call(source.clone()).fixture;
        let once = masked(&fixture);
        prop_assert_eq!(once.to_json(), masked(&fixture).to_json(), "the same fixture, the same mask");
        let json: Json = serde_json::from_str(&once.to_json()).expect("JSON");
        let mut left = Vec::new();
        texts(&json, &mut left);
        for secret in secrets(&source) {
            prop_assert!(!left.iter().any(|text| text.contains(&secret)), "{secret} is left in {left:#?}");
        }
        // What is no person and no text is as it was.
        let Ask::Apply { source: masked, .. } = once.ask else { panic!("another question") };
        prop_assert_eq!(&masked.time, &source.time);
        prop_assert_eq!((masked.status, masked.show_as, masked.sensitivity), (source.status, source.show_as, source.sensitivity));
        prop_assert_eq!(masked.attendees.len(), source.attendees.len());
        prop_assert_eq!(masked.subject.lines().count(), source.subject.lines().count());
    }
}

#[test]
fn the_same_person_has_the_same_mask_everywhere_and_texts_keep_their_shape() {
    let mut source = appointment();
    source.subject = "Re: Terry Smith, 17:30 (room 4)".into();
    source.body.text = "Dear mary jones,\n\ncall +49 89 1234 or mary.jones@client.test,\nsee https://meet.client.test/j/998?pwd=a\nÜber Acme: TERRY SMITH".into();
    source.body.html = Some("<p style=\"x\">Dear <b>Mary Jones</b> <Acme> &amp; you</p><!-- Terry -->".into());
    source.attendees = vec![
        support::attendee("Mary Jones", daybridge::model::Response::Accepted),
        support::attendee("Terry Smith", daybridge::model::Response::None),
    ];
    source.attendees[0].person.address = daybridge::model::Address::new("Mary.Jones@client.test");
    source.regarding = vec![daybridge::model::Link { entity: "company".into(), id: "7".into(), name: "Acme".into() }];
    source.custom.insert("comm_area".into(), daybridge::model::Scalar::Text("North 5".into()));
    let masked = masked(&call(source).fixture);
    let json: Json = serde_json::from_str(&masked.to_json()).expect("JSON");
    assert_eq!(json["key"], "uid:X000000-xxxx@xxxx.xxxx");
    assert_eq!(json["appointment"]["subject"], "Re: Person 2, 00:00 (xxxx 0)");
    assert_eq!(
        json["appointment"]["body"],
        json!({
            "text": "Xxxx Person 1,\n\nxxxx +00 00 0000 xx person1@example.com,\nxxx https://xxxx.xxxxxx.xxxx/x/000?xxx=x\nXxxx Company 1: Person 2",
            "html": "<p>Xxxx <b>Person 1</b> <Company 1> &xxx; xxx</p><!-- Xxxxx -->",
        })
    );
    assert_eq!(
        json["appointment"]["attendees"],
        json!([
            {"name": "Person 1", "address": "person1@example.com", "response": "accepted"},
            {"name": "Person 2", "address": "person2@example.org"},
        ])
    );
    assert_eq!(json["appointment"]["regarding"], json!([{"entity": "company", "id": "7", "name": "Company 1"}]));
    assert_eq!(json["appointment"]["custom.comm_area"], "Xxxxx 0");
}

#[test]
fn r17_a_captured_call_passes_as_it_is_alone_and_in_the_chain() {
    let chain = chain(vec![
        entry("subject-tag", json!({"tag": "[CRM] "})),
        entry("privacy", json!({})),
        entry("category", json!({"name": "Ours"})),
    ]);
    let mut source = Appointment { subject: "[CRM] Salary of Quentin".into(), ..appointment() };
    source.sensitivity = daybridge::model::Sensitivity::Confidential;
    source.categories = vec!["Ours".into(), "Quentin".into()];
    let call = call(source);
    let whole = capture(&chain, &call, None).expect("a fixture");
    assert!(fixture::run(&chain, &whole).passed());
    assert!(!whole.to_json().contains("Quentin") && !whole.to_json().contains("Salary"), "{}", whole.to_json());

    // Of one rule: with its settings, what ran before it, and the operator's own words kept, since it looks for them.
    let one = capture(&chain, &call, Some("category")).expect("a fixture");
    let json: Json = serde_json::from_str(&one.to_json()).expect("JSON");
    assert_eq!(json["settings"], json!({"name": "Ours"}));
    assert_eq!(json["draft"]["sensitivity"], "private");
    assert_eq!(json["appointment"]["categories"], json!(["Ours", "Xxxxxxx"]));
    assert_eq!(json["expected"], json!({"pass": {}}));
    let alone = Chain::of_rule(&engine(), &RuleEntry::new("category.wasm"), &guests::component("category"));
    let outcome = fixture::run(&alone.expect("a rule"), &one);
    assert!(outcome.passed(), "{:?}", outcome.differences);
    let tag = capture(&chain, &call, Some("subject-tag")).expect("a fixture");
    let Some(Answer::Pass(edits)) = &tag.expected else { panic!("{:?}", tag.expected) };
    assert!(edits.is_empty(), "the tag was kept, so it is not put there again: {edits:?}");

    let unknown = capture(&chain, &call, Some("nobody")).expect_err("no such rule");
    assert_eq!(unknown.to_string(), "no rule in force is called nobody; there are subject-tag, privacy, category");
    let elsewhere = RuleEntry { condition: Some("false".into()), ..entry("category", json!({})) };
    let passed_by = capture(&support::chain(vec![entry("privacy", json!({})), elsewhere]), &call, Some("category"));
    assert_eq!(
        passed_by.expect_err("it does not run").to_string(),
        "rule category did not see this appointment: its condition is not met"
    );
    let stopped = support::chain(vec![entry("misbehaves", json!({"act": "skip"})), entry("privacy", json!({}))]);
    let not_reached = capture(&stopped, &call, Some("privacy")).expect_err("it was skipped before");
    assert!(matches!(not_reached, CaptureError::NotReached { .. }), "{not_reached}");
    assert_eq!(
        not_reached.to_string(),
        "rule privacy did not see this appointment: rule misbehaves ended the chain before it"
    );
}

/// Requirement 17.
#[tokio::test]
async fn r17_a_processed_appointment_becomes_a_fixture_that_passes_and_names_nobody() {
    let mut host = TestHost::settled().await;
    let booking = Booking::at("Quarterly Zwiebel", &day(40), 9, SUSAN).with_user(TERRY).note("Ask Terry about Zwiebel");
    let id = host.crm().book(&booking).await;
    host.settle().await;
    for rule in [None, Some("status".to_owned())] {
        let order = CaptureOrder { id: id.clone(), rule };
        let captured = host.app.capture(&order).await.unwrap_or_else(|refusal| panic!("{}", refusal.message));
        let lower = captured.fixture.to_lowercase();
        for word in ["zwiebel", "quarterly", "terry", "susan", "maye"] {
            assert!(!lower.contains(word), "{word} is left in {}", captured.fixture);
        }
        let fixture =
            Fixture::parse(&captured.name, captured.fixture.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let rules = match &order.rule {
            None => daybridge::plugin::default_chain(),
            Some(rule) => vec![RuleEntry::new(format!("{rule}.wasm"))],
        };
        let outcome = fixture::run(&chain(rules), &fixture);
        assert!(outcome.passed(), "{:?}\n{}", outcome.differences, captured.fixture);
    }
    let refusal =
        host.app.capture(&CaptureOrder { id: "999999".into(), rule: None }).await.expect_err("nothing recorded");
    assert_eq!(refusal.code, "not-recorded");
    host.oracle(1, Mails::new(1, 0, 0)).await;
}
