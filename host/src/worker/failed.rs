//! Where every failure turns back: retry, wait for the server, read again, or park with its reason.
//!
//! Promises: nothing is dropped; people are told once for each cause; a server that is down costs no attempts. Must not
//! know: how an appointment is worked on.

use std::time::Duration;

use super::moved::HELD_DUE;
use super::{Trouble, Worker};
use crate::connector::Problem;
use crate::error::{Chain, Class};
use crate::model::Container;
use crate::notify::Notice;
use crate::queue::{FailureRecord, Lease, QueueError};
use crate::rules::{AfterFault, Failure, Generation, NextStep};

impl Worker {
    /// The one place where an error turns back.
    /// `generation` is of the rules in force when the attempt began.
    pub(super) async fn failed(
        &self,
        lease: Lease,
        trouble: Trouble,
        generation: &Generation,
    ) -> Result<(), QueueError> {
        let rule = trouble.rule();
        match trouble {
            Trouble::Held { rule, reason, after } => {
                tracing::info!(appointment.key = %lease.key, rule.name = rule, rules.generation = generation.number, "Held for {after:?}: {reason}");
                let record = self.record(&lease, "held-by-rule", "retry", &rule, reason, String::new());
                self.queue.retry(&lease, Some(after), record, false).await?;
                self.judged(&lease.key);
                Ok(())
            }
            Trouble::Fault(fault) if fault.then == AfterFault::Stop => {
                self.stopped_by(lease, &fault, generation.digest.clone()).await
            }
            Trouble::Waiting { name, after } => {
                let message = format!("{name} is being waited for");
                let record = self.record(&lease, "waiting", "down", &name, message, String::new());
                self.queue.retry(&lease, Some(after), record, false).await
            }
            Trouble::Moved { .. } | Trouble::Elsewhere { .. } => {
                let record = self.record(
                    &lease,
                    &trouble.code(),
                    "down",
                    &trouble.origin(),
                    trouble.to_string(),
                    trouble.hint(),
                );
                self.queue.retry(&lease, Some(HELD_DUE), record, false).await
            }
            Trouble::Server { server, container, error } => {
                self.server_failed(lease, &server, &container, &error).await
            }
            // People were told once, when the rule was set aside; the entry goes on by itself when that ends.
            Trouble::Fault(fault) if fault.is_set_aside() => {
                tracing::debug!(appointment.key = %lease.key, rule.name = fault.rule, rules.generation = generation.number, "Set aside with its rule");
                let other = Trouble::Fault(fault);
                let mut record =
                    self.record(&lease, &other.code(), "park", &other.origin(), other.to_string(), other.hint());
                record.rule = rule;
                self.queue.set_aside(&lease, record).await
            }
            other => {
                let retry = other.retry();
                let mut record = self.record(
                    &lease,
                    &other.code(),
                    if retry { "retry" } else { "park" },
                    &other.origin(),
                    other.to_string(),
                    other.hint(),
                );
                record.rule = rule;
                let next = self.reword(&lease, &mut record).await;
                let retry = next.map_or(retry, |next| next == NextStep::Retry);
                retry_class(&mut record, retry);
                self.word(&other, &mut record);
                tracing::info!(
                    appointment.key = %lease.key,
                    code = record.code,
                    rules.generation = generation.number,
                    correlation = record.rule.as_ref().map(|rule| rule.correlation.as_str()),
                    "{} after attempt {}",
                    if retry { "Tried again later" } else { "Parked" },
                    lease.attempt
                );
                if retry {
                    self.queue.retry(&lease, other.retry_after(), record, true).await?;
                    // The store's own failures are no answer of the rules.
                    if matches!(other, Trouble::Fault(_) | Trouble::Refused(_)) {
                        self.judged(&lease.key);
                    }
                    return Ok(());
                }
                self.park(lease, record, matches!(other, Trouble::KeepsChanging { .. })).await
            }
        }
    }

    async fn server_failed(
        &self,
        lease: Lease,
        server: &str,
        container: &Container,
        error: &crate::connector::Error,
    ) -> Result<(), QueueError> {
        let class = error.class();
        let wait = self.trouble_with(server, container, error);
        let mut record = self.record(
            &lease,
            error.problem.code(),
            class.name(),
            server,
            Chain(error).to_string(),
            error.hint().to_owned(),
        );
        match class {
            Class::Down { .. } | Class::Auth => self.queue.retry(&lease, wait, record, false).await,
            Class::Retry { .. } if matches!(error.problem, Problem::Throttled { .. }) => {
                self.queue.retry(&lease, wait, record, false).await
            }
            Class::Conflict => self.queue.retry(&lease, None, record, true).await,
            Class::Retry { .. } | Class::Park => {
                let next = self.reword(&lease, &mut record).await;
                let retry = next.map_or(class != Class::Park, |next| next == NextStep::Retry);
                retry_class(&mut record, retry);
                if retry {
                    self.queue.retry(&lease, wait, record, true).await
                } else {
                    self.park(lease, record, false).await
                }
            }
        }
    }

    /// Minds a server's failure: opens the circuit where others should wait too. Answers how long to wait, if it matters.
    pub(crate) fn trouble_with(
        &self,
        server: &str,
        container: &Container,
        error: &crate::connector::Error,
    ) -> Option<Duration> {
        match (error.class(), &error.problem) {
            (Class::Down { after }, _) => Some(self.open(server, server, error, after)),
            (Class::Auth, _) => Some(self.open(server, server, error, None)),
            (Class::Retry { after }, Problem::Throttled { .. }) => {
                Some(self.open(&container.key(), server, error, after))
            }
            (Class::Retry { after }, _) => after,
            (Class::Conflict | Class::Park, _) => None,
        }
    }

    /// Opens the circuit of a server or mailbox; one notice when it opens.
    fn open(&self, name: &str, server: &str, error: &crate::connector::Error, after: Option<Duration>) -> Duration {
        let now = self.clock.now();
        let (wait, first) = self.circuits.failed(name, error.problem.code(), after, now, self.settings.circuit);
        if first && !matches!(error.problem, Problem::Throttled { .. }) {
            let notice = Notice {
                code: error.problem.code().to_owned(),
                about: server.to_owned(),
                title: format!("{server} does not let the work go on"),
                text: Chain(error).to_string(),
                hint: error.hint().to_owned(),
            };
            self.notifier.tell(notice, now);
        } else {
            tracing::debug!(server.name = server, error = %Chain(error), "Waiting {wait:?} for {name}");
        }
        wait
    }

    /// Whether work for this server and container may go now.
    pub(super) fn mind(&self, server: &str, container: &Container) -> Result<(), Trouble> {
        self.not_held(container)?;
        let now = self.clock.now();
        for name in [server, &container.key()] {
            if let Some(after) = self.circuits.wait(name, now, self.settings.circuit) {
                return Err(Trouble::Waiting { name: name.to_owned(), after });
            }
        }
        Ok(())
    }

    pub(super) fn answered(&self, server: &str, container: &Container) {
        for name in [server, &container.key()] {
            if self.circuits.answered(name) {
                tracing::info!(server.name = server, "{server} answers again");
            }
        }
    }

    async fn park(&self, lease: Lease, record: FailureRecord, silent: bool) -> Result<(), QueueError> {
        if silent {
            self.queue.park(&lease, record).await?;
            self.judged(&lease.key);
            return Ok(());
        }
        // Many appointments may park for one reason: the cause is the code and where it came from.
        let notice = Notice {
            code: record.code.clone(),
            about: record.origin.clone(),
            title: format!("Appointment {} is parked", lease.key),
            text: record.message.clone(),
            hint: record.hint.clone(),
        };
        self.notifier.tell(notice, self.clock.now());
        self.queue.park(&lease, record).await?;
        self.judged(&lease.key);
        Ok(())
    }

    /// Puts the operator's default message over what a rule or its failure says.
    fn word(&self, trouble: &Trouble, record: &mut FailureRecord) {
        let Some(words) = trouble.default_message() else { return };
        if let (true, Trouble::Fault(fault)) = (words.alone, trouble) {
            // People read the operator's words alone; whoever mends the rule needs the host's. (A refusal's words may be personal data.)
            tracing::warn!(appointment.key = %fault.appointment, rule.name = %fault.rule, error = %fault, "A default message stands for a fault");
        }
        record.message = words.over(&record.message);
    }

    pub(super) fn record(
        &self,
        lease: &Lease,
        code: &str,
        class: &str,
        origin: &str,
        message: String,
        hint: String,
    ) -> FailureRecord {
        FailureRecord {
            code: code.to_owned(),
            class: class.to_owned(),
            origin: origin.to_owned(),
            message,
            hint,
            at: self.clock.now(),
            attempts: lease.attempt,
            rule: None,
        }
    }

    /// Lets a rule word the failure for people; answers what it wants to become of the entry.
    async fn reword(&self, lease: &Lease, record: &mut FailureRecord) -> Option<NextStep> {
        let failure = Failure {
            code: record.code.clone(),
            class: record.class.clone(),
            origin: record.origin.clone(),
            message: record.message.clone(),
            hint: record.hint.clone(),
            appointment: lease.key.to_string(),
            attempts: lease.attempt,
        };
        match self.rules.current().explain(&failure).await {
            Ok(Some(words)) => {
                record.message =
                    if words.title.is_empty() { words.text } else { format!("{}: {}", words.title, words.text) };
                record.hint = words.hint;
                words.next
            }
            Ok(None) => None,
            Err(fault) => {
                tracing::warn!(error = %Chain(&fault), rules.generation = fault.generation.number, correlation = %fault.correlation, "A rule could not word a failure; it is told as it is");
                None
            }
        }
    }
}

/// The class tells what becomes of the entry.
fn retry_class(record: &mut FailureRecord, retry: bool) {
    record.class = if retry { "retry" } else { "park" }.to_owned();
}
