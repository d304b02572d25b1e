//! Copy-on-write: making chunks writable, in place, taken back, or as a copy.
//!
//! Everything that writes a row comes through here first, and does so before it changes anything:
//! finding memory for a copy may fail.

#![allow(unsafe_code, reason = "copies shared chunks and returns unused ones")]

use super::*;

impl Column {
    /// Whether the world may write every row of `chunk` in place in this epoch.
    #[inline]
    pub(crate) fn is_owned(&self, chunk: usize, epoch: Epoch) -> bool {
        // A column without bytes has no chunks, and nothing to own.
        self.chunks.get(chunk).is_none_or(|entry| entry.born == epoch)
    }

    /// Makes `chunk` writable: in place, taken back, or as a copy of its first `live` rows.
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
        self.own_older(chunk, live, memory)
    }

    /// Makes a `chunk` of an earlier epoch writable.
    #[cold]
    fn own_older(
        &mut self,
        chunk: usize,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.take_back(chunk, memory) || self.take_back_ended(chunk, memory) {
            return Ok(());
        }
        let spare = memory.allocate(self.class(chunk), self.component);
        if self.take_back(chunk, memory) {
            // Looking for a spare chunk ended the last capture that saw this one.
            if let Ok(spare) = spare {
                self.discard_spare(chunk, spare, memory);
            }
            return Ok(());
        }
        let spare = spare?;
        let old = self.replace(chunk, spare, memory);
        let bytes = live.min(self.rows_in(chunk)) * self.size();
        memory.history.count_copy(bytes, || {
            // SAFETY: both chunks are of the class that holds these rows, and the retired one stays
            // unchanged and mapped until a reclaim.
            unsafe { ptr::copy_nonoverlapping(old.as_ptr(), spare.as_ptr(), bytes) }
        });
        Ok(())
    }

    /// Puts a copy of the first `live` rows of a foreign `chunk` in its place, which counts as written
    /// when the chunk did. `born` is an epoch that was closed without a capture, so that the next write
    /// finds a chunk that nobody sees, and marks it.
    pub(crate) fn detach(
        &mut self,
        chunk: usize,
        live: usize,
        born: Epoch,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        let (old, class) = (self.chunks[chunk], self.class(chunk));
        assert!(old.born.base().is_some() && born < memory.epoch(), "a chunk of another world");
        let own = memory.allocate(class, self.component)?;
        let bytes = live.min(self.rows_in(chunk)) * self.size();
        // SAFETY: both chunks are of the class that holds these rows. The base of the old one is held
        // while it is live, and the new one is not reachable yet.
        unsafe { ptr::copy_nonoverlapping(old.chunk.as_ptr(), own.as_ptr(), bytes) };
        self.chunks[chunk] = ChunkEntry { chunk: own, born, written: old.written };
        // SAFETY: the old chunk was this column's with this class and epoch, and is replaced.
        unsafe { memory.release(old.chunk, class, old.born, self.component) };
        Ok(bytes)
    }

    /// The first chunk of another world from `chunk` on.
    pub(crate) fn next_foreign(&self, chunk: usize) -> Option<usize> {
        let mut entries = self.chunks.iter().skip(chunk);
        entries.position(|entry| entry.born.base().is_some()).map(|found| chunk + found)
    }

    /// Makes every chunk that holds one of `rows` writable, of which those below `live` are in use.
    pub(crate) fn own_rows(
        &mut self,
        rows: Range<usize>,
        live: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.size == 0 || rows.is_empty() {
            return Ok(());
        }
        for chunk in rows.start >> self.rows_log2..=(rows.end - 1) >> self.rows_log2 {
            self.own(chunk, live.saturating_sub(chunk << self.rows_log2), memory)?;
        }
        Ok(())
    }

    /// Takes `chunk` back without a copy when no active capture sees it.
    pub(crate) fn take_back(&mut self, chunk: usize, memory: &mut Memory) -> bool {
        let entry = &mut self.chunks[chunk];
        let free = entry.born > memory.history.newest(self.component);
        if free {
            *entry = ChunkEntry::new(entry.chunk, memory.epoch());
            let statistics = &mut memory.history.statistics;
            statistics.chunks_reowned += 1;
            statistics.bytes_reowned += self.class(chunk).bytes() as u64;
        }
        free
    }

    /// Takes `chunk` back when every capture that sees it has ended, and it was only not noticed
    /// yet: asking is cheaper than a copy.
    pub(crate) fn take_back_ended(&mut self, chunk: usize, memory: &mut Memory) -> bool {
        memory.reclaim() > 0 && self.take_back(chunk, memory)
    }

    /// A chunk to replace the shared `chunk` with.
    pub(crate) fn allocate_spare(
        &self,
        chunk: usize,
        memory: &mut Memory,
    ) -> Result<ChunkPtr, MemoryError> {
        memory.allocate(self.class(chunk), self.component)
    }

    /// Gives back a chunk that [`Column::allocate_spare`] made and that was not used.
    pub(crate) fn discard_spare(&self, chunk: usize, spare: ChunkPtr, memory: &mut Memory) {
        // SAFETY: the spare chunk has this class and was never part of the column.
        unsafe { memory.discard(spare, self.class(chunk), self.component) };
    }

    /// Puts `spare` in the place of the shared `chunk`, retires that and returns it. Its rows
    /// stay readable until the next reclaim; the caller fills the new chunk.
    pub(crate) fn replace(
        &mut self,
        chunk: usize,
        spare: ChunkPtr,
        memory: &mut Memory,
    ) -> ChunkPtr {
        let (old, class) = (self.chunks[chunk], self.class(chunk));
        self.chunks[chunk] = ChunkEntry::new(spare, memory.epoch());
        // SAFETY: the old chunk was this column's with this class and epoch, and is replaced.
        unsafe { memory.release(old.chunk, class, old.born, self.component) };
        old.chunk
    }

    /// Puts `spare` in the place of the shared chunk of `run` and copies the chunk's rows below
    /// `live` but those of `run`, which the caller writes.
    pub(crate) fn replace_around(
        &mut self,
        spare: ChunkPtr,
        run: Range<usize>,
        live: usize,
        memory: &mut Memory,
    ) {
        let chunk = run.start >> self.rows_log2;
        let first = chunk << self.rows_log2;
        let end = live.min(first + self.chunk_rows());
        assert!(run.start <= run.end && run.end <= end, "the run lies in one chunk");
        let old = self.replace(chunk, spare, memory);
        for rows in [first..run.start, run.end..end] {
            let offset = (rows.start - first) * self.size();
            // SAFETY: the rows are in the chunk, so the offset is, too.
            let from = unsafe { old.as_ptr().add(offset) };
            // SAFETY: both chunks are of one class.
            let to = unsafe { spare.as_ptr().add(offset) };
            // SAFETY: the retired chunk stays unchanged and mapped until a reclaim; the spare one
            // is not reachable by anybody else.
            unsafe { ptr::copy_nonoverlapping(from, to, rows.len() * self.size()) };
        }
        memory.history.statistics.chunks_copied += 1;
        memory.history.statistics.bytes_copied += ((end - first) * self.size()) as u64;
    }

    /// Makes `row`, the first free one, writable for an append. `captured` is the largest number
    /// of rows that an active capture took of this table: beyond it even a shared chunk is
    /// written in place. Returns the row before which further appends need no preparation.
    pub(crate) fn prepare_append(
        &mut self,
        row: usize,
        captured: usize,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        if self.size == 0 {
            return Ok(usize::MAX);
        }
        self.reserve(row + 1, row, memory)?;
        let (chunk, epoch) = (row >> self.rows_log2, memory.epoch());
        if self.chunks[chunk].born != epoch {
            if self.may_append(chunk, row, captured) {
                self.chunks[chunk].written = epoch;
            } else {
                self.own(chunk, row - (chunk << self.rows_log2), memory)?;
            }
        }
        Ok(self.capacity().min((chunk + 1) << self.rows_log2))
    }

    /// Makes the rows of `append`, of which the first is the first free one, writable, as
    /// [`Column::prepare_append`] does for one.
    pub(crate) fn prepare_append_run(
        &mut self,
        append: Range<usize>,
        captured: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.size == 0 || append.is_empty() {
            return Ok(());
        }
        self.reserve(append.end, append.start, memory)?;
        let epoch = memory.epoch();
        for chunk in append.start >> self.rows_log2..=(append.end - 1) >> self.rows_log2 {
            if self.chunks[chunk].born == epoch {
                continue;
            }
            let first = chunk << self.rows_log2;
            if self.may_append(chunk, append.start.max(first), captured) {
                self.chunks[chunk].written = epoch;
            } else {
                self.own(chunk, append.start.saturating_sub(first), memory)?;
            }
        }
        Ok(())
    }

    /// Makes the chunk of `row` writable in a table of `rows` rows.
    #[inline]
    pub(crate) fn own_row(
        &mut self,
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.is_owned(row >> self.rows_log2, memory.epoch()) {
            return Ok(());
        }
        self.own_older_row(row, rows, memory)
    }

    /// Makes the chunk of `row`, which is of an earlier epoch, writable.
    #[cold]
    fn own_older_row(
        &mut self,
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let chunk = row >> self.rows_log2;
        self.own_older(chunk, rows - (chunk << self.rows_log2), memory)
    }

    /// Makes the chunk of `row` writable in every one of the columns of a table of `rows` rows.
    #[inline]
    pub(crate) fn own_row_of_all(
        columns: &mut [Self],
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let epoch = memory.epoch();
        for column in columns {
            if !column.is_owned(row >> column.rows_log2, epoch) {
                column.own_older_row(row, rows, memory)?;
            }
        }
        Ok(())
    }
}
