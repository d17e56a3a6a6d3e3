//! The clock that running rules look at.
//!
//! Promises: while a rule runs, the engine's epoch advances every [`TICK`]; an idle host does not wake up for it; beginning
//! and ending a call costs no system call while calls follow each other closely. Must not know: deadlines.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// How often running rules look at the clock. A deadline is overshot by about this much of the time in which they run.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call after which the clock stops until the next one.
const IDLE_TICKS: u32 = 100;
/// How much the clock's thread goes before others, where the host's account may ask for that (root, CAP_SYS_NICE, or the
/// service manager's LimitNICE). It hardly runs at all; but where many threads want a processor it must not stand in the queue.
const NICE: i32 = -10;

/// Advances an engine's epoch from a thread of its own.
pub struct RuleClock {
    calls: AtomicUsize,
    closed: AtomicBool,
    /// Whether the thread waits to be woken, or is about to.
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// Lives as long as a rule runs.
pub struct Ticking<'a>(&'a RuleClock);

impl RuleClock {
    /// Starts the thread.
    pub fn start(wasm: &wasmtime::Engine) -> io::Result<Arc<Self>> {
        let clock = Arc::new(Self {
            calls: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        let (ticker, wasm) = (Arc::clone(&clock), wasm.clone());
        let running = thread::Builder::new().name("rule-clock".into()).spawn(move || ticker.run(&wasm))?;
        // Set before anybody but the thread has the clock; the thread itself does not ask.
        let _ = clock.thread.set(running.thread().clone());
        Ok(clock)
    }

    fn run(&self, wasm: &wasmtime::Engine) {
        go_first();
        let mut idle = 0;
        while !self.closed.load(SeqCst) {
            idle = if self.calls.load(SeqCst) == 0 { idle + 1 } else { 0 };
            if idle > IDLE_TICKS {
                // First asleep, then a look at the calls; `tick` has it the other way round. So either this sees the call,
                // or the call sees this.
                self.asleep.store(true, SeqCst);
                if self.calls.load(SeqCst) == 0 && !self.closed.load(SeqCst) {
                    thread::park();
                }
                self.asleep.store(false, SeqCst);
                idle = 0;
                continue;
            }
            thread::sleep(TICK);
            wasm.increment_epoch();
        }
    }

    /// Sees to it that the clock ticks while the answer lives.
    pub fn tick(&self) -> Ticking<'_> {
        self.calls.fetch_add(1, SeqCst);
        self.wake_if_asleep();
        Ticking(self)
    }

    /// Ends the thread.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake_if_asleep();
    }

    fn wake_if_asleep(&self) {
        if self.asleep.load(SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// Raises the calling thread's own priority, if that is allowed. Without it stops may come later on a busy machine.
#[cfg(target_os = "linux")]
fn go_first() {
    // On Linux a priority is a thread's, and no number means the one that asks.
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Elsewhere it would be the whole host's.
#[cfg(not(target_os = "linux"))]
fn go_first() {
    let _ = NICE;
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}
