//! Worker threads: jobs go out through one mailbox and come back through another.
//!
//! Both mailboxes have room for every module, so neither side ever finds one full, and passing a
//! job on allocates nothing.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::provider::contain::{Contained, contain};
use crate::snapshot::SnapshotPool;

use super::job::Job;
use super::mailbox::Mailbox;

/// Called on each worker thread as it starts, with its number.
pub(super) type WorkerStart = Arc<dyn Fn(usize) + Send + Sync>;

pub(super) struct Workers {
    mailboxes: Arc<Mailboxes>,
    threads: Vec<JoinHandle<()>>,
}

struct Mailboxes {
    jobs: Mailbox<Box<Job>>,
    done: Mailbox<Box<Job>>,
}

impl Workers {
    /// Starts `count` threads that serve `modules` modules, or as many as can be busy at once. Returns
    /// once `on_start` has returned on each of them.
    pub(super) fn start(
        count: usize,
        modules: usize,
        on_start: Option<&WorkerStart>,
    ) -> io::Result<Self> {
        let count = count.min(modules);
        let mailboxes = Mailboxes { jobs: Mailbox::new(modules), done: Mailbox::new(modules) };
        let mailboxes = Arc::new(mailboxes);
        // Made first, so that threads that were started end when a later one can't be.
        let mut workers = Self { mailboxes, threads: Vec::new() };
        let (started, starts) = mpsc::channel();
        for number in 0..count {
            let mailboxes = Arc::clone(&workers.mailboxes);
            let on_start = on_start.map(|on_start| Contained::new(Arc::clone(on_start)));
            let started = started.clone();
            let builder = thread::Builder::new().name(format!("convoy worker {number}"));
            workers.threads.push(builder.spawn(move || {
                let is_ready = contain(|| {
                    if let Some(on_start) = &on_start {
                        on_start(number);
                    }
                });
                drop(on_start);
                // The host waits for this.
                let _ = started.send(is_ready.is_some());
                drop(started);
                serve(&mailboxes);
            })?);
        }
        drop(started);
        if starts.iter().all(|is_ready| is_ready) {
            Ok(workers)
        } else {
            Err(io::Error::other("the callback for threads that start panicked"))
        }
    }

    pub(super) fn send(&self, job: Box<Job>) {
        self.mailboxes.jobs.push(job);
    }

    /// Sends a job that the frame waits for, before all that were sent.
    pub(super) fn send_first(&self, job: Box<Job>) {
        self.mailboxes.jobs.push_first(job);
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
        self.mailboxes.jobs.close();
        for thread in self.threads.drain(..) {
            // A worker contains its modules' panics, so there is nothing to pass on.
            let _ = thread.join();
        }
        SnapshotPool::forget_ended_threads();
    }
}

fn serve(mailboxes: &Mailboxes) {
    SnapshotPool::register_thread();
    while let Some(mut job) = mailboxes.jobs.pop() {
        job.run();
        mailboxes.done.push(job);
    }
}
