//! Growth: slots for indices that have none yet, blank ones where they are unused.

use super::*;

impl EntityIndex {
    /// Makes slots up to `index` exist and `index` writable. New ones are reserved: their handles
    /// belong to the ones that are given the indices. On an error none was made.
    ///
    /// Whole chunks of them that lie before that of `index` are *blank*: one chunk that is never written
    /// stands for all, and the first write to such a slot copies it. So unused slots, in lanes and before
    /// them, cost an entry in the list for each chunk.
    pub(super) fn ensure(&mut self, index: u32, memory: &mut Memory) -> Result<(), MemoryError> {
        if index < self.len {
            return self.own_slot(index, memory).map(drop);
        }
        self.reserve_slot(index, memory)?;
        *self.slot_mut(index, memory.now()) = Slot::reserved(1);
        self.len = index + 1;
        Ok(())
    }

    /// Makes slots before `index`, which has none, exist, and its own row writable. On an error none
    /// was made.
    pub(super) fn reserve_slot(
        &mut self,
        index: u32,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let (mut row, end) = (self.len as usize, index as usize);
        let mask = self.slots.chunk_rows() - 1;
        let lacks_chunk = self.is_sparse && row >= self.slots.capacity();
        if lacks_chunk || end & !mask > row {
            row = self.ensure_far(row, end & !mask, memory)?;
            // Up to its end, so that the rest of it is blank as well.
            self.add_blank_chunks((end | mask) + 1, memory)?;
        }
        while row < end {
            self.slots.append_row(row, memory)?.write(Slot::reserved(1));
            row += 1;
        }
        self.slots.prepare_append(row, memory)?;
        self.len = index;
        Ok(())
    }

    /// Fills slots from `row` on, with blank chunks where there is no chunk yet, up to `end`, where
    /// one begins. Returns the row to go on with.
    #[cold]
    fn ensure_far(
        &mut self,
        mut row: usize,
        end: usize,
        memory: &mut Memory,
    ) -> Result<usize, MemoryError> {
        while row < end {
            let next = (row | (self.slots.chunk_rows() - 1)) + 1;
            let is_start = next - row == self.slots.chunk_rows();
            if is_start && row > 0 && row >= self.slots.capacity() {
                self.add_blank_chunks(end, memory)?;
                return Ok(end);
            }
            if is_start && row > 0 && self.slots.is_blank(row >> self.slots.rows_log2()) {
                // Its slots have the value already that would be written.
                row = next;
                continue;
            }
            self.slots.prepare_append_run(row..next, memory)?;
            self.slots_mut(row..next, memory.now()).fill(Slot::reserved(1));
            row = next;
        }
        Ok(row)
    }

    /// Adds blank chunks before that of row `end`, where no chunk is yet. The first chunk is never
    /// blank.
    pub(super) fn add_blank_chunks(
        &mut self,
        end: usize,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        let end = end & !(self.slots.chunk_rows() - 1);
        if end <= self.slots.chunk_rows() || end <= self.slots.capacity() {
            return Ok(());
        }
        if self.slots.capacity() < self.slots.chunk_rows() {
            self.slots.reserve(self.slots.chunk_rows(), self.len as usize, memory)?;
        }
        self.is_sparse = true;
        self.slots.push_blank(Slot::reserved(1), end, memory)
    }

    /// Adds blank chunks where another index that has some has more chunks than this one.
    pub(crate) fn prepare_blank_like(
        &mut self,
        source: &Self,
        memory: &mut Memory,
    ) -> Result<(), MemoryError> {
        if !source.is_sparse {
            return Ok(());
        }
        // Those that are not blank there are replaced one by one.
        self.slots.reserve_list_like(&source.slots);
        self.add_blank_chunks(source.len().next_multiple_of(self.slots.chunk_rows()), memory)
    }
}
