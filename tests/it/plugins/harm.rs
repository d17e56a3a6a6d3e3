//! Guests that misbehave: each is stopped by its limit and reported, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daybridge::model::{Appointment, Direction, Scalar, Time, Zone};
use daybridge::plugin::lookup::Kind;
use daybridge::plugin::{
    Chain, Compiler, Engine, EngineOptions, Limits, Metrics, Observer, Observers, OnError, RuleEntry,
};
use daybridge::rules::{Call, Conflict, FaultKind, Rules, Verdict};
use daybridge_tests::{guests, program};
use serde_json::json;

use super::support::{acting, appointment, at, chain, chain_on, entry, judge, passed, scrape};

use Direction::CrmToExchange;

/// Room for a busy machine between a limit and the moment a test notices. The limits themselves are far apart from it.
const MARGIN: Duration = Duration::from_secs(2);

/// Limits under which only the deadline can be what stops a loop, and cannot be what stops anything else, however busy the
/// machine is.
fn limits(act: &str) -> Limits {
    let deadline = if act == "loop" { Limits::default().deadline } else { Limits::MAXIMUM.deadline };
    Limits { deadline, ..Limits::default() }
}

/// Runs one act and checks all that a fault must say.
async fn check(act: &str, number: i64, expected: impl Fn(&FaultKind) -> bool) {
    let entry = entry("misbehaves", json!({"act": act, "number": number}));
    let chain = chain(vec![RuleEntry { limits: limits(act), ..entry }]);
    let started = Instant::now();
    let fault = judge(&chain, CrmToExchange, &appointment()).await.expect_err("a fault");
    let took = started.elapsed();
    println!("{act}: {fault} after {took:?}, memory {}", fault.memory_peak);
    assert!(expected(&fault.kind), "{act}: {:?}", fault.kind);
    assert!(took < limits(act).deadline + MARGIN, "{act} was stopped after {took:?}");
    assert_eq!((fault.rule.as_str(), fault.version.as_str(), fault.step), ("misbehaves", "0.1.0", 1));
    assert_eq!((fault.function.as_str(), fault.appointment.as_str()), ("apply", "crm:4711"));
    assert_eq!((fault.digest.as_str(), fault.digest.len()), (chain.list()[0].digest.as_str(), 64));
    assert!(fault.elapsed > Duration::ZERO && fault.elapsed <= took);
    // Its stack has 128 KiB, and what it allocates at first half of that.
    assert!((192 << 10..=Limits::default().memory).contains(&fault.memory_peak), "{}", fault.memory_peak);
    assert!(!fault.hint().is_empty());
}

#[tokio::test]
async fn r03_a_loop_ends_at_the_deadline() {
    check("loop", 0, |kind| *kind == FaultKind::Deadline { limit: Limits::default().deadline }).await;
}

#[tokio::test]
async fn r06_an_allocation_ends_at_the_memory_limit() {
    let limit = Limits::default().memory;
    check(
        "allocate",
        0,
        |kind| matches!(kind, FaultKind::Memory { asked, limit: at } if *asked > limit && *at == limit),
    )
    .await;
}

#[tokio::test]
async fn recursion_ends_at_the_stack_limit_on_either_stack() {
    check("recurse", 0, |kind| matches!(kind, FaultKind::Stack { .. })).await;
    check("recurse-wide", 0, |kind| matches!(kind, FaultKind::Stack { .. })).await;
}

#[tokio::test]
async fn r09_a_panic_says_its_text_and_place() {
    let is = |message: &str, kind: &FaultKind| matches!(kind, FaultKind::Panic { message: m, place } if m.contains(message) && place.contains("misbehaves/src/lib.rs:") && !place.starts_with('/'));
    // The text is the guest's, so it is cleaned of what would turn the reading direction.
    check("panic", 42, |kind| is("no such case: 42", kind)).await;
    check("overflow", 9, |kind| is("index out of bounds", kind)).await;
}

#[tokio::test]
async fn r07_a_large_answer_is_refused() {
    let limit = Limits::default().answer;
    for (act, number) in [("answer", 2 << 20), ("answer", 9 << 20), ("answer-many", 300_000)] {
        check(act, number, |kind| *kind == FaultKind::Output { limit }).await;
    }
    let entry = entry("misbehaves", json!({"act": "answer", "number": 500_000}));
    let chain = chain(vec![RuleEntry { limits: limits("answer"), ..entry }]);
    assert_eq!(passed(&chain, CrmToExchange, &appointment()).await.appointment.body.text.len(), 500_000);
}

#[tokio::test]
async fn r07_log_lines_are_kept_up_to_a_limit_and_the_rest_counted() {
    for (act, number, written) in [
        ("log", 1000_i64, (0..1000).map(|n| format!("line {n} of a very talkative rule").len()).sum()),
        ("log-long", 50_000, 50_000),
    ] {
        let trace =
            acting(act, number).trace(Call { id: "crm:1", direction: CrmToExchange, source: &appointment() }).await;
        assert!(matches!(trace.verdict, Ok(Verdict::Pass(_))));
        let (last, kept) = trace.steps[0].lines.split_last().expect("lines");
        let bytes: usize = kept.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= 16 << 10, "{bytes}");
        assert_eq!(last.text, format!("{} bytes dropped", written - bytes));
    }
}

#[tokio::test]
async fn r07_what_a_rule_says_reaches_people_cleaned_and_named() {
    let verdict = judge(&acting("skip", 0), CrmToExchange, &appointment()).await;
    assert!(
        matches!(verdict, Ok(Verdict::Skip { rule, reason }) if rule == "misbehaves" && reason == "it says [31mso")
    );
    let verdict = judge(&acting("hold", 0), CrmToExchange, &appointment()).await;
    assert!(
        matches!(verdict, Ok(Verdict::Hold { after, reason, .. }) if after == Duration::from_secs(90) && reason == "not yet")
    );
    let Ok(Verdict::Refuse(refusal)) = judge(&acting("refuse", 0), CrmToExchange, &appointment()).await else {
        panic!()
    };
    assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("no-case", "There is no case"));
    assert_eq!((refusal.field.as_deref(), refusal.retry), (Some("regarding"), true));
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_named() {
    let chain = chain(vec![RuleEntry { lookups: vec![Kind::Users], ..entry("lies", json!({})) }]);
    let time = || Time::timed(at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z"), Zone::UTC);
    for (subject, expected) in
        [("unknown", "names field colour, which this version does not know"), ("kind", "sets field subject to a flag")]
    {
        let fault = judge(&chain, CrmToExchange, &Appointment::new(subject, time())).await.expect_err("a fault");
        assert_eq!(fault.kind, FaultKind::Answer(expected.into()));
    }
    assert!(judge(&chain, CrmToExchange, &Appointment::new("mail", time())).await.is_ok());
    let conflict = Conflict {
        field: daybridge::model::Field::Subject,
        base: daybridge::model::Value::Empty,
        crm: daybridge::model::Value::Empty,
        exchange: daybridge::model::Value::Empty,
    };
    let call = Call { id: "crm:1", direction: CrmToExchange, source: &appointment() };
    let fault = chain.resolve(&[conflict], call).await.expect_err("a fault");
    assert_eq!(
        (fault.function.as_str(), fault.kind),
        ("resolve", FaultKind::Answer("sets field subject to a number".into()))
    );
    let fault = chain.match_user(&Default::default(), &[]).await.expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::Answer("it chose a user who is none of the candidates".into()));
}

#[tokio::test]
async fn r01_nothing_is_kept_from_one_call_to_the_next() {
    let chain = acting("count", 0);
    for _ in 0..100 {
        let draft = passed(&chain, CrmToExchange, &appointment()).await;
        assert_eq!(draft.appointment.custom.get("calls"), Some(&Scalar::Number(1)));
    }
}

/// A rule's sandbox is put back after its call, and then no byte of its memory is another than in a new one, whatever the
/// call before did; one that cannot be put back is not used again.
#[tokio::test]
async fn r01_a_sandbox_that_was_put_back_cannot_be_told_from_a_new_one() {
    let metrics = Metrics::default();
    let observed = |chain: Chain| chain.observed(&Observers::new([Arc::new(metrics.clone()) as Arc<dyn Observer>]));
    let chain = observed(acting("as-told", 300));
    let told = async |act: &str| {
        let source = Appointment { subject: act.into(), ..appointment() };
        chain.judge(Call { id: "crm:4711", direction: CrmToExchange, source: &source }).await
    };
    let answer = async |act: &str| match told(act).await {
        Ok(Verdict::Pass(draft)) => draft.appointment.location,
        other => panic!("{act}: {other:?}"),
    };
    let new = answer("fingerprint").await;
    assert_eq!(new.len(), 16, "{new}");
    let mut calls = 1_u64;
    for act in ["nothing", "hoard", "count", "log", "talk", "answer", "answer-many", "skip", "hold", "refuse", "panic"]
    {
        // On each of the threads, in turn.
        for _ in 0..8 {
            let _ = told(act).await;
            assert_eq!(answer("fingerprint").await, new, "after {act}");
            assert_eq!(answer("recall").await, "0", "after {act}");
            calls += 3;
        }
    }
    let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)) as u64;
    let made = sandboxes(&metrics, "misbehaves");
    println!("{made} sandboxes for {calls} calls");
    // One for each thread, and one more after each panic.
    assert!(made <= threads + 8 && made < calls / 2, "{made} for {calls}");

    // Memory that has grown cannot shrink.
    let metrics = Metrics::default();
    let chain = acting("hoard", 100_000).observed(&Observers::new([Arc::new(metrics.clone()) as Arc<dyn Observer>]));
    for _ in 0..10 {
        passed(&chain, CrmToExchange, &appointment()).await;
    }
    assert_eq!(sandboxes(&metrics, "misbehaves"), 10);

    // And who wants a new one for every call gets it.
    let metrics = Metrics::default();
    let compiler = Compiler::Program(program::path());
    let engine = EngineOptions { compiler, new_sandboxes: true, ..EngineOptions::default() };
    let chain =
        chain_on(&Engine::with(engine).expect("an engine"), vec![entry("category", json!({}))]).expect("a chain");
    let chain = chain.observed(&Observers::new([Arc::new(metrics.clone()) as Arc<dyn Observer>]));
    for _ in 0..10 {
        passed(&chain, CrmToExchange, &appointment()).await;
    }
    assert_eq!(sandboxes(&metrics, "category"), 10);
}

/// How many sandboxes were made for calls of a rule's `apply`.
fn sandboxes(metrics: &Metrics, rule: &str) -> u64 {
    scrape(metrics).0.sum("daybridge_rule_sandboxes_total", &[("rule", rule), ("function", "apply")]) as u64
}

#[tokio::test]
async fn r21_a_look_up_that_was_not_asked_for_is_not_answered() {
    let draft = passed(&acting("lookup", 0), CrmToExchange, &appointment()).await;
    assert_eq!(draft.appointment.location, "Err(NotGranted)");
}

#[tokio::test]
async fn a_failed_rule_is_passed_over_only_if_the_operator_says_so() {
    let rules = |on_error| {
        let failing = RuleEntry { on_error, ..entry("misbehaves", json!({"act": "panic"})) };
        vec![failing, entry("category", json!({}))]
    };
    assert!(judge(&chain(rules(OnError::Park)), CrmToExchange, &appointment()).await.is_err());
    let call = Call { id: "crm:1", direction: CrmToExchange, source: &appointment() };
    let trace = chain(rules(OnError::Skip)).trace(call).await;
    assert!(matches!(trace.verdict, Ok(Verdict::Pass(draft)) if draft.appointment.categories == ["CRM"]));
    assert!(trace.steps[0].fault.is_some() && trace.steps[1].fault.is_none());
    assert_eq!(trace.steps[1].edited, ["categories"]);
}

/// Requirement 2: each of them a thousand times, alternated with a good rule.
#[tokio::test]
async fn r02_a_good_rule_is_unharmed_by_a_thousand_calls_of_each_bad_one() {
    const CALLS: usize = 1000;
    let bad: Vec<Chain> = ["loop", "allocate", "recurse", "recurse-wide", "panic", "answer", "log-long"]
        .map(|act| {
            let deadline = if act == "loop" { Limits::MINIMUM.deadline } else { Limits::MAXIMUM.deadline };
            let limits = Limits { deadline, memory: 4 << 20, answer: 64 << 10, ..Limits::default() };
            chain(vec![RuleEntry { limits, ..entry("misbehaves", json!({"act": act, "number": 200_000})) }])
        })
        .into();
    let good = chain(vec![entry("category", json!({}))]);
    let expected = passed(&good, CrmToExchange, &appointment()).await;
    let mut before = 0;
    for round in 0..CALLS {
        for chain in &bad {
            // "log-long" passes, all others fail; what matters is that they ran.
            let _ = judge(chain, CrmToExchange, &appointment()).await;
            assert_eq!(passed(&good, CrmToExchange, &appointment()).await, expected, "round {round}");
        }
        if round == CALLS / 10 {
            before = resident();
        }
    }
    let after = resident();
    println!("resident memory: {before} KiB after a tenth of the calls, {after} KiB after all");
    // Only where this test has a process of its own is the memory its own.
    if std::env::var_os("NEXTEST").is_some() {
        assert!(after <= before + before / 20, "{before} KiB became {after} KiB");
    }
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Requirement 3: many more threads want the processor than there are, and rules loop beside good ones.
#[tokio::test]
async fn r03_a_loop_is_stopped_and_good_calls_are_not_on_a_machine_that_is_too_busy() {
    let limits = Limits { deadline: Duration::from_millis(100), ..Limits::default() };
    let rules = vec![RuleEntry { limits, ..entry("misbehaves", json!({"act": "loop"})) }];
    let looping = Arc::new(chain(rules));
    let patient = Limits { deadline: Limits::MAXIMUM.deadline, ..Limits::default() };
    let good = Arc::new(chain(vec![RuleEntry { limits: patient, ..entry("category", json!({})) }]));
    let busy = Arc::new(AtomicBool::new(true));
    let spinning: Vec<_> = (0..4 * std::thread::available_parallelism().map_or(2, usize::from))
        .map(|_| {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let looping = Arc::clone(&looping);
        calls.spawn(async move {
            let fault = judge(&looping, CrmToExchange, &appointment()).await.expect_err("a fault");
            assert_eq!(fault.kind, FaultKind::Deadline { limit: Duration::from_millis(100) });
            println!("a loop was stopped after {:?}", fault.elapsed);
            // The clock is read, so a late tick delays the stop and never makes it come early.
            assert!((Duration::from_millis(100)..MARGIN).contains(&fault.elapsed), "{:?}", fault.elapsed);
        });
    }
    for _ in 0..16 {
        let good = Arc::clone(&good);
        calls.spawn(async move {
            assert_eq!(passed(&good, CrmToExchange, &appointment()).await.appointment.categories, ["CRM"]);
        });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("as it should be");
    }
    busy.store(false, Ordering::Relaxed);
    spinning.into_iter().for_each(|thread| thread.join().expect("it ends"));
}

/// One thread for the host's tasks, as bad as it can be: were rules run on it, the timer could not fire before a rule ends.
#[tokio::test(flavor = "current_thread")]
async fn r04_spinning_rules_do_not_delay_the_hosts_timers() {
    let limits = Limits { deadline: Duration::from_secs(2), ..Limits::default() };
    let rules = vec![RuleEntry { limits, ..entry("misbehaves", json!({"act": "loop"})) }];
    // An engine of its own: other tests need the threads of the common one.
    let spinning = Arc::new(chain_on(&guests::engine(), rules).expect("a chain that loads"));
    let ended = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (spinning, ended) = (Arc::clone(&spinning), Arc::clone(&ended));
        tasks.spawn(async move {
            let fault = judge(&spinning, CrmToExchange, &appointment()).await.expect_err("a fault");
            ended.store(true, Ordering::SeqCst);
            fault.kind
        });
    }
    tokio::task::yield_now().await;
    let started = Instant::now();
    let timer = tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>());
    timer.await.expect_err("only the timer ends this");
    let late = started.elapsed() - Duration::from_millis(10);
    println!("a timer beside two spinning rules was {late:?} late");
    assert!(!ended.load(Ordering::SeqCst), "the rules ended before the timer");
    assert!(late < Duration::from_secs(1), "{late:?}");
    while let Some(kind) = tasks.join_next().await {
        assert!(matches!(kind, Ok(FaultKind::Deadline { .. })));
    }
}
