//! Convoy: an archetype storage engine whose snapshots copy nothing.
//!
//! A [`World`] is the live, single-writer database of a simulation: entities with components, in tables of
//! chunked columns, one table for each set of components. A capture takes the chunk pointers of the columns
//! in a [`ComponentMask`]; from then on the world copies a captured chunk when it first writes to it. A
//! [`View`] is a reader's hold on the snapshot: on any thread, for as long as it likes, also after the world
//! is gone. A [`ModuleHost`](host::ModuleHost) runs background modules at their own rates and lets those of
//! one rate share a snapshot, a *convoy*.
//!
//! ```
//! use convoy_engine::{ComponentMask, SnapshotPool, World};
//!
//! let mut world = World::new();
//! let entity = world.spawn((1_u32, [0.5_f32; 3]));
//! let pool = SnapshotPool::for_world(&world);
//!
//! let view = world.capture(ComponentMask::ALL, &pool);
//! let reader = std::thread::spawn(move || *view.get::<u32>(entity).unwrap());
//! world.query_mut::<&mut u32>().for_each(|number| *number += 1);
//!
//! assert_eq!(reader.join().unwrap(), 1);
//! assert_eq!(*world.get::<u32>(entity).unwrap(), 2);
//! ```
//!
//! # I want to ...
//!
//! | ... | use | cost |
//! |---|---|---|
//! | begin | [`guide::getting_started`] | |
//! | spawn, despawn, insert, remove | [`World::spawn`], [`World::despawn`], [`World::insert`], [`World::remove`] | constant time; batches: [`World::spawn_batch`], [`QueryMut::insert`](query::QueryMut::insert) |
//! | read or write one entity | [`World::get`], [`World::get_mut`]; many by handle: [`World::reader`] | a look-up of the handle and one of the column |
//! | go over all of a kind | [`World::query`], [`World::query_mut`], [`PreparedQuery`](query::PreparedQuery) | loops over slices; one compare a chunk |
//! | use all cores | `par_for_each` (feature `rayon`), [`World::share`] | an atomic exchange a task |
//! | read on another thread | [`World::capture`], [`View`]: [`guide::snapshots`] | some nanoseconds a chunk; a copy of each chunk that is written meanwhile |
//! | run modules at their own rates | [`ModuleHost`](host::ModuleHost), [`ModuleSpec`](host::ModuleSpec) | a capture a convoy |
//! | go back in time | [`World::restore`]: [`guide::rollback`] | the chunks that differ |
//! | look ahead | [`World::branch`] | the chunk pointers; a copy of each chunk that either writes |
//! | find changes | [`Changed`](query::Changed), [`diff()`](snapshot::diff): [`guide::change_detection`] | nothing for writers; the chunks that were written |
//! | compare two runs | [`World::state_hash`], [`first_difference`](snapshot::first_difference) | the chunks that were written since the last hash |
//! | replicate | [`World::sync_from`]: [`guide::replication`] | a copy of the chunks that changed |
//! | send worlds and their changes | [`DeltaEncoder`](delta::DeltaEncoder), [`World::apply`]: [`delta`] | the chunks that differ |
//! | save and load | [`Checkpoint`](checkpoint::Checkpoint): [`guide::saving`] | the chunks that were written since, on another thread |
//! | query a file where it lies | [`Checkpoint::map`](checkpoint::Checkpoint::map): [`guide::saving`] | hashing the columns that are read, once |
//! | send messages | [`World::send_event`], [`EventCursor`](events::EventCursor), [`Commands`](commands::Commands) | one row |
//! | describe types at run time | [`Schema`](schema::Schema), [`World::register_described`], [`World::query_described`] | as typed ones |
//! | prove that nothing is allocated | [`guide::heap_profiling`], [`World::memory`] | |
//!
//! The ten names that every program uses stand at the root, all others in modules by topic. The page of
//! [`Component`] says which types can be one. The minimum Rust version is 1.89. The features are
//! `rayon`, for parallel passes, and `tracing`, for spans of frames, captures, modules, playbacks, restores, syncs,
//! deltas, checkpoints and trims, and events of copies on write.
//!
//! # Priorities
//!
//! Sound, free of allocations, fast, pleasant, in this order. A running simulation touches neither
//! the heap nor the system's mappings; bad input gets a typed error and changes nothing; the same
//! operations give the same world. Without a snapshot, copy-on-write costs one compare a chunk.
//!
//! Functions that can only fail by a mistake of their caller, such as reading a component that was not
//! captured, panic at the caller's line, and have a `try_` form that returns the error.
#![deny(unsafe_code)]

// The code that derives write names this crate as its users do.
extern crate self as convoy_engine;

pub mod checkpoint;
pub mod delta;
pub mod guide;
pub mod host;
pub mod provider;
pub mod query;
pub mod snapshot;
mod storage;
mod trace;
mod tuples;
pub mod world;

pub use bumpalo;
pub use bytemuck;
#[doc(inline)]
pub use {
    bundle::Bundle,
    component::{Component, ComponentMask},
    query::{With, Without},
    snapshot::{SnapshotPool, View},
    world::{Entity, World, WorldConfig},
};

/// Bundles: the components with which an entity is spawned, as a tuple or a struct.
pub mod bundle {
    pub use crate::world::batch::ColumnBundle;
    pub use crate::world::bundle::{
        Bundle, BundleFields, BundlePart, IsBundle, IsComponent, IsList,
    };
    pub use convoy_derive::Bundle;
}

/// Playback of recorded changes: [`Commands`](commands::Commands) are filled on any thread, and the
/// thread of the world plays them back.
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::commands::Commands;
///
/// let mut world = World::new();
/// let entity = world.spawn((1_u32,));
/// let mut commands = Commands::new(&mut world);
/// commands.insert(entity, (2.5_f32,));
/// commands.remove::<(u32,)>(entity);
///
/// let playback = world.play_back(&mut commands);
/// assert_eq!(playback.applied, 2);
/// assert_eq!(*world.get::<f32>(entity).unwrap(), 2.5);
/// ```
pub mod commands {
    pub use crate::world::commands::{Commands, Playback};
}

/// Components: which types can be one, how a world knows them, and masks of them.
pub mod component {
    pub use crate::storage::{
        COMPONENTS_MAX, Component, ComponentDescription, ComponentId, ComponentInfo, ComponentMask,
        RegisterError,
    };
}

/// Events: messages of one type in the order in which they were sent, kept for some ticks, and read by
/// cursors.
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::events::EventCursor;
///
/// let mut world = World::new();
/// let mut cursor = EventCursor::<u32>::default();
/// world.send_event(7_u32);
/// assert!(world.events(&mut cursor).eq([7]));
/// ```
pub mod events {
    pub use crate::world::events::{EventCursor, Events};
    pub use crate::world::untyped::EventBytes;
}

/// The hierarchy: parents and children as components, and the errors of links.
///
/// ```
/// use convoy_engine::World;
///
/// let mut world = World::new();
/// let (convoy, truck) = (world.spawn((1_u32,)), world.spawn((2_u32,)));
/// world.set_parent(truck, convoy).unwrap();
/// assert!(world.children(convoy).unwrap().eq([truck]));
/// ```
pub mod hierarchy {
    pub use crate::storage::{ChildOf, Children};
    pub use crate::world::family::{ChildIter, Descendants};
    pub use crate::world::hierarchy::HierarchyError;
}

/// Lists: rows of an entity's own, as many as it likes, as plain old data.
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::list::List;
///
/// let mut world = World::new();
/// let ship = world.spawn(("HMS".len(), List::<[f32; 2]>::new()));
/// world.list_mut::<[f32; 2]>(ship).unwrap().push([1.0, 2.0]);
/// assert_eq!(world.list::<[f32; 2]>(ship).unwrap(), [[1.0, 2.0]]);
/// ```
pub mod list {
    pub use crate::storage::List;
    pub use crate::world::list_mut::{ListError, ListMut};
}

/// Memory: the limits that a world is given, and reports of its use.
///
/// ```
/// use convoy_engine::World;
///
/// let mut world = World::new();
/// world.spawn((1_u32,));
/// assert!(world.memory().mapped_bytes > 0);
/// ```
pub mod memory {
    pub use crate::storage::CopyStatistics;
    pub use crate::world::housekeeping::CompactReport;
    pub use crate::world::list::ListReport;
    pub use crate::world::statistics::{MemoryUse, WorldMemory};
    pub use convoy_pool::{ArenaConfig, CellPoolStatistics, MemoryError};
}

/// Replication: reports and errors of [`World::sync_from`]. [How to use it](guide::replication).
pub mod replication {
    pub use crate::world::replica::{SyncError, SyncReport};
}

/// Schemas: types that are described at run time, and values whose type is known by its description.
///
/// ```
/// use convoy_engine::schema::{LayoutKind, TypeLayout};
///
/// #[derive(Clone, Copy, TypeLayout)]
/// #[repr(C)]
/// struct Position {
///     x: f32,
///     y: f32,
/// }
///
/// let LayoutKind::Struct(fields) = Position::LAYOUT.kind() else { unreachable!() };
/// assert_eq!(fields[1].name, "y");
/// ```
pub mod schema {
    pub use crate::storage::{
        FieldLayout, Layout, LayoutKind, NumberKind, Scalar, Schema, SchemaBuilder, SchemaError,
        TypeEntry, TypeLayout, Value, VariantLayout,
    };
    pub use convoy_derive::TypeLayout;
}

/// Texts: strings as plain old data, the same in every world and process.
///
/// ```
/// use convoy_engine::World;
/// use convoy_engine::text::Text;
///
/// let mut world = World::new();
/// let name = world.text("potion of healing");
/// let item = world.spawn((name, 3_u32));
/// assert_eq!(world.resolve(world.get::<Text>(item).unwrap()).unwrap(), "potion of healing");
/// ```
pub mod text {
    pub use crate::storage::{Text, TextError, TextStatistics};
}

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
