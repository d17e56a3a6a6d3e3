//! Builds `plugins/dist` from the rules beside it: `cargo run -p daybridge-tests --bin dist`. For maintainers, after a change
//! to a rule, the SDK or the contract; it needs the target wasm32-unknown-unknown.

fn main() -> anyhow::Result<()> {
    for built in daybridge::plugin::package::build_dist(&daybridge_tests::guests::plugins(), None)? {
        println!("{} {} bytes", built.file.display(), built.bytes);
    }
    Ok(())
}
