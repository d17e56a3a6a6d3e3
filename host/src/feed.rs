//! Turns what servers report into queued changes.
