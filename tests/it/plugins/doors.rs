//! The three doors to a running host, command line, API and folder: what comes in, what is refused, and that the old chain
//! runs on.

use std::path::Path;

use daybridge::control::client::{Client, ClientError};
use daybridge::control::{ChangeOrder, CommitOrder, Desk, FileOrder, InstallOrder};
use daybridge_tests::crm::Booking;
use daybridge_tests::guests;
use daybridge_tests::host::{Servers, TestHost};
use daybridge_tests::program::{self, Outcome};
use daybridge_tests::time::day;
use daybridge_tests::user::SUSAN;
use daybridge_tests::wait::wait_for;
use serde_json::Value as Json;

use super::gate::{category as renamed, grafted, machine_code};

/// A host that listens, with one rule of its own in a folder.
struct Door {
    host: TestHost,
    rules: tempfile::TempDir,
}

impl Door {
    async fn open(gate: &str) -> Self {
        let rules = tempfile::tempdir().expect("a folder");
        std::fs::write(rules.path().join("category.wasm"), guests::component("category")).expect("write");
        let more = format!(
            "rules_dir = \"{}\"\n[[rules]]\nfile = \"category.wasm\"\n[gate]\n{gate}\n",
            rules.path().display()
        );
        let mut host = TestHost::with_config(&more).await;
        host.no_story("rules are changed, and there is no appointment");
        host.app.serve().await.expect("it listens");
        Self { host, rules }
    }

    fn data(&self) -> &Path {
        self.host.data.path()
    }

    fn client(&self) -> Client {
        Client::find(self.data()).expect("the running host is found")
    }

    async fn cli(&self, arguments: &[&str]) -> Outcome {
        let data = self.data().display().to_string();
        program::run(self.rules.path(), &[&["rules"], arguments, &["--data", &data]].concat()).await
    }

    async fn generation(&self) -> u64 {
        self.host.app.status().await.expect("a status").generation.number
    }

    async fn names(&self) -> Vec<String> {
        self.host.app.rules().await.expect("the chain").rules.into_iter().map(|rule| rule.name).collect()
    }

    async fn close(self) {
        assert!(self.host.app.stop_now().await, "the host stops cleanly");
    }
}

/// Files that are no rules, and how the refusal goes on after the file's name.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = guests::component("category");
    vec![
        ("no wasm", b"var CopyReminders=false;".to_vec(), "is not WebAssembly; "),
        ("truncated", good[..good.len() / 2].to_vec(), "is damaged: "),
        ("core module", b"\0asm\x01\0\0\0".to_vec(), "is a core module, not a component; "),
        ("another world", b"\0asm\x0d\0\x01\0".to_vec(), "does not export daybridge:rules/hooks"),
        (
            "forbidden import",
            renamed("daybridge:rules/log@0.2.0", "wasi:filesystem/abc@0.2.0"),
            "imports wasi:filesystem/abc@0.2.0, ",
        ),
        ("machine code", machine_code(), "is machine code compiled beforehand (.cwasm)"),
        (
            "endless start",
            grafted(&[0x00, 0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b], false),
            "does not start: ran longer than",
        ),
        ("100 MB", vec![0; 100 << 20], "has "),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_what_is_no_rule_is_refused_at_all_three_doors_and_the_old_chain_runs_on() {
    let door = Door::open("").await;
    door.host.app.start();
    let client = door.client();
    let outside = tempfile::tempdir().expect("a folder");
    for (what, bytes, words) in hostile() {
        // The command line.
        let file = outside.path().join("category.wasm");
        std::fs::write(&file, &bytes).expect("write");
        let outcome = door.cli(&["install", &file.display().to_string(), "--yes"]).await;
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{what}: {}", outcome.stderr);
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert!(lines[0].starts_with(&format!("error: rule file category.wasm {words}")), "{what}: {lines:?}");
        assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{what}: {lines:?}");

        // The API.
        let order = InstallOrder { file: FileOrder::new("category.wasm", &bytes), ..InstallOrder::default() };
        let refused = client.propose_rules(&ChangeOrder::Install(order), false).await.expect_err(what);
        let ClientError::Refused(refusal) = refused else { panic!("{what}: {refused:?}") };
        assert_eq!((refusal.code.as_str(), refusal.message.lines().count()), ("rule-refused", 1), "{what}");
        let large = what == "100 MB";
        assert!(
            refusal.message.contains(if large { "a rule file may have 16777216" } else { words }),
            "{}",
            refusal.message
        );

        // The folder.
        std::fs::write(door.rules.path().join("category.wasm"), &bytes).expect("write");
        let pending = wait_for("a refusal of what lies in the folder", || async {
            let status = door.host.app.status().await.expect("a status");
            status.rules_pending.filter(|pending| pending.message.contains(words))
        })
        .await;
        assert_eq!((pending.code.as_str(), pending.message.lines().count()), ("rules-refused", 1), "{what}");

        assert_eq!((door.generation().await, door.names().await), (1, vec!["category".to_owned()]), "{what}");
    }
    door.close().await;
}

/// The program itself, with the smallest limits that its configuration takes.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r14_a_bomb_for_the_compiler_is_refused_at_all_three_doors_and_the_old_chain_runs_on() {
    let servers = Servers::start().await;
    let (stage, rules) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::write(rules.path().join("category.wasm"), guests::component("category")).expect("write");
    let more = format!(
        "rules_dir = \"{}\"\n[[rules]]\nfile = \"category.wasm\"\n[gate]\ncompile_seconds = 5\ncompile_memory_mib = 256\n",
        rules.path().display()
    );
    let data = stage.path().join("state");
    std::fs::write(stage.path().join("daybridge.toml"), servers.config(&data, &more)).expect("write");
    let mut host = program::start(stage.path(), &["run", "--json"]);
    host.json().await;
    let client = Client::find(&data).expect("the running host is found");
    let is_refusal = |message: &str| {
        let limits = ["5 s of processor time", "256 MiB of memory"];
        let mut starts = limits.iter().map(|limit| {
            format!("rule file category.wasm cannot be compiled: it takes more than {limit} to compile; ")
        });
        starts.any(|start| message.contains(&start)) && message.lines().count() == 1
    };
    let as_before = async || {
        let chain = client.rules().await.expect("the chain");
        (chain.generation.number, chain.rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>())
    };
    let (bomb, before) = (super::compiler::bomb(), (1, vec!["category".to_owned()]));

    let file = stage.path().join("category.wasm");
    std::fs::write(&file, &bomb).expect("write");
    let outcome = program::run(stage.path(), &["rules", "install", "category.wasm", "--yes"]).await;
    let first = outcome.stderr.lines().next().unwrap_or_default().to_owned();
    assert!((outcome.code, is_refusal(&first)) == (1, true), "{}", outcome.stderr);
    assert_eq!(as_before().await, before);

    let order = InstallOrder { file: FileOrder::new("category.wasm", &bomb), ..InstallOrder::default() };
    let refused = client.propose_rules(&ChangeOrder::Install(order), false).await.expect_err("a bomb");
    let ClientError::Refused(refusal) = refused else { panic!("{refused:?}") };
    assert!(refusal.code == "rule-refused" && is_refusal(&refusal.message), "{}", refusal.message);
    assert_eq!(as_before().await, before);

    std::fs::write(rules.path().join("category.wasm"), &bomb).expect("write");
    let pending = wait_for("a refusal of what lies in the folder", || async {
        client.status().await.expect("a status").rules_pending
    })
    .await;
    assert!(is_refusal(&pending.message), "{}", pending.message);
    assert_eq!(as_before().await, before);
    let shown = program::run(stage.path(), &["status"]).await.stdout;
    assert_eq!(shown.matches("What lies in the rules folder is not in force").count(), 1, "{shown}");
    assert_eq!(host.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_is_installed_looked_at_swapped_and_taken_back_from_the_command_line() {
    let door = Door::open("").await;
    let file = door.rules.path().join("new.wasm");
    std::fs::write(&file, guests::component("subject-tag")).expect("write");

    // Nobody says yes: nothing happens, and the report is there to be read.
    let asked = door.cli(&["install", "new.wasm", "--as", "our-tag", "--before", "category"]).await;
    assert_eq!(asked.code, 1);
    assert!(asked.stdout.starts_with("+ subject-tag 0.1.0 ("), "{}", asked.stdout);
    assert!(asked.stdout.contains("Fixtures: all "), "{}", asked.stdout);
    assert_eq!(asked.stderr, "error: nothing was put in force: nobody has said yes\nhint: to say yes: --yes\n");
    assert_eq!(door.generation().await, 1);

    let arguments =
        ["install", "new.wasm", "--as", "our-tag", "--before", "category", "--settings", "{\"tag\":\"> \"}", "--yes"];
    let installed = door.cli(&arguments).await;
    assert_eq!((installed.code, installed.stderr.as_str()), (0, ""), "{}", installed.stdout);
    assert!(installed.stdout.contains("our-tag.wasm (installed)"), "{}", installed.stdout);
    assert_eq!((door.generation().await, door.names().await), (2, vec!["subject-tag".into(), "category".into()]));
    std::fs::remove_file(&file).expect("gone");

    let bad = door.cli(&["install", "category.wasm", "--settings", "[1]"]).await;
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("this is no JSON object"), "{}", bad.stderr);

    let versions = door.cli(&["list", "--versions"]).await;
    assert!(versions.stdout.contains("subject-tag@0.1.0"), "{}", versions.stdout);
    let json: Json = serde_json::from_str(&door.cli(&["list", "--versions", "--json"]).await.stdout).expect("JSON");
    assert_eq!(
        (&json["generations"][0]["cause"], &json["generations"][0]["current"]),
        (&"install".into(), &true.into())
    );

    let diff = door.cli(&["diff", "1", "2"]).await;
    assert!(diff.stdout.starts_with("+ subject-tag 0.1.0 ("), "{}", diff.stdout);
    assert_eq!(door.cli(&["diff", "2", "2"]).await.stdout, "No difference.\n");
    let replay = door.cli(&["replay", "category.wasm"]).await;
    assert_eq!((replay.code, replay.stdout.as_str()), (0, "Nothing would change.\n"), "{}", replay.stderr);

    let asked = door.cli(&["rollback"]).await;
    let tried = "Tried before it was first in force; not tried again\n";
    assert!(asked.stdout.contains(tried), "{}{}", asked.stdout, asked.stderr);
    let back = door.cli(&["rollback", "--yes", "--json"]).await;
    let json: Json = serde_json::from_str(&back.stdout).expect("one JSON object");
    assert_eq!((&json["done"], &json["chain"]["generation"]["number"]), (&true.into(), &3.into()), "{json}");
    assert_eq!(door.names().await, ["category"]);
    let swapped = door.cli(&["swap", "subject-tag@0.1.0", "--yes"]).await;
    assert_eq!((swapped.code, door.generation().await), (0, 4), "{}", swapped.stderr);
    let unknown = door.cli(&["rollback", "99", "--yes"]).await;
    assert_eq!(
        (unknown.code, unknown.stderr.as_str()),
        (1, "error: there is no generation 99 to go back to\nhint: what there is: daybridge rules list --versions\n")
    );

    // Kept, not in force.
    let stored = door.cli(&["install", "category.wasm", "--as", "spare", "--no-swap"]).await;
    assert_eq!((stored.code, door.generation().await), (0, 4), "{}", stored.stderr);
    let reloaded = door.cli(&["reload"]).await;
    assert_eq!((reloaded.code, door.generation().await), (0, 4), "{}", reloaded.stderr);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r16_what_would_come_out_otherwise_is_shown_before_it_is_in_force() {
    let mut door = Door::open("").await;
    door.host.crm().book(&Booking::at("Budget", &day(30), 9, SUSAN)).await;
    door.host.settle().await;
    std::fs::write(door.rules.path().join("new.wasm"), guests::component("subject-tag")).expect("write");
    let shown = door.cli(&["replay", "new.wasm"]).await;
    assert_eq!((shown.code, shown.stderr.as_str()), (0, ""), "{}", shown.stdout);
    let line = shown.stdout.lines().find(|line| line.contains("crm-to-exchange")).expect("a call that differs");
    assert!(line.ends_with(": crm-to-exchange: another subject"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("Budget"), "names of fields, not values: {}", shown.stdout);
    let values = door.cli(&["replay", "new.wasm", "--values"]).await;
    let lines: Vec<&str> = values.stdout.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with("subject: ")).expect("the subject");
    assert_eq!(&lines[at..at + 2], ["subject: \"Budget\"", "\"[CRM] Budget\""], "{}", values.stdout);
    assert_eq!(door.generation().await, 1);

    // A rule that would fail where none failed: it waits for a person.
    std::fs::write(door.rules.path().join("bad.wasm"), guests::component("misbehaves")).expect("write");
    let bad = door.cli(&["install", "bad.wasm", "--settings", "{\"act\":\"panic\"}"]).await;
    assert_eq!((bad.code, door.generation().await), (1, 1));
    assert!(bad.stdout.contains("Objection: ") && bad.stdout.contains("that did not before"), "{}", bad.stdout);
    let order = ChangeOrder::Install(InstallOrder {
        file: FileOrder::new("bad.wasm", &guests::component("misbehaves")),
        settings: Some(super::support::settings(serde_json::json!({"act": "panic"}))),
        ..InstallOrder::default()
    });
    let proposal = door.client().propose_rules(&order, false).await.expect("a proposal");
    assert!(proposal.report.replay.is_some_and(|replay| replay.new_faults > 0));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_of_the_api_is_taken_once() {
    let door = Door::open("watch = \"off\"").await;
    let client = door.client();
    let file = FileOrder::new("own.wasm", &guests::component("subject-tag"));
    let order = ChangeOrder::Install(InstallOrder { file, ..InstallOrder::default() });
    let proposal = client.propose_rules(&order, false).await.expect("a proposal");
    assert!(proposal.report.is_clean());
    let commit = CommitOrder { proposal: proposal.proposal.expect("a name"), store_only: false };
    assert_eq!(client.commit_rules(&commit).await.expect("in force").generation.number, 2);
    let again = client.commit_rules(&commit).await.expect_err("taken");
    assert!(matches!(again, ClientError::Refused(refusal) if refusal.code == "rules-changed-meanwhile"));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_signatures_are_made_without_another_tool() {
    let folder = tempfile::tempdir().expect("a folder");
    let keygen = program::run(folder.path(), &["rules", "keygen", "--json"]).await;
    let key: Json = serde_json::from_str(&keygen.stdout).expect("one JSON object");
    let key = key["key"].as_str().expect("a key").to_owned();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("rules.key")).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(program::run(folder.path(), &["rules", "keygen"]).await.code, 1, "a key is never overwritten");

    // One rule that is signed, in a folder of its own: the host starts with it.
    let rules = tempfile::tempdir().expect("a folder");
    std::fs::write(rules.path().join("category.wasm"), guests::component("category")).expect("write");
    let named = rules.path().join("category.wasm").display().to_string();
    let signed = program::run(folder.path(), &["rules", "sign", &named]).await;
    assert_eq!((signed.code, signed.stderr.as_str()), (0, ""));
    let more = format!(
        "rules_dir = \"{}\"\n[[rules]]\nfile = \"category.wasm\"\n[gate]\nsignatures = \"required\"\ntrusted_keys = [\"{key}\"]\n",
        rules.path().display()
    );
    let mut host = TestHost::with_config(&more).await;
    host.no_story("rules are changed, and there is no appointment");
    let door = Door { host, rules };
    door.host.app.serve().await.expect("it listens");

    let other = folder.path().join("other.wasm");
    std::fs::write(&other, guests::component("subject-tag")).expect("write");
    let other = other.display().to_string();
    let unsigned = door.cli(&["install", &other, "--yes"]).await;
    assert_eq!(unsigned.code, 1);
    assert!(unsigned.stderr.starts_with("error: rule file other.wasm is not signed"), "{}", unsigned.stderr);
    assert_eq!(program::run(folder.path(), &["rules", "sign", &other]).await.code, 0);
    let installed = door.cli(&["install", &other, "--yes"]).await;
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    assert_eq!(door.names().await, ["category", "subject-tag"]);
    // Another file under the signature.
    std::fs::write(&other, guests::component("messages")).expect("write");
    let wrong = door.cli(&["install", &other, "--yes"]).await;
    assert!(
        wrong.stderr.starts_with("error: rule file other.wasm is not what was signed with the key "),
        "{}",
        wrong.stderr
    );
    door.close().await;
}
