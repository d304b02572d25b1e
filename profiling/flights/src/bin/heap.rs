//! The heap profile of the main job: the run with shared snapshots under dhat.
//!
//! Writes a file for dhat's viewer and prints the totals. A run that fails leaves the file as it
//! was.

use std::fs::{self, OpenOptions};
use std::mem;
use std::process::ExitCode;

use clap::Parser;
use dhat::HeapStats;
use profiling::arguments::{HeapArguments, ScenarioArguments};
use profiling::job::{self, JobError};
use profiling::measure::measure;
use profiling::scenario::{Scenario, Sharing};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() -> ExitCode {
    let arguments = HeapArguments::parse();
    let output = &arguments.output;
    if is_input(&arguments) {
        return job::fail(&format!("cannot write {}: it is the input", output.display()));
    }
    // The profiler writes when it is dropped, which is too late to find out that it can't.
    let existed = output.exists();
    if let Err(error) = OpenOptions::new().append(true).create(true).open(output) {
        return job::fail(&format!("cannot write {}: {error}", output.display()));
    }
    let profiler = dhat::Profiler::builder().file_name(output).build();
    match run(&arguments) {
        Ok(()) => {
            drop(profiler);
            ExitCode::SUCCESS
        }
        Err(error) => {
            // A profiler that isn't dropped writes nothing.
            mem::forget(profiler);
            if !existed {
                // An empty file left behind is a smaller fault than the one that is reported.
                let _ = fs::remove_file(output);
            }
            job::fail(&error)
        }
    }
}

/// Whether the profile would be written over one of the files that are read.
fn is_input(arguments: &HeapArguments) -> bool {
    let Ok(output) = fs::canonicalize(&arguments.output) else { return false };
    let ScenarioArguments { flights, airports, .. } = &arguments.scenario;
    let mut inputs = flights.iter().chain(airports).filter_map(|path| fs::canonicalize(path).ok());
    inputs.any(|input| input == output)
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
