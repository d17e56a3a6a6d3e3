//! The one test binary.

mod config;
mod control;
mod sim_crm;
mod tidy;
