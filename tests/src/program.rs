//! The program itself, as a person starts it.

use std::path::PathBuf;
use std::process::Command;

/// The binary `daybridge` that was built beside this test.
///
/// # Panics
/// If it is not there: `tests/run` builds it before the tests.
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests are built two folders below");
    let program = folder.join(format!("daybridge{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not there: cargo build --workspace --bins", program.display());
    program
}

/// A call of the program that meets neither this machine's configuration nor its colours.
pub fn daybridge() -> Command {
    let mut command = Command::new(path());
    for variable in ["DAYBRIDGE_CONFIG", "DAYBRIDGE_DATA", "DAYBRIDGE_LOG", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1").stdin(std::process::Stdio::null());
    command
}
