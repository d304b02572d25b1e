//! The cost of a run of a scenario: times, bytes and heap allocations.
//!
//! * [`measure`] steps a [`Scenario`](crate::scenario::Scenario) and returns a [`Measurement`].
//! * A [`FrameLog`] keeps each frame of a run, for a report with charts.
//! * The heap's work is counted in a binary whose global allocator is that of `convoy_profiling`.

mod frames;
mod run;

pub use frames::{Frame, FrameLog, FrameSample, Picture};
pub use run::{Measurement, WARM_UP_FRAMES, measure, warm_up_of};
