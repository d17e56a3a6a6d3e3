//! What benchmarks need to see of the rule host; behind the feature `bench`, which no shipped program has.
//!
//! Promises: measures the product's own code. [`reusing`] is the yardstick for fresh instances: the same call, limits and all,
//! on an instance that is kept, which rules never get. Must not know: what is measured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use wasmtime::Store;

use super::bindings::Rule;
use super::call::{Callable, State};
use super::chain::{Chain, Trace};
use crate::rules::Call;

type Kept = HashMap<String, (Store<State>, Rule)>;

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Judges on this thread, without the way to a rule thread and back.
pub fn judge_here(chain: &Chain, call: Call<'_>) -> Trace {
    chain.judge_here(call)
}

/// Runs work on this thread in which every rule keeps one instance.
pub fn reusing<T>(work: impl FnOnce() -> T) -> T {
    KEPT.set(Some(Kept::new()));
    let result = work();
    KEPT.set(None);
    result
}

/// The kept instance of a rule, made ready for one more call; nothing if none is kept (yet).
pub(super) fn kept(callable: &Callable, appointment: &str, started: Instant) -> Option<(Store<State>, Rule)> {
    let (mut store, rule) = KEPT.with_borrow_mut(|kept| kept.as_mut()?.remove(&callable.identity.digest))?;
    *store.data_mut() = callable.state(appointment);
    callable.arm(&mut store, started);
    Some((store, rule))
}

/// Keeps an instance if that is wanted, else gives the store back.
pub(super) fn keep(callable: &Callable, store: Store<State>, rule: Option<Rule>) -> Result<(), Store<State>> {
    KEPT.with_borrow_mut(|kept| match (kept, rule) {
        (Some(kept), Some(rule)) => {
            kept.insert(callable.identity.digest.clone(), (store, rule));
            Ok(())
        }
        _ => Err(store),
    })
}
