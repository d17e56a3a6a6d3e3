//! Rules built from source for tests: the default set, the examples, and guests that misbehave.
//!
//! Promises: what a test gets was built from the sources as they are now (the digest of the sources in the component is
//! compared), once for all tests.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use daybridge::plugin::{Compiler, Engine, EngineOptions, package};

use crate::program;

/// The repository's `plugins` folder.
pub fn plugins() -> PathBuf {
    root().join("plugins")
}

/// The folder of guests that do what no rule should.
pub fn misbehaving() -> PathBuf {
    root().join("tests/plugins")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The crate of the JavaScript engine in `plugins`.
pub const JAVASCRIPT: &str = "javascript";

/// The last step of building a component: the JavaScript engine becomes a snapshot of itself.
///
/// # Errors
/// One line, if the engine does not start.
pub fn finish(name: &str, component: Vec<u8>) -> Result<Vec<u8>, String> {
    if name != JAVASCRIPT {
        return Ok(component);
    }
    crate::snapshot::initialised(&component).map_err(|error| format!("{error:#}"))
}

/// A rule's component, by the name of its crate in `plugins` or `tests/plugins`.
///
/// # Panics
/// If it cannot be built: a test without its guests proves nothing.
#[expect(clippy::panic, reason = "a test without its guests proves nothing")]
pub fn component(name: &str) -> Vec<u8> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let target = root().join("target/guests");
    let file = target.join("components").join(format!("{name}.wasm"));
    let folder = [plugins(), misbehaving()].map(|crates| crates.join(name));
    let folder = folder.into_iter().find(|folder| folder.is_dir()).unwrap_or_else(|| panic!("no crate {name}"));
    let source = package::source_digest(&package::source_folders(&folder)).unwrap_or_else(|error| panic!("{error}"));
    let ready = std::fs::read(&file).ok().filter(|bytes| package::source_of(bytes) == Some(source));
    ready.unwrap_or_else(|| {
        package::build_finished(&folder, &file, Some(&target), &finish).unwrap_or_else(|error| panic!("{error}"));
        std::fs::read(&file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
    })
}

/// An engine as the program's own: rules are compiled by the program in a process of its own, and once for all tests.
///
/// # Panics
/// If there can be none.
pub fn engine() -> Engine {
    let cache = Some(root().join("target/guests/compiled"));
    let compiler = Compiler::Program(program::path());
    Engine::with(EngineOptions { cache, compiler, ..EngineOptions::default() }).expect("an engine")
}
