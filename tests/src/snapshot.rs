//! Takes the snapshot that makes the JavaScript engine quick: runs its `init` and writes the memory it leaves into the component.
//!
//! Promises: the component that comes out imports what it did before; nothing of this machine gets into
//! it, since `init` can call nothing. Must not know: what the engine is.

use anyhow::{Context as _, Result};
use wasmtime::component::{Component, ComponentNamedList, Instance, Lift, Linker};
use wasmtime::{Config, Engine, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// The export that is run
const INIT: &str = "init";

/// The interface through which an SDK tells why it stopped.
const LOG: &str = "daybridge:rules/log@0.2.0";

/// Runs a component's `init` and gives the component as it is afterwards.
///
/// # Errors
/// If it is no component with such an export, or what it says when it stops.
pub fn initialised(component: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    // It stays among the exports: taking it away is not supported for a function of the world itself. Calling it again does nothing.
    wizer.init_func(INIT).keep_init_func(true);
    let (context, instrumented) = wizer.instrument_component(component)?;
    let mut config = Config::new();
    // As the host has it: what is computed before the snapshot must not depend on the processor either.
    config.concurrency_support(false).gc_support(false).cranelift_nan_canonicalization(true);
    let engine = Engine::new(&config)?;
    let instrumented = Component::from_binary(&engine, &instrumented)?;
    let mut linker = Linker::<Option<String>>::new(&engine);
    linker.instance(LOG)?.func_new("panicked", |mut store, _, given, _| {
        *store.data_mut() = Some(format!("{given:?}"));
        Ok(())
    })?;
    linker.allow_shadowing(true);
    linker.define_unknown_imports_as_traps(&instrumented)?;
    let mut store = Store::new(&engine, None);
    let instance = linker.instantiate(&mut store, &instrumented)?;
    let init = instance.get_func(&mut store, INIT).context("the component exports no init")?;
    let ran = init.call(&mut store, &[], &mut []);
    ran.map_err(|error| anyhow::anyhow!("{error:#} {}", store.data().clone().unwrap_or_default()))?;
    let mut running = Running { store, instance };
    // Nothing in it waits.
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(wizer.snapshot_component(&context, &mut running))?)
}

/// The instance whose state is written down.
struct Running {
    store: Store<Option<String>>,
    instance: Instance,
}

impl Running {
    #[expect(clippy::expect_used, reason = "the trait leaves no way to fail; these exports are the tool's own")]
    fn call<R: Lift + 'static>(&mut self, interface: &str, name: &str) -> R
    where
        (R,): ComponentNamedList,
    {
        let store = &mut self.store;
        let (_, interface) = self.instance.get_export(&mut *store, None, interface).expect("an instrumented component");
        let (_, function) = self.instance.get_export(&mut *store, Some(&interface), name).expect("its access function");
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *store, function).expect("of that type");
        function.call(&mut *store, ()).expect("reads a global or a memory").0
    }
}

impl ComponentInstanceState for Running {
    async fn call_func_ret_list_u8(&mut self, instance: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        contents(&self.call::<Vec<u8>>(instance, func));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func)
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func)
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).to_bits()
    }
}
