//! Appends: rows past those that snapshots see are written in place, also in chunks that they share.

use super::*;

impl Column {
    /// Makes `row`, the first free one, writable for an append. Returns the rows around it that are
    /// writable then as well, as they come to be the first free one: those before it after removals,
    /// those after it as others are appended.
    pub(crate) fn prepare_append(
        &mut self,
        row: usize,
        memory: &mut Memory,
    ) -> Result<Range<usize>, MemoryError> {
        if self.size() == 0 {
            return Ok(0..usize::MAX);
        }
        self.reserve(row + 1, row, memory)?;
        let (chunk, epoch) = (row >> self.rows_log2(), memory.epoch());
        if self.chunks[chunk].born != epoch {
            self.open(chunk, row, memory)?;
        }
        let first = chunk << self.rows_log2();
        let is_owned = self.chunks[chunk].born == epoch;
        let start = if is_owned { first } else { first.max(self.captured.end()) };
        Ok(start..self.capacity().min(first + self.chunk_rows()))
    }

    /// Makes the rows of `append`, starting at the first free row, writable, as
    /// [`Column::prepare_append`] does for one.
    pub(crate) fn prepare_append_run(
        &mut self,
        append: Range<usize>,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if self.size() == 0 || append.is_empty() {
            return Ok(());
        }
        self.reserve(append.end, append.start, memory)?;
        let epoch = memory.epoch();
        for chunk in append.start >> self.rows_log2()..=(append.end - 1) >> self.rows_log2() {
            if self.chunks[chunk].born != epoch {
                self.open(chunk, append.start.max(chunk << self.rows_log2()), memory)?;
            }
        }
        Ok(())
    }

    /// Makes a chunk of an earlier epoch writable from `row` on, the first free one in it.
    fn open(&mut self, chunk: usize, row: usize, memory: &mut Memory) -> Result<(), MemoryError> {
        if self.may_append(chunk, row) {
            self.chunks.mark_written(chunk, memory.epoch());
            Ok(())
        } else {
            self.own(chunk, row - (chunk << self.rows_log2()), memory)
        }
    }

    /// Whether rows from `row` on may be added to `chunk` in place: no snapshot sees them, and it is
    /// no chunk of another world, which may add rows there itself.
    #[inline]
    fn may_append(&self, chunk: usize, row: usize) -> bool {
        !self.captured.covers(row) && !self.chunks[chunk].born.is_foreign()
    }

    /// Whether rows of a chunk from `row` on can be written now, because an append was prepared there
    /// in this epoch.
    pub(super) fn is_open(&self, chunk: usize, row: usize, now: Now<'_>) -> bool {
        self.chunks[chunk].written() == now.epoch() && self.may_append(chunk, row)
    }

    /// Whether each of `rows` can be written now: [`Column::is_writable`] for many.
    pub(crate) fn is_run_writable(&self, rows: Range<usize>, now: Now<'_>) -> bool {
        if self.size() == 0 || rows.is_empty() {
            return true;
        }
        let log2 = self.rows_log2();
        rows.end <= self.capacity()
            && (rows.start >> log2..=(rows.end - 1) >> log2).all(|chunk| {
                self.chunks[chunk].born == now.epoch()
                    || self.is_open(chunk, rows.start.max(chunk << log2), now)
            })
    }
}
