//! The WebAssembly engine: one per host, with its clock and its own threads.
//!
//! Promises: rules run on threads of their own, so a rule that spins delays neither the host's tasks nor its timers; a
//! call ends at its deadline even if it never calls the host; waiting callers are few and counted.
//! Must not know: what rules are asked.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::call::State;
use super::limits::Limits;

/// How often running rules look at the clock. A deadline is overshot by about this much.
const TICK: Duration = Duration::from_millis(2);
/// Native stack of a rule. Its own stack of data lies in its memory.
pub const STACK: u64 = 512 << 10;
/// Callers that may wait for a free thread. The worker has far fewer tasks; more than this is a fault of the host.
const WAITING_MAX: usize = 10_000;
/// Compiled rules kept for the next reload. A chain has about ten; old versions are dropped with the rest when it is full.
const CACHE_MAX: usize = 64;
/// Instances alive per thread: one runs at a time, one may still be being taken down.
const SLOTS_PER_THREAD: u32 = 2;
/// Frames kept of a stopped rule's stack: enough to recognise endless recursion.
const FRAMES_MAX: usize = 64;

/// Compiles and runs rules. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    wasm: wasmtime::Engine,
    linker: Linker<State>,
    threads: Threads,
    clock: Arc<RuleClock>,
    /// Held by whoever calls rules outside the threads: one at a time, so that the pool of instances suffices.
    loading: Mutex<()>,
    compiled: Mutex<HashMap<String, Component>>,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("start the WebAssembly engine: {0}")]
pub struct EngineError(String);

/// More callers than [`Engine`] lets wait, or a host that is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no thread for rules is free: {0}")]
pub struct Busy(&'static str);

impl Engine {
    /// Starts an engine with as many threads as the machine has cores, but two at least, so that one rule that uses its
    /// whole deadline never stops all others.
    ///
    /// # Errors
    /// [`EngineError`] if the machine's processor or memory do not allow one, or no thread can be started.
    pub fn new() -> Result<Self, EngineError> {
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let wasm = wasm_engine(threads)?;
        let linker = super::call::linker(&wasm).map_err(|cause| EngineError(format!("{cause:#}")))?;
        let clock = RuleClock::start(&wasm)?;
        let shared = Shared {
            wasm,
            linker,
            threads: Threads::start(threads)?,
            clock,
            loading: Mutex::default(),
            compiled: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.shared.linker
    }

    /// Compiles a validated component, or finds it among those compiled before.
    pub(super) fn compile(&self, digest: &str, bytes: &[u8]) -> wasmtime::Result<Component> {
        let compiled = || self.shared.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = compiled().get(digest) {
            return Ok(component.clone());
        }
        let component = Component::from_binary(&self.shared.wasm, bytes)?;
        let mut compiled = compiled();
        if compiled.len() >= CACHE_MAX {
            compiled.clear();
        }
        compiled.insert(digest.to_owned(), component.clone());
        Ok(component)
    }

    /// Runs work on a rule thread while the clock ticks, and waits for it without holding a thread of the caller's.
    ///
    /// # Errors
    /// [`Busy`] if too many wait already, or the work died.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let clock = Arc::clone(&self.shared.clock);
        self.shared
            .threads
            .run(move || {
                let _ticking = clock.tick();
                work()
            })
            .await
    }

    /// Runs work on this thread while the clock ticks. For loading, which is not on the way of an appointment.
    pub(super) fn run_here<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.shared.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let _ticking = self.shared.clock.tick();
        work()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// With pooled instances where the machine lets us reserve the address space (not under `ulimit -v` and the like), which
/// makes a fresh instance several times cheaper; else with instances made on demand.
fn wasm_engine(threads: usize) -> Result<wasmtime::Engine, EngineError> {
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(threads)));
    wasmtime::Engine::new(&config).or_else(|pooled| {
        tracing::debug!(error = %format!("{pooled:#}"), "No pool for rule instances, they are made on demand");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        wasmtime::Engine::new(&config).map_err(|cause| EngineError(format!("{cause:#}")))
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(usize::try_from(STACK).unwrap_or(512 << 10))
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(FRAMES_MAX))
        // What rules have no use for is off: it is cheaper, and most of the engine's security notes are about it.
        .concurrency_support(false)
        .gc_support(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        // Answers must not depend on the processor.
        .cranelift_nan_canonicalization(true);
    config
}

fn pool(threads: usize) -> PoolingAllocationConfig {
    let slots = SLOTS_PER_THREAD.saturating_mul(u32::try_from(threads).unwrap_or(64));
    let mut pool = PoolingAllocationConfig::new();
    // A component has its own module, one or two that tie it to its imports, and so on: room for eight each, four with memory.
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(8))
        .total_memories(slots.saturating_mul(4))
        .total_tables(slots.saturating_mul(8))
        .max_memories_per_module(4)
        .max_tables_per_module(4)
        .max_memory_size(usize::try_from(Limits::MAXIMUM.memory).unwrap_or(usize::MAX))
        .table_elements(usize::try_from(Limits::MAXIMUM.table_elements).unwrap_or(usize::MAX))
        .table_keep_resident(64 << 10);
    // Measured: asking the kernel which pages were touched makes a large resident part cheap; without that call (before
    // Linux 6.7) the part is zeroed each time and must be small.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes).linear_memory_keep_resident(1 << 20);
    } else {
        pool.linear_memory_keep_resident(64 << 10);
    }
    pool
}

/// Advances the engine's epoch from a thread of its own, and only while rules run: an idle host does not wake up for it.
struct RuleClock {
    running: Mutex<Running>,
    changed: Condvar,
}

#[derive(Default)]
struct Running {
    calls: usize,
    closed: bool,
}

struct Ticking<'a>(&'a RuleClock);

impl RuleClock {
    fn start(wasm: &wasmtime::Engine) -> Result<Arc<Self>, EngineError> {
        let clock = Arc::new(Self { running: Mutex::default(), changed: Condvar::new() });
        let (ticker, wasm) = (Arc::clone(&clock), wasm.clone());
        thread::Builder::new()
            .name("rule-clock".into())
            .spawn(move || {
                while ticker.wait_for_calls() {
                    thread::sleep(TICK);
                    wasm.increment_epoch();
                }
            })
            .map_err(|cause| EngineError(cause.to_string()))?;
        Ok(clock)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks while no rule runs. False if the clock is no longer needed.
    fn wait_for_calls(&self) -> bool {
        let mut running = self.lock();
        while running.calls == 0 && !running.closed {
            running = self.changed.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        !running.closed
    }

    fn tick(&self) -> Ticking<'_> {
        let mut running = self.lock();
        running.calls += 1;
        if running.calls == 1 {
            self.changed.notify_one();
        }
        Ticking(self)
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.clock.lock().closed = true;
        self.clock.changed.notify_one();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads fed through a bounded queue.
struct Threads {
    jobs: mpsc::SyncSender<Job>,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Threads {
    fn start(count: usize) -> Result<Self, EngineError> {
        let (jobs, queue) = mpsc::sync_channel::<Job>(count);
        let queue = Arc::new(Mutex::new(queue));
        for number in 1..=count {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("rules-{number}"))
                .spawn(move || {
                    loop {
                        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(job) = job else { return };
                        // The caller learns of a panic because its answer never comes; the thread goes on.
                        let _ = catch_unwind(AssertUnwindSafe(job));
                    }
                })
                .map_err(|cause| EngineError(cause.to_string()))?;
        }
        Ok(Self { jobs, free: Arc::new(Semaphore::new(count)), waiting: AtomicUsize::new(0) })
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let permit = {
            let _waiting = Waiting::enter(&self.waiting)?;
            Arc::clone(&self.free).acquire_owned().await.map_err(|_| Busy("the host is going down"))?
        };
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Held until the work is done even if the caller has gone away, so that no more than `count` jobs exist.
            let _permit = permit;
            let _ = answer.send(work());
        };
        self.jobs.try_send(Box::new(job)).map_err(|_| Busy("the host is going down"))?;
        answered.await.map_err(|_| Busy("the work died"))
    }
}

/// One of the callers in the queue for a thread.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Busy> {
        let waiting = Waiting(count);
        if count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            Err(Busy("too many calls wait"))
        } else {
            Ok(waiting)
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_work_is_told_and_the_threads_live_on() {
        let engine = Engine::new().unwrap();
        for _ in 0..20 {
            assert_eq!(engine.run(|| panic!("deliberate")).await, Err::<(), _>(Busy("the work died")));
        }
        assert_eq!(engine.run(|| 7).await, Ok(7));
    }
}
