//! Builds `plugins/dist` from the rules beside it: `cargo run -p daybridge-tests --bin dist`. For maintainers, after a change
//! to a rule, the SDK or the contract; it needs the target wasm32-unknown-unknown, and for the JavaScript engine
//! Debian's clang-19 and llvm-19 (or CC_wasm32_unknown_unknown and AR_wasm32_unknown_unknown set to others).

use daybridge_tests::guests;

fn main() -> anyhow::Result<()> {
    for built in daybridge::plugin::package::build_dist(&guests::plugins(), None, &guests::finish)? {
        println!("{} {} bytes", built.file.display(), built.bytes);
    }
    Ok(())
}
