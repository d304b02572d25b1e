//! [`WorldState`]: which world a run is for, and which of its pasts.

use crate::storage::world_id::WorldId;
use crate::world::World;

/// A world, between two of its restores and syncs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WorldState(WorldId, u64);

impl WorldState {
    /// Of no world.
    pub(super) const NONE: Self = Self(WorldId::NONE, 0);

    pub(super) fn of(world: &World) -> Self {
        Self(world.id, world.lineage.current())
    }
}
