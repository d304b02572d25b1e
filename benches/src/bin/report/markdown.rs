//! The page: one table of promises, and one with every subject of every workload.

use convoy_benches::Line;

use crate::plot::slope;
use crate::promises::Workload;
use crate::results::Row;

/// Attempts at promises that are missed: under a heading of group, workload and subject, a note a
/// line.
const ATTEMPTS: &str = include_str!("attempts.md");

const INTRODUCTION: &str = "\
# Benchmarks

This page is written by `cargo run -p convoy-benches --bin report` from what
`cargo bench -p convoy-benches --features peers` left in the target folder; `results.json` holds the same ratios.
What counts are ratios inside one run: the times are medians of this machine.

`raw` is the struct of `Vec`s with plain loops that one writes by hand, `raw+map` has an entity
map as well. `convoy+snapshot` is the same work with a snapshot of everything captured before
each pass, so that every chunk is shared when the pass begins. Set-up, clearing and capturing are
not timed. glibc's allocator is pinned (no mappings of its own, no trimming), so that *warm* means
the same for everybody.
";

const CAPTURE: &str = "
## What a capture costs

![Time of a capture against copying the bytes, from 10 thousand to 10 million entities](capture.svg)

A capture copies an entry of 24 bytes for every chunk, so its time is linear in chunks and not in
bytes. Entities have 96 bytes in 4 components; both axes are logarithmic.
";

const COSTS: &str = "
## What operations cost by size

![Times of six operations, from 10 thousand to 10 million entities](costs.svg)

The slope is the exponent that fits best: 1 where a time grows with the entities, 0 where it does not. One
per cent of the chunks is one chunk a component in the small worlds.

| operation | 10 thousand | 100 thousand | a million | ten million | slope |
|---|---|---|---|---|---|
";

/// What the program `scaling` wrote on the machine with the most cores at hand.
const SCALING_ROWS: &str = include_str!("../../../scaling.csv");

const SCALING: &str = "
## What more threads give

![Times the rate of one thread, with 1 to 16 threads](scaling.svg)

Taken by `cargo run --release -p convoy-benches --bin scaling` on 16 cores of an Intel Xeon virtual machine (family 6,
model 207), as times the rate of one thread. Plain slices are cut into four pieces a thread, by rayon as well. Joining
and leaving a convoy without reading it is a count in one cache line, which cores hand to each other: 16 of them do it
8 million times a second together. `pos += vel` over a million rows had 3.5 at 16 threads (and 4.0 at 8) when a task
was a run; tasks that begin large and end small doubled it. What is left to plain slices are the runs, which the
world's thread lists before each pass.

| workload | 1 | 2 | 4 | 8 | 16 | million a second, 16 threads |
|---|---|---|---|---|---|---|
";

const NEIGHBOURS: &str = "
## Neighbours

Passes are as fast as the chunks of a column lie side by side: the prefetcher loses about a microsecond
at each one that does not, which is the time of many kilobytes. Fresh columns lie well at any size of
chunk; it is copies on write that put chunks elsewhere. Free lists that hand out what was freed last
keep the order while one column is written, and mix the chunks of columns of one class for good as
soon as two are. So the arena keeps runs of neighbours for columns (`engine/DESIGN.md`, Memory). A
million rows of 96 bytes, `pos += vel`, as ratios to the fresh pass of the same row. These were taken
once, by programs beside this page, on 2 cores of a Zen 3 virtual machine; what this page measures of
it are the rows with `fresh` as their baseline:

| chunks | arena | after everything was copied | one column shared | capture, warm |
|---|---|---|---|---|
| 512 rows | free lists | 1.29 | 1.69 | |
| 512 rows | runs | 1.02 | 1.25 | 13 us |
| 64 KiB | runs | 0.92 | 1.10 | 1.3 us |
| 32 KiB | runs | 0.92 | 1.14 | |
| 16 KiB | runs | 0.95 | 1.21 | 5 us |
| 8 KiB | runs | 0.91 | 1.23 | 30 us |

Chunks had 64 KiB to make up for scattered ones. With runs they have 16: writes here and there copy
and keep a third, and passes take the same time.

## The gate

Times on a busy machine don't tell 2 % apart. `benches/gate.sh` counts instructions under callgrind, and
misses of simulated caches, and compares them with `benches/instructions.json`, which keeps a
baseline for each toolchain and processor, and the reason for each count that was let grow.
";

const ELSEWHERE: &str = "
## From run to run, and on another machine

The targets that depend most on the processor, on 2 cores of an Intel Xeon virtual machine, before
columns had runs of neighbours: four full runs gave 0.92, 1.02, 1.04 and 1.08 of `memcpy` for all
columns written with everything shared; one column shared 1.50 of unshared; convoy tax 1.09 to 1.10;
sync of five modules 0.079 to 0.113; 26 archetypes 1.62 prepared and 3.08 as they stand; single spawns
1.53; columns of 10 thousand entities 1.28; insert and remove 5.88 for rows of 4 bytes and 2.40 for
100 bytes; toggles 1.35; `get` 2.01, prepared 1.33; despawn 2.67.

Three whole runs there in November 2026, a day apart each, gave despawn 2.76, 2.19 and 1.79, the last after it
took a sixth fewer instructions (hecs 2.20, 1.34 and 2.22); insert and remove of 4-byte rows 8.04, 4.34 and
4.30; lists of eight 1.86, 3.60 and 2.50, churned 4.26, 8.83 and 9.79; the delta 1.92, 2.45 and 2.20;
`pos += vel` over 10 thousand rows by an iterator 1.08, 1.30 and 1.06; mapped and verified 1.43, 1.22 and
1.14. No count of the gate grew by more than 2 % between them.

On 2 cores of a Zen 4 virtual machine, earlier: all columns written with everything shared 1.35 of
`memcpy`, which is likely to store past the caches there; one column shared 1.67 of unshared; sync of
five modules 0.03; convoy tax 1.04; columns of a million entities 1.08; `get` 10.5, prepared 4.6; 26
archetypes prepared 2.0.
";

/// The whole page.
pub(crate) fn page(
    rows: &[Row],
    workloads: &[Workload],
    costs: &[Line],
    (machine, versions): (&str, &[(String, String)]),
) -> String {
    let versions: Vec<String> =
        versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut page =
        format!("{INTRODUCTION}\n* Machine: {machine}\n* Versions: {}\n", versions.join(", "));
    page += "\n## Losses\n\n";
    page += &losses(rows, workloads);
    page += "\n## Promises\n\nThose that are missed come first.\n\n";
    page +=
        "| workload | subject | baseline | ratio | target | | best peer | with a live snapshot |\n";
    page += "|---|---|---|---|---|---|---|---|\n";
    for is_met in [false, true] {
        for workload in workloads {
            let promises = of(rows, workload).filter(|row| row.target.is_some());
            for row in promises.filter(|row| (row.met == Some(true)) == is_met) {
                page += &promise(workload, row, rows);
            }
        }
    }
    page += &tried(rows, workloads);
    page += ELSEWHERE;
    page += CAPTURE;
    page += &growth(costs);
    page += &scaling();
    page += NEIGHBOURS;
    page += "\n## Everybody\n";
    for workload in workloads {
        page += &table(workload, rows);
    }
    page
}

/// The speed-ups of each workload, a line each.
fn scaling() -> String {
    let mut text = SCALING.to_owned();
    let (mut name, mut rate) = ("", "");
    let end = |rate: &str| {
        let rate = rate.parse::<f64>().map_or(f64::NAN, |rate| rate / 1e6);
        format!(" {} |\n", number(rate))
    };
    for row in SCALING_ROWS.lines().skip(1) {
        // A name may have commas.
        let mut fields = row.rsplitn(4, ',');
        let (speedup, next, _) = (fields.next(), fields.next(), fields.next());
        let (Some(speedup), Some(next), Some(own)) = (speedup, next, fields.next()) else {
            continue;
        };
        if own != name {
            if !name.is_empty() {
                text += &end(rate);
            }
            text += &format!("| {own} |");
            name = own;
        }
        rate = next;
        text += &speedup
            .parse::<f64>()
            .map_or_else(|_| " |".to_owned(), |speedup| format!(" {speedup:.2} |"));
    }
    text + &end(rate)
}

fn of<'a>(rows: &'a [Row], workload: &'a Workload) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(|row| row.group == workload.group && row.workload == workload.name)
}

fn ratio(row: &Row) -> String {
    row.ratio.map_or_else(|| "not measured".to_owned(), number)
}

/// Two decimals, or as many as a small number needs.
fn number(ratio: f64) -> String {
    match ratio {
        ..0.05 => format!("{ratio:.4}"),
        ..0.2 => format!("{ratio:.3}"),
        _ => format!("{ratio:.2}"),
    }
}

/// The ratio of the same subject in a world with a live snapshot, where that was measured.
fn with_snapshot(rows: &[Row], workload: &Workload, row: &Row) -> String {
    let subject = format!("{}+snapshot", row.subject);
    let found = of(rows, workload).find(|other| other.subject == subject);
    let value = found.and_then(|other| other.value.as_ref());
    let baseline = of(rows, workload).find(|other| other.subject == row.baseline);
    let baseline = baseline.and_then(|base| base.value.as_ref());
    value.zip(baseline).map_or_else(String::new, |(own, base)| number(own.0 / base.0))
}

/// The fastest peer, and its ratio to the row's baseline, where there are any.
fn best_peer(rows: &[Row], workload: &Workload, row: &Row) -> String {
    let value = |row: &Row| row.value.as_ref().map(|(value, _)| *value);
    let baseline = of(rows, workload).find(|other| other.subject == row.baseline);
    let peers = of(rows, workload).filter(|row| is_peer(row));
    let measured = peers.filter_map(|peer| Some((value(peer)?, &peer.subject)));
    let best = measured.min_by(|left, right| left.0.total_cmp(&right.0));
    let ratio = best.zip(baseline.and_then(value));
    ratio.map_or_else(String::new, |((own, peer), base)| format!("{peer} {}", number(own / base)))
}

fn promise(workload: &Workload, row: &Row, rows: &[Row]) -> String {
    let (best_peer, with_snapshot) =
        (best_peer(rows, workload, row), with_snapshot(rows, workload, row));
    let verdict = match (row.met, row.ratio) {
        (Some(true), _) => "met",
        (_, Some(_)) => "**missed**",
        (_, None) => "**open**",
    };
    let target = row.target.unwrap_or(f64::NAN);
    let (title, subject, baseline) = (workload.title, &row.subject, row.baseline);
    let ratio = ratio(row);
    let target = number(target);
    format!(
        "| {title} | {subject} | {baseline} | {ratio} | <= {target} | {verdict} | {best_peer} | \
         {with_snapshot} |\n"
    )
}

/// The times of operations by size, and how they grow.
fn growth(costs: &[Line]) -> String {
    let mut text = COSTS.to_owned();
    for line in costs {
        let time_of = |entities: f64| {
            let point = line.points.iter().find(|(size, _)| *size == entities);
            point.map_or_else(String::new, |(_, micros)| time(micros * 1e3))
        };
        let times = [1e4, 1e5, 1e6, 1e7].map(time_of).join(" | ");
        let slope = slope(line).map_or_else(String::new, |slope| format!("{slope:.2}"));
        text += &format!("| {} | {times} | {slope} |\n", line.label);
    }
    text
}

/// The attempts at the promises that are missed.
fn tried(rows: &[Row], workloads: &[Workload]) -> String {
    let mut text = "\n## Missed, and what was tried\n\n".to_owned();
    for workload in workloads {
        for row in of(rows, workload).filter(|row| row.met == Some(false)) {
            text += &format!("* {}: {}, {}\n", workload.title, row.subject, ratio(row));
            let heading = format!("{} / {} / {}", row.group, row.workload, row.subject);
            let own = attempts().filter(|(about, _)| *about == heading);
            for note in own.flat_map(|(_, notes)| notes.lines()).filter(|note| !note.is_empty()) {
                text += &format!("  {note}\n");
            }
        }
    }
    text
}

/// The headings of [`ATTEMPTS`], each with its notes.
fn attempts() -> impl Iterator<Item = (&'static str, &'static str)> {
    ATTEMPTS.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

/// Whether the subject is an engine to compare with.
fn is_peer(row: &Row) -> bool {
    ["hecs", "bevy", "flecs", "shipyard", "sparsey"]
        .iter()
        .any(|peer| row.subject.starts_with(peer))
}

/// Convoy in its best form without a snapshot.
fn is_convoy(row: &Row) -> bool {
    row.subject.starts_with("convoy") && !row.subject.contains("snapshot")
}

/// The workloads on which a peer is ahead of every form of Convoy.
fn losses(rows: &[Row], workloads: &[Workload]) -> String {
    let mut text = String::new();
    for workload in workloads {
        let value = |row: &Row| row.value.as_ref().map_or(f64::MAX, |(value, _)| *value);
        let best = |keep: fn(&Row) -> bool| {
            let measured = of(rows, workload).filter(|row| keep(row) && row.value.is_some());
            measured.min_by(|left, right| value(left).total_cmp(&value(right)))
        };
        if let (Some(own), Some(peer)) = (best(is_convoy), best(is_peer))
            && value(own) > value(peer)
        {
            let times = number(value(own) / value(peer));
            let (title, own, peer) = (workload.title, &own.subject, &peer.subject);
            text += &format!("* {title}: {own} takes {times} times what {peer} takes\n");
        }
    }
    if text.is_empty() { "None: no peer is ahead on any workload.\n".to_owned() } else { text }
}

fn table(workload: &Workload, rows: &[Row]) -> String {
    let mut text = format!("\n### {}\n\n", workload.title);
    text += &format!("`{}`, `{}`\n\n", workload.group, workload.name);
    text += "| subject | measured | ratio | baseline | target |\n|---|---|---|---|---|\n";
    for row in of(rows, workload) {
        let measured = row.value.as_ref().map_or_else(String::new, |(value, unit)| {
            if unit == "bytes" { bytes(*value) } else { time(*value) }
        });
        let target = match (row.target, row.met) {
            (Some(target), Some(true)) => format!("<= {}", number(target)),
            (Some(target), _) => format!("<= {} **missed**", number(target)),
            (None, _) => String::new(),
        };
        let (subject, baseline) = (&row.subject, row.baseline);
        text += &format!("| {subject} | {measured} | {} | {baseline} | {target} |\n", ratio(row));
    }
    text
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        small if small < 1e3 => format!("{small:.0} ns"),
        middle if middle < 1e6 => format!("{:.2} us", middle / 1e3),
        large => format!("{:.2} ms", large / 1e6),
    }
}

fn bytes(bytes: f64) -> String {
    format!("{:.2} MB", bytes / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promises::workloads;

    #[test]
    fn every_heading_of_the_attempts_names_a_promise() {
        let promised = |heading: &str| {
            workloads().iter().any(|workload| {
                let name = format!("{} / {} / ", workload.group, workload.name);
                let subject = heading.strip_prefix(&name);
                workload.targets.iter().any(|target| Some(target.subject) == subject)
            })
        };
        let strangers: Vec<_> = attempts().filter(|(about, _)| !promised(about)).collect();
        assert_eq!(strangers, []);
        assert!(attempts().all(|(_, notes)| notes.trim_start().starts_with("* ")));
        assert!(attempts().count() > 10);
    }
}
