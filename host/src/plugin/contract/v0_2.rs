//! Version 0.2 of the contract, the newest: its types are the ones the host speaks, so only its imports are named here.

use wasmtime::component::{HasSelf, Linker};

use super::State;
use crate::plugin::bindings::ScriptEngine;

/// The imports of rules and of script engines.
pub fn imports(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    ScriptEngine::add_to_linker::<_, HasSelf<State>>(linker, |state| state)
}
