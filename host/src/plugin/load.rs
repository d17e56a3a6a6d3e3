//! The gate: from a file's bytes to a rule that may be called, or one readable line why not.
//!
//! Promises: nothing is compiled before it was validated; machine code (`.cwasm`) is never accepted, since it would run with
//! the host's own rights; a rule for another version of the contract is told both versions and the remedy; the rule's
//! start and `describe` run under its limits. Must not know: where the bytes come from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload, Validator};

use super::bindings::RulePre;
use super::bindings::daybridge::rules::types as wit;
use super::call::{Ask, Bad, Callable, Record};
use super::condition::Mistake;
use super::engine::{Engine, one_line};
use super::limits::{Limits, clean};
use super::lookup::{Kind, NoLookups};
use super::observe::{Observers, RuleVersion};
use crate::model::Direction;
use crate::rules::{Fault, FaultKind, Generation};

/// A rule larger than this is not a rule: the default ones take a few tens of KB, one with a script engine inside a few MB.
pub const SIZE_MAX: u64 = 16 << 20;

/// The version of the contract this host offers. Rules built for an earlier patch of it load too.
pub const API: &str = "0.1.0";

/// The custom section in which SDKs write the version of the contract they speak.
const API_SECTION: &str = "daybridge:api";
const PACKAGE: &str = "daybridge:rules/";
const OFFERED: [&str; 4] = ["types", "log", "settings", "lookup"];

/// Why a file is not accepted as a rule. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    #[error("is not there: no such file in {folder}, and no rule of that name is built in ({built_in})")]
    Missing { folder: String, built_in: String },
    #[error("has {size} bytes, more than the {SIZE_MAX} a rule may have")]
    TooLarge { size: u64 },
    #[error("is not WebAssembly; give the .wasm file that `daybridge rules build` makes")]
    NotWasm,
    #[error(
        "is machine code compiled beforehand (.cwasm), which is never accepted; give the .wasm file it was made from"
    )]
    Precompiled,
    #[error("is a core module, not a component; build it with `daybridge rules build`")]
    CoreModule,
    #[error("is damaged: {0}; build or copy it again")]
    Broken(String),
    #[error(
        "was built for daybridge:rules {rule}, this host offers {API}; rebuild it with daybridge-rule {API}, or update the host"
    )]
    Version { rule: String },
    #[error(
        "does not export daybridge:rules/hooks@{API} (it exports {exports}); build it for the world `rule` of daybridge:rules@{API}"
    )]
    World { exports: String },
    #[error("imports {import}, but a rule may use nothing but daybridge:rules/log, settings and lookup@{API}{remedy}")]
    Import { import: String, remedy: &'static str },
    #[error("does not fit daybridge:rules@{API}: {0}; rebuild it with daybridge-rule {API}")]
    Link(String),
    #[error("cannot be compiled: {0}")]
    Compile(String),
    #[error("does not start: {}", start(.0))]
    Start(#[source] Box<Fault>),
    #[error("describes itself badly: {0}")]
    Description(String),
    #[error("{0}")]
    Settings(String),
    #[error("has a condition that is wrong in {0}; correct `condition` in its entry")]
    Condition(Mistake),
    #[error("{0}")]
    Limits(String),
    #[error("wants to look up {kind}, which is not granted; add lookups = [\"{kind}\"] to its entry if it may")]
    NotGranted { kind: &'static str },
    #[error("has the name {0}, which another rule of the chain has; give one of them another name")]
    SameName(String),
    #[error("works in none of the directions its entry names")]
    Directions,
    #[error("{0}")]
    Signature(#[source] super::signature::SignatureError),
    #[error("{0}")]
    Archive(String),
}

/// What a rule says about itself, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub name: String,
    pub version: String,
    pub purpose: String,
    pub hooks: Vec<Hook>,
    pub directions: Vec<Direction>,
    pub settings_schema: String,
    pub lookups: Vec<Kind>,
}

/// A function the host calls only where the rule says that it uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Apply,
    Resolve,
    Explain,
    MatchUser,
}

/// A rule that passed the gate.
pub(super) struct Accepted {
    pub callable: Callable,
    pub about: About,
}

/// Takes a file's bytes through the gate.
///
/// # Errors
/// [`Refused`], the first thing that is wrong.
pub(super) fn accept(engine: &Engine, bytes: &[u8], limits: &Limits) -> Result<Accepted, Refused> {
    limits.check().map_err(Refused::Limits)?;
    examine(bytes)?;
    let digest = digest(bytes);
    let component = engine.compile(&digest, bytes).map_err(|cause| Refused::Compile(cause.to_string()))?;
    let link = |cause: wasmtime::Error| Refused::Link(one_line(&cause));
    let pre = engine.linker().instantiate_pre(&component).and_then(RulePre::new).map_err(link)?;
    let mut callable = Callable {
        pre,
        identity: RuleVersion { rule: String::new(), version: String::new(), digest },
        step: 0,
        limits: limits.clone(),
        settings: Arc::new(BTreeMap::new()),
        granted: Arc::new([]),
        lookups: Arc::new(NoLookups),
        observers: Observers::default(),
        generation: Generation::default(),
    };
    let about = describe(engine, &callable)?;
    callable.identity.rule.clone_from(&about.name);
    callable.identity.version.clone_from(&about.version);
    Ok(Accepted { callable, about })
}

/// What a fault before the first call was, without saying twice that it was at the start.
fn start(fault: &Fault) -> String {
    match &fault.kind {
        FaultKind::Start(reason) => reason.clone(),
        kind => kind.to_string(),
    }
}

fn describe(engine: &Engine, callable: &Callable) -> Result<About, Refused> {
    let (described, _): (_, Record) = engine.run_here(|| {
        callable.call(
            Ask { function: "describe", appointment: "", bytes_in: 0 },
            |rule, store| rule.daybridge_rules_hooks().call_describe(store),
            |description| about(description).map_err(Bad::Value),
        )
    });
    described.map_err(|fault| match fault.kind {
        FaultKind::Answer(what) => Refused::Description(what),
        _ => Refused::Start(fault),
    })
}

/// Everything about a file that can be said without compiling it.
fn examine(bytes: &[u8]) -> Result<(), Refused> {
    let size = bytes.len() as u64;
    if size > SIZE_MAX {
        return Err(Refused::TooLarge { size });
    }
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refused::Precompiled);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(Refused::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(if bytes.starts_with(b"\0asm") {
            Refused::Broken("it ends within its head".into())
        } else {
            Refused::NotWasm
        });
    }
    let broken = |cause: wasmparser::BinaryReaderError| Refused::Broken(clean(cause.message()));
    let shape = Shape::read(bytes).map_err(broken)?;
    shape.check()?;
    Validator::new().validate_all(bytes).map_err(broken)?;
    Ok(())
}

/// Names on the outside of a component.
#[derive(Default)]
pub(super) struct Shape {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub api: Option<String>,
}

impl Shape {
    pub fn read(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut shape = Self::default();
        // Modules and components inside this one have imports and exports of their own, which are its own affair.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        shape.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        shape.exports.push(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) if section.name() == API_SECTION => {
                    shape.api.get_or_insert(clean(&String::from_utf8_lossy(section.data())));
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    fn check(&self) -> Result<(), Refused> {
        if let Some(rule) = self.api.as_ref().filter(|rule| !offers(rule)) {
            return Err(Refused::Version { rule: rule.clone() });
        }
        let hooks = self.exports.iter().find_map(|export| export.strip_prefix(PACKAGE)?.strip_prefix("hooks@"));
        match hooks {
            Some(rule) if offers(rule) => {}
            Some(rule) => return Err(Refused::Version { rule: clean(rule) }),
            None => {
                let exports =
                    if self.exports.is_empty() { "nothing".to_owned() } else { clean(&self.exports.join(", ")) };
                return Err(Refused::World { exports });
            }
        }
        let foreign = |import: &&String| {
            let ours = import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
            !ours.is_some_and(|(name, version)| OFFERED.contains(&name) && offers(version))
        };
        match self.imports.iter().find(foreign) {
            None => Ok(()),
            Some(import) if import.starts_with("wasi:") => {
                Err(Refused::Import { import: clean(import), remedy: "; build it for wasm32-unknown-unknown" })
            }
            Some(import) => Err(Refused::Import { import: clean(import), remedy: "" }),
        }
    }
}

/// Whether a rule of that version of the contract can run here: same major and minor number, same or earlier patch.
fn offers(version: &str) -> bool {
    let parse = |text: &str| -> Option<[u32; 3]> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let parsed = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(parsed)
    };
    match (parse(version), parse(API)) {
        (Some([major, minor, patch]), Some([our_major, our_minor, our_patch])) => {
            (major, minor) == (our_major, our_minor) && patch <= our_patch
        }
        _ => false,
    }
}

/// Checks what a rule says about itself.
fn about(description: wit::Description) -> Result<About, String> {
    let wit::Description { name, version, purpose, hooks, directions, settings_schema, lookups, more: _ } = description;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!("its name is {:?}, but must be 1 to 64 letters, digits, - or _", clean(&name)));
    }
    if version.is_empty() || version.len() > 64 {
        return Err("its version must have 1 to 64 letters".to_owned());
    }
    let hook = |hook| match hook {
        wit::Hook::Apply => Hook::Apply,
        wit::Hook::Resolve => Hook::Resolve,
        wit::Hook::Explain => Hook::Explain,
        wit::Hook::MatchUser => Hook::MatchUser,
    };
    let direction = |direction| match direction {
        wit::Direction::CrmToExchange => Direction::CrmToExchange,
        wit::Direction::ExchangeToCrm => Direction::ExchangeToCrm,
    };
    let lookup = |kind| match kind {
        wit::LookupKind::Users => Kind::Users,
        wit::LookupKind::Captions => Kind::Captions,
        wit::LookupKind::KeyValues => Kind::KeyValues,
    };
    Ok(About {
        name,
        version: clean(&version),
        purpose: clean(&purpose),
        hooks: hooks.into_iter().map(hook).collect(),
        directions: directions.into_iter().map(direction).collect(),
        settings_schema,
        lookups: lookups.into_iter().map(lookup).collect(),
    })
}

/// Hex SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_contract() {
        for (version, offered) in [
            ("0.1.0", true),
            ("0.1.1", false),
            ("0.2.0", false),
            ("1.0.0", false),
            ("0.1", false),
            ("", false),
            ("0.1.0.0", false),
        ] {
            assert_eq!(offers(version), offered, "{version:?}");
        }
    }
}
