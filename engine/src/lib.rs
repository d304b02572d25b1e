//! Archetype storage whose snapshots copy nothing.
#![deny(unsafe_code)]

mod query;
mod snapshot;
mod storage;
mod world;

pub use query::{
    Filter, Query, QueryError, QueryIter, QueryIterMut, QueryMut, ReadOnly, TableRef, Tables,
    Terms, With, Without,
};
pub use snapshot::{ReadError, SnapshotPool, SnapshotPoolConfig, VacantSnapshot, View};
pub use storage::{
    COMPONENTS_MAX, Component, ComponentId, ComponentInfo, ComponentMask, CopyStatistics, Entity,
    RegisterError, SnapshotShape,
};
pub use world::{
    Bundle, Commands, ComponentError, EntityError, EventCursor, Events, Playback, SpawnError,
    SyncError, SyncReport, World, WorldConfig, WorldMemory,
};
