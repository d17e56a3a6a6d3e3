//! Daybridge.
fn main() {}
