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
    modules: Mutex<Vec<Arc<AtomicUsize>>>,
    threads: Mutex<usize>,
    ended: Condvar,
}

const NO_MODULE: usize = usize::MAX;

impl Running {
    fn new() -> Self {
        Self { modules: Mutex::default(), threads: Mutex::new(0), ended: Condvar::new() }
    }

    fn modules(&self) -> MutexGuard<'_, Vec<Arc<AtomicUsize>>> {
        // The list is whole after every statement.
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a new thread notes the module that it runs.
    fn add_thread(&self) -> Arc<AtomicUsize> {
        let module = Arc::new(AtomicUsize::new(NO_MODULE));
        self.modules().push(Arc::clone(&module));
        module
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
    /// No threads yet, which are waited for at the end as `patience` says.
    pub(super) fn new((abandon_after, names): (Duration, Vec<String>)) -> Self {
        let (jobs, done) = (Mailbox::new(0), Mailbox::new(0));
        let mailboxes = Arc::new(Mailboxes { jobs, done, running: Running::new() });
        Self { mailboxes, threads: Vec::new(), abandon_after, names }
    }

    /// Notes the name of a module.
    pub(super) fn name(&mut self, number: usize, name: &str) {
        if self.names.len() <= number {
            self.names.resize(number + 1, String::new());
        }
        self.names[number] = name.to_owned();
    }

    /// Serves `modules` modules from now on, with `count` threads or as many as can be busy at once: those
    /// that are missing are started. Returns once `on_start` has returned on each of them.
    pub(super) fn serve(
        &mut self,
        (count, modules): (usize, usize),
        on_start: Option<&WorkerStart>,
    ) -> io::Result<()> {
        self.mailboxes.jobs.grow(modules);
        self.mailboxes.done.grow(modules);
        let (started, starts) = mpsc::channel();
        for number in self.threads.len()..count.min(modules) {
            let mailboxes = Arc::clone(&self.mailboxes);
            let on_start = on_start.map(|on_start| Contained::new(Arc::clone(on_start)));
            let started = started.clone();
            let builder = thread::Builder::new().name(format!("convoy worker {number}"));
            // Before it starts, as it may end at once.
            *self.mailboxes.running.threads() += 1;
            let module = self.mailboxes.running.add_thread();
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
                serve(&mailboxes, &module);
            });
            match thread {
                Ok(thread) => self.threads.push(thread),
                Err(error) => {
                    *self.mailboxes.running.threads() -= 1;
                    return Err(error);
                }
            }
        }
        drop(started);
        if starts.iter().all(|is_ready| is_ready) {
            Ok(())
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
        let modules: Vec<usize> =
            running.modules().iter().map(|module| module.load(Ordering::Relaxed)).collect();
        for module in modules {
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

fn serve(mailboxes: &Mailboxes, module: &AtomicUsize) {
    SnapshotPool::register_thread();
    while let Some(mut job) = mailboxes.jobs.pop() {
        module.store(job.number, Ordering::Relaxed);
        job.run();
        module.store(NO_MODULE, Ordering::Relaxed);
        mailboxes.done.push(job);
    }
}
