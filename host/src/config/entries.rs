//! The `[[rules]]` sections: the entries of the chain, in their order.
//!
//! Promises: an entry that is taken makes sense by itself; its condition was checked. Must not know: what a rule file holds.

use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;
use super::text::{Document, SEE_EXAMPLE, Section};
use crate::model::Direction;
use crate::plugin::condition::Condition;
use crate::plugin::lookup::Kind;
use crate::plugin::{self, Limits, LogLevel, OnError, RuleEntry};

/// One rule of the chain, as the operator writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    #[serde(default)]
    name: String,
    file: String,
    #[serde(default)]
    order: Option<u32>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    directions: Vec<WrittenDirection>,
    #[serde(default)]
    condition: Option<String>,
    #[serde(default)]
    on_error: WrittenOnError,
    #[serde(default)]
    retry_after_s: Option<u64>,
    #[serde(default)]
    settings: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    lookups: Vec<String>,
    #[serde(default)]
    limits: WrittenLimits,
    #[serde(default)]
    default_message: Option<String>,
    #[serde(default)]
    only_default_message: bool,
    #[serde(default)]
    log_level: Option<WrittenLogLevel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenLogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenDirection {
    CrmToExchange,
    ExchangeToCrm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenOnError {
    #[default]
    Park,
    Retry,
    Skip,
    Stop,
}

/// Longest wait between two tries of a rule that failed.
const RETRY_AFTER_S_MAX: u64 = 24 * 60 * 60;

/// What one call of a rule may use; what is not named is at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenLimits {
    deadline_ms: Option<u64>,
    memory_mb: Option<u64>,
    table_elements: Option<u64>,
    answer_kb: Option<u64>,
    log_kb: Option<u64>,
}

impl WrittenLimits {
    fn limits(self) -> Limits {
        let default = Limits::default();
        let bytes =
            |count: Option<u64>, shift: u32, default| count.map_or(default, |count| count.saturating_mul(1 << shift));
        Limits {
            deadline: self.deadline_ms.map_or(default.deadline, Duration::from_millis),
            memory: bytes(self.memory_mb, 20, default.memory),
            table_elements: self.table_elements.unwrap_or(default.table_elements),
            answer: bytes(self.answer_kb, 10, default.answer),
            log: bytes(self.log_kb, 10, default.log),
        }
    }
}

/// The chain in order; the default one if there are no sections.
pub(super) fn read(document: &Document<'_>, sections: Vec<Section<'_>>) -> Result<Vec<RuleEntry>, ConfigError> {
    let mut rules = Vec::new();
    for (place, section) in (1_u32..).zip(sections) {
        let (order, entry) = rule(document, section)?;
        rules.push((order.unwrap_or(place), entry));
    }
    // Of two with one number the one written first runs first.
    rules.sort_by_key(|(order, _)| *order);
    let mut rules: Vec<RuleEntry> = rules.into_iter().map(|(_, entry)| entry).collect();
    if rules.is_empty() {
        rules = plugin::default_chain();
    }
    Ok(rules)
}

/// A rule's entry and its order, if it names one.
fn rule(document: &Document<'_>, section: Section<'_>) -> Result<(Option<u32>, RuleEntry), ConfigError> {
    let places = section.clone();
    let written: WrittenRule = document.read(section)?;
    let limits = written.limits.limits();
    limits
        .check()
        .map_err(|problem| document.wrong(&places.place("limits"), format!("rules.limits: {problem}"), SEE_EXAMPLE))?;
    let mut lookups = Vec::new();
    for name in &written.lookups {
        lookups.push(Kind::named(name).ok_or_else(|| {
            document.wrong(
                &places.place("lookups"),
                format!("there is no look-up {name}"),
                "a rule's description names the look-ups it asks for",
            )
        })?);
    }
    let direction = |written: &WrittenDirection| match written {
        WrittenDirection::CrmToExchange => Direction::CrmToExchange,
        WrittenDirection::ExchangeToCrm => Direction::ExchangeToCrm,
    };
    let on_error = on_error(document, &places, &written)?;
    if let Some(condition) = &written.condition {
        Condition::compile(condition).map_err(|mistake| {
            document.wrong(&places.place("condition"), format!("rules.condition, {mistake}"), SEE_CONDITIONS)
        })?;
    }
    if written.only_default_message && written.default_message.as_ref().is_none_or(|text| text.trim().is_empty()) {
        return Err(document.wrong(
            &places.place("only_default_message"),
            "rules.only_default_message needs a default message",
            "add default_message = \"...\": what people are to read",
        ));
    }
    let entry = RuleEntry {
        name: written.name,
        file: written.file,
        enabled: written.enabled,
        directions: written.directions.iter().map(direction).collect(),
        on_error,
        settings: written.settings,
        lookups,
        limits,
        condition: written.condition,
        default_message: written.default_message.filter(|text| !text.trim().is_empty()),
        only_default_message: written.only_default_message,
        log_level: written.log_level.map(|level| match level {
            WrittenLogLevel::Off => LogLevel::Off,
            WrittenLogLevel::Error => LogLevel::Error,
            WrittenLogLevel::Warn => LogLevel::Warn,
            WrittenLogLevel::Info => LogLevel::Info,
            WrittenLogLevel::Debug => LogLevel::Debug,
        }),
    };
    Ok((written.order, entry))
}

fn on_error(document: &Document<'_>, places: &Section<'_>, written: &WrittenRule) -> Result<OnError, ConfigError> {
    let at = places.place("retry_after_s");
    if let Some(seconds) = written.retry_after_s {
        if written.on_error != WrittenOnError::Retry {
            return Err(document.wrong(
                &at,
                "rules.retry_after_s is for rules that are tried again",
                "add on_error = \"retry\", or take retry_after_s out",
            ));
        }
        if !(1..=RETRY_AFTER_S_MAX).contains(&seconds) {
            let hint = format!("use 1 to {RETRY_AFTER_S_MAX} seconds");
            return Err(document.wrong(&at, format!("rules.retry_after_s is {seconds}"), hint));
        }
    }
    Ok(match written.on_error {
        WrittenOnError::Park => OnError::Park,
        WrittenOnError::Retry => OnError::Retry { after: written.retry_after_s.map(Duration::from_secs) },
        WrittenOnError::Skip => OnError::Skip,
        WrittenOnError::Stop => OnError::Stop,
    })
}

const SEE_CONDITIONS: &str = "the operator's guide (host/README.md, \"Conditions\") lists what a condition may say";

fn yes() -> bool {
    true
}
