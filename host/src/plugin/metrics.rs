//! Figures about the rules, for a Prometheus server.
//!
//! Promises: exact counts; a bounded number of series (so many rule versions, the one that was idle longest gives way);
//! labels are names of rules, versions, digests, functions and fault kinds, never anything of an appointment. Noting a call
//! is a few additions. Must not know: who asks for the figures, and how.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;

use super::observe::{Called, Observer, RuleVersion};

/// Rule versions with series: several generations of a chain of ten, and the names a server must keep stay few.
pub const VERSIONS_MAX: usize = 64;

/// Upper bounds of the time of a call, in seconds: from a rule that does nothing to the longest deadline there is.
const SECONDS: [f64; 19] = [
    10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Upper bounds of a call's memory, in bytes: from a page to the largest limit there is.
const MEMORY: [f64; 8] =
    [65_536.0, 262_144.0, 1_048_576.0, 2_097_152.0, 4_194_304.0, 16_777_216.0, 33_554_432.0, 134_217_728.0];

/// Counts what rules do. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Versions>>);

#[derive(Default)]
struct Versions {
    /// The functions of a version that were called, each with its figures.
    series: HashMap<RuleVersion, Version>,
    /// Grows with each call: tells which version was idle longest.
    now: u64,
}

#[derive(Default)]
struct Version {
    last: u64,
    functions: Vec<(&'static str, Arc<Series>)>,
}

/// The figures of one function of one version of a rule.
struct Series {
    calls: AtomicU64,
    sandboxes: AtomicU64,
    kept_out: AtomicU64,
    faults: Mutex<Vec<(&'static str, u64)>>,
    seconds: Histogram,
    memory: Histogram,
    memory_peak: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    log_kept: AtomicU64,
    log_dropped: AtomicU64,
}

impl Default for Series {
    fn default() -> Self {
        let count = AtomicU64::default;
        Self {
            calls: count(),
            sandboxes: count(),
            kept_out: count(),
            faults: Mutex::default(),
            seconds: Histogram::new(SECONDS),
            memory: Histogram::new(MEMORY),
            memory_peak: count(),
            bytes_in: count(),
            bytes_out: count(),
            log_kept: count(),
            log_dropped: count(),
        }
    }
}

impl Metrics {
    fn of(&self, rule: &RuleVersion, function: &'static str) -> Arc<Series> {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        versions.now += 1;
        let now = versions.now;
        if !versions.series.contains_key(rule) {
            if versions.series.len() >= VERSIONS_MAX {
                let idle = versions.series.iter().min_by_key(|(_, version)| version.last);
                if let Some(idle) = idle.map(|(rule, _)| rule.clone()) {
                    versions.series.remove(&idle);
                }
            }
            versions.series.insert(rule.clone(), Version::default());
        }
        let Some(version) = versions.series.get_mut(rule) else { return Arc::default() };
        version.last = now;
        if let Some((_, series)) = version.functions.iter().find(|(name, _)| *name == function) {
            return Arc::clone(series);
        }
        let series = Arc::default();
        version.functions.push((function, Arc::clone(&series)));
        series
    }

    /// The series as they are, in order, without holding anybody up.
    fn all(&self) -> Vec<Labelled> {
        let versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = versions
            .series
            .iter()
            .flat_map(|(rule, version)| {
                version.functions.iter().map(|(function, series)| (labels(rule, function), Arc::clone(series)))
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }
}

fn labels(rule: &RuleVersion, function: &str) -> Vec<(&'static str, String)> {
    let digest = rule.digest.chars().take(12).collect();
    vec![
        ("rule", rule.rule.clone()),
        ("version", rule.version.clone()),
        ("digest", digest),
        ("function", function.to_owned()),
    ]
}

impl Observer for Metrics {
    fn kept_out(&self, rule: &RuleVersion, function: &'static str) {
        self.of(rule, function).kept_out.fetch_add(1, Ordering::Relaxed);
    }

    fn called(&self, called: &Called<'_>) {
        let series = self.of(called.rule, called.function);
        let record = called.record;
        let add = |counter: &AtomicU64, count: u64| counter.fetch_add(count, Ordering::Relaxed);
        add(&series.calls, 1);
        add(&series.sandboxes, u64::from(record.is_new));
        add(&series.bytes_in, record.bytes_in);
        add(&series.bytes_out, record.bytes_out);
        add(&series.log_kept, record.log_kept);
        add(&series.log_dropped, record.log_dropped);
        series.memory_peak.fetch_max(record.memory_peak, Ordering::Relaxed);
        series.seconds.observe(record.elapsed.as_secs_f64());
        series.memory.observe(record.memory_peak as f64);
        if let Some(fault) = called.fault {
            let mut faults = series.faults.lock().unwrap_or_else(PoisonError::into_inner);
            match faults.iter_mut().find(|(kind, _)| *kind == fault.kind_name()) {
                Some((_, count)) => *count += 1,
                None => faults.push((fault.kind_name(), 1)),
            }
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let all = self.all();
        let counters: [(&str, &str, Counter); 7] = [
            ("rule_calls", "Calls of a rule that were made", |series| &series.calls),
            ("rule_sandboxes", "Calls whose sandbox was made for them, not put back after another", |series| {
                &series.sandboxes
            }),
            ("rule_kept_out", "Calls that were not made because the rule is set aside", |series| &series.kept_out),
            ("rule_in_bytes", "Bytes of texts and numbers handed to a rule", |series| &series.bytes_in),
            ("rule_out_bytes", "Bytes of texts and numbers in a rule's answers", |series| &series.bytes_out),
            ("rule_log_bytes", "Bytes of log lines of a rule that were kept", |series| &series.log_kept),
            ("rule_log_dropped_bytes", "Bytes of log lines beyond a rule's limit", |series| &series.log_dropped),
        ];
        for (name, help, counter) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, series) in &all {
                let count = counter(series).load(Ordering::Relaxed);
                ConstCounter::new(count).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        let mut faults =
            encoder.encode_descriptor("rule_faults", "Calls that failed, by kind", None, MetricType::Counter)?;
        for (labels, series) in &all {
            let counted = series.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (kind, count) in counted {
                let mut labels = labels.clone();
                labels.push(("kind", kind.to_owned()));
                ConstCounter::new(count).encode(faults.encode_family(&labels.as_slice())?)?;
            }
        }
        let help = "Most memory a call of a rule held";
        let mut peaks = encoder.encode_descriptor("rule_memory_peak_bytes", help, None, MetricType::Gauge)?;
        for (labels, series) in &all {
            let peak = i64::try_from(series.memory_peak.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            ConstGauge::new(peak).encode(peaks.encode_family(&labels.as_slice())?)?;
        }
        let help = "Time of a call of a rule, making its sandbox or putting it back included";
        let family = encoder.encode_descriptor("rule_call_seconds", help, None, MetricType::Histogram)?;
        histograms(family, &all, |series| &series.seconds)?;
        let family = encoder.encode_descriptor(
            "rule_memory_bytes",
            "Memory of a call of a rule",
            None,
            MetricType::Histogram,
        )?;
        histograms(family, &all, |series| &series.memory)
    }
}

type Labelled = (Vec<(&'static str, String)>, Arc<Series>);
type Counter = fn(&Series) -> &AtomicU64;

fn histograms(
    mut family: MetricEncoder<'_>,
    all: &[Labelled],
    of: impl Fn(&Series) -> &Histogram,
) -> Result<(), fmt::Error> {
    for (labels, series) in all {
        of(series).encode(family.encode_family(&labels.as_slice())?)?;
    }
    Ok(())
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
