//! Modules: code that runs beside the simulation.

use super::context::ModuleContext;
use super::spec::ModuleSpec;

/// A module of a host: its place in the order of registration, which is also that of playback. A module that is
/// installed takes the lowest place of those that were removed; their ids are good for nothing then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ModuleId {
    place: usize,
    /// How many modules have had the place before.
    generation: u32,
}

impl ModuleId {
    pub(super) const fn new(place: usize) -> Self {
        Self { place, generation: 0 }
    }

    /// The id of the next module in the place.
    pub(super) const fn next(self) -> Self {
        Self { generation: self.generation.wrapping_add(1), ..self }
    }

    /// The module's place in [`HostStatistics::modules`](super::HostStatistics::modules).
    pub const fn index(self) -> usize {
        self.place
    }
}

/// A task that reads views of the world at its own rate and asks for changes by commands.
///
/// Closures that take a [`ModuleContext`] are modules: [`ModuleHost::add`](crate::host::ModuleHost::add)
/// takes them, and [`ModuleHost::add_module`](crate::host::ModuleHost::add_module) takes other types.
pub trait Module: Send + 'static {
    /// One run. A panic is contained and counted, and its commands are discarded whole.
    fn run(&mut self, context: &mut ModuleContext<'_>);

    /// The state of the module as bytes, for [`Module::load`]; `None`, unless said otherwise, where it has none that is
    /// worth keeping. Resources and components are saved with the world.
    fn save(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes up the state that [`Module::save`] gave, in this program or an earlier one.
    ///
    /// # Errors
    ///
    /// When these are no bytes of such a state: unless said otherwise, always. The module is as it was then.
    fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let _ = bytes;
        Err("the module has no state of its own".into())
    }
}

/// Why a module does not take up bytes as its state.
pub type LoadError = Box<dyn std::error::Error + Send + Sync>;

/// A module that comes with its declarations: [`ModuleHost::add_declared`](crate::host::ModuleHost::add_declared).
///
/// ```
/// use std::time::Duration;
///
/// use convoy_engine::World;
/// use convoy_engine::host::{Declared, LoadError, Module, ModuleContext, ModuleHost, ModuleSpec, Rate};
///
/// /// Adds up the points of all events.
/// #[derive(Default)]
/// struct Score(u64);
///
/// impl Declared for Score {
///     fn spec(&self) -> ModuleSpec {
///         ModuleSpec::slow("score", Rate::hz(10)).reads_events::<u32>()
///     }
/// }
///
/// impl Module for Score {
///     fn run(&mut self, context: &mut ModuleContext<'_>) {
///         self.0 += context.events::<u32>().map(u64::from).sum::<u64>();
///     }
///
///     fn save(&self) -> Option<Vec<u8>> {
///         Some(self.0.to_le_bytes().to_vec())
///     }
///
///     fn load(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
///         self.0 = u64::from_le_bytes(bytes.try_into()?);
///         Ok(())
///     }
/// }
///
/// let (mut world, mut host) = (World::new(), ModuleHost::default());
/// let score = host.add_declared(Score::default()).unwrap();
/// world.send_events([3_u32, 4]);
/// host.run_frame(&mut world, Duration::from_millis(100)).unwrap();
/// let saved = host.save_module(score).unwrap().expect("it has a state");
///
/// let mut other = ModuleHost::default();
/// let score = other.add_declared(Score::default()).unwrap();
/// other.load_module(score, &saved).unwrap();
/// assert_eq!(other.save_module(score).unwrap(), Some(saved));
/// assert!(other.load_module(score, &[1, 2, 3]).is_err());
/// ```
pub trait Declared: Module {
    /// The module's name, tier, mode, rate, triggers, and the types that it reads.
    fn spec(&self) -> ModuleSpec;
}

impl<F: FnMut(&mut ModuleContext<'_>) + Send + 'static> Module for F {
    fn run(&mut self, context: &mut ModuleContext<'_>) {
        self(context);
    }
}
