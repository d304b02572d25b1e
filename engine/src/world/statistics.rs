//! The uses of a world's memory, as plain values.

use crate::storage::column::Column;
use crate::storage::{CopyStatistics, SnapshotId, SnapshotUse};

use super::core::World;
use super::state::Holder;

/// Where a world's mapped bytes are. `live + retained + free == mapped`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WorldMemory {
    /// Bytes mapped from the system.
    pub mapped_bytes: usize,
    /// Bytes of chunks in the world's tables, index, event logs and resources.
    pub live_bytes: usize,
    /// Chunks in the world's tables, index, event logs and resources.
    pub live_chunks: usize,
    /// Bytes of live chunks that an active snapshot sees as well: those that writing to all of them
    /// would copy, but for chunks of the snapshot that a branch came from, which are not its own. A
    /// chunk counts when the snapshot holds its column and the world has not come to own the chunk
    /// since; those without rows, up to a quarter of a growing column, are not told apart.
    pub shared_bytes: usize,
    /// Live chunks that an active snapshot sees as well.
    pub shared_chunks: usize,
    /// Bytes of chunks that the world has replaced and only snapshots keep.
    pub retained_bytes: usize,
    /// The largest value that `retained_bytes` has had since the world was made.
    pub retained_bytes_peak: usize,
    /// Bytes that the arena can give out without mapping more.
    pub free_bytes: usize,
    /// Chunks that the world has replaced and only snapshots keep: the lengths of all dead lists.
    pub retained_chunks: usize,
    /// Captures whose readers have not all left, or whose end was not noticed yet.
    pub active_captures: usize,
    /// In a branch: chunks that belong to the worlds that it comes from, and that
    /// [`World::detach`] would copy. They are neither live nor mapped here.
    pub foreign_chunks: usize,
}

/// What the memory of a world is used for. The bytes of columns, the index, events and resources are
/// [live](WorldMemory::live_bytes), those of snapshots [retained](WorldMemory::retained_bytes).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Bytes of chunks in the columns of tables.
    pub columns_bytes: usize,
    /// Bytes of chunks in the index of entities.
    pub index_bytes: usize,
    /// Bytes of chunks in the logs of events.
    pub events_bytes: usize,
    /// Bytes of chunks of resources.
    pub resources_bytes: usize,
    /// Bytes of chunks of the elements of lists.
    pub lists_bytes: usize,
    /// Bytes of chunks that only snapshots keep.
    pub snapshots_bytes: usize,
    /// Bytes of lists on the heap that operations use again and again.
    pub scratch_bytes: usize,
}

/// # Memory in numbers
impl World {
    /// What the world's memory is used for. The cost grows with the number of columns and of chunks.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_batch((0..10_000).map(|number| (f64::from(number),))).unwrap();
    /// let used = world.memory_use();
    /// assert!(used.columns_bytes >= 10_000 * (8 + 8), "of numbers and of handles");
    /// assert_eq!(used.columns_bytes + used.index_bytes, world.memory().live_bytes);
    /// ```
    pub fn memory_use(&self) -> MemoryUse {
        let mut used = MemoryUse {
            snapshots_bytes: self.memory.history.ledger.retained.bytes,
            scratch_bytes: self.scratch.list_bytes() + self.delta.list_bytes(),
            ..MemoryUse::default()
        };
        for holder in self.state.holders() {
            let bytes = holder.columns().0.iter().map(Column::own_bytes).sum::<usize>();
            *match holder {
                Holder::Table(_) => &mut used.columns_bytes,
                Holder::Index(_) => &mut used.index_bytes,
                Holder::Log(_) => &mut used.events_bytes,
                Holder::Resource(_) => &mut used.resources_bytes,
                Holder::Blocks(_) => &mut used.lists_bytes,
            } += bytes;
        }
        used
    }

    /// Where the world's memory is. Constant cost: every count is kept as chunks change hands.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn((1_u64,));
    /// let memory = world.memory();
    /// assert_eq!(
    ///     memory.live_bytes + memory.retained_bytes + memory.free_bytes,
    ///     memory.mapped_bytes
    /// );
    /// ```
    pub fn memory(&self) -> WorldMemory {
        let arena = self.memory.arena_statistics();
        let ledger = &self.memory.history.ledger;
        WorldMemory {
            mapped_bytes: arena.mapped_bytes,
            live_bytes: ledger.live.bytes,
            live_chunks: ledger.live.chunks,
            shared_bytes: ledger.shared.bytes,
            shared_chunks: ledger.shared.chunks,
            retained_bytes: ledger.retained.bytes,
            retained_bytes_peak: ledger.retained_bytes_peak,
            free_bytes: arena.free_bytes,
            retained_chunks: ledger.retained.chunks,
            active_captures: self.memory.history.active_count(),
            foreign_chunks: self.memory.history.bases.live(),
        }
    }

    /// The snapshots of this world that still have readers, oldest first, so that slow
    /// readers stand first. Constant cost for each.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let slow = world.capture(ComponentMask::ALL, &pool);
    /// world.advance_tick();
    /// let fast = world.capture(ComponentMask::ALL, &pool);
    /// let lags: Vec<_> = world.snapshots().map(|usage| (usage.id, usage.lag)).collect();
    /// assert_eq!(lags, [(slow.id(), 1), (fast.id(), 0)]);
    /// ```
    pub fn snapshots(&self) -> impl DoubleEndedIterator<Item = SnapshotUse> {
        self.memory.history.uses(self.id, self.tick)
    }

    /// The snapshot `id`; `None` when its last reader has left, or it is of another world.
    pub fn snapshot(&self, id: SnapshotId) -> Option<SnapshotUse> {
        if id.world == self.id { self.memory.history.use_of(id, self.tick) } else { None }
    }

    /// Bytes that snapshot `id` alone keeps alive: those that would be free if it ended now. Zero
    /// when it has ended or is of another world. The cost grows with the chunks that it retains,
    /// times the older snapshots.
    pub fn exclusive_bytes(&self, id: SnapshotId) -> usize {
        if id.world == self.id { self.memory.history.exclusive_bytes(id) } else { 0 }
    }

    /// Counts of copy-on-write since the world was created.
    pub fn copy_statistics(&self) -> CopyStatistics {
        self.memory.history.statistics
    }

    /// Measures the time spent on copy-on-write from now on. Loops then copy a shared chunk
    /// before they run over it instead of in the same pass, so that the copy can be told from the
    /// loop: the time is an upper bound of the cost of copying.
    pub fn set_copy_timing(&mut self, on: bool) {
        self.memory.history.timing = on;
    }

    /// Maps `bytes` ahead, so that the arena can give them out later without mapping more. Where
    /// entities come and go at random, memory in use comes to a new high at ever rarer intervals,
    /// and the memory mapped ahead has room for these, too.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.reserve_bytes(8 << 20).unwrap();
    /// let before = world.memory().mapped_bytes;
    /// world.spawn_batch((0..200_000_u64).map(|row| (row,))).unwrap();
    /// assert_eq!(world.memory().mapped_bytes, before);
    /// ```
    ///
    /// # Errors
    ///
    /// When the limit is reached or the system declines.
    pub fn reserve_bytes(&mut self, bytes: usize) -> Result<(), convoy_pool::MemoryError> {
        self.memory.reserve(bytes)
    }
}
