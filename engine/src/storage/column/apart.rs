//! Making chunks writable *apart* from copying them: the world's thread replaces all shared chunks
//! that a pass will write, and the threads of the pass copy their rows afterwards.

use convoy_pool::{ChunkPtr, MemoryError};

use crate::storage::history::{Memory, Returns};
use crate::storage::spares::Spares;

use super::Column;

impl Column {
    /// Allocates a spare chunk if `chunk` can't be written without a copy. Changes no chunk.
    #[inline]
    pub(crate) fn allocate_apart(
        &mut self,
        chunk: usize,
        memory: &mut Memory,
        spares: &mut Spares,
    ) -> Result<(), MemoryError> {
        if self.is_owned(chunk, memory.epoch()) || !self.is_seen(chunk, memory) {
            return Ok(());
        }
        let spare = self.allocate_spare(chunk, memory)?;
        spares.add(self.chunks[chunk].chunk, spare);
        Ok(())
    }

    /// Makes `chunk` writable after [`Column::allocate_apart`]. Where that takes a copy, returns
    /// the retired chunk, of which the caller copies all rows below `live` before the next
    /// reclaim.
    #[inline]
    pub(crate) fn own_apart(
        &mut self,
        chunk: usize,
        live: usize,
        memory: &mut Returns,
        spares: &mut Spares,
    ) -> Option<ChunkPtr> {
        // Finding memory for spare chunks may have ended the last capture that saw this one.
        if self.is_owned(chunk, memory.epoch()) || self.take_back(chunk, memory) {
            return None;
        }
        let spare = spares.take(self.chunks[chunk].chunk);
        let spare = spare.expect("a spare chunk was allocated for every chunk that is seen");
        let rows = (live - (chunk << self.rows_log2())).min(self.chunk_rows());
        memory.history.statistics.chunks_copied += 1;
        memory.history.statistics.bytes_copied += (rows * self.size()) as u64;
        Some(self.replace(chunk, spare, memory))
    }

    /// Whether an active capture sees `chunk`.
    fn is_seen(&self, chunk: usize, memory: &Returns) -> bool {
        self.chunks[chunk].born <= memory.history.newest(self.component())
    }
}
