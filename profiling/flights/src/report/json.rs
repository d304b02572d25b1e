//! The comparison as one JSON object.

use std::time::Duration;

use serde_json::{Value, json};

use super::comparison::Comparison;
use crate::analysis::PAIRS_LISTED_MAX;

/// The comparison for programs. Times are nanoseconds, sizes bytes, ratios and rates shares of one;
/// checksums are hexadecimal text, as 64 bits don't fit every reader's numbers. Counts of the heap
/// are null when nothing counts them.
pub fn to_json(comparison: &Comparison) -> Value {
    let Comparison { individual, convoy, .. } = comparison;
    let modules = individual.results.iter().zip(&convoy.results).map(|(individual, convoy)| {
        json!({
            "name": convoy.name,
            "runs": convoy.runs,
            "checksum": format!("{:016x}", convoy.checksum),
            "equal": individual == convoy,
        })
    });
    let modules: Vec<Value> = modules.collect();
    json!({
        "frames": convoy.frames,
        "flights": comparison.flights,
        "skipped_rows": comparison.skipped_rows,
        "cancelled_flights": comparison.cancelled_flights,
        "threads": comparison.threads,
        "overlap": comparison.overlap,
        "load_s": comparison.load_s,
        "departed_flights": convoy.departed,
        "landed_flights": convoy.landed,
        "airborne_peak": convoy.airborne_peak,
        "memory_ratio": comparison.memory_ratio(),
        "sync_ratio": comparison.sync_ratio(),
        "snapshot_bytes_individual": individual.snapshot_bytes,
        "snapshot_bytes_convoy": convoy.snapshot_bytes,
        "sync_ns_individual": nanoseconds(individual.sync_time),
        "sync_ns_convoy": nanoseconds(convoy.sync_time),
        "simulation_ns_individual": nanoseconds(individual.simulation_time),
        "simulation_ns_convoy": nanoseconds(convoy.simulation_time),
        "frame_ns_individual": nanoseconds(individual.frame_time),
        "frame_ns_convoy": nanoseconds(convoy.frame_time),
        "reuse_rate": convoy.reuse_rate,
        "steady_frames": convoy.steady_frames,
        "steady_allocations": convoy.heap.map(|heap| heap.allocations + heap.reallocations),
        "steady_frees": convoy.heap.map(|heap| heap.frees),
        "mapped_growth_bytes": convoy.mapped_growth_bytes,
        "alert_commands": convoy.alert_commands,
        "conflict_pairs_max": convoy.conflict_pairs_max,
        "conflict_pairs_listed_max": convoy.conflict_pairs_max.min(PAIRS_LISTED_MAX as u64),
        "faults": individual.faults + convoy.faults,
        "results_equal": comparison.results_equal(),
        "checksum": format!("{:016x}", convoy.checksum),
        "modules": modules,
    })
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
