//! Compiling in a process of its own: a rule made to exhaust the compiler exhausts nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use daybridge::model::Direction::CrmToExchange;
use daybridge::plugin::{Chain, ChainConfig, CompileLimits, Compiler, Engine, EngineOptions, RuleEntry};
use daybridge_tests::{guests, program};
use serde_json::json;

use super::gate::{grafted, write_number};
use super::support::{appointment, chain_on, entry, no_lookups, passed};

fn engine(compiler: Compiler, compile_limits: CompileLimits) -> Engine {
    Engine::with(EngineOptions { compiler, compile_limits, ..EngineOptions::default() }).expect("an engine")
}

/// What is said of a rule of these bytes.
fn refusal_of(bytes: &[u8], engine: &Engine) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("x.wasm"), bytes).expect("write a rule");
    let config = ChainConfig { folder: Some(folder.path().to_owned()), rules: vec![RuleEntry::new("x.wasm")] };
    let error = Chain::load(&config, engine, &no_lookups()).expect_err("a refusal").to_string();
    error.strip_prefix("rule file x.wasm cannot be compiled: ").unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// A valid rule with one more function, whose every value lives until its end: the compiler's work and memory grow much
/// faster than its size.
pub fn bomb() -> Vec<u8> {
    const LOCALS: usize = 5_000;
    const ROUNDS: usize = 30_000;
    let mut body = vec![0x01];
    write_number(&mut body, LOCALS);
    body.push(0x7f); // so many locals of type i32
    for round in 0..ROUNDS {
        // loop; if (local a) { local b = local c + 1 }; br_if out of it again; end
        body.extend([0x03, 0x40, 0x20]);
        write_number(&mut body, round * 7 % LOCALS);
        body.extend([0x04, 0x40, 0x20]);
        write_number(&mut body, round * 31 % LOCALS);
        body.extend([0x41, 0x01, 0x6a, 0x21]);
        write_number(&mut body, round * 13 % LOCALS);
        body.extend([0x0b, 0x20]);
        write_number(&mut body, round * 17 % LOCALS);
        body.extend([0x0d, 0x00, 0x0b]);
    }
    body.push(0x0b);
    grafted(&body, false)
}

/// A program that does as a script says.
fn script(folder: &Path, lines: &str) -> Compiler {
    let path = folder.join("compiler");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    Compiler::Program(path)
}

#[tokio::test]
async fn a_rule_compiled_in_a_process_of_its_own_runs_here() {
    let engine = engine(Compiler::Program(program::path()), CompileLimits::default());
    let chain = chain_on(&engine, vec![entry("category", json!({}))]).expect("a chain that loads");
    assert_eq!(passed(&chain, CrmToExchange, &appointment()).await.appointment.categories, ["CRM"]);
    assert_eq!(engine.compiled_count(), 1);
}

#[tokio::test]
async fn r14_a_bomb_for_the_compiler_is_refused_and_the_old_chain_runs_on() {
    let limits = CompileLimits { seconds: 2, memory_mib: 512 };
    let engine = engine(Compiler::Program(program::path()), limits);
    let old = chain_on(&engine, vec![entry("category", json!({}))]).expect("a chain that loads");
    let bomb = bomb();
    println!("a bomb of {} bytes", bomb.len());
    let started = Instant::now();
    let refused = refusal_of(&bomb, &engine);
    println!("refused after {:?}: {refused}", started.elapsed());
    assert!(
        [
            "it takes more than 2 s of processor time to compile; make the rule smaller, or raise gate.compile_seconds",
            "it takes more than 512 MiB of memory to compile; make the rule smaller, or raise gate.compile_memory_mib"
        ]
        .contains(&refused.as_str()),
        "{refused}"
    );
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(passed(&old, CrmToExchange, &appointment()).await.appointment.categories, ["CRM"]);
}

#[test]
fn a_compiler_without_memory_says_so() {
    let limits = CompileLimits { seconds: 20, memory_mib: 6 };
    let refused = refusal_of(&guests::component("category"), &engine(Compiler::Program(program::path()), limits));
    assert_eq!(
        refused,
        "it takes more than 6 MiB of memory to compile; make the rule smaller, or raise gate.compile_memory_mib"
    );
}

#[test]
fn a_compiler_that_does_not_do_its_work_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = guests::component("category");
    let refused = |compiler| refusal_of(&rule, &engine(compiler, CompileLimits::default()));
    assert_eq!(
        refused(script(folder.path(), "kill -9 $$")),
        "the compiler ended unasked (signal: 9 (SIGKILL)); try again, and if it ends again make the rule smaller"
    );
    assert_eq!(
        refused(script(folder.path(), "exit 3")),
        "the compiler ended unasked (exit status: 3); try again, and if it ends again make the rule smaller"
    );
    let nonsense = refused(script(folder.path(), "exec cat"));
    assert!(nonsense.contains("precompiled artifact") && !nonsense.contains('\n'), "{nonsense}");
    let gone = folder.path().join("gone");
    let missing = refused(Compiler::Program(gone.clone()));
    assert_eq!(
        missing,
        format!("the compiler {} cannot be started: No such file or directory (os error 2)", gone.display())
    );
}

#[test]
fn a_compiler_sees_nothing_of_the_hosts_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    // The shell sets some itself; none may come from here.
    let compiler = script(folder.path(), &format!("/usr/bin/env > {}; exit 1", seen.display()));
    let _ = refusal_of(&guests::component("category"), &engine(compiler, CompileLimits::default()));
    let seen = fs::read_to_string(seen).expect("what it saw");
    let own: Vec<&str> = seen
        .lines()
        .filter(|line| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|name| line.starts_with(name)))
        .collect();
    assert_eq!(own, Vec::<&str>::new());
}
