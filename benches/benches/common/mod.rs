//! The common parts of the benchmarks: components, rows, the hand-written baseline, Convoy with
//! and without a live snapshot, and how a pass is timed.
//!
//! A group is a verb. In it `subject/workload` names a benchmark: the report pairs the subjects of
//! one workload. Every subject sets its state up once, outside of the timed part.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "every benchmark uses a part of this module"
)]

#[cfg(feature = "peers")]
pub(crate) mod columns;
pub(crate) mod components;
#[cfg(feature = "peers")]
pub(crate) mod live;
#[cfg(feature = "peers")]
pub(crate) mod raw;
#[cfg(feature = "peers")]
pub(crate) mod rows;
pub(crate) mod shuffle;
pub(crate) mod simulation;
pub(crate) mod timing;
