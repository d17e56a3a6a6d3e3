//! Builds everything from the configuration; the only module that names concrete backends.
