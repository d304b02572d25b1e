//! [`ReplicaProvider`]: the physical copy, for what can't share memory and for comparison.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::ComponentMask;
use crate::world::World;

use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Keeps a replica of its own and brings it up to date at each acquire: what an engine without
/// shared snapshots does for every module, and the baseline of the benchmarks.
///
/// ```
/// use convoy_engine::{ComponentMask, ReplicaProvider, SnapshotProvider, World};
///
/// let mut world = World::new();
/// let entity = world.spawn((1_u32,));
/// let provider = ReplicaProvider::new(ComponentMask::ALL);
/// let view = provider.acquire(&mut world).unwrap();
/// *world.get_mut::<u32>(entity).unwrap() = 2;
/// assert_eq!(*view.get::<u32>(entity).unwrap(), 1);
/// assert_eq!(world.copy_statistics().chunks_copied, 0, "the live world pays nothing");
/// assert!(provider.copied_bytes() > 0, "the memory exists twice");
/// ```
pub struct ReplicaProvider {
    mask: ComponentMask,
    pool: SnapshotPool,
    state: Mutex<State>,
}

struct State {
    replica: World,
    syncs: u64,
}

impl ReplicaProvider {
    /// A provider that copies the columns of `mask`.
    pub fn new(mask: ComponentMask) -> Self {
        let state = State { replica: World::new(), syncs: 0 };
        Self { mask, pool: SnapshotPool::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes mapped for the replica.
    pub fn mapped_bytes(&self) -> usize {
        self.state().replica.memory().mapped_bytes
    }
}

impl SnapshotProvider for ReplicaProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Replica
    }

    fn mask(&self) -> ComponentMask {
        self.mask
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        let mut state = self.state();
        state.replica.sync_from(world, self.mask)?;
        state.syncs += 1;
        Ok(state.replica.capture(self.mask, &self.pool))
    }

    fn update(&self, _: &mut World) -> Result<(), AcquireError> {
        Ok(())
    }

    fn statistics(&self) -> ProviderStatistics {
        ProviderStatistics { captures: self.state().syncs, ..Default::default() }
    }

    fn copied_bytes(&self) -> usize {
        let memory = self.state().replica.memory();
        memory.live_bytes + memory.retained_bytes
    }
}
