//! The one test binary.

mod plugins;
