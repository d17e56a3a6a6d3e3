//! The breaker: a rule that fails for one appointment after another is set aside; one poison appointment is not enough.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use daybridge::clock::FixedClock;
use daybridge::model::{Appointment, Direction};
use daybridge::plugin::{
    Breaker, BreakerSettings, Chain, Duty, News, Observers, OnError, RuleEntry, RuleVersion, SetAside, Stand,
};
use daybridge::rules::{Call, Failure, FaultKind, Rules, Verdict};
use serde_json::json;

use super::support::{appointment, at, chain, entry};

struct Bench {
    clock: Arc<FixedClock>,
    breaker: Arc<Breaker>,
    chain: Chain,
}

impl Bench {
    fn new(act: &str, on_error: OnError) -> Self {
        let clock = Arc::new(FixedClock::new(at("2026-11-24T09:00:00Z"), 7));
        let breaker = Arc::new(Breaker::new(clock.clone(), BreakerSettings::default()));
        let chain = chain(vec![RuleEntry { on_error, ..entry("misbehaves", json!({"act": act})) }]);
        let chain = chain.observed(&Observers::new([breaker.clone() as _]));
        Self { clock, breaker, chain }
    }

    fn version(&self) -> RuleVersion {
        let rule = &self.chain.list()[0];
        RuleVersion { rule: rule.name.clone(), version: rule.version.clone(), digest: rule.digest.clone() }
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.advance(time);
    }

    /// Judges an appointment; the kind of the fault, or `passed`.
    async fn judge(&self, id: &str, poison: bool) -> &'static str {
        let source = Appointment { subject: if poison { "poison" } else { "good" }.into(), ..appointment() };
        let verdict = self.chain.judge(Call { id, direction: Direction::CrmToExchange, source: &source }).await;
        match verdict {
            Ok(Verdict::Pass(_)) => "passed",
            Ok(other) => panic!("{other:?}"),
            Err(fault) => fault.kind_name(),
        }
    }

    async fn fail(&self, appointments: u32) {
        for number in 0..appointments {
            self.judge(&format!("crm:{number}"), true).await;
        }
    }

    fn opened(&self) -> Option<SetAside> {
        self.breaker.set_aside().into_iter().next()
    }
}

#[tokio::test]
async fn a_query_of_death_never_opens_the_circuit() {
    let bench = Bench::new("poison", OnError::Park);
    for round in 0..100 {
        assert_eq!(bench.judge("crm:666", true).await, "panic", "round {round}");
        if round % 10 == 0 {
            assert_eq!(bench.judge(&format!("crm:{round}"), false).await, "passed");
        }
    }
    assert_eq!((bench.opened(), bench.breaker.news()), (None, Vec::new()));
}

#[tokio::test]
async fn five_appointments_of_the_last_calls_open_it_and_the_rule_is_not_called() {
    let bench = Bench::new("poison", OnError::Park);
    bench.fail(4).await;
    assert_eq!(bench.opened(), None);
    bench.fail(5).await;
    let opened = bench.opened().expect("set aside");
    assert_eq!((opened.rule.clone(), opened.duty, opened.kind), (bench.version(), Duty::Judging, "panic"));
    assert_eq!(opened.until - opened.since, TimeDelta::seconds(30));
    assert_eq!(bench.breaker.news(), [News::Opened(opened.clone())]);

    let source = appointment();
    let call = Call { id: "crm:77", direction: Direction::CrmToExchange, source: &source };
    let trace = bench.chain.trace(call).await;
    let fault = trace.verdict.expect_err("a fault");
    assert_eq!(fault.kind, FaultKind::SetAside { until: opened.until });
    assert_eq!((fault.kind_name(), fault.function.as_str(), fault.step), ("set-aside", "apply", 1));
    assert!(fault.hint().contains("mend rule misbehaves") && fault.to_string().contains("09:00:30 UTC"), "{fault}");
    // Without a call there is neither time nor memory.
    assert_eq!((fault.elapsed, fault.memory_peak, trace.steps[0].elapsed), (Duration::ZERO, 0, Duration::ZERO));
}

#[tokio::test]
async fn a_rule_that_mostly_works_stays_in_force() {
    let bench = Bench::new("poison", OnError::Park);
    for number in 0..60 {
        // One in three fails, each another appointment.
        bench.judge(&format!("crm:{number}"), number % 3 == 0).await;
    }
    assert_eq!(bench.opened(), None);
}

#[tokio::test]
async fn faults_of_long_ago_do_not_count() {
    let bench = Bench::new("poison", OnError::Park);
    bench.fail(4).await;
    bench.pass(TimeDelta::minutes(11));
    bench.judge("crm:99", true).await;
    assert_eq!(bench.opened(), None);
}

#[tokio::test]
async fn after_a_while_one_call_is_a_trial_and_decides() {
    let bench = Bench::new("poison", OnError::Park);
    bench.fail(5).await;
    assert_eq!(bench.breaker.stand("misbehaves"), Stand::Wait);
    let mut wait = 30;
    for round in 0..9 {
        bench.pass(TimeDelta::seconds(wait - 1));
        assert_eq!(bench.judge("crm:1", false).await, "set-aside", "before {wait} s");
        bench.pass(TimeDelta::seconds(1));
        assert_eq!(bench.breaker.stand("misbehaves"), Stand::OneMay);
        assert_eq!(bench.breaker.stand("misbehaves"), Stand::Wait, "only one");
        // One that failed before says little about the rule: it is no trial while others may come.
        assert!(!bench.breaker.may_try("misbehaves", "crm:1"));
        assert_eq!(bench.judge("crm:1", false).await, "set-aside");
        assert_eq!(bench.judge(&format!("crm:10{round}"), true).await, "panic", "the trial");
        assert_eq!(bench.judge("crm:2", false).await, "set-aside");
        wait = (wait * 2).min(3600);
        let opened = bench.opened().expect("set aside");
        assert_eq!(opened.until, bench.now() + TimeDelta::seconds(wait));
    }
    assert_eq!(wait, 3600);
    bench.pass(TimeDelta::hours(1) + TimeDelta::seconds(30));
    // No other came: one that failed is a trial too.
    assert_eq!(bench.judge("crm:2", false).await, "passed");
    assert_eq!((bench.opened(), bench.breaker.stand("misbehaves")), (None, Stand::Free));
    let news = bench.breaker.news();
    assert!(matches!(&news[..], [News::Opened(_), News::Closed { duty: Duty::Judging, .. }]), "{news:?}");
    // Those that had failed are poison themselves now that the rule works; it takes five others to set it aside again.
    bench.fail(5).await;
    bench.fail(5).await;
    assert_eq!(bench.opened(), None);
    for number in 0..5 {
        bench.judge(&format!("crm:20{number}"), true).await;
    }
    assert!(bench.opened().is_some());
}

impl Bench {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        daybridge::clock::Clock::now(&*self.clock)
    }
}

#[tokio::test]
async fn beside_a_trial_nobody_else_goes_and_a_lost_trial_is_given_up() {
    let bench = Bench::new("poison", OnError::Park);
    bench.fail(5).await;
    bench.pass(TimeDelta::seconds(30));
    let admit = |id: &str| daybridge::plugin::Observer::admit(&*bench.breaker, &bench.version(), "apply", id);
    assert_eq!(admit("crm:11"), Ok(()));
    assert!(admit("crm:12").is_err() && admit("crm:11").is_err());
    bench.pass(TimeDelta::seconds(60));
    assert_eq!(admit("crm:12"), Ok(()));
}

#[tokio::test]
async fn another_generation_tries_at_once_and_another_version_begins_anew() {
    let bench = Bench::new("poison", OnError::Park);
    bench.fail(5).await;
    assert_eq!(bench.judge("crm:1", false).await, "set-aside");
    bench.breaker.in_force(&[bench.version()]);
    assert_eq!(bench.breaker.stand("misbehaves"), Stand::OneMay);
    assert_eq!(bench.judge("crm:1", false).await, "passed");
    bench.fail(5).await;
    assert!(bench.opened().is_some());
    bench.breaker.news();
    bench.breaker.in_force(&[RuleVersion { digest: "another".into(), ..bench.version() }]);
    assert_eq!((bench.opened(), bench.breaker.stand("misbehaves")), (None, Stand::Free));
    assert_eq!(bench.breaker.news(), [News::Replaced { rule: bench.version(), duty: Duty::Judging }]);
}

#[tokio::test]
async fn a_rule_whose_failure_is_passed_over_is_passed_over_without_a_call() {
    let bench = Bench::new("poison", OnError::Skip);
    bench.fail(5).await;
    assert!(bench.opened().is_some());
    let source = Appointment { subject: "poison".into(), ..appointment() };
    let call = Call { id: "crm:9", direction: Direction::CrmToExchange, source: &source };
    let trace = bench.chain.trace(call).await;
    assert!(matches!(trace.verdict, Ok(Verdict::Pass(_))));
    assert_eq!(trace.steps[0].fault.as_ref().map(|fault| fault.kind_name()), Some("set-aside"));
    assert_eq!(trace.steps[0].elapsed, Duration::ZERO);
}

#[tokio::test]
async fn a_rule_that_cannot_word_failures_still_judges() {
    let bench = Bench::new("speechless", OnError::Park);
    let failure = |number: u32| Failure {
        code: "no-case".into(),
        class: "park".into(),
        origin: "crm".into(),
        message: "m".into(),
        hint: "h".into(),
        appointment: format!("crm:{number}"),
        attempts: 1,
    };
    for number in 0..5 {
        let fault = bench.chain.explain(&failure(number)).await.expect_err("a fault");
        assert_eq!((fault.function.as_str(), fault.kind_name()), ("explain", "panic"));
    }
    assert_eq!(bench.opened().map(|aside| aside.duty), Some(Duty::Wording));
    // It has nothing to say, which is no fault.
    assert_eq!(bench.chain.explain(&failure(9)).await, Ok(None));
    assert_eq!(bench.judge("crm:1", false).await, "passed");
    assert_eq!(bench.breaker.stand("misbehaves"), Stand::Free);
}
