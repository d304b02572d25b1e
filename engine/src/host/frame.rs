//! One frame of the host.
//!
//! 1. Asynchronous runs that have ended, or in lock step those that are due to land, land: their
//!    commands are played back in the order of registration.
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

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::snapshot::View;
use crate::trace::span;
use crate::world::World;
use crate::world::commands::Commands;

use super::config::{HostConfig, HostError};
use super::faults::{ModulePanic, PanicCallback, tell};
use super::job::Job;
use super::module::{Given, Mode, ModuleId};
use super::module_host::{ModuleHost, Slot, SlotState};
use super::time::Time;
use super::timeline::{RunTimes, Timeline};
use super::workers::Workers;

impl ModuleHost {
    /// Runs one frame, `dt` after the last one, and advances the world's tick.
    ///
    /// # Errors
    ///
    /// Those of [`ModuleHost::initialize`], on the first frame and on the first with another world
    /// only; the frame has not been run then. The fault of a module or of a provider is never an
    /// error of the frame; see [`HostStatistics`](super::HostStatistics).
    pub fn run_frame(&mut self, world: &mut World, dt: Duration) -> Result<(), HostError> {
        self.initialize(world)?;
        let Some(dt) = self.pace.advance(dt) else { return Ok(()) };
        span!("frame", tick = world.tick() + 1);
        self.frame += 1;
        self.now = self.now.after(dt);
        world.advance_tick();
        self.land(world);
        self.acquire(world);
        self.run_leased(world);
        Ok(())
    }

    /// Waits for every module that is away and plays its commands back, unless they are for
    /// another world.
    pub fn finish(&mut self, world: &mut World) {
        while self.modules.iter().any(|slot| matches!(slot.state, SlotState::Away { .. })) {
            self.receive();
        }
        self.play_back_landed(world, |_| true);
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
        let has_ended = self.wait(timeout);
        self.play_back_landed(world, |_| true);
        if has_ended {
            return Ok(());
        }
        let away = |slot: &&Slot| matches!(slot.state, SlotState::Away { .. });
        let names = self.modules.iter().filter(away).map(|slot| slot.spec.name.clone());
        Err(HostError::Unfinished { modules: names.collect() })
    }

    /// Waits until every asynchronous module has ended the run that it is in, for `timeout` at the
    /// most (`Duration::MAX`: for as long as it takes). Returns whether they all have. Nothing lands:
    /// that is left to the frames.
    ///
    /// A simulation that is not paced by a clock calls it between two frames to give modules the
    /// time that they would have had.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        // One that lies past the end of the clock is none.
        let deadline = Instant::now().checked_add(timeout);
        while self.modules.iter().any(|slot| matches!(slot.state, SlotState::Away { .. })) {
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
        for slot in &mut self.modules {
            if let SlotState::Back { job, .. } = &mut slot.state {
                job.land();
            }
        }
    }

    /// Takes finished jobs back, and lands those that are due to.
    fn land(&mut self, world: &mut World) {
        while let Some(job) = self.workers.as_ref().and_then(|workers| workers.try_receive()) {
            self.take_back(job);
        }
        let Some(delay) = self.config.lock_step else {
            let now = self.now;
            self.modules.iter_mut().for_each(|slot| slot.check_deadline(now));
            return self.play_back_landed(world, |_| true);
        };
        let frame = self.frame;
        let lands = move |since: u64| since + u64::from(delay.get()) <= frame;
        let late =
            |slot: &Slot| matches!(slot.state, SlotState::Away { since, .. } if lands(since));
        while self.modules.iter().any(late) {
            self.receive();
        }
        self.play_back_landed(world, lands);
    }

    fn receive(&mut self) {
        let workers = self.workers.as_ref().expect("a module is away with the workers");
        let job = workers.receive();
        self.take_back(job);
    }

    fn take_back(&mut self, mut job: Box<Job>) {
        let slot = &mut self.modules[job.number];
        let SlotState::Away { since, late } = slot.state else {
            unreachable!("a job comes back once");
        };
        if late {
            slot.drop_commands(&mut job.commands);
            job.took_effect = false;
        }
        slot.state = SlotState::Back { job, since, late };
    }

    /// Plays back the commands of the jobs that are back, if they were sent out on a frame that
    /// `lands`.
    fn play_back_landed(&mut self, world: &mut World, lands: impl Fn(u64) -> bool) {
        let landing =
            |slot: &Slot| matches!(slot.state, SlotState::Back { since, .. } if lands(since));
        // Views end first: playing back copies chunks that one of them still holds.
        for slot in self.modules.iter_mut().filter(|slot| landing(slot)) {
            if let SlotState::Back { job, .. } = &mut slot.state {
                job.land();
            }
        }
        let faults = (self.on_panic.as_ref(), &self.config);
        for slot in self.modules.iter_mut().filter(|slot| landing(slot)) {
            settle(slot, world, (&mut self.timeline, self.frame), faults);
        }
    }

    /// Updates all providers, then takes the leases of all convoys that are due.
    fn acquire(&mut self, world: &mut World) {
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
            if !convoy.schedule.is_due(self.now, self.frame) {
                continue;
            }
            for &number in &convoy.members {
                let slot = &mut self.modules[number];
                if !slot.is_ready(&self.config) {
                    continue;
                }
                slot.renew_commands(world);
                let member = &mut slot.member;
                match convoy.provider.ask(|provider| provider.acquire_for(world, member)) {
                    Some(Ok(view)) => {
                        if self.timeline.is_on() {
                            slot.note_join(&view, self.frame, began);
                        }
                        slot.lend(view.narrow_to(&slot.mask), self.now);
                    }
                    Some(Err(_)) | None => slot.refused += 1,
                }
            }
        }
        self.acquire_time += began.elapsed();
    }

    /// Sends modules out to the workers and runs the synchronous ones.
    fn run_leased(&mut self, world: &mut World) {
        self.send(Mode::FrameSynced);
        self.send(Mode::Asynchronous);
        for slot in &mut self.modules {
            if let SlotState::Leased(job) = &mut slot.state {
                job.run();
            }
        }
        self.finish_frame_synced();
        let faults = (self.on_panic.as_ref(), &self.config);
        for slot in &mut self.modules {
            let ended = match slot.state {
                SlotState::Leased(_) => true,
                SlotState::Back { .. } => slot.spec.mode == Mode::FrameSynced,
                _ => false,
            };
            if ended {
                settle(slot, world, (&mut self.timeline, self.frame), faults);
            }
        }
    }

    /// Sends the modules of `mode` that have a view out.
    fn send(&mut self, mode: Mode) {
        for slot in self.modules.iter_mut().filter(|slot| slot.spec.mode == mode) {
            if let Some(job) = slot.take_leased() {
                slot.state = SlotState::Away { since: self.frame, late: false };
                self.workers.as_ref().expect("modules of this mode have workers").send(job);
            }
        }
    }

    /// Runs the frame-synced jobs that no worker has begun, and waits for the others.
    fn finish_frame_synced(&mut self) {
        while let Some(mut job) = self.workers.as_ref().and_then(Workers::take_frame_synced) {
            job.run();
            self.take_back(job);
        }
        let away = |slot: &Slot| {
            slot.spec.mode == Mode::FrameSynced && matches!(slot.state, SlotState::Away { .. })
        };
        while self.modules.iter().any(away) {
            self.receive();
        }
    }
}

/// Lands the run of a module, enters it into the timeline, and tells of its panic.
fn settle(
    slot: &mut Slot,
    world: &mut World,
    (timeline, frame): (&mut Timeline, u64),
    (on_panic, config): (Option<&PanicCallback>, &HostConfig),
) {
    let panic = slot.finish_run(world, config);
    if timeline.is_on() {
        slot.enter(timeline, frame);
    }
    if let Some(message) = panic {
        let (module, name) = (ModuleId::new(slot.number), slot.spec.name.as_str());
        tell(&ModulePanic { module, name, message: &message }, on_panic);
        slot.last_panic = Some(message);
    }
}

impl Slot {
    /// Whether the module has not been switched off.
    fn is_on(&self, config: &HostConfig) -> bool {
        !config.switches_off(self.faults_in_a_row)
    }

    /// Whether the module can be given a view; counts why not, and each time that it is due once.
    fn is_ready(&mut self, config: &HostConfig) -> bool {
        if mem::take(&mut self.skips_next) {
            self.skipped += 1;
            return false;
        }
        if !matches!(self.state, SlotState::Idle(_)) {
            self.overruns += 1;
            return false;
        }
        if self.is_on(config) {
            return true;
        }
        self.off_for += 1;
        if self.off_for < config.probe_after {
            return false;
        }
        self.off_for = 0;
        true
    }

    /// Notes when a run that is still going has missed its deadline.
    fn check_deadline(&mut self, now: Time) {
        let Some(deadline) = self.spec.deadline else { return };
        let SlotState::Away { late, .. } = &mut self.state else { return };
        // Relaxed: whatever a frame sees, the run began at the earliest after the one before.
        if !self.has_begun.load(Ordering::Relaxed) {
            self.began = now;
        } else if !*late && now.since(self.began) > deadline.as_nanos() {
            *late = true;
            self.missed_deadlines += 1;
            self.skips_next = true;
        }
    }

    /// Counts the faults of a run that has ended: its panic, its deadline. Where a run was waited for, it is the clock
    /// that tells whether it was late: then nothing is dropped, and in lock step the module stays on as well.
    fn count_faults(&mut self, (panicked, late): (bool, bool), config: &HostConfig) {
        let is_judged_by_frames =
            self.spec.mode == Mode::Asynchronous && config.lock_step.is_none();
        let ran_late = !is_judged_by_frames
            && self.spec.deadline.is_some_and(|deadline| self.record.last_run_time > deadline);
        self.missed_deadlines += u64::from(ran_late);
        let is_fault = panicked || late || ran_late && config.lock_step.is_none();
        self.faults_in_a_row = if is_fault { self.faults_in_a_row.saturating_add(1) } else { 0 };
    }

    /// Gives the module a buffer for a world that has taken the place of the one before.
    pub(super) fn change_world(&mut self, world: &mut World) {
        let spawns = self.spec.spawns;
        match &mut self.state {
            SlotState::Idle(job) if job.commands.is_of(world) => {}
            // Nothing is recorded between two runs, so nothing is lost here.
            SlotState::Idle(job) => job.commands = Commands::for_module(world, spawns),
            _ => self.next_commands = Some(Commands::for_module(world, spawns)),
        }
    }

    /// Readies the buffer of a module that is about to run: one of this world, in its state. The
    /// last run may have been for another world, and the world may have been restored since.
    fn renew_commands(&mut self, world: &mut World) {
        let SlotState::Idle(job) = &mut self.state else { return };
        // Nothing is recorded between two runs, so nothing is lost here.
        if !job.commands.is_of(world) {
            let next = self.next_commands.take().filter(|commands| commands.is_of(world));
            job.commands = next.unwrap_or_else(|| Commands::for_module(world, self.spec.spawns));
        }
        if job.commands.is_outdated(world) {
            // This only takes handles of the new state.
            world.play_back(&mut job.commands);
        }
    }

    /// Notes for the timeline that the module is given a view.
    fn note_join(&mut self, view: &View, frame: u64, joined: Instant) {
        if let SlotState::Idle(job) = &mut self.state {
            job.times = Some(RunTimes::new((view.id(), view.tick()), frame, joined));
        }
    }

    fn lend(&mut self, view: View, now: Time) {
        if let SlotState::Idle(mut job) = mem::replace(&mut self.state, SlotState::Added) {
            let dt = now.duration_since(self.accounted);
            let dropped_commands = mem::take(&mut self.dropped_untold);
            job.lend(view, Given { dt, time: now, dropped_commands });
            self.began = now;
            self.accounted = self.accounted.after(dt);
            self.state = SlotState::Leased(job);
        }
    }

    fn take_leased(&mut self) -> Option<Box<Job>> {
        if !matches!(self.state, SlotState::Leased(_)) {
            return None;
        }
        match mem::replace(&mut self.state, SlotState::Added) {
            SlotState::Leased(job) => Some(job),
            _ => unreachable!("the state was checked above"),
        }
    }

    /// Enters the run that was just finished into the timeline.
    fn enter(&self, timeline: &mut Timeline, frame: u64) {
        if let SlotState::Idle(job) = &self.state
            && let Some(times) = &job.times
        {
            timeline.enter((ModuleId::new(job.number), self.convoy), times, frame);
        }
    }

    /// Plays back the commands of the run that has ended, unless they are for a world whose place
    /// another one has taken. Returns the message of the panic that the run ended in, if it did.
    fn finish_run(&mut self, world: &mut World, config: &HostConfig) -> Option<String> {
        let (mut job, late) = match mem::replace(&mut self.state, SlotState::Added) {
            SlotState::Back { job, late, .. } => (job, late),
            SlotState::Leased(job) => (job, false),
            _ => unreachable!("only a run that has ended is finished"),
        };
        let next = self.next_commands.take_if(|commands| commands.is_of(world));
        if job.commands.is_of(world) {
            // The waiting buffer is not needed where the earlier world is back.
            drop(next);
            if job.commands.is_outdated(world) {
                // The world was restored or synced since. Playing back renews the buffer, and counts what it had
                // as dead; the module is told, and reads its events again.
                self.dropped_untold += job.commands.len() as u64;
                job.took_effect &= job.commands.is_empty();
            }
            let playback = world.play_back(&mut job.commands);
            job.record.playback.add(playback);
        } else {
            job.took_effect &= job.commands.is_empty();
            self.drop_commands(&mut job.commands);
            if let Some(next) = next {
                job.commands = next;
            }
        }
        self.run_times.add(job.record.last_run_time);
        self.record = job.record;
        if job.took_effect {
            job.inbox.commit();
        } else {
            self.dropped_events += job.inbox.give_back(config.event_tries);
        }
        self.lost_events = job.inbox.lost();
        let panic = job.panic.take();
        self.count_faults((panic.is_some(), late), config);
        self.state = SlotState::Idle(job);
        panic
    }

    /// Drops what a run recorded; the module is told on its next run.
    fn drop_commands(&mut self, commands: &mut Commands) {
        let dropped = commands.len() as u64;
        self.dropped_commands += dropped;
        self.dropped_untold += dropped;
        commands.clear();
    }
}
