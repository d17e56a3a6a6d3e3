//! Compiling a rule in a process of its own, so that a rule made to exhaust the compiler exhausts nothing else.
//!
//! The host starts its own program with [`COMMAND`]: the component on stdin, machine code on stdout, no environment.
//! Promises: the child bounds its own memory and processor time before it looks at the rule; the parent ends it when it
//! takes too long; what went wrong is one readable line. The child's answer is trusted as the program's own work.
//! Must not know: where compiled code is kept.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::cache::CODE_MAX;
use super::limits::clean;
use super::load::SIZE_MAX;

/// The hidden command that compiles.
pub const COMMAND: &str = "compile-rule";

/// Wall time besides the processor time allowed, in case the child waits for something. It is long: a busy machine may
/// give the child a small part of its time.
const WALL_BESIDE: Duration = Duration::from_secs(60);
/// How much longer than its processor time a child may take on a busy machine.
const WALL_TIMES: u64 = 3;
/// Between two looks at whether the answer is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// Of what the child says about its end.
const STDERR_MAX: u64 = 16 << 10;

/// What compiling one rule may take where it is done in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    /// Of processor time, all threads together.
    pub seconds: u64,
    pub memory_mib: u64,
}

impl Default for CompileLimits {
    /// The largest script engines known take 12 s and less than that memory.
    fn default() -> Self {
        Self { seconds: 20, memory_mib: 1024 }
    }
}

impl CompileLimits {
    /// Less than this and the rules that come with the host could not be compiled, its script engine least of all.
    pub const MINIMUM: CompileLimits = CompileLimits { seconds: 5, memory_mib: 256 };
    /// More than this and a person who waits for a rule would think that the host is stuck: the command line waits five minutes.
    pub const MAXIMUM: CompileLimits = CompileLimits { seconds: 60, memory_mib: 16 << 10 };

    /// How long the host waits for the child altogether.
    fn wall(self) -> Duration {
        WALL_BESIDE.saturating_add(Duration::from_secs(self.seconds.saturating_mul(WALL_TIMES)))
    }
}

/// Who compiles rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process, without bounds: for programs that use the library and compile only rules they trust.
    #[default]
    Within,
    /// A `daybridge` program, in a process of its own.
    Program(PathBuf),
}

/// Set where this process is the program `daybridge`, which knows [`COMMAND`].
static IS_PROGRAM: OnceLock<()> = OnceLock::new();

impl Compiler {
    /// Says that this process runs the program itself, which can be started again to compile. Called by `main`'s command line.
    pub fn this_is_the_program() {
        let _ = IS_PROGRAM.set(());
    }

    /// The program that runs here if it is `daybridge`, else this process.
    pub fn own() -> Self {
        if IS_PROGRAM.get().is_none() {
            return Self::Within;
        }
        // On Linux this is the program as it was started, also after an update has put another file in its place.
        let running = PathBuf::from("/proc/self/exe");
        let program = if running.exists() { Ok(running) } else { std::env::current_exe() };
        program.map_or(Self::Within, Self::Program)
    }
}

/// A rule could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error("{0}")]
    Refused(String),
    #[error(
        "it takes more than {seconds} s of processor time to compile; make the rule smaller, or raise gate.compile_seconds"
    )]
    Time { seconds: u64 },
    #[error(
        "it takes more than {mib} MiB of memory to compile; make the rule smaller, or raise gate.compile_memory_mib"
    )]
    Memory { mib: u64 },
    #[error("the compiler did not answer within {seconds} s; try again when the machine is less busy")]
    Wall { seconds: u64 },
    #[error("the host stops")]
    Stopped,
    #[error("the compiler ended unasked ({0}); try again, and if it ends again make the rule smaller")]
    Ended(String),
    #[error("the compiler {} cannot be started: {cause}", program.display())]
    Start { program: PathBuf, cause: io::Error },
}

/// Compiles a component in a child process, unless `ending` is or becomes true.
///
/// # Errors
/// [`CompileError`], also if the child was ended by somebody else.
pub fn compile(
    program: &Path,
    limits: CompileLimits,
    component: &[u8],
    ending: &AtomicBool,
) -> Result<Vec<u8>, CompileError> {
    let start = |cause| CompileError::Start { program: program.to_owned(), cause };
    let mut command = Command::new(program);
    command.arg(COMMAND).args([limits.seconds, limits.memory_mib].map(|limit| limit.to_string()));
    command.env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = Reaped(command.spawn().map_err(start)?);
    let (status, code, words) = exchange(child, component, limits.wall(), ending)?;
    if status.success() && !code.is_empty() && code.len() as u64 <= CODE_MAX {
        return Ok(code);
    }
    Err(reason(limits, status, &words))
}

type Answer = (ExitStatus, Vec<u8>, String);

/// Hands the component over and takes in what comes back, for so long and no longer.
fn exchange(mut child: Reaped, component: &[u8], wall: Duration, ending: &AtomicBool) -> Result<Answer, CompileError> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take())
    else {
        return Err(CompileError::Ended("it has no pipes".to_owned()));
    };
    let (done, answered) = mpsc::channel();
    thread::scope(|scope| {
        let words = scope.spawn(move || read(stderr, STDERR_MAX));
        scope.spawn(move || {
            // The timeout below ends on this; nobody listens any more if it came first.
            let _ = done.send(read(stdout, CODE_MAX + 1));
        });
        // A child that ended early breaks the pipe; why is in what it said.
        let writing = scope.spawn(move || stdin.write_all(component));
        let end = Instant::now() + wall;
        let code = loop {
            match answered.recv_timeout(LOOK.min(end.saturating_duration_since(Instant::now()))) {
                Ok(code) => break Ok(code),
                Err(_) if ending.load(Ordering::Relaxed) => break Err(CompileError::Stopped),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    break Err(CompileError::Wall { seconds: wall.as_secs() });
                }
            }
        };
        // Ends the threads, too, whose pipes it holds.
        if code.is_err() || code.as_ref().is_ok_and(|code| code.len() as u64 > CODE_MAX) {
            let _ = child.0.kill();
        }
        let status = child.0.wait().map_err(|cause| CompileError::Ended(cause.to_string()));
        let _ = writing.join();
        let words = words.join().unwrap_or_default();
        Ok((status?, code?, String::from_utf8_lossy(&words).into_owned()))
    })
}

/// A child that does not outlive its owner.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only if it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before a failure is judged by the child's exit status.
    let _ = from.take(most).read_to_end(&mut bytes);
    bytes
}

/// One line for an end without an answer.
fn reason(limits: CompileLimits, status: ExitStatus, words: &str) -> CompileError {
    // How Rust's allocator, and the system through the engine, say that there is no more.
    if words.contains("memory allocation of") || words.contains("Cannot allocate memory") {
        return CompileError::Memory { mib: limits.memory_mib };
    }
    if out_of_time(status) {
        return CompileError::Time { seconds: limits.seconds };
    }
    match words.strip_prefix(REFUSED) {
        Some(line) if status.code() == Some(1) => CompileError::Refused(clean(line.trim())),
        _ => CompileError::Ended(status.to_string()),
    }
}

/// How the child begins the line that says why the engine refused a rule.
const REFUSED: &str = "refused: ";

#[cfg(unix)]
fn out_of_time(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    // Soft limit, then hard limit a second later; nobody else sends the first.
    status.signal() == Some(rustix::process::Signal::XCPU.as_raw())
}

#[cfg(not(unix))]
fn out_of_time(_: ExitStatus) -> bool {
    false
}

/// The child, given the arguments after [`COMMAND`]: bounds itself, reads a component from stdin, writes its machine code to stdout.
///
/// # Errors
/// One line for stderr.
pub fn serve(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let mut limit = || arguments.next()?.to_str()?.parse().ok();
    let (Some(seconds), Some(memory_mib)) = (limit(), limit()) else {
        return Err("this command is the host's own; it is not for people".to_owned());
    };
    bound(CompileLimits { seconds, memory_mib })
        .map_err(|cause| format!("the limits of the compiler cannot be set: {cause}"))?;
    let component = read(io::stdin().lock(), SIZE_MAX + 1);
    let code = super::engine::machine_code(&component).map_err(|refused| format!("{REFUSED}{refused}"))?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&code).and_then(|()| stdout.flush()).map_err(|cause| format!("answer: {cause}"))
}

/// Bounds this process for the rest of its life.
#[cfg(unix)]
fn bound(limits: CompileLimits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let memory = limits.memory_mib.saturating_mul(1 << 20);
    for (resource, most) in [
        // Memory that can be written to; and address space, of which allocators reserve more than they use.
        (Resource::Data, memory),
        (Resource::As, memory.saturating_mul(4)),
        (Resource::Cpu, limits.seconds),
        // A core file of a compiler that was stopped tells nobody anything.
        (Resource::Core, 0),
    ] {
        let maximum = if resource == Resource::Cpu { most.saturating_add(1) } else { most };
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(maximum) })?;
    }
    Ok(())
}

/// Other systems have the wall time alone.
#[cfg(not(unix))]
fn bound(_: CompileLimits) -> io::Result<()> {
    Ok(())
}
