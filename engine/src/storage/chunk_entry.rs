//! A column's list of chunks, one entry a chunk: live in a column, frozen in a snapshot.

use convoy_pool::ChunkPtr;

use super::epoch::Epoch;

/// One chunk of a column and its two epochs. A capture copies entries as they are, with one copy
/// of memory a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkEntry {
    pub(crate) chunk: ChunkPtr,
    /// The epoch in which the world came to own the chunk.
    pub(crate) born: Epoch,
    /// The epoch in which a row of the chunk last changed.
    pub(crate) written: Epoch,
}

impl ChunkEntry {
    /// A chunk that the world made or took in `epoch`, to write to it.
    pub(crate) fn new(chunk: ChunkPtr, epoch: Epoch) -> Self {
        Self { chunk, born: epoch, written: epoch }
    }
}
