//! `[recording]`: whether and how much of the rules' last calls is kept.
//!
//! Must not know: how it is kept.

use serde::Deserialize;

use crate::plugin::recorder::RecordingSettings;

/// The rules' last calls, on which new rules are tried. They hold personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recording {
    /// Off: nothing is recorded, and what was is deleted.
    pub enabled: bool,
    /// Calls kept.
    pub calls: u32,
    /// Bytes on disk at most.
    pub bytes: u64,
}

/// More calls than a replay gets through in minutes are of no use.
const CALLS: (u64, u64) = (1, 100_000);
/// Below this a large appointment would not be kept; above it, it is no longer a bounded recording.
const BYTES: (u64, u64) = (1 << 20, 1 << 30);

impl Default for Recording {
    fn default() -> Self {
        Self::from(RecordingSettings::default())
    }
}

impl From<RecordingSettings> for Recording {
    fn from(RecordingSettings { enabled, calls, bytes }: RecordingSettings) -> Self {
        Self { enabled, calls: u32::try_from(calls).unwrap_or(u32::MAX), bytes }
    }
}

impl From<Recording> for RecordingSettings {
    fn from(Recording { enabled, calls, bytes }: Recording) -> Self {
        Self { enabled, calls: usize::try_from(calls).unwrap_or(usize::MAX), bytes }
    }
}

impl Recording {
    /// The first key whose value is out of its range, with a line for people.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let keys = [("calls", u64::from(self.calls), CALLS), ("bytes", self.bytes, BYTES)];
        match keys.into_iter().find(|(_, value, (least, most))| !(least..=most).contains(&value)) {
            Some((key, value, (least, most))) => {
                Err((key, format!("recording.{key} is {value}, but must be from {least} to {most}")))
            }
            None => Ok(()),
        }
    }
}
