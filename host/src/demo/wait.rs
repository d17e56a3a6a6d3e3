//! Waiting for a state that a server shows, with a limit.

use std::future::Future;
use std::time::{Duration, Instant};

use super::DemoError;

/// Between two looks; small beside the times that the story tells.
const PAUSE: Duration = Duration::from_millis(20);
/// Far above what any step needs, also on a slow machine: reaching it means that it will not happen.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Waits until `look` answers something; answers it and how long that took since `since`.
pub(super) async fn until<T, F>(
    state: &str,
    since: Instant,
    mut look: impl FnMut() -> F,
) -> Result<(T, Duration), DemoError>
where
    F: Future<Output = Result<Option<T>, DemoError>>,
{
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok((found, since.elapsed()));
        }
        if begun.elapsed() > LIMIT {
            return Err(DemoError::new(format!("waited {} s in vain until {state}", LIMIT.as_secs())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
