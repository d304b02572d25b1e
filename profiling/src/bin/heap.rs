//! The heap profile of the main job: the run with shared snapshots under dhat.
//!
//! Writes a file for dhat's viewer and prints the totals.

use std::fs::File;
use std::process::ExitCode;

use clap::Parser;
use dhat::HeapStats;
use profiling::arguments::HeapArguments;
use profiling::job::{self, JobError};
use profiling::measure::measure;
use profiling::scenario::{Scenario, Sharing};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() -> ExitCode {
    let arguments = HeapArguments::parse();
    // The profiler writes when it is dropped, which is too late to find out that it can't.
    if let Err(error) = File::create(&arguments.output) {
        return job::fail(&format!("cannot write {}: {error}", arguments.output.display()));
    }
    let profiler = dhat::Profiler::builder().file_name(&arguments.output).build();
    let outcome = run(&arguments);
    drop(profiler);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => job::fail(&error),
    }
}

fn run(arguments: &HeapArguments) -> Result<(), JobError> {
    let prepared = job::prepare(&arguments.scenario)?;
    let flights = prepared.timetable.flights().len();
    let loaded = HeapStats::get();
    let config = arguments.scenario.config(Sharing::Convoy);
    let mut scenario = Scenario::new(prepared.timetable, config)?;
    let spawned = HeapStats::get();
    let frames = arguments.scenario.frames.get();
    let measurement = measure(&mut scenario, frames, |_| ())?;
    let ended = HeapStats::get();
    job::note(&format!(
        "{flights} flights, {frames} frames, at most {} airborne",
        measurement.airborne_peak
    ));
    for (phase, before, after) in
        [("loading", 0, &loaded), ("spawning", loaded.total_blocks, &spawned)]
    {
        let blocks = after.total_blocks - before;
        job::note(&format!("{phase}: {blocks} blocks, {} bytes alive after it", after.curr_bytes));
    }
    let blocks = ended.total_blocks - spawned.total_blocks;
    job::note(&format!("frames: {blocks} blocks, {} bytes alive after them", ended.curr_bytes));
    Ok(())
}
