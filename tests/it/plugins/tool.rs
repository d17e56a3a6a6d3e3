//! The commands an author of rules has: new, test, inspect, build.

use std::path::Path;

use daybridge_tests::guests;
use daybridge_tests::program::{self, Outcome};
use serde_json::{Value as Json, json};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

async fn rules(folder: &Path, arguments: &[&str]) -> Outcome {
    program::run(folder, &[&["rules"], arguments].concat()).await
}

fn write(folder: &Path, name: &str, json: &Json) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, format!("{json:#}\n")).expect("write");
}

fn tag_fixture(expected: Option<Json>) -> Json {
    let mut json = json!({
        "about": "kept \"as\" it is: {expected}",
        "direction": "crm-to-exchange",
        "appointment": {"subject": "Budget", "time": {"first": "2026-11-24", "last": "2026-11-24"}},
    });
    if let Some(expected) = expected {
        json["expected"] = expected;
    }
    json
}

/// The rule subject-tag in a folder, with fixtures beside it.
fn tag(folder: &Path) {
    std::fs::write(folder.join("tag.wasm"), guests::component("subject-tag")).expect("write");
    write(folder, "tag.fixtures/good.json", &tag_fixture(Some(json!({"pass": {"subject": "[CRM] Budget"}}))));
    write(
        folder,
        "tag.fixtures/wrong.json",
        &tag_fixture(Some(json!({"pass": {"subject": "Budget", "reminder": 15}}))),
    );
}

#[tokio::test]
async fn a_test_shows_what_differs_and_bless_writes_down_what_is() {
    let folder = folder();
    tag(folder.path());
    let outcome = rules(folder.path(), &["test", "tag.wasm"]).await;
    assert_eq!(
        outcome,
        Outcome {
            code: 1,
            stdout: "\
subject-tag 0.1.0
  ok      and-back  pass, setting subject
  ok      tagged    pass, setting subject
  ok      good      pass, setting subject
  FAILED  wrong
          subject
            expected  \"Budget\"
            actual    \"[CRM] Budget\"
          reminder
            expected  15
            actual    (nothing)
4 fixtures: 3 passed, 1 failed
"
            .into(),
            stderr: "\
error: 1 of 4 fixtures did not go as expected
hint: mend the rule; or, if what it answers is right, write it down with --bless
"
            .into(),
        }
    );
    let lines = rules(folder.path(), &["test", "tag.wasm", "--json"]).await;
    let line: Json = lines.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).nth(3).expect("a line");
    assert_eq!((line["result"].as_str(), line["differences"][1]["field"].as_str()), (Some("failed"), Some("reminder")));

    let blessed = rules(folder.path(), &["test", "tag.wasm", "--bless"]).await;
    assert_eq!((blessed.code, blessed.stderr.as_str()), (0, ""), "{}", blessed.stdout);
    assert!(blessed.stdout.ends_with("4 fixtures: 3 passed, 0 failed, 1 blessed\n"), "{}", blessed.stdout);
    let text = std::fs::read_to_string(folder.path().join("tag.fixtures/wrong.json")).expect("the fixture");
    let expected = tag_fixture(Some(json!({"pass": {"subject": "[CRM] Budget"}})));
    assert_eq!(serde_json::from_str::<Json>(&text).expect("JSON"), expected);
    assert_eq!(rules(folder.path(), &["test", "tag.wasm"]).await.code, 0);
}

#[tokio::test]
async fn r18_a_trace_shows_time_memory_and_edits_of_each_step() {
    let folder = folder();
    tag(folder.path());
    let outcome = rules(folder.path(), &["test", "tag.wasm", "--trace", "--fixtures", "tag.fixtures/good.json"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    // Times and memory are what they are.
    let steady: Vec<String> = outcome
        .stdout
        .lines()
        .map(|line| match line.split_once("0.1.0: ") {
            Some((head, figures)) => {
                assert!(figures.ends_with(" KiB") && figures.contains(" ms, "), "{line}");
                format!("{head}0.1.0: TIME, MEMORY")
            }
            None => line.to_owned(),
        })
        .collect();
    assert_eq!(
        steady.join("\n"),
        "\
subject-tag 0.1.0
  ok      good  pass, setting subject
          step 1 subject-tag 0.1.0: TIME, MEMORY
            subject: \"Budget\" -> \"[CRM] Budget\"
          answer: pass, setting subject
1 fixture: 1 passed, 0 failed"
    );
}

#[tokio::test]
async fn a_mistake_in_a_fixture_or_a_rule_is_one_line_with_a_hint() {
    let folder = folder();
    tag(folder.path());
    write(folder.path(), "tag.fixtures/wrong.json", &json!({"direction": "both"}));
    let outcome = rules(folder.path(), &["test", "tag.wasm"]).await;
    assert_eq!(
        outcome.stderr,
        "\
error: fixture tag.fixtures/wrong.json: direction: \"both\" is no word for it; write one of crm-to-exchange, exchange-to-crm
hint: the message names the place and what to write there; plugins/README.md has the form
"
    );
    std::fs::write(folder.path().join("junk.wasm"), "junk").expect("write");
    let junk = rules(folder.path(), &["test", "junk.wasm"]).await;
    assert!(junk.stderr.starts_with("error: rule file junk.wasm is not WebAssembly"), "{}", junk.stderr);
    let none = rules(folder.path(), &["test", "gone.wasm"]).await;
    assert!(none.stderr.starts_with("error: cannot read gone.wasm"), "{}", none.stderr);
}

#[tokio::test]
async fn inspect_tells_what_a_file_is_whatever_it_is() {
    let folder = folder();
    tag(folder.path());
    let bytes = guests::component("subject-tag");
    let outcome = rules(folder.path(), &["inspect", "tag.wasm"]).await;
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    for line in [
        "tag.wasm: rule subject-tag 0.1.0\n",
        "  hooks        apply\n",
        "  directions   crm-to-exchange, exchange-to-crm\n",
        "  looks up     -\n",
        "  settings     tag: string = \"[CRM] \"; Text before the subject\n",
        "  sandbox      put back after each call to what it was before the first\n",
        "  fixtures     and-back, tagged\n",
        &format!("  bytes        {}\n", bytes.len()),
    ] {
        assert!(outcome.stdout.contains(line), "{line:?} is missing in\n{}", outcome.stdout);
    }
    let outcome = rules(folder.path(), &["inspect", "tag.wasm", "--json"]).await;
    let json: Json = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!((&json["accepted"], &json["fixtures"]), (&json!(true), &json!(["and-back", "tagged"])));
    std::fs::write(folder.path().join("none.js"), "export default { name: \"none\", apply() {} };").expect("write");
    let outcome = rules(folder.path(), &["inspect", "none.js"]).await;
    let line = "  sandbox      made anew for each call: its memory has 17 pages of 64 KiB at the start, more than 6\n";
    assert!(outcome.stdout.contains(line), "{}", outcome.stdout);

    for (name, bytes, told) in [
        ("text.wasm", b"not a rule".as_slice(), "the file is not WebAssembly"),
        ("empty.wasm", b"", "the file is not WebAssembly"),
        ("cut.wasm", &bytes[..bytes.len() / 2], "the file is damaged"),
        ("core.wasm", b"\0asm\x01\0\0\0", "the file is a core module"),
    ] {
        std::fs::write(folder.path().join(name), bytes).expect("write");
        let outcome = rules(folder.path(), &["inspect", name]).await;
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{name}");
        assert!(outcome.stdout.contains(&format!("  refused      {told}")), "{}", outcome.stdout);
    }
}

#[tokio::test]
async fn r18_a_new_rule_builds_passes_its_fixtures_and_is_never_written_over() {
    let folder = folder();
    let sdk = guests::plugins().join("../guest-sdk");
    let target = guests::plugins().join("../target/guests");
    let (sdk, target) = (sdk.display().to_string(), target.display().to_string());
    let made = rules(folder.path(), &["new", "skip-marked", "--sdk", &sdk]).await;
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    for line in [
        "Wrote ./skip-marked/Cargo.toml\n",
        "Wrote ./skip-marked/fixtures/marked.json\n",
        "daybridge rules test ./skip-marked\n",
    ] {
        assert!(made.stdout.contains(line), "{}", made.stdout);
    }
    let again = rules(folder.path(), &["new", "skip-marked", "--sdk", &sdk]).await;
    assert_eq!(
        (again.code, again.stderr.as_str()),
        (1, "error: ./skip-marked/Cargo.toml exists already\nhint: take another name, or another folder with --in\n")
    );
    // The versions of this repository, so that no registry is asked.
    std::fs::copy(guests::plugins().join("../Cargo.lock"), folder.path().join("skip-marked/Cargo.lock")).expect("copy");
    let tested = rules(folder.path(), &["test", "skip-marked", "--target", &target]).await;
    assert_eq!(
        (tested.code, tested.stdout.as_str()),
        (
            0,
            "\
skip-marked 0.1.0
  ok      marked    skip: its subject begins with (intern)
  ok      unmarked  pass
2 fixtures: 2 passed, 0 failed
"
        ),
        "{}",
        tested.stderr
    );
    let no_sdk = rules(folder.path(), &["new", "another", "--sdk", "."]).await;
    assert_eq!(
        no_sdk.stderr,
        "error: there is no SDK in .\nhint: clone Daybridge's repository and name its folder guest-sdk: --sdk DIR\n"
    );
    let bad = rules(folder.path(), &["new", "Bad Name"]).await;
    assert!(
        bad.stderr.starts_with("error: \"Bad Name\" cannot be a rule's name\nhint: take small letters"),
        "{}",
        bad.stderr
    );
}

#[tokio::test]
async fn r18_a_new_script_comes_with_fixtures_and_what_an_editor_needs() {
    let folder = folder();
    let made = rules(folder.path(), &["new", "skip-marked", "--lang", "js"]).await;
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    let script = std::fs::read_to_string(folder.path().join("skip-marked.js")).expect("the script");
    assert!(script.starts_with("// @ts-check\n") && script.contains("export default {"));
    for name in ["skip-marked.fixtures/marked.json", "skip-marked.fixtures/unmarked.json", "jsconfig.json"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    // A second one finds the editor's files there.
    assert_eq!(rules(folder.path(), &["new", "another", "--lang", "js"]).await.code, 0);
    assert_eq!(rules(folder.path(), &["new", "another", "--lang", "js"]).await.code, 1);
}
