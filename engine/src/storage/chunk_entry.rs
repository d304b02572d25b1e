//! A column's list of chunks, one entry a chunk: live in a column, frozen in a snapshot.

use convoy_pool::{ChunkPtr, SizeClass};

use super::epoch::Epoch;

/// One chunk of a column: its size class and its two epochs. A capture copies entries as they are,
/// with one copy of memory a column.
///
/// The size class is the chunk's own, in every list that names it. It is never worked out from
/// where the chunk stands: lists of other times, and of other worlds, put it elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkEntry {
    pub(crate) chunk: ChunkPtr,
    /// The epoch in which the world came to own the chunk.
    pub(crate) born: Epoch,
    /// The epoch in which a row of the chunk last changed, above the size class: together one word,
    /// so that queries stride over no more than 24 bytes.
    written_and_class: u64,
}

/// Bits of the class below the epoch.
const CLASS_BITS: u32 = u16::BITS;

const _: () = assert!(Epoch::BITS + CLASS_BITS <= u64::BITS, "an epoch fits above a class");
const _: () = assert!(size_of::<ChunkEntry>() == 24, "three words an entry");

impl ChunkEntry {
    pub(crate) fn new(chunk: ChunkPtr, class: SizeClass, born: Epoch, written: Epoch) -> Self {
        let written_and_class = written.to_bits() << CLASS_BITS | u64::from(class.to_bits());
        Self { chunk, born, written_and_class }
    }

    /// The size class of the chunk.
    #[inline]
    pub(crate) fn class(&self) -> SizeClass {
        SizeClass::from_bits(self.written_and_class as u16)
    }

    /// The epoch in which a row of the chunk last changed.
    #[inline]
    pub(crate) fn written(&self) -> Epoch {
        Epoch::from_bits(self.written_and_class >> CLASS_BITS)
    }
}
