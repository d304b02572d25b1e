//! The world: entities, components, events and commands, written by one thread. Its entities, its
//! archetypes, and the errors of its methods.

// In the order in which a reader of `World`'s page wants its methods.
mod core;

pub(crate) mod spawn;

pub(crate) mod read;

pub(crate) mod insert;

pub(crate) mod exchange;

pub(crate) mod batch;

pub(crate) mod list;
pub(crate) mod list_mut;
pub(crate) mod list_order;
pub(crate) mod lists;

pub(crate) mod hierarchy;

pub(crate) mod toggles;

pub(crate) mod resources;

pub(crate) mod texts;

pub(crate) mod events;

pub(crate) mod commands;

pub(crate) mod handles;

pub(crate) mod types;

pub(crate) mod archetypes;

pub(crate) mod described;

pub(crate) mod untyped;

pub(crate) mod replica;

pub(crate) mod branch;

pub(crate) mod change_mark;

pub(crate) mod restore;

pub(crate) mod state_hash;

pub(crate) mod housekeeping;

pub(crate) mod statistics;

// The parts that they are made of.
pub(crate) mod all_or_nothing;
pub(crate) mod attempt;
pub(crate) mod bundle;
pub(crate) mod config;
pub(crate) mod delta_notes;
pub(crate) mod edge_kind;
pub(crate) mod edges;
pub(crate) mod error;
pub(crate) mod event_log;
pub(crate) mod families;
pub(crate) mod family;
pub(crate) mod fill;
pub(crate) mod heaps;
pub(crate) mod index;
pub(crate) mod locals;
pub(crate) mod moves;
pub(crate) mod parts;
pub(crate) mod read_error;
pub(crate) mod reads;
pub(crate) mod resource;
pub(crate) mod role;
#[cfg(feature = "rayon")]
pub(crate) mod run_words;
pub(crate) mod source_catalog;
pub(crate) mod source_ids;
pub(crate) mod state;
pub(crate) mod store;

pub use archetypes::{ArchetypeStatistics, Archetypes, Components};
pub use batch::SpawnedEntities;
pub use config::WorldConfig;
pub use core::World;
pub use error::{ComponentError, EntityError, RefusedBytes, SpawnError};
pub use handles::ReservedEntities;
pub use resources::ResourceError;
pub use toggles::Toggles;

pub use crate::storage::Entity;
