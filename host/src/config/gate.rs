//! The section `[gate]`: how rules come and go in a running host, and what compiling one may take.
//!
//! Promises: keys are readable; signatures are not required while no key is trusted. Must not know: how rules are tried.

use serde::Deserialize;

use super::ConfigError;
use super::text::{Document, Section};
use crate::plugin::archive::GENERATIONS_MIN;
use crate::plugin::signature::{Trust, TrustedKey};
use crate::plugin::{CompileLimits, GateSettings, WatchMode};

/// More generations than this only make the list unreadable.
const GENERATIONS_MAX: usize = 1000;
/// A rule that came through so many calls is as good as it will be.
const PROBATION_MAX: u64 = 100_000;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    watch: WrittenWatch,
    keep_generations: usize,
    probation_calls: u64,
    compile_seconds: u64,
    compile_memory_mib: u64,
    new_sandboxes: bool,
    signatures: WrittenSignatures,
    trusted_keys: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenWatch {
    Swap,
    Stage,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenSignatures {
    Off,
    Required,
}

impl Default for Written {
    fn default() -> Self {
        let GateSettings { keep_generations, probation_calls, compile, new_sandboxes, .. } = GateSettings::default();
        Self {
            watch: WrittenWatch::Swap,
            keep_generations,
            probation_calls,
            compile_seconds: compile.seconds,
            compile_memory_mib: compile.memory_mib,
            new_sandboxes,
            signatures: WrittenSignatures::Off,
            trusted_keys: Vec::new(),
        }
    }
}

pub(super) fn read(document: &Document<'_>, section: Section<'_>) -> Result<GateSettings, ConfigError> {
    let places = section.clone();
    let written: Written = document.read(section)?;
    if !(GENERATIONS_MIN..=GENERATIONS_MAX).contains(&written.keep_generations) {
        return Err(document.wrong(
            &places.place("keep_generations"),
            format!("gate.keep_generations is {}", written.keep_generations),
            format!("use {GENERATIONS_MIN} to {GENERATIONS_MAX}"),
        ));
    }
    if written.probation_calls > PROBATION_MAX {
        return Err(document.wrong(
            &places.place("probation_calls"),
            format!("gate.probation_calls is {}", written.probation_calls),
            format!("use 0 (no probation) to {PROBATION_MAX}"),
        ));
    }
    let (least, most) = (CompileLimits::MINIMUM, CompileLimits::MAXIMUM);
    for (key, value, least, most) in [
        ("compile_seconds", written.compile_seconds, least.seconds, most.seconds),
        ("compile_memory_mib", written.compile_memory_mib, least.memory_mib, most.memory_mib),
    ] {
        if !(least..=most).contains(&value) {
            let hint = format!("use {least} to {most}");
            return Err(document.wrong(&places.place(key), format!("gate.{key} is {value}"), hint));
        }
    }
    let mut keys = Vec::new();
    for key in &written.trusted_keys {
        keys.push(TrustedKey::parse(key).map_err(|problem| {
            let hint = "put in the line that begins with RW, as `daybridge rules keygen` prints it";
            document.wrong(&places.place("trusted_keys"), format!("gate.trusted_keys: {problem}"), hint)
        })?);
    }
    let required = written.signatures == WrittenSignatures::Required;
    if required && keys.is_empty() {
        return Err(document.wrong(
            &places.place("signatures"),
            "gate.signatures is \"required\", but no key is trusted",
            "make a key with `daybridge rules keygen`, and list its public half in gate.trusted_keys",
        ));
    }
    Ok(GateSettings {
        watch: match written.watch {
            WrittenWatch::Swap => WatchMode::Swap,
            WrittenWatch::Stage => WatchMode::Stage,
            WrittenWatch::Off => WatchMode::Off,
        },
        keep_generations: written.keep_generations,
        probation_calls: written.probation_calls,
        compile: CompileLimits { seconds: written.compile_seconds, memory_mib: written.compile_memory_mib },
        new_sandboxes: written.new_sandboxes,
        trust: Trust { required, keys },
    })
}
