//! The one test binary.

mod config;
mod control;
mod ews;
mod ledger;
mod plugins;
mod powercut;
mod queue;
mod sim_crm;
mod store;
mod tidy;
mod config;
mod control;
mod exchangelib;
mod sim_crm;
