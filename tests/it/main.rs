//! The one test binary.

mod ledger;
mod queue;
mod store;
