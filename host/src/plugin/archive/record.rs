//! What is written down of a generation: types of their own, so that the model may change without the files.
//!
//! Promises: an entry read back is the entry that was written; a new option of an entry does not compile until it is
//! written here too. Must not know: where records lie.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::model::Direction;
use crate::plugin::entry::{LogLevel, OnError, Origin, RuleEntry};
use crate::plugin::limits::Limits;
use crate::plugin::load;
use crate::plugin::lookup::Kind;

/// The format of what this host writes; it reads all up to this one.
pub const FORMAT: u32 = 1;

/// Why a generation was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The first one of a data folder, or the one a host started with since the one before could not be used.
    Start,
    /// The configuration's rules were changed.
    Config,
    /// A file in the rules folder, or one that is built in, was changed.
    Folder,
    Install,
    Swap,
    Rollback,
    /// The host itself went back, since a new rule failed.
    Probation,
}

impl Cause {
    /// The word for it in lists, as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::Config => "config",
            Cause::Folder => "folder",
            Cause::Install => "install",
            Cause::Swap => "swap",
            Cause::Rollback => "rollback",
            Cause::Probation => "probation",
        }
    }

    /// Whether a generation made so is watched at first and taken back if a changed rule fails. One that restores an
    /// earlier one is not: two bad ones would take turns.
    pub fn on_probation(self) -> bool {
        match self {
            Cause::Config | Cause::Folder | Cause::Install | Cause::Swap => true,
            Cause::Start | Cause::Rollback | Cause::Probation => false,
        }
    }
}

/// One generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    pub number: u64,
    /// As in [`crate::rules::Generation`].
    pub digest: String,
    pub at: DateTime<Utc>,
    pub cause: Cause,
    /// Who asked for it: `start`, `folder`, `control` (command line and API), `host`.
    pub by: String,
    pub note: String,
    /// The generation that was in force until then.
    pub before: Option<u64>,
    /// The generation whose rules and settings these are.
    pub restores: Option<u64>,
    pub sources: Sources,
    pub entries: Vec<EntryRecord>,
}

/// What configuration and rules folder held when the generation was made: what is the same later is no new wish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Digest over the configuration's rules.
    pub config: String,
    /// By file name the digest of what lay in the folder or else was built in; nothing if there was neither.
    pub files: BTreeMap<String, Option<String>>,
}

impl Sources {
    /// What a file's content was; nothing if there was no such file, or nobody asked for it.
    pub fn file(&self, file: &str) -> Option<&str> {
        self.files.get(file).and_then(Option::as_deref)
    }

    /// Whether every file of `self` had this content then. What is no longer asked for does not matter.
    pub fn same_files(&self, then: &Self) -> bool {
        self.files.iter().all(|(file, digest)| then.file(file) == digest.as_deref())
    }
}

/// One rule of a generation: its options and the digest of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRecord {
    pub name: String,
    pub file: String,
    pub enabled: bool,
    pub directions: Vec<String>,
    /// `park`, `retry`, `skip`, `stop`.
    pub on_error: String,
    pub retry_after_ms: Option<u64>,
    pub settings: Map<String, Json>,
    pub lookups: Vec<String>,
    pub limits: LimitsRecord,
    pub condition: Option<String>,
    pub default_message: Option<String>,
    pub only_default_message: bool,
    pub log_level: Option<String>,
    /// Whether it came into the chain by an installation and the configuration does not name it.
    pub added: bool,
    pub origin: String,
    /// None if the rule is disabled and has no file.
    pub digest: Option<String>,
    /// What the chain calls the rule, and its version: for lists.
    pub rule: String,
    pub version: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsRecord {
    pub deadline_ms: u64,
    pub memory: u64,
    pub table_elements: u64,
    pub answer: u64,
    pub log: u64,
}

/// A version that lies in the archive without a generation that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRule {
    pub digest: String,
    pub file: String,
    pub rule: String,
    pub version: String,
    pub bytes: u64,
    pub at: DateTime<Utc>,
}

/// What a record adds to an entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub added: bool,
    pub origin: Origin,
    pub digest: Option<String>,
    pub rule: String,
    pub version: String,
    pub bytes: u64,
}

impl EntryRecord {
    pub fn new(entry: &RuleEntry, held: Held) -> Self {
        // Without `..`: a new option must be written down, too.
        let RuleEntry {
            name,
            file,
            enabled,
            directions,
            on_error,
            settings,
            lookups,
            limits,
            condition,
            default_message,
            only_default_message,
            log_level,
        } = entry;
        let Limits { deadline, memory, table_elements, answer, log } = *limits;
        let Held { added, origin, digest, rule, version, bytes } = held;
        Self {
            name: name.clone(),
            file: file.clone(),
            enabled: *enabled,
            directions: directions.iter().map(|direction| direction.name().to_owned()).collect(),
            on_error: on_error.name().to_owned(),
            retry_after_ms: match on_error {
                OnError::Retry { after } => after.map(millis),
                OnError::Park | OnError::Skip | OnError::Stop => None,
            },
            settings: settings.clone(),
            lookups: lookups.iter().map(|kind| kind.name().to_owned()).collect(),
            limits: LimitsRecord { deadline_ms: millis(deadline), memory, table_elements, answer, log },
            condition: condition.clone(),
            default_message: default_message.clone(),
            only_default_message: *only_default_message,
            log_level: log_level.map(|level| level.name().to_owned()),
            added,
            origin: origin.name().to_owned(),
            digest,
            rule,
            version,
            bytes,
        }
    }

    /// A file of the archive that stands in no chain yet.
    pub fn unlisted(file: &str, digest: &str) -> Self {
        let held = Held {
            added: true,
            origin: Origin::Installed,
            digest: Some(digest.to_owned()),
            rule: String::new(),
            version: String::new(),
            bytes: 0,
        };
        Self::new(&RuleEntry::new(file), held)
    }

    /// The entry as the chain takes it.
    ///
    /// # Errors
    /// One line, for a word that this host does not know.
    pub fn entry(&self) -> Result<RuleEntry, String> {
        let direction = |name: &String| {
            let known = [Direction::CrmToExchange, Direction::ExchangeToCrm];
            known.into_iter().find(|direction| direction.name() == name).ok_or_else(|| format!("no direction {name}"))
        };
        let LimitsRecord { deadline_ms, memory, table_elements, answer, log } = self.limits;
        Ok(RuleEntry {
            name: self.name.clone(),
            file: self.file.clone(),
            enabled: self.enabled,
            directions: self.directions.iter().map(direction).collect::<Result<_, _>>()?,
            on_error: match self.on_error.as_str() {
                "park" => OnError::Park,
                "retry" => OnError::Retry { after: self.retry_after_ms.map(Duration::from_millis) },
                "skip" => OnError::Skip,
                "stop" => OnError::Stop,
                other => return Err(format!("no on_error {other}")),
            },
            settings: self.settings.clone(),
            lookups: self
                .lookups
                .iter()
                .map(|name| Kind::named(name).ok_or_else(|| format!("no look-up {name}")))
                .collect::<Result<_, _>>()?,
            limits: Limits { deadline: Duration::from_millis(deadline_ms), memory, table_elements, answer, log },
            condition: self.condition.clone(),
            default_message: self.default_message.clone(),
            only_default_message: self.only_default_message,
            log_level: match &self.log_level {
                None => None,
                Some(name) => Some(LogLevel::named(name).ok_or_else(|| format!("no log level {name}"))?),
            },
        })
    }

    pub fn origin(&self) -> Origin {
        Origin::named(&self.origin).unwrap_or(Origin::Installed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The digest over the rules that a configuration names, for [`Sources::config`]. It is that of what would be written
/// down, so a host that prints a type differently does not see a change where there is none.
pub fn config_digest(rules: &[RuleEntry]) -> String {
    let plain = Held {
        added: false,
        origin: Origin::Folder,
        digest: None,
        rule: String::new(),
        version: String::new(),
        bytes: 0,
    };
    let records: Vec<EntryRecord> = rules.iter().map(|entry| EntryRecord::new(entry, plain.clone())).collect();
    load::digest(&serde_json::to_vec(&records).unwrap_or_default())
}
