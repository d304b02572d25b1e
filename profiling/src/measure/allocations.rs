//! [`CountingAllocator`]: the system's allocator, with counts of the requests to it.

#![allow(unsafe_code, reason = "implements a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the allocations and frees of all threads, and leaves the work to the system.
///
/// A binary opts in by making it the global allocator; without that all counts stay zero, which
/// [`CountingAllocator::is_installed`] tells. A reallocation counts as an allocation and a free.
///
/// # Example
///
/// ```
/// use profiling::measure::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// assert!(CountingAllocator::is_installed());
/// let before = CountingAllocator::counts();
/// drop(Box::new(7));
/// let spent = CountingAllocator::counts() - before;
/// assert!(spent.allocations >= 1 && spent.frees >= 1);
/// ```
#[derive(Debug)]
pub struct CountingAllocator;

/// How often the heap was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllocationCounts {
    /// Blocks allocated.
    pub allocations: u64,
    /// Blocks freed.
    pub frees: u64,
}

impl std::ops::Sub for AllocationCounts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            frees: self.frees - before.frees,
        }
    }
}

/// All accesses are relaxed: counts order nothing, and are read at rest or as an estimate.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread's use of the heap is left out.
    static UNCOUNTED: Cell<bool> = const { Cell::new(false) };
}

impl CountingAllocator {
    /// The counts since the program began.
    pub fn counts() -> AllocationCounts {
        AllocationCounts {
            allocations: ALLOCATIONS.load(Ordering::Relaxed),
            frees: FREES.load(Ordering::Relaxed),
        }
    }

    /// Whether this is the program's global allocator: no program starts without an allocation.
    pub fn is_installed() -> bool {
        Self::counts().allocations > 0
    }

    /// Runs `action` without counting its requests on this thread: for drawing a progress bar
    /// while other threads are being measured.
    pub fn uncounted<R>(action: impl FnOnce() -> R) -> R {
        let before = UNCOUNTED.replace(true);
        let result = action();
        UNCOUNTED.set(before);
        result
    }
}

#[inline]
fn count(counter: &AtomicU64) {
    // A thread that is ending has no flag any more, and counts.
    if !UNCOUNTED.try_with(Cell::get).unwrap_or(false) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed on to the system's allocator, whose answers are returned unchanged;
// counting neither allocates nor panics, because the flag is initialised by a constant and needs no
// destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(&ALLOCATIONS);
        count(&FREES);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&FREES);
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }
}
