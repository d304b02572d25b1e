//! Worker threads: jobs go out through one bounded channel and come back through another.
//!
//! Both channels have room for every module, so neither side ever blocks on a full one, and
//! sending allocates nothing.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use convoy_pool::Publication;

use crate::storage::frozen::Frozen;

use super::job::Job;

pub(super) struct Workers {
    /// Taken away to end the threads.
    jobs: Option<Sender<Box<Job>>>,
    done: Receiver<Box<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads that serve `modules` modules.
    pub(super) fn start(count: usize, modules: usize) -> io::Result<Self> {
        let (jobs, inbox) = bounded::<Box<Job>>(modules);
        let (outbox, done) = bounded(modules);
        let mut workers = Self { jobs: Some(jobs), done, threads: Vec::with_capacity(count) };
        for number in 0..count {
            let (inbox, outbox) = (inbox.clone(), outbox.clone());
            let builder = thread::Builder::new().name(format!("convoy worker {number}"));
            workers.threads.push(builder.spawn(move || serve(&inbox, &outbox))?);
        }
        Ok(workers)
    }

    pub(super) fn send(&self, job: Box<Job>) {
        let jobs = self.jobs.as_ref().expect("the channel is open until the workers are dropped");
        assert!(jobs.try_send(job).is_ok(), "the channel has room for every module");
    }

    /// A finished job, if there is one.
    pub(super) fn try_receive(&self) -> Option<Box<Job>> {
        self.done.try_recv().ok()
    }

    /// Waits for a finished job.
    pub(super) fn receive(&self) -> Box<Job> {
        self.done.recv().expect("a worker lives as long as the host")
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker contains its modules' panics, so there is nothing to pass on.
            let _ = thread.join();
        }
    }
}

fn serve(jobs: &Receiver<Box<Job>>, done: &Sender<Box<Job>>) {
    Publication::<Frozen>::register_thread();
    for mut job in jobs {
        job.run();
        if done.send(job).is_err() {
            return;
        }
    }
}
