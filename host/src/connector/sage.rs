//! Sage CRM by its REST API.

mod config;
mod wall;

pub use config::SageConfig;
