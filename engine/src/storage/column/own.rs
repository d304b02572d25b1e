//! Copy-on-write: making chunks writable, in place, taken back, or as a copy.
//!
//! Everything that writes a row comes through here first, and does so before it changes anything:
//! finding memory for a copy may fail.

use super::*;

impl Column {
    /// Whether the world may write every row of `chunk` in place in this epoch.
    #[inline]
    pub(crate) fn is_owned(&self, chunk: usize, epoch: Epoch) -> bool {
        // A column without bytes has no chunks, and nothing to own.
        self.chunks.get(chunk).is_none_or(|entry| entry.born == epoch)
    }

    /// Makes `chunk` writable: in place, taken back, or as a copy of its first `live` rows. For
    /// passes from one chunk to the next: copies are neighbours.
    #[inline]
    pub(crate) fn own(
        &mut self,
        chunk: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.is_owned(chunk, memory.epoch()) {
            return Ok(());
        }
        self.own_older(chunk, live, memory, Self::allocate_spare)
    }

    /// Makes a `chunk` of an earlier epoch writable; a copy goes to the chunk of `allocate`.
    #[cold]
    fn own_older(
        &mut self,
        chunk: usize,
        live: usize,
        memory: &mut Memory,
        allocate: impl FnOnce(&mut Self, usize, &mut Memory) -> Result<LooseChunk, MemoryError>,
    ) -> Result<(), MemoryError> {
        if self.take_back(chunk, memory) || self.take_back_ended(chunk, memory) {
            return Ok(());
        }
        let spare = allocate(self, chunk, memory);
        if self.take_back(chunk, memory) {
            // Looking for a spare chunk ended the last snapshot that saw this one.
            spare.into_iter().for_each(|spare| memory.release(spare));
            return Ok(());
        }
        let mut spare = spare?;
        let chunks = &self.chunks;
        if chunks[chunk].born == Epoch::BLANK {
            // No snapshot made it necessary: it is how unused rows get memory.
            chunks.copy_to(chunk, &mut spare, live);
        } else {
            memory.history.count_copy(|| chunks.copy_to(chunk, &mut spare, live));
        }
        let to = spare.chunk();
        let old = self.chunks.replace(chunk, spare);
        memory.let_go(old, chunk, to);
        Ok(())
    }

    /// Puts a copy of the first `live` rows of a foreign `chunk` in its place, which counts as written
    /// when the chunk did. `born` is an epoch that was closed without a capture, so that the next write
    /// finds a chunk that no snapshot sees, and marks it.
    pub(crate) fn detach(
        &mut self,
        chunk: usize,
        live: usize,
        born: Epoch,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        assert!(self.chunks[chunk].born.base().is_some(), "a chunk of another world");
        let own = self.allocate_spare(chunk, memory)?;
        Ok(self.put_copy(chunk, live, own.aged(born, self.written(chunk)), memory))
    }

    /// Puts a copy of the first `live` rows of `chunk` in its place: `copy`, whose birth is as in [`Column::detach`].
    /// Returns how many bytes were copied.
    pub(super) fn put_copy(
        &mut self,
        chunk: usize,
        live: usize,
        mut copy: LooseChunk,
        memory: &mut Memory,
    ) -> usize {
        assert!(copy.born() < memory.epoch(), "an epoch that was closed");
        let bytes = self.chunks.copy_to(chunk, &mut copy, live);
        memory.release(self.chunks.replace(chunk, copy));
        bytes
    }

    /// The first chunk of another world from `chunk` on.
    pub(crate) fn next_foreign(&self, chunk: usize) -> Option<usize> {
        let mut entries = self.chunks.iter().skip(chunk);
        entries.position(|entry| entry.born.base().is_some()).map(|found| chunk + found)
    }

    /// Makes every chunk that holds one of `rows` writable; the rows below `live` are in use.
    pub(crate) fn own_rows(
        &mut self,
        rows: Range<usize>,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.size() == 0 || rows.is_empty() {
            return Ok(());
        }
        for chunk in rows.start >> self.rows_log2()..=(rows.end - 1) >> self.rows_log2() {
            self.own(chunk, live.saturating_sub(chunk << self.rows_log2()), memory)?;
        }
        Ok(())
    }

    /// Takes `chunk` back without a copy when no active snapshot sees it.
    pub(crate) fn take_back(&mut self, chunk: usize, memory: &mut Returns) -> bool {
        let entry = self.chunks[chunk];
        let free = entry.born > memory.history.newest(self.component());
        if free {
            self.chunks.own(chunk, memory.epoch());
            let statistics = &mut memory.history.statistics;
            statistics.chunks_reowned += 1;
            statistics.bytes_reowned += entry.class().bytes() as u64;
        }
        free
    }

    /// Takes `chunk` back when every snapshot that sees it has ended, and it was only not noticed
    /// yet: asking is cheaper than a copy.
    pub(crate) fn take_back_ended(&mut self, chunk: usize, memory: &mut Returns) -> bool {
        memory.reclaim() > 0 && self.take_back(chunk, memory)
    }

    /// A chunk to replace the shared `chunk` with, beside the one that was taken before.
    pub(crate) fn allocate_spare(
        &mut self,
        chunk: usize,
        memory: &mut Memory,
    ) -> Result<LooseChunk, MemoryError> {
        let may_come = self.listed_after(chunk);
        if may_come == 0 || self.chunks.len() == 1 {
            return self.allocate_single(chunk, memory);
        }
        // Those after it, as far as they are shared, come next.
        self.allocate_next(1, may_come, memory)
    }

    /// A chunk to replace the shared `chunk` with, warm if possible.
    fn allocate_single(
        &mut self,
        chunk: usize,
        memory: &mut Memory,
    ) -> Result<LooseChunk, MemoryError> {
        memory.allocate(self.chunks[chunk].class(), self.component())
    }

    /// Makes the chunk of `row`, which is of an earlier epoch, writable, one of `rows` rows.
    #[cold]
    pub(super) fn own_chunk_of(
        &mut self,
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let chunk = row >> self.rows_log2();
        if self.is_owned(chunk, memory.epoch()) {
            return Ok(());
        }
        let live = rows.saturating_sub(chunk << self.rows_log2());
        self.own_older(chunk, live, memory, Self::allocate_single)
    }
}
