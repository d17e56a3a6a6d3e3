//! Holds the repository to its own rules: module heads, lengths, layers, bans, tests that wait instead of sleeping,
//! and documents that name only what exists.
//!
//! Every rule is a function from files to complaints, so that each is also tried on a file that breaks it.

mod commands;
mod docs;
mod imports;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

/// Longer files are split, unless listed here with the reason.
const LINES_MAX: usize = 600;
const LONGER: &[(&str, &str)] = &[];

/// Crates that must not be linked; deny.toml says why.
const BANNED: &[&str] = &["openssl-sys", "native-tls", "aws-lc-sys", "wasmtime-wasi", "async-std"];

/// Files of the tests package that may let time pass, with the reason.
const MAY_SLEEP: &[(&str, &str)] = &[
    ("tests/it/powercut.rs", "the moment at which the power is cut is drawn by chance"),
    ("tests/src/wait.rs", "looks at a state again and again, within its limit"),
];

/// A file of the repository.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The text with line comments blanked, so that a rule about code does not read prose. Lines keep their numbers.
    fn code(&self) -> String {
        let mut code = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            // `://` is an address in a string, not a comment.
            let end = line.match_indices("//").map(|(at, _)| at).find(|&at| !line[..at].ends_with(':'));
            code.push_str(&line[..end.unwrap_or(line.len())]);
            code.push('\n');
        }
        code
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests folder has a parent").to_owned()
}

/// All text files of the repository but what builds leave behind.
fn repository() -> Vec<Source> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).expect("read a folder of the repository") {
            let path = entry.expect("read a folder of the repository").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "dist" | "__pycache__") {
                    walk(&path, root, found);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let inside = path.strip_prefix(root).expect("a walk stays below its root");
                found.push(Source::new(&inside.to_string_lossy().replace('\\', "/"), &text));
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with every complaint at once, so that one run shows them all.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaint(s):\n  {}", complaints.len(), complaints.join("\n  "));
}

fn heads(files: &[Source]) -> Vec<String> {
    let headless = |file: &&Source| file.is_rust() && !file.text.trim_start().starts_with("//!");
    files.iter().filter(headless).map(|file| format!("{}: opens without a //! head", file.path)).collect()
}

fn lengths(files: &[Source], longer: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let (lines, listed) = (file.text.lines().count(), longer.iter().any(|(path, _)| *path == file.path));
        if lines > LINES_MAX && !listed {
            complaints.push(format!("{}: {lines} lines, limit {LINES_MAX}; split it", file.path));
        }
        if lines <= LINES_MAX && listed {
            complaints.push(format!("{}: is short enough now; take it off the list", file.path));
        }
    }
    complaints
}

fn banned_crates(lock: &str) -> Vec<String> {
    let linked = |name: &&&str| lock.contains(&format!("name = \"{name}\"\n"));
    BANNED.iter().filter(linked).map(|name| format!("Cargo.lock: {name} is banned, see deny.toml")).collect()
}

/// Tests wait for a named state with a limit; none is left out, none is tried again until it passes.
fn patience(files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("tests/") && file.is_rust()) {
        let may_sleep = MAY_SLEEP.iter().any(|(path, _)| *path == file.path);
        for (number, line) in file.code().lines().enumerate() {
            for (word, sleeps) in [("#[ignore", false), ("thread::sleep", true), ("time::sleep", true)] {
                // The words in this file are the rule itself.
                if line.contains(word) && !(sleeps && may_sleep) && !file.path.starts_with("tests/it/tidy") {
                    complaints.push(format!("{}:{}: {word}; wait for a named state instead", file.path, number + 1));
                }
            }
        }
    }
    let retried = |line: &&str| line.trim_start().starts_with("retries") && !line.trim_end().ends_with("= 0");
    for file in files.iter().filter(|file| file.path == ".config/nextest.toml") {
        complaints.extend(file.text.lines().filter(retried).map(|line| format!("{}: {line}; must be 0", file.path)));
    }
    complaints
}

#[test]
fn every_module_opens_with_a_head() {
    assert_none(&heads(&repository()));
}

#[test]
fn a_module_without_a_head_is_noticed() {
    assert_eq!(heads(&[Source::new("host/src/a.rs", "use std::fs;\n"), Source::new("b.rs", "//! Head.\n")]).len(), 1);
}

#[test]
fn no_file_is_too_long() {
    assert_none(&lengths(&repository(), LONGER));
}

#[test]
fn a_file_too_long_is_noticed_and_a_needless_exception_too() {
    let files = [Source::new("a.rs", &"\n".repeat(LINES_MAX + 1)), Source::new("b.rs", "\n")];
    assert_eq!(lengths(&files, &[]).len(), 1);
    assert_eq!(lengths(&files, &[("a.rs", "generated")]).len(), 0);
    assert_eq!(lengths(&files, &[("a.rs", "generated"), ("b.rs", "was long")]).len(), 1);
}

#[test]
fn no_banned_crate_is_linked() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("read Cargo.lock");
    assert_none(&banned_crates(&lock));
    let deny = fs::read_to_string(root().join("deny.toml")).expect("read deny.toml");
    for name in BANNED {
        assert!(deny.contains(&format!("\"{name}\"")), "deny.toml does not say why {name} is banned");
    }
}

#[test]
fn a_banned_crate_is_noticed() {
    assert_eq!(banned_crates("[[package]]\nname = \"native-tls\"\nversion = \"0.2.0\"\n").len(), 1);
}

#[test]
fn tests_neither_sleep_nor_hide() {
    assert_none(&patience(&repository()));
}

#[test]
fn a_sleeping_ignored_or_retried_test_is_noticed() {
    let files = [
        Source::new("tests/it/a.rs", "#[test]\n#[ignore]\nfn a() { std::thread::sleep(ONE); }\n// thread::sleep\n"),
        Source::new("tests/src/wait.rs", "tokio::time::sleep(STEP).await;\n"),
        Source::new("host/src/sim/fault.rs", "tokio::time::sleep(delay).await;\n"),
        Source::new(".config/nextest.toml", "retries = 2\n"),
    ];
    assert_eq!(patience(&files).len(), 3);
}
