//! Fixtures: the form, what differs, those that travel with rules; and replay of recorded calls.

use daybridge::model::{Direction, Field, Value};
use daybridge::plugin::fixture::{self, Answer, Ask, Edits, Fixture, Lookups};
use daybridge::plugin::package;
use daybridge::plugin::{Chain, Engine, RuleEntry};
use daybridge_tests::guests;
use serde_json::json;

use super::support::{self, appointment, engine};

fn chain_of(engine: &Engine, name: &str) -> Chain {
    let entry = RuleEntry::new(format!("{name}.wasm"));
    Chain::of_rule(engine, &entry, &guests::component(name)).expect("a rule that is accepted")
}

fn fixture(json: serde_json::Value) -> Fixture {
    Fixture::parse("tried", json.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// Requirements 14 and 21: every default rule carries fixtures; each passes, twice, on two engines, with the same bytes.
#[test]
fn every_rule_carries_fixtures_that_pass_the_same_way_on_two_engines() {
    let other = Engine::new().expect("an engine");
    for (name, folder) in package::rule_crates(&guests::plugins()).expect("the rules") {
        let bytes = guests::component(&name);
        let carried = fixture::carried(&bytes).unwrap_or_else(|error| panic!("{error}"));
        let written = fixture::read_folder(&folder.join("fixtures")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(carried, written, "{name} carries what lies in its crate");
        assert!(carried.len() >= 2, "{name} has {} fixtures", carried.len());
        let chains = [engine(), other.clone()].map(|engine| chain_of(&engine, &name));
        for carried in carried {
            let outcome = fixture::run(&chains[0], &carried);
            assert!(outcome.passed(), "{name}, {}: {:#?}", carried.name, outcome.differences);
            let answers = chains.each_ref().map(|chain| {
                let answers = [(); 2].map(|()| {
                    let answered = fixture::answer(chain, &carried).expect("an answer");
                    carried.clone().expecting(answered.answer).to_json()
                });
                assert_eq!(answers[0], answers[1], "{name}, {}", carried.name);
                answers[0].clone()
            });
            assert_eq!(answers[0], answers[1], "{name}, {}", carried.name);
        }
    }
}
