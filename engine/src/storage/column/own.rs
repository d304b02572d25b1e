//! Copy-on-write: making chunks writable, in place, taken back, or as a copy.
//!
//! Everything that writes a row comes through here first, and does so before it changes anything:
//! finding memory for a copy may fail.

#![allow(unsafe_code, reason = "copies shared chunks")]

use super::*;

impl Column {
    /// Whether the world may write every row of `chunk` in place in this epoch.
    #[inline]
    pub(crate) fn is_owned(&self, chunk: usize, epoch: Epoch) -> bool {
        // A column without bytes has no chunks, and nothing to own.
        self.chunks.get(chunk).is_none_or(|entry| entry.born == epoch)
    }

    /// Makes `chunk` writable: in place, taken back, or as a copy of its first `live` rows. For
    /// those who come to one chunk after the other: copies are neighbours.
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

    /// Makes a `chunk` of an earlier epoch writable; a copy goes to what `allocate` gives.
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
            // Looking for a spare chunk ended the last capture that saw this one.
            spare.into_iter().for_each(|spare| memory.release(spare));
            return Ok(());
        }
        let spare = spare?;
        let live = live.min(self.chunks.rows_in(spare.class()));
        let to = spare.chunk();
        let old = self.chunks.replace(chunk, spare);
        let copy = || {
            // SAFETY: both chunks are of one class and hold the rows, and nobody else reaches the
            // new one.
            unsafe { self.copy_live(&old, to, live) }
        };
        if old.born() == Epoch::BLANK {
            // No snapshot made it necessary: it is how unused rows get memory.
            copy();
        } else {
            memory.history.count_copy(live * self.size(), copy);
        }
        memory.let_go(old, chunk, to);
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
        assert!(self.chunks[chunk].born.base().is_some(), "a chunk of another world");
        let own = self.allocate_spare(chunk, memory)?;
        Ok(self.put_copy(chunk, live, own, born, memory))
    }

    /// Puts a copy of the first `live` rows of `chunk` in its place: `copy`, which counts as written
    /// when the chunk did. `born` is as in [`Column::detach`]. Returns how many bytes were copied.
    pub(super) fn put_copy(
        &mut self,
        chunk: usize,
        live: usize,
        copy: LooseChunk,
        born: Epoch,
        memory: &mut Memory,
    ) -> usize {
        assert!(born < memory.epoch(), "an epoch that was closed");
        let copy = copy.aged(born, self.chunks[chunk].written());
        let (to, live) = (copy.chunk(), live.min(self.chunks.rows_in(copy.class())));
        let old = self.chunks.replace(chunk, copy);
        // SAFETY: both chunks are of one class and hold the rows. The base of a foreign one is held
        // while it is live, and nobody else reaches the new one.
        unsafe { self.copy_live(&old, to, live) };
        memory.release(old);
        live * self.size()
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
        if self.size() == 0 || rows.is_empty() {
            return Ok(());
        }
        for chunk in rows.start >> self.rows_log2()..=(rows.end - 1) >> self.rows_log2() {
            self.own(chunk, live.saturating_sub(chunk << self.rows_log2()), memory)?;
        }
        Ok(())
    }

    /// Takes `chunk` back without a copy when no active capture sees it.
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

    /// Takes `chunk` back when every capture that sees it has ended, and it was only not noticed
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

    /// Makes `row`, the first free one, writable for an append. `captured` is the largest number
    /// of rows that an active capture took of this table: beyond it even a shared chunk is
    /// written in place. Returns the row before which further appends need no preparation.
    pub(crate) fn prepare_append(
        &mut self,
        row: usize,
        captured: usize,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        if self.size() == 0 {
            return Ok(usize::MAX);
        }
        self.reserve(row + 1, row, memory)?;
        let (chunk, epoch) = (row >> self.rows_log2(), memory.epoch());
        if self.chunks[chunk].born != epoch {
            if self.may_append(chunk, row, captured) {
                self.chunks.mark_written(chunk, epoch);
            } else {
                self.own(chunk, row - (chunk << self.rows_log2()), memory)?;
            }
        }
        Ok(self.capacity().min((chunk + 1) << self.rows_log2()))
    }

    /// Whether `row`, the first free one, can be written in `epoch`, the current one, as it is:
    /// because [`Column::prepare_append`] has come to its chunk in this epoch.
    #[inline]
    pub(crate) fn is_open(&self, row: usize, captured: usize, epoch: Epoch) -> bool {
        let Some(entry) = self.chunks.get(row >> self.rows_log2()) else { return false };
        row < self.capacity()
            && (entry.born == epoch
                || (row >= captured && entry.written() == epoch && !entry.born.is_foreign()))
    }

    /// Makes the rows of `append`, of which the first is the first free one, writable, as
    /// [`Column::prepare_append`] does for one.
    pub(crate) fn prepare_append_run(
        &mut self,
        append: Range<usize>,
        captured: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.size() == 0 || append.is_empty() {
            return Ok(());
        }
        self.reserve(append.end, append.start, memory)?;
        let epoch = memory.epoch();
        for chunk in append.start >> self.rows_log2()..=(append.end - 1) >> self.rows_log2() {
            if self.chunks[chunk].born == epoch {
                continue;
            }
            let first = chunk << self.rows_log2();
            if self.may_append(chunk, append.start.max(first), captured) {
                self.chunks.mark_written(chunk, epoch);
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
        if self.is_owned(row >> self.rows_log2(), memory.epoch()) {
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
        let chunk = row >> self.rows_log2();
        let live = rows - (chunk << self.rows_log2());
        self.own_older(chunk, live, memory, Self::allocate_single)
    }

    /// Makes the chunk of `row` writable in every one of the columns of a table of `rows` rows.
    #[inline]
    pub(crate) fn own_row_of_all(
        columns: &mut [Self],
        row: usize,
        rows: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        columns.iter_mut().try_for_each(|column| column.own_row(row, rows, memory))
    }

    /// The bytes of a run of rows that lie in one chunk, which is made writable; of the column's rows
    /// `live` are in use. The caller leaves values in them.
    pub(crate) fn own_bytes(
        &mut self,
        run: Range<usize>,
        live: usize,
        memory: &mut Memory,
    ) -> Result<&mut [u8], MemoryError> {
        assert!(run.start < run.end && run.end <= live, "the run has rows of the table");
        assert_eq!(
            run.start >> self.rows_log2(),
            (run.end - 1) >> self.rows_log2(),
            "in one chunk"
        );
        self.own_rows(run.clone(), live, memory)?;
        let start = self.row_ptr(run.start).as_ptr();
        // SAFETY: the rows are in one chunk, which was just made writable, and initialised; the borrow
        // of the column bars readers.
        Ok(unsafe { slice::from_raw_parts_mut(start, run.len() * self.size()) })
    }
}
