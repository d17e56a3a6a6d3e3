//! The rule contract as the host sees it: the only `bindgen!` of the program, over the newest version. What older versions
//! have different stands in `contract`.
#![allow(missing_docs, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../wit/v0.2",
    world: "script-engine",
    additional_derives: [PartialEq],
});
