//! A job: one module with everything that is its own. It moves whole between the host and a worker, with
//! the run that it is on, so neither shares anything with the other while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::provider::contain::{Contained, contain_with_message};
use crate::snapshot::View;
use crate::trace::span;
use crate::world::commands::Commands;

use super::context::{Given, ModuleContext};
use super::inbox::Inbox;
use super::module::Module;
use super::scratch::RunScratch;
use super::seen::Seen;
use super::spec::Mode;
use super::timeline::RunTimes;
use super::world_state::Era;

pub(super) struct Job {
    /// The module's place in the order of registration.
    pub(super) number: usize,
    pub(super) inbox: Inbox,
    /// The run that is about to begin, or that has ended.
    pub(super) run: Option<Box<Run>>,
    /// Whether the frame waits for the runs.
    pub(super) frame_synced: bool,
    /// The mean time of the runs so far: short ones go first.
    pub(super) mean_run_time: Duration,
    /// The module's name, for its spans.
    #[cfg(feature = "tracing")]
    name: String,
    module: Contained<Box<dyn Module>>,
    scratch: RunScratch,
    /// Of a module that tracks changes, the views that it has seen.
    seen: Option<Seen>,
    /// Whether the run has begun.
    pub(super) has_begun: Arc<AtomicBool>,
    /// In how many runs in a row events are given to the module that it fails on.
    event_tries: u32,
    /// Whether views stay with their runs until these land. The set of live snapshots decides which views others
    /// are given, so in lock step it must not depend on when a worker ends.
    keeps_views: bool,
}

/// One run of a module: what it is given, and what comes of it.
pub(super) struct Run {
    pub(super) commands: Commands,
    view: Option<View>,
    given: Given,
    /// The frame on which the module was given the view.
    pub(super) since: u64,
    pub(super) era: Era,
    /// The tick of the view.
    pub(super) tick: u64,
    /// Whether it came after its deadline.
    pub(super) late: bool,
    /// Whether what it read comes again.
    pub(super) comes_again: bool,
    /// The message of the panic that it ended in.
    pub(super) panic: Option<String>,
    pub(super) run_time: Duration,
    /// Its times, where the host keeps a timeline.
    pub(super) times: Option<RunTimes>,
}

impl Run {
    /// A run that has not been given anything yet.
    pub(super) fn new(commands: Commands) -> Self {
        Self {
            commands,
            view: None,
            given: Given::NOTHING,
            since: 0,
            era: Era::default(),
            tick: 0,
            late: false,
            comes_again: false,
            panic: None,
            run_time: Duration::ZERO,
            times: None,
        }
    }

    /// Gives the module its view for the run.
    pub(super) fn lend(&mut self, view: View, given: Given, (since, era): (u64, Era)) {
        self.tick = view.tick();
        self.view = Some(view);
        self.given = given;
        (self.since, self.era, self.late) = (since, era, false);
    }

    /// Drops the view of a run that lands, or whose result is no longer waited for.
    pub(super) fn land(&mut self) {
        if self.view.take().is_some()
            && let Some(times) = &mut self.times
        {
            times.left = Instant::now();
        }
    }
}

impl Job {
    pub(super) fn new(
        (number, name): (usize, &str),
        mode: Mode,
        (lock_step, event_tries): (bool, u32),
        (module, seen): (Contained<Box<dyn Module>>, Option<Seen>),
    ) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _ = name;
        Self {
            number,
            inbox: Inbox::new(seen.is_some()),
            seen,
            run: None,
            frame_synced: mode == Mode::FrameSynced,
            mean_run_time: Duration::ZERO,
            #[cfg(feature = "tracing")]
            name: name.to_owned(),
            module,
            scratch: RunScratch::default(),
            has_begun: Arc::default(),
            event_tries,
            keeps_views: lock_step && mode == Mode::Asynchronous,
        }
    }

    pub(super) const fn event_tries(&self) -> u32 {
        self.event_tries
    }

    pub(super) fn module(&self) -> &dyn Module {
        &**self.module
    }

    pub(super) fn module_mut(&mut self) -> &mut dyn Module {
        &mut **self.module
    }

    /// Whether the job goes before another one where both wait for a worker: those that the frame waits for
    /// go first, and short ones before long ones.
    pub(super) fn goes_before(&self, other: &Self) -> bool {
        let urgency = |job: &Self| (!job.frame_synced, job.mean_run_time);
        urgency(self) < urgency(other)
    }

    /// Runs the module on the view of its run, and drops the view, unless that is left to [`Run::land`].
    /// A panic ends here: the commands of the run are discarded.
    pub(super) fn run(&mut self) {
        let Self { module, inbox, run: Some(run), .. } = self else { return };
        let Some(view) = run.view.take() else { return };
        // Relaxed: it orders nothing.
        self.has_begun.store(true, Ordering::Relaxed);
        span!("module", name = self.name.as_str(), tick = view.tick());
        inbox.begin(run.era, self.event_tries);
        let began = Instant::now();
        let Run { commands, given, era, .. } = &mut **run;
        let era = *era;
        let given = *given;
        // Unwind safety: the commands are cleared below, and a module that doesn't cope with its own
        // interrupted run is switched off when it goes on failing.
        let seen = self.seen.as_ref();
        let last = seen.map(|seen| seen.last(era));
        let last_view = last.as_ref().map(Option::as_ref);
        let scratch = self.scratch.bump();
        let call = || {
            module.run(&mut ModuleContext {
                view: &view,
                commands,
                inbox,
                given,
                scratch,
                last: last_view,
            });
        };
        run.panic = contain_with_message(call).err();
        run.comes_again = false;
        if run.panic.is_some() {
            run.commands.discard();
            run.comes_again = self.inbox.end_failed(self.event_tries);
        } else {
            self.inbox.end(!run.commands.is_empty());
        }
        if let (Some(seen), Some(last)) = (seen, last) {
            let now = if run.comes_again { last } else { Some(view.clone()) };
            seen.end((run.since, run.era), now);
        }
        self.scratch.reset();
        if self.keeps_views {
            run.view = Some(view);
        } else {
            drop(view);
        }
        let ended = Instant::now();
        if let Some(times) = &mut run.times {
            (times.began, times.ended, times.left) = (began, ended, ended);
            times.panicked = run.panic.is_some();
        }
        run.run_time = ended - began;
        // That of the last few runs: a module may change.
        self.mean_run_time = (self.mean_run_time.saturating_mul(7) + run.run_time) / 8;
    }
}
