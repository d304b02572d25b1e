//! Convoy: an archetype storage engine whose snapshots copy nothing.
//!
//! A [`World`] is the live, single-writer database of a simulation: entities with components, in tables of
//! chunked columns, one table for each set of components. A capture takes the chunk pointers of the columns
//! in a [`ComponentMask`]; from then on the world copies a captured chunk when it first writes to it. A
//! [`View`] is a reader's hold on the snapshot: on any thread, for as long as it likes, also after the world
//! is gone. A [`ModuleHost`] runs background modules at their own rates and lets those of one rate share a
//! snapshot, a *convoy*.
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
//! | spawn, despawn, insert, remove | [`World::spawn`], [`World::despawn`], [`World::insert`], [`World::remove`] | constant time; batches: [`World::spawn_batch`], [`QueryMut::insert`] |
//! | read or write one entity | [`World::get`], [`World::get_mut`]; many by handle: [`World::reader`] | a look-up of the handle and one of the column |
//! | go over all of a kind | [`World::query`], [`World::query_mut`], [`PreparedQuery`] | loops over slices; one compare a chunk |
//! | use all cores | `par_for_each` (feature `rayon`), [`World::share`] | an atomic exchange a task |
//! | read on another thread | [`World::capture`], [`View`]: [`guide::snapshots`] | some nanoseconds a chunk; a copy of each chunk that is written meanwhile |
//! | run modules at their own rates | [`ModuleHost`], [`ModuleSpec`] | a capture a convoy |
//! | go back in time | [`World::restore`]: [`guide::rollback`] | the chunks that differ |
//! | look ahead | [`World::branch`] | the chunk pointers; a copy of each chunk that either writes |
//! | know what changed | [`Changed`], [`diff()`](diff): [`guide::change_detection`] | nothing for writers; the chunks that were written |
//! | compare two runs | [`World::state_hash`], [`first_difference`] | the chunks that were written since the last hash |
//! | replicate | [`World::sync_from`]: [`guide::replication`] | a copy of the chunks that changed |
//! | send messages | [`World::send_event`], [`EventCursor`], [`Commands`] | one row |
//! | describe types at run time | [`Schema`], [`World::register_described`], [`World::query_described`] | as typed ones |
//! | prove that nothing is allocated | [`guide::heap_profiling`], [`World::memory`] | |
//!
//! What can be a component stands on the page of [`Component`]. The minimum Rust version is 1.88. There is
//! one feature, `rayon`, for parallel passes.
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

// What derives write names this crate as its users do.
extern crate self as convoy_engine;

// The world comes first, so that its page begins with what it does by itself.
mod world;

/// The parts of [`Bundle`] that its derive writes.
pub mod bundle {
    pub use crate::world::{BundleFields, BundlePart, IsBundle, IsComponent};
}

pub mod guide;
mod host;
mod provider;
mod query;
mod snapshot;
mod storage;
mod tuples;

pub use bytemuck;
pub use convoy_derive::{Bundle, TypeLayout};
pub use convoy_pool::{ArenaConfig, CellPoolStatistics, MemoryError};
pub use host::{
    ConvoyStatistics, HostConfig, HostError, HostStatistics, Mode, Module, ModuleContext,
    ModuleHost, ModuleId, ModuleSpec, ModuleStatistics, Rate, SlowConvoy, Tier,
};
pub use provider::{
    AcquireError, DoubleBufferProvider, Member, OnDemandProvider, ProviderKind, ProviderStatistics,
    ReplicaProvider, SharedSnapshotProvider, SlowReader, SlowReaderLimits, SlowReason,
    SnapshotProvider, WhenBusy,
};
pub use query::{
    Added, Changed, DescribedQuery, DescribedQueryMut, DescribedRun, DescribedRunMut,
    DescribedRuns, Filter, GetError, Has, Or, PreparedQuery, Query, QueryError, QueryIter,
    QueryMut, ReadOnly, Readable, Reader, SharedQuery, SharedWorld, Terms, With, Without,
};
pub use snapshot::{
    Change, Diff, DiffError, Difference, ResourceChange, RestoreError, SnapshotPool,
    SnapshotPoolConfig, VacantSnapshot, View, diff, first_difference,
};
pub use storage::{
    COMPONENTS_MAX, ChildOf, Children, Component, ComponentDescription, ComponentId, ComponentInfo,
    ComponentMask, CopyStatistics, Entity, FieldLayout, Layout, LayoutKind, NumberKind,
    RegisterError, Scalar, Schema, SchemaBuilder, SchemaError, SnapshotId, SnapshotShape,
    SnapshotUse, TypeEntry, TypeLayout, Value, VariantLayout,
};
pub use world::{
    ArchetypeStatistics, Archetypes, Bundle, ChangeMark, ChildIter, ColumnBundle, Commands,
    CompactReport, ComponentError, Components, Descendants, DetachReport, EntityError, EventBytes,
    EventCursor, Events, HierarchyError, ListReport, Playback, ReadError, RefusedBytes,
    ReservedEntities, ResourceError, RestoreReport, SpawnError, SpawnedEntities, SyncError,
    SyncReport, Toggles, World, WorldConfig, WorldMemory,
};

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
