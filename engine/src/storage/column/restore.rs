//! Restore: a column takes the chunks of a capture back.
//!
//! A chunk that the world still has stays as it is. One that it has replaced comes off the dead
//! list that it is on, with the epoch in which it was born, so that it stays shared with the
//! capture and the next write copies it; it counts as written now. No row is copied.

use super::*;

impl Column {
    /// How many chunks hold `rows` rows.
    pub(crate) fn chunks_for(&self, rows: usize) -> usize {
        if self.size == 0 { 0 } else { rows.div_ceil(self.chunk_rows()) }
    }

    /// Makes the captured chunks in `entries`, which hold `rows` rows, the column's own again.
    /// `held` is how many of these rows the column has now. Returns how many chunks were taken
    /// back.
    ///
    /// The capture is active and of this world, and a revival of it has begun.
    pub(crate) fn restore(
        &mut self,
        entries: &[ChunkEntry],
        (held, rows): (usize, usize),
        memory: &mut Memory,
    ) -> u64 {
        if self.size == 0 {
            return 0;
        }
        let mut taken = 0;
        // Spare chunks that were there at the capture stay.
        let since = memory.history.revival;
        self.release_foreign_spares(rows, memory);
        let added = self.chunks[entries.len().min(self.chunks.len())..].iter().rev();
        let added = added.take_while(|entry| entry.born > since).count();
        self.truncate(self.chunks.len() - added, memory);
        for (number, entry) in entries.iter().enumerate() {
            if self.chunks.get(number).is_none_or(|live| live.chunk != entry.chunk) {
                self.revive(number, entry, rows, memory);
                taken += 1;
            }
        }
        if self.chunks.first().is_some_and(|first| first.born.is_foreign()) {
            // It holds as many rows as any capture of it has, and stays when another one had more.
            self.first_rows = self.first_rows.max(rows.min(self.chunk_rows()) as u32);
            self.update_capacity();
        }
        if self.chunks.len() > 1 && (self.first_rows as usize) < self.chunk_rows() {
            // Nothing comes after a chunk that is not full-sized.
            self.truncate(1, memory);
        }
        if held < rows {
            // Rows that had left come back in chunks that may have stayed.
            let returned = held >> self.rows_log2..self.chunks_for(rows);
            for entry in &mut self.chunks[returned] {
                entry.written = memory.epoch();
            }
        }
        taken
    }

    /// As [`Column::restore`], for a log, whose chunks have the numbers of their records: the
    /// first row is record `first` now, and was record `captured_first`. Chunks may have been
    /// dropped from the front since, or, where the log is older than the capture, still be there.
    pub(crate) fn restore_log(
        &mut self,
        entries: &[ChunkEntry],
        (first, captured_first): (u64, u64),
        (held, rows): (usize, usize),
        memory: &mut Memory,
    ) -> u64 {
        let mut taken = 0;
        let chunk_rows = self.chunk_rows() as u64;
        let surplus = captured_first.saturating_sub(first);
        let missing = first.saturating_sub(captured_first);
        let aligned = surplus % chunk_rows == 0 && missing % chunk_rows == 0;
        let (surplus, missing) = (surplus / chunk_rows, missing / chunk_rows);
        if aligned && surplus < self.chunks.len() as u64 && missing < entries.len() as u64 {
            (0..surplus).for_each(|_| self.drop_first(memory));
            for entry in entries[..missing as usize].iter().rev() {
                // Whatever has a chunk after it is full, so the first one stays a full one.
                let entry = self.revived(entry, memory).0;
                self.chunks.insert(0, entry);
                taken += 1;
            }
            self.update_capacity();
        } else {
            // No chunk holds the same records here and there.
            self.truncate(0, memory);
        }
        // No chunk stays as a spare one: after a clear its rows count from another number, so that
        // nobody could tell which of them a capture sees.
        self.truncate(entries.len().min(self.chunks.len()), memory);
        taken + self.restore(entries, (held, rows), memory)
    }

    /// Puts a captured chunk that the world has let go of in the place of chunk `number`, or after
    /// the last one. All chunks together hold `rows` rows.
    fn revive(&mut self, number: usize, entry: &ChunkEntry, rows: usize, memory: &mut Memory) {
        let (entry, class) = self.revived(entry, memory);
        if number < self.chunks.len() {
            self.replace(number, entry.chunk, memory);
        } else {
            self.push_chunk(entry.chunk, memory.epoch());
        }
        self.chunks[number] = entry;
        if number == 0 {
            let fit = class.map_or(rows, |class| class.bytes() / self.size());
            self.first_rows = fit.min(self.chunk_rows()) as u32;
            self.update_capacity();
        }
    }

    /// The entry of a chunk that is taken back, and the chunk's class, or `None` for one of another
    /// world: of that no more is known than that it holds the captured rows.
    fn revived(&self, entry: &ChunkEntry, memory: &mut Memory) -> (ChunkEntry, Option<SizeClass>) {
        let (born, class) = memory.revive(entry);
        (ChunkEntry { chunk: entry.chunk, born, written: memory.epoch() }, class)
    }

    /// Whether rows may be added to `chunk` in place, past the `captured` ones: to one of another
    /// world that world itself may add.
    pub(super) fn may_append(&self, chunk: usize, row: usize, captured: usize) -> bool {
        row >= captured && !self.chunks[chunk].born.is_foreign()
    }
}
