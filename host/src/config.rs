//! What the operator writes, as one checked value: a TOML file, with secrets from files or the environment.
//!
//! Promises: a [`Config`] that exists has passed every check that needs no server. A mistake is told with file, line, key
//! and a hint, and never quotes a secret. Relative paths are taken from the file's own folder.
//! Must not know: what the parts do with their settings.

mod entries;
mod example;
mod gate;
mod recording;
mod sections;
mod text;
mod users;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::connector::sage::config::SageConfig;
use crate::plugin::{ChainConfig, GateSettings, RuleEntry};

pub use example::EXAMPLE;
pub use recording::Recording;
pub use sections::{
    Breaker, ConflictPolicy, Control, ExchangeKind, ExchangeServer, Inviter, Log, Notify, Protocol, Sync,
};
pub use users::Users;

/// Largest configuration file that is read: a mistake (a log, a database) is noticed instead of loaded.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything the operator decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// Folder for all durable state of this host.
    pub data: PathBuf,
    /// Folder of rule files; one there takes the place of a built-in rule of the same file name.
    pub rules_dir: Option<PathBuf>,
    pub crm: SageConfig,
    /// At least one; exactly one is primary.
    pub exchange: Vec<ExchangeServer>,
    pub sync: Sync,
    pub users: Users,
    /// The chain in order; the default one if the operator wrote none.
    pub rules: Vec<RuleEntry>,
    pub breaker: Breaker,
    pub recording: Recording,
    /// How rules come and go in a running host.
    pub gate: GateSettings,
    pub control: Control,
    pub notify: Notify,
    pub log: Log,
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}", file.display())]
    Read {
        file: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{}, line {line}: {message}", file.display())]
    Wrong { file: PathBuf, line: usize, message: String, hint: String },
    /// A file or variable that the configuration names for a secret.
    #[error("{}, line {line}: cannot read {key} {}", file.display(), secret_file.display())]
    Secret {
        file: PathBuf,
        line: usize,
        key: String,
        secret_file: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl ConfigError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> String {
        match self {
            ConfigError::Read { .. } => {
                "give the file with --config, or write one: daybridge init daybridge.toml".to_owned()
            }
            ConfigError::Wrong { hint, .. } => hint.clone(),
            ConfigError::Secret { key, .. } => {
                format!(
                    "the file that {key} names must exist, be readable by the account that runs the host, and hold the secret alone"
                )
            }
        }
    }
}

/// Where a variable of the environment is looked up: [`environment`], or a test's own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] for the first mistake met.
    pub fn load(file: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        Self::parse(file, &Self::text_of(file)?, environment)
    }

    /// Checks the text of a configuration; `file` names it in messages and is where relative paths begin.
    ///
    /// # Errors
    /// [`ConfigError`] for the first mistake met.
    pub fn parse(file: &Path, text: &str, environment: Environment<'_>) -> Result<Self, ConfigError> {
        sections::read(&text::Document::new(file, text, environment)?)
    }

    /// The data folder alone, for commands that only look for the running host: its secrets may not be theirs to read.
    ///
    /// # Errors
    /// [`ConfigError`] if the file cannot be read or names no folder.
    pub fn data_of(file: &Path, environment: Environment<'_>) -> Result<PathBuf, ConfigError> {
        let text = Self::text_of(file)?;
        let document = text::Document::new(file, &text, environment)?;
        sections::data_folder(&document, &mut document.whole())
    }

    /// The rules as the rule runtime takes them.
    pub fn chain(&self) -> ChainConfig {
        ChainConfig { folder: self.rules_dir.clone(), rules: self.rules.clone() }
    }

    fn text_of(file: &Path) -> Result<String, ConfigError> {
        let unreadable = |cause| ConfigError::Read { file: file.to_owned(), cause };
        let size = fs::metadata(file).map_err(unreadable)?.len();
        if size > FILE_BYTES_MAX {
            return Err(unreadable(io::Error::other(format!("{size} bytes are no configuration"))));
        }
        fs::read_to_string(file).map_err(unreadable)
    }
}
