//! The commented example that `daybridge init` writes.
//!
//! Promises: it is a valid configuration once its secrets exist (a test loads it).

/// The text of `daybridge.example.toml`.
pub const EXAMPLE: &str = include_str!("../../daybridge.example.toml");
