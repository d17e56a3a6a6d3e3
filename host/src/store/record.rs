//! How values are written: JSON in an envelope that tells kind and version.
//!
//! Promises: a record written by an older version is upgraded step by step when read; one written by a newer version is
//! refused with words for people, never half understood. Stored types are separate from the model's, so that a change of
//! the model does not silently change what is on disk. Must not know: trees, keys, who keeps what.

mod appointment;
mod item;
mod value;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use appointment::StoredAppointment;
pub(crate) use item::key;
pub use item::{StoredChange, StoredItemRef, StoredKnown, StoredSide};
pub use value::StoredValue;

/// A type with a stored form.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is, for example `queue-entry`; never reused for something else.
    const KIND: &'static str;
    /// Raised when the stored form changes in a way that `#[serde(default)]` does not cover.
    const VERSION: u32 = 1;

    /// Turns the form of version `from` into that of `from + 1`; `None` if that version never existed.
    fn upgrade(from: u32, data: serde_json::Value) -> Option<serde_json::Value> {
        let _ = (from, data);
        None
    }
}

/// A stored value that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("a {kind} record has version {found}, this host knows versions up to {known}")]
    Newer { kind: &'static str, found: u32, known: u32 },
    #[error("a {kind} record was expected, found {found}")]
    Kind { kind: &'static str, found: String },
    #[error("a {kind} record has the unknown version {found}")]
    Version { kind: &'static str, found: u32 },
    #[error("a {kind} record is not well-formed")]
    Malformed {
        kind: &'static str,
        #[source]
        cause: serde_json::Error,
    },
    #[error("a stored {what} makes no sense: {found}")]
    Content { what: &'static str, found: String },
}

impl RecordError {
    /// What to do about it, for a person.
    pub fn hint(&self) -> &'static str {
        match self {
            RecordError::Newer { .. } => {
                "this data folder was written by a newer daybridge: run that version or a later one, or restore the backup made before the upgrade"
            }
            RecordError::Kind { .. }
            | RecordError::Version { .. }
            | RecordError::Malformed { .. }
            | RecordError::Content { .. } => {
                "the data folder is damaged or was edited: restore it from a backup, or move it away and start again (pairs are rebuilt from the stamps)"
            }
        }
    }
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    kind: &'a str,
    data: &'a T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
    kind: String,
}

#[derive(Deserialize)]
struct Read<T> {
    data: T,
}

/// The bytes of a record.
///
/// # Errors
/// [`RecordError::Malformed`] if the type cannot be written as JSON.
pub fn encode<T: Record>(record: &T) -> Result<Vec<u8>, RecordError> {
    serde_json::to_vec(&Written { v: T::VERSION, kind: T::KIND, data: record }).map_err(malformed::<T>)
}

/// The record in the bytes, upgraded to the version of today.
///
/// # Errors
/// [`RecordError`] for anything but a record of this kind in a version up to today's.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, RecordError> {
    let head: Head = serde_json::from_slice(bytes).map_err(malformed::<T>)?;
    if head.kind != T::KIND {
        return Err(RecordError::Kind { kind: T::KIND, found: head.kind });
    }
    if head.v > T::VERSION {
        return Err(RecordError::Newer { kind: T::KIND, found: head.v, known: T::VERSION });
    }
    if head.v == T::VERSION {
        return serde_json::from_slice::<Read<T>>(bytes).map(|read| read.data).map_err(malformed::<T>);
    }
    let mut data = serde_json::from_slice::<Read<serde_json::Value>>(bytes).map_err(malformed::<T>)?.data;
    for from in head.v..T::VERSION {
        data = T::upgrade(from, data).ok_or(RecordError::Version { kind: T::KIND, found: head.v })?;
    }
    serde_json::from_value(data).map_err(malformed::<T>)
}

fn malformed<T: Record>(cause: serde_json::Error) -> RecordError {
    RecordError::Malformed { kind: T::KIND, cause }
}

/// Declares the stored twin of a model enum without data, and both conversions.
macro_rules! twin {
    ($stored:ident = $model:ident { $($variant:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $stored { $($variant),+ }
        impl From<$model> for $stored {
            fn from(value: $model) -> Self {
                match value { $($model::$variant => $stored::$variant),+ }
            }
        }
        impl From<$stored> for $model {
            fn from(value: $stored) -> Self {
                match value { $($stored::$variant => $model::$variant),+ }
            }
        }
    };
}
pub(crate) use twin;
