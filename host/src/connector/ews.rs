//! Exchange by EWS.

mod config;

pub use config::EwsConfig;
