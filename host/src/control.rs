//! What a person may ask of a running host.
