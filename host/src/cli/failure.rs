//! The one way a failure is told on the command line.
//!
//! Promises: `error:` with what failed, `Caused by:` with each cause once, `hint:` with what to type; the exit code says
//! whose move it is. Must not know: which command failed.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::app::OpenError;
use crate::config::ConfigError;
use crate::control::client::ClientError;
use crate::control::{Refusal, RefusalKind};

/// A command that could not be done.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    ours: bool,
}

impl Failure {
    /// Something the person can mend.
    pub fn mendable(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: Some(hint.into()), ours: false }
    }

    /// Something the program should not have let happen.
    pub fn ours(message: impl Into<String>) -> Self {
        let hint = "this is a fault of the program: report it with this text and the log".to_owned();
        Self { message: message.into(), causes: Vec::new(), hint: Some(hint), ours: true }
    }

    /// Something the person can mend, from an error with its causes.
    pub fn from_error(error: &(dyn Error + '_), hint: impl Into<String>) -> Self {
        Self::mendable(error.to_string(), hint).caused_by(error)
    }

    /// Adds the causes of an error, leaving out those that the line before already ends with.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn Error + '_)) -> Self {
        let mut previous = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !previous.ends_with(&text) {
                self.causes.push(text.clone());
            }
            previous = text;
            cause = error.source();
        }
        self
    }

    /// The text as it goes to stderr.
    pub fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  Caused by: {cause}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }

    pub(super) fn print(&self) {
        use std::io::Write as _;
        // A closed stderr leaves nobody to tell.
        let _ = std::io::stderr().write_all(self.text().as_bytes());
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(if self.ours { 2 } else { 1 })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::from_error(&error, error.hint())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::from_error(&error, error.hint())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            other => Self::from_error(&other, other.hint()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            message: refusal.message,
            causes: Vec::new(),
            hint: Some(refusal.hint),
            ours: refusal.kind == RefusalKind::Failed,
        }
    }
}
