//! [`SnapshotProvider`]: what the policies have in common.

use std::fmt;

use crate::snapshot::View;
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::{SyncError, World};

/// Which policy a provider follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Captures every tick; readers join the newest picture.
    DoubleBuffer,
    /// Captures privately at each acquire.
    OnDemand,
    /// Captures at the first acquire; later ones join.
    Shared,
    /// Fills a physical replica: the copy that the other three save.
    Replica,
}

/// Why a provider has no view to give.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcquireError {
    /// Readers hold as many generations as the provider may keep alive.
    Backpressure {
        /// Generations that are held.
        generations: usize,
        /// The tick of the newest of them.
        newest_tick: u64,
        /// How many ticks ago the oldest of them was captured.
        oldest_lag: u64,
        /// Bytes of replaced chunks that the oldest of them retains.
        oldest_retained_bytes: usize,
    },
    /// The replica could not be synced.
    Sync(SyncError),
}

impl fmt::Display for AcquireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backpressure { generations, newest_tick, oldest_lag, oldest_retained_bytes } => {
                write!(
                    formatter,
                    "readers hold {generations} generations of snapshots, the newest of tick \
                     {newest_tick}, and the provider may keep no more alive; the oldest is \
                     {oldest_lag} ticks old and retains {oldest_retained_bytes} bytes: drop views, \
                     or let the provider keep more"
                )
            }
            Self::Sync(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for AcquireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sync(error) => Some(error),
            Self::Backpressure { .. } => None,
        }
    }
}

impl From<SyncError> for AcquireError {
    fn from(error: SyncError) -> Self {
        Self::Sync(error)
    }
}

/// What a provider has done since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProviderStatistics {
    /// Snapshots captured.
    pub captures: u64,
    /// Views given that joined a snapshot captured before.
    pub joins: u64,
    /// Acquires and updates that the bound on generations refused.
    pub refused: u64,
    /// Views given that are older than the provider promises: by
    /// [`WhenBusy::Newest`](crate::WhenBusy), or because an update of a double buffer was refused.
    pub stale: u64,
    /// Snapshots of this provider that still have readers.
    pub live_generations: usize,
    /// Panics of the callback for slow readers.
    pub callback_panics: u64,
}

/// Gives modules their views: decides when to capture and who shares a snapshot.
pub trait SnapshotProvider: Send + Sync {
    /// The policy.
    fn kind(&self) -> ProviderKind;

    /// What this provider captures.
    fn mask(&self) -> ComponentMask;

    /// A view of `world` for one reader.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Backpressure`] when readers hold too many generations,
    /// [`AcquireError::Sync`] when a replica can't be filled.
    fn acquire(&self, world: &mut World) -> Result<View, AcquireError>;

    /// Called once per frame before views are acquired.
    ///
    /// # Errors
    ///
    /// As [`SnapshotProvider::acquire`].
    fn update(&self, world: &mut World) -> Result<(), AcquireError>;

    /// What the provider has done so far.
    fn statistics(&self) -> ProviderStatistics;

    /// The snapshots that readers hold, oldest first, without the provider's own hold on its
    /// newest. A replica's are of the replica. Allocates the list that it returns. Empty unless the
    /// provider implements it.
    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        let _ = world;
        Vec::new()
    }

    /// Bytes of physical copies that the provider keeps; zero unless it fills replicas.
    fn copied_bytes(&self) -> usize {
        0
    }
}
