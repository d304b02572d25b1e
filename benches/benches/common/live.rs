//! Convoy's world as a subject: alone, or with a snapshot captured before every pass.

use convoy_engine::{ComponentMask, SnapshotPool, View, World};

/// The names of the two subjects, and whether a snapshot is alive.
pub(crate) const SUBJECTS: [(&str, bool); 2] = [("convoy", false), ("convoy+snapshot", true)];

/// A world and, where a snapshot shall be alive, the pool to capture into.
pub(crate) struct LiveWorld {
    pub(crate) world: World,
    pool: Option<SnapshotPool>,
}

impl LiveWorld {
    /// A world that is filled already.
    pub(crate) fn new(world: World, snapshot: bool) -> Self {
        let pool = snapshot.then(|| SnapshotPool::for_world(&world));
        Self { world, pool }
    }

    /// A fresh view of everything for the length of a pass, so that each chunk is shared
    /// when the pass begins. Nothing in a world without snapshots.
    pub(crate) fn capture(&mut self) -> Option<View> {
        // A frame ends: chunks that the last pass's snapshot retained go back to the arena.
        self.world.advance_tick();
        let pool = self.pool.as_ref()?;
        Some(self.world.capture(ComponentMask::ALL, pool))
    }
}
