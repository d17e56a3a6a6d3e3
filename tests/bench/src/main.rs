//! What a call of a rule costs: against the same logic native, on a kept instance, and in other plugin hosts.
//!
//! One process. Every case runs once in each round, the order turned from round to round; time is the processor time of
//! the thread, so that other work on the machine does not count; a ratio is the median over the rounds of the ratio within a
//! round. All cases are checked for the same outcome before they are timed. Prints tables with the targets; never fails
//! because something was slow.

mod cases;
mod payload;
mod probes;
mod swaps;

use anyhow::{Result, ensure};
use daybridge::plugin::{Engine, RuleEntry, bench};

use cases::Case;
use payload::Edits;
use swaps::Swaps;

const ROUNDS: usize = 15;
/// Processor time of each case in each round.
const SLICE_MICROSECONDS: f64 = 40_000.0;
/// How long chains are swapped under load; `--swaps SECONDS` does that alone, for as long as one likes.
const SWAP_SECONDS: u64 = 10;

struct Row {
    name: &'static str,
    case: Case,
    calls: u32,
    /// Microseconds a call, one for each round.
    times: Vec<f64>,
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--start", folder, count] = arguments.as_slice() {
        return probes::started(folder.as_ref(), count.parse()?);
    }
    let folder = tempfile::tempdir()?;
    let rule = cases::guest("mapping", folder.path())?;
    let engine = Engine::new()?;
    let one = cases::load(&engine, folder.path(), vec![RuleEntry::new("mapping.wasm")])?;
    let five = cases::FIVE.map(|name| RuleEntry::new(format!("{name}.wasm")));
    let five = cases::load(&engine, folder.path(), five.into())?;

    // For a look from outside (perf, strace): nothing but so many calls, of the chain or of a script's file.
    if let ["--calls", count, rest @ ..] = arguments.as_slice() {
        let mut case: fn(_) -> Case = cases::fresh;
        let rest = match rest {
            [rest @ .., "new"] => {
                case = cases::anew;
                rest
            }
            rest => rest,
        };
        let chain = match rest {
            [] => one,
            ["five"] => five,
            [script, ..] => {
                std::fs::copy(script, folder.path().join("rule.js"))?;
                cases::load(&engine, folder.path(), vec![RuleEntry::new("rule.js")])?
            }
        };
        println!("{:.1} µs a call", case(chain)(count.parse()?) / count.parse::<f64>()?);
        return Ok(());
    }

    if let ["--swaps", seconds] = arguments.as_slice() {
        return show_swaps(&engine, folder.path(), seconds.parse()?);
    }

    std::fs::write(folder.path().join("rule.js"), include_str!("rule.js"))?;
    let script = cases::load(&engine, folder.path(), vec![RuleEntry::new("rule.js")])?;
    let source = payload::host();
    let judged = Edits::from(&cases::passed(bench::judge_here(&script, cases::call(&source)))?);
    ensure!(judged == cases::expected(), "another outcome of the script: {judged:?}");
    let judged = Edits::from(&cases::passed(bench::judge_here(&one, cases::call(&source)))?);
    ensure!(judged == cases::expected(), "another outcome: {judged:?}");
    let kept = bench::reusing(|| {
        let _ = bench::judge_here(&one, cases::call(&source));
        cases::passed(bench::judge_here(&one, cases::call(&source)))
    });
    ensure!(Edits::from(&kept?) == cases::expected(), "another outcome on a kept instance");
    cases::passed(bench::judge_here(&five, cases::call(&source)))?;

    let mut rows = vec![
        row("native", cases::native_one()),
        row("native, chain of five", cases::native_five()),
        row("rule, left as it is", cases::reused(one.clone())),
        row("rule, sandbox put back", cases::fresh(one.clone())),
        row("rule, new sandbox", cases::anew(one.clone())),
        row("default chain of five, left as they are", cases::reused(five.clone())),
        row("default chain of five, sandboxes put back", cases::fresh(five.clone())),
        row("default chain of five, new sandboxes", cases::anew(five.clone())),
        row("rule in JavaScript, new sandbox", cases::fresh(script.clone())),
    ];
    let others: [(&'static str, Result<Case>); 6] = [
        ("rquickjs in process, context kept", cases::quickjs(false)),
        ("rquickjs in process, fresh context", cases::quickjs(true)),
        ("rquickjs, fresh context, our prelude", cases::quickjs_same()),
        ("extism, plugin kept", cases::extism(false)),
        ("extism, fresh plugin", cases::extism(true)),
        ("node, fresh vm context", cases::node()),
    ];
    for (name, case) in others {
        match case {
            Ok(case) => rows.push(row(name, case)),
            Err(error) => println!("left out: {name}: {error:#}"),
        }
    }
    measure(&mut rows);
    print_calls(&rows);
    print_rest(&engine, &one, &five, folder.path(), &rule)
}

fn row(name: &'static str, mut case: Case) -> Row {
    case(20);
    let each = case(20) / 20.0;
    Row { name, case, calls: (SLICE_MICROSECONDS / each).clamp(10.0, 1e6) as u32, times: Vec::new() }
}

fn measure(rows: &mut [Row]) {
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.rotate_left(round % rows.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let row = &mut rows[at];
            let each = (row.case)(row.calls) / f64::from(row.calls);
            row.times.push(each);
        }
    }
}

/// The median over the rounds of one case's time in terms of another's.
fn ratio(rows: &[Row], case: &str, base: &str) -> Option<f64> {
    let times = |name| rows.iter().find(|row| row.name == name).map(|row| &row.times);
    let (case, base) = (times(case)?, times(base)?);
    Some(median(case.iter().zip(base).map(|(case, base)| case / base).collect()))
}

fn print_calls(rows: &[Row]) {
    println!("\n{:<40} {:>9} {:>9} {:>13}", "a call", "µs", "× native", "× rule");
    for row in rows {
        let of = |base| ratio(rows, row.name, base).unwrap_or(f64::NAN);
        let each = median(row.times.clone());
        println!("{:<40} {each:>9.1} {:>9.2} {:>13.2}", row.name, of("native"), of("rule, sandbox put back"));
    }
    println!("\n{:<64} {:>8}  target", "ratio", "here");
    for (case, base, target) in [
        ("rule, sandbox put back", "rule, left as it is", "at most 1.5"),
        ("default chain of five, sandboxes put back", "native", "at most 30"),
        ("default chain of five, sandboxes put back", "native, chain of five", ""),
        ("default chain of five, sandboxes put back", "default chain of five, left as they are", ""),
        ("node, fresh vm context", "rule, sandbox put back", "at least 20"),
        ("extism, fresh plugin", "rule, sandbox put back", ""),
        ("extism, plugin kept", "rule, sandbox put back", ""),
        ("rule in JavaScript, new sandbox", "rquickjs in process, fresh context", "at most 1.0"),
        ("rule in JavaScript, new sandbox", "rquickjs, fresh context, our prelude", "the same work"),
        ("node, fresh vm context", "rule in JavaScript, new sandbox", ""),
    ] {
        if let Some(here) = ratio(rows, case, base) {
            println!("{:<64} {here:>8.2}  {target}", format!("{case} / {base}"));
        }
    }
}

fn print_rest(
    engine: &Engine,
    one: &daybridge::plugin::Chain,
    five: &daybridge::plugin::Chain,
    folder: &std::path::Path,
    rule: &std::path::Path,
) -> Result<()> {
    println!("\n{:<64} {:>8}  target", "two threads against one (median of rounds; best)", "here");
    for (name, (typical, best), target) in [
        ("native", probes::native_scaling(), "what the machine can give now"),
        ("rule, sandbox put back", probes::chain_scaling(one), "at least 1.7"),
        ("default chain of five, sandboxes put back", probes::chain_scaling(five), "at least 1.7"),
    ] {
        println!("{name:<64} {typical:>8.2}  {target} (best {best:.2})");
    }
    let start = probes::start(folder, rule, 64)?;
    ensure!(start.compiled == 0, "a start with a warm cache compiled {} rules", start.compiled);
    println!("\n{:<64} {:>8.1}  under 100", "start with 64 rules compiled before, ms", start.milliseconds);
    println!("{:<64} {:>8.1}  under 64", "resident memory after it, MiB", start.resident_mib);
    let (stop, worst) = probes::runaway(engine, folder)?;
    println!(
        "{:<64} {stop:>8.1}  at most 15 (worst of 25: {worst:.1})",
        "a loop with a deadline of 10 ms is stopped after, ms"
    );
    let (stop, worst) = probes::crowded(|| probes::runaway(engine, folder))?;
    println!("{:<64} {stop:>8.1}  (worst of 25: {worst:.1})", "the same with four busy threads for every core");
    show_swaps(engine, folder, SWAP_SECONDS)
}

fn show_swaps(engine: &Engine, folder: &std::path::Path, seconds: u64) -> Result<()> {
    let Swaps { seconds, swaps, calls, failed, mixed } = swaps::swaps(engine, folder, seconds)?;
    let name = format!("swaps a second under load, for {seconds:.0} s ({calls} calls)");
    println!("{name:<64} {:>8.1}  50 ({failed} failed, {mixed} of mixed generations)", swaps as f64 / seconds);
    Ok(())
}
