//! Spare chunks: allocated for every shared chunk that a query is going to write, before the first
//! of them is replaced.

use convoy_pool::ChunkPtr;

use super::chunk_list::LooseChunk;
use super::room::shrink_list;

/// Chunks that wait to take the place of shared ones, in the order in which they will. Empty between
/// two passes.
#[derive(Default)]
pub(crate) struct Spares {
    list: Vec<Spare>,
    /// The first one that was not looked at yet.
    next: usize,
    /// Those that were not taken.
    waiting: usize,
}

/// How many spare chunks one run may need, at sixteen terms; those of nested tuples may be allocated
/// twice, and are given back.
const RECENT: usize = 16;

struct Spare {
    /// The chunk that this one is for.
    shared: ChunkPtr,
    /// `None` once taken.
    chunk: Option<LooseChunk>,
}

impl Spares {
    /// Adds a chunk for the place of `shared`.
    pub(crate) fn add(&mut self, shared: ChunkPtr, chunk: LooseChunk) {
        self.list.push(Spare { shared, chunk: Some(chunk) });
        self.waiting += 1;
    }

    /// Whether there is one for the place of `shared` among the last ones: chunks of a run are asked for
    /// together, and runs in ascending order.
    pub(crate) fn has(&self, shared: ChunkPtr) -> bool {
        self.list.iter().rev().take(RECENT).any(|spare| spare.shared == shared)
    }

    /// The chunk for the place of `shared`; `None` when there is none. Chunks are taken in the
    /// order in which they were added; those in between are passed over.
    pub(crate) fn take(&mut self, shared: ChunkPtr) -> Option<LooseChunk> {
        let ahead = self.list[self.next..].iter().position(|spare| spare.shared == shared)?;
        self.next += ahead + 1;
        self.waiting -= 1;
        self.list[self.next - 1].chunk.take()
    }

    /// Empties the list, if all chunks that were added were taken, and tells whether it did.
    pub(crate) fn end(&mut self) -> bool {
        if self.waiting == 0 {
            self.list.clear();
            self.next = 0;
        }
        self.waiting == 0
    }

    /// Empties the list. Returns the chunks that were not taken.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = LooseChunk> {
        (self.next, self.waiting) = (0, 0);
        self.list.drain(..).filter_map(|spare| spare.chunk)
    }

    /// Gives back the room of the list. Returns its bytes.
    pub(crate) fn trim_list(&mut self) -> usize {
        shrink_list(&mut self.list)
    }
}
