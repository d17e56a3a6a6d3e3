//! The sections of the configuration, their defaults and their checks.
//!
//! Promises: limits are inside what the host can keep; names are unique; what contradicts itself is refused.
//! Must not know: TOML.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::recording::Recording;
use super::text::{Document, SEE_EXAMPLE, Section};
use super::{Config, ConfigError, entries};
use crate::connector::ews::config::EwsConfig;
use crate::connector::graph::config::GraphConfig;
use crate::connector::http::Secret;
use crate::connector::sage::config::SageConfig;
use crate::model::Address;
use crate::plugin::BreakerSettings;
use crate::telemetry;

/// One Exchange server: how to reach it, and which of its mailboxes take part.
#[derive(Clone, Debug)]
pub struct ExchangeServer {
    /// What people call it in settings and messages.
    pub name: String,
    /// Where mailboxes of CRM users are looked for that no other server lists.
    pub primary: bool,
    /// Mailboxes that take part; empty for all CRM users with a mailbox (only on the primary server).
    pub mailboxes: Vec<Address>,
    pub protocol: Protocol,
}

/// How the server is spoken to, with what that needs.
#[derive(Clone, Debug)]
pub enum Protocol {
    Ews(EwsConfig),
    Graph(GraphConfig),
}

/// What the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeKind {
    /// Exchange Web Services (Exchange Server).
    Ews,
    /// Microsoft Graph (Exchange Online).
    Graph,
}

/// How the sync goes about its work.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    pub crm_to_exchange: bool,
    pub exchange_to_crm: bool,
    /// Longest time between two looks at a side's changes when no doorbell rings.
    pub poll_interval_s: u64,
    /// Time between two full comparisons.
    pub sweep_interval_s: u64,
    /// How long a change rests before it is worked on, so that a burst of edits is one write.
    pub settle_ms: u64,
    /// How many days back an appointment may have ended to be taken along when it is first met.
    pub past_days: u32,
    /// How many days ahead the occurrences of a series are kept in the CRM; the window rolls on with time.
    pub series_days: u32,
    /// Most occurrences of one series kept in the CRM; the earliest of the window.
    pub series_max: u32,
    pub conflict: ConflictPolicy,
    /// Appointments worked on at one time.
    pub workers: usize,
    /// Each calendar is marked as this host's, and one that is marked as another's is left alone.
    pub claim_mailboxes: bool,
    /// Who invites: Exchange, or the CRM by mails of its own; then the host makes Exchange send none.
    pub invitations: Inviter,
    /// Mails that Exchange may be made to send within an hour; a write that would cause more waits for a person.
    pub mail_cap: u64,
    /// The brake: within an hour, deletions of one mailbox's pairs beyond `delete_count` that are also more than this part
    /// (0 to 1) of them wait for a person; and so do deletions of all mailboxes together beyond `delete_count_overall`.
    pub delete_fraction: f64,
    pub delete_count: u64,
    pub delete_count_overall: u64,
    /// A pair is set aside when within an hour one of its fields goes back this often to a value it had before ...
    pub returns_max: u32,
    /// ... or is rewritten this often at all.
    pub rewrites_max: u32,
    /// Delay after the first failure; doubles with each further one up to `retry_max_s`.
    pub retry_first_ms: u64,
    pub retry_max_s: u64,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            crm_to_exchange: true,
            exchange_to_crm: true,
            poll_interval_s: 60,
            sweep_interval_s: 24 * 60 * 60,
            settle_ms: 250,
            past_days: 14,
            series_days: 180,
            series_max: 400,
            conflict: ConflictPolicy::Latest,
            workers: 4,
            claim_mailboxes: true,
            invitations: Inviter::Exchange,
            mail_cap: 200,
            delete_fraction: 0.3,
            delete_count: 10,
            delete_count_overall: 50,
            returns_max: 5,
            rewrites_max: 30,
            retry_first_ms: 15_000,
            retry_max_s: 60 * 60,
        }
    }
}

impl Sync {
    pub fn poll_interval(&self) -> Duration {
        Duration::from_secs(self.poll_interval_s)
    }

    pub fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.sweep_interval_s)
    }

    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    pub fn retry_first(&self) -> Duration {
        Duration::from_millis(self.retry_first_ms)
    }

    pub fn retry_max(&self) -> Duration {
        Duration::from_secs(self.retry_max_s)
    }
}

/// Whose mails invite people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inviter {
    Exchange,
    Crm,
}

/// Who wins when both sides moved the same field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConflictPolicy {
    Crm,
    Exchange,
    /// The change the host saw last; wall clocks of the two servers are never compared.
    Latest,
}

/// When a rule that keeps failing is set aside, and for how long.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// So many different appointments must have failed in it ...
    pub appointments: u32,
    /// ... and of the last so many calls ...
    pub calls: u32,
    /// ... so great a part (0 to 1) ...
    pub part: f64,
    /// ... within this time.
    pub window_s: u64,
    /// Until it is tried again with one appointment; doubles up to `longest_s`.
    pub first_s: u64,
    pub longest_s: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let BreakerSettings { appointments, calls, part, window, first, longest } = BreakerSettings::default();
        let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            appointments: number(appointments),
            calls: number(calls),
            part,
            window_s: window.as_secs(),
            first_s: first.as_secs(),
            longest_s: longest.as_secs(),
        }
    }
}

impl Breaker {
    pub fn settings(&self) -> BreakerSettings {
        BreakerSettings {
            appointments: self.appointments as usize,
            calls: self.calls as usize,
            part: self.part,
            window: Duration::from_secs(self.window_s),
            first: Duration::from_secs(self.first_s),
            longest: Duration::from_secs(self.longest_s),
        }
    }

    fn check(&self, document: &Document<'_>, section: &Section<'_>) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: String, hint: &str| {
            Err(document.wrong(&section.place(key), format!("breaker.{key} is {problem}"), hint))
        };
        if !(1..=1000).contains(&self.appointments) {
            return wrong("appointments", self.appointments.to_string(), "use 1 to 1000 appointments");
        }
        if !(self.appointments..=1000).contains(&self.calls) {
            return wrong("calls", self.calls.to_string(), "use at least breaker.appointments, and at most 1000 calls");
        }
        if !(self.part > 0.0 && self.part <= 1.0) {
            return wrong(
                "part",
                self.part.to_string(),
                "use a part of the calls, above 0 and up to 1: 0.5 is half of them",
            );
        }
        if !(1..=24 * 60 * 60).contains(&self.window_s) {
            return wrong("window_s", self.window_s.to_string(), "use 1 to 86400 seconds");
        }
        if !(1..=24 * 60 * 60).contains(&self.first_s) {
            return wrong("first_s", self.first_s.to_string(), "use 1 to 86400 seconds");
        }
        if !(self.first_s..=24 * 60 * 60).contains(&self.longest_s) {
            return wrong("longest_s", self.longest_s.to_string(), "use breaker.first_s up to 86400 seconds");
        }
        Ok(())
    }
}

/// The interface for the command line and the CRM's doorbell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// A loopback address; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Opens `POST /doorbell/crm`; the route is closed without it.
    pub doorbell_token: Option<Secret>,
}

impl Default for Control {
    fn default() -> Self {
        Self { listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)), doorbell_token: None }
    }
}

/// Messages to people.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// Failures of one cause within this time become one notice.
    pub digest_s: u64,
}

impl Default for Notify {
    fn default() -> Self {
        Self { digest_s: 15 * 60 }
    }
}

/// What the host writes to its log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list like `info,daybridge::feed=debug`.
    pub level: String,
    pub format: telemetry::Format,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: telemetry::Format::Human }
    }
}

/// The keys of an `[[exchange]]` section that are not the connector's, and the name, which both take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExchangeHead {
    name: String,
    #[serde(default = "ews")]
    kind: ExchangeKind,
    #[serde(default)]
    primary: Option<bool>,
    #[serde(default)]
    mailboxes: Vec<String>,
}

fn ews() -> ExchangeKind {
    ExchangeKind::Ews
}

const EXCHANGE_HEAD: [&str; 3] = ["kind", "primary", "mailboxes"];

/// Every section there is, for the hint on one that is not.
const TOP: [&str; 13] = [
    "data",
    "rules_dir",
    "crm",
    "exchange",
    "sync",
    "users",
    "rules",
    "gate",
    "recording",
    "breaker",
    "control",
    "notify",
    "log",
];

/// Reads all sections of a document.
pub(super) fn read(document: &Document<'_>) -> Result<Config, ConfigError> {
    let mut top = document.whole();
    if let Some((unknown, at)) = top.keys().into_iter().find(|(key, _)| !TOP.contains(&key.as_str())) {
        let hint = super::text::did_you_mean(&unknown, &TOP);
        return Err(document.wrong(&at, format!("unknown section or key {unknown} at the top"), hint));
    }
    let data = data_folder(document, &mut top)?;
    let rules_dir = top.take_text(document, "rules_dir")?.map(|(folder, _)| document.path(&folder));

    let crm_place = required(document, &top, "crm", "say how to reach the CRM")?;
    let mut crm = top.take_section(document, "crm")?;
    document.resolve(&mut crm, "DAYBRIDGE_CRM", &["password"])?;
    let places = crm.clone();
    let crm: SageConfig = document.read(crm)?;
    crm.check().map_err(|bad| document.wrong(&places.place(bad.setting), bad.to_string(), SEE_EXAMPLE))?;

    required(document, &top, "exchange", "say how to reach the Exchange server")?;
    let exchange = exchange(document, top.take_sections(document, "exchange")?, &crm_place)?;

    let sync = top.take_section(document, "sync")?;
    let sync_section = sync.clone();
    let sync: Sync = document.read(sync)?;
    check_sync(document, &sync_section, &sync)?;

    let users = document.read(top.take_section(document, "users")?)?;

    let rules = entries::read(document, top.take_sections(document, "rules")?)?;

    let section = top.take_section(document, "breaker")?;
    let breaker: Breaker = document.read(section.clone())?;
    breaker.check(document, &section)?;
    let recording = top.take_section(document, "recording")?;
    let places = recording.clone();
    let recording: Recording = document.read(recording)?;
    recording.check().map_err(|(key, problem)| document.wrong(&places.place(key), problem, SEE_EXAMPLE))?;

    let gate = super::gate::read(document, top.take_section(document, "gate")?)?;
    let mut control = top.take_section(document, "control")?;
    document.resolve(&mut control, "DAYBRIDGE_CONTROL", &["doorbell_token"])?;
    let listen = control.place("listen");
    let control: Control = document.read(control)?;
    if !control.listen.ip().is_loopback() {
        return Err(document.wrong(
            &listen,
            format!("control.listen must be a loopback address, not {}", control.listen.ip()),
            "use 127.0.0.1 or [::1]; to reach the host from elsewhere, use an SSH tunnel",
        ));
    }

    let notify = document.read(top.take_section(document, "notify")?)?;
    let log = log(document, top.take_section(document, "log")?)?;
    Ok(Config {
        file: document.file.to_owned(),
        data,
        rules_dir,
        crm,
        exchange,
        sync,
        users,
        rules,
        recording,
        breaker,
        gate,
        control,
        notify,
        log,
    })
}

fn required(
    document: &Document<'_>,
    top: &Section<'_>,
    key: &str,
    what: &str,
) -> Result<std::ops::Range<usize>, ConfigError> {
    if top.keys().iter().any(|(found, _)| found == key) {
        return Ok(top.place(key));
    }
    let brackets = if key == "exchange" { "[[exchange]]" } else { "[crm]" };
    Err(document.wrong(
        &(0..0),
        format!("the section {brackets} is missing"),
        format!("{what}: add {brackets}; for an example: daybridge init --print"),
    ))
}

pub(super) fn data_folder(document: &Document<'_>, top: &mut Section<'_>) -> Result<PathBuf, ConfigError> {
    let written = top.take_text(document, "data")?;
    // The variable's path begins where the process runs, like every path given on a command line.
    if let Some(folder) = document.variable("DAYBRIDGE_DATA") {
        return Ok(PathBuf::from(folder));
    }
    match written {
        Some((folder, _)) if !folder.is_empty() => Ok(document.path(&folder)),
        _ => Err(document.wrong(
            &(0..0),
            "data is missing",
            "add `data = \"daybridge-data\"` as the first line: the folder for the queue and the ledger",
        )),
    }
}

fn exchange(
    document: &Document<'_>,
    sections: Vec<Section<'_>>,
    none: &std::ops::Range<usize>,
) -> Result<Vec<ExchangeServer>, ConfigError> {
    let mut servers = Vec::new();
    let mut names = BTreeSet::new();
    let alone = sections.len() == 1;
    let mut primary_at = None;
    for mut section in sections {
        let head_section = section.split(&EXCHANGE_HEAD, "name");
        let head: ExchangeHead = document.read(head_section.clone())?;
        let variable: String =
            head.name.to_uppercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let secrets: &[&str] = match head.kind {
            ExchangeKind::Ews => &["password", "client_secret"],
            ExchangeKind::Graph => &["client_secret"],
        };
        document.resolve(&mut section, &format!("DAYBRIDGE_EXCHANGE_{variable}"), secrets)?;
        let name_at = head_section.place("name");
        if head.name.trim().is_empty() {
            return Err(document.wrong(
                &name_at,
                "exchange.name is empty",
                "give the server a short name, like \"main\"",
            ));
        }
        if !names.insert(head.name.clone()) {
            return Err(document.wrong(
                &name_at,
                format!("two Exchange servers are named {}", head.name),
                "give each [[exchange]] section its own name",
            ));
        }
        let primary = head.primary.unwrap_or(alone);
        if primary && primary_at.replace(name_at.clone()).is_some() {
            return Err(document.wrong(
                &head_section.place("primary"),
                "two Exchange servers are primary",
                "keep `primary = true` in one [[exchange]] section",
            ));
        }
        if !primary && head.mailboxes.is_empty() {
            return Err(document.wrong(
                &name_at,
                format!("Exchange server {} has no mailboxes", head.name),
                "list them, `mailboxes = [\"name@example.com\"]`, or make it the primary server",
            ));
        }
        let mailboxes: Vec<Address> = head.mailboxes.iter().map(|text| Address::new(text)).collect();
        if let Some(bad) = head.mailboxes.iter().find(|text| !text.trim().contains('@')) {
            return Err(document.wrong(
                &head_section.place("mailboxes"),
                format!("\"{bad}\" in exchange.mailboxes is not an e-mail address"),
                "write the mailbox's primary address, like \"name@example.com\"",
            ));
        }
        let protocol = protocol(document, section, &head)?;
        servers.push(ExchangeServer { name: head.name, primary, mailboxes, protocol });
    }
    if primary_at.is_none() {
        return Err(document.wrong(
            none,
            "no Exchange server is primary",
            "set `primary = true` in one [[exchange]] section",
        ));
    }
    Ok(servers)
}

/// The connector's own keys of an `[[exchange]]` section.
fn protocol(document: &Document<'_>, section: Section<'_>, head: &ExchangeHead) -> Result<Protocol, ConfigError> {
    let places = section.clone();
    let (protocol, checked) = match head.kind {
        ExchangeKind::Ews => {
            let ews: EwsConfig = document.read(section)?;
            let checked = ews.check();
            (Protocol::Ews(ews), checked)
        }
        ExchangeKind::Graph => {
            let graph: GraphConfig = document.read(section)?;
            let checked = graph.check();
            (Protocol::Graph(graph), checked)
        }
    };
    checked.map_err(|problem| {
        // The connector's sentence begins with the key it is about.
        let key = problem.split([' ', ':', '.']).next().unwrap_or_default();
        document.wrong(&places.place(key), format!("exchange.{}: {problem}", head.name), SEE_EXAMPLE)
    })?;
    Ok(protocol)
}

fn check_sync(document: &Document<'_>, section: &Section<'_>, sync: &Sync) -> Result<(), ConfigError> {
    let range = |key: &str, value: u64, least: u64, most: u64, unit: &str| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(document.wrong(
            &section.place(key),
            format!("sync.{key} is {value}"),
            format!("use {least} to {most}{unit}"),
        ))
    };
    range("poll_interval_s", sync.poll_interval_s, 1, 24 * 60 * 60, " seconds")?;
    range("sweep_interval_s", sync.sweep_interval_s, 10, 31 * 24 * 60 * 60, " seconds")?;
    range("settle_ms", sync.settle_ms, 0, 600_000, " milliseconds")?;
    range("past_days", sync.past_days.into(), 0, 3650, " days")?;
    range("series_days", sync.series_days.into(), 1, 3650, " days")?;
    range("series_max", sync.series_max.into(), 1, 5000, " occurrences")?;
    range("workers", sync.workers as u64, 1, 64, "")?;
    range("retry_first_ms", sync.retry_first_ms, 10, 3_600_000, " milliseconds")?;
    range("retry_max_s", sync.retry_max_s, 1, 24 * 60 * 60, " seconds")?;
    range("returns_max", sync.returns_max.into(), 1, 40, "")?;
    range("rewrites_max", sync.rewrites_max.into(), 2, 40, "")?;
    if !(0.0..=1.0).contains(&sync.delete_fraction) {
        return Err(document.wrong(
            &section.place("delete_fraction"),
            format!("sync.delete_fraction is {}", sync.delete_fraction),
            "use 0 to 1: 0.3 holds deletions of more than 30 in 100 appointments of a calendar within an hour",
        ));
    }
    if !sync.crm_to_exchange && !sync.exchange_to_crm {
        return Err(document.wrong(
            &section.place("crm_to_exchange"),
            "both directions are switched off",
            "set sync.crm_to_exchange or sync.exchange_to_crm to true",
        ));
    }
    Ok(())
}

fn log(document: &Document<'_>, section: Section<'_>) -> Result<Log, ConfigError> {
    let at = section.place("level");
    let mut log: Log = document.read(section)?;
    if let Some(level) = document.variable("DAYBRIDGE_LOG") {
        log.level = level;
    }
    telemetry::check(&log.level).map_err(|problem| {
        document.wrong(&at, format!("log.level: {problem}"), "use error, warn, info, debug or trace")
    })?;
    Ok(log)
}
