//! Making chunks writable *deferred*: the chunk that a query is about to write is replaced first,
//! and its rows are copied later: in the same pass that writes them, by the thread that does.
//!
//! That takes two steps, each for all columns of a run, or of a whole parallel pass, before the next
//! one begins: all spare chunks are allocated, which may fail and changes nothing; then they are put
//! in place.

#![allow(unsafe_code, reason = "replaces chunks whose rows the caller copies")]

use std::ptr;

use super::*;

impl Column {
    /// Allocates a spare chunk if `chunk` can't be written without a copy. Changes no chunk.
    pub(crate) fn allocate_deferred(
        &mut self,
        chunk: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.is_owned(chunk, memory.epoch())
            || !self.is_seen(chunk, memory)
            || memory.reclaim() > 0 && !self.is_seen(chunk, memory)
        {
            return Ok(());
        }
        let shared = self.chunks[chunk].chunk;
        if memory.spares.has(shared) {
            // For another run of the chunk.
            return Ok(());
        }
        match self.allocate_spare(chunk, memory) {
            Ok(spare) => memory.spares.add(shared, spare),
            // Looking for a spare chunk may have ended the last snapshot that saw this one.
            Err(error) if self.is_seen(chunk, memory) => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Makes `chunk` writable after [`Column::allocate_deferred`]. Where that takes a copy, returns
    /// the retired chunk.
    ///
    /// # Safety
    ///
    /// The table of the column has `live` rows. The caller copies those of them that are in a chunk
    /// which is returned, or writes them anew, before the next reclaim and before anything else reads
    /// them.
    pub(crate) unsafe fn own_deferred(
        &mut self,
        chunk: usize,
        live: usize,
        memory: &mut Returns,
    ) -> Option<ChunkPtr> {
        // Finding memory for spare chunks may have ended the last snapshot that saw this one.
        if self.is_owned(chunk, memory.epoch()) || self.take_back(chunk, memory) {
            return None;
        }
        let spare = memory.spares.take(self.chunks[chunk].chunk);
        let spare = spare.expect("a spare chunk was allocated for every chunk that is seen");
        assert_eq!(spare.class(), self.chunks[chunk].class(), "both chunks hold the same rows");
        let rows = (live - (chunk << self.rows_log2())).min(self.chunk_rows());
        memory.history.note_copy(rows * self.size());
        let old = self.chunks.replace(chunk, spare);
        let rows = old.chunk();
        memory.release(old);
        Some(rows)
    }

    /// Copies the rows below `live` of the chunk of `run`, but those of `run`.
    ///
    /// # Safety
    ///
    /// `old` was returned by [`Column::own_deferred`] for the chunk, and nothing was reclaimed since.
    pub(crate) unsafe fn copy_around(&mut self, old: ChunkPtr, run: Range<usize>, live: usize) {
        let chunk = run.start >> self.rows_log2();
        let first = chunk << self.rows_log2();
        let end = live.min(first + self.chunk_rows());
        assert!(run.start <= run.end && run.end <= end, "the run lies in one chunk");
        let new = self.chunks[chunk].chunk;
        for rows in [first..run.start, run.end..end] {
            let offset = (rows.start - first) * self.size();
            // SAFETY: the rows are in the chunk, so the offset is, too.
            let from = unsafe { old.as_ptr().add(offset) };
            // SAFETY: both chunks are of one class.
            let to = unsafe { new.as_ptr().add(offset) };
            // SAFETY: the retired chunk stays unchanged and mapped until a reclaim, and the new one
            // is this column's.
            unsafe { ptr::copy_nonoverlapping(from, to, rows.len() * self.size()) };
        }
    }

    /// Whether an active snapshot sees `chunk`.
    fn is_seen(&self, chunk: usize, memory: &Returns) -> bool {
        self.chunks[chunk].born <= memory.history.newest(self.component())
    }
}
