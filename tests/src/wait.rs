//! Waiting for a named state, with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

/// Between two looks at the state.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest wait unless a test names another: far above what any state needs on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Between two looks, for a wait whose limit is not a time: one that goes on as long as there is progress.
pub async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// Waits until `look` answers something; panics with the state's name and `describe` after [`LIMIT`].
pub async fn wait_for<T, F>(state: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for: {state}");
        tokio::time::sleep(PAUSE).await;
    }
}
