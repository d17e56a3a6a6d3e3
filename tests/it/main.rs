//! The one test binary.
mod config;
mod control;
mod exchangelib;
mod sim_crm;
mod sim_exchange;
