//! Servers that speak the wire protocols, for demo and tests.

pub mod crm;
pub mod exchange;
pub mod fault;
