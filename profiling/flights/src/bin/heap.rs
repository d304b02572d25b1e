//! The heap profile of a stretch of a simulation.
//!
//! Writes a file for dhat's viewer and prints the totals and the heaviest call sites. A run that fails leaves
//! the file as it was.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use convoy_profiling::{Allocator, HeapProfile, Profile};
use profiling::arguments::{HeapArguments, ScenarioArguments};
use profiling::job::{self, JobError};
use profiling::stretches::Stretch;

#[global_allocator]
static ALLOCATOR: Allocator<dhat::Alloc> = Allocator::DHAT;

fn main() -> ExitCode {
    match run(&HeapArguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => job::fail(&error),
    }
}

fn run(arguments: &HeapArguments) -> Result<(), String> {
    let output = &arguments.output;
    if is_input(arguments) {
        return Err(format!("cannot write {}: it is the input", output.display()));
    }
    let mut stretch = Stretch::new(arguments.stretch, &arguments.scenario).map_err(message)?;
    if arguments.regression {
        stretch.regress();
    }
    // The profiler writes at its end, which is too late to find out that it can't.
    let before = fs::read(output).ok();
    let opened = OpenOptions::new().append(true).create(true).open(output);
    opened.map_err(|error| format!("cannot write {}: {error}", output.display()))?;
    let mut profile = Profile::new(format!("{:?}", arguments.stretch)).file(output);
    if let Some(pool) = stretch.pool() {
        profile = profile.pool(pool);
    }
    let (outcome, profile) = profile.run_world(&mut stretch, Stretch::world, Stretch::run);
    if let Err(error) = outcome {
        // The file as it was matters less than the fault that is reported.
        let _ = match before {
            Some(bytes) => fs::write(output, bytes),
            None => fs::remove_file(output),
        };
        return Err(message(error));
    }
    print(&profile, stretch.replica_bytes()).map_err(|error| message(JobError::Output(error)))
}

/// The profile, and the memory of copies, which are neither the world's nor on the heap.
fn print(profile: &HeapProfile, replica_bytes: usize) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{profile}")?;
    if replica_bytes > 0 {
        writeln!(output, "  copies of modules, in worlds of their own: {replica_bytes} bytes")?;
    }
    Ok(())
}

fn message(error: JobError) -> String {
    error.to_string()
}

/// Whether the profile would be written over one of the files that are read.
fn is_input(arguments: &HeapArguments) -> bool {
    let Ok(output) = fs::canonicalize(&arguments.output) else { return false };
    let ScenarioArguments { flights, airports, .. } = &arguments.scenario;
    let mut inputs = flights.iter().chain(airports).filter_map(|path| fs::canonicalize(path).ok());
    inputs.any(|input| input == output)
}
