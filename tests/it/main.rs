//! The one test binary.
mod ews;
mod sim_crm;
