//! The command lines of the main job and of its heap profile.
//!
//! Without arguments both run on the embedded week with settings that suit the machine. A value
//! that cannot be meant is refused with one line that names the argument, and exit status 2.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::thread;

use clap::{Args, Parser, Subcommand};

use crate::input::{EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, Source};
use crate::inspect::InspectArguments;
use crate::scenario::{CopyMasks, FRAMES_PER_S, ScenarioConfig, Sharing};
use crate::stretches::StretchKind;

/// The fastest that simulated time may run: a frame is then 1,000 simulated seconds.
const TIME_SCALE_MAX: f64 = 60_000.0;

/// More threads than any machine has use for.
const THREADS_MAX: usize = 1_024;

/// Replays a week of air traffic on the Convoy engine while modules watch it: once with a physical
/// copy for each module and once with shared snapshots.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "airtraffic", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// What to do instead of the main job.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// What to simulate, and how.
    #[command(flatten)]
    pub scenario: ScenarioArguments,

    /// Report as one JSON object.
    #[arg(long)]
    pub json: bool,

    /// Write a page with charts into this folder as well: `index.html`, complete in itself.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,

    /// Run once, with shared snapshots, and save to this file meanwhile: a new one, or that of --resume.
    #[arg(long, value_name = "FILE", conflicts_with = "report")]
    pub checkpoint: Option<PathBuf>,

    /// Seconds of frames between two checkpoints; a second has 60 frames.
    #[arg(long, value_name = "S", default_value = "10", value_parser = parse_every)]
    #[arg(allow_negative_numbers = true, requires = "checkpoint")]
    pub every: NonZeroU64,

    /// Go on from the last checkpoint of this file, with the arguments of the run that wrote it. Results are those of a
    /// run that never stopped. Saves nothing without --checkpoint.
    #[arg(long, value_name = "FILE", conflicts_with = "report")]
    pub resume: Option<PathBuf>,

    /// The types in the copy of each module at 10 Hz in the individual run: those that its convoy
    /// reads, or only its own.
    #[arg(long, value_name = "MASKS", value_enum, default_value_t)]
    pub individual_masks: CopyMasks,
}

/// What to do instead of the main job.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Shows the contents of a checkpoint file of any program, or exports the values of a component.
    Inspect(InspectArguments),
}

/// Runs a stretch of a simulation under dhat, writes its heap profile, and prints the heaviest call sites.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(name = "heap", version)]
pub struct HeapArguments {
    /// The stretch that is profiled.
    #[arg(value_name = "SCENARIO", value_enum, default_value_t)]
    pub stretch: StretchKind,

    /// Make a list anew in each frame: how a regression looks.
    #[arg(long)]
    pub regression: bool,

    /// What to simulate, and how.
    #[command(flatten)]
    pub scenario: ScenarioArguments,

    /// Where the profile goes.
    #[arg(long, value_name = "FILE", default_value = "dhat-heap.json")]
    pub output: PathBuf,
}

/// What to simulate, and how.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ScenarioArguments {
    /// Flights to replay, as CSV or gzip, also as the Bureau of Transportation Statistics publishes
    /// them; the first week of 2001 if absent.
    #[arg(long, value_name = "FILE")]
    pub flights: Option<PathBuf>,

    /// Airports of these flights, as CSV or gzip; those of the United States if absent.
    #[arg(long, value_name = "FILE")]
    pub airports: Option<PathBuf>,

    /// Fail at the first row that cannot be used, instead of skipping it.
    #[arg(long)]
    pub strict: bool,

    /// Frames to simulate, at least 1. At the default time scale a week has 60,480.
    #[arg(long, value_name = "N", default_value = "60480", value_parser = parse_frames)]
    #[arg(allow_negative_numbers = true)]
    pub frames: NonZeroU64,

    /// Simulated seconds in a second of frames: at 600, a frame of 1/60 s is 10 s.
    #[arg(long, value_name = "X", default_value = "600", value_parser = parse_time_scale)]
    #[arg(allow_negative_numbers = true)]
    pub time_scale: f64,

    /// Worker threads for asynchronous modules; 0 runs them on the simulation's thread. One less
    /// than there are cores, and at least 1, if absent.
    #[arg(long, value_name = "N", value_parser = parse_threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,

    /// Begin each frame while modules of the last one still read, instead of giving them the time
    /// of a frame: many more copies on write than at 60 frames a second.
    #[arg(long)]
    pub overlap: bool,

    /// Seed of the checksums; nothing in the simulation is random.
    #[arg(long, value_name = "N", default_value = "2001", allow_negative_numbers = true)]
    pub seed: u64,
}

impl ScenarioArguments {
    /// Where flights come from.
    pub fn flights_source(&self) -> Source<'_> {
        self.flights.as_deref().map_or(EMBEDDED_FLIGHTS, Source::File)
    }

    /// Where airports come from.
    pub fn airports_source(&self) -> Source<'_> {
        self.airports.as_deref().map_or(EMBEDDED_AIRPORTS, Source::File)
    }

    /// How to treat rows that cannot be used.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions { strict: self.strict }
    }

    /// Worker threads: as asked for, or one less than there are cores and at least one.
    pub fn worker_threads(&self) -> usize {
        self.threads.unwrap_or_else(|| {
            let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
            (cores - 1).max(1)
        })
    }

    /// Simulated seconds in one frame.
    pub fn frame_s(&self) -> f64 {
        self.time_scale / f64::from(FRAMES_PER_S)
    }

    /// The scenario of the arguments, with views from `sharing`.
    pub fn config(&self, sharing: Sharing) -> ScenarioConfig {
        ScenarioConfig {
            sharing,
            threads: self.worker_threads(),
            overlap: self.overlap,
            frame_s: self.frame_s(),
            seed: self.seed,
        }
    }
}

fn parse_frames(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| format!("not a whole number from 1 to {}", u64::MAX))
}

/// Seconds as frames.
fn parse_every(text: &str) -> Result<NonZeroU64, String> {
    let frames = text.parse::<f64>().map(|seconds| (seconds * f64::from(FRAMES_PER_S)).ceil());
    let frames = frames.ok().filter(|frames| (1.0..1e15).contains(frames));
    let frames = frames.and_then(|frames| NonZeroU64::new(frames as u64));
    frames.ok_or_else(|| "not a number above 0".to_owned())
}

fn parse_time_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= TIME_SCALE_MAX => Ok(scale),
        _ => Err(format!("not a number above 0 and up to {TIME_SCALE_MAX}")),
    }
}

fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(threads) if threads <= THREADS_MAX => Ok(threads),
        _ => Err(format!("not a whole number from 0 to {THREADS_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["airtraffic"].iter().chain(arguments))
    }

    #[test]
    fn command_line_is_well_formed() {
        Arguments::command().debug_assert();
        HeapArguments::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_embedded_week() {
        let arguments = parse(&[]).unwrap();
        assert!(!arguments.json);
        assert_eq!(arguments.individual_masks, CopyMasks::Convoy);
        let arguments = arguments.scenario;
        assert_eq!(arguments.frames.get(), 60_480);
        assert_eq!(arguments.frame_s(), 10.0);
        assert!(arguments.worker_threads() >= 1);
        assert!(matches!(arguments.flights_source(), Source::Bytes { .. }));
        assert!(matches!(arguments.airports_source(), Source::Bytes { .. }));
    }

    #[test]
    fn every_argument_is_taken() {
        let arguments = parse(&[
            "--flights",
            "f.csv",
            "--airports",
            "a.csv",
            "--strict",
            "--frames",
            "7",
            "--time-scale",
            "60",
            "--threads",
            "0",
            "--json",
            "--report",
            "pages",
            "--seed",
            "9",
            "--individual-masks",
            "own",
        ])
        .unwrap();
        assert!(arguments.json);
        assert_eq!(arguments.report, Some(PathBuf::from("pages")));
        assert_eq!(arguments.individual_masks, CopyMasks::Own);
        let arguments = arguments.scenario;
        assert!(arguments.strict && arguments.load_options().strict);
        assert_eq!((arguments.frames.get(), arguments.seed), (7, 9));
        assert_eq!((arguments.frame_s(), arguments.worker_threads()), (1.0, 0));
        assert_eq!(arguments.flights_source().path(), PathBuf::from("f.csv"));
        assert_eq!(arguments.airports_source().path(), PathBuf::from("a.csv"));
    }

    #[test]
    fn values_that_cannot_be_meant_exit_with_2_and_name_the_argument() {
        for (argument, value) in [
            ("--frames", "0"),
            ("--frames", "-1"),
            ("--frames", "many"),
            ("--frames", "18446744073709551616"),
            ("--time-scale", "0"),
            ("--time-scale", "-600"),
            ("--time-scale", "NaN"),
            ("--time-scale", "inf"),
            ("--time-scale", "60001"),
            ("--threads", "-1"),
            ("--threads", "1025"),
            ("--seed", "x"),
            ("--seed", "-1"),
            ("--every", "0"),
            ("--every", "-1"),
            ("--every", "NaN"),
            ("--individual-masks", "all"),
        ] {
            let error = parse(&["--checkpoint", "file", argument, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{argument} {value}");
            assert!(error.to_string().contains(argument), "{error}");
            assert!(!error.to_string().contains("type"), "no Rust in messages: {error}");
        }
        assert_eq!(parse(&["--unknown"]).unwrap_err().exit_code(), 2);
        assert!(parse(&["--every", "1"]).is_err(), "of nothing");
        assert!(parse(&["--resume", "file", "--report", "pages"]).is_err());
    }
}
