//! [`ModuleHost`]: the modules of one world.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::time::Duration;

use crate::provider::contain::{Contained, contain};
use crate::snapshot::{SnapshotPool, SnapshotPoolConfig};
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentMask, SnapshotId, SnapshotShape};
use crate::world::World;

use super::causes::Cause;
use super::config::{HostConfig, HostError};
use super::context::ModuleContext;
use super::convoy::{Candidate, Convoy, ConvoyKey, SlowConvoys, group, union_of};
use super::faults::PanicCallback;
use super::job::Job;
use super::module::{Declared, Module, ModuleId};
use super::pace::Pace;
use super::rate::Rate;
use super::seen::Seen;
use super::slot::Slot;
use super::spec::{Manual, Mode, ModuleSpec};
use super::statistics::{ConvoyStatistics, HostStatistics, ModuleStatistics};
use super::systems::System;
use super::time::Time;
use super::timeline::{ModuleRun, Timeline};
use super::workers::{WorkerStart, Workers};
use super::world_state::{Era, WorldState};

/// Runs background modules beside a simulation, and lets those of one rate share a snapshot.
///
/// Modules are added first; the first frame groups them: all Fast ones, and Slow ones by mode and rate. Every
/// frame, the simulation changes the world and then calls [`ModuleHost::run_frame`].
///
/// The world may be replaced by another one between two frames: restored, synced, or another value
/// in its place, as a branch that a rollback goes on with, or the next scene. Modules go on with it
/// on their next runs, and keep their state, the time that their next run is given, and their counts.
/// Runs that are under way end on the view that they have, and their commands are dropped and counted,
/// because they name entities of the earlier world.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use convoy_engine::World;
/// use convoy_engine::host::{ModuleHost, ModuleSpec, Rate};
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// let mut host = ModuleHost::default();
/// let total = Arc::new(AtomicU64::new(0));
/// for name in ["one", "two"] {
///     let total = Arc::clone(&total);
///     let spec = ModuleSpec::slow(name, Rate::hz(10)).reads::<(u32,)>();
///     host.add(spec, move |context| {
///         let sum: u32 = context.view().query::<&u32>().iter().sum();
///         total.fetch_add(sum.into(), Ordering::Relaxed);
///     })
///     .unwrap();
/// }
/// for _ in 0..60 {
///     world.query_mut::<&mut u32>().for_each(|number| *number += 1);
///     host.run_frame(&mut world, Duration::from_millis(50)).unwrap();
/// }
/// let statistics = host.statistics(&world);
/// assert_eq!(statistics.modules[0].runs, 30);
/// assert_eq!(statistics.convoys[0].members, 2);
/// assert_eq!(statistics.convoys[0].provider.captures, 30, "both share each snapshot");
/// ```
pub struct ModuleHost {
    /// First in the order of drop: threads end before anything that they use.
    pub(super) workers: Option<Workers>,
    pub(super) config: HostConfig,
    pub(super) modules: Vec<Slot>,
    pub(super) convoys: Vec<Convoy>,
    pub(super) pool: Option<SnapshotPool>,
    pub(super) frame: u64,
    pub(super) now: Time,
    pub(super) acquire_time: Duration,
    pub(super) timeline: Timeline,
    /// The world that the masks and the idle modules' buffers are for.
    pub(super) world: WorldId,
    /// The state of the world on the last frame.
    pub(super) state: WorldState,
    pub(super) era: Era,
    /// The limits and the callback for slow readers.
    pub(super) slow_readers: Option<SlowConvoys>,
    pub(super) pace: Pace,
    /// The callback for panics of modules.
    pub(super) on_panic: Option<PanicCallback>,
    /// The callback for worker threads that start.
    pub(super) on_worker_start: Option<Contained<WorkerStart>>,
    /// Runs that were given their view and have not landed.
    pub(super) open_runs: usize,
    /// In the order in which they run.
    pub(super) systems: Vec<System>,
    /// The names of all modules.
    pub(super) names: HashSet<String>,
    /// Places of modules that were removed.
    pub(super) vacant: BTreeSet<usize>,
}

/// For how many snapshots of modules that are installed later the pool has room.
const INSTALLED_STOCK: usize = 64;

impl Default for ModuleHost {
    fn default() -> Self {
        Self::new(HostConfig::default())
    }
}

impl ModuleHost {
    /// A host without modules.
    pub fn new(config: HostConfig) -> Self {
        Self {
            workers: None,
            config,
            modules: Vec::new(),
            convoys: Vec::new(),
            pool: None,
            frame: 0,
            now: Time::ZERO,
            acquire_time: Duration::ZERO,
            timeline: Timeline::off(),
            world: WorldId::NONE,
            slow_readers: None,
            pace: Pace::REAL_TIME,
            on_panic: None,
            on_worker_start: None,
            state: WorldState::NONE,
            era: Era::default(),
            open_runs: 0,
            systems: Vec::new(),
            names: HashSet::new(),
            vacant: BTreeSet::new(),
        }
    }

    /// Adds a closure as a module. The order in which modules are added is also that in which their
    /// commands are played back.
    ///
    /// # Errors
    ///
    /// [`HostError::Running`] after the first frame; [`HostError::NoReads`] when the module has not declared what it
    /// reads; [`HostError::DuplicateName`] when another has its name; [`HostError::ProviderMask`] when a provider
    /// that was assigned by hand captures less than the module declares.
    pub fn add(
        &mut self,
        spec: ModuleSpec,
        run: impl FnMut(&mut ModuleContext<'_>) + Send + 'static,
    ) -> Result<ModuleId, HostError> {
        self.add_module(spec, run)
    }

    /// Adds a module that has a type of its own, as [`ModuleHost::add`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{Module, ModuleContext, ModuleHost, ModuleSpec};
    ///
    /// /// Counts the ticks that it has seen.
    /// struct Ticks(u64);
    ///
    /// impl Module for Ticks {
    ///     fn run(&mut self, context: &mut ModuleContext<'_>) {
    ///         self.0 += 1;
    ///         assert_eq!(self.0, context.view().tick());
    ///     }
    /// }
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// host.add_module(ModuleSpec::fast("ticks").reads::<()>(), Ticks(0)).unwrap();
    /// host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// assert_eq!(host.statistics(&world).modules[0].panics, 0);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::add`].
    pub fn add_module(
        &mut self,
        spec: ModuleSpec,
        module: impl Module,
    ) -> Result<ModuleId, HostError> {
        let causes = spec.causes.iter().map(|new_cause| new_cause()).collect();
        self.add_caused(spec, module, causes)
    }

    /// Adds a module that comes with its declarations, as [`ModuleHost::add`].
    ///
    /// # Errors
    ///
    /// As [`ModuleHost::add`].
    pub fn add_declared(&mut self, module: impl Declared) -> Result<ModuleId, HostError> {
        self.add_module(module.spec(), module)
    }

    /// [`ModuleHost::add_module`], with other causes for runs.
    pub(super) fn add_caused(
        &mut self,
        spec: ModuleSpec,
        module: impl Module,
        causes: Vec<Box<dyn Cause>>,
    ) -> Result<ModuleId, HostError> {
        let module: Contained<Box<dyn Module>> = Contained::new(Box::new(module));
        if self.is_running() {
            let mut spec = spec;
            drop(spec.manual.take().map(|manual| Contained::new(manual.provider)));
            return Err(HostError::Running);
        }
        self.admit(spec, module, causes)
    }

    /// Takes a module in, if its declarations are whole: in the place of one that was removed, or behind all others.
    pub(super) fn admit(
        &mut self,
        mut spec: ModuleSpec,
        module: Contained<Box<dyn Module>>,
        causes: Vec<Box<dyn Cause>>,
    ) -> Result<ModuleId, HostError> {
        // First, because a refused provider is dropped here.
        let manual = spec.manual.take();
        let manual = manual.map(|Manual { provider, catalog }| (Contained::new(provider), catalog));
        if !spec.declares_reads() {
            return Err(HostError::NoReads { module: spec.name });
        }
        if spec.rate == Rate::NEVER && causes.is_empty() {
            return Err(HostError::NoTrigger { module: spec.name });
        }
        if self.names.contains(&spec.name) {
            return Err(HostError::DuplicateName { module: spec.name });
        }
        if let Some((provider, catalog)) = &manual
            && let Some(captured) = contain(|| provider.mask())
            && let Some(component) = spec.first_missing(&catalog.registry, &captured)
        {
            return Err(HostError::ProviderMask { module: spec.name.clone(), component });
        }
        let provider = manual.map(|(provider, _)| provider);
        self.names.insert(spec.name.clone());
        let id = match self.vacant.pop_first() {
            Some(number) => self.modules[number].id.next(),
            None => ModuleId::new(self.modules.len()),
        };
        let lock_step = (self.config.lock_step.is_some(), self.config.event_tries);
        let seen = spec.tracks_changes.then(Seen::default);
        let module = (module, seen.clone());
        let job = Job::new((id.index(), &spec.name), spec.mode, lock_step, module);
        let slot = Slot::new(id, spec, provider, (job, seen, causes));
        if id.index() == self.modules.len() {
            self.modules.push(slot);
        } else {
            self.modules[id.index()] = slot;
        }
        Ok(id)
    }

    pub(super) fn is_running(&self) -> bool {
        self.pool.is_some()
    }

    /// Groups the modules into convoys, makes their providers, and starts the workers. The first
    /// frame does it if it was not done before; doing it early keeps it out of the frame, and
    /// sizes the snapshots for `world` as it is now. The same goes for a world that has taken the
    /// place of the one before: a frame with it calls this first.
    ///
    /// # Errors
    ///
    /// When a declared type can't be registered, a provider that was assigned by hand does not
    /// capture all that its module declared, or threads can't be started. The host can be tried again, with any world.
    pub fn initialize(&mut self, world: &mut World) -> Result<(), HostError> {
        if self.is_running() {
            return self.adopt(world);
        }
        let is_threaded = |slot: &&Slot| slot.spec.mode != Mode::Synchronous && !slot.has_left;
        let away_max = self.modules.iter().filter(is_threaded).count();
        let mut candidates = Vec::with_capacity(self.modules.len());
        for slot in self.modules.iter_mut().filter(|slot| !slot.has_left) {
            slot.mask = declared_mask(world, &slot.spec)?;
            if let Some(provider) = slot.provider.as_deref() {
                let captured = contain(|| provider.mask());
                check_provider(world, &slot.spec, &slot.mask, captured.as_ref())?;
            }
            candidates.push(candidate(slot));
        }
        self.timeline
            .start(self.config.timeline, self.modules.len())
            .map_err(HostError::Timeline)?;
        if away_max > 0 && self.config.has_threads() {
            let on_start = self.on_worker_start.as_deref();
            let names = self.modules.iter().map(|slot| slot.spec.name.clone()).collect();
            let patience = (self.config.abandon_after, names);
            let mut workers = Workers::new(patience);
            let threads = (self.config.workers_max(), away_max);
            workers.serve(threads, on_start).map_err(HostError::Threads)?;
            self.workers = Some(workers);
        }
        // Command buffers first: the handles that they reserve make the world's lists grow.
        for slot in self.modules.iter_mut().filter(|slot| !slot.has_left) {
            slot.make_runs(&self.config, world);
        }
        let pool = self.make_pool(world);
        let lock_step = (self.config.runs_max(), self.slow_readers.as_ref());
        self.convoys = group(&candidates, &pool, lock_step);
        for place in 0..self.convoys.len() {
            let members = self.convoys[place].members.clone();
            self.enroll(place, &members);
        }
        self.pool = Some(pool);
        self.world = world.id;
        Ok(())
    }

    /// Goes on with `world`, which has taken the place of the one before: with the ids that types
    /// have there, and buffers for its entities. Nothing of the host changes where that fails.
    pub(super) fn adopt(&mut self, world: &mut World) -> Result<(), HostError> {
        if self.world == world.id {
            return Ok(());
        }
        let mut masks = Vec::with_capacity(self.modules.len());
        for slot in &self.modules {
            masks.push(match slot.has_left {
                true => ComponentMask::NONE,
                false => declared_mask(world, &slot.spec)?,
            });
        }
        for convoy in self.convoys.iter().filter(|convoy| convoy.provider.is_manual()) {
            let captured = convoy.provider.ask(|provider| provider.mask());
            for &number in &convoy.members {
                let spec = &self.modules[number].spec;
                check_provider(world, spec, &masks[number], captured.as_ref())?;
            }
        }
        // Nothing can fail any more. Buffers are made in the order of registration, also for modules
        // that are away.
        // Short of memory, captures make room for themselves.
        _ = world.reserve_captures(self.snapshots_max());
        for (slot, mask) in self.modules.iter_mut().zip(masks) {
            slot.mask = mask;
            if !slot.has_left {
                slot.change_world(world);
            }
        }
        for convoy in &mut self.convoys {
            convoy.mask = union_of(convoy.members.iter().map(|&number| self.modules[number].mask));
            convoy.provider.set_mask(convoy.mask);
        }
        self.world = world.id;
        Ok(())
    }

    /// A snapshot for every run that is under way at once, and one more for each module, because the next snapshot
    /// is captured before the last one ends.
    pub(super) fn snapshots_max(&self) -> usize {
        let held = self.modules.iter().map(|slot| {
            let runs = slot.runs_stock(&self.config);
            // Those that are kept to be compared may be twice as many, and two more.
            runs + usize::from(slot.spec.tracks_changes) * (2 * runs + 2)
        });
        held.sum::<usize>() + self.modules.len() + 2
    }

    /// A pool with a cell for every snapshot that the modules hold at once.
    fn make_pool(&self, world: &mut World) -> SnapshotPool {
        let warm_up = self.snapshots_max();
        // Short of memory, captures make room for themselves.
        _ = world.reserve_captures(warm_up);
        // And for modules that are installed later.
        let idle_max = 2 * warm_up + INSTALLED_STOCK;
        let config = SnapshotPoolConfig::default().idle_max(idle_max).warm_up(warm_up);
        SnapshotPool::new(config.shape(SnapshotShape::of(world)))
    }

    /// The pool of the snapshots that the host's own providers capture; `None` before the first
    /// frame.
    pub fn pool(&self) -> Option<&SnapshotPool> {
        self.pool.as_ref()
    }

    /// Time spent on the host's thread in providers: captures, syncs and joins.
    pub fn acquire_time(&self) -> Duration {
        self.acquire_time
    }

    /// The runs that landed on the last frames, of which [`HostConfig::timeline`] says how many, in the order
    /// of their landing.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{HostConfig, ModuleHost, ModuleSpec};
    ///
    /// let mut world = World::new();
    /// let mut host = ModuleHost::new(HostConfig::default().timeline(10));
    /// for name in ["one", "two"] {
    ///     host.add(ModuleSpec::fast(name).reads::<()>(), |_| {}).unwrap();
    /// }
    /// for _ in 0..100 {
    ///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// }
    /// assert_eq!(host.timeline().count(), 20, "both, on ten frames");
    /// let newest = host.timeline().next_back().unwrap();
    /// assert_eq!((newest.frame, newest.landed), (100, 100));
    /// let last = host.last_to_leave(newest.snapshot).unwrap();
    /// assert_eq!(last.module, newest.module, "they run one after the other");
    /// ```
    pub fn timeline(&self) -> impl DoubleEndedIterator<Item = &ModuleRun> + Clone {
        self.timeline.runs(self.frame)
    }

    /// The run that left a snapshot last, of those in the [timeline](ModuleHost::timeline): a module whose run has
    /// not landed yet may hold it still. The cost grows with the timeline.
    pub fn last_to_leave(&self, snapshot: SnapshotId) -> Option<&ModuleRun> {
        let readers = self.timeline().filter(|run| run.snapshot == snapshot);
        readers.max_by_key(|run| run.left)
    }

    /// The counts of the host so far. Allocates the lists that it returns.
    pub fn statistics(&self, world: &World) -> HostStatistics {
        let convoys = self.convoys.iter().map(|convoy| {
            let copy_bytes = world.row_bytes(&convoy.mask);
            let (members, provider) = (convoy.members.len(), &convoy.provider);
            let held = provider.ask(|provider| provider.held(world)).unwrap_or_default();
            let copied = provider.ask(|provider| provider.copied_bytes()).unwrap_or_default();
            let retained = provider.ask(|provider| provider.retained_bytes(world));
            let retained_bytes = retained.unwrap_or_default();
            let provider_statistics = provider.ask(|provider| provider.statistics());
            let provider_statistics = provider_statistics.unwrap_or_default();
            ConvoyStatistics {
                tier: convoy.key.tier,
                mode: convoy.key.mode,
                rate: convoy.key.rate,
                kind: convoy.kind,
                manual: provider.is_manual(),
                members,
                mask: convoy.mask,
                provider: provider_statistics.after(&convoy.earlier),
                provider_panics: provider.panics(),
                oldest_lag: held.iter().map(|usage| usage.lag).max().unwrap_or(0),
                retained_bytes,
                copied_bytes: copied,
                copy_bytes,
                saved_bytes: (members * copy_bytes).saturating_sub(copied + retained_bytes),
            }
        });
        let modules = self.modules.iter().map(|slot| ModuleStatistics {
            name: slot.spec.name.clone(),
            removed: slot.has_left,
            reads_all: slot.spec.declares_all(),
            runs: slot.record.runs,
            panics: slot.record.panics,
            switched_off: self.config.switches_off(slot.counts.faults_in_a_row),
            overruns: slot.counts.overruns,
            refused: slot.counts.refused,
            snapshots_held: slot.member.snapshots_held(),
            missed_deadlines: slot.counts.missed_deadlines,
            dropped_commands: slot.counts.dropped_commands,
            skipped: slot.counts.skipped,
            lost_events: slot.lost_events,
            dropped_events: slot.dropped_events,
            run_time: slot.record.run_time,
            run_time_p99: slot.run_times.quantile(0.99),
            view_age: slot.counts.view_age,
            view_age_max: slot.counts.view_age_max,
            last_panic: slot.last_panic.clone(),
            playback: slot.record.playback,
        });
        HostStatistics {
            frames: self.frame,
            acquire_time: self.acquire_time,
            memory: world.memory(),
            copies: world.copy_statistics(),
            pool: self.pool.as_ref().map(SnapshotPool::statistics).unwrap_or_default(),
            convoys: convoys.collect(),
            modules: modules.collect(),
            systems: self.systems.iter().map(System::statistics).collect(),
        }
    }
}

/// A module as grouping sees it.
pub(super) fn candidate(slot: &Slot) -> Candidate {
    Candidate {
        number: slot.id.index(),
        key: ConvoyKey::of(&slot.spec),
        mask: slot.mask,
        provider: slot.provider.as_deref().cloned(),
        has_causes: !slot.causes.is_empty(),
        tracks_changes: slot.spec.tracks_changes,
    }
}

/// The types that a module declared, which are known to the world from now on.
pub(super) fn declared_mask(
    world: &mut World,
    spec: &ModuleSpec,
) -> Result<ComponentMask, HostError> {
    if let Some(id) = spec.first_unknown(world) {
        return Err(HostError::UnknownId { module: spec.name.clone(), id });
    }
    let mask = spec.mask(world);
    mask.map_err(|error| HostError::Register { module: spec.name.clone(), error })
}

/// Checks that a provider which was assigned by hand captures all that its module declared. One that
/// panics when it is asked is left to its acquires, where that is counted.
pub(super) fn check_provider(
    world: &World,
    spec: &ModuleSpec,
    declared: &ComponentMask,
    captured: Option<&ComponentMask>,
) -> Result<(), HostError> {
    let Some(captured) = captured.filter(|_| !spec.declares_all()) else { return Ok(()) };
    let missing = declared.difference(captured).iter().next();
    let Some(info) = missing.and_then(|id| world.component_info(id)) else { return Ok(()) };
    Err(HostError::ProviderMask { module: spec.name.clone(), component: info.name() })
}

impl fmt::Debug for ModuleHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ModuleHost")
            .field("modules", &self.modules.len())
            .field("convoys", &self.convoys.len())
            .field("frame", &self.frame)
            .finish_non_exhaustive()
    }
}
