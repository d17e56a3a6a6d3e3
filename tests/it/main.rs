//! The one test binary.

mod sim_crm;
mod tidy;
