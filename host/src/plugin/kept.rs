//! The sandboxes a rule thread keeps from one call to the next, each put back to what it was before its first call.
//!
//! Promises: only rule threads keep any, and no more than a number; one that is kept holds nothing of the call it served,
//! neither in its memory (see `renewal`) nor in the host's part of it; it is used for the same component only. Must not know:
//! what rules are asked.

use std::cell::RefCell;
use std::collections::VecDeque;

use wasmtime::Store;

use super::call::State;
use super::contract::Sandbox;

/// Sandboxes per thread: several times the rules of a chain, so that a chain that was replaced takes no room from the new one.
/// Each holds its rule's memory, which is 192 KiB for most, and the rule's machine code, until so many others were kept after it.
pub const MAX: usize = 32;

/// A sandbox as it was before its first call.
pub struct Kept {
    pub store: Store<State>,
    pub sandbox: Sandbox,
}

thread_local! {
    /// Those of this thread, used longest ago first; none where threads keep none.
    static KEPT: RefCell<Option<VecDeque<Kept>>> = const { RefCell::new(None) };
}

/// From now on this thread keeps sandboxes, until it ends.
pub fn keep_here() {
    KEPT.with_borrow_mut(|kept| {
        kept.get_or_insert_default();
    });
}

/// Whether this thread keeps any.
pub fn is_keeping() -> bool {
    KEPT.with_borrow(Option::is_some)
}

/// Takes out the one that was kept last of those that are fit for something.
pub fn take(is_fit: impl Fn(&Kept) -> bool) -> Option<Kept> {
    KEPT.with_borrow_mut(|kept| {
        let kept = kept.as_mut()?;
        let at = kept.iter().rposition(is_fit)?;
        kept.remove(at)
    })
}

/// Keeps one, in place of the one used longest ago if there are too many.
pub fn put(new: Kept) {
    let gone = KEPT.with_borrow_mut(|kept| {
        let kept = kept.as_mut()?;
        let gone = if kept.len() >= MAX { kept.pop_front() } else { None };
        kept.push_back(new);
        gone
    });
    drop(gone);
}

/// Runs work on this thread as if it kept none.
#[cfg(feature = "bench")]
pub fn without<T>(work: impl FnOnce() -> T) -> T {
    let kept = KEPT.take();
    let result = work();
    KEPT.set(kept);
    result
}
