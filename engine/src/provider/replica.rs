//! [`ReplicaProvider`]: the physical copy, for readers that can't share memory and for comparison.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::snapshot::{SnapshotPool, View};
use crate::storage::{ComponentMask, SnapshotUse};
use crate::world::{World, WorldConfig};

use super::traits::{AcquireError, ProviderKind, ProviderStatistics, SnapshotProvider};

/// Keeps a replica of its own and brings it up to date at each acquire, as an engine without shared
/// snapshots does for every module. The baseline of the benchmarks.
///
/// ```
/// use convoy_engine::provider::{ReplicaProvider, SnapshotProvider};
/// use convoy_engine::{ComponentMask, World};
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
    /// Made at the first acquire, with chunks of the source's shape.
    replica: Option<World>,
    syncs: u64,
}

impl ReplicaProvider {
    /// A provider that copies the columns of `mask`.
    pub fn new(mask: ComponentMask) -> Self {
        let state = Mutex::new(State { replica: None, syncs: 0 });
        Self { mask, pool: SnapshotPool::default(), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes mapped for the replica.
    pub fn mapped_bytes(&self) -> usize {
        self.state().replica.as_ref().map_or(0, |replica| replica.memory().mapped_bytes)
    }
}

/// An empty world that can be synced from `source`.
fn empty_replica(source: &World) -> World {
    let shape = source.catalog.registry.shape();
    let config = WorldConfig::default();
    World::with_config(config.chunk_bytes_max(shape.bytes_max).chunk_rows_max(shape.rows_max))
}

impl SnapshotProvider for ReplicaProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Replica
    }

    fn mask(&self) -> ComponentMask {
        self.mask
    }

    fn acquire(&self, world: &mut World) -> Result<View, AcquireError> {
        let State { replica, syncs } = &mut *self.state();
        let replica = replica.get_or_insert_with(|| empty_replica(world));
        if replica.sync_from(world, self.mask).is_err() {
            // It followed another world, of other chunks or types, whose place this one has taken.
            let mut anew = empty_replica(world);
            anew.sync_from(world, self.mask)?;
            *replica = anew;
        }
        *syncs += 1;
        // After another world the replica has ids of its own for types that are new in this one.
        let mask = replica.source_ids.mask(&self.mask);
        Ok(replica.capture(mask, &self.pool))
    }

    fn update(&self, _: &mut World) -> Result<(), AcquireError> {
        Ok(())
    }

    fn statistics(&self) -> ProviderStatistics {
        let state = self.state();
        let live_generations = state.replica.as_ref().map_or(0, |each| each.snapshots().count());
        ProviderStatistics { captures: state.syncs, live_generations, ..Default::default() }
    }

    fn held(&self, _: &World) -> Vec<SnapshotUse> {
        let state = self.state();
        state.replica.iter().flat_map(World::snapshots).collect()
    }

    /// None: its snapshots retain chunks of the replica, which are among the bytes that it copies.
    fn retained_bytes(&self, _: &World) -> usize {
        0
    }

    fn copied_bytes(&self) -> usize {
        let memory = self.state().replica.as_ref().map_or_else(Default::default, World::memory);
        memory.live_bytes + memory.retained_bytes
    }
}
