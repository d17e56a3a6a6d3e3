//! Makes modules of the rules' own sources, so that the native cases run the very logic that was built to wasm.

use std::path::Path;
use std::{env, fs};

const RULES: [&str; 6] = [
    "plugins/appointments-only",
    "plugins/subject-line",
    "plugins/status",
    "plugins/privacy",
    "plugins/reminders",
    "tests/plugins/mapping",
];

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for rule in RULES {
        let source = root.join(rule).join("src/lib.rs");
        println!("cargo::rerun-if-changed={}", source.display());
        let text = fs::read_to_string(&source).expect("a rule's source");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let name = text.split("export!(").nth(1).and_then(|rest| rest.split(')').next()).expect("an export");
        // Included text cannot begin with inner documentation, and the rule's type is seen from outside here.
        let lines = text.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n");
        let public =
            lines.replacen(&format!("struct {name};"), &format!("pub struct {name};\npub type Native = {name};"), 1);
        let file = rule.rsplit('/').next().unwrap_or_default().replace('-', "_");
        fs::write(Path::new(&out).join(format!("{file}.rs")), public).expect("write to OUT_DIR");
    }
}
