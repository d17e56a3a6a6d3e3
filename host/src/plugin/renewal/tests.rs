//! What is added to a rule, tried on modules made by chance and on the shapes that must not be taken.
use std::collections::BTreeMap;

use arbitrary::Unstructured;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use wasmtime::{Config, Engine, ExternType, Instance, Store, StoreLimits, StoreLimitsBuilder, Val, ValType};

use super::*;

/// Modules made by chance, of everything WebAssembly has: whichever is taken, whatever is called in it with whatever arguments, is
/// afterwards to the byte what it was, or says that it is not.
#[test]
fn whatever_a_module_does_is_put_back() {
    const MODULES: u64 = 800;
    let engine = Engine::new(Config::new().wasm_tail_call(true).wasm_extended_const(true)).unwrap();
    let mut refused: BTreeMap<String, u32> = BTreeMap::new();
    let (mut taken, mut put_back, mut changed, mut grown) = (0, 0, 0, 0);
    for seed in 0..MODULES {
        let mut random = StdRng::seed_from_u64(seed);
        let Some(module) = by_chance(&mut random) else { continue };
        let rewritten = match rewritten(&module) {
            Ok(rewritten) => rewritten,
            Err(unfit) => {
                *refused.entry(unfit.to_string()).or_insert(0) += 1;
                continue;
            }
        };
        if wasmtime::Module::validate(&engine, &module).is_err() {
            continue;
        }
        taken += 1;
        let compiled =
            wasmtime::Module::new(&engine, &rewritten).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        let mut store = Store::new(&engine, StoreLimitsBuilder::new().memory_size(8 << 20).build());
        store.limiter(|limits| limits);
        // Segments may lie outside of its memory.
        let Ok(instance) = Instance::new(&mut store, &compiled, &[]) else { continue };
        let before = look(&mut store, instance);
        for _ in 0..4 {
            call_all(&mut store, instance, &mut random);
            let after = look(&mut store, instance);
            let renew = instance.get_typed_func::<(), i32>(&mut store, EXPORT).unwrap();
            let is_as_it_was = renew.call(&mut store, ()).unwrap_or_else(|error| panic!("seed {seed}: {error:#}")) != 0;
            assert_eq!(is_as_it_was, after.memory.len() == before.memory.len(), "seed {seed}");
            if !is_as_it_was {
                grown += 1;
                break;
            }
            put_back += 1;
            changed += u32::from(after != before);
            assert!(look(&mut store, instance) == before, "seed {seed}");
        }
    }
    println!("refused: {refused:#?}");
    println!("{taken} modules taken, {put_back} times put back, {changed} changed, {grown} grown");
    assert!(taken > 400 && changed > 200 && grown > 0, "{taken} taken, {changed} changed, {grown} grown");
}

fn rewritten(module: &[u8]) -> Result<Vec<u8>, Unfit> {
    let outline = outline::Module::read(module)?;
    outline.check()?;
    let rewritten = rewrite::module(module, &outline)?;
    Validator::new_with_features(KNOWN).validate_all(&rewritten)?;
    Ok(rewritten)
}

fn by_chance(random: &mut StdRng) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = (0..1 << 15).map(|_| random.random()).collect();
    let mut bytes = Unstructured::new(&bytes);
    let some = |random: &mut StdRng| random.random_bool(0.1);
    let config = wasm_smith::Config {
        export_everything: true,
        // Nothing is there to be imported.
        max_imports: 0,
        min_memories: 1,
        max_memories: if some(random) { 2 } else { 1 },
        max_memory32_bytes: 6 << 16,
        min_globals: 2,
        min_types: 2,
        min_funcs: 3,
        // Without it there are no segments to give up.
        bulk_memory_enabled: some(random),
        min_data_segments: 1,
        allow_start_export: some(random),
        reference_types_enabled: some(random),
        memory64_enabled: some(random),
        relaxed_simd_enabled: false,
        gc_enabled: false,
        threads_enabled: false,
        exceptions_enabled: false,
        custom_page_sizes_enabled: some(random),
        extended_const_enabled: some(random),
        tail_call_enabled: true,
        ..wasm_smith::Config::default()
    };
    let mut module = wasm_smith::Module::new(config, &mut bytes).ok()?;
    // Loops end by a counter, which is one more variable.
    module.ensure_termination(1000).ok()?;
    Some(module.to_bytes())
}

/// All that can be seen of an instance.
#[derive(PartialEq)]
struct Look {
    memory: Vec<u8>,
    /// Numbers by their bits.
    variables: Vec<(String, u128)>,
    tables: Vec<(String, Vec<bool>)>,
}

fn look(store: &mut Store<StoreLimits>, instance: Instance) -> Look {
    let mut look = Look { memory: Vec::new(), variables: Vec::new(), tables: Vec::new() };
    let exports: Vec<(String, wasmtime::Extern)> =
        instance.exports(&mut *store).map(|export| (export.name().to_owned(), export.into_extern())).collect();
    for (name, export) in exports {
        if let Some(memory) = export.clone().into_memory() {
            look.memory = memory.data(&*store).to_vec();
        } else if let Some(global) = export.clone().into_global() {
            let bits = match global.get(&mut *store) {
                Val::I32(value) => u128::from(value.cast_unsigned()),
                Val::I64(value) => u128::from(value.cast_unsigned()),
                Val::F32(bits) => u128::from(bits),
                Val::F64(bits) => u128::from(bits),
                Val::V128(value) => value.as_u128(),
                reference => u128::from(reference.unwrap_funcref().is_some()),
            };
            look.variables.push((name, bits));
        } else if let Some(table) = export.into_table() {
            let size = table.size(&*store);
            let filled = (0..size).map(|at| table.get(&mut *store, at).is_some_and(|entry| !entry.is_null()));
            look.tables.push((name, filled.collect()));
        }
    }
    look
}

/// Calls all functions of an instance with arguments by chance. Whether they fail is their affair.
fn call_all(store: &mut Store<StoreLimits>, instance: Instance, random: &mut StdRng) {
    let module = instance.module(&*store).clone();
    for export in module.exports().filter(|export| export.name() != EXPORT) {
        let ExternType::Func(kind) = export.ty() else { continue };
        let arguments: Option<Vec<Val>> = kind
            .params()
            .map(|kind| {
                Some(match kind {
                    // Small ones are more often within the memory.
                    ValType::I32 if random.random() => Val::I32(random.random_range(0..65536)),
                    ValType::I32 => Val::I32(random.random()),
                    ValType::I64 => Val::I64(random.random()),
                    ValType::F32 => Val::F32(random.random()),
                    ValType::F64 => Val::F64(random.random()),
                    ValType::V128 => Val::V128(random.random::<u128>().into()),
                    ValType::Ref(_) => return None,
                })
            })
            .collect();
        let Some(arguments) = arguments else { continue };
        let function = instance.get_func(&mut *store, export.name()).unwrap();
        let mut results = vec![Val::I32(0); kind.results().len()];
        let _ = function.call(&mut *store, &arguments, &mut results);
    }
}

/// What is said of a component whose core is this.
fn check(core: &str, expected: Result<(), &str>) {
    let component = wat::parse_str(format!("(component {core})")).unwrap_or_else(|error| panic!("{core}: {error}"));
    let renewable = renewable(&component).map(drop).map_err(|unfit| unfit.to_string());
    match expected {
        Ok(()) => assert_eq!(renewable, Ok(()), "{core}"),
        Err(expected) => {
            assert!(renewable.as_ref().is_err_and(|said| said.contains(expected)), "{core}: {renewable:?}")
        }
    }
}

/// A component with one module, of which there is one instance.
fn module(fields: &str) -> String {
    format!("(core module $m (func (export \"f\")) {fields}) (core instance (instantiate $m))")
}

#[test]
fn what_could_not_be_put_back_is_not_taken() {
    check(&module("(memory 1)"), Ok(()));
    check(
        &module("(memory 1) (global (mut i64) (i64.const -1)) (data (i32.const 8) \"a\") (data \"passive\")"),
        Ok(()),
    );
    check(&module(""), Err("not just one of its modules has memory"));
    check(&module("(memory 7)"), Err("its memory has 7 pages"));
    check(&module("(memory 1) (memory 1)"), Err("not just one memory"));
    check(&module("(memory i64 1)"), Err("memory is of a newer kind"));
    check(&module("(memory 1 1 shared)"), Err("memory is of a newer kind"));
    check(&module("(memory 1) (func $s) (start $s)"), Err("start function"));
    let table = "(memory 1) (table $t 1 funcref) (elem declare func 0)";
    for writes in [
        "(table.set $t (i32.const 0) (ref.func 0))",
        "(drop (table.grow $t (ref.null func) (i32.const 1)))",
        "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1))",
        "(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 1))",
    ] {
        check(&module(&format!("{table} (func {writes})")), Err("writes into its tables"));
    }
    check(&module("(memory 1) (data $d \"a\") (func (data.drop $d))"), Err("gives up segments"));
    check(&module("(memory 1) (elem $e func 0) (func (elem.drop $e))"), Err("gives up segments"));
    check(
        &module("(memory 1) (global i32 (i32.const 8)) (data (global.get 0) \"a\")"),
        Err("the place of its data is computed"),
    );
    check(
        &module("(memory 1) (global (mut i32) (i32.add (i32.const 1) (i32.const 1)))"),
        Err("does not begin with a number"),
    );
    check(&module("(memory 1) (global (mut funcref) (ref.null func))"), Err("does not begin with a number"));
    // A feature that is not known here.
    check(&module("(memory 1) (tag $t) (func (throw $t))"), Err("exceptions"));
    check("(core module $m (memory 1)) (core instance (instantiate $m))", Err("has no functions"));
}

#[test]
fn components_with_state_elsewhere_are_not_taken() {
    let one = "(core module $m (func (export \"f\")) (memory (export \"m\") 1))";
    check(
        &format!("{one} (core instance (instantiate $m)) (core instance (instantiate $m))"),
        Err("has not just one instance"),
    );
    check(one, Err("has not just one instance"));
    let other = "(core module $o (global (mut i32) (i32.const 0)))";
    check(
        &format!("{one} {other} (core instance (instantiate $m)) (core instance (instantiate $o))"),
        Err("not just one of its modules"),
    );
    let writer = "(core module $o (import \"a\" \"m\" (memory 1)))";
    check(
        &format!(
            "{one} {writer} (core instance $i (instantiate $m)) (core instance (instantiate $o (with \"a\" (instance $i))))"
        ),
        Err("writes into the memory of another"),
    );
    let variable = "(core module $m (func (export \"f\")) (memory 1) (global (export \"g\") (mut i32) (i32.const 0)))";
    let writer = "(core module $o (import \"a\" \"g\" (global (mut i32))))";
    check(
        &format!(
            "{variable} {writer} (core instance $i (instantiate $m)) (core instance (instantiate $o (with \"a\" (instance $i))))"
        ),
        Err("writes variables of another"),
    );
    let good = module("(memory 1)");
    check(&format!("{good} (component (core module))"), Err("does more than name things"));
    check(
        &format!("{good} (component (import \"f\" (func $f)) (core func (canon lower (func $f))))"),
        Err("does more than name things"),
    );
    check(
        &format!("{good} (type $r (resource (rep i32))) (core func (canon resource.new $r))"),
        Err("it has resources or tasks"),
    );
    check(&format!("{good} (import \"m\" (core module))"), Err("it imports code"));
    check(
        "(core module $m (func (export \"f\")) (memory 1)) (core instance $i (instantiate $m)) \
         (func (export \"f\") async (canon lift (core func $i \"f\") async))",
        Err("do not answer at once"),
    );
}

/// What has a number of its own beside what is written out: a module by another name would be taken for the next one.
#[test]
fn what_goes_by_another_name_is_found_out() {
    let decoy = "(core module $m (func (export \"f\")) (memory 1)) (alias outer 0 0 (core module $other)) \
                 (core instance (instantiate $other)) (core instance (instantiate $m))";
    check(decoy, Err("a module under another name"));
    let exported = "(core module $m (func (export \"f\")) (memory 1)) (export \"m\" (core module $m)) \
                    (core instance (instantiate $m))";
    check(exported, Err("a module under another name"));
    let bundled = "(core module $m (func (export \"f\")) (memory 1)) (instance $i (export \"m\" (core module $m))) \
                   (alias export $i \"m\" (core module $again)) (core instance (instantiate $again))";
    check(bundled, Err("has not just one instance"));
}

/// A function that answers "yes" is aliased as one whose type is known to the letter, which takes a number, too.
#[test]
fn an_alias_of_a_newer_kind_does_not_shift_the_function() {
    let mut component = wat::parse_str(
        r#"(component
            (core module $m
                (memory 1)
                (global $calls (mut i32) (i32.const 0))
                (func (export "yes") (result i32) (i32.const 1))
                (func (export "count") (result i32)
                    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                    (global.get $calls)))
            (core instance $i (instantiate $m))
            (func (export "count") (result u32) (canon lift (core func $i "count"))))"#,
    )
    .unwrap();
    // An alias section (6) of one: core function (0), its exact type known (0x20), of the core instance (1) 0.
    component.extend([6, 9, 1, 0, 0x20, 1, 0, 3, b'y', b'e', b's']);
    match renewable(&component) {
        Err(_) => {}
        Ok(renewable) => counts_anew(&renewable, |_| {}, [1, 2]),
    }
}

/// Calls `count` twice and puts the instance back, again and again.
fn counts_anew(renewable: &[u8], link: impl FnOnce(&mut wasmtime::component::Linker<()>), expected: [u32; 2]) {
    let engine = Engine::default();
    let component = wasmtime::component::Component::new(&engine, renewable).unwrap();
    let mut linker = wasmtime::component::Linker::new(&engine);
    link(&mut linker);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let count = instance.get_typed_func::<(), (u32,)>(&mut store, "count").unwrap();
    let renew = instance.get_typed_func::<(), (bool,)>(&mut store, EXPORT).unwrap();
    for _ in 0..3 {
        let counted = [(); 2].map(|()| count.call(&mut store, ()).unwrap().0);
        assert_eq!((counted, renew.call(&mut store, ()).unwrap()), (expected, (true,)));
    }
}

/// Numbers of functions and types are given in the order of a component's sections, by all that makes one.
#[test]
fn the_function_is_found_behind_everything_that_takes_a_number() {
    let component = wat::parse_str(
        r#"(component
            (type $t u32)
            (import "type" (type (eq $t)))
            (import "func" (func $imported (result u32)))
            (import "instance" (instance $instance (export "t" (type (eq $t))) (export "f" (func (result u32)))))
            (alias export $instance "t" (type))
            (alias export $instance "f" (func $aliased))
            (component $named (type $outer u32) (component (alias outer 1 $outer (type))))
            (core func $lowered (canon lower (func $imported)))
            (core func $other (canon lower (func $aliased)))
            (core module $shim (import "a" "g" (func $g (result i32))) (func (export "g") (result i32) call $g))
            (core instance $shim (instantiate $shim (with "a" (instance (export "g" (func $lowered))))))
            (core module $m
                (import "a" "g" (func $g (result i32)))
                (memory 1)
                (global $calls (mut i32) (i32.const 7))
                (func (export "count") (result i32)
                    (global.set $calls (i32.add (global.get $calls) (call $g)))
                    (global.get $calls)))
            (core instance $i (instantiate $m (with "a" (instance $shim))))
            (func $count (result u32) (canon lift (core func $i "count")))
            (export $exported "count" (func $count))
            (export "again" (func $exported))
        )"#,
    )
    .unwrap();
    let link = |linker: &mut wasmtime::component::Linker<()>| {
        linker.root().func_wrap("func", |_, ()| Ok((1_u32,))).unwrap();
        linker.instance("instance").unwrap().func_wrap("f", |_, ()| Ok((1_u32,))).unwrap();
    };
    counts_anew(&renewable(&component).unwrap(), link, [8, 9]);
}
