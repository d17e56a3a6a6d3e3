//! The one test binary.

mod cli;
mod config;
mod control;
mod demo;
mod ews;
mod exchangelib;
mod ledger;
mod plugins;
mod powercut;
mod queue;
mod scenarios;
mod sim_crm;
mod store;
mod tidy;
