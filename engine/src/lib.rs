//! Archetype storage whose snapshots copy nothing.
#![deny(unsafe_code)]

mod host;
mod provider;
mod query;
mod snapshot;
mod storage;
mod world;

pub use host::{
    ConvoyStatistics, HostConfig, HostError, HostStatistics, Mode, Module, ModuleContext,
    ModuleHost, ModuleId, ModuleSpec, ModuleStatistics, Rate, Tier,
};
pub use provider::{
    AcquireError, DoubleBufferProvider, OnDemandProvider, ProviderKind, ProviderStatistics,
    ReplicaProvider, SharedSnapshotProvider, SnapshotProvider, WhenBusy,
};
pub use query::{
    DescribedQuery, DescribedRun, DescribedRuns, Filter, Has, Or, Query, QueryError, QueryIter,
    QueryIterMut, QueryMut, ReadOnly, TableRef, Tables, Terms, With, Without,
};
pub use snapshot::{ReadError, SnapshotPool, SnapshotPoolConfig, VacantSnapshot, View};
pub use storage::{
    COMPONENTS_MAX, ChildOf, Children, Component, ComponentDescription, ComponentId, ComponentInfo,
    ComponentMask, CopyStatistics, Entity, RegisterError, SnapshotShape,
};
pub use world::{
    ArchetypeStatistics, Bundle, ChildIter, ColumnBundle, Commands, CompactReport, ComponentError,
    Descendants, EntityError, EventCursor, Events, HierarchyError, ListReport, Playback,
    ReservedEntities, ResourceError, SpawnError, SpawnedEntities, SyncError, SyncReport, World,
    WorldConfig, WorldMemory,
};
