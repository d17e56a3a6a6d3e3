//! Logs: one line per event on stderr, for people or as JSON.
//!
//! Promises: stdout stays free for data. A log line at info or above holds no token, password, address, subject or body.
//! The same thing has the same field name everywhere:
//!
//! | field | meaning |
//! |---|---|
//! | `appointment.key` | key of the appointment's work, `crm:4711` |
//! | `container.side` | `crm` or `exchange` |
//! | `server.name` | name of the server in the configuration |
//! | `user.id` | id of a CRM user |
//! | `writes.crm`, `writes.exchange`, `mails` | what a run wrote, and how many mails it declared |
//! | `rule.name` | a rule in the chain |
//! | `rule.version`, `rule.step`, `rule.function` | which call of it; with name, generation and correlation on the span `step` |
//! | `correlation` | one call of one rule: the same in the queue's record of a failure |
//! | `rules.generation`, `rules.digest` | number and short digest of the chain in force |
//! | `error` | the chain of causes, in one line |
//! | `notice.code`, `notice.about` | a message to people: its stable code, and what it concerns |
//! | `http.method`, `http.place`, `http.status`, `elapsed_ms` | one exchange with a server |
//! | `task` | a task of the host |
//!
//! Must not know: who logs.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Human,
    Json,
}

/// Parts of the program that others wrote log at this level at the most, whatever the host's own level is: their debug
/// lines may show addresses and headers.
const OTHERS: &str =
    "hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,h2=warn,sled=warn,wasmtime=warn,cranelift=warn";

/// Log lines go to stderr from here on. `level` is `off`, `error`, `warn`, `info`, `debug`, `trace`, or a list like
/// `info,daybridge::feed=debug`. Called again, it does nothing.
///
/// # Errors
/// What is wrong with `level`.
pub fn start(level: &str, format: Format) -> Result<(), String> {
    let filter = filter(level)?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // An error here means that a subscriber is in place already (a test's, or an earlier call's), which is fine.
    let _ = match format {
        Format::Human => registry.with(lines.with_target(false).with_ansi(std::io::stderr().is_terminal())).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
    Ok(())
}

/// Checks a level without starting anything.
///
/// # Errors
/// What is wrong with `level`.
pub fn check(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    // A bare unknown word would be taken as the name of a module, and everything would be silent.
    if !level.contains(['=', ',']) && level.parse::<tracing::level_filters::LevelFilter>().is_err() {
        return Err(format!("no such log level: {level}"));
    }
    EnvFilter::try_new(format!("{OTHERS},{level}")).map_err(|error| error.to_string())
}
