//! How much may be due at a time.
//!
//! Promises: a server that is down does not keep others from being read. Must not know: who brings changes.

use super::entry::{SETTLINGS_MAX, span};
use super::{Queue, WAIT_MAX};

/// Entries that are due before whoever brings more has to wait: a server that holds a hundred thousand appointments is
/// read as they are worked off, not all into memory.
pub const BACKLOG_MAX: usize = 1000;

impl Queue {
    /// Whether as much is due, or nearly, as may be at a time. What waits for its next attempt does not count: a server that
    /// is down does not keep others from being read.
    pub fn is_full(&self) -> bool {
        let soon = self.clock.now() + span(self.settings.settle) * SETTLINGS_MAX as i32;
        self.index().due_by(soon, BACKLOG_MAX) == BACKLOG_MAX
    }

    /// Returns when something holds, which is looked at whenever the queue moves and every few seconds. Safe to drop at
    /// any time.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            if holds(self) {
                return;
            }
            // At the limit it is looked at again.
            let _ = tokio::time::timeout(WAIT_MAX, woken).await;
        }
    }
}
