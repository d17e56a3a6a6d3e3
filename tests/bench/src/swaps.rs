//! Whole chains replaced fifty times a second while others judge by them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use daybridge::plugin::lookup::NoLookups;
use daybridge::plugin::{ChainConfig, Change, Engine, Live, RuleEntry, Setup};
use daybridge::rules::{Rules as _, Verdict};
use serde_json::json;

use crate::{cases, payload};

/// Between two swaps.
const PACE: Duration = Duration::from_millis(20);
const CALLERS: usize = 2;

/// What came of it.
#[derive(Default)]
pub struct Swaps {
    pub seconds: f64,
    pub swaps: u64,
    pub calls: u64,
    /// Calls that met no verdict.
    pub failed: u64,
    /// Calls whose answer is not that of the generation they were made by.
    pub mixed: u64,
}

/// Two rules that each put a mark before the subject; a chain marks all with `a`, or all with `b`.
fn marking(folder: &Path, mark: &str) -> ChainConfig {
    let rule = |name: &str, number: u32| {
        let settings = json!({ "tag": format!("{mark}{number} ") }).as_object().cloned().unwrap_or_default();
        RuleEntry { name: name.to_owned(), settings, ..RuleEntry::new("subject-tag.wasm") }
    };
    ChainConfig { folder: Some(folder.to_owned()), rules: vec![rule("one", 1), rule("two", 2)] }
}

/// Swaps for so long, each written to the disk and flushed as in a host, while two callers judge without a pause.
pub fn swaps(engine: &Engine, folder: &Path, seconds: u64) -> Result<Swaps> {
    std::fs::copy(cases::root().join("plugins/dist/subject-tag.wasm"), folder.join("subject-tag.wasm"))?;
    let archive = Some(folder.join("kept"));
    let setup = Setup::new(marking(folder, "a"), engine.clone(), Arc::new(NoLookups));
    let live = Live::open(Setup { archive, ..setup })?;
    let first = live.current().generation().digest;
    live.configure(marking(folder, "b"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime
        .block_on(async {
            let stop = Arc::new(AtomicBool::new(false));
            let callers: Vec<_> =
                (0..CALLERS).map(|_| tokio::spawn(judge(live.clone(), first.clone(), Arc::clone(&stop)))).collect();
            let (begun, length) = (Instant::now(), Duration::from_secs(seconds));
            let (mut pace, mut to, mut done) = (tokio::time::interval(PACE), 1, Swaps::default());
            while begun.elapsed() < length {
                pace.tick().await;
                let swapper = live.clone();
                let number = tokio::task::spawn_blocking(move || -> Result<u64> {
                    let proposed = swapper.propose(Change::Restore(Some(to)), "benchmark")?;
                    Ok(swapper.commit(proposed)?.number)
                });
                // The one before has the other chain, always.
                to = number.await?? - 1;
                done.swaps += 1;
            }
            done.seconds = begun.elapsed().as_secs_f64();
            stop.store(true, Ordering::Relaxed);
            for caller in callers {
                let (calls, failed, mixed) = caller.await?;
                done.calls += calls;
                done.failed += failed;
                done.mixed += mixed;
            }
            ensure!(done.calls > 0, "nothing was judged");
            Ok(done)
        })
        .context("swap under load")
}

async fn judge(live: Live, first: String, stop: Arc<AtomicBool>) -> (u64, u64, u64) {
    let (source, mut calls, mut failed, mut mixed) = (payload::host(), 0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        let chain = live.current();
        let mark = if chain.generation().digest == first { "a" } else { "b" };
        match chain.judge(cases::call(&source)).await {
            Ok(Verdict::Pass(draft)) => {
                let expected = format!("{mark}2 {mark}1 {}", source.subject);
                mixed += u64::from(draft.appointment.subject != expected);
            }
            _ => failed += 1,
        }
        calls += 1;
    }
    (calls, failed, mixed)
}
