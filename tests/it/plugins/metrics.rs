//! Figures about rules: exact after every kind of harm, bounded in number, and readable by a parser that others wrote.

use std::sync::Arc;

use daybridge::model::Direction::{self, CrmToExchange};
use daybridge::plugin::{
    Called, Chain, Limits, METRIC_VERSIONS_MAX, Metrics, Observer, Observers, Record, RuleEntry, RuleVersion,
};
use daybridge::rules::{Call, Rules};
use serde_json::json;

use super::support::{appointment, chain, entry, scrape};

fn watched(metrics: &Metrics, act: &str, number: i64) -> Chain {
    let deadline = if act == "loop" { Limits::default().deadline } else { Limits::MAXIMUM.deadline };
    let limits = Limits { deadline, ..Limits::default() };
    let rule = entry("misbehaves", json!({"act": act, "number": number}));
    let rules = vec![RuleEntry { name: act.to_owned(), limits, ..rule }];
    chain(rules).observed(&Observers::new([Arc::new(metrics.clone()) as Arc<dyn Observer>]))
}

const APPLY: (&str, &str) = ("function", "apply");

/// Requirement 24: after each kind of harm the counters are exact.
#[tokio::test]
async fn r24_counters_are_exact_after_each_kind_of_harm() {
    let metrics = Metrics::default();
    let acts = [
        ("loop", 0, Some("deadline")),
        ("allocate", 0, Some("memory")),
        ("recurse", 0, Some("stack")),
        ("recurse-wide", 0, Some("stack")),
        ("panic", 42, Some("panic")),
        ("answer", 9 << 20, Some("output")),
        ("log-long", 50_000, None),
        ("nothing", 0, None),
    ];
    let source = appointment();
    for (at, (act, number, fault)) in acts.into_iter().enumerate() {
        let chain = watched(&metrics, act, number);
        let calls = at + 1;
        let mut peak = 0;
        for _ in 0..calls {
            let call = Call { id: "crm:secret-key", direction: CrmToExchange, source: &source };
            let trace = chain.trace(call).await;
            peak = peak.max(trace.steps[0].memory_peak);
            assert_eq!(trace.steps[0].fault.as_ref().map(|fault| fault.kind_name()), fault, "{act}");
        }
        let (figures, text) = scrape(&metrics);
        let rule = [("rule", act), ("version", "0.1.0"), APPLY];
        let sum = |name: &str| figures.sum(name, &rule);
        let calls = calls as f64;
        assert_eq!(sum("daybridge_rule_calls_total"), calls, "{act}");
        assert_eq!(sum("daybridge_rule_faults_total"), if fault.is_some() { calls } else { 0.0 }, "{act}");
        if let Some(kind) = fault {
            let of_kind = [rule[0], APPLY, ("kind", kind)];
            assert_eq!(figures.sum("daybridge_rule_faults_total", &of_kind), calls, "{act}");
        }
        assert_eq!(sum("daybridge_rule_call_seconds_count"), calls, "{act}");
        assert!(sum("daybridge_rule_call_seconds_sum") > 0.0);
        let within = |bound: &str| figures.sum("daybridge_rule_call_seconds_bucket", &[rule[0], ("le", bound)]);
        assert_eq!(within("+Inf"), calls, "{act}");
        if act == "loop" {
            assert_eq!(within("0.25"), 0.0, "a call that was stopped after 500 ms was no shorter");
        }
        assert_eq!(sum("daybridge_rule_memory_peak_bytes"), peak as f64, "{act}");
        assert_eq!(sum("daybridge_rule_memory_bytes_count"), calls, "{act}");
        assert!(sum("daybridge_rule_in_bytes_total") >= calls * "Budget".len() as f64, "{act}");
        let (kept, dropped) = (sum("daybridge_rule_log_bytes_total"), sum("daybridge_rule_log_dropped_bytes_total"));
        assert_eq!((kept, dropped), (0.0, if act == "log-long" { 50_000.0 * calls } else { 0.0 }), "{act}");
        match act {
            // It adds a category, called "seen": a list of one word, under its name.
            "nothing" => assert_eq!(sum("daybridge_rule_out_bytes_total"), calls * 22.0),
            _ if fault.is_some_and(|kind| kind != "output") => {
                assert_eq!(sum("daybridge_rule_out_bytes_total"), 0.0, "{act}");
            }
            _ => {}
        }
        for private in ["secret-key", "Budget", "no such"] {
            assert!(!text.contains(private), "{private} is in the figures");
        }
    }
}

#[tokio::test]
async fn functions_are_counted_apart() {
    let metrics = Metrics::default();
    let chain = watched(&metrics, "nothing", 0);
    for direction in [CrmToExchange, Direction::ExchangeToCrm] {
        let source = appointment();
        chain.judge(Call { id: "crm:1", direction, source: &source }).await.expect("a verdict");
    }
    chain.match_user(&Default::default(), &[]).await.expect("an answer");
    let (figures, _) = scrape(&metrics);
    let calls = |function: &str| figures.sum("daybridge_rule_calls_total", &[("function", function)]);
    assert_eq!((calls("apply"), calls("match-user"), calls("explain")), (2.0, 1.0, 0.0));
}

#[test]
fn series_are_bounded_and_the_version_that_is_called_stays() {
    let metrics = Metrics::default();
    let version = |number: usize| RuleVersion {
        rule: "often".into(),
        version: format!("0.{number}.0"),
        digest: format!("{number:064}"),
    };
    let record = Record::default();
    let call = |rule: &RuleVersion| {
        metrics.called(&Called {
            rule,
            step: 1,
            function: "apply",
            appointment: "crm:1",
            fault: None,
            record: &record,
        });
    };
    let stays = RuleVersion { rule: "stays".into(), ..version(0) };
    for number in 0..3 * METRIC_VERSIONS_MAX {
        call(&stays);
        call(&version(number));
    }
    let (figures, _) = scrape(&metrics);
    assert_eq!(figures.count("daybridge_rule_calls_total"), METRIC_VERSIONS_MAX);
    assert_eq!(figures.sum("daybridge_rule_calls_total", &[("rule", "stays")]), 3.0 * METRIC_VERSIONS_MAX as f64);
    let newest = format!("0.{}.0", 3 * METRIC_VERSIONS_MAX - 1);
    assert_eq!(figures.sum("daybridge_rule_calls_total", &[("version", &newest)]), 1.0);
}

/// Somebody looks at what the rules would do: no figure moves, and nothing is kept of it.
#[tokio::test]
async fn looking_at_what_was_passed_over_counts_nowhere() {
    let metrics = Metrics::default();
    let source = appointment();
    let call = Call { id: "crm:1", direction: CrmToExchange, source: &source };
    let chain = watched(&metrics, "panic", 42);
    assert!(chain.passed_over(call).await.is_empty());
    assert!(!scrape(&metrics).1.contains("rule=\"panic\""));
    let _ = chain.judge(call).await;
    assert!(scrape(&metrics).1.contains("rule=\"panic\""), "a call does count");
}
