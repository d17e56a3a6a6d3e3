//! Replacement while running.

use std::path::Path;

use daybridge::lifecycle::Tasks;
use daybridge::model::Direction;
use daybridge::plugin::{ChainConfig, Live, Observers, RuleEntry, default_chain, default_rules};
use daybridge::rules::Rules;
use daybridge_tests::guests;
use daybridge_tests::wait::wait_for;
use serde_json::json;

use super::support::{appointment, engine, entry, lay_out, no_lookups, passed};

fn live(folder: &Path, rules: Vec<RuleEntry>) -> Live {
    Live::new(ChainConfig { folder: Some(folder.to_owned()), rules }, engine(), no_lookups(), Observers::default())
        .expect("a chain that loads")
}

async fn subject(live: &Live) -> String {
    passed(&live.current(), Direction::CrmToExchange, &appointment()).await.appointment.subject
}

#[tokio::test]
async fn a_reload_takes_the_new_file_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = vec![entry("subject-line", json!({})), entry("category", json!({}))];
    lay_out(folder.path(), &rules);
    let live = live(folder.path(), rules);
    let (held, before) = (live.current(), live.current().generation());

    std::fs::write(folder.path().join("category.wasm"), "rubbish").expect("write");
    let refused = live.reload().expect_err("a refusal").to_string();
    assert_eq!(
        refused,
        "rule file category.wasm is not WebAssembly; give the .wasm file that `daybridge rules build` makes"
    );
    assert_eq!(live.current().generation(), before);
    assert_eq!(subject(&live).await, "Budget");

    std::fs::write(folder.path().join("category.wasm"), guests::component("subject-tag")).expect("write");
    let after = live.reload().expect("a new chain");
    assert!(after.number > before.number && after.digest != before.digest);
    assert_eq!(subject(&live).await, "[CRM] Budget");
    // Whoever held the old chain finishes on it.
    let old = passed(&held, Direction::CrmToExchange, &appointment()).await.appointment;
    assert_eq!((old.subject.as_str(), old.categories.as_slice()), ("Budget", ["CRM".to_owned()].as_slice()));
}

#[tokio::test]
async fn a_replaced_file_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = vec![entry("category", json!({}))];
    lay_out(folder.path(), &rules);
    let live = live(folder.path(), rules);
    // Before the watch begins: must not be missed either.
    std::fs::write(folder.path().join("category.wasm"), guests::component("subject-tag")).expect("write");
    let tasks = Tasks::new();
    live.watch(&tasks);
    wait_for_subject(&live, "[CRM] Budget").await;
    std::fs::write(folder.path().join("category.wasm"), "half a file").expect("write");
    std::fs::write(folder.path().join("category.wasm"), guests::component("category")).expect("write");
    wait_for_subject(&live, "Budget").await;
    assert!(tasks.finish().await);
}

async fn wait_for_subject(live: &Live, expected: &str) {
    let state = format!("the subject becomes {expected}");
    wait_for(&state, || async { (subject(live).await == expected).then_some(()) }).await;
}

#[tokio::test]
async fn a_file_takes_the_place_of_a_built_in_rule() {
    let folder = tempfile::tempdir().expect("a folder");
    let live = live(folder.path(), default_chain());
    assert!(live.current().list().iter().all(|rule| rule.built_in && rule.enabled));
    assert_eq!(subject(&live).await, "Budget");
    std::fs::write(folder.path().join("status.wasm"), guests::component("subject-tag")).expect("write");
    live.reload().expect("a new chain");
    assert_eq!(subject(&live).await, "[CRM] Budget");
    assert_eq!(live.current().list().iter().filter(|rule| !rule.built_in).count(), 1);
}

#[tokio::test]
async fn r13_chains_are_replaced_under_load_without_a_mixed_or_failed_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = |tag: &str| {
        vec![
            entry("subject-tag", json!({"tag": tag})),
            RuleEntry { name: "again".into(), ..entry("subject-tag", json!({"tag": format!("{tag}{tag}")})) },
        ]
    };
    lay_out(folder.path(), &rules("a"));
    let live = live(folder.path(), rules("a"));
    let (callers, calls) = (4, 100);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let live = live.clone();
        tasks.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..calls {
                seen.push(subject(&live).await);
            }
            seen
        });
    }
    let mut swaps = 0;
    let mut seen = Vec::new();
    while let Some(more) = tasks.try_join_next().or_else(|| (swaps < 10_000).then(|| Ok(Vec::new()))) {
        seen.extend(more.expect("no panic"));
        swaps += 1;
        let config = ChainConfig {
            folder: Some(folder.path().to_owned()),
            rules: rules(if swaps % 2 == 0 { "a" } else { "b" }),
        };
        live.configure(config).expect("a new chain");
        tokio::task::yield_now().await;
        if tasks.is_empty() {
            break;
        }
    }
    println!("{swaps} replacements beside {} calls", seen.len());
    assert_eq!(seen.len(), callers * calls);
    assert!(seen.iter().all(|subject| ["aaaBudget", "bbbBudget"].contains(&subject.as_str())), "a mixed call");
}

#[test]
fn the_built_in_rules_are_those_of_the_sources() {
    let wrong = daybridge::plugin::package::check_dist(&guests::plugins()).expect("readable");
    assert!(wrong.is_empty(), "{wrong:?}; run: cargo run -p daybridge-tests --bin dist");
    for (name, bytes) in default_rules() {
        println!("{name}: {} bytes", bytes.len());
        assert!(bytes.len() < 128 << 10, "{name} has {} bytes", bytes.len());
    }
}
