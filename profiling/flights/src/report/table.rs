//! The comparison as an aligned table.

use std::fmt::Write;

use convoy_profiling::HeapCounts;

use crate::analysis::PAIRS_LISTED_MAX;
use crate::measure::Measurement;

use super::comparison::{Comparison, MEMORY_RATIO_MAX, REUSE_RATE_MIN, SYNC_RATIO_MAX, Verdict};
use super::format::{bytes, count, percent, time, time_per_frame};

/// One line of the table: quantity, individual, convoy, ratio, target, verdict.
pub(super) type Line = [String; 6];

/// The comparison for people: a line about the input, the table, and the results of each module.
pub fn to_table(comparison: &Comparison) -> String {
    let Comparison { individual, convoy, .. } = comparison;
    let mut text = format!("{}\n\n", summary(comparison));
    append(&mut text, &lines(comparison));
    text.push('\n');
    append(&mut text, &module_lines(comparison));
    let _ = writeln!(
        text,
        "\n{} of {} flights departed and {} landed\n\
         {} alerts set or cleared by commands, at most {}, {} faults of modules",
        count(convoy.departed as u64),
        count(comparison.flights as u64),
        count(convoy.landed as u64),
        count(convoy.alert_commands),
        conflicts(convoy.conflict_pairs_max),
        count(individual.faults + convoy.faults),
    );
    text
}

/// The input and the extent of the runs, in one line.
pub(super) fn summary(comparison: &Comparison) -> String {
    let convoy = &comparison.convoy;
    format!(
        "{} flights, {} rows skipped, {} frames of which {} are steady, {}, at most {} airborne",
        count(comparison.flights as u64),
        count(comparison.skipped_rows),
        count(convoy.frames),
        count(convoy.steady_frames),
        threads(comparison),
        count(convoy.airborne_peak as u64),
    )
}

/// The table of costs and targets, with its head.
pub(super) fn lines(comparison: &Comparison) -> Vec<Line> {
    let Comparison { individual, convoy, .. } = comparison;
    let mut lines = vec![["", "individual", "convoy", "ratio", "target", ""].map(String::from)];
    lines.extend(cost_lines(comparison));
    lines.extend(heap_lines(convoy, individual));
    let equal = comparison.results_equal();
    lines.push([
        "checksum of module results".into(),
        format!("{:016x}", individual.checksum),
        format!("{:016x}", convoy.checksum),
        String::new(),
        "equal".into(),
        Verdict::of(equal).word().into(),
    ]);
    lines
}

fn conflicts(pairs_max: u64) -> String {
    let listed_max = PAIRS_LISTED_MAX as u64;
    let cut = match pairs_max > listed_max {
        true => format!(" (all counted, {} listed)", count(listed_max)),
        false => String::new(),
    };
    format!("{} pairs in conflict at one time{cut}", count(pairs_max))
}

fn threads(comparison: &Comparison) -> String {
    let overlap = if comparison.overlap { " that overlap with the next frames" } else { "" };
    match comparison.threads {
        0 => "modules on the simulation's thread".into(),
        1 => format!("modules on 1 worker{overlap}"),
        more => format!("modules on {more} workers{overlap}"),
    }
}

fn cost_lines(comparison: &Comparison) -> [Line; 6] {
    let Comparison { individual, convoy, .. } = comparison;
    let frames = convoy.steady_frames;
    let (memory, sync) = (comparison.memory_ratio(), comparison.sync_ratio());
    let both = |name: &str, of: &dyn Fn(&Measurement) -> String| -> Line {
        [name.into(), of(individual), of(convoy), String::new(), String::new(), String::new()]
    };
    let mut sync_line = both("sync, capture and copy-on-write, per frame", &|run| {
        time_per_frame(run.sync_time, frames)
    });
    sync_line[3] = percent(sync);
    sync_line[4] = format!("<= {}", percent(SYNC_RATIO_MAX));
    sync_line[5] = Verdict::of(sync <= SYNC_RATIO_MAX).word().into();
    let mut memory_line = both("snapshot memory, peak", &|run| bytes(run.snapshot_bytes));
    memory_line[3] = percent(memory);
    memory_line[4] = format!("<= {}", percent(MEMORY_RATIO_MAX));
    memory_line[5] = Verdict::of(memory <= MEMORY_RATIO_MAX).word().into();
    let reuse = convoy.reuse_rate;
    let reuse_line = [
        "snapshots from the pool".into(),
        "-".into(),
        percent(reuse),
        String::new(),
        format!(">= {}", percent(REUSE_RATE_MIN)),
        Verdict::of(reuse >= REUSE_RATE_MIN).word().into(),
    ];
    [
        sync_line,
        both("the same in total", &|run| time(run.sync_time)),
        both("simulation, per frame", &|run| time_per_frame(run.simulation_time, frames)),
        both("whole frame, with waits for modules", &|run| time_per_frame(run.frame_time, frames)),
        memory_line,
        reuse_line,
    ]
}

fn heap_lines(convoy: &Measurement, individual: &Measurement) -> [Line; 3] {
    let line = |name: &str, of: fn(&HeapCounts) -> u64| -> Line {
        let per_100 = |run: &Measurement| match &run.heap {
            Some(heap) => format!("{:.4}", of(heap) as f64 * 100.0 / run.steady_frames as f64),
            None => "?".into(),
        };
        let verdict = match &convoy.heap {
            Some(heap) => Verdict::of(of(heap) == 0),
            None => Verdict::Unknown,
        };
        let (individual, convoy) = (per_100(individual), per_100(convoy));
        [name.into(), individual, convoy, String::new(), "0".into(), verdict.word().into()]
    };
    [
        line("heap allocations per 100 steady frames", |heap| {
            heap.allocations + heap.reallocations
        }),
        line("heap frees per 100 steady frames", |heap| heap.frees),
        [
            "memory mapped in steady frames".into(),
            bytes(individual.mapped_growth_bytes),
            bytes(convoy.mapped_growth_bytes),
            String::new(),
            "0 B".into(),
            Verdict::of(convoy.mapped_growth_bytes == 0).word().into(),
        ],
    ]
}

/// The results of each module in both runs, with a head.
pub(super) fn module_lines(comparison: &Comparison) -> Vec<Line> {
    let head = ["module", "individual", "convoy", "runs", "", ""].map(String::from);
    let pairs = comparison.individual.results.iter().zip(&comparison.convoy.results);
    let lines = pairs.map(|(individual, convoy)| {
        [
            individual.name.into(),
            format!("{:016x}", individual.checksum),
            format!("{:016x}", convoy.checksum),
            count(convoy.runs),
            if individual == convoy { "equal" } else { "different" }.into(),
            String::new(),
        ]
    });
    std::iter::once(head).chain(lines).collect()
}

/// Appends lines with every column as wide as its widest cell: the first and the last to the left,
/// numbers to the right.
fn append(text: &mut String, lines: &[Line]) {
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    for line in lines {
        let start = text.len();
        let _ = write!(text, "{:<width$}", line[0], width = widths[0]);
        for column in 1..5 {
            let _ = write!(text, "  {:>width$}", line[column], width = widths[column]);
        }
        let _ = write!(text, "  {}", line[5]);
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
}
