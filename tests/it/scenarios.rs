//! The hard cases a sync must pass, each a test bearing its number and name (tests/scenarios.tsv maps them), each ending
//! in the common oracle.

mod conflict;
mod content;
mod crossing;
mod deletes;
mod entries;
mod failure;
mod identity;
mod mail;
mod people;
mod reapply;
