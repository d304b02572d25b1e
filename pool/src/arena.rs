//! The arena: chunks by size class, cut from slabs and recycled for ever.
//!
//! A request takes the chunk recycled last in its class. If there is none, a chunk is carved from
//! an uncut *region* of a slab; if no region is large enough, a slab is mapped, each twice as large
//! as the one before, or as large as the system gives; and if the limit forbids that or the system
//! gives nothing, a larger free chunk becomes a region again and is cut. Regions too short for the class at hand are cut into smaller free chunks, so that no
//! byte is lost: what is mapped is either handed out, listed or uncut. Free neighbours are not
//! merged until everything is free.
//!
//! One thread owns the arena, so nothing here is atomic. The arena knows bytes and classes, never
//! what they hold.
#![allow(unsafe_code, reason = "turns uncut memory into free chunks and back")]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chunk::{ChunkPtr, FreeList};
use crate::size_class::{CHUNK_ALIGN, CHUNK_BYTES_MIN, PAGE_BYTES, SMALL_CLASSES};
use crate::slab::{HUGE_PAGE_BYTES, Mapping};
use crate::{ArenaStatistics, MemoryError, SizeClass};

/// How an [`Arena`] maps memory.
#[derive(Clone, Debug)]
pub struct ArenaConfig {
    /// What the arena may map at most; rounded down to whole pages.
    pub limit_bytes: Option<usize>,
    /// The size of the first slab: 2 MiB, one huge page, unless told otherwise. At least a page; and
    /// where the system declines as much, the arena takes half of it, and so on down to 2 MiB.
    pub first_slab_bytes: usize,
    /// The size up to which slabs double: 64 MiB unless told otherwise. At least a page.
    pub slab_bytes_max: usize,
    /// Whether to ask for huge pages.
    pub huge_pages: bool,
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

/// Uncut memory.
#[derive(Debug)]
struct Region {
    start: ChunkPtr,
    bytes: usize,
    /// Whether no page of it was touched since the system last provided it.
    untouched: bool,
}

impl Region {
    /// Whether a chunk of `bytes` can be cut off so that the rest is empty or can be cut up
    /// without loss. Every multiple of 128 from 256 on is a sum of 256s and 384s.
    fn fits(&self, bytes: usize) -> bool {
        self.bytes == bytes || self.bytes >= bytes + CHUNK_BYTES_MIN
    }

    /// Cuts a chunk off the front.
    fn carve(&mut self, bytes: usize) -> ChunkPtr {
        debug_assert!(self.fits(bytes));
        let chunk = self.start;
        self.start = chunk.offset(bytes);
        self.bytes -= bytes;
        chunk
    }
}

/// The free chunks of one large class. The entry appears when the class is first allocated, so
/// that recycling never allocates.
#[derive(Debug)]
struct LargeClass {
    class: SizeClass,
    free: FreeList,
}

/// Hands out chunks by size class. It can move between threads and is used by one at a time.
///
/// Memory is never unmapped while the arena or a holder of its [`Mapping`] lives, and a chunk's
/// contents are whatever its last user left there.
///
/// ```
/// use convoy_pool::{Arena, ArenaConfig, SizeClass};
///
/// let mut arena = Arena::new(ArenaConfig::default());
/// let class = SizeClass::for_bytes(12 * 1024)?;
/// let chunk = arena.allocate(class)?;
/// // SAFETY: the chunk comes from this arena with this class, and nobody uses it any more.
/// unsafe { arena.recycle(chunk, class) };
/// assert_eq!(arena.allocate(class)?, chunk);
/// # Ok::<(), convoy_pool::MemoryError>(())
/// ```
pub struct Arena {
    small: [FreeList; SMALL_CLASSES],
    /// Sorted by class.
    large: Vec<LargeClass>,
    /// Uncut memory, oldest first: at most a region for every slab and for every split chunk.
    regions: Vec<Region>,
    mapping: Arc<Mapping>,
    config: ArenaConfig,
    slab_bytes_next: usize,
    slabs: usize,
    mapped_bytes: usize,
    allocated_bytes: usize,
    listed_bytes: usize,
    uncut_bytes: usize,
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
            small: Default::default(),
            large: Vec::new(),
            regions: Vec::new(),
            mapping: Arc::default(),
            slab_bytes_next: config.first_slab_bytes.max(PAGE_BYTES),
            config,
            slabs: 0,
            mapped_bytes: 0,
            allocated_bytes: 0,
            listed_bytes: 0,
            uncut_bytes: 0,
        }
    }

    /// A chunk of the class, with arbitrary but initialised contents. It is the caller's alone
    /// until it is recycled. A few instructions when the class has a free chunk.
    ///
    /// # Errors
    /// [`MemoryError::Limit`] or [`MemoryError::Map`] when no memory is free and none can be
    /// mapped.
    #[inline]
    pub fn allocate(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        if let Some(list) = self.small.get_mut(class.index())
            && let Some(chunk) = list.pop()
        {
            self.listed_bytes -= class.bytes();
            self.allocated_bytes += class.bytes();
            return Ok(chunk);
        }
        self.allocate_large_or_carve(class)
    }

    /// Takes a chunk back. It is the next one that its class hands out. Never allocates.
    ///
    /// # Safety
    /// The chunk came from this arena's [`allocate`](Arena::allocate) with this class, was not
    /// recycled since, and nobody reads or writes it any more.
    #[inline]
    pub unsafe fn recycle(&mut self, chunk: ChunkPtr, class: SizeClass) {
        debug_assert!(self.mapping.contains(chunk, class.bytes()), "the chunk is of this arena");
        let list = self.free_list(class).expect("a class that was allocated has a list");
        // SAFETY: `resident`: the arena keeps its slabs mapped; the caller gives the chunk up.
        unsafe { list.warm.push(chunk) };
        self.allocated_bytes -= class.bytes();
        self.listed_bytes += class.bytes();
    }

    /// Takes many chunks of one class back, so that they are handed out again in the order given.
    ///
    /// # Safety
    /// As for [`recycle`](Arena::recycle), for each chunk.
    pub unsafe fn recycle_all(
        &mut self,
        chunks: impl DoubleEndedIterator<Item = ChunkPtr>,
        class: SizeClass,
    ) {
        for chunk in chunks.rev() {
            // SAFETY: the caller vouches for every chunk.
            unsafe { self.recycle(chunk, class) };
        }
    }

    /// Maps ahead, so that chunks of together `bytes` bytes, of any classes, can be carved without
    /// a new mapping. Pages become resident only when touched.
    ///
    /// # Errors
    /// [`MemoryError::Limit`], [`MemoryError::Map`] or [`MemoryError::TooLarge`].
    pub fn reserve(&mut self, bytes: usize) -> Result<(), MemoryError> {
        // The last chunk leaves a rest that can itself be cut, whatever the classes were.
        let needed_bytes = match bytes.checked_add(CHUNK_BYTES_MIN) {
            Some(needed_bytes) => needed_bytes,
            None => return Err(MemoryError::TooLarge { requested_bytes: bytes }),
        };
        if self.regions.iter().any(|region| region.bytes >= needed_bytes) {
            return Ok(());
        }
        self.map_slab(needed_bytes)
    }

    /// Finds out whether chunks of together `bytes` bytes can be had: from what is free, and from
    /// what may be mapped beyond that. Much more than is free is mapped at once, as only the system
    /// can tell whether it gives that. So whoever is going to take many chunks learns before the
    /// first of them that there are not as many.
    ///
    /// Chunks of one class may still fail to be had where free ones are of smaller classes.
    ///
    /// # Errors
    /// As [`reserve`](Arena::reserve).
    pub fn check_room(&mut self, bytes: usize) -> Result<(), MemoryError> {
        let missing_bytes = bytes.saturating_sub(self.listed_bytes + self.uncut_bytes);
        if let Some(limit_bytes) = self.config.limit_bytes
            && missing_bytes > limit_bytes.saturating_sub(self.mapped_bytes)
        {
            let mapped_bytes = self.mapped_bytes;
            return Err(MemoryError::Limit { requested_bytes: bytes, mapped_bytes, limit_bytes });
        }
        let much = self.slab_bytes_next.max(HUGE_PAGE_BYTES);
        if missing_bytes > much { self.map_slab(missing_bytes) } else { Ok(()) }
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
        let free_bytes = self.listed_bytes + self.uncut_bytes;
        debug_assert_eq!(self.allocated_bytes + free_bytes, self.mapped_bytes);
        ArenaStatistics {
            mapped_bytes: self.mapped_bytes,
            allocated_bytes: self.allocated_bytes,
            free_bytes,
            slabs: self.slabs,
            limit_bytes: self.config.limit_bytes,
        }
    }

    /// Gives free pages back to the system until the budget is spent, and returns their bytes,
    /// resident before or not; call it again until it returns 0. The address space stays mapped and
    /// counted. When nothing at all is allocated, every slab becomes uncut again and goes back
    /// whole; otherwise a free chunk keeps the page that holds its link.
    pub fn trim(&mut self, budget: Duration) -> usize {
        let started = Instant::now();
        if self.allocated_bytes == 0 && self.listed_bytes > 0 {
            self.merge_everything();
        }
        let mut trimmed_bytes = 0;
        for region in self.regions.iter_mut().filter(|region| !region.untouched) {
            if started.elapsed() >= budget {
                return trimmed_bytes;
            }
            // SAFETY: uncut memory belongs to nobody and has no contents.
            trimmed_bytes += unsafe { self.mapping.discard(region.start, region.bytes) };
            region.untouched = true;
        }
        let small = self.small.iter_mut().zip(SizeClass::small());
        let large = self.large.iter_mut().map(|large| (&mut large.free, large.class));
        for (list, class) in small.chain(large).filter(|(_, class)| class.bytes() > PAGE_BYTES) {
            while started.elapsed() < budget {
                let Some(chunk) = list.warm.pop() else { break };
                let past_link = chunk.offset(CHUNK_ALIGN);
                // SAFETY: `listed`: nobody uses the chunk, and only its link has to survive.
                trimmed_bytes +=
                    unsafe { self.mapping.discard(past_link, class.bytes() - CHUNK_ALIGN) };
                // SAFETY: `resident`, and the chunk was on a list of this arena just now.
                unsafe { list.cold.push(chunk) };
            }
        }
        trimmed_bytes
    }

    /// The slow half of [`allocate`](Arena::allocate).
    #[cold]
    #[inline(never)]
    fn allocate_large_or_carve(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        let large = class.index() >= SMALL_CLASSES;
        let listed = if large { self.free_list(class).and_then(FreeList::pop) } else { None };
        let chunk = match listed {
            Some(chunk) => {
                self.listed_bytes -= class.bytes();
                chunk
            }
            None => {
                let chunk = self.carve(class)?;
                self.uncut_bytes -= class.bytes();
                chunk
            }
        };
        if large && let Err(position) = self.find_large(class) {
            self.large.insert(position, LargeClass { class, free: FreeList::default() });
        }
        self.allocated_bytes += class.bytes();
        Ok(chunk)
    }

    /// Carves a chunk from a region, from a new slab, or from a larger free chunk.
    fn carve(&mut self, class: SizeClass) -> Result<ChunkPtr, MemoryError> {
        if let Some(chunk) = self.carve_region(class) {
            return Ok(chunk);
        }
        if let Err(error) = self.map_slab(class.bytes())
            && !self.split_larger(class.bytes())
        {
            if self.allocated_bytes > 0 {
                return Err(error);
            }
            // Everything is free, only in too small pieces.
            self.merge_everything();
            return self.carve_region(class).ok_or(error);
        }
        Ok(self.carve_region(class).expect("a new slab or a split chunk fits the class"))
    }

    /// Carves a chunk from the oldest region that fits. Regions too short for a small class are
    /// cut up on the way; a large class leaves them for others.
    fn carve_region(&mut self, class: SizeClass) -> Option<ChunkPtr> {
        let mut index = 0;
        while let Some(region) = self.regions.get_mut(index) {
            if region.fits(class.bytes()) {
                let chunk = region.carve(class.bytes());
                if region.bytes == 0 {
                    self.regions.remove(index);
                }
                return Some(chunk);
            }
            if class.index() < SMALL_CLASSES {
                let region = self.regions.remove(index);
                self.cut_up(region);
            } else {
                index += 1;
            }
        }
        None
    }

    /// Cuts a region into free small chunks, the largest first.
    fn cut_up(&mut self, mut region: Region) {
        self.uncut_bytes -= region.bytes;
        self.listed_bytes += region.bytes;
        while region.bytes > 0 {
            let class = SizeClass::small_descending().find(|class| region.fits(class.bytes()));
            let class = class.expect("a rest is a multiple of 128 from 256 on");
            let chunk = region.carve(class.bytes());
            let list = &mut self.small[class.index()];
            // SAFETY: `resident`: the arena keeps its slabs mapped, and uncut memory is nobody's.
            unsafe { list.warm.push(chunk) };
        }
    }

    /// Turns the smallest free chunk that fits `bytes` into a region, if there is one.
    fn split_larger(&mut self, bytes: usize) -> bool {
        let small = self.small.iter_mut().zip(SizeClass::small());
        let large = self.large.iter_mut().map(|large| (&mut large.free, large.class));
        for (list, class) in small.chain(large) {
            if class.bytes() >= bytes + CHUNK_BYTES_MIN
                && let Some(start) = list.pop()
            {
                self.listed_bytes -= class.bytes();
                self.uncut_bytes += class.bytes();
                self.regions.push(Region { start, bytes: class.bytes(), untouched: false });
                return true;
            }
        }
        false
    }

    /// Maps a slab that has at least `needed_bytes`.
    fn map_slab(&mut self, needed_bytes: usize) -> Result<(), MemoryError> {
        let least_bytes = needed_bytes.checked_next_multiple_of(PAGE_BYTES);
        let Some(least_bytes) = least_bytes.filter(|&bytes| bytes <= SLAB_BYTES_MAX) else {
            return Err(MemoryError::TooLarge { requested_bytes: needed_bytes });
        };
        let wanted_bytes = least_bytes.max(self.slab_bytes_next.min(SLAB_BYTES_MAX));
        let huge = wanted_bytes >= HUGE_PAGE_BYTES;
        let unit_bytes = if huge { HUGE_PAGE_BYTES } else { PAGE_BYTES };
        let mut slab_bytes = wanted_bytes.next_multiple_of(unit_bytes);
        if let Some(limit_bytes) = self.config.limit_bytes {
            let room_bytes = limit_bytes.saturating_sub(self.mapped_bytes) & !(PAGE_BYTES - 1);
            if room_bytes < least_bytes {
                return Err(MemoryError::Limit {
                    requested_bytes: needed_bytes,
                    mapped_bytes: self.mapped_bytes,
                    limit_bytes,
                });
            }
            slab_bytes = slab_bytes.min(room_bytes);
        }
        let (start, slab_bytes) = self.map_most(slab_bytes, least_bytes)?;
        self.regions.push(Region { start, bytes: slab_bytes, untouched: true });
        self.slabs += 1;
        self.mapped_bytes += slab_bytes;
        self.uncut_bytes += slab_bytes;
        let doubled_bytes = self.slab_bytes_next.saturating_mul(2);
        self.slab_bytes_next = doubled_bytes.min(self.config.slab_bytes_max).max(PAGE_BYTES);
        Ok(())
    }

    /// Maps a slab of `slab_bytes`, or of half as much where the system declines that, and so on
    /// down to `least_bytes` or a small slab: what is left then is the heap's, which ends the process
    /// when it gets nothing. Returns its start and its size.
    fn map_most(
        &mut self,
        mut slab_bytes: usize,
        least_bytes: usize,
    ) -> Result<(ChunkPtr, usize), MemoryError> {
        let huge_pages = self.config.huge_pages;
        let small_bytes = self.config.first_slab_bytes.clamp(PAGE_BYTES, HUGE_PAGE_BYTES);
        let small_bytes = small_bytes.next_multiple_of(PAGE_BYTES).max(least_bytes).min(slab_bytes);
        while slab_bytes > small_bytes {
            if let Ok(start) = self.mapping.add_slab(slab_bytes, huge_pages, true) {
                return Ok((start, slab_bytes));
            }
            // The next slab begins with what is left to try, and goes up from there again.
            self.slab_bytes_next = self.slab_bytes_next.min(slab_bytes) / 2;
            slab_bytes = ((slab_bytes / 2) & !(PAGE_BYTES - 1)).max(small_bytes);
        }
        let aligned = self.mapping.add_slab(slab_bytes, huge_pages, true);
        // What aligns a slab may be what is missing.
        let start = aligned.or_else(|_| self.mapping.add_slab(slab_bytes, huge_pages, false))?;
        Ok((start, slab_bytes))
    }

    /// Makes every slab one region again. Nothing is allocated, so no chunk is lost.
    fn merge_everything(&mut self) {
        assert_eq!(self.allocated_bytes, 0, "all chunks were recycled");
        self.small = Default::default();
        for large in &mut self.large {
            large.free = FreeList::default();
        }
        let regions = &mut self.regions;
        regions.clear();
        self.mapping.for_each_slab(|start, bytes| {
            regions.push(Region { start, bytes, untouched: false });
        });
        self.uncut_bytes = self.mapped_bytes;
        self.listed_bytes = 0;
    }

    /// The free list of a class, if it is small or was allocated before.
    #[inline]
    fn free_list(&mut self, class: SizeClass) -> Option<&mut FreeList> {
        if class.index() < SMALL_CLASSES {
            return self.small.get_mut(class.index());
        }
        let position = self.find_large(class).ok()?;
        self.large.get_mut(position).map(|large| &mut large.free)
    }

    /// Where a large class is, or where it belongs.
    fn find_large(&self, class: SizeClass) -> Result<usize, usize> {
        self.large.binary_search_by_key(&class, |large| large.class)
    }
}
