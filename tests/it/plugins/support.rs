//! Chains from components in a folder, and appointments to put through them.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use daybridge::model::{Address, Appointment, Attendee, AttendeeKind, Direction, Person, Response, Time, Zone};
use daybridge::plugin::lookup::{LookupSource, NoLookups};
use daybridge::plugin::{Chain, ChainConfig, Engine, LoadError, Metrics, RuleEntry};
use daybridge::rules::{Call, Draft, Fault, Rules, Verdict};
use daybridge_tests::figures::Figures;
use daybridge_tests::guests;
use prometheus_client::registry::Registry;
use serde_json::{Map, Value as Json};

/// One engine for all tests, as a host has one.
pub fn engine() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(guests::engine);
    ENGINE.clone()
}

pub fn no_lookups() -> Arc<dyn LookupSource> {
    Arc::new(NoLookups)
}

pub fn settings(json: Json) -> Map<String, Json> {
    json.as_object().expect("an object").clone()
}

/// An entry for a guest, with settings.
pub fn entry(name: &str, given: Json) -> RuleEntry {
    RuleEntry { settings: settings(given), ..RuleEntry::new(format!("{name}.wasm")) }
}

/// Writes the components of the entries' files, built from source, into a folder.
pub fn lay_out(folder: &Path, rules: &[RuleEntry]) {
    for rule in rules {
        let name = rule.file.trim_end_matches(".wasm");
        std::fs::write(folder.join(&rule.file), guests::component(name)).expect("write a rule");
    }
}

pub fn try_chain(rules: Vec<RuleEntry>) -> Result<Chain, LoadError> {
    chain_on(&engine(), rules)
}

pub fn chain_on(engine: &Engine, rules: Vec<RuleEntry>) -> Result<Chain, LoadError> {
    let folder = tempfile::tempdir().expect("a folder");
    lay_out(folder.path(), &rules);
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules };
    Chain::load(&config, engine, &no_lookups())
}

pub fn chain(rules: Vec<RuleEntry>) -> Chain {
    try_chain(rules).expect("a chain that loads")
}

/// A chain of the guest that does what its setting says.
pub fn acting(act: &str, number: i64) -> Chain {
    chain(vec![entry("misbehaves", serde_json::json!({"act": act, "number": number}))])
}

pub async fn judge(chain: &Chain, direction: Direction, source: &Appointment) -> Result<Verdict, Fault> {
    chain.judge(Call { id: "crm:4711", direction, source }).await
}

/// The draft of a chain that passes.
pub async fn passed(chain: &Chain, direction: Direction, source: &Appointment) -> Draft {
    match judge(chain, direction, source).await {
        Ok(Verdict::Pass(draft)) => *draft,
        other => panic!("the chain did not pass: {other:?}"),
    }
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

pub fn appointment() -> Appointment {
    let time = Time::timed(at("2026-11-24T09:00:00Z"), at("2026-11-24T10:00:00Z"), Zone::named("Europe/Dublin"));
    Appointment::new("Budget", time)
}

pub fn attendee(name: &str, response: Response) -> Attendee {
    Attendee {
        person: Person {
            name: name.into(),
            address: Address::new(&format!("{}@example.com", name.to_lowercase().replace(' ', "."))),
        },
        user: None,
        kind: AttendeeKind::Required,
        response,
        responded: None,
    }
}

/// The figures as they are read from outside, and their text.
pub fn scrape(metrics: &Metrics) -> (Figures, String) {
    let mut registry = Registry::with_prefix("daybridge");
    registry.register_collector(Box::new(metrics.clone()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    (Figures::parse(&text), text)
}
