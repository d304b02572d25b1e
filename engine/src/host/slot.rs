//! [`Slot`]: one module as its host keeps it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::provider::contain::Contained;
use crate::provider::{Member, SnapshotProvider};
use crate::snapshot::View;
use crate::storage::ComponentMask;
use crate::world::World;
use crate::world::commands::{Commands, Playback};

use super::causes::Cause;
use super::config::HostConfig;
use super::job::{Job, Run};
use super::module::ModuleId;
use super::run_time::RunTimes;
use super::saved::MODULE_COUNTERS;
use super::seen::Seen;
use super::spec::ModuleSpec;
use super::time::Time;
use super::world_state::Era;

/// One module as the host keeps it.
pub(super) struct Slot {
    /// The module's id: its place in the order of registration.
    pub(super) id: ModuleId,
    /// Whether it was removed. Runs that are under way end, and then the place is vacant.
    pub(super) has_left: bool,
    /// Whether nothing of it is left.
    is_vacant: bool,
    /// The declarations of the module, without its provider.
    pub(super) spec: ModuleSpec,
    /// The provider that the module chose.
    pub(super) provider: Option<Contained<Arc<dyn SnapshotProvider>>>,
    /// The module, as its provider knows it.
    pub(super) member: Member,
    pub(super) mask: ComponentMask,
    /// The convoy's place in its list.
    pub(super) convoy: usize,
    /// The buffer that a module goes on with which was away when another world came.
    pub(super) next_commands: Option<Commands>,
    /// The module; `None` while a worker has it.
    pub(super) job: Option<Box<Job>>,
    /// Runs to be given out; at the beginning there is one.
    pub(super) idle: VecDeque<Box<Run>>,
    /// Runs that have a view and wait for the module to come back, or for this frame.
    pub(super) waiting: VecDeque<Box<Run>>,
    /// Runs that have ended and not landed.
    pub(super) ended: VecDeque<Box<Run>>,
    /// The frame of the run that is away, and whether it has missed its deadline.
    pub(super) away_since: u64,
    pub(super) late: bool,
    /// How many runs have landed since the module went away, which its inbox has to be told.
    pub(super) landed_while_away: u32,
    /// When the run that is away began, or the last frame that it waited for a worker on.
    pub(super) began: Time,
    /// Whether that run has begun, as the worker notes it.
    pub(super) has_begun: Arc<AtomicBool>,
    /// The end of the time that runs of the module have been given.
    pub(super) accounted: Time,
    /// Causes for runs besides the rate.
    pub(super) causes: Vec<Box<dyn Cause>>,
    /// Of a module that tracks changes, the views that it has seen.
    pub(super) seen: Option<Seen>,
    /// Whether a run is due because what the last one read comes again.
    pub(super) comes_again: bool,
    /// The era in which the last run was given its view.
    pub(super) leased_in: Era,
    /// The frame on which the last run was given its view.
    pub(super) leased_on: u64,
    /// The view that was last given to a module with causes.
    pub(super) compared: Option<View>,
    pub(super) counts: Counts,
    /// Events that were dropped before the module came to them, and those that failed too often.
    pub(super) lost_events: u64,
    pub(super) dropped_events: u64,
    pub(super) run_times: RunTimes,
    /// The message of the last run that ended in a panic.
    pub(super) last_panic: Option<String>,
    /// Whether the run that is due next is skipped, after a missed deadline.
    pub(super) skips_next: bool,
    /// The record as of the last landing.
    pub(super) record: RunRecord,
}

/// What is counted of a module, beside the outcome of its runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Runs that panicked or missed their deadline since the last that did neither.
    pub(super) faults_in_a_row: u32,
    /// Times due since the module was switched off.
    pub(super) off_for: u32,
    pub(super) overruns: u64,
    pub(super) refused: u64,
    pub(super) missed_deadlines: u64,
    pub(super) skipped: u64,
    pub(super) dropped_commands: u64,
    /// Of these, those that the module has not been told of.
    pub(super) dropped_untold: u64,
    /// By how many ticks the world was ahead of the view of the last run, and of any, when it landed.
    pub(super) view_age: u64,
    pub(super) view_age_max: u64,
}

/// The outcome of a module's runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunRecord {
    pub(super) runs: u64,
    pub(super) panics: u64,
    pub(super) run_time: Duration,
    pub(super) playback: Playback,
}

impl RunRecord {
    pub(super) fn add(&mut self, run_time: Duration, panicked: bool) {
        self.runs += 1;
        self.panics += u64::from(panicked);
        self.run_time += run_time;
    }
}

/// All counters of a module, in the order in which they are saved.
pub(super) fn to_numbers(counts: &Counts, record: &RunRecord) -> [u64; MODULE_COUNTERS] {
    let Counts { overruns, refused, missed_deadlines, skipped, .. } = *counts;
    let Counts { dropped_commands, dropped_untold, view_age, view_age_max, .. } = *counts;
    let RunRecord { runs, panics, playback, .. } = *record;
    let Playback { applied, dead, failed, texts_refused } = playback;
    [
        counts.faults_in_a_row.into(),
        counts.off_for.into(),
        overruns,
        refused,
        missed_deadlines,
        skipped,
        dropped_commands,
        dropped_untold,
        view_age,
        view_age_max,
        runs,
        panics,
        applied,
        dead,
        failed,
        texts_refused,
    ]
}

/// The counters of [`to_numbers`].
pub(super) fn from_numbers(numbers: [u64; MODULE_COUNTERS]) -> (Counts, RunRecord) {
    let [faults, off_for, overruns, refused, missed_deadlines, skipped, numbers @ ..] = numbers;
    let [dropped_commands, dropped_untold, view_age, view_age_max, numbers @ ..] = numbers;
    let [runs, panics, applied, dead, failed, texts_refused] = numbers;
    let counts = Counts {
        faults_in_a_row: u32::try_from(faults).unwrap_or(u32::MAX),
        // It is added to.
        off_for: u32::try_from(off_for).unwrap_or(u32::MAX - 1).min(u32::MAX - 1),
        overruns,
        refused,
        missed_deadlines,
        skipped,
        dropped_commands,
        dropped_untold,
        view_age,
        view_age_max,
    };
    let playback = Playback { applied, dead, failed, texts_refused };
    (counts, RunRecord { runs, panics, run_time: Duration::ZERO, playback })
}

/// For how many runs of a module that are under way at once, in lock step, buffers and cells are made
/// beforehand. In the order of registration, so that handles don't depend on modules that are added later.
const QUEUE_STOCK: usize = 16;

impl Slot {
    pub(super) fn new(
        id: ModuleId,
        spec: ModuleSpec,
        provider: Option<Contained<Arc<dyn SnapshotProvider>>>,
        (job, seen, causes): (Job, Option<Seen>, Vec<Box<dyn Cause>>),
    ) -> Self {
        let has_begun = Arc::clone(&job.has_begun);
        Self {
            id,
            provider,
            spec,
            has_left: false,
            is_vacant: false,
            member: Member::new(),
            mask: ComponentMask::NONE,
            convoy: 0,
            next_commands: None,
            job: Some(Box::new(job)),
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            ended: VecDeque::new(),
            away_since: 0,
            late: false,
            landed_while_away: 0,
            began: Time::ZERO,
            has_begun,
            accounted: Time::ZERO,
            causes,
            seen,
            comes_again: false,
            leased_in: Era::default(),
            leased_on: 0,
            compared: None,
            counts: Counts::default(),
            lost_events: 0,
            dropped_events: 0,
            run_times: RunTimes::new(),
            last_panic: None,
            skips_next: false,
            record: RunRecord::default(),
        }
    }

    /// How many runs of the module are made beforehand.
    pub(super) fn runs_stock(&self, config: &HostConfig) -> usize {
        config.runs_of(&self.spec).min(QUEUE_STOCK)
    }

    /// Makes the runs of a module that is about to start.
    pub(super) fn make_runs(&mut self, config: &HostConfig, world: &mut World) {
        for _ in 0..self.runs_stock(config) {
            let commands = Commands::for_module(world, self.spec.spawns);
            self.idle.push_back(Box::new(Run::new(commands)));
        }
    }

    /// Whether the module is with a worker.
    pub(super) fn is_away(&self) -> bool {
        self.job.is_none() && !self.is_vacant
    }

    /// Whether a run has its view and has not landed.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_away() || !self.waiting.is_empty() || !self.ended.is_empty()
    }

    /// Lets the module go that was removed, once its last run has landed. Tells whether it has gone now.
    pub(super) fn vacate(&mut self) -> bool {
        let goes = self.has_left && !self.is_vacant && !self.is_under_way();
        if goes {
            self.is_vacant = true;
            (self.job, self.next_commands, self.compared) = (None, None, None);
            self.seen = None;
            self.idle.clear();
            self.member = Member::new();
        }
        goes
    }
}
