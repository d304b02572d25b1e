//! Worker threads: jobs go out through one mailbox and come back through another.
//!
//! Both mailboxes have room for every module, so neither side ever finds one full, and passing a
//! job on allocates nothing.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::snapshot::SnapshotPool;

use super::job::Job;
use super::mailbox::Mailbox;

pub(super) struct Workers {
    mailboxes: Arc<Mailboxes>,
    threads: Vec<JoinHandle<()>>,
}

struct Mailboxes {
    jobs: Mailbox<Box<Job>>,
    done: Mailbox<Box<Job>>,
}

impl Workers {
    /// Starts `count` threads that serve `modules` modules, or as many as can be busy at once.
    pub(super) fn start(count: usize, modules: usize) -> io::Result<Self> {
        let count = count.min(modules);
        let mailboxes = Mailboxes { jobs: Mailbox::new(modules), done: Mailbox::new(modules) };
        let mailboxes = Arc::new(mailboxes);
        // Made first, so that threads that were started end when a later one can't be.
        let mut workers = Self { mailboxes, threads: Vec::new() };
        for number in 0..count.min(modules) {
            let mailboxes = Arc::clone(&workers.mailboxes);
            let builder = thread::Builder::new().name(format!("convoy worker {number}"));
            workers.threads.push(builder.spawn(move || serve(&mailboxes))?);
        }
        Ok(workers)
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
