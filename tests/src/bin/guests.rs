//! Builds the rules and misbehaving guests that tests run, so that no test waits for the compiler:
//! `cargo run -p daybridge-tests --bin guests`. A test that is started alone builds what it needs by itself.

use daybridge::plugin::package::rule_crates;
use daybridge_tests::guests;

fn main() -> anyhow::Result<()> {
    for folder in [guests::plugins(), guests::misbehaving()] {
        for name in rule_crates(&folder)?.keys() {
            guests::component(name);
        }
    }
    Ok(())
}
