//! What becomes of an appointment at which a rule fails or refuses, through the whole host: six ways to fail, four ways to go on.

use std::path::Path;

use daybridge::control::{Desk, EntryState, QueueEntry};
use daybridge_tests::crm::Booking;
use daybridge_tests::guests;
use daybridge_tests::host::{Mails, TestHost};
use daybridge_tests::time::day;
use daybridge_tests::user::SUSAN;

/// What a rule does, the limits under which it does only that, and the code it is known by.
const FAULTS: [(&str, &str, &str); 6] = [
    ("loop", "deadline_ms = 60", "rule-deadline"),
    ("allocate", "deadline_ms = 9000", "rule-memory"),
    ("recurse", "deadline_ms = 9000", "rule-stack"),
    ("panic", "deadline_ms = 9000", "rule-panic"),
    ("answer", "deadline_ms = 9000", "rule-output"),
    ("condition", "deadline_ms = 9000", "rule-condition"),
];

/// A chain of one rule per way to fail, each failing at the appointment whose subject is its name only.
fn failing(folder: &Path, on_error: &str) -> String {
    std::fs::write(folder.join("house.wasm"), guests::component("misbehaves")).expect("the rule is written");
    let mut chain = format!("rules_dir = \"{}\"\n", folder.display());
    for (act, limits, _) in FAULTS {
        let condition = match act {
            "condition" => "appointment.subject == 'condition' && appointment.custom.nowhere == 'x'".to_owned(),
            act => format!("appointment.subject == '{act}'"),
        };
        chain.push_str(&format!(
            "[[rules]]\nfile = \"house.wasm\"\nname = \"{act}\"\ncondition = \"{condition}\"\non_error = \"{on_error}\"\n\
             settings = {{ act = \"{act}\", number = 2000000 }}\nlimits = {{ {limits} }}\n"
        ));
    }
    chain
}

/// The same rules, mended: they do no harm, and nobody is asked about a column that is not there.
fn mended(folder: &Path) -> String {
    format!(
        "rules_dir = \"{}\"\n[[rules]]\nfile = \"house.wasm\"\nsettings = {{ act = \"nothing\" }}\n",
        folder.display()
    )
}

async fn entry(host: &TestHost, id: &str) -> Option<QueueEntry> {
    host.app.queue_entry(&format!("crm:{id}")).await.ok()
}

async fn book(host: &TestHost, subject: &str, days: u32) -> String {
    host.crm().book(&Booking::at(subject, &day(i64::from(days)), 9, SUSAN)).await
}

async fn written(host: &TestHost) -> usize {
    host.outlook("susan.maye").calendar().await.len()
}

#[tokio::test]
async fn r11_park_keeps_each_appointment_at_which_a_rule_failed_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&failing(folder.path(), "park")).await;
    let mut ids = Vec::new();
    for (number, (act, ..)) in (30..).zip(FAULTS) {
        ids.push(book(&host, act, number).await);
    }
    book(&host, "Good", 50).await;
    host.settle().await;
    assert_eq!(written(&host).await, 1, "the good one alone");
    for (id, (act, _, code)) in ids.iter().zip(FAULTS) {
        let entry = entry(&host, id).await.expect("kept");
        let reason = entry.reason.expect("a reason");
        assert_eq!((entry.state, reason.code.as_str()), (EntryState::Parked, code), "{act}: {}", reason.message);
        assert!(!reason.hint.is_empty());
    }
    host.reload_with(&mended(folder.path())).await;
    host.retry_all().await;
    host.settle().await;
    host.oracle(7, Mails::NONE).await;
}

#[tokio::test]
async fn r11_retry_tries_again_by_itself_until_the_rule_does_its_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&failing(folder.path(), "retry")).await;
    let mut ids = Vec::new();
    for (number, (act, ..)) in (30..).zip(FAULTS) {
        ids.push(book(&host, act, number).await);
    }
    for (id, (act, _, code)) in ids.iter().zip(FAULTS) {
        let tried =
            host.until("a second try", || async { entry(&host, id).await.filter(|entry| entry.attempts >= 2) }).await;
        assert_eq!(tried.state, EntryState::Waiting, "{act}");
        assert_eq!(tried.reason.expect("a reason").code, code);
        assert!(tried.due.is_some());
    }
    assert_eq!((written(&host).await, host.parked().await.len()), (0, 0));
    // Nobody has to do anything but mend the rule.
    host.reload_with(&mended(folder.path())).await;
    host.settle().await;
    host.oracle(6, Mails::NONE).await;
}

#[tokio::test]
async fn r11_skip_goes_on_without_the_rule_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&failing(folder.path(), "skip")).await;
    let mut last = String::new();
    for (number, (act, ..)) in (30..).zip(FAULTS) {
        last = book(&host, act, number).await;
    }
    host.settle().await;
    assert_eq!(written(&host).await, 6);
    let open = host.app.status().await.expect("a status").fail_open;
    let rules: Vec<&str> = open.iter().map(|open| open.rule.as_str()).collect();
    assert_eq!(rules, FAULTS.map(|(act, ..)| act));
    assert!(open.iter().all(|open| open.times > 0), "{open:?}");
    let listed = host.app.rules().await.expect("the rules").rules;
    assert!(listed.iter().all(|rule| rule.options.on_error == "skip"));
    let trace = host.trace(&last).await;
    assert!(
        trace
            .contains("rule condition is passed over: it failed, and its entry says that the chain goes on without it"),
        "{trace}"
    );
    assert!(trace.contains("rule loop is passed over: its condition is not met"), "{trace}");
    host.oracle(6, Mails::NONE).await;
}

#[tokio::test]
async fn r11_stop_lets_nothing_be_written_until_the_rule_has_judged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stopping = failing(folder.path(), "stop");
    let mut host = TestHost::settled_with(&stopping).await;
    for (number, (act, _, code)) in (30..).zip(FAULTS) {
        let id = book(&host, act, number).await;
        host.pass(false).await;
        let stopped = host.app.status().await.expect("a status").stopped.expect("stopped");
        assert_eq!((stopped.rule.as_str(), stopped.reason.code.as_str()), (act, code));
        assert_eq!(stopped.keys, [format!("crm:{id}")]);
        assert!(stopped.reason.hint.contains("daybridge queue retry"), "{}", stopped.reason.hint);
        // What comes now waits, and spends no try.
        let later = book(&host, "Good", number + 20).await;
        host.pass(false).await;
        let waiting = entry(&host, &later).await.expect("it waits");
        assert_eq!((waiting.state, waiting.attempts, waiting.reason), (EntryState::Waiting, 0, None), "{act}");
        // A person lets the rule try as it is: it fails again, and all still waits.
        let before = written(&host).await;
        host.retry_all().await;
        host.pass(false).await;
        assert!(host.app.status().await.expect("a status").stopped.is_some());
        assert_eq!(written(&host).await, before, "{act}");
        // Mended: the appointment goes first, then the others.
        host.reload_with(&mended(folder.path())).await;
        host.until("the work goes on", || async { (written(&host).await == before + 2).then_some(()) }).await;
        assert_eq!(host.app.status().await.expect("a status").stopped, None);
        host.reload_with(&stopping).await;
    }
    host.reload_with(&mended(folder.path())).await;
    host.oracle(12, Mails::NONE).await;
}

#[tokio::test]
async fn a_stop_outlasts_a_restart_and_ends_when_a_person_gives_the_appointment_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut host = TestHost::settled_with(&failing(folder.path(), "stop")).await;
    let id = book(&host, "panic", 30).await;
    host.pass(false).await;
    book(&host, "Good", 31).await;
    host.pass(false).await;
    let notices = host.app.status().await.expect("a status").notices;
    assert!(
        notices.iter().any(|told| told.message.starts_with("Nothing is written any more: rule panic failed")),
        "{notices:?}"
    );
    host.restart().await;
    assert!(host.app.status().await.expect("a status").stopped.is_some(), "the entry tells of it");
    host.until("the rule tried again, alone", || async {
        entry(&host, &id).await.filter(|entry| entry.state == EntryState::Waiting && entry.due.is_some())
    })
    .await;
    assert_eq!(written(&host).await, 0);
    host.app.queue_discard(&format!("crm:{id}")).await.expect("discarded");
    host.until("the work goes on", || async { (written(&host).await == 1).then_some(()) }).await;
    assert_eq!(host.app.status().await.expect("a status").stopped, None);
    host.no_story("what was given up stays refused by its rule: every sweep would stop the work again");
}

#[tokio::test]
async fn r10_a_refusal_is_the_authors_word_and_a_fault_is_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("house.wasm"), guests::component("misbehaves")).expect("the rule is written");
    let mut chain = format!("rules_dir = \"{}\"\n", folder.path().display());
    for (act, words) in [
        ("refuse", ""),
        ("refuse-for-good", "default_message = \"Ask the help desk\"\n"),
        ("panic", "default_message = \"Ask the help desk\"\nonly_default_message = true\n"),
    ] {
        chain.push_str(&format!(
            "[[rules]]\nfile = \"house.wasm\"\nname = \"{act}\"\ncondition = \"appointment.subject == '{act}'\"\n\
             settings = {{ act = \"{act}\" }}\n{words}"
        ));
    }
    let mut host = TestHost::settled_with(&chain).await;
    host.no_story("one appointment is tried for ever");
    let retried = book(&host, "refuse", 30).await;
    let parked = book(&host, "refuse-for-good", 31).await;
    let fault = book(&host, "panic", 32).await;
    // Its author says that a later try can help, so it is tried by itself; the host words nothing of it.
    let tried =
        host.until("a second try", || async { entry(&host, &retried).await.filter(|entry| entry.attempts >= 2) }).await;
    let reason = tried.reason.expect("a reason");
    assert_eq!((tried.state, reason.code.as_str()), (EntryState::Waiting, "no-case"));
    let reason = entry(&host, &parked).await.filter(|entry| entry.state == EntryState::Parked).expect("parked").reason;
    let reason = reason.expect("a reason");
    assert_eq!(reason.code, "no-case");
    assert!(reason.message.starts_with("Ask the help desk (") && reason.message.len() > 25, "{}", reason.message);
    let reason = entry(&host, &fault).await.filter(|entry| entry.state == EntryState::Parked).expect("parked").reason;
    let reason = reason.expect("a reason");
    assert_eq!((reason.code.as_str(), reason.message.as_str()), ("rule-panic", "Ask the help desk"));
}
