//! A recorded call as a fixture, for [`crate::control::Desk::capture`].
//!
//! Promises: what leaves the host is masked. Must not know: HTTP, the command line.

use super::App;
use crate::control::{Captured, Refusal, RefusalKind};
use crate::model::Key;
use crate::plugin::capture::{CaptureError, capture};
use crate::plugin::fixture::Ask;
use crate::plugin::recorder::RecordedCall;

impl App {
    pub(super) async fn captured(&self, key: &Key, rule: Option<&str>) -> Result<Captured, Refusal> {
        if !self.recorder.is_on() {
            return Err(Refusal::new(
                RefusalKind::NotNow,
                "not-recorded",
                "calls of the rules are not recorded",
                "set recording.enabled = true in the configuration, start the host again, and change the appointment once",
            ));
        }
        let (recorder, chain) = (self.recorder.clone(), self.rules.current());
        let (key, rule) = (key.to_string(), rule.map(str::to_owned));
        // Reads files and runs rules, which would block the host's tasks.
        let made = tokio::task::spawn_blocking(move || {
            let about = |call: &RecordedCall| matches!(&call.fixture.ask, Ask::Apply { key: of, .. } if *of == key);
            let calls: Vec<RecordedCall> = recorder.recent(usize::MAX).into_iter().filter(about).collect();
            let mut last = Err(unknown(&key));
            for call in &calls {
                last = capture(&chain, call, rule.as_deref()).map_err(|error| refused(&error));
                if last.is_ok() {
                    break;
                }
            }
            last
        });
        let fixture = made.await.map_err(|error| Refusal::failed("make the fixture", &error))??;
        Ok(Captured { name: fixture.name.clone(), fixture: fixture.to_json() })
    }
}

fn unknown(key: &str) -> Refusal {
    Refusal::new(
        RefusalKind::Unknown,
        "not-recorded",
        format!("no call of the rules for {key} is recorded"),
        "only the last calls are kept (recording.calls): change the appointment once, so that the rules see it again",
    )
}

fn refused(error: &CaptureError) -> Refusal {
    let hint = match error {
        CaptureError::NoRule { .. } => "name a rule as `daybridge rules list` shows it",
        CaptureError::NotReached { .. } => "name a rule that sees it, or leave --rule out for a fixture of all rules",
        CaptureError::Unfit(_) => "change the appointment once, so that it is recorded again",
    };
    Refusal::new(RefusalKind::Invalid, "not-captured", error.to_string(), hint)
}
