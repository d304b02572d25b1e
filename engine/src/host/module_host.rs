//! [`ModuleHost`]: the modules of one world.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::provider::SlowReaderLimits;
use crate::snapshot::{SnapshotPool, SnapshotPoolConfig};
use crate::storage::{ComponentMask, SnapshotShape};
use crate::world::{Commands, World};

use super::config::{HostConfig, HostError};
use super::convoy::{Candidate, Convoy, ConvoyKey, SlowConvoy, SlowConvoys, group};
use super::job::{Job, RunRecord};
use super::module::{Mode, Module, ModuleSpec};
use super::statistics::{ConvoyStatistics, HostStatistics, ModuleStatistics};
use super::workers::Workers;

/// The number of a module in its host: the order of registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ModuleId(usize);

impl ModuleId {
    /// The module's place in [`HostStatistics::modules`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// Runs background modules beside a simulation, and lets those of one rate share a picture.
///
/// Modules are added first; the first frame groups them by tier, mode and rate. Every frame, the
/// simulation changes the world and then calls [`ModuleHost::run_frame`].
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
///
/// use convoy_engine::{ModuleContext, ModuleHost, ModuleSpec, Rate, World};
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// let mut host = ModuleHost::default();
/// let total = Arc::new(AtomicU64::new(0));
/// for name in ["one", "two"] {
///     let total = Arc::clone(&total);
///     let spec = ModuleSpec::slow(name, Rate::hz(10)).reads::<(u32,)>();
///     host.add(spec, move |context: &mut ModuleContext<'_>| {
///         let sum: u32 = context.view().query::<&u32>().unwrap().iter().sum();
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
/// assert_eq!(statistics.convoys[0].provider.captures, 30, "one capture for both");
/// ```
pub struct ModuleHost {
    /// First in the order of drop: threads end before anything that they use.
    pub(super) workers: Option<Workers>,
    pub(super) config: HostConfig,
    pub(super) modules: Vec<Slot>,
    pub(super) convoys: Vec<Convoy>,
    pub(super) pool: Option<SnapshotPool>,
    pub(super) frame: u64,
    pub(super) now: Duration,
    pub(super) acquire_time: Duration,
    /// Whom to tell of slow readers.
    slow_readers: Option<SlowConvoys>,
    /// Modules that were added and wait for the first frame.
    waiting: Vec<Box<dyn Module>>,
}

/// One module as the host keeps it.
pub(super) struct Slot {
    pub(super) spec: ModuleSpec,
    pub(super) mask: ComponentMask,
    pub(super) state: SlotState,
    /// When the module last got a view.
    pub(super) last_run: Duration,
    /// Times due since the module was switched off.
    pub(super) off_for: u32,
    pub(super) overruns: u64,
    pub(super) refused: u64,
    pub(super) missed_deadlines: u64,
    pub(super) dropped_commands: u64,
    pub(super) skipped: u64,
    /// Whether the run that is due next is skipped, after a missed deadline.
    pub(super) skips_next: bool,
    /// The record as of the last landing.
    pub(super) record: RunRecord,
}

/// Where a module's job is.
pub(super) enum SlotState {
    /// Added, not started.
    Added,
    /// Here, with nothing to do.
    Idle(Box<Job>),
    /// Here, with a view: it runs in this frame.
    Leased(Box<Job>),
    /// With the workers since this frame.
    Away {
        /// The frame on which it was sent out.
        since: u64,
        /// Whether it has missed its deadline.
        late: bool,
    },
    /// Back from the workers, and not yet landed.
    Back {
        /// The job.
        job: Box<Job>,
        /// The frame on which it was sent out.
        since: u64,
    },
}

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
            now: Duration::ZERO,
            acquire_time: Duration::ZERO,
            slow_readers: None,
            waiting: Vec::new(),
        }
    }

    /// Calls `tell`, on the thread of the frame, when the picture of a convoy comes past a limit
    /// while readers hold it: once for each picture and limit. A panic of `tell` is contained and
    /// counted in the convoy's [`ProviderStatistics`](crate::ProviderStatistics). Providers that
    /// were assigned by hand are left alone; they have callbacks of their own.
    ///
    /// # Errors
    ///
    /// [`HostError::Running`] after the first frame.
    pub fn on_slow_reader(
        &mut self,
        limits: SlowReaderLimits,
        tell: impl Fn(&SlowConvoy) + Send + Sync + 'static,
    ) -> Result<(), HostError> {
        if self.is_running() {
            return Err(HostError::Running);
        }
        self.slow_readers = Some(SlowConvoys { limits, tell: Arc::new(tell) });
        Ok(())
    }

    /// Adds a module. Its place in the order of registration is also that of its commands.
    ///
    /// # Errors
    ///
    /// [`HostError::Running`] after the first frame.
    pub fn add(&mut self, spec: ModuleSpec, module: impl Module) -> Result<ModuleId, HostError> {
        if self.is_running() {
            return Err(HostError::Running);
        }
        self.waiting.push(Box::new(module));
        self.modules.push(Slot {
            spec,
            mask: ComponentMask::NONE,
            state: SlotState::Added,
            last_run: Duration::ZERO,
            off_for: 0,
            overruns: 0,
            refused: 0,
            missed_deadlines: 0,
            dropped_commands: 0,
            skipped: 0,
            skips_next: false,
            record: RunRecord::default(),
        });
        Ok(ModuleId(self.modules.len() - 1))
    }

    pub(super) fn is_running(&self) -> bool {
        self.pool.is_some()
    }

    /// Groups the modules into convoys, makes their providers, and starts the workers. The first
    /// frame does it if it was not done before; doing it early keeps it out of the frame, and
    /// sizes the snapshots for `world` as it is now.
    ///
    /// # Errors
    ///
    /// When a declared type can't be registered, an asynchronous or frame-synced module has no
    /// workers, or
    /// threads can't be started. The host can be tried again.
    pub fn initialize(&mut self, world: &mut World) -> Result<(), HostError> {
        if self.is_running() {
            return Ok(());
        }
        let threaded = self.modules.iter().filter(|slot| slot.spec.mode != Mode::Synchronous);
        if let Some(slot) = threaded.clone().next()
            && self.config.workers == 0
        {
            return Err(HostError::NoWorkers { module: slot.spec.name.clone() });
        }
        let away_max = threaded.count();
        let mut candidates = Vec::with_capacity(self.modules.len());
        for slot in &mut self.modules {
            let spec = &slot.spec;
            slot.mask = spec
                .mask(world)
                .map_err(|error| HostError::Register { module: spec.name.clone(), error })?;
            let key = ConvoyKey { tier: spec.tier, mode: spec.mode, rate: spec.rate };
            let provider = spec.provider.clone();
            candidates.push(Candidate { key, mask: slot.mask, provider });
        }
        if away_max > 0 {
            let workers = Workers::start(self.config.workers, away_max);
            self.workers = Some(workers.map_err(HostError::Threads)?);
        }
        // Command buffers first: the handles that they reserve make the world's lists grow.
        for (number, module) in self.waiting.drain(..).enumerate() {
            let ModuleSpec { mode, spawns, .. } = self.modules[number].spec;
            let commands = Commands::for_module(world, spawns);
            let job = Box::new(Job::new(number, mode, module, commands));
            self.modules[number].state = SlotState::Idle(job);
        }
        let pool = self.make_pool(world, candidates.len());
        self.convoys = group(&candidates, &pool, self.slow_readers.as_ref());
        self.pool = Some(pool);
        Ok(())
    }

    /// A pool with a cell for every picture that the modules can hold at once, and one more for
    /// each, because the next picture is captured before the last one ends.
    fn make_pool(&self, world: &mut World, modules: usize) -> SnapshotPool {
        let idle_max = 2 * modules + 2;
        world.reserve_captures(idle_max);
        SnapshotPool::new(SnapshotPoolConfig {
            idle_max,
            warm_up: idle_max,
            shape: SnapshotShape::of(world),
        })
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

    /// What the host has done so far. Allocates the lists that it returns.
    pub fn statistics(&self, world: &World) -> HostStatistics {
        let convoys = self.convoys.iter().map(|convoy| {
            let copy_bytes = world.row_bytes(&convoy.mask);
            let members = convoy.members.len();
            let copied = convoy.provider.copied_bytes();
            let held = convoy.provider.held(world);
            ConvoyStatistics {
                tier: convoy.key.tier,
                mode: convoy.key.mode,
                rate: convoy.key.rate,
                kind: convoy.provider.kind(),
                manual: convoy.manual,
                members,
                mask: convoy.mask,
                provider: convoy.provider.statistics(),
                oldest_lag: held.first().map_or(0, |usage| usage.lag),
                retained_bytes: held.iter().map(|usage| usage.retained_bytes).sum(),
                copy_bytes,
                saved_bytes: (members * copy_bytes).saturating_sub(copied),
            }
        });
        let modules = self.modules.iter().map(|slot| ModuleStatistics {
            name: slot.spec.name.clone(),
            reads_all: slot.spec.reads_all(),
            runs: slot.record.runs,
            panics: slot.record.panics,
            switched_off: slot.record.panics_in_a_row >= self.config.panics_max,
            overruns: slot.overruns,
            refused: slot.refused,
            missed_deadlines: slot.missed_deadlines,
            dropped_commands: slot.dropped_commands,
            skipped: slot.skipped,
            run_time: slot.record.run_time,
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
        }
    }
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
