//! The figure of the convoys: which modules joined each snapshot, how long they held it, and who left last.

use std::time::Duration;

use convoy_engine::host::{HostStatistics, ModuleHost, ModuleRun, Tier};

use super::chart::{Axis, Bar, Chart, Ink, Series, Style};
use super::figures::{Figure, Table};
use crate::report::format::{count, time};

/// How many frames the figure shows.
const FRAMES_SHOWN: u64 = 18;

/// The last frames of a run, copied out of its host.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    runs: Vec<Run>,
    /// The names of the modules, by convoy: the lanes of the figure, from the top.
    lanes: Vec<Lane>,
}

/// One module's line.
#[derive(Debug, Clone)]
struct Lane {
    name: String,
    module: usize,
    convoy: String,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    run: ModuleRun,
    /// Whether it left its snapshot last of all.
    is_last: bool,
}

impl Timeline {
    /// The timeline of `host` now.
    pub fn of(host: &ModuleHost, statistics: &HostStatistics) -> Self {
        let newest = host.timeline().map(|run| run.frame).max().unwrap_or(0);
        let shown = host.timeline().filter(|run| run.frame + FRAMES_SHOWN > newest);
        let runs: Vec<Run> = shown
            .map(|&run| {
                let last = host.last_to_leave(run.snapshot);
                Run { run, is_last: last.is_some_and(|last| last.module == run.module) }
            })
            .collect();
        let mut lanes: Vec<(usize, Lane)> = Vec::new();
        for Run { run, .. } in &runs {
            let module = run.module.index();
            if lanes.iter().any(|(_, lane)| lane.module == module) {
                continue;
            }
            let convoy = &statistics.convoys[run.convoy];
            let tier = if convoy.tier == Tier::Fast { "fast" } else { "slow" };
            let members = match convoy.members {
                1 => "one module".to_owned(),
                members => format!("{members} modules"),
            };
            let name = statistics.modules[module].name.clone();
            let convoy = format!("{tier}, {members}");
            lanes.push((run.convoy, Lane { name, module, convoy }));
        }
        lanes.sort_by_key(|(convoy, lane)| (*convoy, lane.module));
        Self { runs, lanes: lanes.into_iter().map(|(_, lane)| lane).collect() }
    }

    fn lane(&self, run: &ModuleRun) -> usize {
        let found = self.lanes.iter().position(|lane| lane.module == run.module.index());
        found.expect("each run has a lane")
    }

    /// When the runs of each frame joined, with the frame's number.
    fn frames(&self) -> Vec<(Duration, f64)> {
        let joined = self.runs.iter().map(|run| (run.run.joined, run.run.frame as f64));
        let mut frames: Vec<_> = joined.collect();
        frames.sort_by_key(|frame| frame.0);
        frames.dedup();
        frames
    }
}

/// The figure. `label` names a lane by the height at which it is.
pub(super) fn figure<'a>(timeline: &'a Timeline, label: &'a dyn Fn(f64) -> String) -> Figure<'a> {
    let height = timeline.lanes.len().max(1) as f64;
    let frames = timeline.frames();
    let last_left = timeline.runs.iter().map(|run| run.run.left).max().unwrap_or_default();
    let at = |moment| position(&frames, last_left, moment);
    let first = frames.first().map_or(0.0, |frame| frame.1);
    let end = frames.last().map_or(1.0, |frame| frame.1 + 1.0);
    let middle = |run: &ModuleRun| height - timeline.lane(run) as f64 - 0.5;
    let mut bars = Vec::new();
    let mut last = Vec::new();
    for Run { run, is_last } in &timeline.runs {
        let (y, left) = (middle(run), at(run.left));
        let mut bar = |ink, opacity, half: f64, from: f64, to: f64| {
            // A run of nanoseconds is still to be seen.
            let to = to.max(from + (end - first) / 400.0);
            bars.push(Bar { ink, opacity, from: (from, y - half), to: (to, y + half) });
        };
        bar(Ink::Copies, 0.45, 0.32, at(run.joined), left);
        bar(Ink::Convoy, 1.0, 0.16, at(run.began), at(run.ended));
        if *is_last {
            last.push((left, y));
        }
    }
    let ticks = (0..timeline.lanes.len()).map(|lane| height - lane as f64 - 0.5).collect();
    Figure {
        id: "timeline",
        title: "The convoys at work".into(),
        says: format!(
            "The last {FRAMES_SHOWN} frames of the run. Bars reach from where a module joined its snapshot to \
             where it left, with its run inside; a dot marks the module that left a snapshot last, so that \
             the snapshot ended. Modules of one convoy join at the same moment, and share one snapshot. \
             All frames are as wide here, whatever time they took.",
        ),
        legend: vec![
            (Ink::Copies, "holds the snapshot"),
            (Ink::Convoy, "runs"),
            (Ink::Alert, "left last"),
        ],
        chart: Chart {
            x: Axis {
                name: "frame",
                range: first..end,
                ticks: (first as u64..=end as u64).step_by(3).map(|frame| frame as f64).collect(),
                label: &|frame| count(frame as u64),
            },
            y: Axis { name: "", range: 0.0..height, ticks, label },
            label_room: Some((160, 128)),
            bars,
            series: vec![Series { ink: Ink::Alert, style: Style::Dots(4), points: last }],
            notes: Vec::new(),
        },
        heights: (60 + 34 * timeline.lanes.len() as u32, 60 + 30 * timeline.lanes.len() as u32),
        table: table(timeline),
    }
}

/// Where a moment is among the frames, each of which is as wide as the others, the last one up to `end`.
fn position(frames: &[(Duration, f64)], end: Duration, moment: Duration) -> f64 {
    let after = frames.partition_point(|frame| frame.0 <= moment);
    let Some(&(began, frame)) = frames[..after].last() else { return frames[0].1 };
    let (ended, next) = frames.get(after).copied().unwrap_or((end, frame + 1.0));
    let length = (ended - began).as_secs_f64();
    let share = if length > 0.0 { (moment - began).as_secs_f64() / length } else { 0.0 };
    frame + share.min(1.0) * (next - frame)
}

/// The name of the lane at this height.
pub(super) fn lane_name(timeline: &Timeline, at: f64) -> String {
    let lane = (timeline.lanes.len() as f64 - at - 0.5).round();
    timeline.lanes.get(lane as usize).map(|lane| lane.name.clone()).unwrap_or_default()
}

fn table(timeline: &Timeline) -> Table {
    let rows = timeline.runs.iter().map(|Run { run, is_last }| {
        let lane = &timeline.lanes[timeline.lane(run)];
        vec![
            count(run.frame),
            lane.name.clone(),
            lane.convoy.clone(),
            count(run.tick),
            time(run.ended - run.began),
            time(run.left - run.joined),
            count(run.landed),
            if *is_last { "last" } else { "" }.to_owned(),
        ]
    });
    let head = [
        "frame",
        "module",
        "convoy",
        "snapshot of tick",
        "ran for",
        "held for",
        "landed on",
        "left",
    ];
    Table::new(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_wide_as_each_other() {
        let at = Duration::from_micros;
        let frames = [(at(10), 1.0), (at(20), 2.0), (at(100), 4.0)];
        let position = |micros| position(&frames, at(200), at(micros));
        assert_eq!(
            [0, 10, 15, 20, 60, 100, 150, 200].map(position),
            [1.0, 1.0, 1.5, 2.0, 3.0, 4.0, 4.5, 5.0]
        );
        assert_eq!(position(900), 5.0, "nothing is beyond the last frame");
    }
}
