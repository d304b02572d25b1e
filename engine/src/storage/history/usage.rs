//! The cost of each active snapshot for its world: its age, its readers, and the chunks it retains.

use std::fmt;

use crate::storage::epoch::Epoch;
use crate::storage::world_id::WorldId;

use super::{ActiveSnapshot, History};

/// Tells a snapshot from all others. Of two snapshots of one world the later one is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SnapshotId {
    pub(crate) world: WorldId,
    pub(crate) epoch: Epoch,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "snapshot {}", self.epoch.number())
    }
}

/// The cost of a snapshot that still has readers, for its world now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SnapshotUse {
    /// The snapshot.
    pub id: SnapshotId,
    /// The world's tick at the capture.
    pub tick: u64,
    /// How many ticks the world has advanced since.
    pub lag: u64,
    /// Views of it, and branches that share its chunks, with their snapshots.
    pub readers: usize,
    /// Chunks on its dead list: those that the world has replaced and that no newer snapshot
    /// keeps. The dead lists of all snapshots add up to
    /// [`WorldMemory::retained_chunks`](crate::memory::WorldMemory::retained_chunks).
    pub retained_chunks: usize,
    /// Bytes of the chunks on its dead list.
    pub retained_bytes: usize,
}

impl ActiveSnapshot {
    fn usage(&self, world: WorldId, tick: u64) -> SnapshotUse {
        SnapshotUse {
            id: SnapshotId { world, epoch: self.epoch },
            tick: self.tick,
            lag: tick.saturating_sub(self.tick),
            readers: self.watch.readers() as usize + self.lists.holds.count(),
            retained_chunks: self.lists.dead.len(),
            retained_bytes: self.lists.dead_bytes,
        }
    }
}

impl History {
    /// The snapshots of `world`, which this is the history of, that still have readers on tick
    /// `tick`, oldest first.
    pub(crate) fn uses(
        &self,
        world: WorldId,
        tick: u64,
    ) -> impl DoubleEndedIterator<Item = SnapshotUse> {
        let uses = self.active.iter().map(move |snapshot| snapshot.usage(world, tick));
        uses.filter(|usage| usage.readers > 0)
    }

    /// The snapshot `id` of this history's world, if it still has readers.
    pub(crate) fn use_of(&self, id: SnapshotId, tick: u64) -> Option<SnapshotUse> {
        let position = self.position(id)?;
        Some(self.active[position].usage(id.world, tick)).filter(|usage| usage.readers > 0)
    }

    /// Bytes that would be free if snapshot `id` of this history's world ended now: the part of its
    /// dead list that no older snapshot sees.
    pub(crate) fn exclusive_bytes(&self, id: SnapshotId) -> usize {
        let Some(position) = self.position(id) else { return 0 };
        let (older, snapshot) = (&self.active[..position], &self.active[position]);
        let mut bytes = snapshot.lists.dead_bytes;
        if !older.is_empty() {
            for dead in snapshot.lists.dead.iter().filter_map(|dead| dead.chunk.as_ref()) {
                if older.iter().any(|older| older.sees(dead.born(), dead.component())) {
                    bytes -= dead.class().bytes();
                }
            }
        }
        bytes
    }

    fn position(&self, id: SnapshotId) -> Option<usize> {
        self.active.binary_search_by_key(&id.epoch, |snapshot| snapshot.epoch).ok()
    }
}
