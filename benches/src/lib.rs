//! Shared by the benchmarks and the report on them: the allocator's settings, and measurements
//! that are not times.
//!
//! The benchmarks themselves are in `benches/`, a file per verb. `cargo bench -p convoy-benches --features peers`
//! runs them; `cargo run -p convoy-benches --bin report` then writes `results.json` and the
//! README from the files that they left in the target folder.
#![deny(unsafe_code)]

mod allocator;
mod chart;
mod measures;
mod work;

pub use allocator::{heap_bytes, pin_allocator};
pub use chart::{Axis, Line, draw};
pub use measures::{Measure, read_measures, write_measures};
pub use work::{add, pull};
