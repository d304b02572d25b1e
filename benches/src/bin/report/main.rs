//! Writes `results.json`, `README.md` and `capture.svg` from the files of the benchmarks in the target folder.
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
use std::{fs, io};

use convoy_benches::{Measure, read_measures};

fn main() -> ExitCode {
    match write_report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_report() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let measures: Vec<Measure> = read_measures()?;
    let rows = results::rows(&measures, promises::WORKLOADS);
    let machine = machine::describe()?;
    let list = serde_json::to_string_pretty(&results::to_json(&rows, &machine))?;
    fs::write(folder.join("results.json"), list + "\n")?;
    let versions = machine::versions(&fs::read_to_string(folder.join("../Cargo.lock"))?);
    let page = markdown::page(&rows, promises::WORKLOADS, &machine, &versions);
    fs::write(folder.join("README.md"), page)?;
    let sizes = plot::sizes(&measures);
    if !sizes.is_empty() {
        plot::capture(&folder.join("capture.svg"), &sizes).map_err(io::Error::other)?;
    }
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    println!("{} ratios, {missed} targets missed", rows.len());
    Ok(())
}
