//! Restore: a column takes the chunks of a snapshot back.
//!
//! A chunk that the world still has stays as it is. One that it has replaced comes off the dead
//! list that it is on, with the epoch in which it was born, so that it stays shared with the
//! snapshot and the next write copies it; it counts as written now. No row is copied.

use super::*;
use crate::storage::history::restore::Revival;

impl Column {
    /// Makes the captured chunks in `entries`, which hold `rows` rows, the column's own again.
    /// `held` is how many of these rows the column has now. Returns how many chunks were taken
    /// back.
    pub(crate) fn restore(
        &mut self,
        entries: &[ChunkEntry],
        (held, rows): (usize, usize),
        revival: &mut Revival<'_>,
    ) -> u64 {
        if self.size() == 0 {
            return 0;
        }
        let mut taken = 0;
        // Spare chunks that were there at the capture stay.
        let since = revival.epoch();
        self.release_foreign_spares(rows, revival);
        let added = self.chunks[entries.len().min(self.chunks.len())..].iter().rev();
        let added = added.take_while(|entry| entry.born > since).count();
        self.truncate(self.chunks.len() - added, revival);
        if entries.first().is_some_and(|first| first.class() != self.chunks.full()) {
            // Nothing comes after a chunk that is not full-sized.
            self.truncate(1, revival);
        }
        for (number, entry) in entries.iter().enumerate() {
            if self.chunks.get(number).is_none_or(|live| live.chunk != entry.chunk) {
                let revived = revival.revive(entry, self.component());
                if number < self.chunks.len() {
                    revival.release(self.chunks.replace(number, revived));
                } else {
                    self.chunks.push(revived);
                }
                taken += 1;
            }
        }
        if held < rows {
            // Rows that had left come back in chunks that may have stayed.
            for number in held >> self.rows_log2()..self.chunks_for(rows) {
                self.chunks.mark_written(number, revival.memory.epoch());
            }
        }
        taken
    }

    /// As [`Column::restore`], for a log, whose chunks have the numbers of their records: the
    /// first row is record `first` now, and was record `captured_first`. Chunks may have been
    /// dropped from the front since, or, where the log is older than the snapshot, still be there.
    pub(crate) fn restore_log(
        &mut self,
        entries: &[ChunkEntry],
        (first, captured_first): (u64, u64),
        (held, rows): (usize, usize),
        revival: &mut Revival<'_>,
    ) -> u64 {
        let mut taken = 0;
        let chunk_rows = self.chunk_rows() as u64;
        let surplus = captured_first.saturating_sub(first);
        let missing = first.saturating_sub(captured_first);
        let aligned = surplus % chunk_rows == 0 && missing % chunk_rows == 0;
        let (surplus, missing) = (surplus / chunk_rows, missing / chunk_rows);
        // After a clear the log begins with a small chunk, which holds none of the records that
        // come after others.
        let fits = missing == 0 || self.chunks.is_full_sized();
        if aligned && fits && surplus < self.chunks.len() as u64 && missing < entries.len() as u64 {
            (0..surplus).for_each(|_| self.drop_first(revival));
            for entry in entries[..missing as usize].iter().rev() {
                self.chunks.push_front(revival.revive(entry, self.component()));
                taken += 1;
            }
            self.captured.add_front(missing as usize * self.chunk_rows());
        } else {
            // No chunk holds the same records here and there.
            self.truncate(0, revival);
        }
        // No chunk stays as a spare one: after a clear its rows count from another number, so that
        // nothing would tell which of them a snapshot sees.
        self.truncate(entries.len().min(self.chunks.len()), revival);
        taken += self.restore(entries, (held, rows), revival);
        if taken > 0 {
            // Rows may have counted from another record when snapshots saw the chunks that are back.
            self.captured.raise(entries.len() * self.chunk_rows());
        }
        taken
    }
}
