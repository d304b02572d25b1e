//! A job: one module with everything that a run of it needs. It moves whole between the host and
//! a worker, so neither shares anything with the other while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::provider::contain::{Contained, contain_with_message};
use crate::snapshot::View;
use crate::trace::span;
use crate::world::commands::{Commands, Playback};

use super::inbox::Inbox;
use super::module::{Given, Mode, Module, ModuleContext};
use super::timeline::RunTimes;

pub(super) struct Job {
    /// The module's place in the order of registration.
    pub(super) number: usize,
    pub(super) commands: Commands,
    given: Given,
    pub(super) inbox: Inbox,
    /// Whether the run counts: it has not panicked, and what it recorded was not dropped.
    pub(super) took_effect: bool,
    /// The message of the panic that the last run ended in.
    pub(super) panic: Option<String>,
    pub(super) record: RunRecord,
    /// Whether the frame waits for the runs.
    pub(super) frame_synced: bool,
    /// The module's name, for its spans.
    #[cfg(feature = "tracing")]
    pub(super) name: String,
    module: Contained<Box<dyn Module>>,
    /// Whether the run has begun.
    has_begun: Arc<AtomicBool>,
    view: Option<View>,
    /// The times of the run, where the host keeps a timeline.
    pub(super) times: Option<RunTimes>,
    /// Whether the view stays with the job until the run lands. The set of live snapshots decides
    /// which views others are given, so in lock step it must not depend on when a worker ends.
    keeps_view: bool,
}

/// The outcome of a module's runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunRecord {
    pub(super) runs: u64,
    pub(super) panics: u64,
    pub(super) run_time: Duration,
    pub(super) last_run_time: Duration,
    pub(super) playback: Playback,
}

impl RunRecord {
    /// The mean time of a run; zero without runs.
    pub(super) fn mean_run_time(&self) -> Duration {
        self.run_time / u32::try_from(self.runs.max(1)).unwrap_or(u32::MAX)
    }
}

impl Job {
    pub(super) fn new(
        number: usize,
        (mode, lock_step): (Mode, bool),
        (module, has_begun): (Contained<Box<dyn Module>>, Arc<AtomicBool>),
        commands: Commands,
    ) -> Self {
        Self {
            number,
            frame_synced: mode == Mode::FrameSynced,
            commands,
            given: Given::NOTHING,
            inbox: Inbox::default(),
            took_effect: true,
            panic: None,
            record: RunRecord::default(),
            #[cfg(feature = "tracing")]
            name: String::new(),
            module,
            has_begun,
            view: None,
            times: None,
            keeps_view: lock_step && mode == Mode::Asynchronous,
        }
    }

    /// The job with a name for its spans.
    #[cfg(feature = "tracing")]
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// Gives the module its view for the next run.
    pub(super) fn lend(&mut self, view: View, given: Given) {
        self.view = Some(view);
        self.given = given;
        // Relaxed: the job is handed over after it.
        self.has_begun.store(false, Ordering::Relaxed);
    }

    /// Whether the job goes before another one where both wait for a worker: those that the frame waits for go first,
    /// and short ones before long ones.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        let urgency = |job: &Self| (!job.frame_synced, job.record.mean_run_time());
        urgency(self) < urgency(other)
    }

    /// Drops the view of a run that lands, or whose result is no longer waited for.
    pub(super) fn land(&mut self) {
        if self.view.take().is_some()
            && let Some(times) = &mut self.times
        {
            times.left = Instant::now();
        }
    }

    /// Runs the module on its view, and drops the view, unless that is left to [`Job::land`].
    /// A panic ends here: the commands of the run are discarded.
    pub(super) fn run(&mut self) {
        let Some(view) = self.view.take() else { return };
        // Relaxed: it orders nothing.
        self.has_begun.store(true, Ordering::Relaxed);
        span!("module", name = self.name.as_str(), tick = view.tick());
        let began = Instant::now();
        let Self { module, commands, inbox, given, .. } = self;
        let given = *given;
        // Unwind safety: the commands are cleared below, and a module that doesn't cope with its own
        // interrupted run is switched off when it goes on failing.
        let run = || module.run(&mut ModuleContext { view: &view, commands, inbox, given });
        self.panic = contain_with_message(run).err();
        self.took_effect = self.panic.is_none();
        if self.keeps_view {
            self.view = Some(view);
        } else {
            drop(view);
        }
        let ended = Instant::now();
        if let Some(times) = &mut self.times {
            (times.began, times.ended, times.left) = (began, ended, ended);
            times.panicked = self.panic.is_some();
        }
        let record = &mut self.record;
        record.last_run_time = ended - began;
        record.run_time += record.last_run_time;
        record.runs += 1;
        if self.panic.is_some() {
            record.panics += 1;
            self.commands.clear();
        }
    }
}
