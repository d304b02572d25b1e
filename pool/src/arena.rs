//! The arena: chunks by size class, cut from slabs and recycled for ever.
//!
//! Memory is mapped in *slabs*, each twice as large as the one before. Free pages of them are cut
//! into *blocks* of chunks of one class (`blocks.rs`), which give chunks out and take them back by
//! bits. Where a class has no free chunk, it gets another block: of pages that are free, of blocks of
//! any class that have become empty, or of a new slab; and if the limit forbids that or the system
//! gives nothing, of all free pages that are left in blocks which have chunks in use (`pages.rs`
//! merges neighbours). So free memory serves any class, as far as it lies side by side.
//!
//! Nothing is written into free memory: a chunk that was never used is never touched.
//!
//! One thread owns the arena, so nothing here is atomic. The arena knows bytes and classes, never
//! their contents.
#![allow(unsafe_code, reason = "takes the word of callers for chunks that they give back")]

use std::collections::TryReserveError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::blocks::{BLOCK_CHUNKS_MAX, Blocks, ChunkRun};
use crate::chunk::ChunkPtr;
use crate::pages::Pages;
use crate::size_class::PAGE_BYTES;
use crate::slab::{HUGE_PAGE_BYTES, Mapping};
use crate::{ArenaStatistics, MemoryError, SizeClass};

/// How an [`Arena`] maps memory.
///
/// ```
/// use convoy_pool::ArenaConfig;
///
/// let config = ArenaConfig::default().limit_bytes(1 << 30).huge_pages(false);
/// ```
#[derive(Clone, Debug)]
pub struct ArenaConfig {
    limit_bytes: Option<usize>,
    first_slab_bytes: usize,
    slab_bytes_max: usize,
    huge_pages: bool,
}

impl ArenaConfig {
    /// The most that the arena maps, rounded down to whole pages; `None`, the default, sets no
    /// limit. The notes on free pages, 4 bytes for each, are not counted.
    #[must_use]
    pub fn limit_bytes(mut self, bytes: impl Into<Option<usize>>) -> ArenaConfig {
        self.limit_bytes = bytes.into();
        self
    }

    /// The size of the first slab: 2 MiB, one huge page, by default. At least a page; and where the
    /// system declines as much, the arena takes half of it, and so on down to 2 MiB.
    #[must_use]
    pub fn first_slab_bytes(mut self, bytes: usize) -> ArenaConfig {
        self.first_slab_bytes = bytes;
        self
    }

    /// The size up to which slabs double: 64 MiB by default. At least a page.
    #[must_use]
    pub fn slab_bytes_max(mut self, bytes: usize) -> ArenaConfig {
        self.slab_bytes_max = bytes;
        self
    }

    /// Whether to ask for huge pages: yes by default.
    #[must_use]
    pub fn huge_pages(mut self, on: bool) -> ArenaConfig {
        self.huge_pages = on;
        self
    }
}

impl Default for ArenaConfig {
    fn default() -> ArenaConfig {
        ArenaConfig {
            limit_bytes: None,
            first_slab_bytes: HUGE_PAGE_BYTES,
            slab_bytes_max: 64 << 20,
            huge_pages: true,
        }
    }
}

/// More than any system maps, and a size that can be rounded and padded.
const SLAB_BYTES_MAX: usize = (isize::MAX as usize / 2) & !(HUGE_PAGE_BYTES - 1);

/// Bytes that blocks of all classes may have left over when memory was mapped ahead for them.
const LEFT_OVER_BYTES: usize = 256 << 10;

/// Room in lists is made for the blocks and spans of as many bytes at the least.
const NOTED_BYTES: usize = 8 << 20;

/// Hands out chunks by size class. It can move between threads and is used by one at a time.
///
/// Memory is never unmapped while the arena or a holder of its [`Mapping`] lives, and a chunk's
/// contents are those that its last user left there.
///
/// ```
/// use convoy_pool::{Arena, ArenaConfig, SizeClass};
///
/// let mut arena = Arena::new(ArenaConfig::default());
/// let class = SizeClass::for_bytes(12 * 1024)?;
/// let chunk = arena.allocate(class)?;
/// // SAFETY: the chunk comes from this arena with this class, and is not used any more.
/// unsafe { arena.recycle(chunk, class) };
/// assert_eq!(arena.allocate(class)?, chunk);
/// # Ok::<(), convoy_pool::MemoryError>(())
/// ```
pub struct Arena {
    blocks: Blocks,
    pages: Pages,
    mapping: Arc<Mapping>,
    config: ArenaConfig,
    slab_bytes_next: usize,
    slabs: usize,
    mapped_bytes: usize,
    allocated_bytes: usize,
    /// As long as no more than this is mapped, memory was mapped ahead for the requests.
    ahead_bytes: usize,
}

impl fmt::Debug for Arena {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Arena").field("statistics", &self.statistics()).finish()
    }
}

impl Arena {
    /// An arena that has mapped nothing yet.
    #[must_use]
    pub fn new(config: ArenaConfig) -> Arena {
        Arena {
            blocks: Blocks::default(),
            pages: Pages::default(),
            mapping: Arc::default(),
            slab_bytes_next: config.first_slab_bytes.max(PAGE_BYTES),
            config,
            slabs: 0,
            mapped_bytes: 0,
            allocated_bytes: 0,
            ahead_bytes: 0,
        }
    }

    /// A chunk of the class, with arbitrary but initialised contents: the one that was recycled
    /// last, of the 32 that were last, as that is warm in the caches, or the one with the lowest address. It is
    /// the caller's alone until it is recycled. Some tens of instructions when the class has a free
    /// chunk.
    ///
    /// # Errors
    /// [`MemoryError::Limit`] or [`MemoryError::Map`] when no memory is free and none can be
    /// mapped, and [`MemoryError::Heap`] when the heap gives no room to note the free memory.
    #[inline]
    pub fn allocate(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        let chunk = match self.blocks.take(class, &mut self.pages) {
            Some(chunk) => chunk,
            None => self.allocate_from_pages(class)?,
        };
        self.allocated_bytes += class.bytes();
        Ok(chunk)
    }

    /// As [`allocate`](Arena::allocate), for chunks that are visited one after the other: each is the
    /// neighbour of the one before, as long as the run lasts. Then another run is kept for the caller,
    /// of `want` chunks or of more than half as many if they lie side by side and of at most 64 chunks
    /// and 4 MiB. Chunks that are kept are free, and others get them where nothing else is left: a run
    /// promises no more than that it is fast.
    ///
    /// ```
    /// use convoy_pool::{Arena, ArenaConfig, ChunkRun, SizeClass};
    ///
    /// let mut arena = Arena::new(ArenaConfig::default());
    /// let class = SizeClass::for_bytes(4096)?;
    /// let (mut ours, mut theirs) = (ChunkRun::default(), ChunkRun::default());
    /// let first = arena.allocate_next(class, &mut ours, 8)?;
    /// let other = arena.allocate_next(class, &mut theirs, 8)?;
    /// let second = arena.allocate_next(class, &mut ours, 8)?;
    /// assert_eq!(second.as_ptr().addr() - first.as_ptr().addr(), 4096);
    /// assert_ne!(other, second);
    /// arena.end_run(&mut ours);
    /// # Ok::<(), convoy_pool::MemoryError>(())
    /// ```
    ///
    /// # Errors
    /// As [`allocate`](Arena::allocate).
    #[inline]
    pub fn allocate_next(
        &mut self,
        class: SizeClass,
        run: &mut ChunkRun,
        want: usize,
    ) -> Result<ChunkPtr, MemoryError> {
        match self.blocks.take_next(class, run) {
            Some(chunk) => {
                self.allocated_bytes += class.bytes();
                Ok(chunk)
            }
            None => self.allocate_in_new_run(class, run, want),
        }
    }

    /// Keeps neighbours for `run` ahead of [`allocate_next`](Arena::allocate_next): `want` chunks, or
    /// fewer, but not below `least`. Takes nothing but free memory, and tells whether there was
    /// enough of it side by side.
    ///
    /// ```
    /// # use convoy_pool::{Arena, ArenaConfig, ChunkRun, SizeClass};
    /// let mut arena = Arena::new(ArenaConfig::default());
    /// let (class, mut run) = (SizeClass::for_bytes(4096)?, ChunkRun::default());
    /// assert!(!arena.start_run(class, &mut run, 16, 8), "nothing is mapped for it");
    /// arena.reserve(1 << 20)?;
    /// assert!(arena.start_run(class, &mut run, 16, 8) && run.left() >= 8);
    /// # Ok::<(), convoy_pool::MemoryError>(())
    /// ```
    pub fn start_run(
        &mut self,
        class: SizeClass,
        run: &mut ChunkRun,
        want: usize,
        least: usize,
    ) -> bool {
        let Self { blocks, pages, .. } = self;
        blocks.end_run(run);
        let (want, least) = (want.clamp(1, BLOCK_CHUNKS_MAX) as u32, least.max(1) as u32);
        if blocks.start_run(class, want, least, run) {
            return true;
        }
        let unit = Blocks::least_chunks(class);
        let (least, count) = (least.next_multiple_of(unit), want.next_multiple_of(unit));
        if least > count {
            return false;
        }
        // Short of room for lists there is no run.
        _ = blocks.dissolve_empty(false, pages);
        let added = add_from_pages(class, least, count, blocks, pages).unwrap_or(None);
        if let Some(number) = added {
            blocks.start_run_in(number, want, run);
        }
        added.is_some()
    }

    /// Lets go of the chunks that were kept for `run`, which is empty then. A holder that goes away,
    /// or has no use for neighbours any more, does so.
    pub fn end_run(&mut self, run: &mut ChunkRun) {
        self.blocks.end_run(run);
    }

    /// Takes a chunk back. It is the next one that its class hands out. Never touches the heap.
    ///
    /// # Safety
    /// The chunk came from this arena with this class, was not recycled since, and is not read or
    /// written any more.
    #[inline]
    pub unsafe fn recycle(&mut self, chunk: ChunkPtr, class: SizeClass) {
        debug_assert!(self.mapping.contains(chunk, class.bytes()), "the chunk is of this arena");
        self.blocks.recycle(chunk, class, &mut self.pages);
        self.allocated_bytes -= class.bytes();
    }

    /// Maps ahead, so that chunks of together `bytes` bytes, of any classes, can be had without a
    /// new mapping. Pages become resident only when touched.
    ///
    /// # Errors
    /// [`MemoryError::Limit`], [`MemoryError::Map`], [`MemoryError::Heap`] or
    /// [`MemoryError::TooLarge`].
    pub fn reserve(&mut self, bytes: usize) -> Result<(), MemoryError> {
        let Some(most_bytes) = bytes.checked_add(LEFT_OVER_BYTES + bytes / 8) else {
            return Err(MemoryError::TooLarge { requested_bytes: bytes });
        };
        if bytes == 0 {
            return Ok(());
        }
        if self.pages.longest() < most_bytes {
            self.blocks.dissolve_empty(false, &mut self.pages).map_err(heap)?;
        }
        // Where the limit leaves less, all of that is mapped.
        if self.pages.longest() < most_bytes
            && self.map_slab(most_bytes, bytes).is_err()
            && self.pages.longest() < bytes
        {
            self.map_slab(bytes, bytes)?;
        }
        self.ahead_bytes = self.mapped_bytes;
        Ok(())
    }

    /// Finds out whether chunks of together `bytes` bytes can be had: from free memory, and from
    /// memory that may be mapped beyond that. Much more than is free is mapped at once, as only the
    /// system can tell whether it gives that. So a caller that is going to take many chunks learns
    /// before the first of them that there are not as many.
    ///
    /// Chunks may still fail to be had where the free memory does not lie side by side.
    ///
    /// # Errors
    /// As [`reserve`](Arena::reserve).
    pub fn check_room(&mut self, bytes: usize) -> Result<(), MemoryError> {
        let missing_bytes = bytes.saturating_sub(self.mapped_bytes - self.allocated_bytes);
        if let Some(limit_bytes) = self.config.limit_bytes
            && missing_bytes > limit_bytes.saturating_sub(self.mapped_bytes)
        {
            let mapped_bytes = self.mapped_bytes;
            return Err(MemoryError::Limit { requested_bytes: bytes, mapped_bytes, limit_bytes });
        }
        let much = self.slab_bytes_next.max(HUGE_PAGE_BYTES);
        if missing_bytes > much { self.map_slab(missing_bytes, bytes) } else { Ok(()) }
    }

    /// The slabs. Holding a clone keeps all memory of this arena mapped (`resident`).
    #[inline]
    #[must_use]
    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Where the bytes are. Constant cost.
    #[must_use]
    pub fn statistics(&self) -> ArenaStatistics {
        ArenaStatistics {
            mapped_bytes: self.mapped_bytes,
            allocated_bytes: self.allocated_bytes,
            free_bytes: self.mapped_bytes - self.allocated_bytes,
            slabs: self.slabs,
            limit_bytes: self.config.limit_bytes,
        }
    }

    /// Gives free pages back to the system until the budget is spent, and returns their bytes,
    /// resident before or not; call it again until it returns 0. The address space stays mapped and
    /// counted.
    pub fn trim(&mut self, budget: Duration) -> usize {
        let started = Instant::now();
        let Self { blocks, pages, mapping, .. } = self;
        // Short of room to note free pages they stay with their blocks, and are given back there.
        _ = blocks.dissolve_empty(true, pages);
        let mut trimmed_bytes = 0;
        let mut discard = |start, bytes| {
            let in_time = started.elapsed() < budget;
            if in_time {
                // SAFETY: free memory has no owner and no contents.
                trimmed_bytes += unsafe { mapping.discard(start, bytes) };
            }
            in_time
        };
        pages.discard_free(&mut discard);
        blocks.discard_free(&mut discard);
        trimmed_bytes
    }

    /// A chunk of a class that has none free and unreserved.
    #[cold]
    #[inline(never)]
    fn allocate_from_pages(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        let least = Blocks::least_chunks(class);
        let error = match self.add_block(class, least, self.blocks.block_chunks(class, 1)) {
            Ok(_) => return Ok(self.take_new(class)),
            Err(error) => error,
        };
        if let Some(chunk) = self.blocks.take_reserved(class) {
            return Ok(chunk);
        }
        let bytes = class.bytes() * least as usize;
        if self.mapped_bytes - self.allocated_bytes < bytes {
            return Err(error);
        }
        self.blocks.cut_free(bytes, &mut self.pages).map_err(heap)?;
        let added = self.blocks.add_block(class, least, &mut self.pages).map_err(heap)?;
        if added.is_some() { Ok(self.take_new(class)) } else { Err(error) }
    }

    /// A chunk of the block that was added just now.
    fn take_new(&mut self, class: SizeClass) -> ChunkPtr {
        self.blocks.take(class, &mut self.pages).expect("a new block is free")
    }

    /// The first chunk of another run.
    #[cold]
    #[inline(never)]
    fn allocate_in_new_run(
        &mut self,
        class: SizeClass,
        run: &mut ChunkRun,
        want: usize,
    ) -> Result<ChunkPtr, MemoryError> {
        self.blocks.end_run(run);
        let want = want.clamp(1, BLOCK_CHUNKS_MAX) as u32;
        let unit = Blocks::least_chunks(class);
        let count = self.blocks.block_chunks(class, want);
        // A run that is much shorter than it might be is taken where a longer one would cost memory.
        let least = if self.blocks.is_roomy(class) { 1 } else { want.div_ceil(4).min(count) };
        if want > 1 && !self.blocks.start_run(class, want, least, run) {
            match self.add_block(class, least.next_multiple_of(unit).min(count), count) {
                Ok(number) => self.blocks.start_run_in(number, want, run),
                // Without a block there is a shorter run, or none.
                Err(_) => _ = self.blocks.start_run(class, want, 1, run),
            }
        }
        match self.blocks.take_next(class, run) {
            Some(chunk) => {
                self.allocated_bytes += class.bytes();
                Ok(chunk)
            }
            None => self.allocate(class),
        }
    }

    /// Adds a block of `count` chunks, or of fewer, but at least `least`, where free pages or the
    /// limit don't suffice. Returns its number.
    fn add_block(&mut self, class: SizeClass, least: u32, count: u32) -> Result<u32, MemoryError> {
        let Self { blocks, pages, .. } = self;
        if let Some(number) = add_from_pages(class, least, count, blocks, pages)? {
            return Ok(number);
        }
        blocks.dissolve_empty(false, pages).map_err(heap)?;
        if let Some(number) = add_from_pages(class, least, count, blocks, pages)? {
            return Ok(number);
        }
        let unit = Blocks::least_chunks(class);
        let unit_bytes = class.bytes() * unit as usize;
        if self.mapped_bytes <= self.ahead_bytes {
            blocks.cut_free(unit_bytes, pages).map_err(heap)?;
            if let Some(number) = add_from_pages(class, unit, count, blocks, pages)? {
                return Ok(number);
            }
        }
        let mapped = self.map_slab(class.bytes() * count as usize, unit_bytes);
        mapped.or_else(|_| self.map_slab(class.bytes() * least as usize, unit_bytes))?;
        let added = add_from_pages(class, least, count, &mut self.blocks, &mut self.pages)?;
        Ok(added.expect("a new slab has room for the block"))
    }

    /// Maps a slab that has at least `needed_bytes`, for a request of `requested_bytes`.
    fn map_slab(&mut self, needed_bytes: usize, requested_bytes: usize) -> Result<(), MemoryError> {
        let least_bytes = needed_bytes.checked_next_multiple_of(PAGE_BYTES);
        let Some(least_bytes) = least_bytes.filter(|&bytes| bytes <= SLAB_BYTES_MAX) else {
            return Err(MemoryError::TooLarge { requested_bytes });
        };
        let wanted_bytes = least_bytes.max(self.slab_bytes_next.min(SLAB_BYTES_MAX));
        let huge = wanted_bytes >= HUGE_PAGE_BYTES;
        let unit_bytes = if huge { HUGE_PAGE_BYTES } else { PAGE_BYTES };
        let mut slab_bytes = wanted_bytes.next_multiple_of(unit_bytes);
        if let Some(limit_bytes) = self.config.limit_bytes {
            let room_bytes = limit_bytes.saturating_sub(self.mapped_bytes) & !(PAGE_BYTES - 1);
            if room_bytes < least_bytes {
                let mapped_bytes = self.mapped_bytes;
                return Err(MemoryError::Limit { requested_bytes, mapped_bytes, limit_bytes });
            }
            slab_bytes = slab_bytes.min(room_bytes);
        }
        let slab_bytes = self.map_most(slab_bytes, least_bytes)?;
        self.slabs += 1;
        self.mapped_bytes += slab_bytes;
        let doubled_bytes = self.slab_bytes_next.saturating_mul(2);
        self.slab_bytes_next = doubled_bytes.min(self.config.slab_bytes_max).max(PAGE_BYTES);
        Ok(())
    }

    /// Maps a slab of `slab_bytes`, or of half as much where the system declines that, and so on down
    /// to `least_bytes` or a small slab: the rest is left for the heap, which ends the process when
    /// it gets nothing. Returns its size.
    fn map_most(
        &mut self,
        mut slab_bytes: usize,
        least_bytes: usize,
    ) -> Result<usize, MemoryError> {
        let small_bytes = self.config.first_slab_bytes.clamp(PAGE_BYTES, HUGE_PAGE_BYTES);
        let small_bytes = small_bytes.next_multiple_of(PAGE_BYTES).max(least_bytes).min(slab_bytes);
        while slab_bytes > small_bytes {
            if self.add_slab(slab_bytes, true).is_ok() {
                return Ok(slab_bytes);
            }
            // The next slab begins with the size to be tried next, and goes up from there again.
            self.slab_bytes_next = (self.slab_bytes_next.min(slab_bytes) / 2).max(small_bytes);
            slab_bytes = ((slab_bytes / 2) & !(PAGE_BYTES - 1)).max(small_bytes);
        }
        // The padding that aligns a slab may be all that is missing.
        self.add_slab(slab_bytes, true).or_else(|_| self.add_slab(slab_bytes, false))?;
        Ok(slab_bytes)
    }

    /// Maps a slab and the map of its pages.
    fn add_slab(&mut self, bytes: usize, aligned: bool) -> Result<(), MemoryError> {
        // A world that outgrows its first slab has not asked the heap again.
        self.blocks.prepare_slab(bytes.max(NOTED_BYTES)).map_err(heap)?;
        self.pages.prepare_spans(bytes.max(NOTED_BYTES)).map_err(heap)?;
        let pages = self.pages.prepare_slab(bytes)?;
        let start = self.mapping.add_slab(bytes, self.config.huge_pages, aligned)?;
        self.pages.add_slab(start, bytes, pages);
        Ok(())
    }
}

/// Adds a block of free pages to a class: of `count` chunks, or of as many as lie side by side, but at
/// least of `least`. Returns its number, if there were as many.
fn add_from_pages(
    class: SizeClass,
    least: u32,
    mut count: u32,
    blocks: &mut Blocks,
    pages: &mut Pages,
) -> Result<Option<u32>, MemoryError> {
    let unit = Blocks::least_chunks(class);
    let most = (pages.longest() / class.bytes()).min(BLOCK_CHUNKS_MAX) as u32;
    count = count.min(most - most % unit);
    if count < least { Ok(None) } else { blocks.add_block(class, count, pages).map_err(heap) }
}

/// The heap gave no room for a list.
fn heap(_: TryReserveError) -> MemoryError {
    MemoryError::Heap { requested_bytes: PAGE_BYTES }
}

#[cfg(test)]
mod tests;
