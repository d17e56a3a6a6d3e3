//! What the operator writes about rules, and the bytes that an entry means.
//!
//! Promises: of a file no more is read than a rule may have. Must not know: how rules are checked, called or replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::archive::Kept;
use super::limits::Limits;
use super::load::{self, Refused};
use super::lookup::Kind;
use super::{default_rules, fixture, script};
use crate::model::Direction;

/// What the operator writes about rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChainConfig {
    /// Where rule files lie. A file here takes the place of a built-in rule of the same file name.
    pub folder: Option<PathBuf>,
    /// In the order in which they run.
    pub rules: Vec<RuleEntry>,
}

/// One rule of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleEntry {
    /// What the rule is called in messages; blank: the name it gives itself.
    pub name: String,
    /// File name within the rules folder, or of a built-in rule.
    pub file: String,
    pub enabled: bool,
    /// In which directions it runs; empty: in all it works in.
    pub directions: Vec<Direction>,
    pub on_error: OnError,
    /// Values for the rule's settings; the rest have their defaults.
    pub settings: Map<String, Json>,
    /// Look-ups the rule may use.
    pub lookups: Vec<Kind>,
    pub limits: Limits,
    /// For which appointments the rule runs: an expression in CEL, see [`super::condition`]. None: for all.
    pub condition: Option<String>,
    /// Shown to people when the rule refuses or fails, before what it says itself.
    pub default_message: Option<String>,
    /// Shows the default message alone.
    pub only_default_message: bool,
    /// Which of the rule's own log lines go to the host's log, each at its own level. None: all of them, but at debug, since they may
    /// hold personal data.
    pub log_level: Option<LogLevel>,
}

impl RuleEntry {
    /// An entry with all at its default.
    pub fn new(file: impl Into<String>) -> Self {
        Self {
            name: String::new(),
            file: file.into(),
            enabled: true,
            directions: Vec::new(),
            on_error: OnError::default(),
            settings: Map::new(),
            lookups: Vec::new(),
            limits: Limits::default(),
            condition: None,
            default_message: None,
            only_default_message: false,
            log_level: None,
        }
    }
}

/// What happens when a rule fails (not when it refuses).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The appointment waits for a person, with the fault.
    #[default]
    Park,
    /// The appointment is tried again by itself, after this long or later and later, until the rule does its work.
    Retry { after: Option<Duration> },
    /// The chain goes on as if the rule were not there: fail-open.
    Skip,
    /// No appointment is written any more until the rule has judged the one it failed at: for a rule that must never be passed by.
    Stop,
}

impl OnError {
    /// `park`, `retry`, `skip` or `stop`.
    pub fn name(self) -> &'static str {
        match self {
            OnError::Park => "park",
            OnError::Retry { .. } => "retry",
            OnError::Skip => "skip",
            OnError::Stop => "stop",
        }
    }
}

/// The least level of a rule's own lines that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    /// `off`, `error`, `warn`, `info` or `debug`.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug];
        all.into_iter().find(|level| level.name() == name)
    }

    /// The level of a line, by the name it is kept under.
    pub(super) fn of(line: &str) -> Self {
        match line {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "info" => LogLevel::Info,
            _ => LogLevel::Debug,
        }
    }
}

/// Where the file of a rule in force came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The host itself.
    BuiltIn,
    /// The rules folder.
    Folder,
    /// A person who installed it in the running host.
    Installed,
}

impl Origin {
    /// `built-in`, `folder` or `installed`.
    pub fn name(self) -> &'static str {
        match self {
            Origin::BuiltIn => "built-in",
            Origin::Folder => "folder",
            Origin::Installed => "installed",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Origin::BuiltIn, Origin::Folder, Origin::Installed].into_iter().find(|origin| origin.name() == name)
    }
}

/// A rule's bytes, where they came from, and the signature that lay beside them.
#[derive(Clone)]
pub(super) struct Source {
    pub bytes: Bytes,
    /// Hex SHA-256 of the bytes.
    pub digest: String,
    pub origin: Origin,
    /// In minisign's format.
    pub signature: Option<String>,
    /// A script's fixtures, as [`fixture::section`] writes them, or what is wrong with them. A component carries its own.
    pub beside: Result<Bytes, String>,
    /// Whether they are built into this host, or were into an earlier version of it, whatever they are called.
    pub built_in: bool,
}

/// An entry with the bytes it means.
#[derive(Clone)]
pub(super) struct Pin {
    pub entry: RuleEntry,
    pub source: Result<Source, Arc<Refused>>,
}

impl Source {
    pub(super) fn new(bytes: Bytes, origin: Origin, signature: Option<String>) -> Self {
        let built_in = origin == Origin::BuiltIn && default_rules().iter().any(|(_, known)| *known == bytes.as_ref());
        Self { digest: load::digest(&bytes), bytes, origin, signature, beside: Ok(Bytes::new()), built_in }
    }

    /// As the archive keeps it. Fixtures that cannot be read are not kept; a person was told of them.
    pub(super) fn kept(&self) -> Kept {
        let (bytes, signature, built_in) = (self.bytes.clone(), self.signature.clone(), self.built_in);
        Kept { bytes, signature, fixtures: self.beside.clone().unwrap_or_default(), built_in }
    }

    /// With the fixtures that lie beside a script in the rules folder.
    fn with_fixtures(self, path: &Path) -> Self {
        if !script::is_script(&path.to_string_lossy()) {
            return self;
        }
        let beside = match fixture::read_folder(&fixture::beside(path)) {
            Ok(fixtures) if fixtures.is_empty() => Ok(Bytes::new()),
            Ok(fixtures) => Ok(fixture::section(&fixtures).into()),
            Err(error) => Err(crate::error::Chain(&error).to_string()),
        };
        Self { beside, ..self }
    }

    pub(super) fn of(config: &ChainConfig, file: &str) -> Result<Self, Refused> {
        if let Some(path) = config.path(file) {
            match read_limited(&path, load::SIZE_MAX) {
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => return Err(Refused::Read(cause)),
                Ok(bytes) => {
                    let beside = read_limited(&signature_path(&path), SIGNATURE_BYTES_MAX).ok();
                    let signature = beside.and_then(|text| String::from_utf8(text).ok());
                    return Ok(Self::new(bytes.into(), Origin::Folder, signature).with_fixtures(&path));
                }
            }
        }
        match default_rules().iter().find(|(name, _)| *name == file) {
            Some((_, bytes)) => Ok(Self::new(Bytes::from_static(bytes), Origin::BuiltIn, None)),
            None => Err(Refused::Missing {
                folder: config
                    .folder
                    .as_ref()
                    .map_or("(no rules folder)".into(), |folder| folder.display().to_string()),
                built_in: default_rules().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

impl ChainConfig {
    /// Where a file would lie in the rules folder.
    pub(super) fn path(&self, file: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(file))
    }

    /// Every entry with the bytes it means by this configuration alone.
    pub(super) fn pins(&self) -> Vec<Pin> {
        let pin =
            |entry: &RuleEntry| Pin { entry: entry.clone(), source: Source::of(self, &entry.file).map_err(Arc::new) };
        self.rules.iter().map(pin).collect()
    }
}

/// A signature is a few lines of text.
pub(super) const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

/// Where the signature of a rule file lies: beside it, with `.minisig` at the end of its name.
pub fn signature_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Reads a file, but no more than a byte beyond what it may have.
fn read_limited(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
