//! Memory of Convoy: bytes and chunks, never entities.
//!
//! Three things live here, independent of each other:
//!
//! * **[`Arena`]** hands out chunks by [`SizeClass`] from large anonymous mappings and takes them
//!   back for ever. Once it has warmed up it neither maps nor unmaps.
//! * **[`Scratch`]** keeps payloads until the next reset and converges to one piece of memory.
//! * **[`CellPool`], [`Lease`] and [`Publication`]** share a value among readers that come and go
//!   on any thread, without locks, and reuse its memory once the last of them has left.
//!
//! # Sharing a value
//!
//! ```
//! use convoy_pool::{CellPool, CellPoolConfig, Publication, Recycle};
//!
//! struct Picture(Vec<u8>);
//! impl Recycle for Picture {
//!     fn recycle(&mut self) {
//!         self.0.clear();
//!     }
//!     fn retained_bytes(&self) -> usize {
//!         self.0.capacity()
//!     }
//! }
//!
//! let pool = CellPool::new(CellPoolConfig::default(), || Picture(Vec::new()));
//! let newest = Publication::new();
//!
//! let mut vacant = pool.take();
//! vacant.0.extend_from_slice(b"frame 1");
//! let watch = vacant.watch();
//! let lease = vacant.publish(&newest);
//!
//! let reader = newest.join().expect("the snapshot is shown");
//! assert_eq!(reader.0, b"frame 1");
//! drop(lease);
//! assert!(!watch.ended());
//! drop(reader);
//! assert!(watch.ended());
//! assert_eq!(pool.statistics().pooled, 1);
//! ```
//!
//! # Invariants
//!
//! `unsafe` code is confined to the files that say so in their first lines. It relies on these, and
//! cites them by name:
//!
//! * `resident`: a slab neither moves nor unmaps while its arena or a clone of its [`Mapping`]
//!   lives.
//! * `free`: a chunk whose bit is set in its block has no owner, and is neither read nor written.
//! * `stamped`: a scratch handle carries the stamp of one scratch between two resets.
//! * `held`: a pointer to a cell stands for the one strong count that travels with the cell, or
//!   for a reader's share of it.
//! * `sole-owner`: a vacant or closed cell has exactly one owner, and only the owner writes it.
//! * `leased`: while a cell has readers, its value is only read.
//! * `closed`: a cell without readers gains none until its owner opens the next generation.
//! * `pinned`: a cell that a thread finds on a board while pinned is destroyed after it unpins.
//!
//! `pool/tests/loom.sh` checks those of the cells in every interleaving that a model checker finds.
#![deny(unsafe_code)]

mod arena;
mod blocks;
mod cell;
mod cell_pool;
mod chunk;
mod collector;
mod error;
mod lease;
mod pages;
mod publication;
mod scratch;
mod size_class;
mod slab;
mod state;
mod statistics;
mod sync;

pub use arena::{Arena, ArenaConfig};
pub use blocks::ChunkRun;
pub use cell::Recycle;
pub use cell_pool::{CellPool, CellPoolConfig};
pub use chunk::ChunkPtr;
pub use error::MemoryError;
pub use lease::{Lease, VacantCell, Watch};
pub use publication::Publication;
pub use scratch::{Scratch, ScratchSlice};
pub use size_class::{CHUNK_ALIGN, SizeClass};
pub use slab::{FileChunks, Mapping};
pub use statistics::{ArenaStatistics, CellPoolStatistics, ScratchStatistics};
