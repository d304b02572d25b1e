//! Deltas: the difference of two states of a world as bytes, to send, to store and to apply elsewhere.
//!
//! [`Delta::encode`] and [`DeltaEncoder`] write what differs between two views, or all of one.
//! [`World::apply`](crate::World::apply) makes a world that has the first state have the second: rows in their
//! order, the handles that come next, resources, events, texts and the tick. Two views of worlds of the same
//! types have a delta, in either direction of time.
//! [`World::apply_mapped`](crate::World::apply_mapped) takes the logical changes over into a world that has
//! entities of its own.
//!
//! ```
//! use convoy_engine::delta::Delta;
//! use convoy_engine::{ComponentMask, SnapshotPool, World};
//!
//! let (mut world, pool) = (World::new(), SnapshotPool::default());
//! world.spawn((1_u32,));
//! let older = world.capture(ComponentMask::ALL, &pool);
//! let mut twin = World::branch(&older).unwrap();
//! let ship = world.spawn((2_u32,));
//! let newer = world.capture(ComponentMask::ALL, &pool);
//!
//! let mut bytes = Vec::new();
//! Delta::encode(&older, &newer, &mut bytes).unwrap();
//! let delta = Delta::parse(&bytes).unwrap();
//! twin.apply(&delta).unwrap();
//! assert_eq!(twin.get::<u32>(ship), Ok(&2));
//! assert!(twin.apply(&delta).is_err(), "the world has another state now");
//! ```
//!
//! # Bytes that nobody should trust
//!
//! The checksum finds damage, and the marks find deltas that are repeated, out of order, or of another world.
//! Neither bars a forger. So everything is checked against the world before anything is written: rows and
//! slots name each other, free slots form one chain, links form families without a circle, values are values
//! of their types, and counters are no further than slots are. Applying any bytes is an
//! error that changes nothing or leads to a sound world, with memory in proportion to the bytes.
//!
//! # Format
//!
//! Version 1. Fixed numbers are little-endian. A *number* has seven bits a byte, the lowest first, and the
//! highest bit of each byte says whether another follows. Lists end with a 0, and their ids and numbers of
//! tables are written plus one.
//!
//! | at | bytes | head |
//! |---|---|---|
//! | 0 | 8 | `cvydelta` |
//! | 8 | 4 | the version |
//! | 12 | 4 | flags: 1 for a whole world |
//! | 16 | 8 | the length of all |
//! | 24 | 8 | the checksum: rapidhash of the head around it and of the body in blocks of 32 KiB, joined in order |
//! | 32 | 8 | the fingerprint of the types |
//! | 40 | 16 | the mark of the base: its state hash, and a hash of its event numbers |
//! | 56 | 16 | the mark of the target |
//! | 72 | 8 | the tick |
//! | 80 | 4 | how many types the fingerprint is of |
//! | 84 | 4 | how many archetypes the base has up to the last with rows |
//! | 88 | 8 | a hash of their components in their order |
//! | 96 | 4 | how many of these are the target's as well |
//! | 100 | 4 | how many archetypes the target has |
//!
//! The body has these parts, each with its number in one byte, and a 0 after the last:
//!
//! 1. *Archetypes* after the common ones: the number of components, and their ids.
//! 2. *Index*: slots of the base; slots of the target; the first free slot and the first fresh index, 4 bytes
//!    each; lanes of command buffers, five numbers each; reserved handles: lane, index, generation; ranges that
//!    came back: start, end, and a byte that is 1 where the world knew; a byte for each new chunk of slots, 1
//!    where no slot was ever used; the runs of slots of 12 bytes.
//! 3. *Tables* that differ: number, rows, and for each column that differs its id, the bytes of a row, and its
//!    runs. A table after the common ones has all of its rows.
//! 4. *Event logs*: id, the numbers of the first record kept, of the first that follows and after the last,
//!    and the records.
//! 5. *Resources*: id, a byte that is 1 where there is a value, and the value.
//! 6. *Texts* that the base did not know: the number of bytes, and these.
//! 7. *Lists* that differ, between tables and event logs: the number of a table, and for each list component its id
//!    and its runs, in which each row has the number of its elements and those. New rows of a table have theirs here.
//!
//! *Runs* are rows that follow each other: how many they are, how many rows lie between the run before and
//! them, and their bytes. A run of no rows ends them.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod encode;
pub(crate) mod error;
pub(crate) mod format;
pub(crate) mod lists;
pub(crate) mod mapped;
pub(crate) mod mark;
pub(crate) mod overlay;
pub(crate) mod parse;

pub use apply::DeltaReport;
pub use encode::DeltaEncoder;
pub use error::{DeltaError, DeltaPart};
pub use mapped::{EntityMap, MappedReport};
pub use mark::DeltaMark;
pub use parse::Delta;
