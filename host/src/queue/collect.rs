//! Looking through all entries.
//!
//! Promises: a page of entries is in memory at a time, however many there are. Must not know: what is looked for.

use super::{EntryState, EntryView, PUT_PART, Queue, QueueError};

impl Queue {
    /// What is wanted of each entry, in key order. A page of entries is in memory at a time, and what was wanted.
    ///
    /// # Errors
    /// [`QueueError::Store`] if one cannot be read.
    pub async fn collect<T>(
        &self,
        state: Option<EntryState>,
        mut wanted: impl FnMut(EntryView) -> Option<T>,
    ) -> Result<Vec<T>, QueueError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(state, after.as_ref(), PUT_PART).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.key.clone());
            found.extend(page.into_iter().filter_map(&mut wanted));
        }
    }
}
