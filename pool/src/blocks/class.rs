//! The blocks of one class: which of them have chunks to give, and which chunks are warm.

use std::collections::TryReserveError;

use crate::chunk::ChunkPtr;
use crate::size_class::SizeClass;

use super::block::{BLOCK_CHUNKS_MAX, Block, ones};

/// How many chunks that were freed last are remembered for each class.
const RECENT_MAX: usize = 32;

/// The blocks of one class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) class: SizeClass,
    /// By address.
    pub(super) blocks: Vec<u32>,
    /// A bit for each of them: clear only if it has no chunk that is free and not reserved.
    pub(super) available: Vec<u64>,
    /// How many chunks the blocks have, and how many of them are free.
    pub(super) chunks: usize,
    pub(super) free: usize,
    pub(super) recent: Recent,
}

impl Class {
    pub(super) fn new(class: SizeClass) -> Self {
        let recent = Recent { chunks: [None; RECENT_MAX], top: 0 };
        let (blocks, available) = (Vec::new(), Vec::new());
        Self { class, blocks, available, chunks: 0, free: 0, recent }
    }

    /// Makes room for `more` blocks.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.blocks.try_reserve(more)?;
        let words = (self.blocks.len() + more).div_ceil(BLOCK_CHUNKS_MAX);
        self.available.try_reserve(words - self.available.len().min(words))
    }

    /// Lists a block, for which there is room.
    pub(super) fn insert(&mut self, number: u32, blocks: &[Block]) {
        let place = self.place_of(blocks[number as usize].start, blocks);
        self.blocks.insert(place, number);
        if self.blocks.len() > self.available.len() * BLOCK_CHUNKS_MAX {
            self.available.push(0);
        }
        // The bits from there on move up by one.
        let (word, bit) = (place / BLOCK_CHUNKS_MAX, place as u32 % u64::BITS);
        let old = self.available[word];
        let mut carry = old >> (u64::BITS - 1);
        self.available[word] = old & ones(bit) | (old & !ones(bit)) << 1 | 1 << bit;
        for word in &mut self.available[word + 1..] {
            (*word, carry) = (*word << 1 | carry, *word >> (u64::BITS - 1));
        }
    }

    /// Asks all blocks again which of them have something available.
    pub(super) fn find_available(&mut self, blocks: &[Block]) {
        self.available.truncate(self.blocks.len().div_ceil(BLOCK_CHUNKS_MAX));
        self.available.fill(0);
        for (place, &number) in self.blocks.iter().enumerate() {
            let has_some = blocks[number as usize].available() != 0;
            self.available[place / BLOCK_CHUNKS_MAX] |=
                u64::from(has_some) << (place % BLOCK_CHUNKS_MAX);
        }
    }

    /// Notes that a block, which starts at `start`, has something available.
    #[cold]
    pub(super) fn note_available(&mut self, start: ChunkPtr, blocks: &[Block]) {
        let place = self.place_of(start, blocks);
        self.available[place / BLOCK_CHUNKS_MAX] |= 1 << (place % BLOCK_CHUNKS_MAX);
    }

    /// The numbers of the blocks with something available, by address.
    pub(super) fn with_available<'a>(
        &'a self,
        blocks: &'a [Block],
    ) -> impl Iterator<Item = (usize, u64)> + 'a {
        let words = self.available.iter().enumerate();
        let places = words.flat_map(|(word, &bits)| {
            let set = std::iter::successors(Some(bits), |&bits| Some(bits & bits.wrapping_sub(1)));
            let set = set.take_while(|&bits| bits != 0);
            set.map(move |bits| word * BLOCK_CHUNKS_MAX + bits.trailing_zeros() as usize)
        });
        let numbers = places.map(|place| self.blocks[place] as usize);
        let available = numbers.map(|number| (number, blocks[number].available()));
        available.filter(|&(_, bits)| bits != 0)
    }

    /// The number of the first block with something available.
    #[inline]
    pub(super) fn first_available(&mut self, blocks: &[Block]) -> Option<usize> {
        for (word, bits) in self.available.iter_mut().enumerate() {
            while *bits != 0 {
                let place = word * BLOCK_CHUNKS_MAX + bits.trailing_zeros() as usize;
                let number = self.blocks[place] as usize;
                if blocks[number].available() != 0 {
                    return Some(number);
                }
                *bits &= *bits - 1;
            }
        }
        None
    }

    pub(super) fn place_of(&self, start: ChunkPtr, blocks: &[Block]) -> usize {
        let address = start.address();
        self.blocks.partition_point(|&other| blocks[other as usize].start.address() < address)
    }
}

/// The chunks that were freed last. Some may have been taken since.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) chunks: [Option<ChunkPtr>; RECENT_MAX],
    pub(super) top: usize,
}

impl Recent {
    #[inline]
    pub(super) fn push(&mut self, chunk: ChunkPtr) {
        self.top = (self.top + 1) % RECENT_MAX;
        self.chunks[self.top] = Some(chunk);
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<ChunkPtr> {
        let chunk = self.chunks[self.top].take();
        self.top = (self.top + RECENT_MAX - 1) % RECENT_MAX;
        chunk
    }
}
