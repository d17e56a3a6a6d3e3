//! Rules on wasmtime: the default chain as data in and data out, guests that misbehave, the gate, replacement while running.
//! All guests are built from source.

mod chain;
mod doors;
mod fixtures;
mod gate;
mod harm;
mod lifecycle;
mod live;
mod support;
mod swaps;
