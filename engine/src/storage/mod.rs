//! Storage: the component registry, archetypes, and tables of chunked columns with copy-on-write.
//!
//! This layer knows bytes, rows and epochs. It knows neither bundles nor queries, and it never
//! names a snapshot: all that it keeps of one is an epoch, a mask and the means to ask whether it
//! has ended ([`history`]).

pub(crate) mod archetype;
pub(crate) mod base;
mod captured;
pub(crate) mod charge;
pub(crate) mod chunk_entry;
pub(crate) mod chunk_list;
pub(crate) mod column;
pub(crate) mod component;
pub(crate) mod component_id;
pub(crate) mod difference;
pub(crate) mod encoding;
pub(crate) mod entity;
pub(crate) mod epoch;
pub(crate) mod forks;
pub(crate) mod frozen;
pub(crate) mod hash;
pub(crate) mod heap;
pub(crate) mod history;
pub(crate) mod index_state;
pub(crate) mod layout;
pub(crate) mod layout_reader;
pub(crate) mod lineage;
pub(crate) mod links;
pub(crate) mod list;
pub(crate) mod mask;
pub(crate) mod names;
pub(crate) mod recorded;
pub(crate) mod room;
mod row_size;
pub(crate) mod rows;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod spares;
pub(crate) mod stamp;
pub(crate) mod state_hash;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod type_map;
pub(crate) mod world_id;

pub use component::{Component, ComponentDescription, ComponentInfo, RegisterError};
pub use component_id::{COMPONENTS_MAX, ComponentId};
pub use entity::Entity;
pub use frozen::SnapshotShape;
pub use history::CopyStatistics;
pub use history::usage::{SnapshotId, SnapshotUse};
pub use layout::{
    FieldLayout, Layout, LayoutKind, NumberKind, Scalar, TypeLayout, Value, VariantLayout,
};
pub use links::{ChildOf, Children};
pub use list::List;
pub use mask::ComponentMask;
pub use schema::{Schema, SchemaBuilder, SchemaError, TypeEntry};
pub use text::{Text, TextError, TextStatistics};
