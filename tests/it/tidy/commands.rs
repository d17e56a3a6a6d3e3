//! Commands that documents name are commands of the program, with those options.

use std::collections::BTreeMap;

use daybridge_tests::program::daybridge;

use super::{Source, assert_none, repository};

/// Calls of the program in a document: lines of shell blocks, and code in the text, with their line.
fn calls(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_shell = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_shell = language == "sh";
            continue;
        }
        let spans: Vec<&str> = if in_shell {
            vec![line.split(" #").next().unwrap_or_default()]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for span in spans {
            let words = span.trim().strip_prefix("cargo run --release -- ").or(span.trim().strip_prefix("daybridge "));
            if let Some(words) = words {
                found.push((number + 1, words.to_owned()));
            }
        }
    }
    found
}

/// The help of a command, or nothing if there is no such command.
struct Help(BTreeMap<Vec<String>, Option<String>>);

impl Help {
    fn of(&mut self, command: &[String]) -> Option<&str> {
        let ask = || {
            let output = daybridge().args(command).arg("--help").output().expect("the program starts");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        self.0.entry(command.to_vec()).or_insert_with(ask).as_deref()
    }
}

fn unknown_commands(documents: &[Source]) -> Vec<String> {
    let mut help = Help(BTreeMap::new());
    let mut complaints = Vec::new();
    for document in documents.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, call) in calls(&document.text) {
            let mut words = call.split_whitespace().peekable();
            let mut command = Vec::new();
            // Words lead down the tree of commands as long as there are commands below.
            while let Some(text) = help.of(&command).map(str::to_owned)
                && text.contains("Commands:")
                && let Some(word) = words.next_if(|word| !word.starts_with('-'))
            {
                command.push(word.to_owned());
            }
            let Some(text) = help.of(&command) else {
                complaints.push(format!("{}:{line}: there is no `daybridge {call}`", document.path));
                continue;
            };
            for option in words.filter(|word| word.starts_with("--")) {
                let name = option.split('=').next().unwrap_or(option);
                if !text.contains(name) {
                    complaints.push(format!(
                        "{}:{line}: `daybridge {}` has no {name}",
                        document.path,
                        command.join(" ")
                    ));
                }
            }
        }
    }
    complaints
}

#[test]
fn documents_name_commands_that_exist() {
    assert_none(&unknown_commands(&repository()));
}

#[test]
fn a_command_or_option_that_does_not_exist_is_noticed() {
    let document = |text: &str| [Source::new("README.md", text)];
    assert_none(&unknown_commands(&document("`daybridge --help`, `daybridge queue list --json`, `other --thing`")));
    assert_eq!(unknown_commands(&document("```sh\ndaybridge frobnicate   # no such thing\n```")).len(), 1);
    assert_eq!(unknown_commands(&document("`daybridge queue frobnicate`")).len(), 1);
    assert_eq!(unknown_commands(&document("`daybridge queue list --frobnicate=3`")).len(), 1);
}
