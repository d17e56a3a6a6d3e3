//! The cases: one call each, the same appointment, the same rule.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use daybridge::model::{Appointment, Direction};
use daybridge::plugin::lookup::NoLookups;
use daybridge::plugin::{Chain, ChainConfig, Engine, RuleEntry, Trace, bench, package};
use daybridge::rules::{Call, Verdict};
use daybridge_rule::native::Test;
use daybridge_rule::{Rule, prelude as sdk};

use crate::payload::{self, Edits};

macro_rules! native_rules {
    ($($name:ident),*) => {$(
        #[allow(dead_code, reason = "what only the wasm build uses")]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    )*};
}
native_rules!(appointments_only, subject_line, status, privacy, reminders, mapping);

/// The first five rules of the default chain: all of it that every appointment on its way to Exchange meets.
pub const FIVE: [&str; 5] = ["appointments-only", "subject-line", "status", "privacy", "reminders"];

/// Runs so many calls and answers the microseconds of this thread's processor they took.
pub type Case = Box<dyn FnMut(u32) -> f64>;

pub fn timed(mut call: impl FnMut() + 'static) -> Case {
    Box::new(move |calls| {
        let before = thread_microseconds();
        (0..calls).for_each(|_| call());
        thread_microseconds() - before
    })
}

fn thread_microseconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Repository root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A rule of `tests/plugins`, built.
pub fn guest(name: &str, folder: &Path) -> Result<PathBuf> {
    let out = folder.join(format!("{name}.wasm"));
    let target = root().join("target/guests");
    package::build_rule(&root().join("tests/plugins").join(name), &out, Some(&target))?;
    Ok(out)
}

pub fn load(engine: &Engine, folder: &Path, rules: Vec<RuleEntry>) -> Result<Chain> {
    let config = ChainConfig { folder: Some(folder.to_owned()), rules };
    Ok(Chain::load(&config, engine, &(Arc::new(NoLookups) as _))?)
}

pub fn call(source: &Appointment) -> Call<'_> {
    Call { id: "crm:4711", direction: Direction::CrmToExchange, source }
}

pub fn passed(trace: Trace) -> Result<Appointment> {
    match trace.verdict {
        Ok(Verdict::Pass(draft)) => Ok(draft.appointment),
        other => anyhow::bail!("the chain did not pass: {other:?}"),
    }
}

fn apply<R: Rule>(rule: &Test<R>, source: &sdk::Appointment, draft: sdk::Draft) -> sdk::Draft {
    rule.apply_to(source, draft).expect("the rule passes")
}

/// What the rule makes of the appointment, by which every other case is checked.
pub fn expected() -> Edits {
    let source = payload::native();
    let rule = Test::<mapping::Native>::crm_to_exchange().setting("tag", payload::TAG);
    Edits::from(&apply(&rule, &source, sdk::Draft::of(&source)))
}

thread_local! {
    /// How many calls [`Looped`] makes, and the microseconds they took.
    static LOOP: std::cell::Cell<(u32, f64)> = const { std::cell::Cell::new((0, 0.0)) };
}

/// A rule that calls another again and again: what is timed is the rule's own function, not the SDK's stand-in for the host.
struct Looped<R>(std::marker::PhantomData<R>);

impl<R: Rule> Rule for Looped<R> {
    fn describe() -> sdk::Description {
        // Shown everything, since nothing crosses a border.
        R::describe().reads([])
    }

    fn apply(context: &sdk::Context, source: &sdk::Appointment, draft: &mut sdk::Draft) -> sdk::Answer {
        let (calls, _) = LOOP.get();
        let before = thread_microseconds();
        for _ in 0..calls {
            // A call of a sandbox gets values of its own, so this one does.
            let (source, mut draft) = (source.clone(), draft.clone());
            let _ = std::hint::black_box(R::apply(context, &source, &mut draft));
            std::hint::black_box(draft);
        }
        LOOP.set((calls, thread_microseconds() - before));
        sdk::pass()
    }
}

fn native<R: Rule>(source: &sdk::Appointment, calls: u32) -> f64 {
    LOOP.set((calls, 0.0));
    Test::<Looped<R>>::crm_to_exchange().draft(source);
    LOOP.get().1
}

pub fn native_one() -> Case {
    let source = payload::native();
    Box::new(move |calls| native::<mapping::Native>(&source, calls))
}

pub fn native_five() -> Case {
    let source = payload::native();
    Box::new(move |calls| {
        native::<appointments_only::Native>(&source, calls)
            + native::<subject_line::Native>(&source, calls)
            + native::<status::Native>(&source, calls)
            + native::<privacy::Native>(&source, calls)
            + native::<reminders::Native>(&source, calls)
    })
}

/// A chain on this thread, as a rule thread runs it; every rule in a sandbox as it was before its first call.
pub fn fresh(chain: Chain) -> Case {
    let source = payload::host();
    timed(move || {
        std::hint::black_box(bench::judge_here(&chain, call(&source)));
    })
}

/// The same with a new instance for every call, as rules get that cannot be put back.
pub fn anew(chain: Chain) -> Case {
    let source = payload::host();
    timed(move || {
        std::hint::black_box(bench::judge_anew(&chain, call(&source)));
    })
}

/// The same on instances that are kept as their last call left them.
pub fn reused(chain: Chain) -> Case {
    let mut case = fresh(chain);
    Box::new(move |calls| {
        bench::reusing(|| {
            // The first call makes the instance.
            case(1);
            case(calls)
        })
    })
}

/// A JSON plugin host's call, checked before it is timed.
fn checked(mut ask: impl FnMut(String) -> Result<String> + 'static) -> Result<Case> {
    let question = payload::question();
    let answer = ask(serde_json::to_string(&question)?)?;
    ensure!(serde_json::from_str::<Edits>(&answer)? == expected(), "another outcome: {answer}");
    Ok(timed(move || {
        let question = serde_json::to_string(&question).expect("JSON");
        let answer = ask(question).expect("an answer");
        std::hint::black_box(serde_json::from_str::<Edits>(&answer).expect("edits"));
    }))
}

pub const SCRIPT: &str = include_str!("mapping.js");

/// QuickJS in this process, without a sandbox: one context for all calls, or one for each.
pub fn quickjs(fresh: bool) -> Result<Case> {
    let runtime = rquickjs::Runtime::new()?;
    let make = |runtime: &rquickjs::Runtime| -> Result<rquickjs::Context> {
        let context = rquickjs::Context::full(runtime)?;
        context.with(|context| context.eval::<(), _>(SCRIPT))?;
        Ok(context)
    };
    let kept = make(&runtime)?;
    checked(move |question| {
        let made;
        let context = if fresh {
            made = make(&runtime)?;
            &made
        } else {
            &kept
        };
        context.with(|context| {
            let apply: rquickjs::Function = context.globals().get("applyJson")?;
            Ok(apply.call((question,))?)
        })
    })
}

/// QuickJS in this process with what a rule in JavaScript has around it here: a fresh context, our prelude and the same
/// rule, evaluated. The appointment comes as JSON, of which the host's functions hand out fields.
pub fn quickjs_same() -> Result<Case> {
    let runtime = rquickjs::Runtime::new()?;
    let prelude = include_str!("../../../plugins/javascript/src/prelude.js");
    let fields = include_str!("../../../plugins/javascript/fields.json");
    let rule = include_str!("rule.js").replacen("export default", "globalThis.rule =", 1);
    let world = format!("{}\n{}", include_str!("world.js"), "makeWorld");
    checked(move |question| {
        let context = rquickjs::Context::full(&runtime)?;
        context.with(|context| {
            let make: rquickjs::Function = context.eval(world.as_str())?;
            let prelude: rquickjs::Function = context.eval(prelude)?;
            context.eval::<(), _>(rule.as_str())?;
            let fields = context.json_parse(fields)?;
            Ok(make.call((prelude, fields, question))?)
        })
    })
}

#[cfg(not(feature = "extism"))]
pub fn extism(_: bool) -> Result<Case> {
    anyhow::bail!("this program was built without it")
}

/// extism, with its defaults: one plugin for all calls, or one for each from what was compiled once.
#[cfg(feature = "extism")]
pub fn extism(fresh: bool) -> Result<Case> {
    let compiled = extism::CompiledPlugin::new(extism::PluginBuilder::new(extism_guest()?).with_wasi(false))?;
    let mut kept = extism::Plugin::new_from_compiled(&compiled)?;
    checked(move |question| {
        if fresh {
            return extism::Plugin::new_from_compiled(&compiled)?.call("apply", question);
        }
        kept.call("apply", question)
    })
}

#[cfg(feature = "extism")]
fn extism_guest() -> Result<Vec<u8>> {
    let manifest = root().join("tests/bench/guest/Cargo.toml");
    let target = root().join("target/bench-guest");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--target", package::TARGET, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    ensure!(built.success(), "build {}", manifest.display());
    Ok(std::fs::read(target.join(package::TARGET).join("release/extism_mapping.wasm"))?)
}

/// Node as a child, timed inside itself. Ends when dropped.
struct Node {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Node {
    fn run(&mut self, calls: u32) -> Result<(f64, String)> {
        writeln!(self.stdin, "{calls}")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        let answer: serde_json::Value = serde_json::from_str(&line)?;
        let answered = answer["answer"].as_str().context("an answer")?.to_owned();
        Ok((answer["microseconds"].as_f64().context("a time")?, answered))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Node's `vm` with a fresh context for every call. Fails where there is no node.
pub fn node() -> Result<Case> {
    let mut command = Command::new("node");
    command.args(["-e", include_str!("node.js")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("start node")?;
    let stdin = child.stdin.take().context("a pipe")?;
    let stdout = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut node = Node { child, stdin, stdout };
    let question = serde_json::to_string(&payload::question())?;
    writeln!(node.stdin, "{}", serde_json::json!({ "script": SCRIPT, "question": question }))?;
    let (_, answer) = node.run(1)?;
    ensure!(serde_json::from_str::<Edits>(&answer)? == expected(), "another outcome: {answer}");
    Ok(Box::new(move |calls| node.run(calls).expect("node answers").0))
}
