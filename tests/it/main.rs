//! The one test binary.
mod sim_crm;
mod config;
mod control;
