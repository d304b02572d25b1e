//! The main job: loads the input, runs the scenario both ways, and reports.
//!
//! The report goes to standard output, everything else to standard error, so that the report can be
//! piped. The exit status is 0 if both runs agree, 1 if they differ, and 2 if the job could not be
//! done; then one line on standard error says why. A run with checkpoints is one run; there 1 stands for faults of
//! modules.

use std::collections::TryReserveError;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use convoy_engine::checkpoint::{Checkpoint, CheckpointError, CheckpointReader};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::arguments::{Arguments, Command, ScenarioArguments};
use crate::input::{LoadError, SkippedRows, Source, load_airports, load_flights};
use crate::inspect::inspect;
use crate::measure::{FrameLog, Measurement, measure, warm_up_of};
use crate::report::{
    Comparison, Details, SavedRun, Timeline, to_json, to_page, to_saved_json, to_saved_table,
    to_table,
};
use crate::saving::{IDENTITY, Identity, Saver, SavingError};
use crate::scenario::{Scenario, ScenarioError, Sharing};
use crate::traffic::Timetable;

/// The status of a job that could not be done.
const EXIT_UNUSABLE: u8 = 2;

/// Why a file that is there is not saved to.
const EXISTS: &str = "there already: name it by --resume as well to go on from it, or remove it";

/// Frames between two updates of the progress bar.
const PROGRESS_FRAMES: u64 = 64;

/// Why the job could not be done. The message is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The input can't be used.
    Load(LoadError),
    /// The scenario can't be run.
    Scenario(ScenarioError),
    /// The report can't be written.
    Output(io::Error),
    /// A checkpoint can't be read, or no more can be written.
    Checkpoint {
        /// Its file.
        path: PathBuf,
        /// The cause.
        error: Box<dyn Error + Send + Sync>,
    },
    /// There is no memory to keep each frame for the page.
    Log(TryReserveError),
    /// The page can't be drawn or written.
    Page {
        /// Where it should be.
        path: PathBuf,
        /// The cause.
        error: Box<dyn Error + Send + Sync>,
    },
}

impl fmt::Display for JobError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(formatter),
            Self::Scenario(error) => error.fmt(formatter),
            Self::Output(error) => write!(formatter, "the report can't be written: {error}"),
            Self::Checkpoint { path, error } => write!(formatter, "{}: {error}", path.display()),
            Self::Log(error) => write!(formatter, "--report keeps each frame: {error}"),
            Self::Page { path, error } => {
                write!(formatter, "{} can't be written: {error}", path.display())
            }
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Scenario(error) => Some(error),
            Self::Output(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::Checkpoint { error, .. } | Self::Page { error, .. } => Some(&**error),
        }
    }
}

impl From<LoadError> for JobError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<ScenarioError> for JobError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Input that is ready to be simulated.
#[derive(Debug)]
pub struct Prepared {
    /// All usable flights.
    pub timetable: Arc<Timetable>,
    /// Rows of both files that could not be used.
    pub skipped_rows: u64,
    /// Flights that are left out because they were cancelled.
    pub cancelled_flights: u64,
    /// How long loading took.
    pub load_s: f64,
}

/// Does the main job, or what `arguments` ask for instead, and returns the exit status.
pub fn run(arguments: &Arguments) -> ExitCode {
    if let Some(Command::Inspect(arguments)) = &arguments.command {
        return inspect(arguments).map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
    }
    let is_saved = arguments.checkpoint.is_some() || arguments.resume.is_some();
    match if is_saved { run_saved(arguments) } else { compare_and_publish(arguments) } {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            note("the runs differ: see the results of the modules");
            ExitCode::FAILURE
        }
        Err(error) => fail(&error),
    }
}

/// Says on standard error why a job could not be done, and returns its exit status.
pub fn fail(error: &dyn fmt::Display) -> ExitCode {
    note(&format!("error: {error}"));
    ExitCode::from(EXIT_UNUSABLE)
}

/// Writes a line to standard error. There is nowhere to report that it is closed.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Loads the input that `arguments` name, and notes rows that can't be used on standard error.
///
/// # Errors
///
/// When a file can't be used.
pub fn prepare(arguments: &ScenarioArguments) -> Result<Prepared, LoadError> {
    let began = Instant::now();
    let (airports_source, flights_source) =
        (arguments.airports_source(), arguments.flights_source());
    let airports = load_airports(&airports_source, arguments.load_options())?;
    note_skipped(&airports_source, airports.rows, &airports.skipped);
    let flights = load_flights(&flights_source, &airports.data, arguments.load_options())?;
    note_skipped(&flights_source, flights.rows, &flights.skipped);
    let cancelled_flights = flights.data.cancelled();
    if cancelled_flights > 0 {
        let path = flights_source.path();
        note(&format!("{}: cancelled flights left out: {cancelled_flights}", path.display()));
    }
    let load_s = began.elapsed().as_secs_f64();
    let timetable = Arc::new(Timetable::new(&flights.data, &airports.data));
    let skipped_rows = airports.skipped.count + flights.skipped.count;
    Ok(Prepared { timetable, skipped_rows, cancelled_flights, load_s })
}

fn note_skipped(source: &Source<'_>, rows: u64, skipped: &SkippedRows) {
    if skipped.count == 0 {
        return;
    }
    note(&format!("{}: {} of {rows} rows skipped", source.path().display(), skipped.count));
    for row in &skipped.first {
        note(&format!("  {row}"));
    }
    let more = skipped.count - skipped.first.len() as u64;
    if more > 0 {
        note(&format!("  and {more} more; in all: {}", skipped.by_reason()));
    }
}

/// Runs the scenario both ways, the one with copies first, and writes the report; tells whether both runs
/// agree.
fn compare_and_publish(arguments: &Arguments) -> Result<bool, JobError> {
    // A folder that can't be written to is no reason to wait for it.
    let page = arguments.report.as_deref().map(open_page).transpose()?;
    let (scenario, frames) = (&arguments.scenario, arguments.scenario.frames.get());
    let prepared = prepare(scenario)?;
    let log = |chosen| FrameLog::new(frames, chosen).map_err(JobError::Log);
    let run = |sharing, name, log: Option<&mut FrameLog>| {
        run_once(scenario, &prepared, (sharing, name), log)
    };
    let mut copies_log = page.is_some().then(|| log(Vec::new())).transpose()?;
    let masks = Sharing::Individual(arguments.individual_masks);
    let (individual, _) = run(masks, "individual", copies_log.as_mut())?;
    // Both runs have the same traffic.
    let notable = copies_log.as_ref().map(|log| log.notable(warm_up_of(frames)));
    let mut convoy_log = notable.map(log).transpose()?;
    let (convoy, timeline) = run(Sharing::Convoy, "convoy", convoy_log.as_mut())?;
    let comparison = Comparison {
        flights: prepared.timetable.flights().len(),
        skipped_rows: prepared.skipped_rows,
        cancelled_flights: prepared.cancelled_flights,
        threads: scenario.worker_threads(),
        overlap: scenario.overlap,
        load_s: prepared.load_s,
        individual,
        convoy,
    };
    if let (Some((path, file)), Some(individual), Some(convoy)) = (page, &copies_log, &convoy_log) {
        let airports = prepared.timetable.coordinates();
        let details = Details { individual, convoy, timeline: &timeline, airports };
        write_page(&path, file, &comparison, &details)?;
    }
    publish(arguments, &comparison)
}

/// Runs the scenario once, from the beginning or from a checkpoint, and saves it meanwhile if that is asked for.
fn run_saved(arguments: &Arguments) -> Result<bool, JobError> {
    let failed = |path: &Path, error: Box<dyn Error + Send + Sync>| JobError::Checkpoint {
        path: path.to_owned(),
        error,
    };
    let resumed = arguments.resume.as_deref().map(|path| match CheckpointReader::open(path) {
        // The run that wrote it was ended before its first checkpoint.
        Err(CheckpointError::Empty) => {
            note(&format!("{}: no checkpoint yet, so from the beginning", path.display()));
            Ok(None)
        }
        opened => {
            opened.map(|reader| Some((path, reader))).map_err(|error| failed(path, error.into()))
        }
    });
    let resumed = resumed.transpose()?.flatten();
    // Before the input, so that there is a file to go on from as early as can be.
    let saved = arguments.checkpoint.as_deref().map(|path| {
        let opened = match arguments.resume.as_deref().is_some_and(|resume| is_same(resume, path)) {
            true => Checkpoint::open(path),
            false => Checkpoint::create(path),
        };
        opened.map(|checkpoint| (path, checkpoint)).map_err(|error| match error {
            CheckpointError::Exists(_) if !path.is_dir() => failed(path, EXISTS.into()),
            error => failed(path, error.into()),
        })
    });
    let saved = saved.transpose()?;
    let (settings, frames) = (&arguments.scenario, arguments.scenario.frames.get());
    let prepared = prepare(settings)?;
    let (timetable, config) = (Arc::clone(&prepared.timetable), settings.config(Sharing::Convoy));
    let identity = Identity::new(&timetable, &config);
    let mut scenario = match &resumed {
        Some((path, reader)) => {
            let is_ours = identity.check(reader.attachment(IDENTITY));
            is_ours.map_err(|error| failed(path, error.into()))?;
            let resumed = Scenario::resume(timetable, config, reader);
            resumed.map_err(|error| failed(path, error.into()))?
        }
        None => Scenario::new(timetable, config)?,
    };
    let resumed_after = scenario.world().tick();
    if let Some((path, _)) = resumed.as_ref().filter(|_| resumed_after > frames) {
        let error = format!("it is of frame {resumed_after}, after the last of --frames {frames}");
        return Err(failed(path, error.into()));
    }
    let saver = saved.map(|(path, checkpoint)| {
        let saver = Saver::new(checkpoint, arguments.every, identity.to_bytes());
        saver.map(|saver| (path, saver)).map_err(|error| failed(path, error.into()))
    });
    let mut saver = saver.transpose()?;
    let note_failure = |path: &Path, saved: Result<(), SavingError>| {
        if let Err(error) = saved {
            note(&format!("no checkpoint to {}: {error}", path.display()));
        }
    };
    if let Some((path, saver)) = &mut saver {
        note_failure(path, saver.offer(&mut scenario));
    }
    let progress = progress_bar(frames, "convoy");
    let run = measure(&mut scenario, frames, |frame| {
        if let Some((path, saver)) = &mut saver {
            note_failure(path, saver.offer(frame.scenario));
        }
        if frame.number % PROGRESS_FRAMES == 0 {
            progress.set_position(frame.number);
        }
    })?;
    progress.finish_and_clear();
    if let Some((path, saver)) = &mut saver {
        note_failure(path, saver.wait());
    }
    let saved = SavedRun {
        flights: prepared.timetable.flights().len(),
        skipped_rows: prepared.skipped_rows,
        resumed_after,
        run,
        costs: saver.map(|(_, saver)| saver.costs()),
    };
    let has_faults = saved.run.faults > 0;
    print(&match arguments.json {
        true => format!("{}\n", to_saved_json(&saved)),
        false => to_saved_table(&saved),
    })?;
    Ok(!has_faults)
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let (real, other_real) = (fs::canonicalize(one), fs::canonicalize(other));
    one == other || real.is_ok_and(|real| other_real.is_ok_and(|other| real == other))
}

/// Makes the folder for a page, and its file.
fn open_page(folder: &Path) -> Result<(PathBuf, File), JobError> {
    let path = folder.join("index.html");
    let opened = fs::create_dir_all(folder).and_then(|()| File::create(&path));
    match opened {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(JobError::Page { path, error: error.into() }),
    }
}

fn write_page(
    path: &Path,
    mut file: File,
    comparison: &Comparison,
    details: &Details<'_>,
) -> Result<(), JobError> {
    let written = to_page(comparison, details)
        .and_then(|page| Ok(file.write_all(page.as_bytes())?))
        .map_err(|error| JobError::Page { path: path.to_owned(), error });
    written.map(|()| note(&format!("charts: {}", path.display())))
}

/// Runs the scenario once, and notes each frame in `log`.
fn run_once(
    arguments: &ScenarioArguments,
    prepared: &Prepared,
    (sharing, name): (Sharing, &'static str),
    mut log: Option<&mut FrameLog>,
) -> Result<(Measurement, Timeline), ScenarioError> {
    let frames = arguments.frames.get();
    let progress = progress_bar(frames, name);
    let config = arguments.config(sharing);
    let mut scenario = Scenario::new(Arc::clone(&prepared.timetable), config)?;
    let measurement = measure(&mut scenario, frames, |frame| {
        if let Some(log) = &mut log {
            log.note(frame);
        }
        if frame.number % PROGRESS_FRAMES == 0 {
            progress.set_position(frame.number);
        }
    })?;
    progress.finish_and_clear();
    let timeline = Timeline::of(scenario.host(), &scenario.statistics());
    Ok((measurement, timeline))
}

/// A bar on standard error, or nothing if that is not a terminal.
fn progress_bar(frames: u64, name: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(frames), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} frames, {eta} left");
    // The template is well-formed, and without it the bar has its default look.
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.with_message(name)
}

/// Writes the report; tells whether both runs agree.
fn publish(arguments: &Arguments, comparison: &Comparison) -> Result<bool, JobError> {
    let report =
        if arguments.json { format!("{}\n", to_json(comparison)) } else { to_table(comparison) };
    print(&report)?;
    Ok(comparison.results_equal())
}

/// Writes a report to standard output.
fn print(report: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(report.as_bytes())?;
    output.flush()
}
