//! Rules on wasmtime.
