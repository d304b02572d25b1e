//! Components: the types that can be one, and the registry of those that a world knows.

mod error;
pub(crate) mod registry;
mod types;

pub use error::RegisterError;
pub(crate) use registry::{Registry, ValueBytes, ValuesBytes};
pub(crate) use types::{Check, ChunkShape, DISABLED, ENABLED, Kind, RowsPass, TypeShape};
pub use types::{Component, ComponentDescription, ComponentInfo};
