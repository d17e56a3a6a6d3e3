//! The contract as Rust, generated from `wit/v0.2`. Authors never name it; the `export!` macro does.
#![allow(missing_docs, unsafe_code, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../wit/v0.2",
    world: "rule",
    pub_export_macro: true,
    export_macro_name: "export_hooks",
    default_bindings_module: "daybridge_rule::bindings",
    additional_derives: [PartialEq, Clone],
    generate_all,
});
