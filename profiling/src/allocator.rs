//! [`Allocator`]: any global allocator, with counts of the requests to it.

#![allow(unsafe_code, reason = "implements a global allocator")]

use std::alloc::{GlobalAlloc, Layout, System};

use crate::counts::Request;
use crate::threads::count;

/// Counts the requests of each thread to an allocator, and leaves the work to it.
///
/// A request costs an access to a thread-local variable and some additions; requests of threads that
/// are not [enrolled](crate::Threads) cost atomic additions.
///
/// ```
/// use convoy_profiling::{Allocator, SteadyState};
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator::SYSTEM;
///
/// let mut numbers = Vec::with_capacity(2_000);
/// SteadyState::new("numbers").run(|frame| numbers.push(frame)).assert();
/// ```
#[derive(Debug, Default)]
pub struct Allocator<A = System>(A);

impl Allocator {
    /// The allocator of the system, with counts.
    pub const SYSTEM: Self = Self(System);
}

#[cfg(feature = "dhat")]
impl Allocator<dhat::Alloc> {
    /// dhat's allocator, with counts: for heap profiles.
    pub const DHAT: Self = Self(dhat::Alloc);
}

impl<A> Allocator<A> {
    /// Another allocator, with counts.
    ///
    /// ```
    /// use std::alloc::System;
    ///
    /// use convoy_profiling::Allocator;
    ///
    /// // In place of `System`, any allocator.
    /// #[global_allocator]
    /// static ALLOCATOR: Allocator<System> = Allocator::new(System);
    /// # fn main() {}
    /// ```
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

// SAFETY: every call is passed on to the allocator inside, whose answers are returned unchanged.
// Counting doesn't unwind, and what it allocates goes to the allocator inside without being counted.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(Request::Allocation { bytes: layout.size() });
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(Request::Allocation { bytes: layout.size() });
        // SAFETY: the caller's contract.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(Request::Reallocation { from_bytes: layout.size(), to_bytes: bytes });
        // SAFETY: the caller's contract.
        unsafe { self.0.realloc(block, layout, bytes) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(Request::Free { bytes: layout.size() });
        // SAFETY: the caller's contract.
        unsafe { self.0.dealloc(block, layout) }
    }
}
