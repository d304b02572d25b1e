//! Scaling: how much faster readers of one convoy and parallel passes get with more threads.
//!
//! `cargo run --release -p convoy-benches --bin scaling -- --out FOLDER` writes `scaling.csv` and
//! `scaling.svg`. Each workload runs with 1, 2, 4, ... threads up to those of the machine, and each count of
//! threads several times, in turns; the median counts. Beyond the cores of the machine nothing is measured.

mod workloads;

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, thread};

use clap::Parser;
use convoy_benches::{Axis, Line, draw};

use workloads::WORKLOADS;

/// Measures how workloads scale with threads.
#[derive(Parser)]
struct Arguments {
    /// Where `scaling.csv` and `scaling.svg` go.
    #[arg(long, value_name = "FOLDER", default_value = "target/scaling")]
    out: PathBuf,
    /// The most threads; by default those of the machine.
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
    /// Milliseconds that each measurement takes.
    #[arg(long, value_name = "MS", default_value_t = 300)]
    millis: u64,
    /// Measurements of each workload and count of threads.
    #[arg(long, value_name = "COUNT", default_value_t = 7)]
    rounds: usize,
    /// Draw the `scaling.csv` that is there, and measure nothing.
    #[arg(long)]
    redraw: bool,
}

/// What one workload did with one number of threads.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Point {
    /// The number of the workload.
    workload: usize,
    threads: usize,
    /// Operations a second, of all threads together.
    rate: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.redraw { redraw(&arguments) } else { measure(&arguments) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let cores = thread::available_parallelism()?.get();
    let most = arguments.threads.unwrap_or(cores).max(1);
    if most > cores {
        eprintln!("note: {most} threads on {cores} cores measure the scheduler");
    }
    let counts: Vec<usize> =
        (0..).map(|power| 1 << power).take_while(|&count| count < most).chain([most]).collect();
    let time = Duration::from_millis(arguments.millis.max(1));
    let mut points = Vec::new();
    for (workload, (name, run)) in WORKLOADS.into_iter().enumerate() {
        // In turns, so that what disturbs the machine disturbs all counts.
        let mut rates = vec![Vec::new(); counts.len()];
        for _ in 0..arguments.rounds.max(1) {
            for (&threads, rates) in counts.iter().zip(&mut rates) {
                rates.push(run(threads, time)?);
            }
        }
        let mut alone = None;
        for (&threads, rates) in counts.iter().zip(&mut rates) {
            rates.sort_by(f64::total_cmp);
            let rate = rates[rates.len() / 2];
            let speedup = rate / *alone.get_or_insert(rate);
            println!(
                "{name:<24} {threads:>3} threads {rate:>16.0} a second {speedup:>7.2} times one"
            );
            points.push(Point { workload, threads, rate });
        }
    }
    fs::create_dir_all(&arguments.out)?;
    fs::write(arguments.out.join("scaling.csv"), csv(&points))?;
    draw(&arguments.out.join("scaling.svg"), axes(most), &lines(&points, most))?;
    println!("wrote {} and scaling.svg", arguments.out.join("scaling.csv").display());
    Ok(())
}

/// Draws what was measured before, maybe elsewhere.
fn redraw(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(arguments.out.join("scaling.csv"))?;
    let points: Vec<Point> = text.lines().skip(1).filter_map(Point::from_row).collect();
    let most =
        points.iter().map(|point| point.threads).max().ok_or("the file has no measurements")?;
    draw(&arguments.out.join("scaling.svg"), axes(most), &lines(&points, most))?;
    Ok(())
}

impl Point {
    fn from_row(row: &str) -> Option<Self> {
        // A name may have commas.
        let mut fields = row.rsplitn(4, ',').skip(1);
        let (rate, threads, name) = (fields.next()?, fields.next()?, fields.next()?);
        let workload = WORKLOADS.iter().position(|&(known, _)| known == name)?;
        Some(Self { workload, threads: threads.parse().ok()?, rate: rate.parse().ok()? })
    }
}

fn csv(points: &[Point]) -> String {
    let mut text = "workload,threads,operations_per_second,speedup\n".to_owned();
    for point in points {
        let (name, _) = WORKLOADS[point.workload];
        let Point { threads, rate, .. } = point;
        _ = writeln!(text, "{name},{threads},{rate:.0},{:.3}", speedup(point, points));
    }
    text
}

/// How many times the rate of one thread it is.
fn speedup(point: &Point, points: &[Point]) -> f64 {
    let alone = points.iter().find(|other| other.workload == point.workload && other.threads == 1);
    alone.map_or(f64::NAN, |alone| point.rate / alone.rate)
}

fn axes(most: usize) -> (Axis, Axis) {
    let most = most.max(2) as f64;
    let threads = Axis { label: "threads", range: 0.9..most * 1.1 };
    (threads, Axis { label: "times the rate of one thread", range: 0.2..most * 4.0 })
}

/// The speed-ups of each workload, and those of one that gets as many times faster as there are threads.
fn lines(points: &[Point], most: usize) -> Vec<Line> {
    let ideal = vec![(1.0, 1.0), (most as f64, most as f64)];
    let line = |(number, (label, _)): (usize, &(&'static str, _))| {
        let own = points.iter().filter(|point| point.workload == number);
        let points = own.map(|point| (point.threads as f64, speedup(point, points))).collect();
        Line { label, points }
    };
    let measured = WORKLOADS.iter().enumerate().map(line);
    measured.chain([Line { label: "as many times as threads", points: ideal }]).collect()
}
