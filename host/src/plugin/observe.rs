//! Who is told what the rules of a running host do: metrics, recording, the breaker, the watch over a new generation.
//!
//! Promises: chains that no appointment depends on (fixtures, replays, previews) tell nobody. Must not know: who listens.

use std::fmt::Debug;
use std::sync::Arc;

use super::call::Record;
use super::chain::Trace;
use crate::rules::{Call, Fault, FaultKind, Generation};

/// Listens to the rules in force. Called on the way of an appointment, on a rule thread: must be quick and never wait.
pub trait Observer: Send + Sync {
    /// Whether this version of a rule may be called for an appointment at all.
    ///
    /// # Errors
    /// The kind of the fault the appointment meets instead of the call.
    fn admit(&self, rule: &RuleVersion, function: &'static str, appointment: &str) -> Result<(), FaultKind> {
        let _ = (rule, function, appointment);
        Ok(())
    }

    /// As [`Observer::admit`], asked by somebody who only looks: nothing may come of it.
    ///
    /// # Errors
    /// As [`Observer::admit`].
    fn would_admit(&self, rule: &RuleVersion, function: &'static str) -> Result<(), FaultKind> {
        let _ = (rule, function);
        Ok(())
    }

    /// Somebody did not admit a call, so it was not made.
    fn kept_out(&self, rule: &RuleVersion, function: &'static str) {
        let _ = (rule, function);
    }

    /// A call of a rule ended, whichever function it was of.
    fn called(&self, called: &Called<'_>) {
        let _ = called;
    }

    /// The chain judged an appointment.
    fn judged(&self, judged: &Judged<'_>) {
        let _ = judged;
    }
}

/// One version of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleVersion {
    /// As the chain calls it.
    pub rule: String,
    pub version: String,
    /// Hex SHA-256 of the file.
    pub digest: String,
}

/// A call that ended.
#[derive(Debug)]
pub struct Called<'a> {
    pub rule: &'a RuleVersion,
    /// Position in the chain, from 1.
    pub step: u32,
    /// `apply`, `resolve`, `explain`, `match-user`.
    pub function: &'static str,
    /// The appointment's key, or blank.
    pub appointment: &'a str,
    pub fault: Option<&'a Fault>,
    pub record: &'a Record,
}

/// An appointment that was judged.
#[derive(Debug)]
pub struct Judged<'a> {
    pub generation: &'a Generation,
    pub call: Call<'a>,
    pub trace: &'a Trace,
}

/// All who listen. Cheap to clone.
#[derive(Clone, Default)]
pub struct Observers(Arc<[Arc<dyn Observer>]>);

impl Observers {
    pub fn new(observers: impl IntoIterator<Item = Arc<dyn Observer>>) -> Self {
        Self(observers.into_iter().collect())
    }

    /// The same listeners and one more.
    #[must_use]
    pub fn and(&self, observer: Arc<dyn Observer>) -> Self {
        Self(self.0.iter().cloned().chain([observer]).collect())
    }

    /// Keeps out what these keep out, and tells them nothing.
    #[must_use]
    pub fn looking(&self) -> Self {
        Self::new([Arc::new(Looking(self.clone())) as Arc<dyn Observer>])
    }
}

/// Somebody who looks at what the rules do, without anybody else knowing.
struct Looking(Observers);

impl Observer for Looking {
    fn admit(&self, rule: &RuleVersion, function: &'static str, _: &str) -> Result<(), FaultKind> {
        self.0.0.iter().try_for_each(|observer| observer.would_admit(rule, function))
    }
}

impl Observer for Observers {
    fn admit(&self, rule: &RuleVersion, function: &'static str, appointment: &str) -> Result<(), FaultKind> {
        self.0.iter().try_for_each(|observer| observer.admit(rule, function, appointment))
    }

    fn kept_out(&self, rule: &RuleVersion, function: &'static str) {
        self.0.iter().for_each(|observer| observer.kept_out(rule, function));
    }

    fn called(&self, called: &Called<'_>) {
        self.0.iter().for_each(|observer| observer.called(called));
    }

    fn judged(&self, judged: &Judged<'_>) {
        self.0.iter().for_each(|observer| observer.judged(judged));
    }
}

impl Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
