//! Requirement 8, the kinds that no guest can be made to cause on purpose included: what is stored of each kind of fault is
//! what is read back, after a restart too.

use std::sync::Arc;
use std::time::Duration;

use daybridge::clock::FixedClock;
use daybridge::model::{Cause, Change, ItemRef, Key};
use daybridge::queue::{FailureRecord, Queue, QueueSettings, nothing_blocked};
use daybridge::rules::{AfterFault, Fault, FaultKind, Generation, Place, Refusal};
use daybridge::store::{MemoryStore, Store};
use daybridge::worker::Trouble;

use super::support::at;

fn fault(kind: FaultKind) -> Trouble {
    Trouble::from(Fault {
        rule: "house".into(),
        version: "1.2.3".into(),
        digest: "ab".repeat(32),
        step: 3,
        function: "resolve".into(),
        kind,
        appointment: "crm:1".into(),
        elapsed: Duration::from_micros(4711),
        memory_peak: 1 << 21,
        backtrace: vec!["inner".into(), "outer".into()],
        generation: Generation { number: 9, digest: "0123456789ab".into() },
        correlation: "feed-7".into(),
        then: AfterFault::Park,
        default_message: None,
    })
}

fn refusal() -> Trouble {
    let generation = Generation { number: 9, digest: "0123456789ab".into() };
    let place =
        Place { version: "1.2.3".into(), step: 3, generation, correlation: "feed-7".into(), ..Place::default() };
    let (code, message) = ("no-case".into(), "There is no case".into());
    Trouble::Refused(Refusal {
        rule: "house".into(),
        code,
        message,
        field: Some("regarding".into()),
        retry: false,
        default_message: None,
        place,
    })
}

#[tokio::test]
async fn r08_each_kind_is_stored_whole() {
    let until = at("2026-11-24T10:00:00Z");
    let rows = [
        (fault(FaultKind::Deadline { limit: Duration::from_millis(500) }), "deadline", "ran longer than 500ms"),
        (fault(FaultKind::Memory { asked: 9, limit: 8 }), "memory", "asked for 9 bytes of memory, limit 8"),
        (fault(FaultKind::Table { asked: 9, limit: 8 }), "table", "asked for 9 table elements, limit 8"),
        (fault(FaultKind::Stack { limit: 8 }), "stack", "recursed deeper than its stack of 8 bytes"),
        (fault(FaultKind::Output { limit: 8 }), "output", "answered with more than 8 bytes"),
        (
            fault(FaultKind::Panic { message: "no case".into(), place: "src/lib.rs:7".into() }),
            "panic",
            "panicked: no case (src/lib.rs:7)",
        ),
        (fault(FaultKind::Trap("unreachable".into())), "trap", "trapped: unreachable"),
        (
            fault(FaultKind::Answer("sets subject to a flag".into())),
            "answer",
            "gave a bad answer: sets subject to a flag",
        ),
        (fault(FaultKind::Start("no memory".into())), "start", "could not be started: no memory"),
        (
            fault(FaultKind::SetAside { until }),
            "set-aside",
            "set aside because it kept failing; tried again at 2026-11-24 10:00:00 UTC",
        ),
        (refusal(), "refusal", "no-case: There is no case"),
    ];
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = Arc::new(FixedClock::new(at("2026-11-24T09:00:00Z"), 7));
    let settings = QueueSettings { settle: Duration::ZERO, ..QueueSettings::default() };
    let open = || async { Queue::open(store.clone(), clock.clone(), settings).await.expect("a queue") };
    for (trouble, kind, message) in rows {
        let queue = open().await;
        let key = Key::Crm(kind.into());
        let change = Change { at: ItemRef::crm(kind), uid: None, stamp: None, cause: Cause::Feed };
        queue.put(vec![(key.clone(), change)]).await.expect("queued");
        let lease = queue.lease(Duration::from_secs(60), &nothing_blocked).await.expect("a queue").expect("due");
        let rule = trouble.rule().expect("a rule's failure");
        assert_eq!((rule.kind.as_str(), rule.message.as_str()), (kind, message));
        assert_eq!((rule.rule.as_str(), rule.version.as_str(), rule.step), ("house", "1.2.3", 3));
        assert_eq!((rule.generation, rule.generation_digest.as_str()), (9, "0123456789ab"));
        assert_eq!(rule.correlation, "feed-7");
        if kind == "refusal" {
            assert_eq!((rule.function.as_str(), rule.field.as_deref()), ("apply", Some("regarding")));
        } else {
            assert_eq!(trouble.code(), format!("rule-{kind}"));
            assert_eq!((rule.function.as_str(), &rule.field), ("resolve", &None));
            assert_eq!(
                (rule.elapsed, rule.memory_peak, rule.backtrace.len()),
                (Duration::from_micros(4711), 1 << 21, 2)
            );
            let text = trouble.to_string();
            assert_eq!(text, format!("rule house 1.2.3 (step 3, resolve, generation 9) stopped: {message}"));
        }
        let record = FailureRecord {
            code: trouble.code(),
            class: "park".into(),
            message: trouble.to_string(),
            hint: trouble.hint(),
            origin: trouble.origin(),
            at: at("2026-11-24T09:00:00Z"),
            attempts: 1,
            rule: Some(rule),
        };
        queue.park(&lease, record.clone()).await.expect("parked");
        drop(queue);
        let kept = open().await.show(&key).await.expect("a queue").expect("kept");
        assert_eq!(kept.failure, Some(record), "{kind}");
    }
}
