//! What benchmarks need to see of the rule host; behind the feature `bench`, which no shipped program has.
//!
//! Promises: measures the product's own code. [`reusing`] is the yardstick for fresh instances: the same call, limits and all,
//! on an instance that is kept, which rules never get. Must not know: what is measured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::call::{Callable, State};
use super::chain::{Chain, Trace};
use super::contract::Rule;
use crate::rules::Call;

type Kept = HashMap<String, (Store<State>, Instance)>;

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
pub(super) fn kept<'a>(
    callable: &'a Callable,
    appointment: &str,
    started: Instant,
) -> Option<(Store<State>, Rule<'a>)> {
    let (mut store, instance) = KEPT.with_borrow_mut(|kept| kept.as_mut()?.remove(&callable.identity.digest))?;
    *store.data_mut() = callable.state(appointment);
    callable.arm(&mut store, started);
    Some((store, callable.linked.again(instance)))
}

/// Keeps an instance if that is wanted, else gives the store back.
pub(super) fn keep(callable: &Callable, store: Store<State>, rule: Option<Rule<'_>>) -> Result<(), Store<State>> {
    KEPT.with_borrow_mut(|kept| match (kept, rule) {
        (Some(kept), Some(rule)) => {
            kept.insert(callable.identity.digest.clone(), (store, rule.into_instance()));
            Ok(())
        }
        _ => Err(store),
    })
}
