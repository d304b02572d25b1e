//! [`WorldState`] and [`Era`]: which world a run is for, and which of its pasts.

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

/// A stretch of frames with a world in one state. A world that comes back after another one begins a new era: what was
/// under way when it left takes no effect any more, whenever that ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Era(u64);

impl Era {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
