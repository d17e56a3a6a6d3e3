//! What the gate found, as a value that travels as JSON and reads as text.
//!
//! Promises: bounded; names fields and rules, and of values only what a fixture holds and what was asked for.
//! Must not know: how it was found.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Lines of one kind that the text shows; the JSON form has them all.
const LINES_SHOWN: usize = 20;

/// What a proposed chain would change, and what speaks against it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// The first file that is not accepted; then nothing else was tried.
    pub refused: Option<RefusedFile>,
    /// Whether the proposed chain is the one in force.
    pub unchanged: bool,
    /// Why it does not go live by itself. A person may put it in force all the same.
    pub objections: Vec<String>,
    pub warnings: Vec<String>,
    pub rules: Vec<RuleChange>,
    pub fixtures: Vec<FixtureLine>,
    /// None if no calls are recorded, or if nothing was tried.
    pub replay: Option<ReplaySummary>,
    /// It was tried before it was first in force; on the way back nothing is tried again.
    #[serde(default)]
    pub tried_before: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    pub file: String,
    /// One line with file, reason and remedy.
    pub message: String,
}

/// One rule that differs between two chains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    pub rule: String,
    pub kind: RuleChangeKind,
    pub old: Option<VersionRef>,
    pub new: Option<VersionRef>,
    /// What differs, one line each: `settings.tag: "a" -> "b"`.
    pub what: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleChangeKind {
    Added,
    Removed,
    Changed,
    /// Only its place in the chain.
    Moved,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRef {
    pub version: String,
    /// Hex SHA-256.
    pub digest: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixtureLine {
    pub rule: String,
    pub name: String,
    pub passed: bool,
    /// What differs, or the fault; blank if it passed.
    pub text: String,
}

/// The recorded calls through old and new chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaySummary {
    pub compared: u64,
    /// Not compared since the time for it was over.
    pub skipped: u64,
    /// Calls with another outcome.
    pub changed: u64,
    pub new_faults: u64,
    pub faults_gone: u64,
    pub old_us: u64,
    pub new_us: u64,
    /// The first of what differs.
    pub lines: Vec<ReplayLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayLine {
    /// The appointment's key.
    pub key: String,
    /// Whether it is a fault that was not there before.
    pub fault: bool,
    pub text: String,
    /// What differs, with its values: personal data. Empty unless they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<FieldValues>,
}

/// A value of the target before and after, as JSON, cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldValues {
    pub name: String,
    pub old: String,
    pub new: String,
}

impl GateReport {
    /// Whether it may go live without a person's word.
    pub fn is_clean(&self) -> bool {
        self.refused.is_none() && self.objections.is_empty()
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.12})", self.version, self.digest)
    }
}

impl fmt::Display for RuleChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, end) = match self.kind {
            RuleChangeKind::Added => ("+", "added"),
            RuleChangeKind::Removed => ("-", "removed"),
            RuleChangeKind::Changed => ("*", "changed"),
            RuleChangeKind::Moved => ("~", "moved"),
        };
        write!(f, "{sign} {} ", self.rule)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old.digest != new.digest => write!(f, "{old} -> {new}")?,
            (Some(only), _) | (None, Some(only)) => write!(f, "{only} {end}")?,
            (None, None) => f.write_str(end)?,
        }
        for line in &self.what {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// For a terminal.
impl fmt::Display for GateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refused) = &self.refused {
            return writeln!(f, "Refused: {}", refused.message);
        }
        if self.unchanged {
            f.write_str("Nothing would change.\n")?;
        }
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        let failed = self.fixtures.iter().filter(|fixture| !fixture.passed).count();
        match (self.fixtures.len(), failed) {
            (0, _) => {}
            (all, 0) => writeln!(f, "Fixtures: all {all} pass")?,
            (all, failed) => writeln!(f, "Fixtures: {failed} of {all} fail")?,
        }
        match &self.replay {
            None if self.unchanged => {}
            None if self.tried_before => f.write_str("Tried before it was first in force; not tried again\n")?,
            None => f.write_str("Replay: no calls are recorded\n")?,
            Some(replay) => f.write_str(&replay.text())?,
        }
        let mut section =
            |title: &str, lines: &[String]| lines.iter().try_for_each(|line| writeln!(f, "{title}: {line}"));
        section("Warning", &self.warnings)?;
        section("Objection", &self.objections)
    }
}

impl ReplaySummary {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Replay: {} recorded calls, {} with another outcome, {} new faults, {} faults gone; {} us before, {} us now\n",
            self.compared, self.changed, self.new_faults, self.faults_gone, self.old_us, self.new_us
        );
        for line in self.lines.iter().take(LINES_SHOWN) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {}: {}", line.key, line.text);
            for FieldValues { name, old, new } in &line.values {
                let _ =
                    writeln!(text, "        {name}: {old}\n        {:width$}  {new}", "", width = name.chars().count());
            }
        }
        if let Some(more) = self.lines.len().checked_sub(LINES_SHOWN).filter(|more| *more > 0) {
            let _ = writeln!(text, "    ... and {more} more; see --json");
        }
        text
    }
}
