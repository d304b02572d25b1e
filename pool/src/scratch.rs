//! Scratch: memory for payloads that live until the next reset.
//!
//! Bytes are copied into a bump allocator and named by a [`ScratchSlice`]. Resetting a bump
//! allocator keeps only its last chunk, so a frame that overflows it would allocate again each
//! time. A scratch therefore replaces a broken-up memory by one chunk that holds the largest frame
//! seen so far: after at most two frames of a given size it never allocates again.
//!
//! A handle carries the *stamp* of the scratch between two resets. Stamps are drawn from one
//! counter and never repeat, so a handle of another scratch or of an earlier frame is always
//! recognised (`stamped`).
#![allow(unsafe_code, reason = "turns a stamped handle back into the slice it names")]

use std::fmt;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use bumpalo::Bump;

use crate::ScratchStatistics;

/// The source of stamps. 64 bits do not repeat.
static NEXT_STAMP: AtomicU64 = AtomicU64::new(0);

/// A new stamp.
fn draw_stamp() -> u64 {
    // Relaxed: only that no number comes twice matters.
    NEXT_STAMP.fetch_add(1, Ordering::Relaxed)
}

/// Names bytes in a [`Scratch`] until its next reset.
#[derive(Clone, Copy, Debug)]
pub struct ScratchSlice {
    stamp: u64,
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a handle gives no access without the scratch that it names.
unsafe impl Send for ScratchSlice {}
// SAFETY: as for `Send`.
unsafe impl Sync for ScratchSlice {}

impl ScratchSlice {
    /// How many bytes it names.
    #[must_use]
    pub fn len(self) -> usize {
        self.bytes
    }

    /// Whether it names no bytes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bytes == 0
    }
}

/// Memory for payloads that live until the next reset.
///
/// ```
/// use convoy_pool::Scratch;
///
/// let mut scratch = Scratch::new();
/// let payload = scratch.store(b"move north");
/// assert_eq!(scratch.get(payload), b"move north");
/// scratch.reset();
/// ```
pub struct Scratch {
    bump: Bump,
    stamp: u64,
    /// The bytes that `bump` reserves while it is one chunk; more means that it broke up.
    chunk_bytes: usize,
    used_bytes: usize,
    peak_bytes: usize,
    regrown: u64,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scratch").field("statistics", &self.statistics()).finish()
    }
}

impl Scratch {
    /// An empty scratch. Allocates at the first store.
    #[must_use]
    pub fn new() -> Scratch {
        Scratch::with_capacity(0)
    }

    /// A scratch whose first `bytes` bytes between two resets need no allocation.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Scratch {
        let bump = Bump::with_capacity(bytes);
        Scratch {
            chunk_bytes: bump.allocated_bytes(),
            bump,
            stamp: draw_stamp(),
            used_bytes: 0,
            peak_bytes: 0,
            regrown: 0,
        }
    }

    /// Copies the bytes in, without alignment, and returns their name.
    pub fn store(&mut self, bytes: &[u8]) -> ScratchSlice {
        let stored = self.bump.alloc_slice_copy(bytes);
        self.used_bytes += bytes.len();
        ScratchSlice { stamp: self.stamp, bytes: stored.len(), start: NonNull::from(stored).cast() }
    }

    /// The bytes that the handle names.
    ///
    /// # Panics
    /// When the handle is of another scratch or from before the last reset.
    #[must_use]
    #[track_caller]
    pub fn get(&self, slice: ScratchSlice) -> &[u8] {
        assert_eq!(slice.stamp, self.stamp, "the handle is of this scratch and of this frame");
        // SAFETY: `stamped`: `store` of this scratch wrote these bytes since the last reset, they
        // are not written again, and `&self` bars a reset while the slice lives.
        unsafe { slice::from_raw_parts(slice.start.as_ptr(), slice.bytes) }
    }

    /// Forgets everything stored. All handles become invalid. Allocates only when the frame did
    /// not fit into one chunk.
    pub fn reset(&mut self) {
        self.stamp = draw_stamp();
        self.peak_bytes = self.peak_bytes.max(self.used_bytes);
        self.used_bytes = 0;
        if self.bump.allocated_bytes() == self.chunk_bytes {
            self.bump.reset();
            return;
        }
        // The old memory goes before the new one comes, so that both never add up.
        self.bump = Bump::new();
        self.bump = Bump::with_capacity(self.peak_bytes.next_power_of_two());
        self.chunk_bytes = self.bump.allocated_bytes();
        self.regrown += 1;
    }

    /// How full it is and was.
    #[must_use]
    pub fn statistics(&self) -> ScratchStatistics {
        ScratchStatistics {
            used_bytes: self.used_bytes,
            capacity_bytes: self.bump.allocated_bytes(),
            peak_bytes: self.peak_bytes.max(self.used_bytes),
            regrown: self.regrown,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
    use super::*;

    fn fill(scratch: &mut Scratch, stores: usize) {
        for number in 0..stores {
            let payload = [number as u8; 37];
            let slice = scratch.store(&payload);
            assert_eq!(scratch.get(slice), payload);
        }
    }

    #[test]
    fn handles_name_their_bytes_until_the_reset() {
        let mut scratch = Scratch::new();
        let slices: Vec<_> = (0..200u8).map(|byte| scratch.store(&[byte; 100])).collect();
        for (byte, &slice) in slices.iter().enumerate() {
            assert_eq!(scratch.get(slice), [byte as u8; 100]);
        }
        let empty = scratch.store(&[]);
        assert!(empty.is_empty() && scratch.get(empty).is_empty());
        assert_eq!(scratch.statistics().used_bytes, 20_000);
    }

    #[test]
    #[should_panic(expected = "of this frame")]
    fn handle_from_before_the_reset_panics() {
        let mut scratch = Scratch::new();
        let slice = scratch.store(b"old");
        scratch.reset();
        let _ = scratch.get(slice);
    }

    #[test]
    #[should_panic(expected = "of this scratch")]
    fn handle_of_another_scratch_panics() {
        let mut scratch = Scratch::new();
        let slice = Scratch::new().store(b"other");
        scratch.store(b"mine");
        let _ = scratch.get(slice);
    }

    #[test]
    fn scratch_converges_within_two_frames_and_stays() {
        let mut scratch = Scratch::new();
        for _ in 0..2 {
            fill(&mut scratch, 10_000);
            scratch.reset();
        }
        let settled = scratch.statistics();
        assert_eq!(settled.peak_bytes, 370_000);
        assert_eq!(settled.regrown, 1);
        for frame in 0..1000 {
            fill(&mut scratch, 10_000 - frame);
            assert_eq!(scratch.statistics().capacity_bytes, settled.capacity_bytes);
            scratch.reset();
        }
        assert_eq!(scratch.statistics(), settled);
    }

    #[test]
    fn scratch_with_capacity_never_regrows_below_it() {
        let mut scratch = Scratch::with_capacity(37 * 100);
        let capacity_bytes = scratch.statistics().capacity_bytes;
        fill(&mut scratch, 100);
        scratch.reset();
        let statistics = scratch.statistics();
        assert_eq!((statistics.capacity_bytes, statistics.regrown), (capacity_bytes, 0));
    }
}
