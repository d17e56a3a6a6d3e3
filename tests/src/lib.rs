//! Test support.

pub mod churn;
pub mod guests;
pub mod program;
