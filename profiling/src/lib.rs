//! Tests that a simulation, once warm, allocates nothing, and heap profiles of a stretch of it.
//!
//! A test takes ten lines, also of a program without Convoy:
//!
//! ```
//! use convoy_profiling::{Allocator, SteadyState};
//!
//! #[global_allocator]
//! static ALLOCATOR: Allocator = Allocator::SYSTEM;
//!
//! fn a_frame_allocates_nothing() {
//!     let mut positions = vec![0.0_f32; 1_000];
//!     let test = SteadyState::new("positions").warm_up(10).frames(1_000);
//!     test.run(|_| positions.iter_mut().for_each(|x| *x += 0.1)).assert();
//! }
//! # a_frame_allocates_nothing();
//! ```
//!
//! | I want to ... | use |
//! |---|---|
//! | assert that frames allocate nothing | [`SteadyState`] |
//! | allow some allocations | [`Budget`] |
//! | count the threads of a pool | [`Threads`] |
//! | leave out what the test itself allocates | [`uncounted`] |
//! | assert that no memory is mapped, and none becomes resident | [`SteadyState::alone`] |
//! | look at the numbers | [`Report`] |
//! | profile the heap in a stretch of a program | `profile`, `Profile` (feature `dhat`) |
//!
//! [Testing that your simulation doesn't allocate](testing) says how to go about it, and
//! [heap profiles](heap_profiles) how to read one.
//!
//! # Features
//!
//! * `engine`, on by default: counts of a Convoy world beside those of the heap.
//! * `dhat`: heap profiles by [dhat](https://docs.rs/dhat), with the mapped memory of a world beside them.
//!
//! The minimum Rust version is 1.89. Heap counts work wherever Rust does; counts of the process come from
//! Linux.
#![deny(unsafe_code)]

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("heap_profiles.md")]
pub mod heap_profiles {}

mod allocator;
mod budget;
mod counts;
mod offender;
mod process;
#[cfg(feature = "dhat")]
mod profile;
mod report;
mod steady;
mod threads;
mod world;

pub use allocator::Allocator;
pub use budget::Budget;
pub use counts::{HeapCounts, Request};
#[cfg(feature = "dhat")]
pub use dhat;
pub use offender::Offender;
pub use process::ProcessCounts;
#[cfg(feature = "dhat")]
pub use profile::{HeapProfile, HeapSite, Profile, profile};
pub use report::Report;
pub use steady::SteadyState;
pub use threads::{Threads, is_counting, uncounted};
pub use world::WorldCounts;
