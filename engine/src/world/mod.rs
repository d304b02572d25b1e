//! The world: entities, components, events and commands, written by one thread.

pub(crate) mod batch;
pub(crate) mod bundle;
pub(crate) mod commands;
pub(crate) mod core;
pub(crate) mod edges;
pub(crate) mod error;
pub(crate) mod event_log;
pub(crate) mod events;
pub(crate) mod index;
pub(crate) mod replica;
pub(crate) mod statistics;
pub(crate) mod sync_mark;

pub use batch::{ColumnBundle, SpawnedEntities};
pub use bundle::Bundle;
pub use commands::{Commands, Playback};
pub use core::{World, WorldConfig};
pub use error::{ComponentError, EntityError, SpawnError};
pub use events::{EventCursor, Events};
pub use replica::{SyncError, SyncReport};
pub use statistics::WorldMemory;
