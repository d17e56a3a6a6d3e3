//! The one test binary.

mod config;
mod control;
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
mod cli;
mod demo;
