//! The main job, under an allocator that counts requests.

use std::process::ExitCode;

use clap::Parser;
use convoy_profiling::Allocator;
use profiling::arguments::Arguments;
use profiling::job;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::SYSTEM;

fn main() -> ExitCode {
    job::run(&Arguments::parse())
}
