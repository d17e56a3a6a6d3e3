//! What is no ratio of calls: threads, start, memory, the stop of a rule that runs away, swaps under load.

use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use daybridge::plugin::{Chain, Compiler, Engine, EngineOptions, Limits, RuleEntry, bench};
use serde_json::json;

use crate::{cases, median, payload};

/// Calls a second of so many threads together, over a quarter of a second.
fn throughput(threads: usize, work: &(dyn Fn() + Sync)) -> f64 {
    let (gate, length) = (Barrier::new(threads), Duration::from_millis(250));
    let run = || {
        gate.wait();
        let (started, mut calls) = (Instant::now(), 0_u32);
        while started.elapsed() < length {
            work();
            calls += 1;
        }
        f64::from(calls) / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().expect("a thread that ends")).sum()
    })
}

/// Two threads against one: the median over rounds, and the best of them. On a machine that is busy the best says more.
pub fn scaling(work: &(dyn Fn() + Sync)) -> (f64, f64) {
    let ratios: Vec<f64> = (0..12).map(|_| throughput(2, work) / throughput(1, work)).collect();
    let best = ratios.iter().copied().fold(0.0, f64::max);
    (median(ratios), best)
}

pub fn native_scaling() -> (f64, f64) {
    let source = payload::native();
    scaling(&|| {
        std::hint::black_box((source.clone(), source.clone(), source.clone()));
    })
}

pub fn chain_scaling(chain: &Chain) -> (f64, f64) {
    let source = payload::host();
    scaling(&|| {
        std::hint::black_box(bench::judge_here(chain, cases::call(&source)));
    })
}

/// What a start with rules that were compiled before takes, in a process of its own.
pub struct Start {
    pub milliseconds: f64,
    pub resident_mib: f64,
    pub compiled: u64,
}

/// Lays out so many different rules, compiles them once, then starts a process with them a few times.
pub fn start(folder: &Path, rule: &Path, count: usize) -> Result<Start> {
    let component = std::fs::read(rule)?;
    for number in 0..count {
        // Another custom section makes another rule.
        let mut bytes = component.clone();
        bytes.extend([0, 4, 1, b'n', (number % 256) as u8, (number / 256) as u8]);
        std::fs::write(folder.join(format!("rule-{number}.wasm")), bytes)?;
    }
    let run = || -> Result<Start> {
        let output =
            Command::new(std::env::current_exe()?).arg("--start").arg(folder).arg(count.to_string()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| said[name].as_f64().context("a number");
        let compiled = said["compiled"].as_u64().context("a number")?;
        Ok(Start { milliseconds: number("milliseconds")?, resident_mib: number("resident_mib")?, compiled })
    };
    run()?;
    let starts = (0..7).map(|_| run()).collect::<Result<Vec<_>>>()?;
    Ok(Start {
        milliseconds: median(starts.iter().map(|start| start.milliseconds).collect()),
        resident_mib: median(starts.iter().map(|start| start.resident_mib).collect()),
        compiled: starts.iter().map(|start| start.compiled).sum(),
    })
}

/// The child of [`start`].
pub fn started(folder: &Path, count: usize) -> Result<()> {
    let began = Instant::now();
    let cache = Some(folder.join("compiled"));
    let engine = Engine::with(EngineOptions { cache, compiler: Compiler::Within, ..EngineOptions::default() })?;
    let rules = (0..count)
        .map(|number| RuleEntry { name: format!("rule-{number}"), ..RuleEntry::new(format!("rule-{number}.wasm")) });
    let chain = cases::load(&engine, folder, rules.collect())?;
    let milliseconds = began.elapsed().as_secs_f64() * 1e3;
    ensure!(chain.list().len() == count, "all rules load");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    let kib: f64 = resident.trim().trim_end_matches(" kB").trim().parse()?;
    println!(
        "{}",
        json!({ "milliseconds": milliseconds, "resident_mib": kib / 1024.0, "compiled": engine.compiled_count() })
    );
    Ok(())
}

/// Does work while four times as many threads as there are cores never rest.
pub fn crowded<T>(work: impl FnOnce() -> T) -> T {
    let busy = AtomicBool::new(true);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..4 * cores {
            scope.spawn(|| while busy.load(Ordering::Relaxed) {});
        }
        let done = work();
        busy.store(false, Ordering::Relaxed);
        done
    })
}

/// How long a rule runs that loops, with a deadline of 10 ms: the median and the longest, in milliseconds.
pub fn runaway(engine: &Engine, folder: &Path) -> Result<(f64, f64)> {
    cases::guest("misbehaves", folder)?;
    let limits = Limits { deadline: Duration::from_millis(10), ..Limits::default() };
    let settings = json!({"act": "loop"}).as_object().cloned().unwrap_or_default();
    let chain = cases::load(engine, folder, vec![RuleEntry { limits, settings, ..RuleEntry::new("misbehaves.wasm") }])?;
    let source = payload::host();
    let stops = (0..25).map(|_| {
        let began = Instant::now();
        ensure!(bench::judge_here(&chain, cases::call(&source)).verdict.is_err(), "it was stopped");
        Ok(began.elapsed().as_secs_f64() * 1e3)
    });
    let stops = stops.collect::<Result<Vec<_>>>()?;
    let longest = stops.iter().copied().fold(0.0, f64::max);
    Ok((median(stops), longest))
}
