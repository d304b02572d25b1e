//! Checkpoints: worlds in files, saved while the simulation goes on.
//!
//! [`Checkpoint::write`] saves a view of everything, on any thread: all chunks the first time, and afterwards those
//! that were written since. The simulation pays for the capture, and for copies of chunks that it writes meanwhile.
//! [`Checkpoint::read`] makes a world of the last checkpoint that was completed, whatever happened to the process,
//! the disk or the file since. [`Checkpoint::map`] reads a file where it lies.
//! [How to save and load](crate::guide::saving).
//!
//! Bytes of any kind may go with a checkpoint, under names, as the state of a
//! [`ModuleHost`](crate::host::ModuleHost::save) does: [`Checkpoint::write_attached`].
//!
//! ```
//! use convoy_engine::checkpoint::Checkpoint;
//! use convoy_engine::schema::{Schema, TypeEntry};
//! use convoy_engine::{ComponentMask, SnapshotPool, World, WorldConfig};
//!
//! # let folder = std::env::temp_dir().join(format!("convoy-module-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let path = folder.join("world.cvy");
//! # let _ = std::fs::remove_file(&path);
//! let schema = Schema::builder().component(TypeEntry::<u32>::new().named("hull", 1)).build().unwrap();
//! let mut world = World::with_schema(&schema);
//! let ship = world.spawn((7_u32,));
//!
//! let view = world.capture(ComponentMask::ALL, &SnapshotPool::default());
//! Checkpoint::create(&path).unwrap().write(&view).unwrap();
//! let loaded = Checkpoint::read(&path, WorldConfig::default().schema(schema)).unwrap();
//!
//! assert_eq!(loaded.get::<u32>(ship), Ok(&7));
//! # std::fs::remove_dir_all(&folder).unwrap();
//! ```
//!
//! # Types that have changed
//!
//! Types are found by their names, and must agree in version, size, alignment and layout. A [`ReadPlan`] renames,
//! migrates and drops those of older programs, and the [`ReadReport`] has the fate of each:
//! [`CheckpointReader::read_with`].
//!
//! # Bytes that nobody should trust
//!
//! Every byte that is read is covered by a hash, which finds damage. It bars no forger. So everything is checked before
//! anybody has the world: places and lengths lie in the file and apart, values are values of their types, rows and
//! slots name each other, the free slots to come form one chain, links form families without a circle, blocks of
//! lists have one owner, and counters are not much further than slots are. Any bytes are an error or lead to a sound
//! world, with memory in proportion to the file.
//!
//! # Commits
//!
//! A commit appends what the one before lacks and a manifest, flushes, writes a header that names the manifest, and
//! flushes again. Nothing that the last commit needs is ever written over, so that readers need no lock, and a crash at
//! any time leaves that commit, or the new one. Two slots of headers take turns. A header stands twice
//! in its slot, so that a flipped bit does not look like a crash; [`CheckpointReader::damaged_headers`] tells of copies
//! that are not whole.
//!
//! # Format
//!
//! Version 1. Fixed numbers are little-endian, and a machine that is not refuses all files. A *number* has seven bits a
//! byte, the lowest first, and the highest bit of each byte says whether another follows. Hashes are those of
//! rapidhash, version 3, with its default seed. Bytes that are not named here are zero when the file is new, and mean
//! nothing.
//!
//! Bytes 0..4096 are the slot of commits with even numbers, 4096..8192 that of odd ones. Each has two copies, 2,048
//! bytes apart:
//!
//! | at | bytes | header |
//! |---|---|---|
//! | 0 | 8 | `cvycheck` |
//! | 8 | 4 | the version |
//! | 12 | 4 | the hash: 1 |
//! | 16 | 8 | the number of the commit, from 1 on; 0, and all to follow as well, where there was none before the first |
//! | 24 | 8 | the tick of the world |
//! | 32 | 8 | where the manifest is, a multiple of 8 |
//! | 40 | 8 | its bytes |
//! | 48 | 8 | its hash |
//! | 56 | 8 | how many blocks it lists |
//! | 64 | 8 | how many blocks of texts it lists |
//! | 72 | 8 | the end of all that the commit needs |
//! | 2040 | 8 | the hash of the bytes before |
//!
//! A *block* has the rows of one chunk, side by side as in memory. One of 4,096 bytes and more begins on a page of as
//! many, others at a multiple of 128. Its hash is that of its rows, and so, but for slots and lists, the one of the
//! chunk in the [state hash](crate::World::state_hash). A *block of texts* has texts, each as the number of its
//! bytes, more than 7, and these.
//!
//! The manifest begins with two lists: for each block its place and its hash, 8 bytes each, and for each block of
//! texts its place, bytes and hash. Blocks stand in the order in which the columns below have them; one at 0 stands
//! for slots that were never used. Then follow, without gaps:
//!
//! 1. *Shape*: the most bytes and the most rows of a chunk in the world that was saved. Any world can read the file.
//! 2. *Types*: how many, and for each, in the order of their ids: a byte for its kind (0 component, 1 event, 2
//!    resource, 3 the toggle of a component); a byte with flags (1 a name that was chosen, 2 a list, 4 a layout, 8
//!    the links to parents, 16 those to children); the number of bytes of its name, and these; its version; the size
//!    and the alignment of a value; of a list also those of an element; of a toggle the number of its component; and
//!    the layout, its bytes in 4 bytes before it. The first type is [`Entity`](crate::Entity).
//! 3. *Archetypes*: how many, and for each the number of its types, and their numbers in ascending order.
//! 4. *Tables*, one for each archetype: the number of rows; where that is not zero, for each type that has bytes, in
//!    ascending order, the binary logarithm of the rows of a block, in one byte.
//! 5. *Index*: the number of slots, of 12 bytes each: generation, number of the table (0xffffffff for a free slot,
//!    0xfffffffe for a reserved one) and row (of a free slot, the next one); the logarithm of the rows of a block;
//!    the first free slot, or 0xffffffff, and the first fresh index, 4 bytes each; lanes of command buffers, five
//!    numbers each; reserved handles: lane, or 0xffffffff, index, generation; ranges that came back: start, end, and a
//!    byte that is 1 where the world knew. Before each of these lists is its length.
//! 6. *Event logs*, one for each event type: the number of the first record, the number of records, the timeline in
//!    which the log began, how many forks there were, and the timeline and the first number of each; the logarithm of
//!    the rows of a block.
//! 7. *Resources*, one for each resource type: a byte that is 1 where there is a value, which is a block of its own.
//! 8. *Lists*, one for each type of lists: how many sizes of blocks of elements there are, and for each the number of
//!    blocks of elements; where that is not zero, the logarithms of the rows of a block, of elements and of owners.
//!    The elements come first, then the owners.
//! 9. *Attachments*: how many, and for each the number of bytes of its name, these, the number of its bytes, and these.
//!    A manifest that ends before has none.
//!
//! Layouts are: the size in 8 bytes; then a byte, and for 1, a number, its kind in a byte; for 2, 3, 4 and 8, a
//! `bool`, a `char`, an entity and a text, nothing; for 5, an array, its length and the layout of an element; for 6,
//! a struct, the number of fields, and of each the name, the place and the layout; for 7, an enum, the kind of its
//! tag in a byte, the number of variants, and of each the name and the value. Numbers and lengths have 8 bytes here,
//! and values 16.

pub(crate) mod appender;
pub(crate) mod check;
pub(crate) mod columns;
pub(crate) mod compact;
pub(crate) mod contents;
pub(crate) mod describe;
pub(crate) mod error;
pub(crate) mod evolve;
pub(crate) mod header;
pub(crate) mod joined;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod map;
pub(crate) mod medium;
pub(crate) mod mend;
pub(crate) mod migration;
pub(crate) mod old_lists;
pub(crate) mod plan;
pub(crate) mod plan_error;
pub(crate) mod read;
pub(crate) mod report;
pub(crate) mod type_name;
pub(crate) mod types;
pub(crate) mod write;

pub use compact::CompactionReport;
pub use contents::{
    CheckpointContents, ElementShape, StoredEvents, StoredLists, StoredResource, StoredTable,
    StoredTexts, StoredType,
};
pub use error::{CheckpointError, CheckpointPart, TypeDifference};
pub use map::MappedCheckpoint;
pub use medium::{DiskFile, Medium, Replaceable};
pub use plan::{ReadPlan, Unknown};
pub use plan_error::PlanError;
pub use read::CheckpointReader;
pub use report::{ReadReport, TypeDecision, TypeReport};
pub use type_name::{TypeKind, TypeName};
pub use write::{Checkpoint, CheckpointProgress, CheckpointReport};
