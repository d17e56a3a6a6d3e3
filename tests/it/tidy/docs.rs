//! What documents name must exist: linked files, tests behind scenarios, failure codes, commands. And the released
//! contract stays what it was.

use std::fs;

use sha2::{Digest, Sha256};

use super::{Source, assert_none, repository, root};

/// Released folders of the rule contract with the SHA-256 of their content; never edited, only added to.
const FROZEN_WIT: &[(&str, &str)] = &[("wit/v0.1", "70945ec488714fd863c8bfc1d913a7c6f74562202fe044235a1d56d168f99b8a")];

/// Targets of Markdown links that lead to a file of the repository, with their line.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(number, line)| {
        line.split("](").skip(1).filter_map(move |rest| {
            let target = rest.split(')').next()?.split('#').next()?;
            (!target.is_empty() && !target.contains("://")).then_some((number + 1, target))
        })
    })
}

fn dead_links(documents: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for document in documents.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, target) in links(&document.text) {
            if !exists(&format!("{folder}/{target}")) {
                complaints.push(format!("{}:{line}: links to {target}, which is not there", document.path));
            }
        }
    }
    complaints
}

/// Every stable code that a `pub fn code(` of the source answers stands in the operator's guide.
fn codes_without_guide(source: &str, guide: &str) -> Vec<String> {
    let body =
        source.split_once("pub fn code(").and_then(|(_, rest)| rest.split_once("\n    }\n")).map(|(body, _)| body);
    let texts = body.unwrap_or_default().split('"').skip(1).step_by(2);
    let codes = texts.filter(|text| text.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    codes.filter(|code| !guide.contains(&format!("`{code}`"))).map(str::to_owned).collect()
}

/// Every key of the example configuration, commented out or not, stands in the operator's guide as code.
fn keys_without_guide(example: &str, guide: &str) -> Vec<String> {
    let key = |line: &str| {
        let (name, _) = line.trim_start_matches("# ").split_once(" = ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.')).then(|| name.to_owned())
    };
    let told = |name: &String| guide.contains(&format!("`{name}`")) || guide.contains(&format!(".{name}`"));
    example.lines().filter_map(key).filter(|name| !told(name)).collect()
}

fn digest(folder: &str) -> String {
    let mut files: Vec<_> = fs::read_dir(root().join(folder))
        .expect("read a released wit folder")
        .map(|entry| entry.expect("read a released wit folder").path())
        .collect();
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        hasher.update(path.file_name().unwrap_or_default().as_encoded_bytes());
        hasher.update([0]);
        hasher.update(fs::read(&path).expect("read a released wit file"));
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn links_lead_somewhere() {
    let exists = |path: &str| root().join(path.trim_start_matches('/')).exists();
    assert_none(&dead_links(&repository(), exists));
}

#[test]
fn a_dead_link_is_noticed() {
    let document =
        [Source::new("host/README.md", "[a](src/lib.rs) [b](https://example.org) [c](gone.md#part) [d](#part)")];
    assert_eq!(dead_links(&document, |path| path == "host/src/lib.rs").len(), 1);
}

#[test]
fn every_failure_code_is_in_the_operators_guide() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("read a file of the repository");
    let guide = read("host/README.md");
    // Wherever a `pub fn code(` is: a new kind of failure is found by itself.
    let sources = repository().into_iter().filter(|file| file.path.starts_with("host/src/"));
    let missing: Vec<String> = sources.flat_map(|file| codes_without_guide(&file.text, &guide)).collect();
    assert_none(&missing);
}

#[test]
fn a_failure_code_without_a_line_in_the_guide_is_noticed() {
    let source =
        "    pub fn code(&self) -> String {\n  A => \"full\", B => \"gone\", C => format!(\"rule-{}\")\n    }\n  \"x\"";
    assert_eq!(codes_without_guide(source, "| `full` | ... |"), ["gone"]);
}

#[test]
fn every_setting_is_in_the_operators_guide() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("read a file of the repository");
    assert_none(&keys_without_guide(&read("host/daybridge.example.toml"), &read("host/README.md")));
}

#[test]
fn a_setting_without_a_line_in_the_guide_is_noticed() {
    let example = "# Prose = not a key.\ndata = \"x\"\n# proxy = 1   # why\n# http.ca_file = \"ca.pem\"\n";
    assert_eq!(keys_without_guide(example, "| `data` | `control.proxy` |"), ["http.ca_file"]);
}

#[test]
fn the_released_contract_is_as_it_was() {
    for (folder, expected) in FROZEN_WIT {
        assert_eq!(digest(folder), *expected, "{folder} is released: put the change in a new folder");
    }
    let entries = fs::read_dir(root().join("wit")).expect("read wit").filter_map(Result::ok);
    let folders: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let add = |name| format!("wit/{name} is released: add its digest {} to FROZEN_WIT", digest(&format!("wit/{name}")));
    assert_none(&thawed(&folders, FROZEN_WIT).into_iter().map(add).collect::<Vec<_>>());
}

/// The version folders that are neither frozen nor the newest, which is being worked on.
fn thawed<'a>(folders: &'a [String], frozen: &[(&str, &str)]) -> Vec<&'a String> {
    let version = |name: &str| -> Option<(u32, u32)> {
        let (major, minor) = name.strip_prefix('v')?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let newest = folders.iter().filter_map(|name| version(name)).max();
    let frozen = |name: &str| frozen.iter().any(|(folder, _)| *folder == format!("wit/{name}"));
    folders.iter().filter(|name| !frozen(name) && version(name) != newest).collect()
}

#[test]
fn only_the_newest_contract_may_be_edited() {
    let folders = ["v0.1", "v0.2", "v0.10"].map(str::to_owned);
    let frozen = [("wit/v0.1", "digest")];
    assert_eq!(thawed(&folders, &frozen), ["v0.2"]);
    assert_eq!(thawed(&folders[..2], &frozen), [] as [&str; 0]);
}
