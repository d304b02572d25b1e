//! [`measure`]: steps a scenario and adds up its cost.
//!
//! A run begins with a warm-up, in which replicas are filled for the first time, pools are
//! stocked and lists find their size. Times, allocations and growth count from its end: in the
//! *steady* frames. Peaks of memory count from the first frame.

use std::time::{Duration, Instant};

use convoy_profiling::{HeapCounts, is_counting, uncounted};

use super::frames::Frame;
use crate::modules::ModuleResult;
use crate::scenario::{Scenario, ScenarioError};

/// Frames of the warm-up: ten seconds of the host's time. A run of less than twice as many frames
/// warms up for half of them.
pub const WARM_UP_FRAMES: u64 = 600;

/// How many of `frames` frames are the warm-up.
pub fn warm_up_of(frames: u64) -> u64 {
    WARM_UP_FRAMES.min(frames / 2)
}

/// The cost of one run of a scenario.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// Frames run, the warm-up included.
    pub frames: u64,
    /// Frames after the warm-up.
    pub steady_frames: u64,
    /// Flights that had left after the last frame, landed ones included.
    pub departed: usize,
    /// Flights that had landed after the last frame.
    pub landed: usize,
    /// The most flights that were in the air after a frame.
    pub airborne_peak: usize,
    /// Time that views cost the simulation's thread in steady frames: captures, joins and
    /// syncs, and copies on write.
    pub sync_time: Duration,
    /// Time of the simulation itself in steady frames, copies on write included.
    pub simulation_time: Duration,
    /// Time of the steady frames as a whole, with waits for modules that are to land.
    pub frame_time: Duration,
    /// The most bytes that snapshots or copies took at one time: chunks that only snapshots kept
    /// alive and their lists of chunks, or the chunks of all copies. Never the slack of a pool.
    pub snapshot_bytes: usize,
    /// The share of snapshots that were captured into a cell that was used before.
    pub reuse_rate: f64,
    /// Use of the heap in steady frames by the simulation's thread and the workers; `None` without an
    /// allocator that counts.
    pub heap: Option<HeapCounts>,
    /// Bytes that the live world mapped in steady frames.
    pub mapped_growth_bytes: usize,
    /// The findings of the modules.
    pub results: Vec<ModuleResult>,
    /// One checksum over the results.
    pub checksum: u64,
    /// Runs of modules that did not come about or did not end: panics, overruns and refusals, and
    /// commands that failed.
    pub faults: u64,
    /// Alerts that conflict detection inserted and removed.
    pub alert_commands: u64,
    /// The most pairs of flights in conflict at one time.
    pub conflict_pairs_max: u64,
}

/// Runs a scenario to the end of frame `frames`: from the first one on, or from the one that a resumed scenario
/// stands at. `on_frame` is told of each frame that is over; neither its time nor its use of the heap is counted.
///
/// # Errors
///
/// Those of [`Scenario::step`].
pub fn measure(
    scenario: &mut Scenario,
    frames: u64,
    mut on_frame: impl FnMut(&mut Frame<'_>),
) -> Result<Measurement, ScenarioError> {
    let first = scenario.world().tick();
    let frames = frames.max(first);
    let warm_up = first + warm_up_of(frames - first);
    if is_counting() {
        scenario.threads().enroll();
    }
    let mut peaks = Peaks::default();
    let mut steady = Reading::take(scenario, Duration::ZERO);
    let mut frame_time = Duration::ZERO;
    for frame in first + 1..=frames {
        let began = Instant::now();
        scenario.step()?;
        let time = began.elapsed();
        frame_time += time;
        peaks.observe(scenario);
        uncounted(|| on_frame(&mut Frame { number: frame, time, scenario }));
        if frame == warm_up {
            steady = Reading::take(scenario, frame_time);
        }
    }
    let end = Reading::take(scenario, frame_time);
    scenario.finish();
    peaks.observe(scenario);
    let modules = scenario.statistics().modules;
    let faults = modules
        .iter()
        .map(|module| module.panics + module.overruns + module.refused + module.playback.failed);
    let pool = scenario.host().pool().map(|pool| pool.statistics());
    Ok(Measurement {
        frames: frames - first,
        steady_frames: frames - warm_up,
        departed: scenario.progress().departed(),
        landed: scenario.progress().landed(),
        airborne_peak: peaks.airborne,
        sync_time: end.sync_time - steady.sync_time,
        simulation_time: end.simulation_time - steady.simulation_time,
        frame_time: end.frame_time - steady.frame_time,
        snapshot_bytes: peaks.snapshot_bytes(scenario),
        reuse_rate: pool.map_or(0.0, |pool| pool.reuse_rate()),
        heap: is_counting().then(|| end.heap - steady.heap),
        mapped_growth_bytes: end.mapped_bytes - steady.mapped_bytes,
        results: scenario.results(),
        checksum: scenario.checksum(),
        faults: faults.sum(),
        // Each comes with an event.
        alert_commands: modules.iter().map(|module| module.playback.applied).sum::<u64>() / 2,
        conflict_pairs_max: scenario.conflict_pairs_max(),
    })
}

/// Everything that is counted from the end of the warm-up, as it stands at one moment.
#[derive(Clone, Copy)]
struct Reading {
    sync_time: Duration,
    simulation_time: Duration,
    frame_time: Duration,
    heap: HeapCounts,
    mapped_bytes: usize,
}

impl Reading {
    fn take(scenario: &Scenario, frame_time: Duration) -> Self {
        Self {
            sync_time: scenario.sync_time(),
            simulation_time: uncounted(|| scenario.simulation_time()),
            frame_time,
            heap: scenario.threads().total(),
            mapped_bytes: scenario.world().memory().mapped_bytes,
        }
    }
}

/// The largest values seen.
#[derive(Default)]
struct Peaks {
    airborne: usize,
    active_captures: usize,
    replica_bytes: usize,
}

impl Peaks {
    fn observe(&mut self, scenario: &Scenario) {
        let captures = scenario.world().memory().active_captures;
        self.airborne = self.airborne.max(scenario.progress().airborne());
        self.active_captures = self.active_captures.max(captures);
        self.replica_bytes = self.replica_bytes.max(scenario.replica_bytes());
    }

    /// An upper bound for snapshots: both of its peaks need not fall on one frame, and every
    /// active snapshot counts with the longest lists of any.
    fn snapshot_bytes(&self, scenario: &Scenario) -> usize {
        if scenario.replica_bytes() > 0 {
            return self.replica_bytes;
        }
        let retained_bytes = scenario.world().memory().retained_bytes_peak;
        retained_bytes + self.active_captures * scenario.list_bytes_max()
    }
}
