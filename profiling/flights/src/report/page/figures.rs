//! The figures of the page: what each shows, as a chart and as a table.

use std::time::Duration;

use crate::measure::FrameSample;
use crate::report::format::{bytes, count, time};

use super::chart::{Axis, Chart, Ink, Series, Style, decades, round_steps};

/// A figure: a chart, the words that say what it shows, and the numbers behind it.
pub(super) struct Figure<'a> {
    pub(super) id: &'static str,
    pub(super) title: String,
    /// What is to be seen, for those who see it and those who don't.
    pub(super) says: String,
    pub(super) legend: Vec<(Ink, &'static str)>,
    pub(super) chart: Chart<'a>,
    /// Height of the chart, for large and small screens.
    pub(super) heights: (u32, u32),
    pub(super) table: Table,
}

/// A table with a head.
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        Self { head, rows: rows.into_iter().collect() }
    }
}

/// Both runs, frame by frame.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub(super) copies: &'a [FrameSample],
    pub(super) convoy: &'a [FrameSample],
    pub(super) warm_up: usize,
}

/// Reads a number of bytes.
type BytesOf = fn(&FrameSample) -> usize;

/// How many values a chart has along its x axis.
const BINS: usize = 400;
/// How many rows the table of a chart over time has.
const ROWS: usize = 24;

pub(super) const BOTH: [(Ink, &str); 2] =
    [(Ink::Copies, "a copy for each module"), (Ink::Convoy, "shared snapshots")];

/// The middle, what one in ten, a hundred and a thousand frames exceed, and the longest.
const SHARES: [(&str, f64); 5] =
    [("half", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("all", 1.0)];

/// Times of steady frames, sorted, and how many frames stay below each.
pub(super) fn percentiles<'a>(
    id: &'static str,
    name: &str,
    runs: Runs<'_>,
    of: fn(&FrameSample) -> Duration,
) -> Figure<'a> {
    let sorted = |samples: &[FrameSample]| -> Vec<Duration> {
        let mut times: Vec<Duration> = samples[runs.warm_up..].iter().map(of).collect();
        times.sort_unstable();
        times
    };
    let both = [sorted(runs.copies), sorted(runs.convoy)];
    let frames = both[0].len().max(1);
    let nines = (frames as f64).log10().max(1.0);
    let curve = |times: &[Duration]| -> Vec<(f64, f64)> {
        let at = |bin: usize| {
            let nines = nines * bin as f64 / BINS as f64;
            let share = 1.0 - 10_f64.powf(-nines);
            (nines, log_micros(quantile(times, share)))
        };
        (0..=BINS).map(at).collect()
    };
    let curves = [curve(&both[0]), curve(&both[1])];
    let (low, high) = range_of(curves.iter().flatten().map(|point| point.1));
    let y = (low - 0.1).floor()..(high + 0.1).ceil();
    let rows = SHARES.map(|(name, share)| {
        let of = |times: &[Duration]| time(quantile(times, share));
        vec![name.to_owned(), of(&both[0]), of(&both[1])]
    });
    let of = |share: f64| both.each_ref().map(|times| time(quantile(times, share)));
    let ([half, half_convoy], [late, late_convoy]) = (of(0.5), of(0.999));
    Figure {
        id,
        title: format!("{name}: what most frames stay below"),
        says: format!(
            "Half of the {} steady frames take at most {half} with copies and {half_convoy} with shared \
             snapshots; all but one in a thousand take at most {late} and {late_convoy}.",
            count(frames as u64),
        ),
        legend: BOTH.to_vec(),
        chart: Chart {
            x: Axis {
                name: "share of frames",
                range: 0.0..nines,
                ticks: decades(&(0.0..nines)),
                label: &share_label,
            },
            y: Axis { name: "", ticks: decades(&y), range: y, label: &micros_label },
            label_room: Some((76, 68)),
            bars: Vec::new(),
            series: lines(curves),
            notes: Vec::new(),
        },
        heights: (300, 260),
        table: Table::new(&["frames", "copies", "shared"], rows),
    }
}

/// Bytes of snapshots and of copies, over the whole run.
pub(super) fn snapshot_bytes<'a>(runs: Runs<'_>) -> Figure<'a> {
    let most = |samples: &[FrameSample]| {
        binned(samples, |bin| {
            bin.iter().map(|sample| sample.snapshot_bytes as f64).fold(0.0, f64::max)
        })
    };
    let both = [most(runs.copies), most(runs.convoy)];
    let log = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points.iter().map(|&(x, bytes)| (x, bytes.max(1.0).log10())).collect()
    };
    let peak = |samples: &[FrameSample]| {
        bytes(samples.iter().map(|sample| sample.snapshot_bytes).max().unwrap_or(0))
    };
    let curves = both.each_ref().map(|points| log(points));
    let (low, high) = range_of(curves.iter().flatten().map(|point| point.1));
    let y = (low - 0.1).floor().max(0.0)..(high + 0.1).ceil();
    let frames = runs.convoy.len();
    Figure {
        id: "snapshot-bytes",
        title: "Memory of copies, and of snapshots".into(),
        says: format!(
            "Copies grow to {}. Snapshots take {} at the most: the chunks that only they keep, and their \
             lists. The axis of bytes is logarithmic.",
            peak(runs.copies),
            peak(runs.convoy),
        ),
        legend: BOTH.to_vec(),
        chart: Chart {
            x: frame_axis(frames),
            y: Axis { name: "", ticks: decades(&y), range: y, label: &log_bytes_label },
            label_room: Some((76, 68)),
            bars: Vec::new(),
            series: lines(curves),
            notes: Vec::new(),
        },
        heights: (300, 260),
        table: Table::new(
            &["frames", "copies, at most", "snapshots, at most"],
            windows(frames).map(|window| {
                let of = |samples: &[FrameSample]| peak(&samples[window.clone()]);
                vec![window_name(&window), of(runs.copies), of(runs.convoy)]
            }),
        ),
    }
}

/// The states of the live world's chunks with shared snapshots, over the whole run.
pub(super) fn chunk_states<'a>(runs: Runs<'_>) -> Figure<'a> {
    let samples = runs.convoy;
    let states: [(Ink, &str, BytesOf); 4] = [
        (Ink::Convoy, "owned", |sample| sample.memory.live_bytes - sample.memory.shared_bytes),
        (Ink::Copies, "shared with a snapshot", |sample| sample.memory.shared_bytes),
        (Ink::Alert, "kept by snapshots only", |sample| sample.memory.retained_bytes),
        (Ink::Free, "free", |sample| sample.memory.free_bytes),
    ];
    let mebibytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let mut series: Vec<Series> = Vec::new();
    for (ink, _, of) in states {
        // Means, which add up to all that is mapped.
        let points = binned(samples, |bin| {
            bin.iter().map(|sample| mebibytes(of(sample))).sum::<f64>() / bin.len() as f64
        });
        let below = series.last().map(|series| &series.points);
        let stacked = points
            .iter()
            .enumerate()
            .map(|(bin, &(x, value))| (x, value + below.map_or(0.0, |below| below[bin].1)));
        let points = stacked.collect();
        series.push(Series { ink, style: Style::Area, points });
    }
    let high =
        series.last().map_or(1.0, |top| top.points.iter().map(|at| at.1).fold(1.0, f64::max));
    let last = samples.last().map(|sample| sample.memory).unwrap_or_default();
    Figure {
        id: "chunk-states",
        title: "Where the world's memory is, with shared snapshots".into(),
        says: format!(
            "{} are mapped, in this run from the first frame to the last. At its end {} are live, of \
             which {} are shared with a snapshot; snapshots alone kept {} at the most.",
            bytes(last.mapped_bytes),
            bytes(last.live_bytes),
            bytes(last.shared_bytes),
            bytes(last.retained_bytes_peak),
        ),
        legend: states.iter().map(|&(ink, name, _)| (ink, name)).collect(),
        chart: Chart {
            x: frame_axis(samples.len()),
            y: Axis {
                name: "",
                range: 0.0..high * 1.05,
                ticks: round_steps(high * 1.05),
                label: &mebibytes_label,
            },
            label_room: Some((76, 68)),
            bars: Vec::new(),
            series,
            notes: Vec::new(),
        },
        heights: (300, 260),
        table: Table::new(
            &["frames", "owned", "shared", "kept", "free"],
            windows(samples.len()).map(|window| {
                let end = &samples[window.end - 1];
                let states = states.map(|(_, _, of)| bytes(of(end)));
                [window_name(&window)].into_iter().chain(states).collect()
            }),
        ),
    }
}

/// Heap allocations of each frame. The axis of frames is logarithmic, so that the warm-up has room.
pub(super) fn allocations<'a>(runs: Runs<'_>) -> Figure<'a> {
    let frames = runs.convoy.len();
    let end = (frames.max(2) as f64).log10();
    let curve = |samples: &[FrameSample]| -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        let mut first = 0;
        for bin in 1..=BINS {
            let next = 10_f64.powf(end * bin as f64 / BINS as f64).round() as usize;
            let next = next.min(samples.len());
            let most = samples[first.min(next)..next].iter().map(|sample| sample.allocations).max();
            if let Some(most) = most {
                // Steps, as frames at the beginning are far apart.
                let height = (1.0 + most as f64).log10();
                points.push((((first + 1) as f64).log10(), height));
                points.push(((next as f64).log10(), height));
                first = next;
            }
        }
        points
    };
    let curves = [curve(runs.copies), curve(runs.convoy)];
    let high = curves.iter().flatten().map(|point| point.1).fold(1.0, f64::max);
    let sum =
        |samples: &[FrameSample]| samples.iter().map(|sample| sample.allocations).sum::<u64>();
    let (warm, steady) = runs.convoy.split_at(runs.warm_up);
    let warm_up_end = (runs.warm_up.max(1) as f64).log10();
    let copies_steady = sum(&runs.copies[runs.warm_up..]);
    Figure {
        id: "allocations",
        title: "Heap allocations of each frame, the warm-up included".into(),
        says: format!(
            "With shared snapshots the {} frames of the warm-up allocate {} times, and the {} frames after \
             them {}; with copies those allocate {}. Counted are the simulation's thread and the workers. \
             The axis of frames is logarithmic.",
            count(warm.len() as u64),
            count(sum(warm)),
            count(steady.len() as u64),
            times(sum(steady)),
            times(copies_steady),
        ),
        legend: BOTH.to_vec(),
        chart: Chart {
            x: Axis {
                name: "frame",
                range: 0.0..end,
                ticks: decades(&(0.0..end)),
                label: &log_count,
            },
            y: Axis {
                name: "",
                range: -0.02..high * 1.1,
                ticks: [0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5]
                    .map(|n: f64| (1.0 + n).log10())
                    .to_vec(),
                label: &log_count_from_zero,
            },
            label_room: Some((76, 68)),
            bars: vec![super::chart::Bar {
                ink: Ink::Faint,
                opacity: 0.25,
                from: (0.0, -0.02),
                to: (warm_up_end, high * 1.1),
            }],
            series: lines(curves),
            notes: vec![((0.0, high * 1.0), "warm-up".into())],
        },
        heights: (260, 240),
        table: Table::new(
            &["frames", "copies", "shared"],
            windows_by_powers(frames).map(|window| {
                let of = |samples: &[FrameSample]| count(sum(&samples[window.clone()]));
                vec![window_name(&window), of(runs.copies), of(runs.convoy)]
            }),
        ),
    }
}

/// Both runs as lines: copies thick and behind, as lines may lie on each other.
fn lines([copies, convoy]: [Vec<(f64, f64)>; 2]) -> Vec<Series> {
    vec![
        Series { ink: Ink::Copies, style: Style::ThickLine, points: copies },
        Series { ink: Ink::Convoy, style: Style::Line, points: convoy },
    ]
}

fn frame_axis<'a>(frames: usize) -> Axis<'a> {
    let end = frames.max(2) as f64;
    Axis { name: "frame", range: 1.0..end, ticks: round_steps(end), label: &thousands }
}

/// One value of each bin of frames, at its last frame.
fn binned(samples: &[FrameSample], of: impl Fn(&[FrameSample]) -> f64) -> Vec<(f64, f64)> {
    let bins = BINS.min(samples.len());
    let of_bin = |bin: usize| {
        let window = bin * samples.len() / bins..(bin + 1) * samples.len() / bins;
        (window.end as f64, of(&samples[window]))
    };
    (0..bins).map(of_bin).collect()
}

/// Windows of equal length over all frames.
fn windows(frames: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let rows = ROWS.min(frames);
    (0..rows).map(move |row| row * frames / rows..(row + 1) * frames / rows)
}

/// Windows of frames 1, 2 to 9, 10 to 99, and so on.
fn windows_by_powers(frames: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let ends = (0..).map(|power| 10_usize.pow(power));
    let ends = ends.take_while(move |&end| end < frames).chain([frames]);
    let mut first = 0;
    ends.map(move |end| {
        let window = first..end;
        first = end;
        window
    })
}

fn window_name(window: &std::ops::Range<usize>) -> String {
    match window.len() {
        1 => count(window.end as u64),
        _ => format!("{} to {}", count(window.start as u64 + 1), count(window.end as u64)),
    }
}

/// The time that a share of the sorted times stays within.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

/// The logarithm of a time in microseconds, of at least a nanosecond.
fn log_micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).max(1e-3).log10()
}

fn range_of(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
}

fn times(number: u64) -> String {
    match number {
        0 => "not once".into(),
        1 => "once".into(),
        more => format!("{} times", count(more)),
    }
}

fn share_label(nines: f64) -> String {
    match nines.round() as i32 {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        more => format!("99.{} %", "9".repeat(more.max(3) as usize - 2)),
    }
}

fn micros_label(log: f64) -> String {
    match log.round() as i32 {
        log @ ..0 => format!("{} ns", 10_f64.powi(log + 3)),
        log @ 0..3 => format!("{} µs", 10_f64.powi(log)),
        log @ 3..6 => format!("{} ms", 10_f64.powi(log - 3)),
        log => format!("{} s", 10_f64.powi(log - 6)),
    }
}

fn log_bytes_label(log: f64) -> String {
    match log.round() as i32 {
        log @ ..3 => format!("{} B", 10_f64.powi(log)),
        log @ 3..6 => format!("{} kB", 10_f64.powi(log - 3)),
        log @ 6..9 => format!("{} MB", 10_f64.powi(log - 6)),
        log => format!("{} GB", 10_f64.powi(log - 9)),
    }
}

fn mebibytes_label(mebibytes: f64) -> String {
    format!("{} MiB", (mebibytes * 1e3).round() / 1e3)
}

fn thousands(number: f64) -> String {
    count(number as u64)
}

fn log_count(log: f64) -> String {
    count(10_f64.powf(log).round() as u64)
}

fn log_count_from_zero(log: f64) -> String {
    count((10_f64.powf(log) - 1.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let sorted: Vec<Duration> = (1..=1_000).map(Duration::from_micros).collect();
        let of = |share| quantile(&sorted, share).as_micros();
        assert_eq!([of(0.0), of(0.5), of(0.999), of(1.0)], [1, 500, 999, 1_000]);
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn windows_cover_all_frames_once() {
        for frames in [1, 2, 23, 24, 25, 60_480] {
            for windows in
                [windows(frames).collect(), windows_by_powers(frames).collect::<Vec<_>>()]
            {
                assert_eq!(windows.iter().map(|window| window.len()).sum::<usize>(), frames);
                assert!(windows.iter().all(|window| !window.is_empty()), "{frames}: {windows:?}");
                assert_eq!((windows[0].start, windows[windows.len() - 1].end), (0, frames));
            }
        }
        assert_eq!(window_name(&(9..99)), "10 to 99");
    }

    #[test]
    fn labels_have_their_unit() {
        assert_eq!([-1.0, 0.0, 2.0, 3.0].map(micros_label), ["100 ns", "1 µs", "100 µs", "1 ms"]);
        assert_eq!([0.0, 3.0, 7.0].map(log_bytes_label), ["1 B", "1 kB", "10 MB"]);
        assert_eq!(
            [0.0, 1.0, 2.0, 3.0, 4.0].map(share_label).join(" "),
            "0 % 90 % 99 % 99.9 % 99.99 %"
        );
    }
}
