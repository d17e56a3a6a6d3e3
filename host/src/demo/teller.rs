//! How the story is told: sentences for people, one JSON object per step for programs.
//!
//! Promises: every step is told once, with what was seen and how long it took. Must not know: what the steps do.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;

use super::{DemoError, Stage};
use crate::error::Chain;

/// What was seen in a step.
pub(super) struct Seen {
    /// One sentence.
    pub detail: String,
    /// How long the other side took to show it, and what is good for this step.
    pub took: Option<(Duration, Duration)>,
}

impl Seen {
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), took: None }
    }

    pub fn timed(detail: impl Into<String>, took: Duration, good: Duration) -> Self {
        Self { detail: detail.into(), took: Some((took, good)) }
    }
}

/// A step as a program reads it.
#[derive(Serialize)]
struct StepLine<'a> {
    step: &'a str,
    ok: bool,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    good_ms: Option<u64>,
}

pub(super) struct Teller {
    json: bool,
    colour: bool,
}

impl Teller {
    pub fn new(json: bool) -> Self {
        Self { json, colour: !json && std::io::stdout().is_terminal() }
    }

    pub fn opening(&self) {
        if !self.json {
            line("Daybridge demo: a CRM, an Exchange server and a host on this machine. Nothing leaves it.\n");
        }
    }

    /// Where to look while the story runs.
    pub fn places(&self, stage: &Stage) {
        if self.json {
            return;
        }
        line(&format!("  CRM       {}", stage.crm.url()));
        line(&format!("  Exchange  {}", stage.exchange.url()));
        line(&format!("  Host      {} (files in {})\n", stage.host.control(), stage.folder.path().display()));
    }

    /// A step that was seen on the other side.
    pub fn seen(&self, step: &str, title: &str, seen: &Seen) {
        let took = seen.took.map(|(took, good)| format!(" ({} s, good is under {} s)", seconds(took), good.as_secs()));
        let detail = format!("{}{}", seen.detail, took.unwrap_or_default());
        if self.json {
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let (elapsed_ms, good_ms) = (seen.took.map(|(took, _)| ms(took)), seen.took.map(|(_, good)| ms(good)));
            return object(&StepLine { step, ok: true, detail: &detail, elapsed_ms, good_ms });
        }
        let mark = if self.colour { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" };
        line(&format!("{mark} {title}\n    {detail}"));
    }

    /// A step that was not.
    pub fn failed(&self, step: &str, error: &DemoError) {
        let detail = Chain(error).to_string();
        if self.json {
            return object(&StepLine { step, ok: false, detail: &detail, elapsed_ms: None, good_ms: None });
        }
        let mark = if self.colour { "\u{1b}[31m✗\u{1b}[0m" } else { "✗" };
        line(&format!("{mark} {step}\n    {detail}"));
    }

    /// The end of the story, when the demo stays up.
    pub fn ready(&self, stage: &Stage) {
        if self.json {
            return line(&stage.summary().to_string());
        }
        let config = stage.host.config().display();
        line(&format!(
            "\nAll of it is still running. Look at the calendars, and change something:
  CRM       {crm}
  Exchange  {exchange}

In another terminal:
  daybridge status --config {config}
  daybridge queue list --config {config}
  daybridge rules list --config {config}
  daybridge trace --config {config} ID      (ID: the number of an appointment in the CRM)
  daybridge sync --dry-run --config {config}

Ctrl-C ends the demo.",
            crm = stage.crm.url(),
            exchange = stage.exchange.url(),
        ));
    }
}

/// Prints a line and hands it on at once: a program may be waiting for it.
fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that left is nobody to tell.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn object(step: &StepLine<'_>) {
    match serde_json::to_string(step) {
        Ok(json) => line(&json),
        Err(error) => line(&error.to_string()),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}
