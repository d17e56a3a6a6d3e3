//! Requirement 13: chains are swapped under load, and no call fails or meets two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daybridge::model::Direction;
use daybridge::plugin::{Change, Live, RuleEntry, Setup};
use daybridge::rules::Rules;
use serde_json::json;

use super::support::{appointment, engine, entry, lay_out, no_lookups, passed};

/// How long the swapping goes on, in seconds: 60 by hand.
const SECONDS: &str = "DAYBRIDGE_SWAP_SECONDS";
/// Between two swaps: fifty a second.
const PACE: Duration = Duration::from_millis(20);
const CALLERS: usize = 4;

/// Three rules that each put the same mark before the subject.
fn marking(mark: &str) -> Vec<RuleEntry> {
    let rule = |name: &str, tag: String| RuleEntry { name: name.into(), ..entry("subject-tag", json!({ "tag": tag })) };
    // A rule takes its own tag off before it puts it on: each needs another one.
    vec![rule("one", format!("{mark}1 ")), rule("two", format!("{mark}2 ")), rule("three", format!("{mark}3 "))]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r13_fifty_swaps_a_second_under_load_neither_fail_nor_mix() {
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().expect("a folder");
    lay_out(folder.path(), &marking("a"));
    let config =
        |mark: &str| daybridge::plugin::ChainConfig { folder: Some(folder.path().to_owned()), rules: marking(mark) };
    let archive = Some(folder.path().join("kept"));
    let live = Live::open(Setup { archive, ..Setup::new(config("a"), engine(), no_lookups()) }).expect("a chain");
    let digest_a = live.current().generation().digest;
    let digest_b = live.configure(config("b")).expect("another chain").digest;
    assert_ne!(digest_a, digest_b);

    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (live, stop, digest_a) = (live.clone(), stop.clone(), digest_a.clone());
        callers.spawn(async move {
            let (mut calls, mut met) = (0_u64, std::collections::BTreeSet::new());
            while !stop.load(Ordering::Relaxed) {
                let chain = live.current();
                let generation = chain.generation();
                let subject = passed(&chain, Direction::CrmToExchange, &appointment()).await.appointment.subject;
                let expected = if generation.digest == digest_a { "a3 a2 a1 Budget" } else { "b3 b2 b1 Budget" };
                assert_eq!(subject, expected, "generation {}", generation.number);
                met.insert(generation.number);
                calls += 1;
            }
            (calls, met)
        });
    }

    let (begun, mut swaps, mut numbers) = (Instant::now(), 0_u32, Vec::new());
    let (mut pace, mut to) = (tokio::time::interval(PACE), 1);
    while begun.elapsed() < Duration::from_secs(seconds) {
        pace.tick().await;
        let swapper = live.clone();
        let swapped = tokio::task::spawn_blocking(move || {
            let proposed = swapper.propose(Change::Restore(Some(to)), "test").expect("a proposal");
            swapper.commit(proposed).expect("a swap").number
        });
        let number = swapped.await.expect("no panic");
        numbers.push(number);
        // The one before has the other chain, always.
        to = number - 1;
        swaps += 1;
    }
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (mut calls, mut met) = (0, std::collections::BTreeSet::new());
    while let Some(caller) = callers.join_next().await {
        let (more, numbers) = caller.expect("no call failed or was mixed");
        calls += more;
        met.extend(numbers);
    }
    println!("{swaps} swaps and {calls} calls in {took:?}; calls met {} generations", met.len());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a number was left out or used twice");
    assert!(calls > 0 && met.len() > 1);
    // On disk are the last ones only, and the files they need.
    assert_eq!(live.history().expect("the history").len(), 20.min(2 + swaps as usize));
}
