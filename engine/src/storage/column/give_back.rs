//! Giving back: chunks without rows go, and a lone chunk that is too large.

use super::*;

impl Column {
    /// Gives the chunks past the first `keep` back.
    pub(crate) fn truncate(&mut self, keep: usize, memory: &mut Returns) {
        while self.chunks.len() > keep {
            self.chunks.pop().into_iter().for_each(|chunk| memory.release(chunk));
        }
        if keep == 0 {
            memory.end_run(self.chunks.run_mut());
        }
    }

    /// Gives chunks of another world back that hold none of the first `rows` rows, and those after
    /// them: they would be copied before a row comes, and keep a base for nothing.
    pub(crate) fn release_foreign_spares(&mut self, rows: usize, memory: &mut Returns) {
        if memory.history.bases.live() == 0 {
            return;
        }
        let used = self.chunks_for(rows).min(self.chunks.len());
        let kept = self.chunks[used..].iter().take_while(|entry| !entry.born.is_foreign()).count();
        self.truncate(used + kept, memory);
    }

    /// Gives back the memory that `live` rows don't need: chunks without rows, and a lone chunk
    /// that a much smaller one can replace. A chunk that a snapshot sees is given back when the snapshot
    /// ends; a lone chunk is then left alone, as a second one would cost more. The list of chunks
    /// keeps its room, so that a column that grows again does not come to the heap for it.
    pub(crate) fn compact(&mut self, live: usize, memory: &mut Memory) -> Surplus {
        if self.size() == 0 {
            return Surplus::default();
        }
        let held = self.reserved_bytes();
        let count = self.chunks.len();
        self.truncate(live.div_ceil(self.chunk_rows()), memory);
        if self.chunks.len() == 1 {
            self.refit_first(live, memory);
        }
        Surplus { bytes: held - self.reserved_bytes(), chunks: count - self.chunks.len() }
    }

    /// Gives back room in the list of chunks. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        self.chunks.trim()
    }

    /// Replaces the only chunk by a smaller one, if one of half the bytes holds `live` rows.
    fn refit_first(&mut self, live: usize, memory: &mut Memory) {
        let old = self.chunks[0];
        let Ok(smaller) = self.first_class(live) else { return };
        let is_seen = old.born <= memory.history.newest(self.component());
        if is_seen || 2 * smaller.bytes() > old.class().bytes() {
            return;
        }
        // No memory for a smaller chunk is no reason to fail: everything stays as it is.
        let Ok(mut chunk) = memory.allocate_now(smaller, self.component()) else { return };
        self.chunks.copy_to(0, &mut chunk, live);
        // A chunk of the current epoch counts as written in it, so that a later write need not
        // mark it.
        memory.release(self.chunks.replace(0, chunk));
    }

    /// Gives the first chunk, which must be full, back; the rows after it move up.
    pub(crate) fn drop_first(&mut self, memory: &mut Returns) {
        assert!(self.chunks.len() > 1, "the first chunk is full when there is a second");
        memory.release(self.chunks.pop_front());
        self.captured.drop_front(self.chunk_rows());
    }
}
