//! Trying a chain: on fixtures, on recorded calls, on a person's own file. No appointment depends on what comes out.
//!
//! Promises: runs the very steps the live chain runs, under the same limits, on the calling thread (blocks, some tens of
//! microseconds per rule); tells no observer; look-ups are answered by whoever tries. Must not know: fixtures, recordings.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{Chain, Step, Trace, load_bytes, run, schema};
use crate::model::{Appointment, Direction, Field, Person, User, UserId};
use crate::plugin::engine::Engine;
use crate::plugin::entry::{LogLevel, OnError, Origin, RuleEntry};
use crate::plugin::load::{self, Refused};
use crate::plugin::lookup::{Kind, LookupSource, NoLookups};
use crate::plugin::observe::Observers;
use crate::rules::{Conflict, Draft, Explanation, Failure, Fault, Generation, Resolution};

impl Chain {
    /// A chain of one rule from its bytes, taken through the gate as any other: with the entry's limits and settings, and with
    /// every look-up granted that it asks for.
    ///
    /// # Errors
    /// [`Refused`], the first thing that is wrong.
    pub fn of_rule(engine: &Engine, entry: &RuleEntry, bytes: &[u8]) -> Result<Self, Refused> {
        let entry = RuleEntry { lookups: Kind::ALL.to_vec(), ..entry.clone() };
        let (mut step, mut info) = load_bytes(&entry, bytes, Origin::Folder, engine)?;
        (step.callable.step, info.order) = (1, 1);
        step.callable.lookups = Arc::new(NoLookups);
        let identity = format!("{:?}", (&info.name, &info.digest, &step.directions, &entry));
        let digest = load::hex(&Sha256::digest(identity)).chars().take(12).collect();
        Ok(Self {
            generation: Generation { number: 0, digest },
            engine: engine.clone(),
            steps: [step].into(),
            infos: [info].into(),
            observers: Observers::default(),
        })
    }

    /// The same steps for a trial: nobody is told, nothing is counted or logged, and look-ups are answered by `lookups`.
    pub(in crate::plugin) fn rehearsed(&self, lookups: &Arc<dyn LookupSource>) -> Self {
        let chain = self.unobserved(&Observers::default());
        let prepare = |step: &Step| {
            let mut step = step.clone();
            step.callable.lookups = Arc::clone(lookups);
            step
        };
        Self { steps: chain.steps.iter().map(prepare).collect(), ..chain }
    }

    /// The same steps with the host's own look-ups: nothing is counted or logged, and a rule that is set aside stays so.
    pub(super) fn looked_at(&self) -> Self {
        self.unobserved(&self.observers.looking())
    }

    fn unobserved(&self, observers: &Observers) -> Self {
        let prepare = |step: &Step| {
            let mut step = step.clone();
            step.callable.observers = observers.clone();
            (step.trial, step.log_level) = (true, Some(LogLevel::Off));
            step
        };
        Self { steps: self.steps.iter().map(prepare).collect(), observers: observers.clone(), ..self.clone() }
    }

    /// One rule of this chain alone, with settings of its own, as the rule's author sees it: its faults and its own words are not
    /// covered by what the operator wrote, and it is asked whatever its condition says.
    ///
    /// # Errors
    /// One readable line: no such rule, or settings it does not take.
    pub(in crate::plugin) fn alone(&self, rule: Option<&str>, given: &Map<String, Json>) -> Result<Self, String> {
        let found = match (rule, &*self.steps) {
            (Some(name), steps) => steps.iter().find(|step| step.callable.identity.rule == name),
            (None, [step]) => Some(step),
            (None, _) => return Err("names no rule, and the chain has several".to_owned()),
        };
        let Some(found) = found else {
            let names: Vec<&str> = self.steps.iter().map(|step| step.callable.identity.rule.as_str()).collect();
            return Err(format!("is for rule {}, and here is {}", rule.unwrap_or_default(), names.join(", ")));
        };
        let infos: Vec<_> =
            self.infos.iter().filter(|info| info.enabled && info.order == found.callable.step).cloned().collect();
        let schema = infos.first().map(|info| info.settings_schema.as_str()).unwrap_or_default();
        let mut step = found.clone();
        step.callable.settings = Arc::new(schema::settle(schema, given)?);
        (step.on_error, step.default_message, step.condition) = (OnError::Park, None, None);
        Ok(Self { steps: [step].into(), infos: infos.into(), ..self.clone() })
    }

    /// Position and settings, as the operator wrote them, of the rule of that name.
    pub(in crate::plugin) fn step_of(&self, rule: &str) -> Option<(u32, &Map<String, Json>)> {
        let step = self.steps.iter().find(|step| step.callable.identity.rule == rule)?;
        Some((step.callable.step, &step.given))
    }

    /// How many rules run in it.
    pub(in crate::plugin) fn rules(&self) -> usize {
        self.steps.len()
    }

    /// As [`Chain::trace`], here and now, from a draft that may differ from the source, with each step's draft kept.
    pub(in crate::plugin) fn try_judge(
        &self,
        id: &str,
        direction: Direction,
        source: &Appointment,
        draft: Option<Draft>,
    ) -> Trace {
        let input = run::Input { source: source.clone(), draft, keep: true };
        self.engine.run_here(|| run::judge(&self.steps, id, direction, input))
    }

    pub(in crate::plugin) fn try_resolve(
        &self,
        id: &str,
        direction: Direction,
        source: &Appointment,
        conflicts: &[Conflict],
    ) -> Result<BTreeMap<Field, Resolution>, Box<Fault>> {
        self.engine.run_here(|| run::resolve(&self.steps, id, direction, source.clone(), conflicts.to_vec()))
    }

    pub(in crate::plugin) fn try_explain(&self, failure: &Failure) -> Result<Option<Explanation>, Box<Fault>> {
        self.engine.run_here(|| run::explain(&self.steps, failure))
    }

    pub(in crate::plugin) fn try_match_user(
        &self,
        person: &Person,
        candidates: &[User],
    ) -> Result<Option<UserId>, Box<Fault>> {
        self.engine.run_here(|| run::match_user(&self.steps, person.clone(), candidates))
    }
}
