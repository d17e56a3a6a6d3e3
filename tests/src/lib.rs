//! Test support.

pub mod program;
