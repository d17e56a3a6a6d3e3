//! Decides what to write. Pure: no clock, no network, no store.
