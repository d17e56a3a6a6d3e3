//! The words of the problem: appointments, where they live, and what a side shows of them.
//!
//! Promises: plain values without I/O, clock or serialisation; every other module speaks in these types.
//! Wire, stored and WIT types are separate and are mapped to these at the edge of their module.
//! Must not know: connectors, stores, rules, wasm, HTTP.

mod appointment;
mod field;
mod item;
mod person;
pub mod recurrence;
mod time;

pub use appointment::{Appointment, Body, Importance, Link, Recurrence, Sensitivity, ShowAs, Status};
pub use field::{Field, Patch, Scalar, Value, WrongType};
pub use item::{
    Cause, Change, Container, Direction, Instance, Item, ItemRef, Key, Known, Mail, MailBudget, Role, Seen, Side,
    Version,
};
pub use person::{Address, Attendee, AttendeeKind, DirectoryEntry, Person, Response, User, UserId};
pub use time::{Span, Time, Zone, instant_of};
