//! Hosts that go on where another one was saved.

use crate::provider::ProviderStatistics;
use crate::storage::component::Kind;
use crate::storage::index_state::LaneId;
use crate::world::World;
use crate::world::commands::Commands;

use super::config::HostError;
use super::convoy::Convoy;
use super::job::Run;
use super::module::ModuleId;
use super::module_host::ModuleHost;
use super::rate::Schedule;
use super::run_time::RunTimes;
use super::saved::{CONVOY_COUNTERS, SavedHost, SavedModule, SavedRun};
use super::slot::{Counts, RunRecord, Slot, from_numbers};
use super::world_state::{Era, WorldState};

/// The modules for which a state and a host did not go together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// Modules that were saved, and that the host lacks. All that was saved of them is passed over.
    pub unknown: Vec<String>,
    /// Modules of the host that were not saved. They begin now, as installed ones do.
    pub new: Vec<String>,
    /// Types of events, once for each module that has read any, by names that the world does not know: they have other
    /// names now. The modules begin with the oldest events of those.
    pub unknown_events: Vec<String>,
}

/// Modules, and the states of those that have one.
type OwnStates = Vec<(ModuleId, Option<Vec<u8>>)>;

/// # Going on where a host was saved
impl ModuleHost {
    /// Goes on where [`ModuleHost::save`] was called, in this program or in another: with `world`, which was saved at
    /// the same time and was read from its checkpoint since, or restored to that view. Modules are found by their
    /// names, and systems by their names and phases. Each module is due as it would have been, reads on in its events,
    /// and spawns with the same handles; so in [lock step](super::HostConfig::lock_step) worlds are the same from then
    /// on as without the interruption.
    ///
    /// A module that tracks changes is told of none on its first run, as after another world has come. One that runs on
    /// changes, some of which came after its last run, runs on the next frame, also where these are undone by then; so
    /// does one whose provider copies the world, as a replica does, because its views don't compare with the one that
    /// is saved. Commands are played back in the order in which this host has its modules: add them as the one that was
    /// saved had them, those in the places of removed ones included.
    ///
    /// Call it before buffers of commands are made in the world, and before its next tick. Initializes the host.
    /// [`ModuleHost::save`] has an example.
    ///
    /// # Errors
    ///
    /// [`HostError::Malformed`] and [`HostError::StateVersion`] for bytes of something else; [`HostError::Busy`] where
    /// a run has not landed; those of [`ModuleHost::initialize`]; [`HostError::Handles`] where the world is another;
    /// and [`HostError::State`] where a module does not take its own state: those before it have theirs back then, if
    /// they can save them. The host and the world are as they were then, but for types that were registered.
    pub fn load(&mut self, world: &mut World, bytes: &[u8]) -> Result<LoadReport, HostError> {
        let mut saved = SavedHost::take(bytes)?;
        let is_busy = |slot: &&Slot| !slot.has_left && slot.is_under_way() || self.awaits(slot);
        if let Some(slot) = self.modules.iter().find(is_busy) {
            return Err(HostError::Busy { module: slot.spec.name().to_owned() });
        }
        let mut all: Vec<Option<SavedModule>> = Vec::new();
        let mut report = LoadReport::default();
        for slot in &self.modules {
            let is_same = |each: &SavedModule| !slot.has_left && each.name == slot.spec.name();
            let found = saved.modules.iter().position(is_same);
            all.push(found.map(|found| saved.modules.swap_remove(found)));
            if found.is_none() && !slot.has_left {
                report.new.push(slot.spec.name().to_owned());
            }
        }
        report.unknown.extend(saved.modules.iter().map(|module| module.name.clone()));
        self.check_lanes(world, &all)?;
        let before = self.load_states(&all)?;
        if let Err(error) = self.initialize(world) {
            self.take_states_back(before);
            return Err(error);
        }
        // Nothing can fail any more.
        let cursors = all.iter().flatten().flat_map(SavedModule::all_cursors);
        let is_unknown =
            |name: &&String| world.catalog.registry.id_of_name(name, Kind::Event).is_none();
        report
            .unknown_events
            .extend(cursors.map(|cursor| &cursor.event).filter(is_unknown).cloned());
        (self.frame, self.now, self.pace) = (saved.frame, saved.now, saved.pace);
        self.acquire_time = saved.acquire_time;
        (self.state, self.era) = (WorldState::of(world), self.era.next());
        self.take_lanes(world, &all);
        self.timeline.clear();
        for (slot, saved) in self.modules.iter_mut().zip(all) {
            slot.begin_anew();
            slot.accounted = self.now;
            if let Some(saved) = saved {
                slot.resume(saved, (world, &self.convoys));
            }
        }
        for convoy in &mut self.convoys {
            convoy.schedule = Schedule::from(convoy.key.rate, self.now, self.frame);
            let first = convoy.members.first().map(|&number| self.modules[number].spec.name());
            if let Some((_, counters)) = saved.convoys.iter().find(|(name, _)| first == Some(name))
            {
                convoy.resume(*counters);
            }
        }
        for system in &mut self.systems {
            system.resume(&mut saved.systems);
        }
        Ok(report)
    }

    /// Each buffer finds the lane that it had: without a buffer, or with one of the host.
    fn check_lanes(
        &self,
        world: &mut World,
        saved: &[Option<SavedModule>],
    ) -> Result<(), HostError> {
        // In another world the host has no buffers yet.
        let own = self.modules.iter().filter(|_| self.world == world.id);
        let buffers = own.flat_map(|slot| &slot.idle);
        let own: Vec<_> = buffers.filter_map(|run| run.commands.lane()).collect();
        let mut taken = Vec::new();
        for (slot, saved) in self.modules.iter().zip(saved) {
            let spawning = saved.iter().filter(|_| slot.spec.spawns);
            for lane in spawning.flat_map(SavedModule::all_lanes) {
                let is_vacant = world.state.index.is_vacant(lane);
                let is_free = is_vacant.is_some_and(|is_vacant| is_vacant || own.contains(&lane));
                if !is_free || taken.contains(&lane) {
                    return Err(HostError::Handles { module: slot.spec.name().to_owned() });
                }
                taken.push(lane);
            }
        }
        Ok(())
    }

    /// Has the modules take up their own states: all of them, or none. Returns those that they had.
    fn load_states(&mut self, saved: &[Option<SavedModule>]) -> Result<OwnStates, HostError> {
        let mut loaded = Vec::new();
        for (number, saved) in saved.iter().enumerate() {
            let id = self.modules[number].id;
            let Some(state) = saved.as_ref().and_then(|saved| saved.state.as_ref()) else {
                continue;
            };
            let before = self.save_module(id);
            match before.and_then(|before| Ok((before, self.load_module(id, state)?))) {
                Ok((before, ())) => loaded.push((id, before)),
                Err(error) => {
                    self.take_states_back(loaded);
                    return Err(error);
                }
            }
        }
        Ok(loaded)
    }

    fn take_states_back(&mut self, states: OwnStates) {
        for (id, before) in states {
            // One that does not take its own state keeps the other.
            _ = before.map(|before| self.load_module(id, &before));
        }
    }

    /// Gives each module runs with the lanes that they had, idle and ended ones, and more if it needs them.
    fn take_lanes(&mut self, world: &mut World, saved: &[Option<SavedModule>]) {
        self.modules.iter_mut().for_each(|slot| slot.idle.clear());
        for (slot, saved) in self.modules.iter_mut().zip(saved) {
            let Some(saved) = saved else { continue };
            if slot.spec.spawns {
                let lanes = saved.lanes.iter().map(|&lane| buffer_of(world, LaneId(lane)));
                slot.idle.extend(lanes.map(|commands| Box::new(Run::new(commands))));
            }
            for run in &saved.ended {
                let commands = match run.lane.filter(|_| slot.spec.spawns) {
                    Some(lane) => buffer_of(world, LaneId(lane)),
                    None => Commands::for_module(world, false),
                };
                slot.ended.push_back(Box::new(ended_run(commands, run, self.era)));
            }
            self.open_runs += saved.ended.len();
        }
        for slot in self.modules.iter_mut().filter(|slot| !slot.has_left) {
            while slot.idle.len() + slot.ended.len() < slot.runs_stock(&self.config) {
                let commands = Commands::for_module(world, slot.spec.spawns);
                slot.idle.push_back(Box::new(Run::new(commands)));
            }
        }
    }
}

/// A buffer with a lane that was found vacant.
fn buffer_of(world: &mut World, lane: LaneId) -> Commands {
    Commands::of_lane(world, lane).expect("its lane was found vacant")
}

/// A run that has ended without effect.
fn ended_run(commands: Commands, saved: &SavedRun, era: Era) -> Run {
    let mut run = Run::new(commands);
    (run.since, run.tick, run.era) = (saved.since, saved.tick, era);
    run.run_time = saved.run_time;
    run
}

impl Slot {
    /// Forgets the world and the runs that it had, and its counts.
    fn begin_anew(&mut self) {
        (self.next_commands, self.compared, self.last_panic) = (None, None, None);
        self.seen.iter().for_each(|seen| seen.forget());
        (self.comes_again, self.skips_next, self.leased_on) = (false, false, 0);
        (self.record, self.run_times) = (RunRecord::default(), RunTimes::new());
        self.counts = Counts::default();
        (self.lost_events, self.dropped_events) = (0, 0);
        if let Some(job) = &mut self.job {
            job.inbox.resume((0, 0), Vec::new(), 0);
        }
    }

    /// Goes on where a module was saved.
    fn resume(&mut self, saved: SavedModule, (world, convoys): (&mut World, &[Convoy])) {
        (self.comes_again, self.skips_next) = (saved.comes_again, saved.skips_next);
        (self.accounted, self.last_panic) = (saved.accounted, saved.last_panic);
        (self.counts, self.record) = from_numbers(saved.counters);
        (self.record.run_time, self.run_times) = (saved.run_time, saved.run_times);
        let job = self.job.as_mut().expect("a module that rests is here");
        let counts = (saved.failed, saved.dropped_events);
        job.inbox.resume(counts, saved.cursors, saved.ended.len());
        (self.lost_events, self.dropped_events) = (job.inbox.lost(), job.inbox.dropped());
        for cause in &mut self.causes {
            cause.resume_events(&saved.triggers, world);
        }
        if self.causes.is_empty() || !self.spec.tracks_changes {
            return;
        }
        self.comes_again |= saved.has_changes;
        let (provider, member) = (&convoys[self.convoy].provider, &mut self.member);
        match provider.ask(|provider| provider.acquire_for(world, member)) {
            Some(Ok(view)) => {
                let view = view.narrow_to(&self.mask);
                self.causes.iter_mut().for_each(|cause| cause.resume_changes(world, &view));
                self.compared = Some(view);
            }
            // Then nobody can tell.
            Some(Err(_)) | None => self.comes_again = true,
        }
    }
}

impl Convoy {
    /// Goes on with counters that were saved.
    fn resume(&mut self, [captures, joins, refused, stale, panics]: [u64; CONVOY_COUNTERS]) {
        let now = self.provider.ask(|provider| provider.statistics()).unwrap_or_default();
        self.earlier = ProviderStatistics {
            captures: captures.saturating_sub(now.captures),
            joins: joins.saturating_sub(now.joins),
            refused: refused.saturating_sub(now.refused),
            stale: stale.saturating_sub(now.stale),
            live_generations: 0,
            callback_panics: panics.saturating_sub(now.callback_panics),
        };
    }
}
