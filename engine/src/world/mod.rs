//! The world: entities, components, events and commands, written by one thread.

pub(crate) mod archetypes;
pub(crate) mod batch;
pub(crate) mod bundle;
pub(crate) mod change_mark;
pub(crate) mod commands;
pub(crate) mod core;
pub(crate) mod described;
pub(crate) mod edges;
pub(crate) mod error;
pub(crate) mod event_log;
pub(crate) mod events;
pub(crate) mod exchange;
pub(crate) mod family;
pub(crate) mod handles;
pub(crate) mod hierarchy;
pub(crate) mod housekeeping;
pub(crate) mod index;
pub(crate) mod list;
pub(crate) mod locals;
pub(crate) mod moves;
#[cfg(feature = "rayon")]
pub(crate) mod pass_memory;
pub(crate) mod replica;
pub(crate) mod resource;
pub(crate) mod resources;
pub(crate) mod state_hash;
pub(crate) mod statistics;
pub(crate) mod sync_mark;

pub use archetypes::ArchetypeStatistics;
pub use batch::{ColumnBundle, SpawnedEntities};
pub use bundle::Bundle;
pub use change_mark::ChangeMark;
pub use commands::{Commands, Playback};
pub use core::{World, WorldConfig};
pub use error::{ComponentError, EntityError, SpawnError};
pub use events::{EventCursor, Events};
pub use family::{ChildIter, Descendants};
pub use handles::ReservedEntities;
pub use hierarchy::HierarchyError;
pub use housekeeping::CompactReport;
pub use list::ListReport;
pub use replica::{SyncError, SyncReport};
pub use resources::ResourceError;
pub use statistics::WorldMemory;
