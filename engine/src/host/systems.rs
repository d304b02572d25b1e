//! Systems: the simulation itself, by phase, on the thread of the frame.

use std::fmt;
use std::time::{Duration, Instant};

use crate::storage::encoding::{put_number, put_piece};
use crate::world::World;

use super::bytes::put_long;
use super::run_time::RunTimes;
use super::saved::SavedSystem;

/// When in a frame a system runs. Systems of one phase run in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// First of all: what came from players and networks enters the world.
    Input,
    /// After the results of asynchronous modules have landed, and before views are captured.
    Simulation,
    /// After the synchronous and frame-synced modules have run, and their commands were played back.
    After,
    /// Last: the world goes to screens, files and networks.
    Export,
}

/// The frame that a system runs in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// Simulated time since the last frame.
    pub dt: Duration,
    /// Simulated time at the end of this frame: [`ModuleHost::time`](super::ModuleHost::time).
    pub time: Duration,
    /// The world's tick.
    pub tick: u64,
}

/// One system.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SystemStatistics {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub phase: Phase,
    /// How often it has run.
    pub runs: u64,
    /// Time spent in its runs.
    pub run_time: Duration,
    /// The time that 99 of 100 of its runs did not exceed, up to a quarter too long.
    pub run_time_p99: Duration,
}

/// The code of a system.
type Run = Box<dyn FnMut(&mut World, Frame) + Send>;

pub(super) struct System {
    name: String,
    pub(super) phase: Phase,
    run: Run,
    runs: u64,
    run_time: Duration,
    run_times: RunTimes,
}

impl System {
    pub(super) fn new(phase: Phase, name: String, run: Run) -> Self {
        let run_times = RunTimes::new();
        Self { name, phase, run, runs: 0, run_time: Duration::ZERO, run_times }
    }

    pub(super) fn run(&mut self, world: &mut World, frame: Frame) {
        let began = Instant::now();
        (self.run)(world, frame);
        let took = began.elapsed();
        self.runs += 1;
        self.run_time += took;
        self.run_times.add(took);
    }

    /// Writes its counts.
    pub(super) fn put(&self, buffer: &mut Vec<u8>) {
        put_piece(buffer, self.name.as_bytes());
        buffer.push(self.phase as u8);
        put_number(buffer, self.runs);
        put_long(self.run_time.as_nanos(), buffer);
        self.run_times.put(buffer);
    }

    /// Goes on with the counts of the system of its name and phase, if they were saved.
    pub(super) fn resume(&mut self, saved: &mut Vec<SavedSystem>) {
        let is_same = |each: &SavedSystem| each.name == self.name && each.phase == self.phase as u8;
        let Some(found) = saved.iter().position(is_same) else { return };
        let SavedSystem { runs, run_time, run_times, .. } = saved.remove(found);
        (self.runs, self.run_time, self.run_times) = (runs, run_time, run_times);
    }

    pub(super) fn statistics(&self) -> SystemStatistics {
        SystemStatistics {
            name: self.name.clone(),
            phase: self.phase,
            runs: self.runs,
            run_time: self.run_time,
            run_time_p99: self.run_times.quantile(0.99),
        }
    }
}

impl fmt::Debug for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("System")
            .field("name", &self.name)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
