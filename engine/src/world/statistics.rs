//! What a world's memory is used for, as plain values.

use crate::storage::{ComponentMask, CopyStatistics};

use super::core::World;

/// Where a world's mapped bytes are. `live + retained + free == mapped`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WorldMemory {
    /// Bytes mapped from the system.
    pub mapped_bytes: usize,
    /// Bytes of chunks in the world's tables, index, event logs and resources.
    pub live_bytes: usize,
    /// Bytes of chunks that the world has replaced and only snapshots keep.
    pub retained_bytes: usize,
    /// The largest value of `retained_bytes` since [`World::reset_retained_peak`].
    pub retained_bytes_peak: usize,
    /// Bytes that the arena can give out without mapping more.
    pub free_bytes: usize,
    /// Chunks that the world has replaced and only snapshots keep.
    pub retained_chunks: usize,
    /// Captures whose readers have not all left, or whose end was not noticed yet.
    pub active_captures: usize,
}

impl World {
    /// Where the world's memory is. The cost grows with the number of active captures only.
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
        let arena = self.memory.arena.statistics();
        let history = &self.memory.history;
        WorldMemory {
            mapped_bytes: arena.mapped_bytes,
            live_bytes: arena.allocated_bytes - history.retained_bytes(),
            retained_bytes: history.retained_bytes(),
            retained_bytes_peak: history.retained_bytes_peak(),
            free_bytes: arena.free_bytes,
            retained_chunks: history.retained_chunks(),
            active_captures: history.active_count(),
        }
    }

    /// Bytes of the rows in the columns of `mask`, and of its resources: what one packed copy of
    /// them would take.
    pub fn row_bytes(&self, mask: &ComponentMask) -> usize {
        let columns = self
            .tables
            .iter()
            .flat_map(|table| table.columns().iter().map(|column| (column, table.rows())));
        let captured = columns.filter(|(column, _)| mask.contains(column.component()));
        let components: usize = captured.map(|(column, rows)| column.size() * rows).sum();
        let resources = self.resources.iter().filter(|each| mask.contains(each.component()));
        components + resources.map(|each| each.column().size() * each.rows()).sum::<usize>()
    }

    /// Starts the peak of retained bytes anew.
    pub fn reset_retained_peak(&mut self) {
        self.memory.history.reset_retained_peak();
    }

    /// Counts of copy-on-write since the world was created.
    pub fn copy_statistics(&self) -> CopyStatistics {
        self.memory.history.statistics
    }

    /// Measures the time spent on copy-on-write from now on. Loops then copy a shared chunk
    /// before they run over it instead of in the same pass, so that the copy can be told from
    /// the loop: the time is an upper bound of what copying costs.
    pub fn set_copy_timing(&mut self, on: bool) {
        self.memory.history.timing = on;
    }

    /// Maps `bytes` ahead, so that the arena can give them out later without mapping more.
    ///
    /// # Errors
    ///
    /// When the limit is reached or the system declines.
    pub fn reserve_bytes(&mut self, bytes: usize) -> Result<(), convoy_pool::MemoryError> {
        self.memory.arena.reserve(bytes)
    }
}
