//! The timeline: the runs of the last frames, in a ring of fixed size.
//!
//! A run is entered once it has landed, when all its times are known. Its own thread takes them, and they
//! come back with its job, so workers share nothing for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convoy_pool::MemoryError;

use crate::storage::SnapshotId;

use super::module::ModuleId;

/// One run of a module, from when it joined its snapshot to when it left it.
///
/// Times count from when the host was started. A module that keeps clones of its views holds their
/// snapshots for longer than its runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ModuleRun {
    /// The module.
    pub module: ModuleId,
    /// The convoy's place in [`HostStatistics::convoys`](super::HostStatistics::convoys).
    pub convoy: usize,
    /// The snapshot that the run read.
    pub snapshot: SnapshotId,
    /// The tick of that snapshot.
    pub tick: u64,
    /// The frame of the host on which the run was given its view, counted from one.
    pub frame: u64,
    /// The frame of the host on which it landed, or after which.
    pub landed: u64,
    /// When its convoy took its views.
    pub joined: Duration,
    /// When the run began.
    pub began: Duration,
    /// When it ended.
    pub ended: Duration,
    /// When its view was dropped: at its end, or in lock step where it landed or its view was released.
    pub left: Duration,
    /// Whether it ended in a panic.
    pub panicked: bool,
}

/// The times of the run that a job is on, and what it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunTimes {
    pub(super) snapshot: SnapshotId,
    pub(super) tick: u64,
    pub(super) frame: u64,
    pub(super) joined: Instant,
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) left: Instant,
    pub(super) panicked: bool,
}

impl RunTimes {
    /// Those of a run that has just been given its view.
    pub(super) fn new((snapshot, tick): (SnapshotId, u64), frame: u64, joined: Instant) -> Self {
        let (began, ended, left) = (joined, joined, joined);
        Self { snapshot, tick, frame, joined, began, ended, left, panicked: false }
    }
}

/// The runs of the last frames.
#[derive(Debug)]
pub(super) struct Timeline {
    /// In the order in which they landed. It never grows.
    runs: VecDeque<ModuleRun>,
    runs_max: usize,
    /// How many frames are kept; none where nothing is.
    frames: u32,
    start: Instant,
}

impl Timeline {
    /// A timeline that keeps nothing.
    pub(super) fn off() -> Self {
        Self { runs: VecDeque::new(), runs_max: 0, frames: 0, start: Instant::now() }
    }

    /// Keeps the runs that land on the last `frames` frames from now on, of which each has at the most one
    /// of each of `modules`.
    pub(super) fn start(&mut self, frames: u32, modules: usize) -> Result<(), MemoryError> {
        let count = (frames as usize).saturating_mul(modules);
        let requested_bytes = count.saturating_mul(size_of::<ModuleRun>());
        let mut runs = VecDeque::new();
        runs.try_reserve_exact(count).map_err(|_| MemoryError::Heap { requested_bytes })?;
        *self = Self { runs, runs_max: count, frames, start: Instant::now() };
        Ok(())
    }

    /// Makes room for so many modules.
    pub(super) fn grow(&mut self, modules: usize) -> Result<(), MemoryError> {
        let count = (self.frames as usize).saturating_mul(modules);
        let more = count.saturating_sub(self.runs.len());
        let requested_bytes = more.saturating_mul(size_of::<ModuleRun>());
        let reserved = self.runs.try_reserve_exact(more);
        reserved.map_err(|_| MemoryError::Heap { requested_bytes })?;
        self.runs_max = self.runs_max.max(count);
        Ok(())
    }

    /// Forgets all runs.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }

    pub(super) fn is_on(&self) -> bool {
        self.frames > 0
    }

    /// The runs that landed on the last frames, of which `frame` is the newest.
    pub(super) fn runs(&self, frame: u64) -> impl DoubleEndedIterator<Item = &ModuleRun> + Clone {
        let frames = u64::from(self.frames);
        self.runs.iter().filter(move |run| run.landed + frames > frame)
    }

    /// Enters a run that lands on frame `landed`.
    pub(super) fn enter(
        &mut self,
        (module, convoy): (ModuleId, usize),
        times: &RunTimes,
        landed: u64,
    ) {
        if self.runs.len() == self.runs_max {
            self.runs.pop_front();
        }
        let since = |time: Instant| time.saturating_duration_since(self.start);
        self.runs.push_back(ModuleRun {
            module,
            convoy,
            snapshot: times.snapshot,
            tick: times.tick,
            frame: times.frame,
            landed,
            joined: since(times.joined),
            began: since(times.began),
            ended: since(times.ended),
            left: since(times.left),
            panicked: times.panicked,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

    use super::*;
    use crate::{ComponentMask, SnapshotPool, World};

    #[test]
    fn runs_are_those_of_the_last_frames_and_the_ring_never_grows() {
        let pool = SnapshotPool::default();
        let snapshot = World::new().capture(ComponentMask::ALL, &pool).id();
        let mut timeline = Timeline::off();
        timeline.start(3, 2).unwrap();
        let room = timeline.runs.capacity();
        for landed in 1..=10 {
            for module in 0..2 {
                // One of them takes two frames for each run.
                if module == 0 || landed % 2 == 0 {
                    let times = RunTimes::new((snapshot, landed), landed, Instant::now());
                    timeline.enter((ModuleId::new(module), 0), &times, landed);
                }
            }
        }
        let landed: Vec<u64> = timeline.runs(10).map(|run| run.landed).collect();
        assert_eq!(landed, [8, 8, 9, 10, 10]);
        assert_eq!((timeline.runs(100).count(), timeline.runs.capacity()), (0, room));
        assert!(size_of::<ModuleRun>() <= 176, "as the configuration says");
        assert!(timeline.start(u32::MAX, usize::MAX).is_err());
    }
}
