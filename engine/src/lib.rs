//! Convoy: archetype storage whose snapshots copy nothing.
//!
//! A [`World`] is the live, single-writer database of a simulation: entities with components of any
//! type whose bytes mean something ([`Component`]), in tables of chunked columns, one table for each set of types. A capture
//! takes the chunk pointers of the columns in a [`ComponentMask`] and ends the world's *epoch*;
//! from then on the world copies a captured chunk when it first writes to it. A [`View`] is a
//! reader's lease on the picture: on any thread, for as long as it likes, also after the world is
//! gone. A [`ModuleHost`] runs background modules at their own rates and lets those of one rate
//! share a picture, a *convoy*.
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
//! # Priorities
//!
//! Sound, free of allocations, fast, pleasant, in this order. A running simulation touches neither
//! the heap nor the system's mappings; bad input gets a typed error and changes nothing; the same
//! operations give the same world. Without a snapshot, copy-on-write costs one compare a chunk;
//! what the chunks themselves cost in loops over large tables stands in `benches/README.md`.
//!
//! # Invariants
//!
//! Safety comments cite these by name. `engine/DESIGN.md` tells how each is kept and which test
//! guards it.
//!
//! * `resident`: a chunk's memory neither moves nor unmaps while a world or a leased snapshot can
//!   reach it.
//! * `frozen`: rows below a captured length are never written while that capture is active.
//! * `valued`: every row below a table's length holds a value of its component's type.
//! * `sole-writer`: only the world's thread changes chunk lists and dead lists.
//! * `one-list`: a chunk that the world has replaced is on exactly one dead list, or free.
//! * `bounded-list`: a dead list never holds more chunks than its capture took, but after a restore
//!   to an older one.
//! * `foreign`: a branch neither writes nor recycles a chunk of the world that it comes from.
//! * `ended-after`: who sees that a capture has ended comes after everything its readers did.
//! * `fail-first`: an operation does all that can fail before it changes a row.
#![deny(unsafe_code)]

// What derives write names this crate as its users do.
extern crate self as convoy_engine;

mod host;
mod provider;
mod query;
mod snapshot;
mod storage;
mod tuples;
mod world;

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
    ArchetypeStatistics, Archetypes, Bundle, BundleFields, BundlePart, ChangeMark, ChildIter,
    ColumnBundle, Commands, CompactReport, ComponentError, Components, Descendants, DetachReport,
    EntityError, EventBytes, EventCursor, Events, HierarchyError, IsBundle, IsComponent,
    ListReport, Playback, ReadError, RefusedBytes, ReservedEntities, ResourceError, RestoreReport,
    SpawnError, SpawnedEntities, SyncError, SyncReport, Toggles, World, WorldConfig, WorldMemory,
};

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
