//! [`SteadyState`]: a test that frames, once warm, allocate nothing.

#[cfg(feature = "engine")]
use convoy_engine::{SnapshotPool, World};

use crate::budget::Budget;
use crate::process::{ProcessReading, notices_mappings};
use crate::report::{Measured, Report};
use crate::threads::{Threads, rebase_strangers, strangers};
use crate::world::WorldCounts;

/// Frames that are measured unless the test says otherwise.
const FRAMES: u64 = 1_000;
/// Frames of the warm-up unless the test says otherwise.
const WARM_UP: u64 = 100;

/// A test of the steady state of a simulation, or of any other loop: after a warm-up, in which lists find
/// their size, its frames keep to a [`Budget`], by default of nothing.
///
/// Counted are the threads that are enrolled in [`SteadyState::threads`], and the one that runs the frames.
/// So the test runs beside others, in libtest and under load; the counts of all other threads are
/// [reported](Report::strangers), and not asserted.
///
/// Before the frames the kit makes sure that it would notice: an allocation and a free on each thread as it
/// is enrolled and, in tests that are [alone](SteadyState::alone), a mapping.
///
/// ```
/// use convoy_profiling::{Allocator, SteadyState};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// let mut squares = Vec::with_capacity(8);
/// let test = SteadyState::new("squares").warm_up(10).frames(1_000);
/// test.run(|frame| {
///     squares.clear();
///     squares.extend((0..8).map(|number| number * frame));
/// })
/// .assert();
/// ```
#[derive(Debug)]
#[must_use = "a test does nothing before it is run"]
pub struct SteadyState {
    name: String,
    warm_up: u64,
    frames: u64,
    budget: Budget,
    is_alone: bool,
    threads: Threads,
    #[cfg(feature = "engine")]
    pool: Option<SnapshotPool>,
}

impl SteadyState {
    /// A test of 100 frames of warm-up and 1,000 that are measured. Its report begins with the name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            warm_up: WARM_UP,
            frames: FRAMES,
            budget: Budget::ZERO,
            is_alone: false,
            threads: Threads::new(),
            #[cfg(feature = "engine")]
            pool: None,
        }
    }

    /// Runs so many frames first, which may do anything: more than the longest period of the simulation.
    pub fn warm_up(mut self, frames: u64) -> Self {
        self.warm_up = frames;
        self
    }

    /// Measures so many frames, at least one.
    pub fn frames(mut self, frames: u64) -> Self {
        self.frames = frames;
        self
    }

    /// The most that all measured frames may use together.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Says that nothing else runs in this process, so that its mappings and its resident memory are the
    /// test's own, and asserts them on Linux, where the system counts them. For tests with
    /// `harness = false`, and for binaries.
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// Reports how many snapshots this pool had to make cells for, beside the counts of the world.
    #[cfg(feature = "engine")]
    pub fn pool(mut self, pool: &SnapshotPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }

    /// The threads that are counted. Enrol those of pools by their start handlers, such as
    #[cfg_attr(
        feature = "engine",
        doc = "[`ModuleHost::on_worker_start`](convoy_engine::host::ModuleHost::on_worker_start),"
    )]
    #[cfg_attr(not(feature = "engine"), doc = "that of a module host,")]
    /// as the example of [`Threads`] does.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Runs the frames, each with its number: from 0 in the warm-up, and from 0 again in the frames that are
    /// measured.
    ///
    /// # Panics
    ///
    /// When no frame is to be measured, when the kit would not notice an allocation or, in a test that is
    /// alone, a mapping; when another test has enrolled one of the threads before the last frame; and when
    /// `frame` does.
    #[track_caller]
    pub fn run(self, mut frame: impl FnMut(u64)) -> Report {
        self.measure(&mut (), |(), number| frame(number), |()| None)
    }

    /// As [`SteadyState::run`], and reports the counts of a world of `state` as well. Bytes that the world
    /// has mapped are asserted like those of the process, and also in tests that are not alone.
    ///
    /// ```
    /// use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// use convoy_profiling::{Allocator, SteadyState};
    ///
    /// #[global_allocator]
    /// static ALLOCATOR: Allocator = Allocator::SYSTEM;
    ///
    /// let mut world = World::new();
    /// world.spawn_batch((0..1_000_u32).map(|number| (number,))).unwrap();
    /// let pool = SnapshotPool::for_world(&world);
    /// let mut view = None;
    /// let test = SteadyState::new("capture");
    /// let report = test.run_world(&mut world, |world| world, |world, _| {
    ///     view = Some(world.capture(ComponentMask::ALL, &pool));
    ///     world.query_mut::<&mut u32>().for_each(|number| *number += 1);
    /// });
    /// report.assert();
    /// assert!(report.world().unwrap().chunks_copied >= 1_000);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`SteadyState::run`].
    #[cfg(feature = "engine")]
    #[track_caller]
    pub fn run_world<S>(
        self,
        state: &mut S,
        world: impl Fn(&S) -> &World,
        frame: impl FnMut(&mut S, u64),
    ) -> Report {
        let pool = self.pool.clone();
        self.measure(state, frame, |state| Some(WorldCounts::take(world(state), pool.as_ref())))
    }

    #[track_caller]
    fn measure<S>(
        self,
        state: &mut S,
        mut frame: impl FnMut(&mut S, u64),
        world: impl Fn(&S) -> Option<WorldCounts>,
    ) -> Report {
        let Self { name, warm_up, frames, budget, is_alone, threads, .. } = self;
        assert!(frames > 0, "a test of no frame can't fail");
        threads.enroll();
        // Others may unmap as much at the same moment.
        assert!(
            !is_alone
                || (0..10).any(|_| notices_mappings())
                || ProcessReading::take(false).is_none(),
            "a mapping was not noticed"
        );
        (0..warm_up).for_each(|number| frame(state, number));
        if is_alone {
            // Else the first records of requests within the budget would be resident growth.
            threads.make_room_for_records();
        }
        threads.rebase();
        rebase_strangers();
        let before = threads.counts();
        let (strangers_before, world_before) = (strangers(), world(state));
        let process_before = ProcessReading::take(is_alone);
        threads.arm(true);
        for number in 0..frames {
            threads.begin_frame(number);
            frame(state, number);
        }
        threads.arm(false);
        let process = ProcessReading::take(is_alone).zip(process_before);
        let (strangers_after, world_after) = (strangers(), world(state));
        if let Some(thread) = threads.lost() {
            panic!(
                "thread {thread:?} was enrolled by another test, so that {name:?} did not count it"
            );
        }
        let after = threads.counts().into_iter();
        let (offenders, requests) = threads.take_offenders();
        // Threads that were enrolled meanwhile come last, and count from their first request on.
        let spent = after.enumerate().map(|(number, (thread, counts))| {
            let before = before.get(number).map_or_else(Default::default, |(_, before)| *before);
            (thread, counts - before)
        });
        Report::new(Measured {
            name,
            warm_up,
            frames,
            budget,
            is_alone,
            threads: spent.collect(),
            strangers: strangers_after - strangers_before,
            process: process.map(|(after, before)| after.since(before)),
            offenders,
            requests,
            world: world_after.zip(world_before).map(|(after, before)| after.since(before)),
        })
    }
}
