//! The one test binary.

mod config;
mod control;
mod exchangelib;
mod ledger;
mod powercut;
mod queue;
mod scenarios;
mod sim_crm;
mod sim_exchange;
mod store;
mod tidy;
