//! How failures are classed and printed.
//!
//! Promises: one printer for a chain of causes, used by log, CLI and control API; [`Class`] is the only thing anyone above
//! a connector asks of an error. Must not know: status codes, response codes, any protocol.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What to do about a failure. Connectors answer it; only the queue retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Worth another try; the server may have said when.
    Retry { after: Option<Duration> },
    /// The server is not there or not able (connection refused, 5xx, store unavailable): the whole server waits, no attempt is burnt.
    Down { after: Option<Duration> },
    /// The item changed since it was read: read again.
    Conflict,
    /// Sign-in was refused: everything behind this sign-in waits for a person.
    Auth,
    /// A try with the same input will fail again: park it.
    Park,
}

impl Class {
    /// `retry`, `down`, `conflict`, `auth` or `park`.
    pub fn name(self) -> &'static str {
        match self {
            Class::Retry { .. } => "retry",
            Class::Down { .. } => "down",
            Class::Conflict => "conflict",
            Class::Auth => "auth",
            Class::Park => "park",
        }
    }
}

/// Prints an error and its causes on one line, leaving out a cause that the line before already ends with.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous = self.0.to_string();
        f.write_str(&previous)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !previous.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            previous = text;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
