//! Rules on wasmtime: the default chain as data in and data out, guests that misbehave, the gate, replacement while running,
//! the breaker and the figures, the compiler and what it made.
//! All guests are built from source, but for those kept of released versions of the contract.

mod breaker;
mod cache;
mod chain;
mod compiler;
mod doors;
mod entries;
mod fixtures;
mod frozen;
mod gate;
mod generated;
mod harm;
mod host;
mod javascript;
mod lifecycle;
mod live;
mod metrics;
mod record;
mod recorder;
mod support;
mod swaps;
mod tool;
