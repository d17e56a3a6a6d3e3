//! The only place that sends.
