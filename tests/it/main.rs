//! The one test binary.

mod cli;
mod config;
mod control;
mod crash;
mod demo;
mod edges;
mod engine;
mod ews;
mod exchangelib;
mod faults;
mod http;
mod ledger;
mod plugins;
mod powercut;
mod queue;
mod recurrence;
mod sage;
mod scenarios;
mod sim_crm;
mod sim_exchange;
mod sim_graph;
mod store;
mod tidy;
mod zones;
