//! Configuration of a host, and its errors.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use convoy_pool::MemoryError;

use crate::storage::{ComponentId, RegisterError};

use super::bytes::StateError;
use super::module::{LoadError, ModuleId};
use super::spec::{Mode, ModuleSpec};

/// How a host is made.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use convoy_engine::host::{HostConfig, ModuleHost};
///
/// let config = HostConfig::default().workers(2).lock_step(NonZeroU32::new(3));
/// let host = ModuleHost::new(config);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostConfig {
    /// As many as are worth it where none are set.
    workers: Option<usize>,
    pub(super) lock_step: Option<NonZeroU32>,
    faults_max: u32,
    pub(super) probe_after: u32,
    pub(super) timeline: u32,
    pub(super) abandon_after: Duration,
    pub(super) event_tries: u32,
}

impl HostConfig {
    /// Threads that run asynchronous and frame-synced modules: by default as many as the machine has cores, and at
    /// least four, so that a few long runs leave a thread to the short ones. No more are started than there are
    /// such modules. Of the runs that wait for a thread, those of modules with short runs begin first.
    ///
    /// With zero, every module runs on the host's thread as soon as it is given its view, and the frame takes as much
    /// longer. Results land on the same frames: in lock step the simulation is the same with threads and without.
    #[must_use]
    pub fn workers(mut self, threads: usize) -> Self {
        self.workers = Some(threads);
        self
    }

    /// Lands the results of asynchronous modules exactly this many frames after they were started,
    /// and waits for them if need be, so that runs can be reproduced: the same frames then give the
    /// same world, handles and row order included. `None`, the default, lands results on the first
    /// frame after they are ready, and the frame never waits.
    ///
    /// A module runs whenever it is due, also where its last run has not ended: up to `frames` runs of it are
    /// under way, one after the other, each with its view and a command buffer. So an asynchronous module of
    /// every frame holds `frames` snapshots at a time, and the world keeps the chunks that were replaced since the
    /// oldest.
    ///
    /// In lock step a run holds its view until it lands, so that the views that others are given
    /// don't depend on when its thread ends. Two kinds of modules still make them depend on the
    /// clock: those that drop kept clones of views on their own threads, and those that join a
    /// provider there. Where such a clone is the last view of its snapshot, others may find the
    /// snapshot published or not, and a bound reached or not.
    #[must_use]
    pub fn lock_step(mut self, frames: impl Into<Option<NonZeroU32>>) -> Self {
        self.lock_step = frames.into();
        self
    }

    /// A module whose runs panic or miss their [deadline](super::ModuleSpec::deadline) this many times in a row is
    /// switched off: 3 by default. Zero never switches one off.
    #[must_use]
    pub fn faults_max(mut self, faults: u32) -> Self {
        self.faults_max = faults;
        self
    }

    /// A module that is switched off is tried again, once, after it was due this often: 100 by default. A convoy all
    /// members of which are switched off captures nothing until then.
    #[must_use]
    pub fn probe_after(mut self, times_due: u32) -> Self {
        self.probe_after = times_due;
        self
    }

    /// Keeps the runs that land on the last `frames` frames, of none by default, for
    /// [`ModuleHost::timeline`](super::ModuleHost::timeline). The memory for it is taken once, 176 bytes for
    /// each module and frame, and a run costs a few stores more.
    #[must_use]
    pub fn timeline(mut self, frames: u32) -> Self {
        self.timeline = frames;
        self
    }

    /// In how many runs in a row events are given to a module that fails on them, until they are dropped: 3 by
    /// default, and at least one. See [`ModuleContext::events`](super::ModuleContext::events).
    #[must_use]
    pub fn event_tries(mut self, runs: u32) -> Self {
        self.event_tries = runs.max(1);
        self
    }

    /// How long a host that is dropped waits for modules that are running: one second by default. Those that
    /// take longer are abandoned, and named on stderr: each keeps its thread, its view and what it owns until its
    /// run ends, if it ever does, and nothing of what it recorded is played back.
    #[must_use]
    pub fn abandon_after(mut self, time: Duration) -> Self {
        self.abandon_after = time;
        self
    }

    /// Whether a module is switched off after this many faults in a row.
    pub(super) fn switches_off(&self, faults_in_a_row: u32) -> bool {
        self.faults_max > 0 && faults_in_a_row >= self.faults_max
    }

    /// For how many frames a run may be under way in lock step; one without it.
    pub(super) fn runs_max(&self) -> usize {
        self.lock_step.map_or(1, |frames| frames.get() as usize)
    }

    /// How many runs of a module may be under way at once.
    pub(super) fn runs_of(&self, spec: &ModuleSpec) -> usize {
        let queues = spec.mode == Mode::Asynchronous;
        match (queues, spec.causes.is_empty()) {
            (false, _) => 1,
            (true, true) => spec.rate.runs_in(self.runs_max()),
            // It may be due on any frame.
            (true, false) => self.runs_max(),
        }
    }

    /// Whether modules may run on other threads than the host's.
    pub(super) fn has_threads(&self) -> bool {
        self.workers != Some(0)
    }

    /// The most threads that are started.
    pub(super) fn workers_max(&self) -> usize {
        self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get).max(WORKERS_MIN)
        })
    }
}

/// How many threads are started on small machines, where there are modules for them.
const WORKERS_MIN: usize = 4;

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            workers: None,
            lock_step: None,
            faults_max: 3,
            probe_after: 100,
            timeline: 0,
            abandon_after: Duration::from_secs(1),
            event_tries: 3,
        }
    }
}

/// Why a host can't start, or go on with another world.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// A type that a module declares can't be registered.
    Register {
        /// The module's name.
        module: String,
        /// The fault of the type.
        error: RegisterError,
    },
    /// A module has not declared what it reads: not even `reads::<()>()`, for nothing.
    NoReads {
        /// The module's name.
        module: String,
    },
    /// Two modules have one name.
    DuplicateName {
        /// The name.
        module: String,
    },
    /// There is no such module: it was removed, or is another host's.
    UnknownModule {
        /// Its id.
        id: ModuleId,
    },
    /// Runs of a module have not landed.
    Busy {
        /// The module's name.
        module: String,
    },
    /// A module can't save its state, or does not take the bytes that it is to load.
    State {
        /// The module's name.
        module: String,
        /// Why.
        error: LoadError,
    },
    /// Bytes are no state of a host.
    Malformed,
    /// Bytes are the state of a host of another version.
    StateVersion {
        /// The version.
        found: u8,
    },
    /// The view is not of the world that the host runs frames of.
    OtherWorld,
    /// The handles that the commands of a module spawn with are those of another command buffer, or are not in the
    /// world: it is not the one that was saved with the host, or was changed since it was loaded.
    Handles {
        /// The module's name.
        module: String,
    },
    /// A module has neither a rate nor a trigger: it would never run.
    NoTrigger {
        /// The module's name.
        module: String,
    },
    /// A module declares to read an id that the world has not given out.
    UnknownId {
        /// The module's name.
        module: String,
        /// The id.
        id: ComponentId,
    },
    /// The provider that was assigned to a module does not capture all that the module declared. In
    /// a world that has taken the place of the host's, types may have other ids than the provider
    /// knows.
    ProviderMask {
        /// The module's name.
        module: String,
        /// The first type that is declared and not captured.
        component: &'static str,
    },
    /// Worker threads could not be started.
    Threads(std::io::Error),
    /// There is no memory for a timeline of so many frames and modules.
    Timeline(MemoryError),
    /// A time scale is negative, too large, or no number.
    TimeScale {
        /// The scale.
        scale: f64,
    },
    /// Modules were still running when the time to finish was over. They land later, or never.
    Unfinished {
        /// Their names.
        modules: Vec<String>,
    },
    /// The host runs already: modules are added before its first frame, and installed after it.
    Running,
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { module, error } => write!(formatter, "module {module}: {error}"),
            Self::NoReads { module } => write!(
                formatter,
                "module {module} declares no reads: add `reads::<(A, B)>()`, `reads_all()`, or `reads::<()>()` for \
                 nothing"
            ),
            Self::DuplicateName { module } => {
                write!(formatter, "there is a module with the name {module} already")
            }
            Self::UnknownModule { id } => write!(formatter, "there is no module {id:?}"),
            Self::Busy { module } => {
                write!(formatter, "module {module} has runs that have not landed")
            }
            Self::State { module, error } => {
                write!(formatter, "the state of module {module}: {error}")
            }
            Self::Malformed => formatter.write_str("these bytes are no state of a host"),
            Self::StateVersion { found } => {
                write!(formatter, "the state of the host is of version {found}, which is unknown")
            }
            Self::OtherWorld => {
                formatter.write_str("the view is of another world than the host's last frame")
            }
            Self::Handles { module } => write!(
                formatter,
                "the world lacks the handles that module {module} spawns with: load the host's state \
                 right after the world that was saved with it, before command buffers are made"
            ),
            Self::NoTrigger { module } => write!(
                formatter,
                "module {module} would never run: add `on_event::<T>()` or `on_change::<T>()`, or give it a rate"
            ),
            Self::UnknownId { module, id } => {
                write!(
                    formatter,
                    "module {module} declares to read {id:?}, which the world does not know"
                )
            }
            Self::ProviderMask { module, component } => write!(
                formatter,
                "the provider of module {module} does not capture {component}, which the module \
                 declares to read: give the provider a wider mask, and register types in the same \
                 order in all worlds of a host"
            ),
            Self::Threads(error) => write!(formatter, "worker threads can't be started: {error}"),
            Self::Timeline(error) => write!(formatter, "no room for the timeline: {error}"),
            Self::TimeScale { scale } => {
                write!(formatter, "a time scale lies between 0 and 2^31, and not at {scale}")
            }
            Self::Unfinished { modules } => {
                write!(formatter, "still running: {}", modules.join(", "))
            }
            Self::Running => formatter.write_str(
                "the host runs: modules are added before the first frame, and installed after it",
            ),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Register { error, .. } => Some(error),
            Self::Threads(error) => Some(error),
            Self::State { error, .. } => Some(&**error),
            Self::Timeline(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StateError> for HostError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Malformed => Self::Malformed,
            StateError::Version(found) => Self::StateVersion { found },
        }
    }
}
