//! Compares instruction counts, and misses of simulated caches, with the baseline of this toolchain and processor.
//!
//! Reads the output of gungraun with `--output-format=json` from standard input, a line per
//! benchmark. `benches/gate.sh` runs both; see there.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{fmt, fs};

use clap::Parser;
use serde_json::{Map, Value, json};

/// By how much a count may grow before the gate closes.
const GROWTH_MAX: f64 = 0.02;

/// Growth that is always allowed.
const GROWTH_MIN: u64 = 50;

/// Growth of misses that is always allowed: lists that come to lie in the same lines of the cache. The same
/// hundred captures had 89, 243 and 788 after changes to code that they don't run.
const MISSES_MIN: u64 = 1_000;

/// Compares instruction counts with those in `benches/instructions.json`.
#[derive(Parser)]
struct Arguments {
    /// Keep the counts as the new baseline; the reason is noted beside each that grew.
    #[arg(long, value_name = "WHY")]
    save: Option<String>,
    /// Only tell, by the exit status, whether there are counts to compare with on this machine.
    #[arg(long)]
    has_baseline: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let mut baselines = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error.into()),
    };
    let machine = machine()?;
    if arguments.has_baseline {
        let has_baseline = baselines.contains_key(&machine);
        return Ok(if has_baseline { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let counts = read_counts(io::stdin().lock())?;
    let known = baselines.get(&machine).map_or_else(BTreeMap::new, baseline_counts);
    let rows: Vec<Row> = counts
        .iter()
        .map(|(name, &now)| Row { name, before: known.get(name).copied(), now })
        .collect();
    println!("{machine}");
    rows.iter().for_each(|row| println!("{row}"));
    for name in known.keys().filter(|name| !counts.contains_key(*name)) {
        println!("{name:38} is in the baseline and was not run");
    }
    if let Some(why) = arguments.save {
        save(&mut baselines, &machine, &rows, &why);
        fs::write(&path, serde_json::to_string_pretty(&baselines)? + "\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    if known.is_empty() {
        println!("no baseline for this toolchain and processor: nothing was compared");
        return Ok(ExitCode::SUCCESS);
    }
    let grown = rows.iter().filter(|row| row.is_grown()).count();
    println!("{grown} of {} counts grew by more than {} %", rows.len(), GROWTH_MAX * 100.0);
    let missing = known.keys().any(|name| !counts.contains_key(name));
    Ok(if grown > 0 || missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One benchmark.
struct Row<'a> {
    name: &'a str,
    before: Option<u64>,
    now: u64,
}

impl Row<'_> {
    fn is_grown(&self) -> bool {
        self.before.is_some_and(|before| {
            let most = before as f64 * (1.0 + GROWTH_MAX);
            let least = if self.name.ends_with("misses") { MISSES_MIN } else { GROWTH_MIN };
            self.now as f64 > most && self.now > before + least
        })
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, now, .. } = self;
        let Some(before) = self.before else {
            return write!(formatter, "{name:38} {:>12} -> {now:>12}   new", "");
        };
        let percent = (*now as f64 / before as f64 - 1.0) * 100.0;
        let mark = if self.is_grown() { "   GREW" } else { "" };
        write!(formatter, "{name:38} {before:>12} -> {now:>12} {percent:>+7.2} %{mark}")
    }
}

/// The instruction count of each benchmark, by function and case, and the misses of its caches.
fn read_counts(lines: impl BufRead) -> Result<BTreeMap<String, u64>, Box<dyn Error>> {
    let mut counts = BTreeMap::new();
    for line in lines.lines() {
        let summary: Value = serde_json::from_str(&line?)?;
        let text = |key: &str| summary[key].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("function_name"), text("id"));
        let metrics = &summary["profiles"][0]["data"]["total"]["metrics"];
        let metric = |metric: &str| metrics[metric]["values"]["new"].as_u64();
        let count = metric("Ir").ok_or_else(|| format!("no instruction count of {name}"))?;
        // Of benchmarks that simulate caches. The last level's follow from addresses, and tell nothing.
        if let (Some(reads), Some(writes)) = (metric("D1mr"), metric("D1mw")) {
            counts.insert(format!("{name} D1 misses"), reads + writes);
        }
        counts.insert(name, count);
    }
    if counts.is_empty() {
        return Err("no benchmark was run".into());
    }
    Ok(counts)
}

fn baseline_counts(baseline: &Value) -> BTreeMap<String, u64> {
    let counts = baseline["counts"].as_object().into_iter().flatten();
    counts.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect()
}

/// Replaces the baseline of `machine`, and notes which counts grew and why.
fn save(baselines: &mut Map<String, Value>, machine: &str, rows: &[Row<'_>], why: &str) {
    let baseline = baselines.entry(machine).or_insert_with(|| json!({ "raised": [] }));
    baseline["counts"] = rows.iter().map(|row| (row.name.to_owned(), json!(row.now))).collect();
    let raised = rows.iter().filter(|row| row.is_grown());
    let raised = raised
        .map(|row| json!({ "name": row.name, "from": row.before, "to": row.now, "why": why }));
    if let Some(list) = baseline["raised"].as_array_mut() {
        list.extend(raised);
    }
}

/// The toolchain and the processor, which both decide how many instructions run: `memcpy` picks its
/// code by processor.
fn machine() -> Result<String, Box<dyn Error>> {
    let rustc = Command::new("rustc").arg("--version").output()?;
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let rustc = String::from_utf8(rustc.stdout)?;
    let (model, family, number) = (field("model name"), field("cpu family"), field("model\t"));
    Ok(format!("{}, {model}, family {family}, model {number}", rustc.trim()))
}
