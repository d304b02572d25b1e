//! The report of a run with checkpoints: one run, and no comparison.

use std::fmt::Write;

use serde_json::{Value, json};

use super::format::{bytes, count, time_per_frame};
use super::json::nanoseconds;
use crate::measure::Measurement;
use crate::saving::SavingCosts;

/// A run that was saved, resumed, or both, and the input that it had.
#[derive(Debug, Clone)]
pub struct SavedRun {
    /// Flights simulated.
    pub flights: usize,
    /// Rows of both input files that could not be used.
    pub skipped_rows: u64,
    /// The frame after which it went on, zero for one from the beginning.
    pub resumed_after: u64,
    /// The run from there on. The results of modules are those of all frames.
    pub run: Measurement,
    /// The cost of its checkpoints; `None` where none were written.
    pub costs: Option<SavingCosts>,
}

/// The run for people.
pub fn to_saved_table(saved: &SavedRun) -> String {
    let SavedRun { run, resumed_after, .. } = saved;
    let mut text = format!(
        "{} flights, {} rows skipped, frames {} to {}, of which {} are steady, at most {} airborne\n\n",
        count(saved.flights as u64),
        count(saved.skipped_rows),
        count(resumed_after + 1),
        count(resumed_after + run.frames),
        count(run.steady_frames),
        count(run.airborne_peak as u64),
    );
    let mut lines = Vec::new();
    if run.steady_frames > 0 {
        let per_frame = |total| time_per_frame(total, run.steady_frames);
        lines.push(("capture and copy-on-write, per frame", per_frame(run.sync_time)));
        lines.push(("simulation, per frame", per_frame(run.simulation_time)));
        lines.push(("whole frame, with waits for modules", per_frame(run.frame_time)));
    }
    if let Some(costs) = &saved.costs {
        let each = |total| time_per_frame(total, costs.checkpoints);
        lines.push(("checkpoints", count(costs.checkpoints)));
        lines.push(("capture, per checkpoint", each(costs.capture_time)));
        lines.push(("states of modules, per checkpoint", each(costs.state_time)));
        lines.push(("written in all", bytes(costs.bytes_written as usize)));
        lines.push(("file", bytes(costs.file_bytes as usize)));
        if costs.failed > 0 {
            lines.push(("checkpoints that failed", count(costs.failed)));
        }
    }
    lines.push(("checksum of module results", format!("{:016x}", run.checksum)));
    let width = lines.iter().map(|line| line.1.chars().count()).max().unwrap_or(0);
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<36}  {value:>width$}");
    }
    let _ = writeln!(text, "\n{:<36}  {:>width$}  runs", "module", "checksum");
    for result in &run.results {
        let checksum = format!("{:016x}", result.checksum);
        let _ = writeln!(text, "{:<36}  {checksum:>width$}  {}", result.name, count(result.runs));
    }
    let _ = writeln!(
        text,
        "\n{} of {} flights departed and {} landed, {} faults of modules",
        count(run.departed as u64),
        count(saved.flights as u64),
        count(run.landed as u64),
        count(run.faults),
    );
    text
}

/// The run for programs, as [`to_json`](super::to_json) has it; checkpoints are null where none were written.
pub fn to_saved_json(saved: &SavedRun) -> Value {
    let run = &saved.run;
    let modules = run.results.iter().map(|result| {
        let checksum = format!("{:016x}", result.checksum);
        json!({ "name": result.name, "runs": result.runs, "checksum": checksum })
    });
    let modules: Vec<Value> = modules.collect();
    let checkpoints = saved.costs.map(|costs| {
        json!({
            "completed": costs.checkpoints,
            "failed": costs.failed,
            "capture_ns": nanoseconds(costs.capture_time),
            "state_ns": nanoseconds(costs.state_time),
            "bytes_written": costs.bytes_written,
            "file_bytes": costs.file_bytes,
        })
    });
    json!({
        "frames": run.frames,
        "resumed_after": saved.resumed_after,
        "flights": saved.flights,
        "skipped_rows": saved.skipped_rows,
        "departed_flights": run.departed,
        "landed_flights": run.landed,
        "airborne_peak": run.airborne_peak,
        "snapshot_bytes_convoy": run.snapshot_bytes,
        "sync_ns_convoy": nanoseconds(run.sync_time),
        "simulation_ns_convoy": nanoseconds(run.simulation_time),
        "frame_ns_convoy": nanoseconds(run.frame_time),
        "steady_frames": run.steady_frames,
        "alert_commands": run.alert_commands,
        "conflict_pairs_max": run.conflict_pairs_max,
        "faults": run.faults,
        "checksum": format!("{:016x}", run.checksum),
        "modules": modules,
        "checkpoints": checkpoints,
    })
}
