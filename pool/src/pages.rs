//! Pages: which of them are free, in spans that merge with their neighbours, and to which block
//! each of the others belongs.
//!
//! Nothing is written into free memory. Its description lies in lists of its own, so that memory
//! that was not touched yet stays untouched, and memory that went back to the system stays there.

use std::collections::TryReserveError;

use memmap2::{MmapMut, MmapOptions};

use crate::MemoryError;
use crate::chunk::ChunkPtr;
use crate::size_class::PAGE_BYTES;

/// The block of a page that belongs to none.
pub(crate) const NO_BLOCK: u32 = u32::MAX;

/// Room is made for a free span for so many bytes of a slab, and for no more of them than this.
const SPAN_BYTES: usize = 64 << 10;
const SPANS_MAX: usize = 1024;

/// How many more slabs there is room for than there are.
const SLABS_EXPECTED: usize = 4;

/// How many bytes are given back to the system between two looks at the clock.
const DISCARDED_AT_ONCE: usize = 4 << 20;

/// Free pages side by side, as many as there are.
#[derive(Debug)]
struct Span {
    start: ChunkPtr,
    bytes: usize,
    /// The number of the slab that they lie in.
    slab: u32,
    /// How many bytes from the start on the system has, as nothing was written there since.
    untouched: usize,
}

impl Span {
    fn end(&self) -> usize {
        self.start.address() + self.bytes
    }

    /// Adds the pages after the last one.
    fn append(&mut self, bytes: usize, untouched: usize) {
        if self.untouched == self.bytes {
            self.untouched += untouched;
        }
        self.bytes += bytes;
    }
}

/// The pages of one slab.
#[derive(Debug)]
struct Slab {
    start: usize,
    end: usize,
    number: u32,
    blocks: PageMap,
}

/// The block of each page of a slab. It is a mapping: for the untouched part of a slab it takes no
/// memory either.
#[derive(Debug)]
pub(crate) struct PageMap(MmapMut);

impl PageMap {
    /// For the pages of a slab of `bytes`.
    fn new(bytes: usize) -> Result<Self, MemoryError> {
        let map = MmapOptions::new().len(bytes / PAGE_BYTES * size_of::<u32>()).map_anon();
        Ok(Self(map.map_err(|source| MemoryError::Map { requested_bytes: bytes, source })?))
    }

    #[inline]
    fn get(&self, page: usize) -> u32 {
        let (words, _) = self.0.as_chunks();
        // A new mapping is all zeros, and no page of it is of a block.
        !u32::from_ne_bytes(words[page])
    }

    fn fill(&mut self, first: usize, pages: usize, block: u32) {
        let (words, _) = self.0.as_chunks_mut();
        words[first..first + pages].fill((!block).to_ne_bytes());
    }
}

/// The pages of all slabs of an arena.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// By address.
    slabs: Vec<Slab>,
    /// By address; two of one slab that touch are one.
    free: Vec<Span>,
    /// The place of the slab that was looked at last.
    last: usize,
}

impl Pages {
    /// Makes room for as many spans as `bytes` usually have, so that the heap isn't asked again.
    pub(crate) fn prepare_spans(&mut self, bytes: usize) -> Result<(), TryReserveError> {
        self.slabs.try_reserve(SLABS_EXPECTED)?;
        self.prepare((bytes / SPAN_BYTES).min(SPANS_MAX))
    }

    /// Makes room for the notes on a slab, and the map of its pages, before it is mapped.
    pub(crate) fn prepare_slab(&mut self, bytes: usize) -> Result<PageMap, MemoryError> {
        let heap = |_| MemoryError::Heap { requested_bytes: size_of::<Slab>() };
        self.slabs.try_reserve(1).map_err(heap)?;
        self.prepare(1).map_err(heap)?;
        PageMap::new(bytes)
    }

    /// Adds the pages of a slab, which are free and untouched.
    pub(crate) fn add_slab(&mut self, start: ChunkPtr, bytes: usize, blocks: PageMap) {
        let (number, address) = (self.slabs.len() as u32, start.address());
        let place = self.slabs.partition_point(|slab| slab.start < address);
        self.slabs.insert(place, Slab { start: address, end: address + bytes, number, blocks });
        let place = self.free.partition_point(|span| span.start.address() < address);
        self.free.insert(place, Span { start, bytes, slab: number, untouched: bytes });
    }

    /// Makes room for `spans` more of them, so that as many calls of [`Pages::give`] have it.
    pub(crate) fn prepare(&mut self, spans: usize) -> Result<(), TryReserveError> {
        self.free.try_reserve(spans)
    }

    /// Takes `bytes`, whole pages, from the shortest span that has as many, for `block`. Tells
    /// whether the system has them.
    pub(crate) fn take(&mut self, bytes: usize, block: u32) -> Option<(ChunkPtr, bool)> {
        let fitting = self.free.iter().enumerate().filter(|(_, span)| span.bytes >= bytes);
        let (place, _) = fitting.min_by_key(|(_, span)| span.bytes)?;
        let span = &mut self.free[place];
        let (start, untouched) = (span.start, span.untouched >= bytes);
        span.bytes -= bytes;
        if span.bytes == 0 {
            self.free.remove(place);
        } else {
            span.start = start.offset(bytes);
            span.untouched = span.untouched.saturating_sub(bytes);
        }
        self.mark(start, bytes, block);
        Some((start, untouched))
    }

    /// Takes pages back that belonged to a block, and that the system has where they are `untouched`.
    /// There is room for the span. Returns how many bytes lie side by side there.
    pub(crate) fn give(&mut self, start: ChunkPtr, bytes: usize, untouched: bool) -> usize {
        let slab = self.mark(start, bytes, NO_BLOCK);
        let (address, end) = (start.address(), start.address() + bytes);
        let untouched = if untouched { bytes } else { 0 };
        let mut span = Span { start, bytes, slab, untouched };
        let place = self.free.partition_point(|span| span.start.address() < address);
        let touches = |other: &Span| {
            other.slab == slab && (other.end() == address || other.start.address() == end)
        };
        let after = self.free.get(place).is_some_and(touches);
        if after {
            let after = &self.free[place];
            span.append(after.bytes, after.untouched);
        }
        let before = place.checked_sub(1).filter(|&before| touches(&self.free[before]));
        let (place, longest) = match before {
            Some(before) => {
                self.free[before].append(span.bytes, span.untouched);
                (place, self.free[before].bytes)
            }
            None => {
                let longest = span.bytes;
                self.free.insert(place, span);
                (place + 1, longest)
            }
        };
        if after {
            self.free.remove(place);
        }
        longest
    }

    /// Notes the block that pages of one slab belong to. Returns the slab's number.
    pub(crate) fn mark(&mut self, start: ChunkPtr, bytes: usize, block: u32) -> u32 {
        let address = start.address();
        let place = self.slabs.partition_point(|slab| slab.end <= address);
        let slab = &mut self.slabs[place];
        let first = (address - slab.start) / PAGE_BYTES;
        slab.blocks.fill(first, bytes / PAGE_BYTES, block);
        slab.number
    }

    /// The block of the page in which a chunk of this arena starts.
    #[inline]
    pub(crate) fn block_of(&mut self, chunk: ChunkPtr) -> u32 {
        let address = chunk.address();
        let mut slab = &self.slabs[self.last];
        if address < slab.start || slab.end <= address {
            self.last = self.slabs.partition_point(|slab| slab.end <= address);
            slab = &self.slabs[self.last];
        }
        slab.blocks.get((address - slab.start) / PAGE_BYTES)
    }

    /// How many bytes the longest span has.
    pub(crate) fn longest(&self) -> usize {
        self.free.iter().map(|span| span.bytes).max().unwrap_or(0)
    }

    /// Calls `discard` with the part of every span that the system does not have, piece by piece,
    /// until it says to stop.
    pub(crate) fn discard_free(&mut self, mut discard: impl FnMut(ChunkPtr, usize) -> bool) {
        for span in &mut self.free {
            while span.untouched < span.bytes {
                let bytes = (span.bytes - span.untouched).min(DISCARDED_AT_ONCE);
                if !discard(span.start.offset(span.untouched), bytes) {
                    return;
                }
                span.untouched += bytes;
            }
        }
    }

    /// Bytes of all free spans.
    #[cfg(test)]
    pub(crate) fn free_bytes(&self) -> usize {
        self.free.iter().map(|span| span.bytes).sum()
    }

    /// The block of every page, and the ends of the slabs that they lie in.
    #[cfg(test)]
    pub(crate) fn for_each_page(&self, mut visit: impl FnMut(usize, u32)) {
        for slab in &self.slabs {
            for number in 0..(slab.end - slab.start) / PAGE_BYTES {
                visit(slab.start + number * PAGE_BYTES, slab.blocks.get(number));
            }
        }
    }

    /// Whether free spans are in order, apart, and of pages without a block.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        for pair in self.free.windows(2) {
            let apart = pair[0].end() < pair[1].start.address();
            assert!(
                apart || pair[0].slab != pair[1].slab && pair[0].end() == pair[1].start.address()
            );
        }
        let mut unowned = 0;
        self.for_each_page(|address, block| {
            let is_free = self
                .free
                .iter()
                .any(|span| span.start.address() <= address && address < span.end());
            assert_eq!(is_free, block == NO_BLOCK, "a page is free or of a block");
            unowned += usize::from(is_free) * PAGE_BYTES;
        });
        assert_eq!(unowned, self.free_bytes());
    }
}
