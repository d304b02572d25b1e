//! [`FrameLog`]: each frame of a run, for a report with charts.

use std::collections::TryReserveError;
use std::time::Duration;

use convoy_engine::memory::WorldMemory;
use convoy_engine::query::Has;
use convoy_engine::{Entity, With};
use convoy_profiling::HeapCounts;

use crate::geodesy::Coordinates;
use crate::scenario::Scenario;
use crate::traffic::{Alert, Position};

/// A frame that has just ended.
#[derive(Debug)]
pub struct Frame<'s> {
    /// Its number, counted from one.
    pub number: u64,
    /// Its time as a whole, with waits for modules.
    pub time: Duration,
    /// The scenario after it.
    pub scenario: &'s mut Scenario,
}

/// The numbers of one frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameSample {
    /// Time of the frame as a whole.
    pub time: Duration,
    /// Time of captures, joins and syncs in it.
    pub acquire_time: Duration,
    /// Bytes of snapshots or copies after it.
    pub snapshot_bytes: usize,
    /// The live world's memory after it.
    pub memory: WorldMemory,
    /// Allocations and reallocations of counted threads in it.
    pub allocations: u64,
    /// Flights in the air after it.
    pub airborne: usize,
    /// Flights with an alert after it.
    pub alerts: usize,
}

/// All airborne flights after one frame.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The number of the frame.
    pub frame: u64,
    /// Simulated time, in seconds since the first midnight.
    pub time_s: f64,
    /// Where each flight is, and whether it has an alert.
    pub flights: Vec<(Coordinates, bool)>,
}

/// Each frame of a run, in some 150 bytes, and pictures of chosen ones.
#[derive(Debug)]
pub struct FrameLog {
    samples: Vec<FrameSample>,
    pictures: Vec<Picture>,
    chosen: Vec<u64>,
    acquire_time: Duration,
    heap: HeapCounts,
}

impl FrameLog {
    /// A log with room for `frames` frames, which takes pictures after those in `chosen`.
    ///
    /// # Errors
    ///
    /// When there is no memory for so many frames.
    pub fn new(frames: u64, chosen: Vec<u64>) -> Result<Self, TryReserveError> {
        let mut samples = Vec::new();
        samples.try_reserve_exact(usize::try_from(frames).unwrap_or(usize::MAX))?;
        let (acquire_time, heap) = (Duration::ZERO, HeapCounts::default());
        Ok(Self { samples, pictures: Vec::new(), chosen, acquire_time, heap })
    }

    /// Notes a frame.
    pub fn note(&mut self, frame: &Frame<'_>) {
        let scenario = &*frame.scenario;
        let (acquire_time, heap) = (scenario.host().acquire_time(), scenario.threads().total());
        let used = heap - self.heap;
        let alerted = scenario.world().query::<Entity>().filter::<With<Alert>>();
        self.samples.push(FrameSample {
            time: frame.time,
            acquire_time: acquire_time - self.acquire_time,
            snapshot_bytes: scenario.snapshot_bytes(),
            memory: scenario.world().memory(),
            allocations: used.allocations + used.reallocations,
            airborne: scenario.progress().airborne(),
            alerts: alerted.count(),
        });
        (self.acquire_time, self.heap) = (acquire_time, heap);
        if self.chosen.contains(&frame.number) {
            self.pictures.push(Picture::take(frame));
        }
    }

    /// The frames so far; the first one is frame 1.
    pub fn samples(&self) -> &[FrameSample] {
        &self.samples
    }

    /// The pictures so far.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The frames after the warm-up with the most flights in the air, with the most alerts, and with the
    /// fewest flights in the air: each the first of its kind, in the order of time.
    pub fn notable(&self, warm_up: u64) -> Vec<u64> {
        let steady = || (1..).zip(&self.samples).skip(warm_up as usize);
        let first = |key: &dyn Fn(&FrameSample) -> i64| {
            let found = steady().max_by_key(|&(number, sample)| (key(sample), -(number as i64)));
            found.map(|(number, _)| number)
        };
        let busiest = first(&|sample| sample.airborne as i64);
        let quietest = first(&|sample| -(sample.airborne as i64));
        let most_alerts = first(&|sample| sample.alerts as i64);
        let mut frames: Vec<u64> = [busiest, quietest, most_alerts].into_iter().flatten().collect();
        frames.sort_unstable();
        frames.dedup();
        frames
    }
}

impl Picture {
    fn take(frame: &Frame<'_>) -> Self {
        let scenario = &*frame.scenario;
        let airborne = scenario.world().query::<(&Position, Has<Alert>)>();
        let flights = airborne.iter().map(|(position, alert)| (position.over.into(), alert));
        let time_s = scenario.simulation().clock().at(frame.number);
        Self { frame: frame.number, time_s, flights: flights.collect() }
    }
}
