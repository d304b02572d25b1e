//! [`Comparison`]: both runs side by side, and whether the targets are met.

use crate::measure::Measurement;

/// Snapshots take at most this share of the memory of individual copies.
pub(super) const MEMORY_RATIO_MAX: f64 = 0.05;

/// Captures and copies on write take at most this share of the time of individual syncs.
pub(super) const SYNC_RATIO_MAX: f64 = 0.10;

/// At least this share of snapshots is captured into a cell that was used before.
pub(super) const REUSE_RATE_MIN: f64 = 0.95;

/// Whether a target is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// It was not measured.
    Unknown,
}

impl Verdict {
    /// The verdict on a condition.
    pub(super) fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unknown => "unknown",
        }
    }
}

/// Both runs of the scenario, and the input that they had.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Flights simulated.
    pub flights: usize,
    /// Rows of both input files that could not be used.
    pub skipped_rows: u64,
    /// Flights of the input that were cancelled, and are not simulated.
    pub cancelled_flights: u64,
    /// Worker threads; 0 if the modules ran on the simulation's thread.
    pub threads: usize,
    /// Whether frames began while modules still read.
    pub overlap: bool,
    /// Seconds from the start to the end of loading both files.
    pub load_s: f64,
    /// The run with a physical copy for each module.
    pub individual: Measurement,
    /// The run with shared snapshots.
    pub convoy: Measurement,
}

impl Comparison {
    /// Bytes of snapshots over bytes of copies.
    pub fn memory_ratio(&self) -> f64 {
        ratio(self.convoy.snapshot_bytes as f64, self.individual.snapshot_bytes as f64)
    }

    /// Time of captures, joins and copies on write over time of syncs.
    pub fn sync_ratio(&self) -> f64 {
        ratio(self.convoy.sync_time.as_secs_f64(), self.individual.sync_time.as_secs_f64())
    }

    /// Whether the modules of both runs found the same, and every one of their runs came about.
    pub fn results_equal(&self) -> bool {
        let (individual, convoy) = (&self.individual, &self.convoy);
        individual.results == convoy.results
            && individual.checksum == convoy.checksum
            && individual.conflict_pairs_max == convoy.conflict_pairs_max
            && individual.faults + convoy.faults == 0
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
