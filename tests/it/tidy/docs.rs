//! What documents name must exist: linked files, tests behind scenarios, failure codes, commands. And the released
//! contract stays what it was.

use std::fs;

use sha2::{Digest, Sha256};

use super::{Source, assert_none, repository, root};

/// Released folders of the rule contract with the SHA-256 of their content; never edited, only added to.
const FROZEN_WIT: &[(&str, &str)] = &[];

/// The last scenario of tests/scenarios.tsv.
const SCENARIOS: usize = 80;

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

/// Does a test `module::path::name` stand in the file of its module, or in one of its parents as an inline module?
fn test_exists(files: &[Source], test: &str) -> bool {
    let Some((modules, name)) = test.rsplit_once("::") else { return false };
    files.iter().any(|file| {
        let Some(own) = file.path.strip_prefix("tests/it/").and_then(|path| path.strip_suffix(".rs")) else {
            return false;
        };
        let own = own.replace('/', "::");
        (modules == own || modules.starts_with(&format!("{own}::"))) && file.text.contains(&format!("fn {name}("))
    })
}

/// Tests named after a scenario: `s07_...`, with the path of their file.
fn numbered(files: &[Source], number: &str) -> Vec<String> {
    let start = format!("fn s{number:0>2}_");
    let mut found = Vec::new();
    // The made-up tests in this folder are none.
    for file in files.iter().filter(|file| !file.path.starts_with("tests/it/tidy")) {
        let Some(module) = file.path.strip_prefix("tests/it/").and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        let names = file.text.lines().filter_map(|line| line.split_once(&start)?.1.split('(').next());
        found.extend(names.map(|rest| format!("{}::s{number:0>2}_{rest}", module.replace('/', "::"))));
    }
    found
}

fn scenarios(table: &str, files: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut expected = 1;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [number, _title, tests] = columns[..] else {
            complaints.push(format!("three columns expected: {line}"));
            continue;
        };
        if number != expected.to_string() {
            complaints.push(format!("scenario {expected} expected, found {number}"));
        }
        expected += 1;
        // A test that carries the scenario's number in its name belongs in its row.
        for test in numbered(files, number) {
            if !tests.split_whitespace().any(|named| named == test) {
                complaints.push(format!("scenario {number}: {test} is not in its row"));
            }
        }
        if !tests.starts_with("not yet") {
            let missing = tests.split_whitespace().filter(|test| !test_exists(files, test));
            complaints.extend(missing.map(|test| format!("scenario {number}: there is no test {test}")));
            if tests.trim().is_empty() {
                complaints.push(format!("scenario {number}: neither a test nor `not yet`"));
            }
        }
    }
    if expected != SCENARIOS + 1 {
        complaints.push(format!("{SCENARIOS} scenarios expected, found {}", expected - 1));
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
fn scenarios_name_tests_that_exist() {
    let table = fs::read_to_string(root().join("tests/scenarios.tsv")).expect("read tests/scenarios.tsv");
    assert_none(&scenarios(&table, &repository()));
}

#[test]
fn a_scenario_without_its_test_is_noticed() {
    let files = [Source::new("tests/it/flow.rs", "#[test]\nfn creates_once() {}\n")];
    let rest: String = (4..=SCENARIOS).map(|number| format!("{number}\tt\tnot yet\n")).collect();
    let table = |tests: &str| format!("# head\n1\tt\tflow::creates_once\n2\tt\tnot yet: series\n3\tt\t{tests}\n{rest}");
    assert_none(&scenarios(&table("flow::inner::creates_once flow::creates_once"), &files));
    assert_eq!(scenarios(&table("flow::creates_once flow::gone"), &files).len(), 1);
    assert_eq!(scenarios(&table(""), &files).len(), 1);
    assert!(!scenarios("2\tt\tnot yet\n", &files).is_empty());
    let numbered = [Source::new("tests/it/flow/more.rs", "#[test]\nasync fn s02_is_written() {}\n")];
    assert_eq!(scenarios(&table("not yet"), &numbered).len(), 2, "one test too few in row 2, one too many in row 1");
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
    for entry in fs::read_dir(root().join("wit")).expect("read wit").filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let released = entry.path().is_dir() && name.starts_with('v');
        let listed = FROZEN_WIT.iter().any(|(folder, _)| *folder == format!("wit/{name}"));
        assert!(
            !released || listed,
            "wit/{name} is released: add its digest {} to FROZEN_WIT",
            digest(&format!("wit/{name}"))
        );
    }
}
