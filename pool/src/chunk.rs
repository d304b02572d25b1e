//! Chunk pointers.
#![allow(unsafe_code, reason = "sends the addresses of chunks between threads")]

use std::ptr::NonNull;

use crate::size_class::CHUNK_ALIGN;

/// The address of a chunk. It is a name, not access: reads and writes of the memory behind it are
/// the holder's business.
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
    #[inline]
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
