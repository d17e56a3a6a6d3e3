//! The threads on which rules run, and the bounded queue before them.
//!
//! Promises: no more callers wait than a number; a panic in the work ends neither the thread nor the caller. Must not know:
//! what the work is.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use crate::plugin::kept;

/// Callers that may wait for a free thread. The worker has far fewer tasks; more than this is a fault of the host.
const WAITING_MAX: usize = 10_000;

/// More callers than may wait, or a host that is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no thread for rules is free: {0}")]
pub struct Busy(pub(super) &'static str);

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads fed through a bounded queue.
pub struct Threads {
    queue: Arc<Queue>,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Jobs for which a thread is free. One thread is woken for each, and no other.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// Waits for a job. Nothing if there will be none any more.
    fn take(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}

impl Threads {
    /// Starts so many threads, which keep sandboxes from one job to the next or do not.
    pub fn start(count: usize, keeping: bool) -> io::Result<Self> {
        let threads =
            Self { queue: Arc::default(), free: Arc::new(Semaphore::new(count)), waiting: AtomicUsize::new(0) };
        for number in 1..=count {
            let queue = Arc::clone(&threads.queue);
            thread::Builder::new().name(format!("rules-{number}")).spawn(move || {
                if keeping {
                    kept::keep_here();
                }
                while let Some(job) = queue.take() {
                    // The caller learns of a panic because its answer never comes; the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(threads)
    }

    /// Runs work on one of the threads and waits for it without holding a thread of the caller's.
    ///
    /// # Errors
    /// [`Busy`] if too many wait already, or the work died.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let permit = {
            let _waiting = Caller::enter(&self.waiting)?;
            Arc::clone(&self.free).acquire_owned().await.map_err(|_| Busy("the host is going down"))?
        };
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Held until the work is done even if the caller has gone away, so that no more than `count` jobs exist.
            let _permit = permit;
            let _ = answer.send(work());
        };
        self.queue.put(Box::new(job));
        answered.await.map_err(|_| Busy("the work died"))
    }
}

/// One of the callers in the queue for a thread.
struct Caller<'a>(&'a AtomicUsize);

impl<'a> Caller<'a> {
    fn enter(count: &'a AtomicUsize) -> Result<Self, Busy> {
        let caller = Caller(count);
        if count.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX { Err(Busy("too many calls wait")) } else { Ok(caller) }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
