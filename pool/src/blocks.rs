//! Blocks: up to 64 chunks of one size class side by side, with a bit for each.
//!
//! How fast a pass over a column is depends on whether its chunks are neighbours: the prefetcher
//! of the processor loses about a microsecond at each one that is not. So whoever takes chunks one
//! after the other, for one column, *reserves* a run of neighbours ([`ChunkRun`]) and takes the next
//! one of it each time. Chunks that are taken by themselves are the ones that were freed last, which
//! are warm in the caches.
//!
//! A reservation is a wish. What is free says the block's word `free` alone, and a run that was
//! broken into, or whose block is another one by now, is only shorter.

use std::collections::TryReserveError;

use crate::chunk::ChunkPtr;
use crate::pages::Pages;
use crate::size_class::{PAGE_BYTES, SMALL_CLASSES, SizeClass};

/// The most chunks of a block: one bit each.
pub(crate) const BLOCK_CHUNKS_MAX: usize = u64::BITS as usize;

/// The most bytes of a block that has more than one chunk.
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// How many blocks with free chunks are looked at for a run.
const SEARCHED_MAX: usize = 256;

/// How many chunks that were freed last are remembered for each class.
const RECENT_MAX: usize = 32;

/// Chunks side by side that an arena keeps for one taker: see
/// [`Arena::allocate_next`](crate::Arena::allocate_next). A new one is empty.
#[derive(Debug, Default)]
pub struct ChunkRun {
    /// The number of the block, in two halves: a run fits between other small fields.
    block: [u16; 2],
    /// The first chunk that was not taken yet, and the one after the last.
    next: u8,
    end: u8,
}

impl ChunkRun {
    fn new(block: u32, next: u32, end: u32) -> Self {
        let halves = [(block >> 16) as u16, block as u16];
        Self { block: halves, next: next as u8, end: end as u8 }
    }

    #[inline]
    fn block(&self) -> usize {
        usize::from(self.block[0]) << 16 | usize::from(self.block[1])
    }

    /// The bits of the chunks that are left.
    #[inline]
    fn bits(&self) -> u64 {
        ones(u32::from(self.end)) & !ones(u32::from(self.next))
    }
}

/// The lowest `count` bits, of at most 64.
#[inline]
fn ones(count: u32) -> u64 {
    if count >= u64::BITS { u64::MAX } else { (1 << count) - 1 }
}

/// A run of ones in `bits`: of `want`, or of the largest power of two below that there is. How
/// many, and where they begin.
fn longest_run(bits: u64, want: u32) -> (u32, u32) {
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
struct Block {
    start: ChunkPtr,
    /// Which chunks are free. None are in a record that stands for no block.
    free: u64,
    /// Which of them are kept for a run. A chunk that is not free is not reserved.
    reserved: u64,
    /// Which of the free ones the system has.
    discarded: u64,
    class: SizeClass,
    count: u8,
    /// 2^32 divided by the size of a chunk in units of 128 bytes, rounded up: distances in a block
    /// are short enough for the product to be exact.
    reciprocal: u32,
}

impl Block {
    fn new(start: ChunkPtr, class: SizeClass, count: u32) -> Self {
        let units = class.bytes() as u64 / 128;
        Self {
            start,
            free: ones(count),
            reserved: 0,
            discarded: 0,
            class,
            count: count as u8,
            reciprocal: (1_u64 << 32).div_ceil(units) as u32,
        }
    }

    fn bytes(&self) -> usize {
        self.class.bytes() * usize::from(self.count)
    }

    /// Free and not reserved.
    #[inline]
    fn available(&self) -> u64 {
        self.free & !self.reserved
    }

    fn is_empty(&self) -> bool {
        self.free == ones(u32::from(self.count))
    }

    #[inline]
    fn number_of(&self, chunk: ChunkPtr) -> u32 {
        let distance = (chunk.address() - self.start.address()) as u64 / 128;
        ((distance * u64::from(self.reciprocal)) >> 32) as u32
    }

    #[inline]
    fn chunk(&self, number: u32) -> ChunkPtr {
        self.start.offset(self.class.bytes() * number as usize)
    }

    #[inline]
    fn take(&mut self, number: u32) -> ChunkPtr {
        let others = !(1 << number);
        (self.free, self.reserved) = (self.free & others, self.reserved & others);
        self.discarded &= others;
        self.chunk(number)
    }

    /// The chunks that can be cut out of the block: those of whole pages that are free, and
    /// reserved only where `reserved_too`.
    fn loose(&self, reserved_too: bool) -> u64 {
        let unit = unit_of(self.class);
        let mut bits = if reserved_too { self.free } else { self.available() };
        // Ones where all chunks of a unit are free, and then for all chunks of that unit.
        let mut length = 1;
        while length < unit {
            bits &= bits >> length;
            length *= 2;
        }
        let first_of_units =
            (0..u64::BITS).step_by(unit as usize).fold(0, |all, bit| all | 1_u64 << bit);
        bits &= first_of_units;
        let mut length = 1;
        while length < unit {
            bits |= bits << length;
            length *= 2;
        }
        bits & ones(u32::from(self.count))
    }
}

/// How many chunks of a class fill whole pages at the least: a power of two, up to 32.
fn unit_of(class: SizeClass) -> u32 {
    let mut unit = 1;
    while !(class.bytes() * unit).is_multiple_of(PAGE_BYTES) {
        unit *= 2;
    }
    unit as u32
}

/// The blocks of one class.
#[derive(Debug)]
struct Class {
    class: SizeClass,
    /// By address.
    blocks: Vec<u32>,
    /// No block before this place has a chunk that is free and not reserved.
    first_available: usize,
    /// How many chunks the blocks have, and how many of them are free.
    chunks: usize,
    free: usize,
    recent: Recent,
}

impl Class {
    fn new(class: SizeClass) -> Self {
        let recent = Recent { chunks: [None; RECENT_MAX], top: 0 };
        Self { class, blocks: Vec::new(), first_available: 0, chunks: 0, free: 0, recent }
    }

    fn place_of(&self, start: ChunkPtr, blocks: &[Block]) -> usize {
        let address = start.address();
        self.blocks.partition_point(|&other| blocks[other as usize].start.address() < address)
    }
}

/// The chunks that were freed last. Some may have been taken since.
#[derive(Debug)]
struct Recent {
    chunks: [Option<ChunkPtr>; RECENT_MAX],
    top: usize,
}

impl Recent {
    #[inline]
    fn push(&mut self, chunk: ChunkPtr) {
        self.top = (self.top + 1) % RECENT_MAX;
        self.chunks[self.top] = Some(chunk);
    }

    #[inline]
    fn pop(&mut self) -> Option<ChunkPtr> {
        let chunk = self.chunks[self.top].take();
        self.top = (self.top + RECENT_MAX - 1) % RECENT_MAX;
        chunk
    }
}

/// All blocks of an arena.
#[derive(Debug)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    /// Numbers of records that stand for no block.
    unused: Vec<u32>,
    /// The small classes, and the large ones that were allocated, by size.
    classes: Vec<Class>,
}

impl Default for Blocks {
    fn default() -> Self {
        let classes = SizeClass::small().map(Class::new).collect();
        Self { blocks: Vec::new(), unused: Vec::new(), classes }
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
        let number = first_available(of_class, blocks)?;
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

    /// A free chunk that is reserved for somebody.
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
        let of_class = &mut classes[place];
        if first_available(of_class, blocks).is_none() {
            return false;
        }
        let mut best = (0, 0, 0);
        let numbers = of_class.blocks[of_class.first_available..].iter().map(|&one| one as usize);
        let available = numbers.map(|one| (one, blocks[one].available()));
        for (number, bits) in available.filter(|&(_, bits)| bits != 0).take(SEARCHED_MAX) {
            let (length, start) = longest_run(bits, want);
            if length > best.0 {
                best = (length, start, number);
                // What is left of a longer run is the next one.
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

    /// Lets go of what is left of a run.
    pub(crate) fn end_run(&mut self, run: &mut ChunkRun) {
        let ChunkRun { next, end, .. } = *run;
        let number = run.block();
        let bits = run.bits();
        *run = ChunkRun::default();
        if next >= end {
            return;
        }
        let Some(block) = self.blocks.get_mut(number) else { return };
        block.reserved &= !bits;
        let (start, class) = (block.start, block.class);
        if let Ok(place) = self.find_class(class) {
            let of_class = &mut self.classes[place];
            of_class.first_available =
                of_class.first_available.min(of_class.place_of(start, &self.blocks));
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
        let start = block.start;
        let of_class = &mut self.classes[place];
        of_class.free += 1;
        of_class.recent.push(chunk);
        if !was_available && of_class.first_available > 0 {
            let before = of_class.place_of(start, &self.blocks);
            of_class.first_available = of_class.first_available.min(before);
        }
    }

    /// How many chunks a new block of the class gets for `want` chunks that are taken one after
    /// the other: so many, or in proportion to those that there are, so that there are few blocks and
    /// little is idle.
    pub(crate) fn block_chunks(&self, class: SizeClass, want: u32) -> u32 {
        let present = self.find_class(class).map_or(0, |place| self.classes[place].chunks);
        let most = (BLOCK_BYTES_MAX / class.bytes()).clamp(1, BLOCK_CHUNKS_MAX) as u32;
        let share = ((present / 4) as u32).max(1).next_power_of_two();
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

    /// Makes a block of `count` chunks from pages that are free.
    pub(crate) fn add_block(
        &mut self,
        class: SizeClass,
        count: u32,
        pages: &mut Pages,
    ) -> Result<bool, TryReserveError> {
        let place = self.prepare_block(class)?;
        let number = self.unused.last().map_or(self.blocks.len() as u32, |&number| number);
        let Some((start, untouched)) = pages.take(class.bytes() * count as usize, number) else {
            return Ok(false);
        };
        let mut block = Block::new(start, class, count);
        block.discarded = if untouched { block.free } else { 0 };
        let added = self.put_block(block, place);
        debug_assert_eq!(added, number);
        Ok(true)
    }

    /// Makes room for one more block. Returns the place of its class.
    fn prepare_block(&mut self, class: SizeClass) -> Result<usize, TryReserveError> {
        self.blocks.try_reserve(1)?;
        self.unused.try_reserve(self.blocks.len() + 1 - self.unused.len())?;
        let place = match self.find_class(class) {
            Ok(place) => place,
            Err(place) => {
                self.classes.try_reserve(1)?;
                self.classes.insert(place, Class::new(class));
                place
            }
        };
        self.classes[place].blocks.try_reserve(1)?;
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
        let at = of_class.place_of(block.start, &self.blocks);
        of_class.blocks.insert(at, number);
        of_class.first_available = of_class.first_available.min(at);
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
        let Self { blocks, unused, classes } = self;
        for of_class in classes {
            if of_class.free == 0 {
                continue;
            }
            let mut done = Ok(());
            let (chunks, free) = (&mut of_class.chunks, &mut of_class.free);
            of_class.blocks.retain(|&number| {
                let block = &mut blocks[number as usize];
                if done.is_err() || !block.is_empty() || !reserved_too && block.reserved != 0 {
                    return true;
                }
                done = pages.prepare(1).and_then(|()| unused.try_reserve(1));
                if done.is_err() {
                    return true;
                }
                pages.give(block.start, block.bytes(), block.discarded == block.free);
                *chunks -= usize::from(block.count);
                *free -= usize::from(block.count);
                (block.free, block.reserved) = (0, 0);
                unused.push(number);
                false
            });
            of_class.first_available = 0;
            done?;
        }
        Ok(())
    }

    /// Cuts all free chunks that fill pages out of their blocks, reserved ones too, and gives the pages
    /// back: they serve any class then. What is left of a block is blocks of their own.
    pub(crate) fn cut_free(&mut self, pages: &mut Pages) -> Result<(), TryReserveError> {
        self.dissolve_empty(true, pages)?;
        for place in 0..self.classes.len() {
            if self.classes[place].free == 0 {
                continue;
            }
            let mut at = 0;
            while at < self.classes[place].blocks.len() {
                let number = self.classes[place].blocks[at];
                let loose = self.blocks[number as usize].loose(true);
                at += if loose == 0 { 1 } else { self.cut(number, loose, place, pages)? };
            }
            self.classes[place].first_available = 0;
        }
        Ok(())
    }

    /// Cuts the chunks `loose` out of a block that keeps others. Returns how many blocks the rest
    /// is.
    fn cut(
        &mut self,
        number: u32,
        loose: u64,
        place: usize,
        pages: &mut Pages,
    ) -> Result<usize, TryReserveError> {
        let whole = self.blocks[number as usize];
        let class = whole.class;
        // Each of them becomes a block or a span.
        let segments = (loose ^ loose << 1).count_ones() as usize + 1;
        self.blocks.try_reserve(segments)?;
        self.unused.try_reserve(self.blocks.len() + segments)?;
        self.classes[place].blocks.try_reserve(segments)?;
        pages.prepare(segments)?;
        let of_class = &mut self.classes[place];
        let listed = of_class.place_of(whole.start, &self.blocks);
        of_class.blocks.remove(listed);
        of_class.chunks -= usize::from(whole.count);
        of_class.free -= whole.free.count_ones() as usize;
        (self.blocks[number as usize].free, self.blocks[number as usize].reserved) = (0, 0);
        self.unused.push(number);
        let (mut first, mut parts) = (0, 0);
        while first < u32::from(whole.count) {
            let is_loose = loose >> first & 1 == 1;
            let rest = if is_loose { !(loose >> first) } else { loose >> first };
            let length = rest.trailing_zeros().min(u32::from(whole.count) - first);
            let start = whole.chunk(first);
            if is_loose {
                let bits = ones(length) << first;
                let untouched = whole.discarded & bits == bits;
                pages.give(start, class.bytes() * length as usize, untouched);
            } else {
                let bits = |of: u64| of >> first & ones(length);
                let part = Block {
                    free: bits(whole.free),
                    reserved: bits(whole.reserved),
                    discarded: bits(whole.discarded),
                    ..Block::new(start, class, length)
                };
                let part_number = self.put_block(part, place);
                pages.mark(start, part.bytes(), part_number);
                parts += 1;
            }
            first += length;
        }
        Ok(parts)
    }

    /// Calls `discard` with all free chunks that fill pages and that the system does not have, by
    /// runs of neighbours, until it says to stop.
    pub(crate) fn discard_free(&mut self, mut discard: impl FnMut(ChunkPtr, usize) -> bool) {
        for block in self.blocks.iter_mut().filter(|block| block.free != 0) {
            let mut left = block.loose(true) & !block.discarded;
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

    /// Checks what is known of blocks twice. Returns the bytes of free chunks.
    #[cfg(test)]
    pub(crate) fn check(&self, pages: &Pages) -> usize {
        let mut free_bytes = 0;
        let mut listed = 0;
        for of_class in &self.classes {
            let blocks = of_class.blocks.iter().map(|&number| &self.blocks[number as usize]);
            assert!(blocks.clone().is_sorted_by_key(|block| block.start.address()));
            let chunks: usize = blocks.clone().map(|block| usize::from(block.count)).sum();
            let free: usize = blocks.clone().map(|block| block.free.count_ones() as usize).sum();
            assert_eq!((chunks, free), (of_class.chunks, of_class.free));
            let before = &of_class.blocks[..of_class.first_available];
            assert!(before.iter().all(|&number| self.blocks[number as usize].available() == 0));
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

/// The number of the first block of a class with a free chunk that is not reserved.
#[inline]
fn first_available(of_class: &mut Class, blocks: &[Block]) -> Option<usize> {
    loop {
        let number = *of_class.blocks.get(of_class.first_available)? as usize;
        if blocks[number].available() != 0 {
            return Some(number);
        }
        of_class.first_available += 1;
    }
}
