//! What the operator writes, as one checked value.
