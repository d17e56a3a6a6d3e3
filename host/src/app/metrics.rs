//! Figures about this host, for a Prometheus server: its rules' own, and what queue, worker and ledger know anyway.
//!
//! Promises: nothing is computed that the host does not keep in memory; no label holds anything of an appointment, and the
//! number of series is bounded. Must not know: HTTP.

use std::fmt;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::App;
use crate::plugin::METRIC_VERSIONS_MAX;
use crate::rules::Rules;

type Labels = Vec<(&'static str, String)>;

/// Values at one time, under their names.
#[derive(Debug, Default)]
struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Counter(Vec<(Labels, u64)>),
    Gauge(Vec<(Labels, f64)>),
}

impl App {
    /// All figures in the OpenMetrics text format.
    pub(super) fn figures(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("daybridge");
        registry.register_collector(Box::new(self.metrics.clone()));
        registry.register_collector(Box::new(Figures(self.own_figures())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn own_figures(&self) -> Vec<Figure> {
        let counter = |name, help, values| Figure { name, help, values: Values::Counter(values) };
        let gauge = |name, help, values| Figure { name, help, values: Values::Gauge(values) };
        let now = self.clock.now();
        let generation = self.rules.current().generation();
        let queue = self.queue.counts();
        let overdue = queue.earliest_due.map_or(0.0, |due| (now - due).as_seconds_f64().max(0.0));
        let worker = self.worker.counts();
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (invitations, updates, cancellations) = worker.mail();
        vec![
            gauge("build", "The version that runs", vec![(one("version", env!("CARGO_PKG_VERSION")), 1.0)]),
            gauge("start_time_seconds", "When it was started", vec![(vec![], self.started.timestamp() as f64)]),
            gauge(
                "rules_generation",
                "Number of the chain of rules in force; each replacement changes it",
                vec![(one("digest", &generation.digest), generation.number as f64)],
            ),
            gauge("rule_set_aside", "1 for each rule that is set aside because it kept failing", self.aside()),
            gauge("rule_parked", "Appointments parked by a rule, by kind of fault", self.parked_by_rule()),
            gauge(
                "queue_entries",
                "Appointments in the queue",
                vec![
                    (one("state", "waiting"), queue.waiting as f64),
                    (one("state", "leased"), queue.leased as f64),
                    (one("state", "parked"), queue.parked as f64),
                ],
            ),
            gauge("queue_overdue_seconds", "How long the first in line has been due", vec![(vec![], overdue)]),
            gauge("pairs", "Appointments that both sides have a copy of", vec![(vec![], self.pairs() as f64)]),
            gauge(
                "circuits_open",
                "Servers and mailboxes that are being waited for",
                vec![(vec![], self.worker.waiting().len() as f64)],
            ),
            counter(
                "notifications_passed_over",
                "Notifications to the public address that did not know a subscription's secret",
                vec![(vec![], self.hooks.iter().map(|hook| hook.inbox.passed_over()).sum())],
            ),
            counter("looked_at", "Appointments worked on", vec![(vec![], of(&worker.looked_at))]),
            counter(
                "writes",
                "Writes carried out",
                vec![
                    (one("side", "crm"), of(&worker.crm_writes)),
                    (one("side", "exchange"), of(&worker.exchange_writes)),
                ],
            ),
            counter(
                "mails_declared",
                "Mails that writes made Exchange send",
                vec![
                    (one("kind", "invitation"), invitations),
                    (one("kind", "update"), updates),
                    (one("kind", "cancellation"), cancellations),
                ],
            ),
        ]
    }

    fn aside(&self) -> Vec<(Labels, f64)> {
        let show = |aside: crate::control::SetAside| {
            let digest = aside.digest.chars().take(12).collect();
            (vec![("rule", aside.rule), ("version", aside.version), ("digest", digest), ("duty", aside.duty)], 1.0)
        };
        self.set_aside().into_iter().take(METRIC_VERSIONS_MAX).map(show).collect()
    }

    /// By rule and kind; an author's own codes may be many, and are one kind here.
    fn parked_by_rule(&self) -> Vec<(Labels, f64)> {
        let mut sums = std::collections::BTreeMap::new();
        for (cause, count) in self.queue.parked_by() {
            if let Some(kind) = cause.kind {
                *sums.entry((cause.origin, kind)).or_insert(0.0) += count as f64;
            }
        }
        let show = |((rule, kind), sum)| (vec![("rule", rule), ("kind", kind)], sum);
        sums.into_iter().take(METRIC_VERSIONS_MAX).map(show).collect()
    }
}

fn one(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for Figure { name, help, values } in &self.0 {
            let kind = match values {
                Values::Counter(_) => MetricType::Counter,
                Values::Gauge(_) => MetricType::Gauge,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            match values {
                Values::Counter(values) => {
                    for (labels, value) in values {
                        ConstCounter::new(*value).encode(family.encode_family(&labels.as_slice())?)?;
                    }
                }
                Values::Gauge(values) => {
                    for (labels, value) in values {
                        ConstGauge::new(*value).encode(family.encode_family(&labels.as_slice())?)?;
                    }
                }
            }
        }
        Ok(())
    }
}
