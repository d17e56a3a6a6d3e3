//! What the tests share: wire clients of their own, a host between two simulators, waits with a limit, the common oracle.
//!
//! The wire clients are deliberately not the product's connectors: a mistake made twice would hide itself.

pub mod answering;
pub mod churn;
pub mod crm;
pub mod ews;
pub mod figures;
pub mod first_sync;
pub mod gateway;
pub mod guests;
pub mod host;
pub mod http;
pub mod listing;
pub mod online;
pub mod program;
pub mod python;
pub mod reach;
pub mod rogue;
pub mod snapshot;
pub mod storm;
pub mod time;
pub mod typescript;
pub mod wait;

/// Ids of the CRM simulator's users.
pub mod user {
    pub const SUSAN: &str = "11";
    pub const TERRY: &str = "12";
    pub const MARY: &str = "13";
    pub const WILLIAM: &str = "14";
}
