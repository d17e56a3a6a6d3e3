//! The Python in which clients that others wrote are installed.

use std::process::{Command, Stdio};

/// A Python that can import this module: the one tests/run prepared, or the one on PATH where no one did.
///
/// # Panics
/// If there is none: a test without its client proves nothing.
pub fn python(module: &str) -> String {
    if let Ok(prepared) = std::env::var("DAYBRIDGE_PYTHON") {
        return prepared;
    }
    let check = Command::new("python3").args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    let found = std::env::var("CI").is_err() && check.is_ok_and(|status| status.success());
    assert!(
        found,
        "no Python with {module}: run `bash tests/run`, which prepares one, \
         or set DAYBRIDGE_PYTHON to an interpreter that has it"
    );
    "python3".into()
}
