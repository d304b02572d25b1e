//! One block, and runs of chunks in it: all of it is arithmetic on bits.

use crate::chunk::ChunkPtr;
use crate::size_class::{PAGE_BYTES, SizeClass};

/// The most chunks of a block: one bit each.
pub(crate) const BLOCK_CHUNKS_MAX: usize = u64::BITS as usize;

/// Chunks side by side that an arena keeps for one taker: see
/// [`Arena::allocate_next`](crate::Arena::allocate_next). A new one is empty.
#[derive(Debug, Default)]
pub struct ChunkRun {
    /// The number of the block, in two halves: a run fits between other small fields.
    pub(super) block: [u16; 2],
    /// The first chunk that was not taken yet, and the one after the last.
    pub(super) next: u8,
    pub(super) end: u8,
}

impl ChunkRun {
    pub(super) fn new(block: u32, next: u32, end: u32) -> Self {
        let halves = [(block >> 16) as u16, block as u16];
        Self { block: halves, next: next as u8, end: end as u8 }
    }

    #[inline]
    pub(super) fn block(&self) -> usize {
        usize::from(self.block[0]) << 16 | usize::from(self.block[1])
    }

    /// How many chunks are left at the most.
    #[must_use]
    pub fn left(&self) -> usize {
        usize::from(self.end.saturating_sub(self.next))
    }

    /// The bits of the chunks that are left.
    #[inline]
    pub(super) fn bits(&self) -> u64 {
        ones(u32::from(self.end)) & !ones(u32::from(self.next))
    }
}

/// The lowest `count` bits, of at most 64.
#[inline]
pub(super) fn ones(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

/// A run of ones in `bits`: of `want`, or of the largest power of two below that there is. How
/// many, and where they begin.
pub(super) fn longest_run(bits: u64, want: u32) -> (u32, u32) {
    let (mut starts, mut length) = (bits, 1);
    if bits == 0 {
        return (0, 0);
    }
    while length < want {
        // Ones where a run of twice the length, or of all that is wanted, begins.
        let longer = (length * 2).min(want);
        let next = starts & starts >> (longer - length);
        if next == 0 {
            break;
        }
        (starts, length) = (next, longer);
    }
    (length, starts.trailing_zeros())
}

/// Chunks of one class side by side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) start: ChunkPtr,
    /// Which chunks are free. None are in a record that stands for no block.
    pub(super) free: u64,
    /// Which of them are kept for a run. A chunk that is not free is not reserved.
    pub(super) reserved: u64,
    /// Which of the free ones the system has.
    pub(super) discarded: u64,
    pub(super) class: SizeClass,
    pub(super) count: u8,
    /// 2^31 divided by the size of a chunk in units of 128 bytes, rounded up: distances in a block
    /// are short enough for the product to be exact.
    pub(super) reciprocal: u32,
}

impl Block {
    pub(super) fn new(start: ChunkPtr, class: SizeClass, count: u32) -> Self {
        let units = class.bytes() as u64 / 128;
        Self {
            start,
            free: ones(count),
            reserved: 0,
            discarded: 0,
            class,
            count: count as u8,
            reciprocal: (1_u64 << 31).div_ceil(units) as u32,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.class.bytes() * usize::from(self.count)
    }

    /// Free and not reserved.
    #[inline]
    pub(super) fn available(&self) -> u64 {
        self.free & !self.reserved
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free == ones(u32::from(self.count))
    }

    /// Makes the record stand for no block.
    pub(super) fn bury(&mut self) {
        (self.free, self.reserved, self.count) = (0, 0, 0);
    }

    #[inline]
    pub(super) fn number_of(&self, chunk: ChunkPtr) -> u32 {
        let distance = (chunk.address() - self.start.address()) as u64 / 128;
        ((distance * u64::from(self.reciprocal)) >> 31) as u32
    }

    #[inline]
    pub(super) fn chunk(&self, number: u32) -> ChunkPtr {
        self.start.offset(self.class.bytes() * number as usize)
    }

    #[inline]
    pub(super) fn take(&mut self, number: u32) -> ChunkPtr {
        let others = !(1 << number);
        (self.free, self.reserved) = (self.free & others, self.reserved & others);
        self.discarded &= others;
        self.chunk(number)
    }

    /// The free chunks that fill whole pages.
    pub(super) fn loose(&self) -> u64 {
        whole_units(self.free, unit_of(self.class))
    }

    /// The runs of them that have `bytes`, or may have with the memory beside the block.
    pub(super) fn loose_runs(&self, bytes: usize) -> u64 {
        let (mut left, mut found) = (self.loose(), 0);
        while left != 0 {
            let first = left.trailing_zeros();
            let length = (!(left >> first)).trailing_zeros();
            let run = ones(length) << first;
            let is_at_an_end = first == 0 || first + length == u32::from(self.count);
            if is_at_an_end || self.class.bytes() * length as usize >= bytes {
                found |= run;
            }
            left &= !run;
        }
        found
    }
}

/// Those of `bits` that are in units of `unit` bits, a power of two, which are all in them.
pub(super) fn whole_units(mut bits: u64, unit: u32) -> u64 {
    // Ones where `unit` ones begin; of those the first ones of units; and then all of the units.
    let mut length = 1;
    while length < unit {
        bits &= bits >> length;
        length *= 2;
    }
    bits &= u64::MAX / ones(unit);
    bits * ones(unit)
}

/// How many chunks of a class fill whole pages at the least: a power of two, up to 32.
pub(super) fn unit_of(class: SizeClass) -> u32 {
    let mut unit = 1;
    while !(class.bytes() * unit).is_multiple_of(PAGE_BYTES) {
        unit *= 2;
    }
    unit as u32
}
