//! Writes `plugins/javascript/daybridge.d.ts` anew: `cargo run -p daybridge-tests --bin types`. For maintainers, after a change
//! to the contract or to `plugins/javascript/fields.json`; a test fails until then.

use anyhow::Context as _;
use daybridge_tests::typescript;

fn main() -> anyhow::Result<()> {
    let file = typescript::file();
    std::fs::write(&file, typescript::types()?).with_context(|| format!("write {}", file.display()))
}
