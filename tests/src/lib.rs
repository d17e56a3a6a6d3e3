//! Test support.

pub mod churn;
pub mod program;
