//! The one place that joins all: from a queued change to an acknowledged one.
