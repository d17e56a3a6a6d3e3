//! The last calls of the live chain, kept so that new rules can be tried on them.
//!
//! Promises: bounded in number and bytes; survives a restart; a damaged end loses its own calls and no others; an appointment never
//! waits for it: what comes faster than the disk takes it is counted and dropped; switched off, nothing is written and what was is
//! deleted. It holds personal data: the folder and its files are for the host's own account alone.
//! Must not know: what is done with the calls.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::fixture::Fixture;
use super::lookup::Question;

/// One call of the live chain, with all that is needed to judge it again.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    pub at: DateTime<Utc>,
    /// Digest of the generation that judged it, see [`crate::rules::Generation`].
    pub generation: String,
    /// What was asked, with the look-ups that were answered, and as `expected` what came out.
    pub fixture: Fixture,
    /// Look-ups that were asked. One that is not among the fixture's answers was told that there is no such thing.
    pub asked: Vec<Question>,
    /// Time in the rules.
    pub elapsed: Duration,
}
