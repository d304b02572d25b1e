//! Gathering: chunks that scattered writes have put apart are copied to lie beside each other again.
//!
//! How fast a pass is depends on that, and passes that write everything restore it by themselves. A
//! copy is not a write: rows, marks and the chunks of snapshots stay as they are.

use super::*;

/// Bytes of the neighbours that are gathered at a time: a pass is within a few percent of its best
/// over runs of half a MiB.
const GATHERED_BYTES: usize = RUN_BYTES / 2;

/// Columns of fewer chunks are left as they are.
const GATHERED_MIN: usize = 4;

impl Column {
    /// How many chunks are gathered at a time.
    fn gathered(&self) -> usize {
        (GATHERED_BYTES / self.chunks.full().bytes()).clamp(1, u64::BITS as usize)
    }

    /// The first window of chunks from `first` on that lie apart; `None` where all that follow
    /// lie well.
    pub(crate) fn next_scattered(&self, first: usize) -> Option<Range<usize>> {
        if self.chunks.len() < GATHERED_MIN {
            return None;
        }
        let (step, len) = (self.gathered(), self.chunks.len());
        let windows = (first..len).step_by(step).map(|from| from..len.min(from + step));
        let is_scattered = |window: &Range<usize>| {
            let entries = &self.chunks[window.clone()];
            let is_own = |entry: &ChunkEntry| !entry.born.is_foreign();
            window.len() >= GATHERED_MIN
                && breaks(entries).count() > 1 + window.len() / 16
                && entries.iter().all(is_own)
        };
        // It begins where the chunks that lie well end: those may have been gathered just before.
        windows.filter(is_scattered).find_map(|window| {
            let well = breaks(&self.chunks[window.clone()]).next().filter(|&well| well > 1);
            let from = window.start + well.unwrap_or(0);
            let window = from..len.min(from + step);
            is_scattered(&window).then_some(window)
        })
    }

    /// Copies the chunks of a window to neighbours, if there is room for some; otherwise nothing happens.
    /// They count as written when they did, but for one of a replica that is not full, and as born in `born`, an epoch
    /// that was closed without a capture. Returns how many were copied.
    pub(crate) fn gather(
        &mut self,
        window: Range<usize>,
        rows: usize,
        (born, is_replica): (Epoch, bool),
        memory: &mut Memory,
    ) -> usize {
        let (class, component) = (self.chunks.full(), self.component());
        let mut run = ChunkRun::default();
        let mut gathered = 0;
        // The gain has to be worth the copies.
        if memory.start_run(class, &mut run, window.len(), window.len().div_ceil(2)) {
            for chunk in window.take(run.left()) {
                let Ok(copy) = memory.allocate_next(class, component, &mut run, 1) else { break };
                let live = rows.saturating_sub(chunk << self.rows_log2());
                // Rows that were taken away at the end don't come along, and the next sync of a replica may count on
                // them.
                let is_marked = is_replica && live < self.chunk_rows();
                let written = if is_marked { born } else { self.written(chunk) };
                self.put_copy(chunk, live, copy.aged(born, written), memory);
                gathered += 1;
            }
        }
        memory.end_run(&mut run);
        gathered
    }
}

/// The places of the chunks that are not beside the one before.
fn breaks(entries: &[ChunkEntry]) -> impl Iterator<Item = usize> {
    let are_apart = |pair: &[ChunkEntry]| {
        let bytes = pair[0].class().bytes();
        pair[1].chunk.as_ptr() != pair[0].chunk.as_ptr().wrapping_add(bytes)
    };
    (1..).zip(entries.windows(2)).filter(move |(_, pair)| are_apart(pair)).map(|(place, _)| place)
}
