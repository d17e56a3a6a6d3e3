//! Turns what goes wrong inside the engine into [`StoreError`]s, panics included.
//!
//! Promises: a panic of the engine on this thread is neither printed nor propagated. Must not know: rows.

use std::any::Any;
use std::cell::Cell;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::{Arc, Once};

use crate::store::StoreError;

thread_local! {
    static INSIDE_ENGINE: Cell<bool> = const { Cell::new(false) };
}
static HOOK: Once = Once::new();

/// Runs a call into the engine. `act` completes "cannot ... the store".
pub fn guarded<T>(
    folder: &Path,
    act: &'static str,
    call: impl FnOnce() -> Result<T, ::sled::Error>,
) -> Result<T, StoreError> {
    HOOK.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE_ENGINE.get() {
                previous(panic);
            }
        }));
    });
    INSIDE_ENGINE.set(true);
    // The engine is not used any further after a panic: the caller reports it and the store refuses more.
    let result = catch_unwind(AssertUnwindSafe(call));
    INSIDE_ENGINE.set(false);
    let damaged = |detail| Err(StoreError::Damaged { folder: folder.to_path_buf(), detail });
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Corruption { .. })) => damaged("its content does not match its checksums".into()),
        Ok(Err(::sled::Error::Unsupported(detail) | ::sled::Error::ReportableBug(detail))) => damaged(detail),
        // The engine reads past the end of a file that was cut, or finds nonsense in one.
        Ok(Err(::sled::Error::Io(error)))
            if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput) =>
        {
            damaged(error.to_string())
        }
        Ok(Err(error)) => Err(StoreError::Failed { act, folder: folder.to_path_buf(), cause: Arc::new(error) }),
        Err(panic) => damaged(first_line(&*panic)),
    }
}

fn first_line(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the engine stopped without a reason");
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
