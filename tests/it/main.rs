//! The one test binary.
mod http;
mod sage;
mod sim_crm;
mod zones;
