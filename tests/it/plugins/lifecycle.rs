//! Generations: kept over restarts, restored without their sources, taken back by themselves; and who wins.

mod guard;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybridge::model::Direction;
use daybridge::plugin::lookup::Kind;
use daybridge::plugin::{
    ChainConfig, Change, Checks, DiffSide, GateSettings, Install, LifecycleError, Limits, Live, LogLevel, OnError,
    Place, RuleEntry, RuleNotice, Setup, Trials,
};
use daybridge::rules::{Generation, Rules};
use daybridge_tests::guests;
use serde_json::json;

use super::gate::write_number;
use super::support::{appointment, engine, entry, lay_out, no_lookups, passed};

/// A host's rules: a folder, an archive, and what people were told.
struct Stage {
    folder: tempfile::TempDir,
    rules: Vec<RuleEntry>,
    settings: GateSettings,
    checks: Arc<dyn Checks>,
    told: Arc<Mutex<Vec<RuleNotice>>>,
}

impl Stage {
    fn new(rules: Vec<RuleEntry>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("rules")).expect("a folder for rules");
        let known: Vec<RuleEntry> = rules.iter().filter(|rule| guest(&rule.file)).cloned().collect();
        lay_out(&folder.path().join("rules"), &known);
        let checks = Arc::new(Trials::new(Arc::new(|_| Vec::new())));
        Self { folder, rules, settings: GateSettings::default(), checks, told: Arc::default() }
    }

    fn rules(&self) -> PathBuf {
        self.folder.path().join("rules")
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("data/rules")
    }

    fn open(&self) -> Result<Live, LifecycleError> {
        let told = self.told.clone();
        let config = ChainConfig { folder: Some(self.rules()), rules: self.rules.clone() };
        Live::open(Setup {
            archive: Some(self.archive()),
            settings: self.settings.clone(),
            checks: self.checks.clone(),
            tell: Arc::new(move |notice| told.lock().unwrap().push(notice)),
            ..Setup::new(config, engine(), no_lookups())
        })
    }

    fn start(&self) -> Live {
        self.open().unwrap_or_else(|error| panic!("{error}"))
    }

    fn put(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.rules().join(file), bytes).expect("write a rule");
    }

    fn codes(&self) -> Vec<&'static str> {
        self.told.lock().unwrap().iter().map(|notice| notice.code).collect()
    }
}

fn guest(file: &str) -> bool {
    !file.starts_with("own-")
}

/// The same rule with other bytes: another version of its file.
fn variant(name: &str, note: &str) -> Vec<u8> {
    with_section(guests::component(name), "note", note.as_bytes())
}

fn with_section(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    write_number(&mut body, name.len());
    body.extend(name.as_bytes());
    body.extend(data);
    component.push(0);
    write_number(&mut component, body.len());
    component.extend(body);
    component
}

fn install(file: &str, bytes: Vec<u8>) -> Install {
    Install {
        file: file.into(),
        bytes: bytes.into(),
        signature: None,
        fixtures: None,
        name: None,
        place: None,
        settings: None,
        grant: Vec::new(),
    }
}

fn change(live: &Live, change: Change) -> Result<Generation, LifecycleError> {
    live.commit(live.propose(change, "test")?)
}

#[track_caller]
fn changed(live: &Live, what: Change) -> Generation {
    change(live, what).unwrap_or_else(|error| panic!("{error}"))
}

fn names(live: &Live) -> Vec<String> {
    live.current().list().iter().map(|rule| rule.name.clone()).collect()
}

fn digest_of(live: &Live, rule: &str) -> String {
    live.current().list().iter().find(|one| one.name == rule).expect("the rule").digest.clone()
}

async fn subject(live: &Live) -> String {
    passed(&live.current(), Direction::CrmToExchange, &appointment()).await.appointment.subject
}

#[tokio::test]
async fn r15_what_was_installed_is_in_force_after_a_restart_and_can_be_taken_back_without_its_sources() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    assert_eq!(live.current().generation().number, 1);
    let tag = Install {
        settings: Some(super::support::settings(json!({"tag": "> "}))),
        ..install("own-tag.wasm", guests::component("subject-tag"))
    };
    assert_eq!(changed(&live, Change::Install(tag)).number, 2);
    assert_eq!(
        (subject(&live).await.as_str(), names(&live)),
        ("> Budget", vec!["category".into(), "subject-tag".into()])
    );
    drop(live);

    // The folder loses its files: the archive has what is in force.
    std::fs::remove_file(stage.rules().join("category.wasm")).expect("gone");
    let live = stage.start();
    assert_eq!(live.current().generation().number, 2);
    assert_eq!(subject(&live).await, "> Budget");
    assert_eq!(changed(&live, Change::Restore(None)).number, 3);
    assert_eq!((subject(&live).await.as_str(), names(&live)), ("Budget", vec!["category".into()]));
    drop(live);
    let live = stage.start();
    assert_eq!((live.current().generation().number, names(&live)), (3, vec!["category".into()]));
    // One more way back leads nowhere: what is in force is the first one again.
    assert!(matches!(change(&live, Change::Restore(None)), Err(LifecycleError::NothingBefore)));
    let unknown = change(&live, Change::Restore(Some(77))).expect_err("no such generation");
    assert_eq!(
        (unknown.code(), unknown.to_string().as_str()),
        ("no-such-rule", "there is no generation 77 to go back to")
    );
    assert!(stage.codes().is_empty(), "{:?}", stage.codes());
}

#[tokio::test]
async fn r15_a_generation_is_restored_in_under_a_second_without_compiling() {
    let stage = Stage::new(vec![entry("category", json!({})), entry("subject-tag", json!({}))]);
    let live = stage.start();
    changed(&live, Change::Install(install("category.wasm", variant("category", "2"))));
    let begun = std::time::Instant::now();
    changed(&live, Change::Restore(Some(1)));
    println!("restored in {:?}", begun.elapsed());
    assert!(begun.elapsed().as_millis() < 1000, "{:?}", begun.elapsed());
}

#[test]
fn every_option_of_an_entry_is_kept() {
    let rules = vec![
        RuleEntry {
            name: "ours".into(),
            directions: vec![Direction::CrmToExchange],
            on_error: OnError::Retry { after: Some(Duration::from_millis(1500)) },
            lookups: vec![Kind::Captions],
            limits: Limits { deadline: Duration::from_millis(900), log: 77, ..Limits::default() },
            condition: Some("appointment.subject != ''".into()),
            default_message: Some("Ask us".into()),
            only_default_message: true,
            log_level: Some(LogLevel::Warn),
            ..entry("subject-tag", json!({"tag": "> "}))
        },
        RuleEntry { enabled: false, ..RuleEntry::new("own-gone.wasm") },
    ];
    let stage = Stage::new(rules);
    let live = stage.start();
    let (before, listed) = (live.current().generation(), live.current().list().to_vec());
    drop(live);
    let live = stage.start();
    // The digest is one over every option.
    assert_eq!((live.current().generation(), live.current().list().len()), (before, listed.len()));
    assert_eq!(live.current().list()[0], listed[0]);
}

#[test]
fn ways_back_lead_further_back_and_not_to_and_fro() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    let first = digest_of(&live, "category");
    for note in ["2", "3"] {
        changed(&live, Change::Install(install("category.wasm", variant("category", note))));
    }
    let history = |live: &Live| live.history().unwrap().first().cloned().expect("a generation");
    changed(&live, Change::Restore(None));
    assert_eq!(history(&live).restores, Some(2));
    changed(&live, Change::Restore(None));
    let line = history(&live);
    assert_eq!((line.number, line.restores, line.cause.as_str(), line.current), (5, Some(1), "rollback", true));
    assert_eq!(digest_of(&live, "category"), first);
}

#[test]
fn the_last_deliberate_act_wins() {
    let mut stage = Stage::new(vec![entry("category", json!({})), entry("subject-tag", json!({}))]);
    let live = stage.start();
    let [two, three] = ["2", "3"].map(|note| variant("category", note));
    let digest = |bytes: &[u8]| daybridge::plugin::digest(bytes);
    changed(&live, Change::Install(install("category.wasm", two.clone())));
    let extra = Install {
        place: Some(Place::After("category".into())),
        ..install("own-harm.wasm", guests::component("misbehaves"))
    };
    changed(&live, Change::Install(extra));
    assert_eq!(names(&live), ["category", "misbehaves", "subject-tag"]);
    drop(live);

    // Options change in the configuration: they are taken, the installed file and the installed rule stay.
    stage.rules[1].settings = super::support::settings(json!({"tag": "> "}));
    let live = stage.start();
    assert_eq!((live.current().generation().number, digest_of(&live, "category")), (4, digest(&two)));
    assert_eq!(names(&live), ["category", "misbehaves", "subject-tag"]);
    drop(live);

    // A file in the folder that has another content than when it was overruled is the later wish.
    stage.put("category.wasm", &three);
    let live = stage.start();
    assert_eq!(digest_of(&live, "category"), digest(&three));
    // A way back overrules it again, for good.
    changed(&live, Change::Restore(Some(2)));
    assert_eq!((digest_of(&live, "category"), names(&live).len()), (digest(&two), 2));
    drop(live);
    let live = stage.start();
    assert_eq!((digest_of(&live, "category"), live.current().generation().number), (digest(&two), 6));
    // Nothing is left of it where a person says so.
    changed(&live, Change::Reload { fresh: true });
    assert_eq!(
        (digest_of(&live, "category"), names(&live)),
        (digest(&three), vec!["category".into(), "subject-tag".into()])
    );
    // Where nothing has changed, nothing is made.
    let number = live.current().generation().number;
    assert_eq!(live.reload().expect("as it is").number, number);
}

#[tokio::test]
async fn a_configuration_that_is_refused_does_not_keep_the_host_from_starting() {
    let mut stage = Stage::new(vec![entry("category", json!({}))]);
    drop(stage.start());
    stage.rules[0].settings = super::support::settings(json!({"no": "such"}));
    let live = stage.start();
    assert_eq!(live.current().generation().number, 1);
    assert_eq!(stage.codes(), ["rules-not-taken"]);
    let pending = live.pending().expect("what is not in force");
    assert!(
        pending.text.contains("setting no is unknown") && pending.text.contains("generation 1"),
        "{}",
        pending.text
    );
    // With nothing to go on with it is as before.
    std::fs::remove_dir_all(stage.archive()).expect("gone");
    let refused = stage.open().map(drop).expect_err("a refusal").to_string();
    assert!(refused.starts_with("rule file category.wasm setting no is unknown"), "{refused}");
}

#[tokio::test]
async fn damage_on_disk_is_noticed_and_stands_in_nobodys_way() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    changed(&live, Change::Install(install("own-tag.wasm", guests::component("subject-tag"))));
    let installed = digest_of(&live, "subject-tag");
    drop(live);
    // A file of the archive.
    let file = stage.archive().join("files").join(&installed);
    let good = std::fs::read(&file).expect("the archived file");
    let mut bad = good.clone();
    bad[100] ^= 1;
    std::fs::write(&file, &bad).expect("write");
    let live = stage.start();
    assert_eq!((live.current().generation().number, names(&live)), (3, vec!["category".into()]));
    assert_eq!(stage.codes(), ["generation-damaged"]);
    let refused =
        live.propose(Change::Restore(Some(2)), "test").map(|proposed| proposed.report.refused).expect("a report");
    assert!(refused.expect("a refusal").message.contains("is damaged"));
    // Installing it again heals it.
    changed(&live, Change::Install(install("own-tag.wasm", good)));
    changed(&live, Change::Restore(Some(2)));
    assert_eq!(subject(&live).await, "[CRM] Budget");
    drop(live);

    // The record of the generation in force: a flipped letter, half a file, one from the future.
    let newest = |stage: &Stage| {
        let numbers = std::fs::read_dir(stage.archive().join("generations")).expect("read").map(|entry| {
            entry
                .expect("read")
                .path()
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse::<u64>().ok())
                .expect("a number")
        });
        numbers.max().expect("a generation")
    };
    for (damage, word) in [
        (Box::new(|text: String| text.replace("category", "catEgory")) as Box<dyn Fn(String) -> String>, "damaged"),
        (Box::new(|text: String| text[..text.len() / 2].to_owned()), "damaged"),
        (Box::new(|text: String| text.replacen("\"format\": 1", "\"format\": 9", 1)), "newer host (format 9"),
    ] {
        let before = newest(&stage);
        let path = stage.archive().join(format!("generations/{before}.json"));
        let text = std::fs::read_to_string(&path).expect("a record");
        let spoilt = damage(text.clone());
        assert_ne!(text, spoilt);
        std::fs::write(&path, spoilt).expect("write");
        stage.told.lock().unwrap().clear();
        let live = stage.start();
        assert_eq!((live.current().generation().number, names(&live)), (before + 1, vec!["category".into()]));
        assert_eq!(stage.codes(), ["generation-damaged"]);
        let told = stage.told.lock().unwrap()[0].text.clone();
        assert!(told.contains(word), "{told}");
        let history = live.history().expect("the history");
        assert!(history[1].damaged.as_ref().is_some_and(|damaged| damaged.contains(word)), "{:?}", history[1]);
    }
}

#[test]
fn r15_twenty_generations_are_kept_and_no_number_is_given_twice() {
    let stage = Stage::new(vec![entry("subject-tag", json!({}))]);
    let live = stage.start();
    let files = || std::fs::read_dir(stage.archive().join("files")).expect("read").count();
    for note in 0..25 {
        let bytes = if note == 0 { variant("subject-tag", "2") } else { guests::component("subject-tag") };
        let settings = Some(super::support::settings(json!({"tag": format!("{note} ")})));
        let expected = live.current().generation().number + 1;
        let made = changed(&live, Change::Install(Install { settings, ..install("subject-tag.wasm", bytes) }));
        assert_eq!(made.number, expected);
        assert_eq!(files(), if made.number < 22 { 2 } else { 1 }, "generation {expected}");
    }
    let numbers: Vec<u64> = live.history().expect("the history").iter().map(|line| line.number).collect();
    assert_eq!(numbers, (7..=26).rev().collect::<Vec<_>>());
    // The oldest that is kept can be restored; the one before is gone.
    changed(&live, Change::Restore(Some(8)));
    assert!(matches!(change(&live, Change::Restore(Some(7))), Err(LifecycleError::NoGeneration { number: 7 })));
    drop(live);
    // Also a host that finds no record it can read goes on counting.
    for entry in std::fs::read_dir(stage.archive().join("generations")).expect("read") {
        std::fs::write(entry.expect("read").path(), "rubbish").expect("write");
    }
    assert_eq!(stage.start().current().generation().number, 28);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for folder in ["", "files", "generations"] {
            let mode = std::fs::metadata(stage.archive().join(folder)).expect("a folder").permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{folder}");
        }
    }
}

#[test]
fn a_version_that_was_stored_is_swapped_in_later() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    let other = variant("category", "other");
    let proposed = live.propose(Change::Install(install("category.wasm", other.clone())), "test").expect("a proposal");
    let digest = live.store(proposed).expect("stored");
    assert_eq!((live.current().generation().number, digest.as_str()), (1, daybridge::plugin::digest(&other).as_str()));
    drop(live);
    let live = stage.start();
    let versions = live.versions().expect("versions");
    let stored = versions.iter().find(|line| line.digest == digest).expect("listed");
    assert_eq!((stored.rule.as_str(), stored.generations.len(), stored.current), ("category", 0, false));
    let ambiguous =
        change(&live, Change::Swap(format!("category@{}", stored.version))).expect_err("two of one version");
    assert!(matches!(ambiguous, LifecycleError::Ambiguous { .. }), "{ambiguous}");
    assert!(matches!(change(&live, Change::Swap("nothing@1".into())), Err(LifecycleError::NoVersion { .. })));
    changed(&live, Change::Swap(digest[..8].to_owned()));
    assert_eq!(digest_of(&live, "category"), digest);
    let compared = live.diff(DiffSide::Generation(1), DiffSide::Generation(2), None).expect("a comparison");
    assert_eq!(compared.rules.len(), 1);
    assert!(compared.files["category"][0].starts_with("bytes: "), "{:?}", compared.files);
    let files = live.diff(
        DiffSide::File { name: "a".into(), bytes: guests::component("category").into() },
        DiffSide::File { name: "b".into(), bytes: guests::component("subject-tag").into() },
        None,
    );
    let lines = files.expect("a comparison").files["category"].join("\n");
    assert!(lines.starts_with("name: category -> subject-tag\npurpose: "), "{lines}");
}

/// A script that names itself nowhere is called after its file.
const SCRIPT: &str = "export default { purpose: 'Says who', apply(_, draft) { draft.location = 'one'; } };";

#[test]
fn a_script_keeps_its_name_and_its_fixtures() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    let fixtures = json!([{
        "name": "goes-to-one",
        "direction": "crm-to-exchange",
        "appointment": {"subject": "Budget", "time": {"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T11:00:00Z", "zone": "Europe/Dublin"}},
        "expected": {"pass": {"location": "one"}},
    }]);
    let script = |text: &str| Install {
        fixtures: Some(fixtures.to_string()),
        ..install("who-is-it.js", text.as_bytes().to_vec())
    };
    changed(&live, Change::Install(script(SCRIPT)));
    let first = digest_of(&live, "who-is-it");
    changed(&live, Change::Install(script(&SCRIPT.replace("'one'", "'one'.trim()"))));
    let compared = live.diff(DiffSide::Generation(2), DiffSide::Generation(3), None).expect("a comparison");
    assert_eq!(compared.files.keys().collect::<Vec<_>>(), ["who-is-it"]);
    let by_version = live.diff(DiffSide::Version(first.clone()), DiffSide::Version(first.clone()), None);
    assert_eq!(by_version.expect("a comparison").files.keys().collect::<Vec<_>>(), ["who-is-it"]);
    drop(live);
    // Swapped in from the archive, over a restart, it is tried on them as on the first day.
    let live = stage.start();
    let report = live.propose(Change::Swap(first), "test").expect("a proposal").report;
    let tried: Vec<_> = report.fixtures.iter().map(|line| (line.name.as_str(), line.passed)).collect();
    assert_eq!(tried, [("goes-to-one", true)]);
}

#[test]
fn a_proposal_is_put_in_force_only_on_what_it_was_compared_with() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    let propose = |note: &str| {
        live.propose(Change::Install(install("category.wasm", variant("category", note))), "test").expect("a proposal")
    };
    let (one, other) = (propose("1"), propose("2"));
    live.commit(one).expect("the first");
    let stale = live.commit(other).map(drop).expect_err("stale");
    assert_eq!((stale.code(), live.current().generation().number), ("rules-changed-meanwhile", 2));
    // From many threads at once: each either went in or was told; numbers follow each other.
    let went_in: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|note| {
                let live = &live;
                scope.spawn(move || {
                    let bytes = variant("category", &format!("thread {note}"));
                    match change(live, Change::Install(install("category.wasm", bytes))) {
                        Ok(_) => 1,
                        Err(LifecycleError::Stale { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    }
                })
            })
            .collect();
        tries.into_iter().map(|one| one.join().expect("no panic")).sum()
    });
    assert!(went_in >= 1);
    assert_eq!(live.current().generation().number, 2 + went_in as u64);
    // A proposal that waited is taken once.
    let name = live.hold(propose("waits"));
    assert!(live.take(&name).is_ok());
    assert!(matches!(live.take(&name), Err(LifecycleError::NoProposal)));
}

#[test]
fn a_name_that_leads_elsewhere_is_no_name_for_a_rule_file() {
    let stage = Stage::new(vec![entry("category", json!({}))]);
    let live = stage.start();
    for name in ["../x.wasm", "/etc/x.wasm", ".hidden.wasm", "a/b.wasm", "a\\b.wasm"] {
        let order = Install { name: Some(name.into()), ..install("x.wasm", guests::component("subject-tag")) };
        assert!(matches!(change(&live, Change::Install(order)), Err(LifecycleError::FileName { .. })), "{name}");
    }
    let order =
        Install { place: Some(Place::Before("nobody".into())), ..install("x.wasm", guests::component("subject-tag")) };
    let missing = change(&live, Change::Install(order)).expect_err("no such rule");
    assert_eq!(missing.to_string(), "there is no rule nobody in the chain");
    assert!(Path::new(&stage.archive()).join("generations/1.json").exists());
}
