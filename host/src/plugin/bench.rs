//! What benchmarks need to see of the rule host; behind the feature `bench`, which no shipped program has.
//!
//! Promises: measures the product's own code. [`reusing`] is the yardstick for fresh sandboxes: the same call, limits and all,
//! on an instance that is kept as its last call left it, which rules never get. Must not know: what is measured.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

use wasmtime::Store;

use super::call::{Callable, State};
use super::chain::{Chain, Trace};
use super::contract::{Rule, Sandbox};
use super::kept;
use crate::rules::Call;

type Kept = HashMap<String, (Store<State>, Sandbox)>;

thread_local! {
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Judges on this thread as on a rule thread, without the way there and back.
pub fn judge_here(chain: &Chain, call: Call<'_>) -> Trace {
    kept::keep_here();
    chain.judge_here(call)
}

/// The same with a new instance for every call of a rule, as those get that cannot be put back.
pub fn judge_anew(chain: &Chain, call: Call<'_>) -> Trace {
    kept::without(|| chain.judge_here(call))
}

/// Runs work on this thread in which every rule keeps one instance.
pub fn reusing<T>(work: impl FnOnce() -> T) -> T {
    KEPT.set(Some(Kept::new()));
    let result = work();
    KEPT.set(None);
    result
}

/// Whether this thread is within [`reusing`].
pub(super) fn is_reusing() -> bool {
    KEPT.with_borrow(Option::is_some)
}

/// The kept instance of a rule, made ready for one more call; nothing if none is kept (yet).
pub(super) fn kept<'a>(
    callable: &'a Callable,
    appointment: &str,
    started: Instant,
) -> Option<(Store<State>, Rule<'a>)> {
    let (mut store, sandbox) = KEPT.with_borrow_mut(|kept| kept.as_mut()?.remove(&callable.identity.digest))?;
    *store.data_mut() = callable.state(appointment);
    callable.arm(&mut store, started);
    Some((store, callable.linked.again(sandbox)))
}

/// Keeps an instance as it is.
pub(super) fn keep(callable: &Callable, store: Store<State>, rule: Rule<'_>) {
    KEPT.with_borrow_mut(|kept| {
        if let Some(kept) = kept {
            kept.insert(callable.identity.digest.clone(), (store, rule.into_sandbox()));
        }
    });
}
