//! Start, stop, exit code: one tracker for every task, a token that asks to stop, and notice of a task that died.
//!
//! Promises: no task runs untracked; a panic in a task stops the host with exit code 2 instead of leaving half of it
//! running. Must not know: what the tasks do.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long tasks may take to finish after they were asked to stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The tasks of one host.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    died: Arc<AtomicBool>,
}

impl Tasks {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task. If it panics, everything is asked to stop and [`Tasks::finish`] tells.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, died) = (self.stop.clone(), self.died.clone());
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        let handle = tokio::spawn(task);
        self.tracker.spawn(async move {
            if let Err(error) = handle.await
                && error.is_panic()
            {
                tracing::error!(task = name, "Task {name} died; the host stops");
                died.store(true, Ordering::SeqCst);
                stop.cancel();
            }
        });
    }

    /// Resolves when a stop was asked for. Tasks select on it at every wait.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks every task to stop.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Asks every task to stop because the host cannot go on; [`Tasks::finish`] tells.
    pub fn give_up(&self) {
        self.died.store(true, Ordering::SeqCst);
        self.stop.cancel();
    }

    /// Asks to stop and waits for the tasks, within a limit. True if all ended and none died.
    pub async fn finish(&self) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(STOP_LIMIT, self.tracker.wait()).await.is_ok();
        if !ended {
            tracing::error!("Some tasks did not stop within {STOP_LIMIT:?}");
        }
        ended && !self.died.load(Ordering::SeqCst)
    }
}

/// Resolves on SIGTERM or SIGINT (Ctrl-C elsewhere).
pub async fn asked_by_system() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
