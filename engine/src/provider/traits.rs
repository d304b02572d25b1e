//! [`SnapshotProvider`]: the interface of all policies.

use std::fmt;

use crate::snapshot::View;
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::World;
use crate::world::replica::SyncError;

use super::member::Member;

/// The policy of a provider.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ProviderKind {
    /// Captures every tick; readers join the newest snapshot.
    DoubleBuffer,
    /// Captures privately at each acquire.
    OnDemand,
    /// Captures at the first acquire; later ones join.
    Shared,
    /// Fills a physical replica: the copy that the other three save.
    Replica,
    /// A policy of the user's own.
    Other,
}

/// Why a provider has no view to give.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcquireError {
    /// Readers hold as many generations as the provider may keep alive.
    Backpressure {
        /// Generations that are held.
        generations: usize,
        /// How many of them the [`Member`] that asked holds; zero for others.
        own_generations: usize,
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
            Self::Backpressure {
                generations,
                own_generations,
                newest_tick,
                oldest_lag,
                oldest_retained_bytes,
            } => {
                write!(
                    formatter,
                    "readers hold {generations} generations of snapshots, the newest of tick \
                     {newest_tick}, and the provider may keep no more alive; the oldest is \
                     {oldest_lag} ticks old and retains {oldest_retained_bytes} bytes: drop views, \
                     or let the provider keep more"
                )?;
                if *own_generations > 0 {
                    write!(formatter, "; views of this reader hold {own_generations} of them")?;
                }
                Ok(())
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

/// Counts of a provider since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ProviderStatistics {
    /// Snapshots captured.
    pub captures: u64,
    /// Acquires that were given a snapshot which was there already, however old. Views that threads
    /// take by `join` are not counted: a counter that all of them write would cost as much as the join.
    pub joins: u64,
    /// Acquires and updates that the bound on generations refused.
    pub refused: u64,
    /// Joins by an acquire whose view is older than the provider promises: by
    /// [`WhenBusy::Newest`](crate::provider::WhenBusy), or because an update of a double buffer was refused.
    pub stale: u64,
    /// Snapshots of this provider that views still hold, including the provider's own hold on its
    /// newest.
    pub live_generations: usize,
    /// Panics of the callback for slow readers.
    pub callback_panics: u64,
}

impl ProviderStatistics {
    /// These counts, with those of the provider whose place this one has taken.
    pub(crate) fn after(self, earlier: &Self) -> Self {
        Self {
            captures: self.captures + earlier.captures,
            joins: self.joins + earlier.joins,
            refused: self.refused + earlier.refused,
            stale: self.stale + earlier.stale,
            live_generations: self.live_generations,
            callback_panics: self.callback_panics + earlier.callback_panics,
        }
    }
}

/// Gives modules their views: decides when to capture and which readers share a snapshot.
pub trait SnapshotProvider: Send + Sync {
    /// The policy.
    fn kind(&self) -> ProviderKind;

    /// The types that this provider captures.
    fn mask(&self) -> ComponentMask;

    /// A view of `world` for one reader.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Backpressure`] when readers hold too many generations,
    /// [`AcquireError::Sync`] when a replica can't be filled.
    fn acquire(&self, world: &mut World) -> Result<View, AcquireError>;

    /// Enrols a reader that is charged with the snapshots that it holds. A provider around another
    /// one passes this and [`SnapshotProvider::acquire_for`] on to it; unless a provider implements
    /// both, it can't tell its readers apart.
    fn enroll(&self) -> Member {
        Member::new()
    }

    /// A view of `world` for a reader that this provider has enrolled, charged to it. Where the
    /// bound on generations is reached, members that hold their share are refused, and the others
    /// are served: see [`WhenBusy`](crate::provider::WhenBusy).
    ///
    /// # Errors
    ///
    /// As [`SnapshotProvider::acquire`].
    fn acquire_for(&self, world: &mut World, member: &mut Member) -> Result<View, AcquireError> {
        self.acquire(world).map(|view| member.charge(view))
    }

    /// Called once per frame before views are acquired.
    ///
    /// # Errors
    ///
    /// As [`SnapshotProvider::acquire`].
    fn update(&self, world: &mut World) -> Result<(), AcquireError>;

    /// The counts of the provider so far.
    fn statistics(&self) -> ProviderStatistics;

    /// The snapshots that readers hold, oldest first, without the provider's own hold on its
    /// newest. A replica's are of the replica. Allocates the list that it returns. Empty unless the
    /// provider implements it.
    fn held(&self, world: &World) -> Vec<SnapshotUse> {
        let _ = world;
        Vec::new()
    }

    /// Bytes of replaced chunks of `world` that the provider's snapshots retain, its own hold on
    /// its newest included.
    fn retained_bytes(&self, world: &World) -> usize {
        self.held(world).iter().map(|usage| usage.retained_bytes).sum()
    }

    /// Bytes of physical copies that the provider keeps; zero unless it fills replicas.
    fn copied_bytes(&self) -> usize {
        0
    }
}
