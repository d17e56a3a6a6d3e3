//! The program itself, as a person or a script starts it: arguments in; output, messages and exit code out.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

/// Longest time for a command that ends by itself, and for a line that must come.
const LIMIT: Duration = Duration::from_secs(120);

/// The binary `daybridge` that was built beside this test.
///
/// # Panics
/// If it is not there: `tests/run` builds it before the tests.
#[expect(clippy::panic, reason = "a test without the program proves nothing")]
pub fn path() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    // A test is built one folder below it, a program beside it.
    let name = format!("daybridge{}", std::env::consts::EXE_SUFFIX);
    let found = test.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("{name} is not there: cargo build --workspace --bins"))
}

/// A call of the program that meets neither this machine's configuration nor its colours.
pub fn daybridge() -> Command {
    let mut command = Command::new(path());
    for variable in ["DAYBRIDGE_CONFIG", "DAYBRIDGE_DATA", "DAYBRIDGE_LOG", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A command that goes on until it is asked to stop; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    messages: tempfile::NamedTempFile,
}

/// Runs a command in a folder, to its end.
pub async fn run(folder: &Path, arguments: &[&str]) -> Outcome {
    let output = timeout(LIMIT, command(folder, arguments).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{arguments:?} did not end")).expect("the program starts");
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
    }
}

/// Starts a command in a folder.
pub fn start(folder: &Path, arguments: &[&str]) -> Running {
    // A pipe that nobody reads would stop a talkative program.
    let messages = tempfile::NamedTempFile::new().expect("a temporary file");
    let stderr = messages.reopen().expect("the same file");
    let mut command = command(folder, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the program starts");
    let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
    Running { child, lines, messages }
}

fn command(folder: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::from(daybridge());
    command.args(arguments).current_dir(folder).kill_on_drop(true);
    command
}

impl Running {
    /// The next line of output as JSON.
    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Some(value) => value,
            None => panic!("the program ended: {}", self.messages()),
        }
    }

    /// The next line of output as JSON, or nothing when the output has ended.
    pub async fn next(&mut self) -> Option<Value> {
        let line =
            timeout(LIMIT, self.lines.next_line()).await.expect("a line, or the end").expect("readable output")?;
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// The largest memory it had so far, in KiB: what the system counts as its resident set.
    #[cfg(target_os = "linux")]
    pub fn memory_peak_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }

    /// Ends the program where it stands (SIGKILL).
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it is killed");
    }

    /// Asks the program to stop as the system does (SIGTERM), and answers how it ended.
    #[cfg(unix)]
    pub async fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().expect("still running").to_string();
        let sent = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
        assert!(sent.success(), "SIGTERM to {pid}");
        self.ended().await
    }

    /// Waits for the program's own end.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(LIMIT, self.child.wait()).await.expect("the program ends").expect("its exit status")
    }

    /// Everything on stderr so far.
    pub fn messages(&self) -> String {
        std::fs::read_to_string(self.messages.path()).expect("UTF-8 on stderr")
    }
}
