//! Notices a pair that keeps changing back and forth: two tools, or a tool and a rule, that undo each other's work.
//!
//! Promises: pure; looks at the pair's own history alone. Must not know: who changes what, how a pair is set aside.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::merge::same_value;
use crate::model::{Field, Value};

/// When a pair is taken for one that will not come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestlessLimits {
    /// How often a field may go back to a value it had before, within the period.
    pub returns: u32,
    /// How often a field may be rewritten at all within the period.
    pub rewrites: u32,
    pub period: TimeDelta,
}

impl Default for RestlessLimits {
    fn default() -> Self {
        Self { returns: 5, rewrites: 30, period: TimeDelta::hours(1) }
    }
}

/// A field that a write of the past changed.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    pub at: DateTime<Utc>,
    pub field: &'a Field,
    pub old: &'a Value,
    pub new: &'a Value,
}

/// A field that keeps changing, and how often it did within the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restless {
    pub field: Field,
    pub times: u32,
}

#[derive(Default)]
struct Seen<'a> {
    /// Values it had and lost.
    left: Vec<&'a Value>,
    returns: u32,
    rewrites: u32,
}

/// The first field that passed a limit, of rewrites in the order they happened.
pub fn restless(history: &[Rewrite<'_>], now: DateTime<Utc>, limits: RestlessLimits) -> Option<Restless> {
    let mut fields: BTreeMap<&Field, Seen<'_>> = BTreeMap::new();
    for rewrite in history.iter().filter(|rewrite| now - rewrite.at < limits.period) {
        let seen = fields.entry(rewrite.field).or_default();
        seen.rewrites += 1;
        seen.returns += u32::from(seen.left.iter().any(|left| same_value(left, rewrite.new)));
        seen.left.push(rewrite.old);
        let times = match (seen.returns >= limits.returns, seen.rewrites >= limits.rewrites) {
            (true, _) => seen.returns,
            (false, true) => seen.rewrites,
            (false, false) => continue,
        };
        return Some(Restless { field: rewrite.field.clone(), times });
    }
    None
}
