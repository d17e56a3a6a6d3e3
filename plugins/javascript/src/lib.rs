//! The engine for rules written in JavaScript: QuickJS as a rule component. One component serves every script.
//!
//! It is built in two steps. `init` makes the engine and evaluates the prelude (what a script finds in the world); the build
//! takes a snapshot of its memory then, and that is the component. `compile` turns a script into bytecode, once, when the
//! script is loaded; each call gets that bytecode through `script.code` and starts from the snapshot, in an instance of its
//! own. So nothing carries over from one call to the next, and a call costs neither the start of an engine nor a parser.
//!
//! Promises: imports nothing but the contract (no clock, no files, no chance); an error reaches the host with its text and its
//! place in the script; a limit of the host ends whatever a script does. Must not know: the host's model.
//!
//! Code map: `prelude.js` (the API scripts see, described in README.md), `fields.json` (the appointment's fields), `engine`
//! (QuickJS: start, compile, load, errors), `values` (the contract's values and JavaScript's), `hooks` (the exports), `arena` (memory).

#![cfg(target_arch = "wasm32")]

mod arena;
mod engine;
mod hooks;
mod values;

/// The contract as Rust.
#[allow(missing_docs, unsafe_code, clippy::all, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/v0.2", "wit"],
        world: "daybridge:javascript/engine",
        generate_all,
    });
}

pub use bindings::daybridge::rules::types as wit;
