//! The main job, under an allocator that counts requests.

use std::process::ExitCode;

use clap::Parser;
use profiling::arguments::Arguments;
use profiling::job;
use profiling::measure::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    job::run(&Arguments::parse())
}
