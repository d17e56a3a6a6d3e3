//! The hard cases a sync must pass, each a test bearing its number and name (tests/scenarios.tsv maps them), each ending
//! in the common oracle: a host that is dropped without it fails the test.

mod conflict;
mod content;
mod crossing;
mod deletes;
mod entries;
mod failure;
mod first;
mod hours;
mod identity;
mod limits;
mod mail;
mod people;
mod reapply;
mod series;
mod unrest;
