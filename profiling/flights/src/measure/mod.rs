//! The cost of a run of a scenario: times, bytes and heap allocations.
//!
//! * [`measure`] steps a [`Scenario`](crate::scenario::Scenario) and returns a [`Measurement`].
//! * The heap's work is counted in a binary whose global allocator is that of `convoy_profiling`.

mod run;

pub use run::{Measurement, WARM_UP_FRAMES, measure};
