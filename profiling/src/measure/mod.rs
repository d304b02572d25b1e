//! The cost of a run of a scenario: times, bytes and heap allocations.
//!
//! * [`measure`] steps a [`Scenario`](crate::scenario::Scenario) and returns a [`Measurement`].
//! * [`CountingAllocator`] counts the heap's work in a binary that makes it the global allocator.

mod allocations;
mod run;

pub use allocations::{AllocationCounts, CountingAllocator};
pub use run::{Measurement, WARM_UP_FRAMES, measure};
