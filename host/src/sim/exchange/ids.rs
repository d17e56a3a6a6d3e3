//! Opaque identifiers: items, occurrences, folders, change keys, and the iCalendar UID with its binary form.
//!
//! Promises: an id names one thing in one run of one simulator only, is case-sensitive, and a foreign or mangled one is
//! told from one that was ours. Must not know: what is stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use sha2::{Digest, Sha256};

use super::error::ExchangeError;

/// Folders do not change here.
pub const FOLDER_CHANGE_KEY: &str = "AQAAAA==";
/// Begins every immutable id, so that it reads `AAkA` as those of real servers do.
const IMMUTABLE_MARK: [u8; 3] = [0x00, 0x09, 0x00];
/// Begins every other id, so that it reads `AAMk` as ids of real servers do.
const MARK: [u8; 3] = [0x00, 0x03, 0x24];
const ITEM_BYTES: usize = 27;
const OCCURRENCE_BYTES: usize = ITEM_BYTES + 8;
const CHANGE_KEY_MARK: [u8; 4] = [0x0f, 0x00, 0x00, 0x00];
/// The header of a GlobalObjectId (MS-OXCICAL): marker, then date, time and padding.
const GLOBAL_OBJECT_ID_MARK: [u8; 16] =
    [0x04, 0x00, 0x00, 0x00, 0x82, 0x00, 0xe0, 0x00, 0x74, 0xc5, 0xb7, 0x10, 0x1a, 0x82, 0xe0, 0x08];
/// Where the instance date stands in a GlobalObjectId: behind the marker.
const INSTANCE_DATE_AT: usize = 16;
/// 100 ns steps between 1601 and 1970.
const FILETIME_OFFSET: i64 = 116_444_736_000_000_000;

/// What an item id names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Item(String),
    /// The master's id and the original start.
    Occurrence(String, DateTime<Utc>),
}

/// An id from a salt and whatever distinguishes the thing.
pub fn mint(salt: &str, what: &str) -> String {
    mint_marked(MARK, salt, what)
}

/// An id that stays when the item is moved.
pub fn mint_immutable(salt: &str, key: u64) -> String {
    mint_marked(IMMUTABLE_MARK, salt, &format!("immutable/{key}"))
}

/// Whether the id is one that stays when the item is moved.
pub fn is_immutable(id: &str) -> bool {
    STANDARD.decode(id).is_ok_and(|bytes| bytes.starts_with(&IMMUTABLE_MARK))
}

fn mint_marked(mark: [u8; 3], salt: &str, what: &str) -> String {
    let mut bytes = mark.to_vec();
    bytes.extend_from_slice(&Sha256::digest(format!("{salt}/{what}")));
    bytes.truncate(ITEM_BYTES);
    STANDARD.encode(bytes)
}

/// The id of one instance of a series.
pub fn occurrence_id(master: &str, original_start: DateTime<Utc>) -> String {
    let mut bytes = STANDARD.decode(master).unwrap_or_default();
    bytes.extend_from_slice(&original_start.timestamp().to_be_bytes());
    STANDARD.encode(bytes)
}

/// Takes an item id apart. The error means that no server of ours made it.
pub fn parse(id: &str) -> Result<Named, ExchangeError> {
    let malformed = || ExchangeError::new("ErrorInvalidIdMalformed", "Id is malformed.");
    let bytes = STANDARD.decode(id).map_err(|_| malformed())?;
    if !bytes.starts_with(&MARK) && !bytes.starts_with(&IMMUTABLE_MARK) {
        return Err(malformed());
    }
    match bytes.len() {
        ITEM_BYTES => Ok(Named::Item(id.to_owned())),
        OCCURRENCE_BYTES => {
            let (master, start) = bytes.split_at(ITEM_BYTES);
            let seconds = start.try_into().map(i64::from_be_bytes).map_err(|_| malformed())?;
            let start = DateTime::from_timestamp(seconds, 0).ok_or_else(malformed)?;
            Ok(Named::Occurrence(STANDARD.encode(master), start))
        }
        _ => Err(malformed()),
    }
}

pub fn change_key(version: u64) -> String {
    let mut bytes = CHANGE_KEY_MARK.to_vec();
    bytes.extend_from_slice(&version.to_be_bytes());
    STANDARD.encode(bytes)
}

/// The version in a change key.
pub fn version(change_key: &str) -> Result<u64, ExchangeError> {
    STANDARD
        .decode(change_key)
        .ok()
        .and_then(|bytes| bytes.strip_prefix(&CHANGE_KEY_MARK).and_then(|rest| rest.try_into().ok()))
        .map(u64::from_be_bytes)
        .ok_or_else(|| ExchangeError::new("ErrorInvalidChangeKey", "The change key is invalid."))
}

/// The UID a server mints: the hex text of a GlobalObjectId.
pub fn mint_uid(salt: &str, key: u64, now: DateTime<Utc>) -> String {
    let data = Sha256::digest(format!("{salt}/uid/{key}"));
    let filetime = now.timestamp_micros().saturating_mul(10).saturating_add(FILETIME_OFFSET);
    hex(&object_id(filetime, data.get(..16).unwrap_or_default()))
}

/// The binary form of a UID, as base64: the minted one's own bytes, or a foreign one wrapped as iCalendar import does.
pub fn global_object_id(uid: &str) -> String {
    let own = unhex(uid).filter(|bytes| bytes.starts_with(&GLOBAL_OBJECT_ID_MARK));
    let bytes = own.unwrap_or_else(|| {
        let mut data = b"vCal-Uid\x01\x00\x00\x00".to_vec();
        data.extend_from_slice(uid.as_bytes());
        data.push(0);
        object_id(0, &data)
    });
    STANDARD.encode(bytes)
}

/// The UID that one instance of a series shows where each shows its own: the series' with the day in it (MS-OXCICAL,
/// the four bytes of the instance date, year first).
pub fn instance_uid(uid: &str, day: NaiveDate) -> String {
    let mut bytes = STANDARD.decode(global_object_id(uid)).unwrap_or_default();
    let year = u16::try_from(day.year()).unwrap_or_default().to_be_bytes();
    let month_and_day = [day.month(), day.day()].map(|part| u8::try_from(part).unwrap_or_default());
    for (at, byte) in (INSTANCE_DATE_AT..).zip(year.into_iter().chain(month_and_day)) {
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
    }
    hex(&bytes)
}

fn object_id(filetime: i64, data: &[u8]) -> Vec<u8> {
    let mut bytes = GLOBAL_OBJECT_ID_MARK.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&filetime.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}
