//! Configuration of a host, and what can be wrong with it.

use std::fmt;
use std::num::NonZeroU32;

use crate::storage::RegisterError;

/// What a host is made with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HostConfig {
    /// Threads that run asynchronous and frame-synced modules: one fewer than the machine has
    /// cores, and at least one, unless set. No more are started than there are such modules.
    pub workers: usize,
    /// Lands the results of asynchronous modules exactly this many frames after they were
    /// started, waiting for them if need be, so that runs can be reproduced: the same
    /// frames then give the same world, handles and row order included. Off by default: then
    /// results land on the first frame after they are ready, and the frame never waits.
    ///
    /// In lock step a run holds its picture until it lands, so that what others are given does not
    /// follow from when its thread ends. Outside of that are modules which, on their own threads,
    /// drop clones of views that they have kept, or join a provider: where such a clone is the
    /// last of its picture, others may find that published or not, and a bound reached or not, by
    /// the clock.
    pub lock_step: Option<NonZeroU32>,
    /// A module that panics this many times in a row is switched off: 3 unless set. Zero means
    /// that none ever is.
    pub panics_max: u32,
    /// A module that is switched off is tried again after having been due this often: 100 unless
    /// set.
    pub probe_after: u32,
}

impl HostConfig {
    /// Whether a module is switched off after this many panics in a row.
    pub(super) fn switches_off(&self, panics_in_a_row: u32) -> bool {
        self.panics_max > 0 && panics_in_a_row >= self.panics_max
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            workers: cores.saturating_sub(1).max(1),
            lock_step: None,
            panics_max: 3,
            probe_after: 100,
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
        /// What is wrong with the type.
        error: RegisterError,
    },
    /// A module is asynchronous or frame-synced and the host has no workers.
    NoWorkers {
        /// The module's name.
        module: String,
    },
    /// The provider that a module was given does not capture what the module reads in the world
    /// that has taken the place of the host's, because types have other ids there.
    ProviderMask {
        /// The module's name.
        module: String,
    },
    /// Worker threads could not be started.
    Threads(std::io::Error),
    /// The host runs already: modules are added before its first frame.
    Running,
}

impl fmt::Display for HostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { module, error } => write!(formatter, "module {module}: {error}"),
            Self::NoWorkers { module } => {
                write!(formatter, "module {module} needs workers and the host has none")
            }
            Self::ProviderMask { module } => write!(
                formatter,
                "the provider of module {module} does not capture what it reads in this world, \
                 where types have other ids than in the one before; register them in the same \
                 order"
            ),
            Self::Threads(error) => write!(formatter, "worker threads can't be started: {error}"),
            Self::Running => formatter.write_str("modules are added before the first frame"),
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Register { error, .. } => Some(error),
            Self::Threads(error) => Some(error),
            _ => None,
        }
    }
}
