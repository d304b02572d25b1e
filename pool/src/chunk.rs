//! Chunk pointers and the intrusive lists that free chunks wait on.
//!
//! A free chunk belongs to nobody, so its own first word holds the link to the next one: a list
//! of any length needs no memory (`listed`). Lists are last-in first-out, so that the next chunk
//! handed out is the one that is warm in the caches.
#![allow(unsafe_code, reason = "reads and writes links inside free chunks")]

use std::ptr::NonNull;

use crate::size_class::CHUNK_ALIGN;

/// The address of a chunk. It is a name, not access: who may read or write the memory behind it
/// is the holder's business.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkPtr(NonNull<u8>);

// SAFETY: the pointer alone gives no access; every dereference answers for itself.
unsafe impl Send for ChunkPtr {}
// SAFETY: as for `Send`.
unsafe impl Sync for ChunkPtr {}

impl ChunkPtr {
    /// The start of the chunk, aligned to [`CHUNK_ALIGN`](crate::CHUNK_ALIGN).
    #[inline]
    #[must_use]
    pub fn as_ptr(self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// Names the chunk at `start`.
    ///
    /// # Panics
    /// When `start` is not aligned.
    pub(crate) fn from_aligned(start: NonNull<u8>) -> ChunkPtr {
        assert_eq!(start.addr().get() % CHUNK_ALIGN, 0, "a chunk is aligned");
        ChunkPtr(start)
    }

    /// The chunk that starts `bytes` further on, in the same slab.
    pub(crate) fn offset(self, bytes: usize) -> ChunkPtr {
        let start = NonNull::new(self.as_ptr().wrapping_add(bytes));
        ChunkPtr::from_aligned(start.expect("a slab does not wrap around the address space"))
    }

    /// The address as a number.
    #[inline]
    pub(crate) fn address(self) -> usize {
        self.0.addr().get()
    }
}

/// A stack of free chunks.
#[derive(Debug, Default)]
pub(crate) struct FreeStack {
    head: Option<ChunkPtr>,
}

impl FreeStack {
    /// Adds a chunk.
    ///
    /// # Safety
    /// The chunk is mapped as long as the stack lives, holds a link, and from now on nobody else
    /// reads or writes it.
    #[inline]
    pub(crate) unsafe fn push(&mut self, chunk: ChunkPtr) {
        let link = chunk.as_ptr().cast::<Option<ChunkPtr>>();
        // SAFETY: the caller vouches that the chunk is mapped and ours alone; chunks are aligned
        // well beyond a pointer and longer than one.
        unsafe { link.write(self.head) };
        self.head = Some(chunk);
    }

    /// Takes the chunk added last.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ChunkPtr> {
        let chunk = self.head?;
        let link = chunk.as_ptr().cast::<Option<ChunkPtr>>();
        // SAFETY: `listed`: `push` wrote the link and nobody touched the chunk since.
        self.head = unsafe { link.read() };
        Some(chunk)
    }
}

/// The free chunks of one class: those used lately, and those whose pages went back to the system.
#[derive(Debug, Default)]
pub(crate) struct FreeList {
    /// Chunks as they were recycled.
    pub(crate) warm: FreeStack,
    /// Chunks that a trim emptied but for the page that holds the link.
    pub(crate) cold: FreeStack,
}

impl FreeList {
    /// Takes a chunk, a warm one if there is any.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ChunkPtr> {
        match self.warm.pop() {
            None => self.cold.pop(),
            chunk => chunk,
        }
    }
}
