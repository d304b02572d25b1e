//! Worker threads: jobs go out through one mailbox and come back through another.
//!
//! Both mailboxes have room for every module, so neither side ever finds one full, and passing a
//! job on allocates nothing.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::provider::contain::{Contained, contain};
use crate::snapshot::SnapshotPool;

use super::job::Job;
use super::mailbox::Mailbox;

/// Called on each worker thread as it starts, with its number.
pub(super) type WorkerStart = Arc<dyn Fn(usize) + Send + Sync>;

pub(super) struct Workers {
    mailboxes: Arc<Mailboxes>,
    threads: Vec<JoinHandle<()>>,
    /// How long threads are waited for at the end.
    abandon_after: Duration,
    /// The names of the modules, by number.
    names: Vec<String>,
}

struct Mailboxes {
    jobs: Mailbox<Box<Job>>,
    done: Mailbox<Box<Job>>,
    /// The modules that the threads run.
    running: Running,
}

/// Which module each thread runs, and how many threads have not ended.
struct Running {
    /// By thread: the module's number, or [`NO_MODULE`].
    modules: Box<[AtomicUsize]>,
    threads: Mutex<usize>,
    ended: Condvar,
}

const NO_MODULE: usize = usize::MAX;

impl Running {
    fn new(threads: usize) -> Self {
        let modules = (0..threads).map(|_| AtomicUsize::new(NO_MODULE)).collect();
        Self { modules, threads: Mutex::new(0), ended: Condvar::new() }
    }

    fn threads(&self) -> MutexGuard<'_, usize> {
        // The count is whole after every statement.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all threads have ended, for `timeout` at the most. Tells whether they have.
    fn wait(&self, timeout: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.threads(), timeout, |alive| *alive > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

/// Counts a thread out when it ends.
struct Ends<'a>(&'a Running);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        *self.0.threads() -= 1;
        self.0.ended.notify_all();
    }
}

impl Workers {
    /// Starts `count` threads that serve `modules` modules, or as many as can be busy at once. Returns
    /// once `on_start` has returned on each of them.
    pub(super) fn start(
        count: usize,
        modules: usize,
        on_start: Option<&WorkerStart>,
        (abandon_after, names): (Duration, Vec<String>),
    ) -> io::Result<Self> {
        let count = count.min(modules);
        let (jobs, done) = (Mailbox::new(modules), Mailbox::new(modules));
        let mailboxes = Arc::new(Mailboxes { jobs, done, running: Running::new(count) });
        // Made first, so that threads that were started end when a later one can't be.
        let mut workers = Self { mailboxes, threads: Vec::new(), abandon_after, names };
        let (started, starts) = mpsc::channel();
        for number in 0..count {
            let mailboxes = Arc::clone(&workers.mailboxes);
            let on_start = on_start.map(|on_start| Contained::new(Arc::clone(on_start)));
            let started = started.clone();
            let builder = thread::Builder::new().name(format!("convoy worker {number}"));
            // Before it starts, as it may end at once.
            *workers.mailboxes.running.threads() += 1;
            let thread = builder.spawn(move || {
                let _ends = Ends(&mailboxes.running);
                let is_ready = contain(|| {
                    if let Some(on_start) = &on_start {
                        on_start(number);
                    }
                });
                drop(on_start);
                // The host waits for this.
                let _ = started.send(is_ready.is_some());
                drop(started);
                serve(&mailboxes, number);
            });
            match thread {
                Ok(thread) => workers.threads.push(thread),
                Err(error) => {
                    *workers.mailboxes.running.threads() -= 1;
                    return Err(error);
                }
            }
        }
        drop(started);
        if starts.iter().all(|is_ready| is_ready) {
            Ok(workers)
        } else {
            Err(io::Error::other("the callback for threads that start panicked"))
        }
    }

    /// Sends a job, before the ones that it goes before.
    pub(super) fn send(&self, job: Box<Job>) {
        self.mailboxes.jobs.push_before(job, |job, other| job.goes_before(other));
    }

    /// A job that the frame waits for and that no worker has begun.
    pub(super) fn take_frame_synced(&self) -> Option<Box<Job>> {
        self.mailboxes.jobs.try_pop_if(|job| job.frame_synced)
    }

    /// A finished job, if there is one.
    pub(super) fn try_receive(&self) -> Option<Box<Job>> {
        self.mailboxes.done.try_pop()
    }

    /// Waits for a finished job.
    pub(super) fn receive(&self) -> Box<Job> {
        self.mailboxes.done.pop().expect("workers deliver as long as the host asks")
    }
}

impl Workers {
    /// Waits for a finished job until `deadline`, or without a limit.
    pub(super) fn receive_until(&self, deadline: Option<Instant>) -> Option<Box<Job>> {
        match deadline {
            Some(deadline) => self.mailboxes.done.pop_until(deadline),
            None => Some(self.receive()),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let Mailboxes { jobs, running, done } = &*self.mailboxes;
        jobs.close();
        // Nobody waits for runs that have not begun.
        while let Some(job) = jobs.try_pop() {
            drop(job);
        }
        done.close();
        let all_ended = running.wait(self.abandon_after);
        for module in running.modules.iter().map(|module| module.load(Ordering::Relaxed)) {
            if let Some(name) = self.names.get(module) {
                // Where nobody reads it there is nobody to tell.
                _ = writeln!(
                    io::stderr(),
                    "convoy: module {name} is still running: it is abandoned"
                );
            }
        }
        if all_ended {
            for thread in self.threads.drain(..) {
                // A worker contains its modules' panics, so there is nothing to pass on.
                let _ = thread.join();
            }
        }
        // Otherwise the threads go on by themselves, with what they run: what has ended is dropped here, and
        // what ends later where it ends.
        while let Some(job) = done.try_pop() {
            drop(job);
        }
        SnapshotPool::forget_ended_threads();
    }
}

fn serve(mailboxes: &Mailboxes, thread: usize) {
    SnapshotPool::register_thread();
    while let Some(mut job) = mailboxes.jobs.pop() {
        let module = &mailboxes.running.modules[thread];
        module.store(job.number, Ordering::Relaxed);
        job.run();
        module.store(NO_MODULE, Ordering::Relaxed);
        mailboxes.done.push(job);
    }
}
