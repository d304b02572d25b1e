//! Slabs: the large anonymous mappings that chunks are cut from.
//!
//! A slab of 2 MiB or more starts on a 2 MiB boundary, so that the kernel can back it with huge
//! pages; smaller ones start on a page. The mapping is that much longer than the slab; the padding
//! is address space that is neither touched nor counted. All slabs of an arena hang on one
//! [`Mapping`], and a holder of it keeps every slab in place (`resident`), also after the arena is
//! gone.
#![allow(unsafe_code, reason = "gives pages back to the system")]

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use crate::MemoryError;
use crate::chunk::ChunkPtr;
use crate::size_class::CHUNK_ALIGN;

/// The size of a huge page and the alignment of every slab that can hold one.
pub(crate) const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Pages are given back in units of this. It is a multiple of the page size of the system:
/// always 4 KiB on x86-64, at most 64 KiB elsewhere.
const DISCARD_BYTES: usize = if cfg!(target_arch = "x86_64") { 4 << 10 } else { 64 << 10 };

/// One mapping and the part of it that chunks come from.
#[derive(Debug)]
struct Slab {
    /// Raw, so that no reference to the whole can be made: chunks are read and written by their
    /// holders at any time.
    map: MmapRaw,
    start: ChunkPtr,
    bytes: usize,
}

impl Slab {
    /// Maps `bytes`, a multiple of the page size. A slab that is `aligned` starts on the boundary of
    /// a huge page if it can hold one.
    fn map(bytes: usize, huge_pages: bool, aligned: bool) -> Result<Slab, MemoryError> {
        let align = if aligned && bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { 0 };
        let requested_bytes =
            bytes.checked_add(align).ok_or(MemoryError::TooLarge { requested_bytes: bytes })?;
        let map = MmapOptions::new()
            .len(requested_bytes)
            .map_anon()
            .map_err(|source| MemoryError::Map { requested_bytes, source })?;
        let map = MmapRaw::from(map);
        let base = map.as_mut_ptr();
        let offset = if align == 0 { 0 } else { base.align_offset(align) };
        assert!(offset <= align, "an address of the mapping is aligned within one huge page");
        let start = NonNull::new(base.wrapping_add(offset)).map(ChunkPtr::from_aligned);
        let slab = Slab { start: start.expect("a mapping is not at null"), map, bytes };
        if huge_pages && align != 0 {
            slab.advise_huge_pages(offset);
        }
        Ok(slab)
    }

    /// Asks for huge pages. A kernel without them declines, and ordinary pages serve as well.
    fn advise_huge_pages(&self, offset: usize) {
        #[cfg(target_os = "linux")]
        let _declined = self.map.advise_range(memmap2::Advice::HugePage, offset, self.bytes);
        #[cfg(not(target_os = "linux"))]
        let _ = offset;
    }

    /// The offset of `chunk` from the start of the slab, if `bytes` from there lie in the slab.
    fn offset_of(&self, chunk: ChunkPtr, bytes: usize) -> Option<usize> {
        let offset = chunk.address().checked_sub(self.start.address())?;
        (offset <= self.bytes && bytes <= self.bytes - offset).then_some(offset)
    }
}

/// The chunks that a mapped file can be cut into. See [`Mapping::file_chunks`].
#[derive(Clone, Copy, Debug)]
pub struct FileChunks<'m> {
    /// The start of the file, and its bytes. A slab neither moves nor changes its size.
    range: Option<(ChunkPtr, usize)>,
    mapping: PhantomData<&'m Mapping>,
}

impl FileChunks<'_> {
    /// The chunk of so many bytes that begins at `offset`, if they are in the file and it is aligned.
    #[inline]
    #[must_use]
    pub fn get(&self, offset: usize, bytes: usize) -> Option<ChunkPtr> {
        let (start, all) = self.range?;
        let is_inside = offset <= all && bytes <= all - offset;
        (is_inside && offset.is_multiple_of(CHUNK_ALIGN)).then(|| start.offset(offset))
    }
}

/// All slabs of one arena. Holding it keeps their memory mapped (`resident`): a snapshot clones
/// the `Arc` and may outlive the arena and the world.
#[derive(Debug, Default)]
pub struct Mapping {
    /// Only the arena adds slabs, and no thread waits for long: the lock is never held across
    /// foreign code.
    slabs: Mutex<Vec<Slab>>,
    mapped_bytes: AtomicUsize,
}

impl Mapping {
    /// Bytes that chunks can come from, without padding.
    #[must_use]
    pub fn mapped_bytes(&self) -> usize {
        // Relaxed: a statistic that orders nothing.
        self.mapped_bytes.load(Ordering::Relaxed)
    }

    /// Maps the first `bytes` of a file to be read, as one slab that no arena cuts: its chunks are named by
    /// [`Mapping::file_chunks`]. Readers answer for the file: it must not be written or cut short.
    ///
    /// # Errors
    ///
    /// When the system declines.
    pub fn of_file(file: &File, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw_read_only(file)?;
        let start = NonNull::new(map.as_mut_ptr()).map(ChunkPtr::from_aligned);
        let start = start.expect("a mapping is not at null");
        let slabs = Mutex::new(vec![Slab { map, start, bytes }]);
        Ok(Self { slabs, mapped_bytes: AtomicUsize::new(bytes) })
    }

    /// The chunks of a mapped file, which is the first slab of its mapping.
    #[must_use]
    pub fn file_chunks(&self) -> FileChunks<'_> {
        let range = self.lock().first().map(|slab| (slab.start, slab.bytes));
        FileChunks { range, mapping: PhantomData }
    }

    /// Adds a slab and returns its start.
    pub(crate) fn add_slab(
        &self,
        bytes: usize,
        huge_pages: bool,
        aligned: bool,
    ) -> Result<ChunkPtr, MemoryError> {
        let slab = Slab::map(bytes, huge_pages, aligned)?;
        let start = slab.start;
        self.lock().push(slab);
        // Relaxed: a statistic that orders nothing.
        self.mapped_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(start)
    }

    /// Whether `bytes` from `chunk` lie inside one slab. Linear in the number of slabs.
    pub(crate) fn contains(&self, chunk: ChunkPtr, bytes: usize) -> bool {
        self.lock().iter().any(|slab| slab.offset_of(chunk, bytes).is_some())
    }

    /// Gives the whole pages within the range back to the system, and returns their bytes. They
    /// stay mapped; the next touch finds zeroes.
    ///
    /// # Safety
    /// The range is not read or written during the call, and no code relies on its contents
    /// afterwards.
    pub(crate) unsafe fn discard(&self, start: ChunkPtr, bytes: usize) -> usize {
        let first = start.address().next_multiple_of(DISCARD_BYTES);
        let end = (start.address() + bytes) & !(DISCARD_BYTES - 1);
        let Some(bytes) = end.checked_sub(first).filter(|&bytes| bytes > 0) else { return 0 };
        let slabs = self.lock();
        let Some(slab) = slabs.iter().find(|slab| slab.offset_of(start, CHUNK_ALIGN).is_some())
        else {
            return 0;
        };
        let offset = first - slab.map.as_ptr().addr();
        #[cfg(unix)]
        {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the range lies in this mapping and on page boundaries, and the caller vouches
            // that neither it nor its contents are used.
            let advised = unsafe { slab.map.unchecked_advise_range(advice, offset, bytes) };
            if advised.is_ok() { bytes } else { 0 }
        }
        #[cfg(not(unix))]
        {
            let _ = offset;
            0
        }
    }

    /// The slabs. A panic elsewhere leaves the list whole, so poison is of no interest.
    fn lock(&self) -> MutexGuard<'_, Vec<Slab>> {
        self.slabs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
