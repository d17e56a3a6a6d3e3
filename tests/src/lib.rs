//! Test support.

pub mod churn;
