//! Durable record of pairs.
