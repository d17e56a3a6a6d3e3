//! The rule contract as the host sees it: the only `bindgen!` of the program.
#![allow(missing_docs, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../wit/v0.1",
    world: "rule",
    additional_derives: [PartialEq],
});
