//! Durable key-value trees, and what is kept in them.
//!
//! Promises: a commit that returned is on disk and survives power loss; a batch over several trees is all or nothing;
//! values are versioned records. Must not know: appointments' meaning, connectors, rules.
//!
//! The engine behind the trait can be replaced: nothing outside this module names it.
