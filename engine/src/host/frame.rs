//! One frame of the host, between the [phases](Phase) of its systems.
//!
//! 1. Asynchronous runs that have ended, or in lock step those that are due to land, land: their
//!    commands are played back in the order of registration. Modules that are back and have runs waiting begin the
//!    next one.
//! 2. Providers that capture every tick do so.
//! 3. Every convoy that is due takes all its leases, before any member runs.
//! 4. Frame-synced and asynchronous members are sent out, in this order; synchronous ones run, in
//!    the order of registration. Frame-synced ones that no worker has begun by then run here, and
//!    the frame waits for the rest.
//! 5. The commands of the synchronous and frame-synced ones are played back in the order of
//!    registration.
//!
//! Every module has its own command buffer, and a buffer is played back only after its module's
//! run has ended: one member's commands are never taken while another still records.
//!
//! In lock step an asynchronous module may be due while it still runs. Then it is given its view all the same, with
//! a buffer of its own, and the run waits its turn: up to as many runs of a module are under way as it takes
//! frames for one to land, each with its view. The host hands the next one out as soon as it finds the module back, so
//! a module begins one run a frame, and more only where a frame waits for it.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::snapshot::View;
use crate::trace::span;
use crate::world::World;
use crate::world::commands::Commands;

use super::config::{HostConfig, HostError};
use super::context::Given;
use super::faults::{ModulePanic, PanicCallback, tell};
use super::job::{Job, Run};
use super::module_host::ModuleHost;
use super::slot::Slot;
use super::spec::Mode;
use super::systems::Phase;
use super::time::Time;
use super::timeline::{RunTimes, Timeline};
use super::workers::Workers;
use super::world_state::{Era, WorldState};

impl ModuleHost {
    /// Runs one frame, `dt` after the last one, and advances the world's tick.
    ///
    /// # Errors
    ///
    /// Those of [`ModuleHost::initialize`], on the first frame and on the first with another world
    /// only; the frame has not been run then. Where it is a system that has put another world in the place of the
    /// first, the frame ends after the phase of the simulation. The fault of a module or of a provider is never an
    /// error of the frame; see [`HostStatistics`](super::HostStatistics).
    pub fn run_frame(&mut self, world: &mut World, dt: Duration) -> Result<(), HostError> {
        self.initialize(world)?;
        let Some(dt) = self.pace.advance(dt) else { return Ok(()) };
        span!("frame", tick = world.tick() + 1);
        self.frame += 1;
        self.now = self.now.after(dt);
        world.advance_tick();
        self.run_phase(Phase::Input, world, dt);
        self.land(world);
        self.run_phase(Phase::Simulation, world, dt);
        // A system may have restored or replaced the world.
        self.initialize(world)?;
        self.note_state(world);
        if self.acquire(world) {
            self.run_leased(world);
        }
        self.run_phase(Phase::After, world, dt);
        self.run_phase(Phase::Export, world, dt);
        Ok(())
    }

    /// Waits for every module that is away and plays its commands back, unless they are for
    /// another world.
    pub fn finish(&mut self, world: &mut World) {
        self.note_state(world);
        while self.modules.iter().any(Slot::is_away) {
            self.receive();
        }
        self.play_back_landed(world, u64::MAX);
    }

    /// [`ModuleHost::finish`], for `timeout` at the most.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{HostConfig, HostError, Mode, ModuleHost, ModuleSpec, Rate};
    ///
    /// let mut world = World::new();
    /// let mut host = ModuleHost::new(HostConfig::default().abandon_after(Duration::ZERO));
    /// let spec = ModuleSpec::slow("stuck", Rate::EVERY_FRAME).mode(Mode::Asynchronous).reads::<()>();
    /// host.add(spec, |_| loop { std::thread::park() }).unwrap();
    /// host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// let finished = host.finish_within(&mut world, Duration::from_millis(20));
    /// assert!(matches!(finished, Err(HostError::Unfinished { modules }) if modules == ["stuck"]));
    /// ```
    ///
    /// # Errors
    ///
    /// [`HostError::Unfinished`] names the modules that were still running. The runs of all others have
    /// landed. These keep their views, and land on a later frame if they end.
    pub fn finish_within(&mut self, world: &mut World, timeout: Duration) -> Result<(), HostError> {
        self.note_state(world);
        let has_ended = self.wait(timeout);
        self.play_back_landed(world, u64::MAX);
        if has_ended {
            return Ok(());
        }
        let names =
            self.modules.iter().filter(|slot| slot.is_away()).map(|slot| slot.spec.name.clone());
        Err(HostError::Unfinished { modules: names.collect() })
    }

    /// Waits until every asynchronous module has ended the runs that it was given, for `timeout` at the
    /// most (`Duration::MAX`: for as long as it takes). Returns whether they all have. Nothing lands:
    /// that is left to the frames.
    ///
    /// A simulation that is not paced by a clock calls it between two frames to give modules the
    /// time that they would have had.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        // One that lies past the end of the clock is none.
        let deadline = Instant::now().checked_add(timeout);
        while self.modules.iter().any(Slot::is_away) {
            let workers = self.workers.as_ref().expect("a module is away with the workers");
            let Some(job) = workers.receive_until(deadline) else { return false };
            self.take_back(job);
        }
        true
    }

    /// Drops the views of runs that have ended and not landed yet, so that the next writes need not
    /// copy chunks for snapshots without readers.
    ///
    /// Only lock step has such views. It keeps them until the runs land, because the set of live
    /// snapshots decides which views other modules are given, and must not depend on when a worker
    /// ends. So call this after a [`ModuleHost::wait`] that returned `true`: then the same frames with
    /// the same calls give the same world.
    pub fn release_views(&mut self) {
        self.modules.iter_mut().flat_map(|slot| &mut slot.ended).for_each(|run| run.land());
    }

    /// Notes whether the world has been restored, synced or replaced: runs that were given their views before that take
    /// no effect.
    fn note_state(&mut self, world: &World) {
        let state = WorldState::of(world);
        if mem::replace(&mut self.state, state) != state {
            self.era = self.era.next();
        }
    }

    /// Takes finished jobs back, and lands the runs that are due to.
    fn land(&mut self, world: &mut World) {
        self.note_state(world);
        if self.open_runs == 0 {
            return;
        }
        while let Some(job) = self.workers.as_ref().and_then(|workers| workers.try_receive()) {
            self.take_back(job);
        }
        let Some(delay) = self.config.lock_step else {
            let now = self.now;
            self.modules.iter_mut().for_each(|slot| slot.check_deadline(now));
            return self.play_back_landed(world, u64::MAX);
        };
        let landing = self.frame.saturating_sub(delay.get().into());
        while self.modules.iter().any(|slot| slot.has_open_run(landing)) {
            self.receive();
        }
        self.play_back_landed(world, landing);
    }

    fn receive(&mut self) {
        let workers = self.workers.as_ref().expect("a module is away with the workers");
        let job = workers.receive();
        self.take_back(job);
    }

    /// Takes a job back whose run has ended, and sends an asynchronous one out with the next, if that waits.
    fn take_back(&mut self, job: Box<Job>) {
        let number = job.number;
        let slot = &mut self.modules[number];
        slot.take_back(job);
        if slot.spec.mode == Mode::Asynchronous {
            self.send_next(number);
        }
    }

    /// Lands the runs that have ended and were begun on a frame up to `landing`. In lock step they land in the order
    /// of their frames.
    fn play_back_landed(&mut self, world: &mut World, landing: u64) {
        while let Some(oldest) =
            self.modules.iter().filter_map(|slot| slot.first_ended(landing)).min()
        {
            let landing = if self.config.lock_step.is_some() { oldest } else { landing };
            // Views end first: playing back copies chunks that one of them still holds.
            for slot in &mut self.modules {
                let landing = slot.ended.iter_mut().take_while(|run| run.since <= landing);
                landing.for_each(|run| run.land());
            }
            let faults = (self.on_panic.as_ref(), &self.config, self.era);
            let is_known = self.world == world.id;
            for slot in &mut self.modules {
                let lands = slot.first_ended(landing).is_some();
                while slot.first_ended(landing).is_some() {
                    self.open_runs -= 1;
                    settle(slot, world, (&mut self.timeline, self.frame), faults);
                }
                // Runs that were under way when another world came have buffers for the one before.
                if lands && is_known && !slot.has_left {
                    slot.renew_buffers(world);
                }
                if slot.vacate() {
                    self.vacant.insert(slot.id.index());
                }
            }
        }
    }

    /// Updates all providers, then takes the leases of all convoys that are due. Tells whether there are any.
    fn acquire(&mut self, world: &mut World) -> bool {
        let before = self.open_runs;
        let began = Instant::now();
        for convoy in self.convoys.iter().filter(|convoy| convoy.updates) {
            let is_on = |&number: &usize| self.modules[number].is_on(&self.config);
            if convoy.provider.is_manual() || convoy.members.iter().any(is_on) {
                // A refused update is counted, and the last snapshot stays published.
                _ = convoy.provider.ask(|provider| provider.update(world));
            } else {
                convoy.provider.rest(world);
            }
        }
        for convoy in &mut self.convoys {
            let is_due = convoy.schedule.is_due(self.now, self.frame);
            if !is_due && !convoy.has_causes {
                continue;
            }
            for &number in &convoy.members {
                let slot = &mut self.modules[number];
                if !(is_due || slot.may_have_cause(world)) || !slot.is_ready(&self.config) {
                    continue;
                }
                slot.ready_run(world);
                let member = &mut slot.member;
                match convoy.provider.ask(|provider| provider.acquire_for(world, member)) {
                    Some(Ok(view)) => {
                        if self.timeline.is_on() {
                            slot.note_join(&view, self.frame, began);
                        }
                        let view = view.narrow_to(&slot.mask);
                        // All causes that the view has, whether the module is due or not.
                        if slot.take_causes(world, &view) || is_due {
                            slot.lend(view, (self.now, self.frame, self.era));
                            self.open_runs += 1;
                        }
                    }
                    Some(Err(_)) | None => slot.counts.refused += 1,
                }
            }
        }
        self.acquire_time += began.elapsed();
        self.open_runs > before
    }

    /// Sends modules out to the workers and runs the synchronous ones.
    fn run_leased(&mut self, world: &mut World) {
        for mode in [Mode::FrameSynced, Mode::Asynchronous] {
            for number in 0..self.modules.len() {
                if self.modules[number].spec.mode == mode {
                    self.send_next(number);
                }
            }
        }
        for slot in self.modules.iter_mut().filter(|slot| slot.spec.mode == Mode::Synchronous) {
            if let Some(mut job) = slot.take_next() {
                job.run();
                slot.take_back(job);
            }
        }
        self.finish_frame_synced();
        let faults = (self.on_panic.as_ref(), &self.config, self.era);
        for slot in self.modules.iter_mut().filter(|slot| slot.spec.mode != Mode::Asynchronous) {
            if !slot.ended.is_empty() {
                self.open_runs -= 1;
                settle(slot, world, (&mut self.timeline, self.frame), faults);
            }
        }
    }

    /// Sends a module out with its next run, if one waits and the module is here. Runs it at once where there are no
    /// threads.
    fn send_next(&mut self, number: usize) {
        let Some(mut job) = self.modules[number].take_next() else { return };
        match &self.workers {
            Some(workers) => workers.send(job),
            None => {
                job.run();
                self.take_back(job);
            }
        }
    }

    /// Runs the frame-synced jobs that no worker has begun, and waits for the others.
    fn finish_frame_synced(&mut self) {
        while let Some(mut job) = self.workers.as_ref().and_then(Workers::take_frame_synced) {
            job.run();
            self.take_back(job);
        }
        let away = |slot: &Slot| slot.spec.mode == Mode::FrameSynced && slot.is_away();
        while self.modules.iter().any(away) {
            self.receive();
        }
    }
}

/// Lands the oldest run of a module that has ended, enters it into the timeline, and tells of its panic.
fn settle(
    slot: &mut Slot,
    world: &mut World,
    (timeline, frame): (&mut Timeline, u64),
    (on_panic, config, era): (Option<&PanicCallback>, &HostConfig, Era),
) {
    let mut run = slot.ended.pop_front().expect("only a run that has ended is settled");
    if timeline.is_on()
        && let Some(times) = &run.times
    {
        timeline.enter((slot.id, slot.convoy), times, frame);
    }
    let panic = run.panic.take();
    slot.finish_run(run, (panic.is_some(), era), (world, config));
    if let Some(message) = panic {
        let (module, name) = (slot.id, slot.spec.name.as_str());
        tell(&ModulePanic { module, name, message: &message }, on_panic);
        slot.last_panic = Some(message);
    }
}

/// # Frames
impl Slot {
    /// Whether the run that the module is away with was begun on a frame up to `landing`.
    fn has_open_run(&self, landing: u64) -> bool {
        self.is_away() && self.away_since <= landing
    }

    /// The frame of the oldest run that has ended, if it lies up to `landing`.
    fn first_ended(&self, landing: u64) -> Option<u64> {
        self.ended.front().map(|run| run.since).filter(|&since| since <= landing)
    }

    /// The module with its next run, if it is here and one waits.
    fn take_next(&mut self) -> Option<Box<Job>> {
        let run = self.waiting.front()?;
        let mut job = self.job.take()?;
        (self.away_since, self.late) = (run.since, false);
        // Relaxed: the job is handed over after it.
        job.has_begun.store(false, Ordering::Relaxed);
        job.run = self.waiting.pop_front();
        Some(job)
    }

    /// Takes the module back with the run that has ended.
    fn take_back(&mut self, mut job: Box<Job>) {
        let mut run = job.run.take().expect("a job comes back with its run");
        run.late = mem::take(&mut self.late);
        if run.late {
            self.drop_commands(&mut run.commands);
            job.inbox.note_late();
        }
        for _ in 0..mem::take(&mut self.landed_while_away) {
            job.inbox.land();
        }
        self.ended.push_back(run);
        self.job = Some(job);
    }

    /// Whether the module may have a cause to run besides its rate.
    fn may_have_cause(&self, world: &World) -> bool {
        self.comes_again || self.causes.iter().any(|cause| cause.may_be_up(world))
    }

    /// Takes the causes that a view has, which the module may be given. Tells whether there are any.
    fn take_causes(&mut self, world: &World, view: &View) -> bool {
        if self.causes.is_empty() {
            return false;
        }
        let mut has_cause = mem::take(&mut self.comes_again);
        for cause in &mut self.causes {
            has_cause |= cause.take(world, view, self.compared.as_ref());
        }
        if self.spec.tracks_changes {
            self.compared = Some(view.clone());
        }
        has_cause
    }

    /// Whether the module has not been switched off.
    fn is_on(&self, config: &HostConfig) -> bool {
        !config.switches_off(self.counts.faults_in_a_row)
    }

    /// Whether the module can be given a view; counts why not, and each time that it is due once.
    fn is_ready(&mut self, config: &HostConfig) -> bool {
        if mem::take(&mut self.skips_next) {
            self.counts.skipped += 1;
            return false;
        }
        let queues = config.lock_step.is_some() && self.spec.mode == Mode::Asynchronous;
        if self.is_under_way() && !queues {
            self.counts.overruns += 1;
            return false;
        }
        if self.is_on(config) {
            return true;
        }
        self.counts.off_for += 1;
        if self.counts.off_for < config.probe_after {
            return false;
        }
        self.counts.off_for = 0;
        true
    }

    /// Notes when a run that is still going has missed its deadline.
    fn check_deadline(&mut self, now: Time) {
        let Some(deadline) = self.spec.deadline else { return };
        if !self.is_away() {
            return;
        }
        // Relaxed: whatever a frame sees, the run began at the earliest after the one before.
        if !self.has_begun.load(Ordering::Relaxed) {
            self.began = now;
        } else if !self.late && now.since(self.began) > deadline.as_nanos() {
            self.late = true;
            self.counts.missed_deadlines += 1;
            self.skips_next = true;
        }
    }

    /// Counts the faults of a run that has ended: its panic, its deadline. Where a run was waited for, it is the clock
    /// that tells whether it was late: then nothing is dropped, and in lock step the module stays on as well.
    fn count_faults(&mut self, run: &Run, panicked: bool, config: &HostConfig) {
        let is_asynchronous = self.spec.mode == Mode::Asynchronous && config.has_threads();
        let is_judged_by_frames = is_asynchronous && config.lock_step.is_none();
        let ran_late = !is_judged_by_frames
            && self.spec.deadline.is_some_and(|deadline| run.run_time > deadline);
        self.counts.missed_deadlines += u64::from(ran_late);
        let is_fault = panicked || run.late || ran_late && config.lock_step.is_none();
        self.counts.faults_in_a_row =
            if is_fault { self.counts.faults_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Gives the module buffers for a world that has taken the place of the one before.
    pub(super) fn change_world(&mut self, world: &mut World) {
        self.renew_buffers(world);
        if self.idle.is_empty() {
            self.next_commands = Some(Commands::for_module(world, self.spec.spawns));
        }
    }

    /// Gives idle runs buffers for this world that have those of an earlier one.
    fn renew_buffers(&mut self, world: &mut World) {
        for run in &mut self.idle {
            if !run.commands.is_of(world) {
                // Nothing is recorded between two runs, so nothing is lost here.
                run.commands = Commands::for_module(world, self.spec.spawns);
            }
        }
    }

    /// Readies a run of a module that is due: with a buffer of this world, in its state. The last run may have
    /// been for another world, and the world may have been restored since. In lock step, where all runs of the module
    /// are under way, there is one more from now on.
    fn ready_run(&mut self, world: &mut World) {
        let spawns = self.spec.spawns;
        let Some(run) = self.idle.front_mut() else {
            self.idle.push_back(Box::new(Run::new(Commands::for_module(world, spawns))));
            return;
        };
        // Nothing is recorded between two runs, so nothing is lost here.
        if !run.commands.is_of(world) {
            let next = self.next_commands.take().filter(|commands| commands.is_of(world));
            run.commands = next.unwrap_or_else(|| Commands::for_module(world, spawns));
        }
        if run.commands.is_outdated(world) {
            // This only takes handles of the new state.
            world.play_back(&mut run.commands);
        }
    }

    /// Notes for the timeline that the module is given a view.
    fn note_join(&mut self, view: &View, frame: u64, joined: Instant) {
        if let Some(run) = self.idle.front_mut() {
            run.times = Some(RunTimes::new((view.id(), view.tick()), frame, joined));
        }
    }

    fn lend(&mut self, view: View, (now, frame, era): (Time, u64, Era)) {
        let mut run = self.idle.pop_front().expect("a run was made ready");
        let dt = now.duration_since(self.accounted);
        let dropped_commands = mem::take(&mut self.counts.dropped_untold);
        run.lend(view, Given { dt, time: now, dropped_commands }, (frame, era));
        (self.began, self.leased_in, self.leased_on) = (now, era, frame);
        self.accounted = self.accounted.after(dt);
        self.waiting.push_back(run);
    }

    /// Plays back the commands of a run that has ended, unless another world has taken the place of the one that they
    /// are for, also where that is back.
    fn finish_run(
        &mut self,
        mut run: Box<Run>,
        (panicked, era): (bool, Era),
        (world, config): (&mut World, &HostConfig),
    ) {
        if self.has_left {
            self.drop_commands(&mut run.commands);
        }
        let recorded = !run.commands.is_empty();
        let next = self.next_commands.take_if(|commands| commands.is_of(world));
        let is_of_world = run.commands.is_of(world);
        if is_of_world && (run.era == era || run.commands.is_outdated(world)) {
            // The waiting buffer is not needed where the earlier world is back.
            drop(next);
            if run.commands.is_outdated(world) {
                // The world was restored or synced since. Playing back renews the buffer, and counts what it had
                // as dead; the module is told.
                self.counts.dropped_untold += run.commands.len() as u64;
            }
            self.record.playback.add(world.play_back(&mut run.commands));
        } else {
            self.drop_commands(&mut run.commands);
            if is_of_world {
                world.keep_texts_of(&mut run.commands);
            }
            if let Some(next) = next.filter(|_| !is_of_world) {
                run.commands = next;
            }
        }
        if !self.causes.is_empty() {
            let is_overtaken = run.era != era && recorded;
            let comes_again = run.comes_again || is_overtaken || run.late && !panicked;
            // A later run that is under way in the present era reads it.
            self.comes_again |= comes_again && (self.leased_in != era || !self.is_under_way());
        }
        // Where the era of the run has ended, the first run of the next one sees to its events.
        let mut takes_effect = run.era == era;
        if takes_effect {
            match &mut self.job {
                // Late runs are not queued. One that has panicked gave back what it had read.
                Some(job) if run.late && !panicked => {
                    takes_effect = !job.inbox.undo(config.event_tries);
                }
                Some(job) => job.inbox.land(),
                None => self.landed_while_away += 1,
            }
        }
        if let Some(seen) = &self.seen {
            seen.land((run.since, self.leased_on), takes_effect);
        }
        if let Some(job) = &self.job {
            (self.lost_events, self.dropped_events) = (job.inbox.lost(), job.inbox.dropped());
        }
        if run.era == era {
            self.counts.view_age = world.tick().saturating_sub(run.tick);
            self.counts.view_age_max = self.counts.view_age_max.max(self.counts.view_age);
        }
        self.run_times.add(run.run_time);
        self.record.add(run.run_time, panicked);
        self.count_faults(&run, panicked, config);
        self.idle.push_back(run);
    }

    /// Drops what a run recorded; the module is told on its next run.
    fn drop_commands(&mut self, commands: &mut Commands) {
        let dropped = commands.len() as u64;
        self.counts.dropped_commands += dropped;
        self.counts.dropped_untold += dropped;
        commands.discard();
    }
}
