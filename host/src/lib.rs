//! Daybridge keeps appointments the same in a CRM and in Microsoft Exchange, and runs per-appointment rules compiled to
//! WebAssembly on the way.
//!
//! # The way of one change
//! ```text
//! feed -> queue -> worker( read both sides -> rules -> plan -> write -> ledger ) -> ack
//! ```
//! A change says where to look, never what to write, so it may be late, doubled or out of order. The worker reads both
//! sides afresh and asks the ledger what they last agreed on; [`engine`] decides as a pure function; the connector writes
//! conditionally; the ledger is flushed before the queue forgets the change. A crash anywhere repeats the step, and the
//! stamp every create carries finds what was already made.
//!
//! # Code map, from the centre outwards
//! - [`model`]: the words. [`clock`], [`error`]: time, chance, failure classes.
//! - [`engine`]: what to do, as a value. Pure. [`rules`]: what is asked of rules, whoever runs them.
//! - [`connector`]: servers ([`connector::sage`], [`connector::ews`], [`connector::graph`]) behind one trait;
//!   [`connector::http`] is the only place that sends, [`connector::auth`] signs in. [`hook`]: where Graph's notifications come in.
//! - [`store`], [`queue`], [`ledger`], [`roster`]: what survives power loss.
//! - [`plugin`]: rules on wasmtime. [`feed`], [`worker`]: the moving parts. [`notify`]: messages to people.
//! - [`control`]: what a person may ask of a running host, as calls and as JSON on loopback. [`config`], [`app`], [`cli`].
//! - [`sim`]: servers that speak the wire protocols for demo and tests; shares no types with the connectors.
//!
//! # Deliberately absent
//! Echo suppression flags (our own write is recognised by version or content), comparison of two machines' clocks, retry
//! loops outside the queue (a person's own run of `exchange migrate` waits when a server asks for a pause), WASI, and any way for a
//! rule to reach the network or a file.

#[cfg(feature = "program")]
pub mod app;
#[cfg(feature = "program")]
pub mod cli;
pub mod clock;
#[cfg(feature = "program")]
pub mod config;
pub mod connector;
#[cfg(feature = "program")]
pub mod control;
#[cfg(feature = "sim")]
pub mod demo;
pub mod engine;
pub mod error;
pub mod feed;
pub mod hook;
pub mod identity;
pub mod ledger;
pub mod lifecycle;
pub mod model;
pub mod notify;
pub mod people;
#[cfg(feature = "program")]
pub mod plugin;
pub mod queue;
pub mod roster;
pub mod rules;
pub mod servers;
#[cfg(feature = "sim")]
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod worker;
