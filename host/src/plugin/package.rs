//! From a rule's crate to a component: build, componentise, stamp with the digest of its sources.
//!
//! Promises: needs cargo with the target wasm32-unknown-unknown and nothing else; the result holds no path of the machine
//! that built it; a written file is whole or not there. Must not know: how rules are loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use wasm_encoder::{ComponentSection as _, CustomSection};

use super::{fixture, load};

/// The target a rule is built for: no system interface at all.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The custom section that says which sources a component was built from.
const SOURCE_SECTION: &str = "daybridge:source";

/// The profile rules are built with, given on the command line so that an author's own workspace need not define it: small,
/// no unwinding, function names kept for people who read faults.
const PROFILE: [&str; 6] = [
    "profile.rule.inherits='release'",
    "profile.rule.lto=true",
    "profile.rule.codegen-units=1",
    "profile.rule.panic='abort'",
    "profile.rule.strip='debuginfo'",
    "profile.rule.debug=false",
];

/// How a rule is optimised: small. A crate whose speed is worth its size, such as a script engine, says otherwise in its
/// manifest: `[package.metadata.rule] opt-level = 3`.
const OPT_LEVEL: &str = "'s'";

/// Bytes of the stack of a rule's data, in its memory. The compiler's own choice is 1 MiB, all of which the host would clear
/// after every call. A crate that needs more says so in its manifest: `[package.metadata.rule] stack-size = 262144`.
const STACK: i64 = 128 << 10;

/// A rule could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("{act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("run {}", program.display())]
    Cargo {
        program: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("build the rule in {}{hint}\n{output}", folder.display())]
    Build { folder: PathBuf, output: String, hint: &'static str },
    #[error("the crate in {} makes no .wasm file; its Cargo.toml needs [lib] crate-type = [\"cdylib\"]", folder.display())]
    NoModule { folder: PathBuf },
    #[error("make a component of {}: {reason}; does the crate call export!(...)?", module.display())]
    Component { module: PathBuf, reason: String },
    #[error("take in the rule's fixtures")]
    Fixture(#[source] fixture::FixtureError),
    #[error("read the manifest {}", path.display())]
    Manifest {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
}

/// A rule that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub file: PathBuf,
    pub bytes: u64,
    /// Hex SHA-256 of the component.
    pub digest: String,
    /// Hex SHA-256 over its sources.
    pub source: String,
}

/// Builds a rule's crate and writes the component to `out`, with the fixtures of the crate's folder `fixtures` in it. `target` is cargo's target folder, or its usual one.
///
/// # Errors
/// [`PackageError`], with the compiler's own words where it refused the code.
pub fn build_rule(crate_dir: &Path, out: &Path, target: Option<&Path>) -> Result<Built, PackageError> {
    build_finished(crate_dir, out, target, &|_, component| Ok(component))
}

/// What is done to a component before it is written, given the name of its crate; one line if it cannot be done.
pub type Finish = dyn Fn(&str, Vec<u8>) -> Result<Vec<u8>, String>;

/// As [`build_rule`], with a last step on the component.
///
/// # Errors
/// As [`build_rule`], and if the last step fails.
pub fn build_finished(
    crate_dir: &Path,
    out: &Path,
    target: Option<&Path>,
    finish: &Finish,
) -> Result<Built, PackageError> {
    let source = source_digest(&source_folders(crate_dir))?;
    let fixtures = fixture::read_folder(&crate_dir.join("fixtures")).map_err(PackageError::Fixture)?;
    let module = compile(crate_dir, target)?;
    let core =
        std::fs::read(&module).map_err(|cause| PackageError::File { act: "read", path: module.clone(), cause })?;
    let name = crate_dir.file_name().unwrap_or_default().to_string_lossy();
    let component = componentise(&core, &source).and_then(|component| finish(&name, component));
    let mut component = component.map_err(|reason| PackageError::Component { module: module.clone(), reason })?;
    if !fixtures.is_empty() {
        append_section(&mut component, fixture::SECTION, &fixture::section(&fixtures));
    }
    write_whole(out, &component)?;
    Ok(Built { file: out.to_owned(), bytes: component.len() as u64, digest: load::digest(&component), source })
}

/// Turns a core module that speaks the rule contract into a component, and stamps it with the digest of its sources.
///
/// # Errors
/// One line, if the module does not hold what a rule's module holds.
pub fn componentise(core: &[u8], source: &str) -> Result<Vec<u8>, String> {
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true);
    let encoded = encoder.module(core).and_then(|encoder| encoder.encode());
    let mut component = encoded.map_err(|cause| format!("{cause:#}"))?;
    append_section(&mut component, SOURCE_SECTION, source.as_bytes());
    Ok(component)
}

/// The digest of the sources a component was built from, if it carries one.
pub fn source_of(component: &[u8]) -> Option<String> {
    wasmparser::Parser::new(0).parse_all(component).find_map(|payload| match payload.ok()? {
        wasmparser::Payload::CustomSection(section) if section.name() == SOURCE_SECTION => {
            Some(String::from_utf8_lossy(section.data()).into_owned())
        }
        _ => None,
    })
}

/// What a rule is built from: its crate, and within Daybridge's own repository the SDK beside it and the newest version of
/// the contract, which is the one the SDK speaks.
pub fn source_folders(crate_dir: &Path) -> Vec<PathBuf> {
    let mut folders = vec![crate_dir.to_owned()];
    let shared = |root: &Path| Some([root.join("guest-sdk"), newest_contract(&root.join("wit"))?]);
    let mut roots = crate_dir.ancestors().skip(1).filter_map(shared);
    folders.extend(roots.find(|shared| shared.iter().all(|folder| folder.is_dir())).into_iter().flatten());
    folders
}

/// The folder of the highest version, `v0.10` after `v0.9`.
fn newest_contract(wit: &Path) -> Option<PathBuf> {
    let folders = std::fs::read_dir(wit).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let version = |folder: &PathBuf| -> Option<(u32, u32)> {
        let (major, minor) = folder.file_name()?.to_str()?.strip_prefix('v')?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    folders.filter(|folder| version(folder).is_some()).max_by_key(version)
}

/// Hex SHA-256 over relative names and contents of all source files in some folders, and over how rules are built. Independent
/// of where they lie.
///
/// # Errors
/// [`PackageError::File`] for what cannot be read.
pub fn source_digest(folders: &[PathBuf]) -> Result<String, PackageError> {
    let mut whole = Sha256::new();
    for word in PROFILE.into_iter().chain([OPT_LEVEL, &STACK.to_string()]) {
        whole.update(word);
        whole.update([0]);
    }
    for folder in folders {
        let mut files = BTreeMap::new();
        collect(folder, "", &mut files)?;
        for (name, path) in files {
            let bytes = std::fs::read(&path).map_err(|cause| PackageError::File { act: "read", path, cause })?;
            whole.update(name.as_bytes());
            whole.update([0]);
            // Git may check text out with other line ends; a source is the same source then.
            whole.update(bytes.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<u8>>());
            whole.update([0]);
        }
    }
    Ok(load::hex(&whole.finalize()))
}

/// Files by relative name with `/`. Hidden files and build output are no sources, nor is what only people and editors read.
fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<(), PackageError> {
    let error = |cause| PackageError::File { act: "read", path: folder.to_owned(), cause };
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let is_folder = entry.file_type().map_err(error)?.is_dir();
        match name.as_str() {
            name if name.starts_with('.') || name.ends_with(".md") || name.ends_with(".d.ts") => {}
            "target" | "Cargo.lock" | "examples" => {}
            _ if is_folder => collect(&entry.path(), &relative, files)?,
            _ => {
                files.insert(relative, entry.path());
            }
        }
    }
    Ok(())
}

/// Builds all rules of a folder of crates into its `dist` folder, and writes the manifest that says what they were built
/// from. `finish` is the last step for each.
///
/// # Errors
/// The first crate that cannot be built.
pub fn build_dist(plugins: &Path, target: Option<&Path>, finish: &Finish) -> Result<Vec<Built>, PackageError> {
    let out = |name: &str| plugins.join("dist").join(format!("{name}.wasm"));
    let built: Vec<Built> = rule_crates(plugins)?
        .iter()
        .map(|(name, folder)| build_finished(folder, &out(name), target, finish))
        .collect::<Result<_, _>>()?;
    write_manifest(&plugins.join("dist"), &built)?;
    Ok(built)
}

/// The crates of a folder by name.
///
/// # Errors
/// [`PackageError::File`] if the folder cannot be read.
pub fn rule_crates(plugins: &Path) -> Result<BTreeMap<String, PathBuf>, PackageError> {
    let error = |cause| PackageError::File { act: "read", path: plugins.to_owned(), cause };
    let mut crates = BTreeMap::new();
    for entry in std::fs::read_dir(plugins).map_err(error)? {
        let folder = entry.map_err(error)?.path();
        if let Some(name) = folder.file_name().filter(|_| folder.join("Cargo.toml").is_file()) {
            crates.insert(name.to_string_lossy().into_owned(), folder.clone());
        }
    }
    Ok(crates)
}

/// Name of the file in `dist` that says what the others were built from.
pub const MANIFEST: &str = "manifest.json";

/// Writes the manifest of built rules into a folder: per file the digest of the component and that of its sources.
///
/// # Errors
/// [`PackageError::File`] if it cannot be written.
pub fn write_manifest(dist: &Path, built: &[Built]) -> Result<(), PackageError> {
    let files: BTreeMap<String, Json> = built
        .iter()
        .filter_map(|built| {
            let name = built.file.file_name()?.to_string_lossy().into_owned();
            Some((name, serde_json::json!({ "component": built.digest, "source": built.source })))
        })
        .collect();
    let text = format!("{:#}\n", serde_json::json!({ "files": files }));
    write_whole(&dist.join(MANIFEST), text.as_bytes())
}

/// What is wrong with a `dist` folder: one line per file that is missing, was changed, or is older than its sources.
///
/// # Errors
/// [`PackageError`] if something cannot be read at all.
pub fn check_dist(plugins: &Path) -> Result<Vec<String>, PackageError> {
    let dist = plugins.join("dist");
    let path = dist.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|cause| PackageError::File { act: "read", path: path.clone(), cause })?;
    let manifest: Json = serde_json::from_slice(&text).map_err(|cause| PackageError::Manifest { path, cause })?;
    let mut wrong = Vec::new();
    for (name, folder) in rule_crates(plugins)? {
        let file = format!("{name}.wasm");
        let said = |key: &str| {
            manifest.pointer(&format!("/files/{file}/{key}")).and_then(Json::as_str).unwrap_or_default().to_owned()
        };
        let Ok(component) = std::fs::read(dist.join(&file)) else {
            wrong.push(format!("{file} is missing"));
            continue;
        };
        let source = source_digest(&source_folders(&folder))?;
        if load::digest(&component) != said("component") {
            wrong.push(format!("{file} is not the file the manifest names"));
        }
        if source_of(&component).as_deref() != Some(&source) || said("source") != source {
            wrong.push(format!("{file} was not built from the sources beside it"));
        }
    }
    Ok(wrong)
}

/// Runs cargo and returns the module it made.
fn compile(crate_dir: &Path, target: Option<&Path>) -> Result<PathBuf, PackageError> {
    let program = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut cargo = Command::new(&program);
    cargo.current_dir(crate_dir).args([
        "build",
        "--profile",
        "rule",
        "--target",
        TARGET,
        "--message-format",
        "json-render-diagnostics",
    ]);
    cargo.args(PROFILE.iter().flat_map(|line| ["--config", line]));
    let opt_level = said(crate_dir, "opt-level").map_or_else(|| OPT_LEVEL.to_owned(), |said| said.to_string());
    cargo.arg("--config").arg(format!("profile.rule.opt-level={opt_level}"));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(crate_dir)).env_remove("RUSTFLAGS");
    if let Some(target) = target {
        cargo.arg("--target-dir").arg(target);
    }
    let output = cargo.output().map_err(|cause| PackageError::Cargo { program, cause })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let hint = missing_tool(&words);
        return Err(PackageError::Build { folder: crate_dir.to_owned(), output: words, hint });
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let artifacts = stdout.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let modules =
        artifacts.flat_map(|message| message.get("filenames").and_then(Json::as_array).cloned().unwrap_or_default());
    let module = modules
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|end| end == "wasm"));
    module.ok_or_else(|| PackageError::NoModule { folder: crate_dir.to_owned() })
}

/// What to install, where the compiler's words say that something is not there.
fn missing_tool(words: &str) -> &'static str {
    if words.contains("can't find crate for `core`") || words.contains("can't find crate for `std`") {
        ": the target is missing; run: rustup target add wasm32-unknown-unknown"
    } else if words.contains("failed to find tool") {
        ": a C compiler for WebAssembly is missing; install Debian's clang-19 and llvm-19, or set \
         CC_wasm32_unknown_unknown and AR_wasm32_unknown_unknown to others"
    } else {
        ""
    }
}

/// What the crate's manifest says of how it is built, if it does. What it says wrongly, cargo and the linker refuse in their own
/// words.
fn said(crate_dir: &Path, key: &str) -> Option<toml::Value> {
    let manifest = std::fs::read_to_string(crate_dir.join("Cargo.toml")).unwrap_or_default();
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    manifest.get("package")?.get("metadata")?.get("rule")?.get(key).cloned()
}

/// Compiler flags: the stack's size, and what takes this machine's paths out of panic messages.
fn flags(crate_dir: &Path) -> String {
    let cargo_home =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folder = crate_dir.canonicalize().unwrap_or_else(|_| crate_dir.to_owned());
    let flag = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let stack = said(crate_dir, "stack-size").unwrap_or(STACK.into());
    let mut flags = vec![format!("-Clink-arg=-zstack-size={stack}"), flag(&folder, ".")];
    // Sources that lie beside the crate, as in Daybridge's own repository, are named from there.
    flags
        .extend(folder.ancestors().nth(2).filter(|root| root.join("Cargo.toml").is_file()).map(|root| flag(root, ".")));
    let Some(home) = cargo_home else { return flags.join("\x1f") };
    flags.push(flag(&home, "cargo"));
    // Cargo names these folders after the registry a crate came from; of several that match, the last is used.
    let registries = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().filter_map(Result::ok);
    flags.extend(registries.map(|registry| flag(&registry.path(), "cargo")));
    flags.join("\x1f")
}

/// Writes a file under another name and moves it into place, so that nobody ever reads half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    let error = |cause| PackageError::File { act: "write", path: path.to_owned(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(error)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    std::fs::write(&name, bytes).map_err(error)?;
    std::fs::rename(&name, path).map_err(error)
}

/// Appends a custom section.
fn append_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(component);
}
