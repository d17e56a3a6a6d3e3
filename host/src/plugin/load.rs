//! The gate: from a file's bytes to a rule that may be called, or one readable line why not.
//!
//! Promises: nothing is compiled before it was validated; machine code (`.cwasm`) is never accepted, since it would run with
//! the host's own rights; a rule for another version of the contract is told both versions and the remedy; the rule's
//! start and `describe` run under its limits. Must not know: where the bytes come from.

pub(super) mod shape;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Validator};

use self::shape::Shape;
use super::bindings::daybridge::rules::types as wit;
use super::call::{Ask, Bad, Callable, Record};
use super::condition::Mistake;
use super::contract::{Linked, Number, Unfit, Version};
use super::engine::{Engine, one_line};
use super::limits::{Limits, clean};
use super::lookup::{Kind, NoLookups};
use super::observe::{Observers, RuleVersion};
use super::passage::Reads;
use super::script;
use crate::model::Direction;
use crate::rules::{Fault, FaultKind, Generation};

/// A rule larger than this is not a rule: the default ones take a few tens of KB, one with a script engine inside a few MB.
pub const SIZE_MAX: u64 = 16 << 20;

/// The newest version of the contract, which this host and its SDK speak. Older ones are served beside it.
pub const API: &str = "0.2.0";

/// The SDK to build a rule with for [`API`].
const SDK: &str = "daybridge-rule 0.2";

/// The custom section in which SDKs write the version of the contract they speak.
const API_SECTION: &str = "daybridge:api";

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
        "was built for daybridge:rules {rule}, but this host offers {}; rebuild it with {SDK}{update}{missing}",
        offered()
    )]
    Version { rule: String, update: String, missing: String },
    #[error(
        "says that it was built for daybridge:rules {said}, but exports daybridge:rules/hooks@{exported}; rebuild it with one version of the SDK, best {SDK}"
    )]
    Disagrees { said: String, exported: String },
    #[error(
        "does not export daybridge:rules/hooks (it exports {exports}); build it for the world `rule` of daybridge:rules {API}"
    )]
    World { exports: String },
    #[error(
        "imports {imports}, but a rule may use nothing but log, settings and lookup of daybridge:rules {version}; {remedy}"
    )]
    Import { imports: String, version: Number, remedy: &'static str },
    #[error("exports {0}, a name the host keeps for what it adds itself; give it another name")]
    Reserved(&'static str),
    #[error("does not fit daybridge:rules {version}: {what}; rebuild it with {SDK}")]
    Unfit { version: Number, what: String },
    #[error("is an engine for scripts, not a rule; name a script in its place")]
    ScriptEngine,
    #[error("cannot be compiled: {0}")]
    Compile(String),
    #[error("does not start: {}", start(.0))]
    Start(#[source] Box<Fault>),
    #[error("has {size} bytes, more than the {} a script may have", script::SIZE_MAX)]
    ScriptTooLarge { size: u64 },
    #[error("is not text in UTF-8 (its byte {at} is not); save it with that encoding")]
    ScriptNotText { at: usize },
    #[error("has a mistake at {place}: {message}")]
    Script { message: String, place: String },
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
    /// The version of the contract it speaks.
    pub api: String,
    pub purpose: String,
    pub hooks: Vec<Hook>,
    pub directions: Vec<Direction>,
    /// Names of the fields it is shown; none: all of them.
    pub reads: Vec<String>,
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

/// Takes a file's bytes through the gate. Its name tells a script from a component.
///
/// # Errors
/// [`Refused`], the first thing that is wrong.
pub(super) fn accept(engine: &Engine, file: &str, bytes: &[u8], limits: &Limits) -> Result<Accepted, Refused> {
    if script::is_script(file) {
        return script::accept(engine, file, bytes, limits);
    }
    let prepared = prepare(engine, bytes, limits)?;
    if prepared.callable.linked.is_script_engine() {
        return Err(Refused::ScriptEngine);
    }
    described(engine, prepared)
}

/// A component that can be called but was not asked yet what it is: a rule, or an engine for scripts.
#[derive(Clone)]
pub(super) struct Prepared {
    pub callable: Callable,
    /// The version of the contract it speaks, as it names it.
    api: String,
}

/// Checks, compiles and links a component.
///
/// # Errors
/// [`Refused`], the first thing that is wrong.
pub(super) fn prepare(engine: &Engine, bytes: &[u8], limits: &Limits) -> Result<Prepared, Refused> {
    limits.check().map_err(Refused::Limits)?;
    let (shape, (version, api)) = examine(bytes)?;
    let digest = digest(bytes);
    let component = match engine.compiled(&digest) {
        // It was validated before it was compiled.
        Some(component) => component,
        None => {
            validate(bytes)?;
            engine.compile(&digest, bytes).map_err(|cause| Refused::Compile(cause.to_string()))?
        }
    };
    let linked = Linked::new(engine.linker(), &component, version).map_err(|unfit| unlinked(&shape, version, unfit))?;
    let callable = Callable {
        linked,
        identity: RuleVersion { rule: String::new(), version: String::new(), digest },
        step: 0,
        limits: limits.clone(),
        settings: Arc::new(BTreeMap::new()),
        reads: Reads::default(),
        script: None,
        granted: Arc::new([]),
        lookups: Arc::new(NoLookups),
        observers: Observers::default(),
        generation: Generation::default(),
    };
    Ok(Prepared { callable, api })
}

/// Asks a prepared component what it is, a script engine with the script it has by now.
///
/// # Errors
/// [`Refused`] if it does not start, or describes itself badly.
pub(super) fn described(engine: &Engine, Prepared { mut callable, api }: Prepared) -> Result<Accepted, Refused> {
    let about = describe(engine, &callable, api)?;
    callable.identity.rule.clone_from(&about.name);
    callable.identity.version.clone_from(&about.version);
    callable.reads = Reads::new(&about.reads);
    Ok(Accepted { callable, about })
}

/// What does not fit, in our own words: the engine's are about its own types.
fn unlinked(shape: &Shape, version: Version, unfit: Unfit) -> Refused {
    let what = match unfit {
        Unfit::Missing(function) => format!("its hooks have no function {function}"),
        Unfit::Engine(cause) => {
            let cause = one_line(&cause);
            tracing::debug!(error = cause, "A component cannot be linked");
            match shape.import_in(&cause) {
                Some(import) => format!("what it imports as {} is something else there", clean(import)),
                None => "what it imports is something else there".to_owned(),
            }
        }
    };
    Refused::Unfit { version: version.number(), what }
}

/// The versions of the contract that are served, for people.
fn offered() -> String {
    Version::ALL.map(|version| version.number().to_string()).join(" and ")
}

/// What a fault before the first call was, without saying twice that it was at the start.
fn start(fault: &Fault) -> String {
    match &fault.kind {
        FaultKind::Start(reason) => reason.clone(),
        kind => kind.to_string(),
    }
}

fn describe(engine: &Engine, callable: &Callable, api: String) -> Result<About, Refused> {
    let (described, _): (_, Record) = engine.run_here(|| {
        callable.call(
            Ask { function: "describe", appointment: "", bytes_in: 0 },
            |rule, store| match rule.check(store) {
                Ok(()) => rule.describe(store).map(Ok),
                Err(function) => Ok(Err(function)),
            },
            |description| match description {
                Ok(description) => about(description, api).map(Ok).map_err(Bad::Value),
                Err(function) => Ok(Err(function)),
            },
        )
    });
    let described = described.map_err(|fault| match fault.kind {
        FaultKind::Answer(what) => Refused::Description(what),
        _ => Refused::Start(fault),
    })?;
    described.map_err(|function| {
        let what = format!("its function {function} takes or answers something else");
        Refused::Unfit { version: callable.linked.version().number(), what }
    })
}

/// Everything about a file that can be said without compiling it.
fn examine(bytes: &[u8]) -> Result<(Shape, (Version, String)), Refused> {
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
    let shape = Shape::read(bytes).map_err(broken)?;
    let speaks = shape.check()?;
    Ok((shape, speaks))
}

/// Whether all of it is WebAssembly as the standard has it.
fn validate(bytes: &[u8]) -> Result<(), Refused> {
    Validator::new().validate_all(bytes).map_err(broken)?;
    Ok(())
}

fn broken(cause: wasmparser::BinaryReaderError) -> Refused {
    Refused::Broken(clean(cause.message()))
}

/// Checks what a rule says about itself.
fn about(description: wit::Description, api: String) -> Result<About, String> {
    let wit::Description { name, version, purpose, hooks, directions, reads, settings_schema, lookups, more: _ } =
        description;
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
        api,
        purpose: clean(&purpose),
        hooks: hooks.into_iter().map(hook).collect(),
        directions: directions.into_iter().map(direction).collect(),
        reads,
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
        for (number, serving) in [
            ("0.1.0", Some(Version::V0_1)),
            ("0.1.1", None),
            ("0.2.0", Some(Version::V0_2)),
            ("0.3.0", None),
            ("1.0.0", None),
            ("0.1", None),
            ("", None),
            ("0.1.0.0", None),
        ] {
            assert_eq!(Number::parse(number).and_then(Version::serving), serving, "{number:?}");
        }
        assert_eq!(Version::NEWEST.number().to_string(), API);
        assert!(SDK.ends_with(" 0.2") && API.starts_with("0.2."));
    }
}
