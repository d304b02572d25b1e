//! [`ModuleSpec`]: what a module reads, and when and where it runs.

use std::sync::Arc;
use std::time::Duration;

use crate::provider::contain::contain;
use crate::provider::{ProviderKind, SnapshotProvider};
use crate::storage::archetype::Catalog;
use crate::storage::component::{Component, Kind, Registry};
use crate::storage::names::name_of;
use crate::storage::{ComponentId, ComponentMask, Entity, RegisterError};
use crate::world::World;
use crate::world::bundle::{Bundle, Flat};

use super::causes::{Cause, Change, Sent};
use super::rate::Rate;

/// How a module relates to the frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Tier {
    /// Reads a view of every tick: all Fast modules share a double buffer, and one capture a frame, whatever their
    /// modes.
    Fast,
    /// Runs at a rate of its own, in a convoy with all others of that rate.
    Slow,
}

/// Where a module runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Mode {
    /// On the thread that calls the host, inside the frame.
    Synchronous,
    /// On the workers and, when they are busy, on the host's thread, side by side with the
    /// synchronous modules and each other. The frame waits for all of them, and their commands
    /// are played back in it.
    FrameSynced,
    /// On a worker thread. The frame never waits, unless in lock step. Without it, the frame in which
    /// a run lands depends on the clock, and so do the handles that are given out from then on. In
    /// lock step, and in the other modes, the same frames give the same handles and the same
    /// [`World::state_hash`], with any number and timing of threads; for modules that keep clones of
    /// views see [`HostConfig::lock_step`](crate::host::HostConfig::lock_step).
    Asynchronous,
}

/// A declaration of types that a module reads.
#[derive(Clone, Copy)]
struct Reads {
    /// Their mask in a world, in which new ones are registered.
    mask: fn(&mut World) -> Result<ComponentMask, RegisterError>,
    /// Calls for the id of each that a registry knows, and for the others without one.
    find: fn(&Registry, &mut dyn FnMut(Option<ComponentId>)),
    /// The names of the types.
    name: fn() -> &'static str,
}

/// Makes a cause for runs.
pub(super) type NewCause = fn() -> Box<dyn Cause>;

/// A provider that was assigned by hand, and the types of the world that it captures.
#[derive(Clone)]
pub(super) struct Manual {
    pub(super) provider: Arc<dyn SnapshotProvider>,
    pub(super) catalog: Arc<Catalog>,
}

/// The declarations of a module: its name, tier, mode, rate, the types that it reads and, in place of
/// the provider that the host would choose, its own.
///
/// ```
/// use convoy_engine::Entity;
/// use convoy_engine::host::{Mode, ModuleSpec, Rate};
///
/// let spec = ModuleSpec::slow("analytics", Rate::hz(10))
///     .mode(Mode::Asynchronous)
///     .reads::<(Entity, f32)>()
///     .reads_events::<u64>();
/// assert_eq!(spec.name(), "analytics");
/// ```
#[derive(Clone)]
pub struct ModuleSpec {
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) mode: Mode,
    pub(super) rate: Rate,
    pub(super) deadline: Option<Duration>,
    pub(super) manual: Option<Manual>,
    /// Whether the module's commands may spawn entities.
    pub(super) spawns: bool,
    reads: Vec<Reads>,
    /// Types that are declared by their ids, if any are.
    ids: Option<ComponentMask>,
    all: bool,
    pub(super) causes: Vec<NewCause>,
    /// Whether the last view is kept, to compare the next one with.
    pub(super) tracks_changes: bool,
}

impl ModuleSpec {
    /// A synchronous module that runs every frame.
    pub fn fast(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tier: Tier::Fast,
            mode: Mode::Synchronous,
            rate: Rate::EVERY_FRAME,
            deadline: None,
            manual: None,
            spawns: true,
            reads: Vec::new(),
            ids: None,
            all: false,
            causes: Vec::new(),
            tracks_changes: false,
        }
    }

    /// A synchronous module that runs at `rate`.
    pub fn slow(name: impl Into<String>, rate: Rate) -> Self {
        Self { tier: Tier::Slow, rate, ..Self::fast(name) }
    }

    /// A synchronous module that runs on triggers alone: see [`ModuleSpec::on_event`] and
    /// [`ModuleSpec::on_change`].
    pub fn triggered(name: impl Into<String>) -> Self {
        Self::slow(name, Rate::NEVER)
    }

    /// The module's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets where the module runs.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Gives the runs of the module a deadline, counted from their start: time that a run waits for a worker is not
    /// the module's fault. There is none unless set.
    ///
    /// An asynchronous run that is still going on a frame that lies later than that after its start, in the time that
    /// the frames add up to, has missed the deadline. It keeps its view until it ends; its commands are then dropped,
    /// and the next run that is due is skipped. A run that the frame waits for is measured by the clock; it delays
    /// the frame, and its commands are played back. In lock step, where the host waits for every run, all are
    /// measured so.
    ///
    /// Runs that miss their deadline are counted in [`ModuleStatistics`](crate::host::ModuleStatistics), and count as
    /// faults for [`HostConfig::faults_max`](crate::host::HostConfig::faults_max), but in lock step, where the clock
    /// decides nothing.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Declares that the module reads the components of `B`, which may include
    /// [`Entity`](crate::Entity): the handles, and looking entities up. May be called again. A module that
    /// declares `()` reads nothing but the tick and the counts; one that declares nothing at all is refused when it
    /// is added.
    #[must_use]
    pub fn reads<B: Bundle>(mut self) -> Self {
        self.reads.push(Reads {
            mask: |world| world.mask_of::<B>(),
            find: |registry, found| B::find(registry, found),
            name: name_of::<B>,
        });
        self
    }

    /// Declares that the module reads the events of type `T`.
    #[must_use]
    pub fn reads_events<T: Component>(mut self) -> Self {
        self.reads.push(Reads {
            mask: |world| world.register_event::<T>().map(|id| ComponentMask::from_iter([id])),
            find: |registry, found| found(registry.id_of::<T>(Kind::Event)),
            name: name_of::<T>,
        });
        self
    }

    /// Runs the module when events of type `T` have been sent, besides the times of its rate, and declares that it
    /// reads them.
    ///
    /// What comes up between two frames shares one run, whose [`ModuleContext::events`](super::ModuleContext::events)
    /// has all of it; what comes up while the module is busy, or is refused a view, waits for the next run. Nothing
    /// leads to a second run, unless the first panicked, was late or lost its commands to a restore, and its events
    /// come again.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// host.add(ModuleSpec::triggered("doors").on_event::<u32>(), |context| {
    ///     assert_eq!(context.events::<u32>().count(), 2);
    /// })
    /// .unwrap();
    /// for frame in 0..10 {
    ///     if frame == 5 {
    ///         world.send_events([1_u32, 2]);
    ///     }
    ///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// }
    /// let module = &host.statistics(&world).modules[0];
    /// assert_eq!((module.runs, module.panics), (1, 0));
    /// ```
    #[must_use]
    pub fn on_event<T: Component>(mut self) -> Self {
        self.causes.push(|| Box::new(Sent::<T>::new()));
        self.reads_events::<T>()
    }

    /// Runs the module when components of type `T` have changed, besides the times of its rate, and declares that it
    /// reads them and tracks changes.
    ///
    /// A change is a value with other bytes, one that came or one that went, compared with the view of the
    /// last run: writing the same value again is none. One run answers all that has changed since the run
    /// before, as with [`ModuleSpec::on_event`]. A frame on which nobody wrote a `T` costs a look at their
    /// chunks; one on which somebody did costs a capture and a comparison of the chunks that were written.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleHost, ModuleSpec};
    ///
    /// let (mut world, mut host) = (World::new(), ModuleHost::default());
    /// let entity = world.spawn((1_u32,));
    /// host.add(ModuleSpec::triggered("mirror").on_change::<u32>(), |_| {}).unwrap();
    /// for value in [1, 1, 2, 2, 2] {
    ///     *world.get_mut::<u32>(entity).unwrap() = value;
    ///     host.run_frame(&mut world, Duration::from_millis(16)).unwrap();
    /// }
    /// assert_eq!(host.statistics(&world).modules[0].runs, 2);
    /// ```
    #[must_use]
    pub fn on_change<T: Component>(mut self) -> Self {
        self.causes.push(|| Box::new(Change::of::<T>()));
        self.reads::<(T,)>().tracks_changes()
    }

    /// Keeps the view of the module's last run, for [`ModuleContext::changes`](super::ModuleContext::changes), and
    /// declares that the module reads handles. Chunks that are written meanwhile are kept for it.
    #[must_use]
    pub fn tracks_changes(mut self) -> Self {
        self.tracks_changes = true;
        self.reads::<(Entity,)>()
    }

    /// Declares that the module reads the resource of type `T`.
    #[must_use]
    pub fn reads_resource<T: Component>(mut self) -> Self {
        self.reads.push(Reads {
            mask: |world| world.register_resource::<T>().map(|id| ComponentMask::from_iter([id])),
            find: |registry, found| found(registry.id_of::<T>(Kind::Resource)),
            name: name_of::<T>,
        });
        self
    }

    /// Declares that the module reads the types of these ids, of components, events or resources: for types that are
    /// known at run time only. In a world that takes the place of the host's the ids are those of that world.
    ///
    /// ```
    /// use convoy_engine::World;
    /// use convoy_engine::host::{ModuleSpec, Rate};
    ///
    /// let mut world = World::new();
    /// let fuel = world.register::<f32>().unwrap();
    /// let spec = ModuleSpec::slow("script", Rate::hz(10)).reads_ids([fuel]);
    /// ```
    #[must_use]
    pub fn reads_ids(mut self, ids: impl IntoIterator<Item = ComponentId>) -> Self {
        let others = self.ids.unwrap_or(ComponentMask::NONE);
        self.ids = Some(others.union(&ids.into_iter().collect()));
        self
    }

    /// Declares that the module reads everything, what is registered later included. Its convoy captures all
    /// columns, and the statistics say so. With a provider that was assigned by hand it reads all that this captures.
    #[must_use]
    pub fn reads_all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Assigns a provider for snapshots of `world`, which the host then leaves alone. It must capture all that
    /// the module declares: see [`HostError::ProviderMask`](crate::host::HostError::ProviderMask). Fast modules with
    /// the same provider form a convoy, and Slow ones of one mode and rate. A panic of the provider is contained
    /// and counted, and the module that asked for a view is refused.
    #[must_use]
    pub fn provider(mut self, world: &World, provider: Arc<dyn SnapshotProvider>) -> Self {
        self.manual = Some(Manual { provider, catalog: Arc::clone(&world.catalog) });
        self
    }

    /// Declares that the module's commands spawn no entities; [`Commands::spawn`](crate::commands::Commands)
    /// panics then, which counts as a panic of the module.
    ///
    /// Modules that may spawn have indices of their own, numbered by the order of registration, for
    /// entities that a run spawns beyond its stock. A module that declares this, or is added last, leaves the
    /// handles of all others as they are without it, but those of [`Commands`](crate::commands::Commands) that
    /// are made after one that does not declare it. One that is added before others and spawns
    /// nothing without declaring it may change their handles, though not from run to run.
    ///
    /// ```
    /// use convoy_engine::host::{ModuleSpec, Rate};
    ///
    /// let spec = ModuleSpec::slow("statistics", Rate::hz(2)).spawns_nothing();
    /// assert_eq!(spec.name(), "statistics");
    /// ```
    #[must_use]
    pub fn spawns_nothing(mut self) -> Self {
        self.spawns = false;
        self
    }

    /// Whether the module reads everything.
    pub(super) fn declares_all(&self) -> bool {
        self.all
    }

    /// Whether the module has declared what it reads, if only that it is nothing.
    pub(super) fn declares_reads(&self) -> bool {
        self.all || self.ids.is_some() || !self.reads.is_empty()
    }

    /// The types that the module declared; new ones are registered.
    pub(super) fn mask(&self, world: &mut World) -> Result<ComponentMask, RegisterError> {
        if self.all {
            return Ok(ComponentMask::ALL);
        }
        let mut mask = self.ids.unwrap_or(ComponentMask::NONE);
        for each in &self.reads {
            mask = mask.union(&(each.mask)(world)?);
        }
        Ok(mask)
    }

    /// The first id that the module declared and `world` does not know.
    pub(super) fn first_unknown(&self, world: &World) -> Option<ComponentId> {
        self.ids.iter().flat_map(ComponentMask::iter).find(|&id| world.component_info(id).is_none())
    }

    /// The first declared type that `captured` lacks, which is a mask of the world that the provider is for.
    pub(super) fn first_missing(
        &self,
        registry: &Registry,
        captured: &ComponentMask,
    ) -> Option<&'static str> {
        let missing = self.ids.and_then(|ids| ids.difference(captured).iter().next());
        if let Some(info) = missing.and_then(|id| registry.component(id)) {
            return Some(info.name());
        }
        self.reads.iter().find_map(|reads| {
            let mut missing = None;
            (reads.find)(registry, &mut |id| match id {
                Some(id) if captured.contains(id) => {}
                // What the world does not know yet is captured by a mask of everything only.
                None if captured.is_all() => {}
                Some(id) => missing = missing.or(Some(registry.info(id).name())),
                None => missing = missing.or_else(|| Some((reads.name)())),
            });
            missing
        })
    }
}

impl std::fmt::Debug for ModuleSpec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = |provider: &Arc<dyn SnapshotProvider>| {
            contain(|| provider.kind()).unwrap_or(ProviderKind::Other)
        };
        formatter
            .debug_struct("ModuleSpec")
            .field("name", &self.name)
            .field("tier", &self.tier)
            .field("mode", &self.mode)
            .field("rate", &self.rate)
            .field("provider", &self.manual.as_ref().map(|manual| kind(&manual.provider)))
            .finish_non_exhaustive()
    }
}
