//! Blocks: up to 64 chunks of one size class side by side, with a bit for each.
//!
//! How fast a pass over a column is depends on whether its chunks are neighbours: the prefetcher of
//! the processor loses about a microsecond at each one that is not. So a caller that takes chunks
//! one after the other, for one column, *reserves* a run of neighbours ([`ChunkRun`]) and takes the
//! next one of it each time. Chunks that are taken by themselves are the ones that were freed last,
//! which are warm in the caches.
//!
//! A reservation is a wish. The block's word `free` alone tells which chunks are free, and a run
//! that was broken into, or whose block is another one by now, is only shorter.

use std::collections::TryReserveError;

use crate::chunk::ChunkPtr;
use crate::pages::Pages;
use crate::size_class::{SMALL_CLASSES, SizeClass};

use block::{Block, longest_run, ones, unit_of, whole_units};
use class::Class;

pub(crate) use block::BLOCK_CHUNKS_MAX;
pub use block::ChunkRun;

mod block;
mod class;

/// The most bytes of a block that has more than one chunk.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// How many blocks with free chunks are looked at for a run.
const SEARCHED_MAX: usize = 256;

/// How many classes there are before their list grows.
const CLASSES_EXPECTED: usize = 32;

/// The bytes of the first blocks of a class, about. Of a slab, room is made for as many as it has.
const BLOCK_BYTES_USUAL: usize = 16 << 10;
/// But for no more than this.
const BLOCKS_MADE_ROOM_FOR: usize = 4096;

/// All blocks of an arena.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    /// Numbers of records that stand for no block; there is room for all of them.
    unused: Vec<u32>,
    /// Whether a block may have become empty since the last time they were dissolved.
    has_empty: bool,
    /// For so many bytes or more nothing can be cut out, unless a chunk has become free since.
    uncut_bytes: usize,
    /// The small classes, and the large ones that were allocated, by size.
    classes: Vec<Class>,
}

impl Default for Blocks {
    fn default() -> Self {
        let mut classes = Vec::with_capacity(CLASSES_EXPECTED);
        classes.extend(SizeClass::small().map(Class::new));
        let (blocks, unused) = (Vec::new(), Vec::new());
        Self { blocks, unused, has_empty: false, uncut_bytes: usize::MAX, classes }
    }
}

impl Blocks {
    /// A free chunk that is not reserved: the one that was freed last, or that of the lowest
    /// address.
    #[inline]
    pub(crate) fn take(&mut self, class: SizeClass, pages: &mut Pages) -> Option<ChunkPtr> {
        let place = self.find_class(class).ok()?;
        let Self { blocks, classes, .. } = self;
        let of_class = &mut classes[place];
        while let Some(chunk) = of_class.recent.pop() {
            let number = pages.block_of(chunk);
            let Some(block) = blocks.get_mut(number as usize) else { continue };
            // A block of the class may lie elsewhere than the one that the chunk was freed in.
            let chunk_number = block.number_of(chunk);
            let is_there = block.class == class && block.chunk(chunk_number) == chunk;
            if is_there && block.available() >> chunk_number & 1 == 1 {
                of_class.free -= 1;
                return Some(block.take(chunk_number));
            }
        }
        let number = of_class.first_available(blocks)?;
        of_class.free -= 1;
        let block = &mut blocks[number];
        Some(block.take(block.available().trailing_zeros()))
    }

    /// The next chunk of a run.
    #[inline]
    pub(crate) fn take_next(&mut self, class: SizeClass, run: &mut ChunkRun) -> Option<ChunkPtr> {
        let block = self.blocks.get_mut(run.block())?;
        let left = block.free & block.reserved & run.bits();
        if left == 0 || block.class != class {
            return None;
        }
        let number = left.trailing_zeros();
        run.next = number as u8 + 1;
        let chunk = block.take(number);
        let place = self.find_class(class).expect("a class with a block is there");
        self.classes[place].free -= 1;
        Some(chunk)
    }

    /// A free chunk that is reserved for a run.
    pub(crate) fn take_reserved(&mut self, class: SizeClass) -> Option<ChunkPtr> {
        let place = self.find_class(class).ok()?;
        let Self { blocks, classes, .. } = self;
        let of_class = &mut classes[place];
        let numbers = of_class.blocks.iter().map(|&number| number as usize);
        let number = numbers.into_iter().find(|&number| blocks[number].free != 0)?;
        of_class.free -= 1;
        let block = &mut blocks[number];
        // The last one of a run is the one that its taker comes to last.
        Some(block.take(u64::BITS - 1 - block.free.leading_zeros()))
    }

    /// Reserves neighbours for `run`, up to `want` of them, if as many as `least` are found.
    pub(crate) fn start_run(
        &mut self,
        class: SizeClass,
        want: u32,
        least: u32,
        run: &mut ChunkRun,
    ) -> bool {
        let Ok(place) = self.find_class(class) else { return false };
        let Self { blocks, classes, .. } = self;
        let of_class = &classes[place];
        let mut best = (0, 0, 0);
        for (number, bits) in of_class.with_available(blocks).take(SEARCHED_MAX) {
            let (length, start) = longest_run(bits, want);
            if length > best.0 {
                best = (length, start, number);
                // The rest of a longer run is the next one.
                if length * 2 > want {
                    break;
                }
            }
        }
        let (length, start, number) = best;
        if length < least.max(1) {
            return false;
        }
        *run = ChunkRun::new(number as u32, start, start + length);
        blocks[number].reserved |= run.bits();
        true
    }

    /// Reserves neighbours for `run` in a block, up to `want` of them.
    pub(crate) fn start_run_in(&mut self, number: u32, want: u32, run: &mut ChunkRun) {
        let block = &mut self.blocks[number as usize];
        let (length, start) = longest_run(block.available(), want);
        *run = ChunkRun::new(number, start, start + length);
        block.reserved |= run.bits();
    }

    /// Lets go of the chunks that are left of a run.
    pub(crate) fn end_run(&mut self, run: &mut ChunkRun) {
        let ChunkRun { next, end, .. } = *run;
        let number = run.block();
        let bits = run.bits();
        *run = ChunkRun::default();
        if next >= end {
            return;
        }
        let Some(block) = self.blocks.get_mut(number).filter(|block| block.count > 0) else {
            return;
        };
        block.reserved &= !bits;
        let (start, class) = (block.start, block.class);
        self.has_empty = true;
        if let Ok(place) = self.find_class(class) {
            let of_class = &mut self.classes[place];
            of_class.note_available(start, &self.blocks);
        }
    }

    /// Takes a chunk back. It never touches the heap.
    #[inline]
    pub(crate) fn recycle(&mut self, chunk: ChunkPtr, class: SizeClass, pages: &mut Pages) {
        let number = pages.block_of(chunk);
        let place = self.find_class(class).expect("a class that was allocated is there");
        let block = &mut self.blocks[number as usize];
        let bit = 1 << block.number_of(chunk);
        debug_assert!(
            block.class == class && block.chunk(block.number_of(chunk)) == chunk,
            "the chunk is of the block"
        );
        debug_assert_eq!(block.free & bit, 0, "the chunk was taken");
        let was_available = block.available() != 0;
        block.free |= bit;
        self.uncut_bytes = usize::MAX;
        self.has_empty |= block.is_empty();
        let start = block.start;
        let of_class = &mut self.classes[place];
        of_class.free += 1;
        of_class.recent.push(chunk);
        if !was_available {
            of_class.note_available(start, &self.blocks);
        }
    }

    /// How many chunks a new block of the class gets for `want` chunks that are taken one after
    /// the other: so many, or in proportion to those that there are, so that there are few blocks and
    /// little is idle.
    pub(crate) fn block_chunks(&self, class: SizeClass, want: u32) -> u32 {
        let present = self.find_class(class).map_or(0, |place| self.classes[place].chunks);
        let most = (BLOCK_BYTES_MAX / class.bytes()).clamp(1, BLOCK_CHUNKS_MAX) as u32;
        let share = (present / 4).max(BLOCK_BYTES_USUAL / class.bytes()).max(1) as u32;
        let share = share.next_power_of_two();
        let unit = unit_of(class);
        want.max(share).next_multiple_of(unit).min(most)
    }

    /// The least chunks that a block of the class has.
    pub(crate) fn least_chunks(class: SizeClass) -> u32 {
        unit_of(class)
    }

    /// Whether so many of the chunks are free already that a run of neighbours is no reason for
    /// more of them.
    pub(crate) fn is_roomy(&self, class: SizeClass) -> bool {
        let of_class = self.find_class(class).map(|place| &self.classes[place]);
        of_class.is_ok_and(|of_class| of_class.free * 4 > of_class.chunks)
    }

    /// Makes a block of `count` chunks from pages that are free. Returns its number.
    pub(crate) fn add_block(
        &mut self,
        class: SizeClass,
        count: u32,
        pages: &mut Pages,
    ) -> Result<Option<u32>, TryReserveError> {
        let place = self.prepare_block(class)?;
        let number = self.unused.last().map_or(self.blocks.len() as u32, |&number| number);
        let Some((start, untouched)) = pages.take(class.bytes() * count as usize, number) else {
            return Ok(None);
        };
        let mut block = Block::new(start, class, count);
        block.discarded = if untouched { block.free } else { 0 };
        (self.has_empty, self.uncut_bytes) = (true, usize::MAX);
        let added = self.put_block(block, place);
        debug_assert_eq!(added, number);
        Ok(Some(number))
    }

    /// Makes room for as many blocks as a slab of `bytes` usually has, so that the heap isn't asked
    /// again.
    pub(crate) fn prepare_slab(&mut self, bytes: usize) -> Result<(), TryReserveError> {
        let count = |of_bytes: usize| (bytes / of_bytes).min(BLOCKS_MADE_ROOM_FOR);
        self.reserve_blocks(count(BLOCK_BYTES_USUAL))?;
        for of_class in &mut self.classes {
            of_class.reserve(count(BLOCK_BYTES_USUAL.max(of_class.class.bytes())))?;
        }
        Ok(())
    }

    fn reserve_blocks(&mut self, more: usize) -> Result<(), TryReserveError> {
        self.blocks.try_reserve(more)?;
        self.unused.try_reserve(self.blocks.len() + more - self.unused.len())
    }

    /// Makes room for one more block. Returns the place of its class.
    fn prepare_block(&mut self, class: SizeClass) -> Result<usize, TryReserveError> {
        self.reserve_blocks(1)?;
        let place = match self.find_class(class) {
            Ok(place) => place,
            Err(place) => {
                self.classes.try_reserve(1)?;
                self.classes.insert(place, Class::new(class));
                place
            }
        };
        self.classes[place].reserve(1)?;
        Ok(place)
    }

    /// Lists a block of the class at `place`, for which there is room.
    fn put_block(&mut self, block: Block, place: usize) -> u32 {
        let number = match self.unused.pop() {
            Some(number) => {
                self.blocks[number as usize] = block;
                number
            }
            None => {
                self.blocks.push(block);
                self.blocks.len() as u32 - 1
            }
        };
        let of_class = &mut self.classes[place];
        of_class.insert(number, &self.blocks);
        of_class.chunks += usize::from(block.count);
        of_class.free += block.free.count_ones() as usize;
        number
    }

    /// Gives the pages of blocks back that have no chunk in use, and none reserved unless
    /// `reserved_too`.
    pub(crate) fn dissolve_empty(
        &mut self,
        reserved_too: bool,
        pages: &mut Pages,
    ) -> Result<(), TryReserveError> {
        if !self.has_empty && !reserved_too {
            return Ok(());
        }
        let Self { blocks, unused, classes, .. } = self;
        for of_class in classes.iter_mut().filter(|of_class| of_class.free > 0) {
            let mut done = Ok(());
            let (chunks, free) = (&mut of_class.chunks, &mut of_class.free);
            of_class.blocks.retain(|&number| {
                let block = &mut blocks[number as usize];
                if done.is_err() || !block.is_empty() || !reserved_too && block.reserved != 0 {
                    return true;
                }
                done = pages.prepare(1);
                if done.is_err() {
                    return true;
                }
                pages.give(block.start, block.bytes(), block.discarded == block.free);
                *chunks -= usize::from(block.count);
                *free -= usize::from(block.count);
                block.bury();
                unused.push(number);
                false
            });
            of_class.find_available(blocks);
            done?;
        }
        // Reserved ones may be left, and the end of their run sets this again.
        self.has_empty = false;
        Ok(())
    }

    /// Cuts free chunks that fill pages out of their blocks, reserved ones too, until `bytes` lie side
    /// by side: they serve any class then. The rest of a block becomes blocks of its own. Chunks that
    /// can't be part of as many bytes stay where they are.
    pub(crate) fn cut_free(
        &mut self,
        bytes: usize,
        pages: &mut Pages,
    ) -> Result<(), TryReserveError> {
        if bytes >= self.uncut_bytes {
            return Ok(());
        }
        self.dissolve_empty(true, pages)?;
        if pages.longest() >= bytes {
            return Ok(());
        }
        for place in 0..self.classes.len() {
            if self.classes[place].free == 0 {
                continue;
            }
            let mut at = 0;
            while at < self.classes[place].blocks.len() {
                let number = self.classes[place].blocks[at];
                let cut = self.blocks[number as usize].loose_runs(bytes);
                if cut == 0 {
                    at += 1;
                    continue;
                }
                let (parts, longest) = self.cut(number, cut, place, pages)?;
                if longest >= bytes {
                    return Ok(());
                }
                at += parts;
            }
        }
        self.uncut_bytes = bytes;
        Ok(())
    }

    /// Cuts the chunks `cut` out of a block that keeps others. Returns how many blocks the rest is,
    /// and how many bytes lie side by side where the most do.
    fn cut(
        &mut self,
        number: u32,
        cut: u64,
        place: usize,
        pages: &mut Pages,
    ) -> Result<(usize, usize), TryReserveError> {
        let whole = self.blocks[number as usize];
        let class = whole.class;
        // Each segment becomes a block or a span.
        let segments = (cut ^ cut << 1).count_ones() as usize + 1;
        self.reserve_blocks(segments)?;
        self.classes[place].reserve(segments)?;
        pages.prepare(segments)?;
        let of_class = &mut self.classes[place];
        let listed = of_class.place_of(whole.start, &self.blocks);
        of_class.blocks.remove(listed);
        of_class.chunks -= usize::from(whole.count);
        of_class.free -= whole.free.count_ones() as usize;
        self.blocks[number as usize].bury();
        of_class.find_available(&self.blocks);
        self.unused.push(number);
        let (mut first, mut parts, mut longest) = (0, 0, 0);
        while first < u32::from(whole.count) {
            let is_cut = cut >> first & 1 == 1;
            let rest = if is_cut { !(cut >> first) } else { cut >> first };
            let length = rest.trailing_zeros().min(u32::from(whole.count) - first);
            let start = whole.chunk(first);
            let bits = |of: u64| of >> first & ones(length);
            if is_cut {
                let untouched = bits(whole.discarded) == ones(length);
                longest =
                    longest.max(pages.give(start, class.bytes() * length as usize, untouched));
            } else {
                // The holder of a run of the block takes another one.
                let free = bits(whole.free);
                let part = Block {
                    free,
                    discarded: bits(whole.discarded),
                    ..Block::new(start, class, length)
                };
                let part_number = self.put_block(part, place);
                pages.mark(start, part.bytes(), part_number);
                parts += 1;
            }
            first += length;
        }
        Ok((parts, longest))
    }

    /// Calls `discard` with all free chunks that fill pages and that the system does not have, by
    /// runs of neighbours, until it says to stop.
    pub(crate) fn discard_free(&mut self, mut discard: impl FnMut(ChunkPtr, usize) -> bool) {
        for block in self.blocks.iter_mut().filter(|block| block.free != 0) {
            // A page that has a part of a chunk which was used since goes again, with all of its unit.
            let mut left = block.loose() & !whole_units(block.discarded, unit_of(block.class));
            while left != 0 {
                let first = left.trailing_zeros();
                let length = (!(left >> first)).trailing_zeros();
                if !discard(block.chunk(first), block.class.bytes() * length as usize) {
                    return;
                }
                let bits = ones(length) << first;
                block.discarded |= bits;
                left &= !bits;
            }
        }
    }

    /// Where a class stands, or where it belongs.
    #[inline]
    fn find_class(&self, class: SizeClass) -> Result<usize, usize> {
        if class.index() < SMALL_CLASSES {
            return Ok(class.index());
        }
        self.classes.binary_search_by_key(&class, |of_class| of_class.class)
    }

    /// Checks that facts noted twice of blocks agree. Returns the bytes of free chunks.
    #[cfg(test)]
    pub(crate) fn check(&self, pages: &Pages) -> usize {
        use crate::size_class::PAGE_BYTES;

        let mut free_bytes = 0;
        let mut listed = 0;
        for of_class in &self.classes {
            let blocks = of_class.blocks.iter().map(|&number| &self.blocks[number as usize]);
            assert!(blocks.clone().is_sorted_by_key(|block| block.start.address()));
            let chunks: usize = blocks.clone().map(|block| usize::from(block.count)).sum();
            let free: usize = blocks.clone().map(|block| block.free.count_ones() as usize).sum();
            assert_eq!((chunks, free), (of_class.chunks, of_class.free));
            for (place, &number) in of_class.blocks.iter().enumerate() {
                let is_noted = of_class.available[place / 64] >> (place % 64) & 1 == 1;
                assert!(is_noted || self.blocks[number as usize].available() == 0);
            }
            for block in blocks {
                assert_eq!(block.class, of_class.class);
                let all = ones(u32::from(block.count));
                assert_eq!(
                    block.free & !all
                        | block.reserved & !block.free
                        | block.discarded & !block.free,
                    0
                );
                assert_eq!(block.bytes() % PAGE_BYTES, 0);
                listed += block.bytes();
            }
            free_bytes += free * of_class.class.bytes();
        }
        let mut owned = 0;
        pages.for_each_page(|address, number| {
            if number != crate::pages::NO_BLOCK {
                let block = &self.blocks[number as usize];
                assert!(
                    (block.start.address()..block.start.address() + block.bytes())
                        .contains(&address)
                );
                owned += PAGE_BYTES;
            }
        });
        assert_eq!(owned, listed, "every page of a block is marked as its own");
        free_bytes
    }
}
