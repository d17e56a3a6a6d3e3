//! The WebAssembly engine: one per host, with its clock, its own threads and its compiled code.
//!
//! Promises: rules run on threads of their own, so a rule that spins delays neither the host's tasks nor its timers; a
//! call ends at its deadline even if it never calls the host; waiting callers are few and counted; code that was compiled
//! before is not compiled again. Must not know: what rules are asked.

mod clock;
mod threads;

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::{self, Cache};
use super::call::State;
use super::compile::{self, CompileError, CompileLimits, Compiler};
use super::limits::{Limits, clean};
use super::live::GateSettings;
use super::load::hex;
use super::script::Scripts;
use super::{kept, renewal};
use clock::RuleClock;
pub use threads::Busy;
use threads::Threads;

/// Native stack of a rule. Its own stack of data lies in its memory.
pub const STACK: u64 = 512 << 10;
/// Compiled rules kept in memory for the next load of a chain. A chain has about ten; what was used longest ago goes first.
const LOADED_MAX: usize = 128;
/// Instances alive per thread besides those that are kept: one runs at a time, one may still be being taken down.
const SLOTS_PER_THREAD: u32 = 2;
/// Instances within a component, and tables: it has its own module, one or two that tie it to its imports, and bundles of
/// exports; one that carries an interpreter and its libraries has more.
const INSTANCES_MAX: u32 = 32;
/// Memories within a component.
const MEMORIES_MAX: u32 = 4;
/// Slots for memories. Far more than instances: a slot that last held the same rule needs no new mapping, which on two
/// threads would have them wait for each other. A slot costs address space, and what a rule last touched of it.
const MEMORY_SLOTS: u32 = 256;
/// Of these, so many are kept for the rule they last held before one is given to another rule.
const WARM_SLOTS: u32 = 128;
/// Frames kept of a stopped rule's stack: enough to recognise endless recursion.
const FRAMES_MAX: usize = 64;

/// Compiles and runs rules. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Nobody waits for a compiling child any more.
    ending: Arc<AtomicBool>,
}

/// How an engine gets compiled code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Folder for compiled code; of this account alone. None: each process compiles anew.
    pub cache: Option<PathBuf>,
    pub compiler: Compiler,
    /// For a compiler in a process of its own.
    pub compile_limits: CompileLimits,
    /// Every call of a rule gets a sandbox made for it. Else one that served an earlier call of the same rule, and was put back since
    /// to what it was at first, will do, which takes a third off what a call costs.
    pub new_sandboxes: bool,
}

impl EngineOptions {
    /// Those of a host: compiled code is kept below its data folder, and compiled by this program in a process of its own.
    pub fn of_host(data: &Path, settings: &GateSettings) -> Self {
        let cache = Some(data.join("rules").join("compiled"));
        let (compile_limits, new_sandboxes) = (settings.compile, settings.new_sandboxes);
        Self { cache, compiler: Compiler::own(), compile_limits, new_sandboxes }
    }
}

struct Shared {
    wasm: wasmtime::Engine,
    linker: Linker<State>,
    threads: Threads,
    clock: Arc<RuleClock>,
    /// Held by whoever calls rules outside the threads: one at a time, so that the pool of instances suffices.
    loading: Mutex<()>,
    loaded: Mutex<Loaded>,
    cache: Option<Cache>,
    compiler: Compiler,
    compile_limits: CompileLimits,
    /// What compiled code must be made for to run here: the engine's version, its settings, the processor.
    target: String,
    compiled: AtomicU64,
    scripts: Scripts,
}

/// Compiled rules in memory, each with when it was last asked for.
#[derive(Default)]
struct Loaded {
    components: HashMap<String, (Component, u64)>,
    asked: u64,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("start the WebAssembly engine: {0}")]
pub struct EngineError(String);

impl Engine {
    /// An engine that keeps no compiled code on disk. See [`Engine::with`].
    ///
    /// # Errors
    /// As [`Engine::with`].
    pub fn new() -> Result<Self, EngineError> {
        Self::with(EngineOptions { compiler: Compiler::own(), ..EngineOptions::default() })
    }

    /// Starts an engine with as many threads as the machine has cores, but two at least, so that one rule that uses its
    /// whole deadline never stops all others.
    ///
    /// # Errors
    /// [`EngineError`] if the machine's processor or memory do not allow one, or no thread can be started. That compiled
    /// code cannot be kept is no error; it is logged.
    pub fn with(options: EngineOptions) -> Result<Self, EngineError> {
        let threads = thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        let wasm = wasm_engine(threads)?;
        let linker = super::contract::linker(&wasm).map_err(|cause| EngineError(format!("{cause:#}")))?;
        let clock = RuleClock::start(&wasm).map_err(|cause| EngineError(cause.to_string()))?;
        let shared = Shared {
            linker,
            threads: Threads::start(threads, !options.new_sandboxes).map_err(|cause| EngineError(cause.to_string()))?,
            clock,
            loading: Mutex::default(),
            loaded: Mutex::default(),
            cache: options.cache.as_deref().and_then(cache::open_or_tell),
            compiler: options.compiler,
            compile_limits: options.compile_limits,
            target: target(&wasm),
            compiled: AtomicU64::new(0),
            scripts: Scripts::default(),
            wasm,
        };
        Ok(Self { shared: Arc::new(shared), ending: Arc::default() })
    }

    /// The same engine for one more host, which can stop while the others go on.
    pub fn for_host(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ending: Arc::default() }
    }

    /// The host stops: its compiling children are ended, and no other is waited for. Holds for this engine and its clones.
    pub fn end_compiling(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// How many rules this engine has compiled, rather than found compiled.
    pub fn compiled_count(&self) -> u64 {
        self.shared.compiled.load(Ordering::Relaxed)
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.shared.linker
    }

    /// The engine for scripts, and the scripts it compiled.
    pub(super) fn scripts(&self) -> &Scripts {
        &self.shared.scripts
    }

    /// A component that was compiled before, from memory or from disk.
    pub(super) fn compiled(&self, digest: &str) -> Option<Component> {
        if let Some(component) = self.loaded().find(digest) {
            return Some(component);
        }
        let (cache, name) = (self.shared.cache.as_ref()?, self.name_of(digest));
        let code = cache.find(&name)?;
        let component = self.load(&code).inspect_err(|cause| cache.unusable(&name, &format!("{cause:#}"))).ok()?;
        self.loaded().keep(digest, &component);
        Some(component)
    }

    /// Compiles a validated component.
    ///
    /// # Errors
    /// [`CompileError`], one readable line.
    pub(super) fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Component, CompileError> {
        let renewable = renewal::renewable(bytes).inspect_err(|unfit| {
            tracing::debug!(digest, reason = %unfit, "A rule's sandbox is made anew for every call");
        });
        let component = self.compile_and_keep(&self.name_of(digest), renewable.as_deref().unwrap_or(bytes))?;
        self.loaded().keep(digest, &component);
        Ok(component)
    }

    /// What compiled code is called in the cache.
    fn name_of(&self, digest: &str) -> String {
        format!("{digest}.{}", self.shared.target)
    }

    fn compile_and_keep(&self, name: &str, bytes: &[u8]) -> Result<Component, CompileError> {
        let refused = |cause: wasmtime::Error| CompileError::Refused(one_line(&cause));
        self.shared.compiled.fetch_add(1, Ordering::Relaxed);
        let code = match &self.shared.compiler {
            Compiler::Within => self.shared.wasm.precompile_component(bytes).map_err(refused)?,
            Compiler::Program(program) => compile::compile(program, self.shared.compile_limits, bytes, &self.ending)?,
        };
        let component = self.load(&code).map_err(refused)?;
        if let Some(cache) = &self.shared.cache {
            cache.keep(name, &code);
        }
        Ok(component)
    }

    /// Makes a component of machine code that this host has compiled.
    #[expect(unsafe_code, reason = "the engine cannot check machine code; where it comes from is checked instead")]
    fn load(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the callers pass what `precompile_component` made, unchanged: in this process; in a child that runs
        // this program's own executable, over a pipe nobody else holds; or earlier, kept in the cache, which hands out
        // only bytes whose MAC shows that this host wrote them. The engine copies them, so they cannot change later, and
        // refuses code made by another version or for other settings.
        unsafe { Component::deserialize(&self.shared.wasm, code) }
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[cfg(feature = "bench")]
    pub(super) fn ticking(&self) -> clock::Ticking<'_> {
        self.shared.clock.tick()
    }

    /// Runs work on this thread while the clock ticks. For loading, which is not on the way of an appointment.
    pub(super) fn run_here<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.shared.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let _ticking = self.shared.clock.tick();
        work()
    }
}

impl Loaded {
    fn find(&mut self, digest: &str) -> Option<Component> {
        self.asked += 1;
        let (component, asked) = self.components.get_mut(digest)?;
        *asked = self.asked;
        Some(component.clone())
    }

    fn keep(&mut self, digest: &str, component: &Component) {
        let oldest = |loaded: &Self| {
            loaded.components.iter().min_by_key(|(_, (_, asked))| *asked).map(|(digest, _)| digest.clone())
        };
        while self.components.len() >= LOADED_MAX
            && let Some(oldest) = oldest(self)
        {
            self.components.remove(&oldest);
        }
        self.components.insert(digest.to_owned(), (component.clone(), self.asked));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.clock.close();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Machine code of a component, for an engine such as this program makes. What a compiling child does; such an engine has
/// no instances, hence no pool of them.
///
/// # Errors
/// One line why the engine refuses it.
pub(super) fn machine_code(component: &[u8]) -> Result<Vec<u8>, String> {
    wasmtime::Engine::new(&config())
        .and_then(|engine| engine.precompile_component(component))
        .map_err(|cause| one_line(&cause))
}

/// An engine error and its causes on one line of bounded length.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    clean(&format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A name for all that compiled code depends on besides what was compiled.
fn target(wasm: &wasmtime::Engine) -> String {
    struct Digest(Sha256);
    impl Hasher for Digest {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut digest = Digest(Sha256::new());
    wasm.precompile_compatibility_hash().hash(&mut digest);
    renewal::VERSION.hash(&mut digest);
    hex(&digest.0.finalize()).chars().take(16).collect()
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
    let threads = u32::try_from(threads).unwrap_or(64);
    let kept = u32::try_from(kept::MAX).unwrap_or(u32::MAX).saturating_mul(threads);
    let running = SLOTS_PER_THREAD.saturating_mul(threads);
    // Those that are kept have one memory and few instances.
    let slots = |of_one: u32, of_kept: u32| running.saturating_mul(of_one).saturating_add(kept.saturating_mul(of_kept));
    let instances_kept = u32::try_from(renewal::INSTANCES_MAX).unwrap_or(INSTANCES_MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots(1, 1))
        .total_core_instances(slots(INSTANCES_MAX, instances_kept))
        .max_core_instances_per_component(INSTANCES_MAX)
        .total_memories(MEMORY_SLOTS.max(slots(MEMORIES_MAX, 1)))
        .max_unused_warm_slots(WARM_SLOTS)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .total_tables(slots(INSTANCES_MAX, instances_kept))
        .max_tables_per_component(INSTANCES_MAX)
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
