//! Sets a rule aside that fails for one appointment after another, and tries it again later.
//!
//! Each version of a rule has a circuit for each of its duties: judging (`apply` and `resolve`), wording (`explain`), and
//! matching users. It opens when, among the last calls, enough *different* appointments met a fault and enough of the calls
//! were faults; then the rule is not called and what would have been a call is a fault of kind `set-aside`. After a while
//! one call goes through: success closes the circuit, another fault doubles the wait. An appointment that fails again and
//! again is one appointment: it parks alone. A rule that cannot word a failure still judges, since the duties are apart.
//!
//! Promises: never blocks and never waits; memory is bounded; a restart forgets everything, so each rule begins in force.
//! Must not know: the queue (what becomes of the appointments is the host's to do, by [`Breaker::stand`]).

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use super::observe::{Called, Observer, RuleVersion};
use crate::clock::Clock;
use crate::rules::FaultKind;

/// Rule versions minded at most; beyond it, those whose circuits are closed are forgotten.
const VERSIONS_MAX: usize = 256;
/// A trial that has not ended after this long is lost (its thread died); the longest call is far shorter.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// Between two appointments that are let go ahead to try a rule: one may never reach it.
const INVITE_EVERY: Duration = Duration::from_secs(1);
/// How long a trial is kept for an appointment that has not failed yet; after it, any will do.
const PREFER: Duration = Duration::from_secs(30);
/// Failed appointments remembered for that.
const FAILED_MAX: usize = 1000;
/// News kept for the host; it asks every second.
const NEWS_MAX: usize = 256;

/// When a rule is set aside, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    /// So many different appointments must have met a fault.
    pub appointments: usize,
    /// Calls looked back at.
    pub calls: usize,
    /// So great a part of these calls (above 0, up to 1) must have been faults.
    pub part: f64,
    /// Calls longer ago count no more.
    pub window: Duration,
    /// Until the first trial; doubles with each that fails.
    pub first: Duration,
    pub longest: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            appointments: 5,
            calls: 20,
            part: 0.5,
            window: Duration::from_secs(600),
            first: Duration::from_secs(30),
            longest: Duration::from_secs(3600),
        }
    }
}

/// The circuits of all rules.
#[derive(Debug)]
pub struct Breaker {
    clock: Arc<dyn Clock>,
    settings: BreakerSettings,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    circuits: HashMap<RuleVersion, [Circuit; 3]>,
    news: VecDeque<News>,
}

/// What a rule is asked to do, as far as failing at it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    Judging,
    Wording,
    Matching,
}

#[derive(Debug, Default)]
struct Circuit {
    recent: VecDeque<Recent>,
    open: Option<Open>,
    /// Tells calls without an appointment apart.
    calls: u64,
    /// Appointments that had failed when another showed that the rule works: theirs is the blame, so that their further
    /// faults say nothing about the rule.
    poison: HashSet<String>,
}

#[derive(Debug)]
struct Recent {
    at: DateTime<Utc>,
    appointment: String,
    fault: bool,
}

#[derive(Clone, Debug)]
struct Open {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Times it was opened or opened again.
    times: u32,
    kind: &'static str,
    trial: Option<(DateTime<Utc>, String)>,
    invited: Option<DateTime<Utc>>,
    /// Appointments that met a fault before and as trials. One that may itself be the poison says little about the rule, so
    /// another is tried first.
    failed: HashSet<String>,
}

/// An open circuit as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub rule: RuleVersion,
    pub duty: Duty,
    pub since: DateTime<Utc>,
    /// When it is tried again, or was to be.
    pub until: DateTime<Utc>,
    /// Kind of the last fault; see [`crate::rules::Fault::kind_name`].
    pub kind: &'static str,
}

/// Something people should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The rule is set aside from now on.
    Opened(SetAside),
    /// A trial went well.
    Closed { rule: RuleVersion, duty: Duty },
    /// The version that was set aside is no longer in force.
    Replaced { rule: RuleVersion, duty: Duty },
}

/// Whether appointments that were kept from a rule may go to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// All of them.
    Free,
    /// One, as a trial.
    OneMay,
    /// None yet.
    Wait,
}

impl Duty {
    fn of(function: &str) -> Self {
        match function {
            "explain" => Duty::Wording,
            "match-user" => Duty::Matching,
            _ => Duty::Judging,
        }
    }

    /// In words that end "it is set aside from ...".
    pub fn name(self) -> &'static str {
        match self {
            Duty::Judging => "judging appointments",
            Duty::Wording => "wording failures",
            Duty::Matching => "matching users",
        }
    }
}

impl Breaker {
    pub fn new(clock: Arc<dyn Clock>, settings: BreakerSettings) -> Self {
        Self { clock, settings, state: Mutex::default(), changed: Notify::new() }
    }

    /// Resolves when a circuit has opened or closed since it was last asked.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What happened since this was last asked.
    pub fn news(&self) -> Vec<News> {
        self.lock().news.drain(..).collect()
    }

    /// The rules that are set aside, by name.
    pub fn set_aside(&self) -> Vec<SetAside> {
        let state = self.lock();
        let circuits = state.circuits.iter().flat_map(|(rule, circuits)| {
            DUTIES.into_iter().zip(circuits).filter_map(|(duty, circuit)| circuit.shown(rule, duty))
        });
        let mut found: Vec<_> = circuits.collect();
        found.sort_by(|one, other| (&one.rule, one.duty as u8).cmp(&(&other.rule, other.duty as u8)));
        found
    }

    /// Another chain is in force. Circuits of versions that are not in it are forgotten; those that are open are tried at
    /// once, since other settings or other rules before them may have mended it.
    pub fn in_force(&self, rules: &[RuleVersion]) {
        let now = self.clock.now();
        let mut state = self.lock();
        let State { circuits, news } = &mut *state;
        circuits.retain(|rule, circuits| {
            let stays = rules.contains(rule);
            for (duty, circuit) in DUTIES.into_iter().zip(circuits) {
                circuit.poison.clear();
                match &mut circuit.open {
                    Some(open) if stays => {
                        (open.until, open.trial, open.invited) = (now, None, None);
                        open.failed.clear();
                    }
                    Some(_) => tell(news, News::Replaced { rule: rule.clone(), duty }),
                    None => {}
                }
            }
            stays
        });
        drop(state);
        self.changed.notify_one();
    }

    /// Whether appointments kept from judging by the rule of this name may be judged by it now. Whoever is told
    /// [`Stand::OneMay`] sends one; it is said about once a second until a trial has ended.
    pub fn stand(&self, name: &str) -> Stand {
        let now = self.clock.now();
        let mut state = self.lock();
        let judging = state.circuits.iter_mut().filter(|(rule, _)| rule.rule == name);
        let open = judging.filter_map(|(_, [judging, ..])| judging.open.as_mut()).next();
        let Some(open) = open else { return Stand::Free };
        let invited = open.invited.is_some_and(|at| now < at + span(INVITE_EVERY));
        if now < open.until || open.is_tried(now) || invited {
            return Stand::Wait;
        }
        open.invited = Some(now);
        Stand::OneMay
    }

    /// Whether this appointment would be admitted as a trial: after [`Stand::OneMay`], the one to send.
    pub fn may_try(&self, name: &str, appointment: &str) -> bool {
        let now = self.clock.now();
        let state = self.lock();
        let mut open = state
            .circuits
            .iter()
            .filter(|(rule, _)| rule.rule == name)
            .filter_map(|(_, [judging, ..])| judging.open.as_ref());
        open.next().is_none_or(|open| open.suits(appointment, now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these calls mean that the rule is broken, and not the appointment.
    fn is_broken(&self, recent: &VecDeque<Recent>) -> bool {
        let faults = recent.iter().filter(|call| call.fault);
        let appointments: HashSet<&str> = faults.clone().map(|call| call.appointment.as_str()).collect();
        appointments.len() >= self.settings.appointments.max(1)
            && faults.count() as f64 >= self.settings.part * recent.len() as f64
    }

    fn wait(&self, times: u32) -> TimeDelta {
        let doubled = self.settings.first.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1).min(20)));
        span(doubled.min(self.settings.longest))
    }
}

impl Observer for Breaker {
    fn admit(&self, rule: &RuleVersion, function: &'static str, appointment: &str) -> Result<(), FaultKind> {
        let mut state = self.lock();
        let circuit = state.circuits.get_mut(rule).and_then(|circuits| circuits.get_mut(Duty::of(function) as usize));
        let Some(open) = circuit.and_then(|circuit| circuit.open.as_mut()) else { return Ok(()) };
        let now = self.clock.now();
        if now < open.until {
            return Err(FaultKind::SetAside { until: open.until });
        }
        if open.is_tried(now) || !open.suits(appointment, now) {
            return Err(FaultKind::SetAside { until: now + span(INVITE_EVERY) });
        }
        open.trial = Some((now, appointment.to_owned()));
        Ok(())
    }

    fn would_admit(&self, rule: &RuleVersion, function: &'static str) -> Result<(), FaultKind> {
        let state = self.lock();
        let circuit = state.circuits.get(rule).and_then(|circuits| circuits.get(Duty::of(function) as usize));
        match circuit.and_then(|circuit| circuit.open.as_ref()) {
            Some(open) if self.clock.now() < open.until => Err(FaultKind::SetAside { until: open.until }),
            _ => Ok(()),
        }
    }

    fn called(&self, called: &Called<'_>) {
        let duty = Duty::of(called.function);
        let now = self.clock.now();
        let mut state = self.lock();
        let State { circuits, news } = &mut *state;
        if circuits.len() >= VERSIONS_MAX && !circuits.contains_key(called.rule) {
            circuits.retain(|_, circuits| circuits.iter().any(|circuit| circuit.open.is_some()));
        }
        if !circuits.contains_key(called.rule) {
            circuits.insert(called.rule.clone(), Default::default());
        }
        let Some(circuit) = circuits.get_mut(called.rule).and_then(|circuits| circuits.get_mut(duty as usize)) else {
            return;
        };
        if let Some(open) = &mut circuit.open {
            // Calls that began before it opened end after it; only the trial says how the rule is now.
            if open.trial.as_ref().is_none_or(|(_, appointment)| appointment != called.appointment) {
                return;
            }
            match called.fault {
                Some(fault) => {
                    open.times = open.times.saturating_add(1);
                    if open.failed.len() < FAILED_MAX {
                        open.failed.insert(called.appointment.to_owned());
                    }
                    (open.until, open.trial, open.kind) = (now + self.wait(open.times), None, fault.kind_name());
                }
                None => {
                    let poison = std::mem::take(&mut open.failed);
                    *circuit = Circuit { poison, ..Circuit::default() };
                    tell(news, News::Closed { rule: called.rule.clone(), duty });
                    self.changed.notify_one();
                }
            }
            return;
        }
        if called.fault.is_none() {
            circuit.poison.remove(called.appointment);
        } else if circuit.poison.contains(called.appointment) {
            return;
        }
        circuit.note(called.appointment, called.fault.is_some(), now);
        let oldest = now - span(self.settings.window);
        let calls = self.settings.calls.max(1);
        while circuit.recent.len() > calls || circuit.recent.front().is_some_and(|call| call.at < oldest) {
            circuit.recent.pop_front();
        }
        if let Some(fault) = called.fault
            && self.is_broken(&circuit.recent)
        {
            let (until, kind) = (now + self.wait(1), fault.kind_name());
            let faults = circuit.recent.drain(..).filter(|call| call.fault);
            let failed = faults.map(|call| call.appointment).collect();
            circuit.open = Some(Open { since: now, until, times: 1, kind, trial: None, invited: None, failed });
            if let Some(shown) = circuit.shown(called.rule, duty) {
                tell(news, News::Opened(shown));
            }
            self.changed.notify_one();
        }
    }
}

const DUTIES: [Duty; 3] = [Duty::Judging, Duty::Wording, Duty::Matching];

impl Circuit {
    fn note(&mut self, appointment: &str, fault: bool, at: DateTime<Utc>) {
        self.calls += 1;
        // Users are matched without an appointment: each call stands for itself.
        let appointment = if appointment.is_empty() { self.calls.to_string() } else { appointment.to_owned() };
        self.recent.push_back(Recent { at, appointment, fault });
    }

    fn shown(&self, rule: &RuleVersion, duty: Duty) -> Option<SetAside> {
        let Open { since, until, kind, .. } = *self.open.as_ref()?;
        Some(SetAside { rule: rule.clone(), duty, since, until, kind })
    }
}

impl Open {
    fn suits(&self, appointment: &str, now: DateTime<Utc>) -> bool {
        now >= self.until + span(PREFER) || !self.failed.contains(appointment)
    }

    fn is_tried(&self, now: DateTime<Utc>) -> bool {
        self.trial.as_ref().is_some_and(|(began, _)| now < *began + span(TRIAL_MAX))
    }
}

fn tell(news: &mut VecDeque<News>, item: News) {
    news.push_back(item);
    if news.len() > NEWS_MAX {
        news.pop_front();
    }
}

fn span(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX / 4)
}
