pub mod churn;
pub mod crm;
pub mod ews;
pub mod guests;
pub mod host;
pub mod program;
pub mod time;
pub mod wait;

/// Ids of the CRM simulator's users.
pub mod user {
    pub const SUSAN: &str = "11";
    pub const TERRY: &str = "12";
    pub const MARY: &str = "13";
    pub const WILLIAM: &str = "14";
}
