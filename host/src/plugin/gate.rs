//! What a proposed chain goes through before it may go live: each file through [`load`](super::load), the rules' own
//! fixtures, and the recorded calls through old and new.
//!
//! Promises: nothing of it touches the chain in force; the report says everything that a person needs to decide.
//! Must not know: where chains are kept, who asked.

mod checks;
mod compare;
mod report;

use std::sync::Arc;

use super::archive::record::EntryRecord;
use super::chain::{Chain, LoadError};
use super::engine::Engine;
use super::entry::Pin;
use super::lookup::LookupSource;

pub use checks::{Fixtures, Recent, Trials};
pub(super) use compare::file_lines;
pub use report::{
    FieldValues, FixtureLine, GateReport, RefusedFile, ReplayLine, ReplaySummary, RuleChange, RuleChangeKind,
    VersionRef,
};

/// Fixtures whose failures are listed one by one; the rest are counted.
const OBJECTIONS_MAX: usize = 20;

/// What is tried on a proposed chain besides loading it. Fixtures and recorded calls come in here alone.
pub trait Checks: Send + Sync {
    /// Runs the fixtures that travel with a rule's file. `alone` is a chain of that rule only, as its entry has it.
    fn fixtures(&self, file: &str, rule: Fixtures<'_>, alone: &Chain) -> Vec<FixtureLine>;

    /// Takes the recorded calls through both chains; nothing if none are recorded. Called on a thread that may wait.
    fn replay(&self, old: &Chain, new: &Chain, showing: Showing) -> Option<ReplaySummary>;
}

/// What a report shows of the recorded calls that come out otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Showing {
    /// Names of fields.
    #[default]
    Names,
    /// Their values, too: personal data, for the person who asked and for nobody else.
    Values,
}

/// Tries nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoChecks;

impl Checks for NoChecks {
    fn fixtures(&self, _: &str, _: Fixtures<'_>, _: &Chain) -> Vec<FixtureLine> {
        Vec::new()
    }

    fn replay(&self, _: &Chain, _: &Chain, _: Showing) -> Option<ReplaySummary> {
        None
    }
}

/// What a chain is loaded and tried with.
#[derive(Clone)]
pub(super) struct Gate {
    pub engine: Engine,
    pub lookups: Arc<dyn LookupSource>,
    pub checks: Arc<dyn Checks>,
    pub showing: Showing,
}

/// A chain in force, as the gate compares with it.
pub(super) struct InForce<'a> {
    pub chain: &'a Chain,
    pub entries: &'a [EntryRecord],
}

impl Gate {
    /// The same gate for what was tried before: it loads, and tries nothing more.
    pub fn untried(&self) -> Self {
        Self { checks: Arc::new(NoChecks), ..self.clone() }
    }

    /// The same gate, with another form of report.
    pub fn showing(self, showing: Showing) -> Self {
        Self { showing, ..self }
    }

    /// Takes a proposed chain through everything. Loads and runs rules on the calling thread.
    pub fn pass(
        &self,
        pins: &[Pin],
        added: &[bool],
        now: Option<&InForce<'_>>,
    ) -> (GateReport, Result<Passed, LoadError>) {
        match Chain::of(pins, &self.engine, &self.lookups) {
            Ok(chain) => {
                let (report, passed) = self.tried(chain, pins, added, now);
                (report, Ok(passed))
            }
            Err(error) => {
                let refused = RefusedFile { file: error.file.clone(), message: error.to_string() };
                (GateReport { refused: Some(refused), ..GateReport::default() }, Err(error))
            }
        }
    }

    /// Takes a chain that loaded through the rest.
    pub fn tried(&self, chain: Chain, pins: &[Pin], added: &[bool], now: Option<&InForce<'_>>) -> (GateReport, Passed) {
        let entries = super::live::records(&chain, pins, added);
        let before = now.map_or(&[][..], |now| now.entries);
        let mut report = GateReport { rules: compare::entries(before, &entries), ..GateReport::default() };
        report.unchanged = report.rules.is_empty() && now.is_some();
        if !report.unchanged {
            self.own_fixtures(pins, &entries, before, &mut report);
            report.replay = now.and_then(|now| self.checks.replay(now.chain, &chain, self.showing));
        }
        report.objections = objections(&report);
        report.warnings = warnings(pins, &chain);
        (report, Passed { chain, entries })
    }

    /// Runs the fixtures of every rule whose file or options are not those in force.
    fn own_fixtures(&self, pins: &[Pin], entries: &[EntryRecord], before: &[EntryRecord], report: &mut GateReport) {
        for (pin, entry) in pins.iter().zip(entries) {
            let (true, Ok(source)) = (pin.entry.enabled && !before.contains(entry), &pin.source) else { continue };
            match Chain::of(std::slice::from_ref(pin), &self.engine, &self.lookups) {
                Ok(alone) => {
                    report.fixtures.extend(self.checks.fixtures(&pin.entry.file, Fixtures::of(source), &alone))
                }
                // It was accepted a moment ago as part of the chain.
                Err(error) => report.warnings.push(error.to_string()),
            }
        }
    }
}

/// A chain that may be put in force.
pub(super) struct Passed {
    pub chain: Chain,
    pub entries: Vec<EntryRecord>,
}

/// What keeps a chain from going live by itself; a person may put it in force all the same.
fn objections(report: &GateReport) -> Vec<String> {
    let failed: Vec<&FixtureLine> = report.fixtures.iter().filter(|fixture| !fixture.passed).collect();
    let lines = failed
        .iter()
        .map(|fixture| format!("fixture {} of rule {} fails: {}", fixture.name, fixture.rule, fixture.text));
    let mut objections: Vec<String> = lines.take(OBJECTIONS_MAX).collect();
    if let Some(more) = failed.len().checked_sub(OBJECTIONS_MAX).filter(|more| *more > 0) {
        objections.push(format!("{more} more fixtures fail"));
    }
    if let Some(replay) = report.replay.as_ref().filter(|replay| replay.new_faults > 0) {
        let first = replay.lines.iter().find(|line| line.fault).map(|line| format!("; the first: {}", line.text));
        objections.push(format!(
            "{} of {} recorded calls fail with it that did not before{}",
            replay.new_faults,
            replay.compared,
            first.unwrap_or_default()
        ));
    }
    objections
}

fn warnings(pins: &[Pin], chain: &Chain) -> Vec<String> {
    let infos = chain.list();
    let unloaded = pins.iter().zip(infos).filter(|(pin, info)| !pin.entry.enabled && info.digest.is_empty());
    unloaded.map(|(_, info)| format!("rule {} is off and {}", info.name, info.purpose)).collect()
}
