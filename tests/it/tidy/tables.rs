//! Tables that say which test shows what: every row has its tests, every test with a row's number stands in that row.

use std::fs;

use super::{Source, assert_none, repository, root};

struct Table {
    file: &'static str,
    /// What a row is.
    what: &'static str,
    /// Tests of row 7 begin with this letter and `07_`.
    letter: char,
    rows: usize,
}

/// What a sync must survive.
const SCENARIOS: Table = Table { file: "tests/scenarios.tsv", what: "scenario", letter: 's', rows: 80 };
/// What makes a host of rules one to trust.
const REQUIREMENTS: Table = Table { file: "tests/requirements.tsv", what: "requirement", letter: 'r', rows: 25 };

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

/// Tests that carry a number in their name (`s07_...`), with the path of their file.
fn numbered(files: &[Source], letter: char, number: &str) -> Vec<String> {
    let start = format!("fn {letter}{number:0>2}_");
    let mut found = Vec::new();
    // The made-up tests in this folder are none.
    for file in files.iter().filter(|file| !file.path.starts_with("tests/it/tidy")) {
        let Some(module) = file.path.strip_prefix("tests/it/").and_then(|path| path.strip_suffix(".rs")) else {
            continue;
        };
        let names = file.text.lines().filter_map(|line| line.split_once(&start)?.1.split('(').next());
        found.extend(names.map(|rest| format!("{}::{letter}{number:0>2}_{rest}", module.replace('/', "::"))));
    }
    found
}

fn wrong(kind: &Table, table: &str, files: &[Source]) -> Vec<String> {
    let Table { what, letter, rows, .. } = kind;
    let mut complaints = Vec::new();
    let mut expected = 1;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [number, _title, tests] = columns[..] else {
            complaints.push(format!("three columns expected: {line}"));
            continue;
        };
        if number != expected.to_string() {
            complaints.push(format!("{what} {expected} expected, found {number}"));
        }
        expected += 1;
        // A test that carries the row's number in its name belongs in its row.
        for test in numbered(files, *letter, number) {
            if !tests.split_whitespace().any(|named| named == test) {
                complaints.push(format!("{what} {number}: {test} is not in its row"));
            }
        }
        if let Some(folder) = tests.strip_prefix("benchmark ") {
            if !root().join(folder).is_dir() {
                complaints.push(format!("{what} {number}: there is no benchmark {folder}"));
            }
        } else if !tests.starts_with("not yet") {
            let missing = tests.split_whitespace().filter(|test| !test_exists(files, test));
            complaints.extend(missing.map(|test| format!("{what} {number}: there is no test {test}")));
            if tests.trim().is_empty() {
                complaints.push(format!("{what} {number}: neither a test nor `not yet`"));
            }
        }
    }
    if expected != rows + 1 {
        complaints.push(format!("{rows} {what}s expected, found {}", expected - 1));
    }
    complaints
}

#[test]
fn tables_name_tests_that_exist() {
    for kind in [SCENARIOS, REQUIREMENTS] {
        let table = fs::read_to_string(root().join(kind.file)).expect("read a table of tests");
        assert_none(&wrong(&kind, &table, &repository()));
    }
}

#[test]
fn a_row_without_its_test_is_noticed() {
    let files = [Source::new("tests/it/flow.rs", "#[test]\nfn creates_once() {}\n")];
    let scenarios = |table: &str, files: &[Source]| wrong(&SCENARIOS, table, files);
    let rest: String = (4..=SCENARIOS.rows).map(|number| format!("{number}\tt\tnot yet\n")).collect();
    let table = |tests: &str| format!("# head\n1\tt\tflow::creates_once\n2\tt\tnot yet: series\n3\tt\t{tests}\n{rest}");
    assert_none(&scenarios(&table("flow::inner::creates_once flow::creates_once"), &files));
    assert_eq!(scenarios(&table("flow::creates_once flow::gone"), &files).len(), 1);
    assert_eq!(scenarios(&table(""), &files).len(), 1);
    assert!(!scenarios("2\tt\tnot yet\n", &files).is_empty());
    let numbered = [Source::new("tests/it/flow/more.rs", "#[test]\nasync fn s02_is_written() {}\n")];
    assert_eq!(scenarios(&table("not yet"), &numbered).len(), 2, "one test too few in row 2, one too many in row 1");
}
