//! Branch: a second world that begins with the chunks of a snapshot.
//!
//! The branch holds a lease on the snapshot, and so do the snapshots of the branch: the chunks stay
//! mapped and unchanged for as long as anybody can read them. To the branch they are *foreign*: it
//! never writes them in place, not even past the captured rows, and never gives them to its own
//! arena; a write copies the chunk into memory of the branch.

use convoy_pool::{ArenaConfig, Lease};

use crate::storage::frozen::Frozen;

use super::core::{World, WorldConfig};

impl World {
    /// A world with everything that a complete capture has, and an empty arena.
    pub(crate) fn branch_frozen(base: Lease<Frozen>, memory: ArenaConfig) -> Self {
        let shape = base.schema().registry.shape();
        let mut world = Self::with_config(WorldConfig {
            memory,
            chunk_bytes_max: shape.bytes_max,
            chunk_rows_max: shape.rows_max,
            event_retention: base.head.event_retention,
        });
        world.take_schema(base.shared_schema());
        world.memory.history.branching = true;
        world.restore_frozen(&base);
        world.memory.history.branching = false;
        world.base = Some(base);
        world
    }
}
