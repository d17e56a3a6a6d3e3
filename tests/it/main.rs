//! The one test binary.

mod ledger;
mod powercut;
mod queue;
mod store;
