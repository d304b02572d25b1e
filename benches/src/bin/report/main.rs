//! Writes `results.json`, `README.md`, `capture.svg` and `costs.svg` from the files of the benchmarks in the
//! target folder.
//!
//! `cargo run -p convoy-benches --bin report` after `cargo bench -p convoy-benches --features peers`. Every
//! workload in [`promises`] is listed with all subjects that were measured, against its baseline.
//! A promise that was not measured counts as not met.

mod machine;
mod markdown;
mod plot;
mod promises;
mod results;

use std::path::Path;
use std::process::ExitCode;
use std::{error::Error, fs};

use convoy_benches::{Measure, read_measures};

/// The operations that are measured by size, and what they do.
const COSTS: [(&str, &str); 6] = [
    ("spawn", "spawn all, as one batch"),
    ("diff", "differences, 1 % of the chunks written"),
    ("hash", "state hash, 1 % written"),
    ("restore", "restore, 1 % written"),
    ("capture", "capture, 1 % written"),
    ("get", "get 10 thousand random components"),
];

fn main() -> ExitCode {
    match write_report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_report() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let measures: Vec<Measure> = read_measures()?;
    let workloads = promises::workloads();
    let rows = results::rows(&measures, workloads);
    let machine = machine::describe()?;
    let list = serde_json::to_string_pretty(&results::to_json(&rows, &machine))?;
    fs::write(folder.join("results.json"), list + "\n")?;
    let versions = machine::versions(&fs::read_to_string(folder.join("../Cargo.lock"))?);
    let line = |group, subject, label| plot::line(&measures, (group, subject), label);
    let captures =
        [line("capture", "convoy", "capture"), line("capture", "memcpy", "copying the bytes")];
    let costs = COSTS.map(|(subject, label)| line("sizes", subject, label));
    let page = markdown::page(&rows, workloads, &costs, (&machine, &versions));
    fs::write(folder.join("README.md"), page)?;
    plot::times(&folder.join("capture.svg"), &captures)?;
    plot::times(&folder.join("costs.svg"), &costs)?;
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    println!("{} ratios, {missed} targets missed", rows.len());
    Ok(())
}
