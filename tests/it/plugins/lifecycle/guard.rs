//! What keeps bad rules away from a running host, or takes them back: probation, the gate behind the folder, signatures.

use std::sync::Arc;

use daybridge::lifecycle::Tasks;
use daybridge::model::{Appointment, Direction};
use daybridge::plugin::archive::{Archive, Kept};
use daybridge::plugin::lookup::Kind;
use daybridge::plugin::signature::{Trust, TrustedKey, new_key, sign};
use daybridge::plugin::{
    Chain, Change, Checks, FixtureLine, Fixtures, Install, ReplaySummary, RuleEntry, Showing, WatchMode,
};
use daybridge::rules::Rules;
use daybridge_tests::guests;
use daybridge_tests::wait::wait_for;
use serde_json::json;

use super::super::support::{appointment, entry, judge};
use super::{Stage, change, changed, digest_of, install, names, variant, with_section};

/// An appointment at which the guest `lies` fails.
fn poison() -> Appointment {
    Appointment { subject: "kind".into(), ..appointment() }
}

#[tokio::test]
async fn a_new_rule_that_fails_in_its_first_calls_is_taken_back_by_itself() {
    let mut stage = Stage::new(vec![entry("category", json!({}))]);
    stage.settings.probation_calls = 5;
    let live = stage.start();
    let tasks = Tasks::new();
    live.watch(&tasks);
    let lies = || {
        Change::Install(Install { grant: vec!["users".into()], ..install("own-lies.wasm", guests::component("lies")) })
    };
    assert_eq!(changed(&live, lies()).number, 2);
    let call = |appointment: Appointment| {
        let live = live.clone();
        async move { judge(&live.current(), Direction::CrmToExchange, &appointment).await.map(drop).map_err(drop) }
    };
    call(appointment()).await.expect("a good call");
    assert!(stage.codes().is_empty());
    call(poison()).await.expect_err("a fault");
    wait_for("the way back", || async { (live.current().generation().number == 3).then_some(()) }).await;
    wait_for("the notice", || async { (!stage.codes().is_empty()).then_some(()) }).await;
    let notice = stage.told.lock().unwrap()[0].clone();
    assert_eq!((notice.code, names(&live)), ("rule-rolled-back", vec!["category".to_owned()]));
    assert!(notice.title.contains("lies 9") && notice.text.contains("generation 2"), "{notice:?}");
    assert_eq!(live.history().unwrap()[0].cause, "probation");

    // One that comes through its first calls stays, whatever it does later.
    assert_eq!(changed(&live, lies()).number, 4);
    for _ in 0..5 {
        call(appointment()).await.expect("a good call");
    }
    wait_for("the end of probation", || async { stage.archive().join("proven").exists().then_some(()) }).await;
    call(poison()).await.expect_err("a fault");
    call(poison()).await.expect_err("a fault");
    assert_eq!((live.current().generation().number, stage.codes().len()), (4, 1));
    assert!(tasks.finish().await);
}

#[tokio::test]
async fn faults_of_rules_that_were_not_changed_take_nothing_back() {
    let mut lies = entry("lies", json!({}));
    lies.lookups = vec![Kind::Users];
    let stage = Stage::new(vec![lies]);
    let live = stage.start();
    let tasks = Tasks::new();
    live.watch(&tasks);
    changed(&live, Change::Install(install("own-category.wasm", guests::component("category"))));
    for _ in 0..3 {
        judge(&live.current(), Direction::CrmToExchange, &poison()).await.expect_err("a fault of the old rule");
    }
    // The watch over generations heeds its words in order: once this one is heeded, nothing of the faults is left to come.
    for _ in 0..50 {
        judge(&live.current(), Direction::CrmToExchange, &appointment()).await.expect("a good call");
    }
    wait_for("the end of probation", || async { stage.archive().join("proven").exists().then_some(()) }).await;
    assert_eq!((live.current().generation().number, stage.codes().len()), (2, 0));
    assert!(tasks.finish().await);
}

#[tokio::test]
async fn the_folder_goes_through_the_same_gate() {
    let mut stage = Stage::new(vec![entry("category", json!({}))]);
    stage.settings.watch = WatchMode::Stage;
    let live = stage.start();
    let tasks = Tasks::new();
    live.watch(&tasks);
    stage.put("category.wasm", &variant("category", "2"));
    let pending = wait_for("a staged file", || async { live.pending() }).await;
    assert_eq!((pending.code, live.current().generation().number), ("rules-staged", 1));
    assert!(pending.hint.contains("daybridge rules reload --yes"), "{}", pending.hint);
    assert!(tasks.finish().await);
    drop(live);

    // A restart is nobody's word either; a reload is.
    let live = stage.start();
    assert_eq!(
        (live.current().generation().number, live.pending().map(|notice| notice.code)),
        (1, Some("rules-not-taken"))
    );
    assert_eq!(live.reload().expect("a new chain").number, 2);
    assert!(live.pending().is_none());
    drop(live);

    // Where files go live by themselves, one whose own fixtures fail does not.
    stage.settings.watch = WatchMode::Swap;
    let live = stage.start();
    let tasks = Tasks::new();
    live.watch(&tasks);
    stage.put("category.wasm", &variant("category", "3"));
    wait_for("the new file in force", || async { (live.current().generation().number == 3).then_some(()) }).await;
    stage.put("category.wasm", b"rubbish");
    let refusal =
        wait_for("a refusal", || async { live.pending().filter(|notice| notice.code == "rules-refused") }).await;
    stage.put("category.wasm", &failing());
    let pending =
        wait_for("another notice", || async { live.pending().filter(|notice| notice.about != refusal.about) }).await;
    assert_eq!(pending.code, "rules-staged", "{pending:?}");
    assert!(pending.text.contains("fixture wrong of rule misbehaves fails"), "{}", pending.text);
    assert_eq!(live.current().generation().number, 3);
    let objections = live.reload().expect_err("it waits for a person");
    assert_eq!(objections.code(), "rules-staged");
    assert_eq!(changed(&live, Change::Reload { fresh: false }).number, 4);
    assert!(tasks.finish().await);
}

/// A rule that brings a fixture which it does not pass.
fn failing() -> Vec<u8> {
    let fixture = json!([{
        "name": "wrong",
        "direction": "crm-to-exchange",
        "key": "crm:1",
        "appointment": {"subject": "Budget", "time": {"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T11:00:00Z", "zone": "Europe/Dublin"}},
        "expected": {"pass": {"subject": "Something else"}},
    }]);
    with_section(guests::component("misbehaves"), "daybridge:fixtures", fixture.to_string().as_bytes())
}

/// Says of every comparison that recorded calls meet new faults.
struct NewFaults;

impl Checks for NewFaults {
    fn fixtures(&self, _: &str, _: Fixtures<'_>, _: &Chain) -> Vec<FixtureLine> {
        Vec::new()
    }
    fn replay(&self, _: &Chain, _: &Chain, _: Showing) -> Option<ReplaySummary> {
        Some(ReplaySummary { compared: 500, new_faults: 3, ..ReplaySummary::default() })
    }
}

#[test]
fn r16_new_faults_of_recorded_calls_need_a_persons_word_but_a_way_back_does_not() {
    let mut stage = Stage::new(vec![entry("category", json!({}))]);
    stage.checks = Arc::new(NewFaults);
    let live = stage.start();
    stage.put("category.wasm", &variant("category", "2"));
    let objections = live.reload().expect_err("objections").to_string();
    assert_eq!(
        objections,
        "the new rules were not put in force: 3 of 500 recorded calls fail with it that did not before"
    );
    drop(live);
    // At a start nobody can say yes: the rules of before stay in force.
    let live = stage.start();
    assert_eq!((live.current().generation().number, stage.codes()), (1, vec!["rules-not-taken"]));
    assert_eq!(changed(&live, Change::Reload { fresh: false }).number, 2);
    assert!(live.propose(Change::Restore(None), "test").expect("a proposal").report.is_clean());
}

#[test]
fn r22_where_signatures_are_required_only_what_a_trusted_key_signed_is_a_rule() {
    let ((public, secret), (_, other_secret)) = (new_key().expect("a key"), new_key().expect("a key"));
    let key = TrustedKey::parse(public.lines().nth(1).expect("a key line")).expect("a key");
    // Built-in rules count as signed.
    let mut stage = Stage::new(Vec::new());
    stage.rules = daybridge::plugin::default_chain();
    stage.settings.trust = Trust { required: true, keys: vec![key] };
    let live = stage.start();
    let bytes = guests::component("category");
    let tried = |bytes: &[u8], signature: Option<String>| {
        let order = Install { signature, ..install("category.wasm", bytes.to_vec()) };
        change(&live, Change::Install(order)).map(|made| made.number).map_err(|error| error.to_string())
    };
    let starts = |refused: Result<u64, String>, start: &str| {
        let refused = refused.expect_err("a refusal");
        assert!(refused.starts_with(&format!("rule file category.wasm {start}")), "{refused}");
        assert_eq!(refused.lines().count(), 1);
    };
    starts(tried(&bytes, None), "is not signed, and gate.signatures is \"required\"");
    starts(tried(&bytes, Some("what?".into())), "has a signature that cannot be read");
    starts(tried(&bytes, Some(sign(&bytes, &other_secret, "x").unwrap())), "is signed with the key ");
    let good = sign(&bytes, &secret, "category.wasm").expect("a signature");
    let mut flipped = bytes.clone();
    *flipped.last_mut().expect("a byte") ^= 1;
    starts(tried(&flipped, Some(good.clone())), "is not what was signed with the key ");
    // A signature whose parts have another length must not bring the host down.
    let short: Vec<&str> = good.lines().take(3).chain(["AAAA"]).collect();
    starts(tried(&bytes, Some(short.join("\n"))), "has a signature that cannot be read");
    assert_eq!(tried(&bytes, Some(good.clone())), Ok(2));
    // The signature is kept with the file: it goes back and forth, and over a restart.
    changed(&live, Change::Restore(Some(1)));
    changed(&live, Change::Restore(Some(2)));
    drop(live);
    let live = stage.start();
    assert_eq!(live.current().generation().number, 4);
    let kept = stage.archive().join("files").join(format!("{}.minisig", digest_of(&live, "category")));
    drop(live);
    // Without it the generation cannot be used, and the host starts with what the configuration says.
    std::fs::remove_file(kept).expect("gone");
    assert!(!names(&stage.start()).contains(&"category".to_owned()));
    assert_eq!(stage.codes(), ["generation-damaged"]);

    // What was built into an earlier version of this host counts as signed on the word of that host, and on no other's.
    std::fs::remove_dir_all(stage.archive()).expect("gone");
    (stage.rules, stage.settings.trust.required) = (vec![RuleEntry::new("category.wasm")], false);
    stage.put("category.wasm", &bytes);
    let digest = digest_of(&stage.start(), "category");
    stage.settings.trust.required = true;
    std::fs::remove_file(stage.rules().join("category.wasm")).expect("gone");
    let earlier = Archive::open(&stage.archive()).expect("the archive");
    earlier.keep(&digest, &Kept { built_in: true, ..earlier.file(&digest).expect("kept") }).expect("vouched for");
    stage.told.lock().unwrap().clear();
    assert_eq!((names(&stage.start()), stage.codes()), (vec!["category".to_owned()], Vec::new()));
    std::fs::write(stage.archive().join("files").join(format!("{digest}.built-in")), digest.as_bytes()).expect("write");
    let forged = stage.open().map(drop).expect_err("nobody's word").to_string();
    assert!(forged.starts_with("rule file category.wasm is not there"), "{forged}");
    assert_eq!(stage.codes(), ["generation-damaged"]);

    // In the folder the signature lies beside the file.
    stage.rules = vec![RuleEntry::new("category.wasm")];
    stage.put("category.wasm", &bytes);
    std::fs::remove_dir_all(stage.archive()).expect("gone");
    let refused = stage.open().map(drop).expect_err("unsigned").to_string();
    assert!(refused.starts_with("rule file category.wasm is not signed"), "{refused}");
    stage.put("category.wasm.minisig", good.as_bytes());
    assert_eq!(names(&stage.start()), ["category"]);
}
