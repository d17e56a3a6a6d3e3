//! What a rule says: go on, or stop and why.

use crate::bindings::daybridge::rules::types as wit;

pub use wit::NextStep;

/// What [`crate::Rule::apply`] answers. `Ok` passes the draft on; the `?` operator works on anything that gives a [`Stop`].
pub type Answer = Result<(), Stop>;

/// Why an appointment does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// None of the sync's business: nothing is written, a copy that exists is left alone.
    Skip(String),
    /// Look again after so many seconds.
    Hold { seconds: u32, reason: String },
    /// Not to be synchronized as it is.
    Refuse(Refusal),
}

/// A refusal in the author's words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable, for example `no-case-number`.
    pub code: String,
    pub message: String,
    /// Name of the field that is to blame.
    pub field: Option<String>,
    /// Whether trying again later can help. If not, the entry waits for a person.
    pub retry: bool,
}

impl Refusal {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), field: None, retry: false }
    }

    /// Names the field that is to blame.
    #[must_use]
    pub fn field(mut self, name: &str) -> Self {
        self.field = Some(name.to_owned());
        self
    }

    /// Says that trying again later can help.
    #[must_use]
    pub fn retry(mut self) -> Self {
        self.retry = true;
        self
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refuse(refusal)
    }
}

/// Goes on with the draft as it is now.
pub fn pass() -> Answer {
    Ok(())
}

/// Leaves the appointment to itself.
pub fn skip(reason: impl Into<String>) -> Answer {
    Err(Stop::Skip(reason.into()))
}

/// Looks again later.
pub fn hold(seconds: u32, reason: impl Into<String>) -> Answer {
    Err(Stop::Hold { seconds, reason: reason.into() })
}

/// Refuses with a stable code and words for people. With more to say: `Err(Refusal::new(..).field(..).into())`.
pub fn refuse(code: &str, message: impl Into<String>) -> Answer {
    Err(Refusal::new(code, message).into())
}

/// A failure about to be told to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// Stable code, for example `sign-in-refused`, `rule-deadline`, or a rule author's own.
    pub code: String,
    /// `retry`, `down`, `conflict`, `auth` or `park`.
    pub class: String,
    /// `crm`, `exchange`, or the name of a rule.
    pub origin: String,
    pub message: String,
    pub hint: String,
    /// Key of the appointment, or blank.
    pub appointment: String,
    pub attempts: u32,
}

/// A rule's wording of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// One line: what happened.
    pub title: String,
    /// Probable causes.
    pub text: String,
    /// What to do.
    pub hint: String,
    /// What becomes of the entry, where the rule knows better than the host.
    pub next: Option<NextStep>,
}

impl Explanation {
    pub fn new(title: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), hint: hint.into(), next: None }
    }

    /// Says that the entry is to be tried again by itself.
    #[must_use]
    pub fn retry(mut self) -> Self {
        self.next = Some(NextStep::Retry);
        self
    }

    /// Says that the entry is to wait for a person.
    #[must_use]
    pub fn park(mut self) -> Self {
        self.next = Some(NextStep::Park);
        self
    }
}

impl From<Stop> for wit::Verdict {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Skip(reason) => wit::Verdict::Skip(reason),
            Stop::Hold { seconds, reason } => wit::Verdict::Hold(wit::Pause { seconds, reason }),
            Stop::Refuse(Refusal { code, message, field, retry }) => {
                wit::Verdict::Refuse(wit::Problem { code, message, field, retry, more: Vec::new() })
            }
        }
    }
}

impl From<wit::Failure> for Failure {
    fn from(failure: wit::Failure) -> Self {
        let wit::Failure { code, class, origin, message, hint, appointment, attempts, more: _ } = failure;
        Self { code, class, origin, message, hint, appointment, attempts }
    }
}

impl From<Explanation> for wit::Explanation {
    fn from(Explanation { title, text, hint, next }: Explanation) -> Self {
        Self { title, text, hint, next, more: Vec::new() }
    }
}
