//! What the CRM keeps of series: a number that communications share, and marks of exceptions.
//!
//! Promises: what is inferred from the columns' names alone is here and nowhere else. Must not know: requests, patterns.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::wire::{Columns, Row};

/// What communications made for the occurrences of one series of Exchange share in `Comm_RecurrenceId`. Below zero, so that it is
/// none of the numbers the CRM gives its own series (inferred: they are keys of rows, which count upwards).
pub fn series_number(uid: &str) -> i32 {
    let digest = Sha256::digest(uid.as_bytes());
    let number = digest.iter().take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    -i32::try_from(number >> 1).unwrap_or(i32::MAX).max(1)
}

/// What else is written when an occurrence of a series is moved: that it is an exception, and where it was (inferred from the
/// columns' names).
pub fn exception_columns(row: &Row) -> Columns {
    let mut columns = Columns::new();
    if row.id("Comm_RecurrenceId").is_none() || row.flag("Comm_Exception") {
        return columns;
    }
    columns.insert("Comm_Exception".into(), json!("Y"));
    for (kept, from) in [("Comm_OriginalDateTime", "Comm_DateTime"), ("Comm_OriginalToDateTime", "Comm_ToDateTime")] {
        columns.extend(row.get(from).map(|value| (kept.to_owned(), value.clone())));
    }
    columns
}
