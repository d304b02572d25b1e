//! [`Scenario`]: one world with its traffic, its modules and a host, stepped frame by frame.
//!
//! The same scenario runs in two ways that differ only in the source of the modules' views:
//!
//! * [`Sharing::Convoy`]: the host groups the modules. Those at 10 Hz share one snapshot, the
//!   ticker has a double buffer and the recorder a private snapshot, all of them of the live
//!   world's own chunks.
//! * [`Sharing::Individual`]: every module is assigned a
//!   [`ReplicaProvider`] of its own, which brings a physical copy
//!   up to date with `sync_from` whenever the module is due.
//!
//! Modules land their commands on fixed frames in both, so a run can be repeated, and both give
//! the same results.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use convoy_engine::checkpoint::CheckpointReader;
use convoy_engine::component::RegisterError;
use convoy_engine::host::{HostConfig, HostError, HostStatistics, Mode, ModuleHost};
use convoy_engine::provider::{ReplicaProvider, SnapshotProvider};
use convoy_engine::{ComponentMask, SnapshotPool, View, World};
use convoy_profiling::{Threads, is_counting};

use crate::analysis::Checksum;
use crate::modules::{
    AlertLog, ArrivalWatch, ConflictDetection, ConflictPeak, DelayWatch, Egress, FrameTicker,
    Ledger, LedgerReader, ModuleResult, Recorder, SectorWatch, Watch, declare, mask_of,
};
use crate::traffic::{Progress, Simulation, Timetable, TrafficError};

/// Frames of the simulation in one second of the host's time.
pub const FRAMES_PER_S: u32 = 60;

/// Asynchronous results land this many frames after they were started: within the six frames
/// between two runs at 10 Hz, so no module is ever late.
const LANDING_FRAMES: NonZeroU32 = NonZeroU32::new(3).expect("three is not zero");

/// The frames that the host's timeline has: a second.
const TIMELINE_FRAMES: u32 = FRAMES_PER_S;

/// The name of the host's state in a checkpoint.
pub const HOST: &str = "host";

/// The source of the modules' views of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Each module has a physical copy.
    Individual(CopyMasks),
    /// Modules share snapshots.
    Convoy,
}

/// Which columns the copy of a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum CopyMasks {
    /// Those that the module's convoy reads: the view that the convoy run hands it. Both runs
    /// then give each module the same, and are compared by it.
    #[default]
    Convoy,
    /// Those that the module itself reads.
    Own,
}

/// How a scenario is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScenarioConfig {
    /// The source of the modules' views.
    pub sharing: Sharing,
    /// Threads for the modules at 10 Hz and 1 Hz; with 0 they run on the simulation's thread,
    /// and their commands land in the frame itself instead of three frames later.
    pub threads: usize,
    /// Begin a frame while the modules of the one before still read, which only a simulation
    /// without pauses meets; see [`Scenario::step`].
    pub overlap: bool,
    /// Simulated seconds in a frame.
    pub frame_s: f64,
    /// Where checksums start.
    pub seed: u64,
}

/// Why a scenario can't be made or go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The world refused a flight.
    World(TrafficError),
    /// The world has no room for a type.
    Register(RegisterError),
    /// The modules can't be run.
    Host(HostError),
    /// A checkpoint has no state of a host.
    NoHost,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World(error) => write!(formatter, "the traffic can't be simulated: {error}"),
            Self::Register(error) => write!(formatter, "the world can't be set up: {error}"),
            Self::Host(error) => write!(formatter, "the modules can't be run: {error}"),
            Self::NoHost => formatter.write_str("the checkpoint has no state of the modules"),
        }
    }
}

impl std::error::Error for ScenarioError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::World(error) => Some(error),
            Self::Register(error) => Some(error),
            Self::Host(error) => Some(error),
            Self::NoHost => None,
        }
    }
}

impl From<TrafficError> for ScenarioError {
    fn from(error: TrafficError) -> Self {
        Self::World(error)
    }
}

impl From<RegisterError> for ScenarioError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<HostError> for ScenarioError {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

/// One world with its traffic and its modules.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use profiling::input::{
///     EMBEDDED_AIRPORTS, EMBEDDED_FLIGHTS, LoadOptions, load_airports, load_flights,
/// };
/// use profiling::scenario::{Scenario, ScenarioConfig, Sharing};
/// use profiling::traffic::Timetable;
///
/// let airports = load_airports(&EMBEDDED_AIRPORTS, LoadOptions::default())?.data;
/// let flights = load_flights(&EMBEDDED_FLIGHTS, &airports, LoadOptions::default())?.data;
/// let timetable = Arc::new(Timetable::new(&flights, &airports));
/// let config =
///     ScenarioConfig { sharing: Sharing::Convoy, threads: 0, overlap: false, frame_s: 10.0, seed: 2001 };
/// let mut scenario = Scenario::new(timetable, config)?;
/// for _ in 0..60 {
///     scenario.step()?;
/// }
/// assert!(scenario.progress().airborne() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scenario {
    world: World,
    host: ModuleHost,
    simulation: Simulation,
    ledgers: Vec<LedgerReader>,
    conflicts: ConflictPeak,
    replicas: Replicas,
    seed: u64,
    overlap: bool,
    threads: Threads,
}

/// The providers of the individual run.
#[derive(Default)]
struct Replicas(Vec<Arc<ReplicaProvider>>);

impl fmt::Debug for Replicas {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Replicas").field(&self.0.len()).finish()
    }
}

impl Scenario {
    /// Spawns all flights and starts the modules.
    ///
    /// # Errors
    ///
    /// When memory runs out or threads can't be started.
    pub fn new(timetable: Arc<Timetable>, config: ScenarioConfig) -> Result<Self, ScenarioError> {
        Self::with_modules(timetable, config, |_| Ok(()))
    }

    /// The scenario of a checkpoint, which goes on as if it had not stopped. The checkpoint has the state of the host
    /// as its attachment [`HOST`]: see [`Scenario::save`].
    ///
    /// # Errors
    ///
    /// When the checkpoint is of something else, and as [`Scenario::new`].
    pub fn resume(
        timetable: Arc<Timetable>,
        config: ScenarioConfig,
        reader: &CheckpointReader,
    ) -> Result<Self, ScenarioError> {
        let state = reader.attachment(HOST).ok_or(ScenarioError::NoHost)?;
        let airports = timetable.airports();
        let started = Simulation::resume(timetable, config.frame_s, reader)?;
        let mut scenario = Self::of(started, airports, config, |_| Ok(()))?;
        scenario.host.load(&mut scenario.world, state)?;
        Ok(scenario)
    }

    /// As [`Scenario::new`], with more modules: `add` may add some to the host after the
    /// scenario's own.
    ///
    /// # Errors
    ///
    /// As [`Scenario::new`], and those of `add`.
    pub fn with_modules(
        timetable: Arc<Timetable>,
        config: ScenarioConfig,
        add: impl FnOnce(&mut ModuleHost) -> Result<(), HostError>,
    ) -> Result<Self, ScenarioError> {
        let airports = timetable.airports();
        Self::of(Simulation::start(timetable, config.frame_s)?, airports, config, add)
    }

    fn of(
        (mut world, simulation): (World, Simulation),
        airports: usize,
        config: ScenarioConfig,
        add: impl FnOnce(&mut ModuleHost) -> Result<(), HostError>,
    ) -> Result<Self, ScenarioError> {
        world.set_copy_timing(true);
        let mut crew = Crew::new(&mut world, config)?;
        let threads = Threads::new();
        if is_counting() {
            let threads = threads.clone();
            crew.host.on_worker_start(move |_| threads.enroll())?;
        }
        let (clock, airborne_max) = (simulation.clock(), simulation.airborne_max());
        crew.add(&mut world, FrameTicker::new)?;
        let conflicts = ConflictPeak::default();
        let peak = conflicts.clone();
        crew.add(&mut world, |ledger| ConflictDetection::new(airborne_max, peak, ledger))?;
        crew.add(&mut world, SectorWatch::new)?;
        crew.add(&mut world, |ledger| ArrivalWatch::new(airports, clock, ledger))?;
        crew.add(&mut world, DelayWatch::new)?;
        let slots = simulation.slots();
        crew.add(&mut world, |ledger| Egress::new(slots, ledger))?;
        crew.add(&mut world, |ledger| Recorder::new(clock, ledger))?;
        crew.add(&mut world, AlertLog::new)?;
        let Crew { mut host, ledgers, replicas, .. } = crew;
        simulation.add_to(&mut host);
        add(&mut host)?;
        host.initialize(&mut world)?;
        let ScenarioConfig { seed, overlap, .. } = config;
        Ok(Self { world, host, simulation, ledgers, conflicts, replicas, seed, overlap, threads })
    }

    /// Simulates one frame and runs the modules that are due.
    ///
    /// Frames are 1/60 s of the host's time, and the pauses between them are skipped. What happens
    /// in a pause is not: a frame begins when the modules that are running have ended, or have had
    /// the 1/60 s for it. With `overlap` it begins at once, and writes beneath their views.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn step(&mut self) -> Result<(), ScenarioError> {
        let frame = self.world.tick();
        let dt = host_time(frame + 1) - host_time(frame);
        self.host.run_frame(&mut self.world, dt)?;
        if let Some(error) = self.simulation.take_failure() {
            return Err(error.into());
        }
        if !self.overlap && self.host.wait(dt) {
            self.host.release_views();
        }
        Ok(())
    }

    /// Whether the scenario can be saved after this frame: [`ModuleHost::is_at_rest`].
    pub fn is_at_rest(&self) -> bool {
        self.host.is_at_rest()
    }

    /// A view of everything, from `pool`, for a checkpoint.
    pub fn capture(&mut self, pool: &SnapshotPool) -> View {
        self.world.capture(ComponentMask::ALL, pool)
    }

    /// Appends the state of the host to `state`. It goes with `view`, which was captured after the same frame.
    ///
    /// # Errors
    ///
    /// When the scenario is not at rest, or a module can't save its state.
    pub fn save(&mut self, view: &View, state: &mut Vec<u8>) -> Result<(), HostError> {
        self.host.save(view, state)
    }

    /// Waits for the modules that are still running. Results are complete afterwards.
    pub fn finish(&mut self) {
        self.host.finish(&mut self.world);
    }

    /// The live world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The live world, for measurements that start anew.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// The threads whose use of the heap is counted: the workers, where an allocator counts.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The host of the modules.
    pub fn host(&self) -> &ModuleHost {
        &self.host
    }

    /// The counts of the host so far. Allocates.
    pub fn statistics(&self) -> HostStatistics {
        self.host.statistics(&self.world)
    }

    /// The traffic.
    pub fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// How far the traffic has come.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.world)
    }

    /// Time spent in the systems of the simulation, copies on write included. Allocates.
    pub fn simulation_time(&self) -> Duration {
        self.statistics().systems.iter().map(|system| system.run_time).sum()
    }

    /// Time that views cost the simulation's thread: captures, joins and syncs, and copies on
    /// write, which are measured apart and never fused with the loops that cause them.
    pub fn sync_time(&self) -> Duration {
        self.host.acquire_time() + self.world.copy_statistics().copy_time
    }

    /// The pool of the host's snapshots, which it has from its first frame on.
    pub fn pool(&self) -> Option<&SnapshotPool> {
        self.host.pool()
    }

    /// Bytes of the physical copies of all modules; zero if they share snapshots.
    pub fn replica_bytes(&self) -> usize {
        self.replicas.0.iter().map(|replica| replica.copied_bytes()).sum()
    }

    /// Bytes that snapshots or copies take now: the chunks of all copies, or chunks that only snapshots
    /// keep alive and, with the longest lists of any, their lists of chunks.
    pub fn snapshot_bytes(&self) -> usize {
        let memory = self.world.memory();
        let lists = memory.active_captures * self.list_bytes_max();
        if self.replicas.0.is_empty() {
            memory.retained_bytes + lists
        } else {
            self.replica_bytes()
        }
    }

    /// Bytes of the longest lists of chunks in a snapshot so far.
    pub fn list_bytes_max(&self) -> usize {
        self.ledgers.iter().map(LedgerReader::list_bytes_max).max().unwrap_or(0)
    }

    /// The findings of each module, in the order of registration. Complete after
    /// [`Scenario::finish`]. Allocates the list.
    pub fn results(&self) -> Vec<ModuleResult> {
        self.ledgers.iter().map(LedgerReader::result).collect()
    }

    /// The most pairs of flights that were in conflict at one time. Complete after
    /// [`Scenario::finish`].
    pub fn conflict_pairs_max(&self) -> u64 {
        self.conflicts.pairs()
    }

    /// One checksum over the results of all modules.
    pub fn checksum(&self) -> u64 {
        let mut checksum = Checksum::new(self.seed);
        for result in self.ledgers.iter().map(LedgerReader::result) {
            checksum.add_u64(result.runs);
            checksum.add_u64(result.checksum);
        }
        checksum.value()
    }
}

/// The host's time after `frames` frames. Differences of it add up without drift.
fn host_time(frames: u64) -> Duration {
    let per_s = u64::from(FRAMES_PER_S);
    Duration::new(frames / per_s, (frames % per_s * 1_000_000_000 / per_s) as u32)
}

/// A host on the way to having all its modules.
struct Crew {
    host: ModuleHost,
    ledgers: Vec<LedgerReader>,
    replicas: Replicas,
    config: ScenarioConfig,
    /// The union of the types that the modules at 10 Hz read.
    convoy_mask: ComponentMask,
}

impl Crew {
    fn new(world: &mut World, config: ScenarioConfig) -> Result<Self, RegisterError> {
        let host_config = HostConfig::default()
            .workers(config.threads)
            .lock_step(LANDING_FRAMES)
            .timeline(TIMELINE_FRAMES);
        let masks = [
            mask_of::<ConflictDetection>(world)?,
            mask_of::<SectorWatch>(world)?,
            mask_of::<ArrivalWatch>(world)?,
            mask_of::<DelayWatch>(world)?,
            mask_of::<Egress>(world)?,
        ];
        let convoy_mask = masks.iter().fold(ComponentMask::NONE, |union, mask| union.union(mask));
        Ok(Self {
            host: ModuleHost::new(host_config),
            ledgers: Vec::new(),
            replicas: Replicas::default(),
            config,
            convoy_mask,
        })
    }

    fn add<W: Watch>(
        &mut self,
        world: &mut World,
        make: impl FnOnce(Ledger) -> W,
    ) -> Result<(), ScenarioError> {
        let ledger = Ledger::new(self.config.seed);
        self.ledgers.push(ledger.reader(W::NAME));
        let mut spec = declare::<W>();
        if W::RATE.is_some() && self.config.threads > 0 {
            spec = spec.mode(Mode::Asynchronous);
        }
        if let Sharing::Individual(masks) = self.config.sharing {
            let in_convoy = W::RATE == ConflictDetection::RATE && masks == CopyMasks::Convoy;
            let mask = if in_convoy { self.convoy_mask } else { mask_of::<W>(world)? };
            let replica = Arc::new(ReplicaProvider::new(mask));
            self.replicas.0.push(Arc::clone(&replica));
            spec = spec.provider(world, replica);
        }
        self.host.add_module(spec, make(ledger))?;
        Ok(())
    }
}
