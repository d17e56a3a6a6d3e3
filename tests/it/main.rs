//! The one test binary.
mod config;
mod control;
