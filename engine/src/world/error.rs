//! Errors about entities and their components.

use std::fmt;

use convoy_pool::MemoryError;

use crate::storage::table::SpawnRowsError;
use crate::storage::{ComponentId, Entity, RegisterError};

use super::read_error::{ReadError, write_not_readable, write_not_toggle, write_unknown};

/// Why an entity could not be spawned. The world is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// A component of the bundle can't be registered.
    Register(RegisterError),
    /// The bundle names a component twice.
    Duplicate {
        /// The component that stands in the bundle twice.
        component: &'static str,
    },
    /// The slices of a column batch differ in length.
    Lengths {
        /// The component whose slice differs from the first one.
        component: &'static str,
        /// Values in the first slice.
        expected: usize,
        /// Values in this slice.
        found: usize,
    },
    /// The bundle holds the entity column's own type.
    Reserved,
    /// No component of this world has the id.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// The bytes of a component are not as many as one value has.
    Bytes {
        /// The component.
        component: &'static str,
        /// Bytes of one value.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Bytes are no value of the component, as not all are.
    Value {
        /// The entity that was to get them, where there is one.
        entity: Option<Entity>,
        /// The component.
        component: &'static str,
        /// The bytes that were given.
        value: RefusedBytes,
    },
    /// The handle was not reserved, or its entity was spawned before.
    NotReserved {
        /// The handle.
        entity: Entity,
    },
    /// No entity can have the handle now: its slot holds one, or is kept for another handle.
    Taken {
        /// The handle.
        entity: Entity,
    },
    /// The bundle holds a link of the hierarchy, which only the engine writes.
    EngineOwned {
        /// The link.
        component: &'static str,
    },
    /// No memory for the rows.
    Memory(MemoryError),
    /// All 4,007,362,558 indices that the world gives out are taken; command buffers have others.
    Entities,
    /// The world is a replica of some columns only, where rows can't be added, moved or removed.
    PartialReplica,
}

/// Bytes that were refused, or the first of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefusedBytes {
    first: [u8; Self::SHOWN],
    len: usize,
}

impl RefusedBytes {
    /// How many bytes are kept.
    const SHOWN: usize = 16;

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (mut first, shown) = ([0; Self::SHOWN], bytes.len().min(Self::SHOWN));
        first[..shown].copy_from_slice(&bytes[..shown]);
        Self { first, len: bytes.len() }
    }

    /// The first of the bytes, at most 16.
    pub fn bytes(&self) -> &[u8] {
        &self.first[..self.len.min(Self::SHOWN)]
    }
}

impl fmt::Display for RefusedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("0x")?;
        self.bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        if self.len > Self::SHOWN { write!(formatter, "... ({} bytes)", self.len) } else { Ok(()) }
    }
}

impl fmt::Debug for RefusedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Why an entity can't be acted upon. The world is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EntityError {
    /// The handle is stale, or never named an entity of this world.
    NotAlive {
        /// The handle.
        entity: Entity,
    },
}

/// Why a component of an entity can't be reached or changed. The world is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum ComponentError {
    /// The handle is stale, or never named an entity of this world.
    NotAlive {
        /// The handle.
        entity: Entity,
    },
    /// The entity is alive and doesn't have the component.
    Missing {
        /// The entity.
        entity: Entity,
        /// The component that it lacks.
        component: &'static str,
    },
    /// The world is a replica that was synced without the component.
    NotReadable {
        /// The component.
        component: &'static str,
    },
    /// The component was not registered as one that can be switched off.
    NotToggle {
        /// The component.
        component: &'static str,
    },
    /// No component of this world has the id.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// Not all bytes are values of the component, so that none are lent out for writing.
    NotAnyBytes {
        /// The component.
        component: &'static str,
    },
    /// The component is a link of the hierarchy, which only the engine writes.
    EngineOwned {
        /// The link.
        component: &'static str,
    },
    /// The world is a replica of some columns only, where rows can't be moved or removed.
    PartialReplica,
    /// The bundle can't be used.
    Bundle(SpawnError),
    /// No memory to write the component.
    Memory(MemoryError),
}

const PARTIAL_REPLICA: &str = "the world is a replica of some columns only: \
     its rows can't be added, moved or removed, only synced or cleared";

fn write_engine_owned(formatter: &mut fmt::Formatter<'_>, component: &str) -> fmt::Result {
    write!(
        formatter,
        "{component} is written by the engine only: change the hierarchy by setting parents"
    )
}

impl fmt::Display for SpawnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(error) => error.fmt(formatter),
            Self::Duplicate { component } => {
                write!(formatter, "the bundle holds {component} more than once: name it once")
            }
            Self::Lengths { component, expected, found } => write!(
                formatter,
                "the batch has {found} values of {component} for {expected} entities"
            ),
            Self::Reserved => formatter.write_str(
                "Entity is the entity column itself: wrap it in a type of your own to store one",
            ),
            Self::Unknown { id } => write_unknown(formatter, *id),
            Self::Bytes { component, expected, found } => {
                write!(formatter, "a value of {component} has {expected} bytes, not {found}")
            }
            Self::Value { entity: Some(entity), component, value } => {
                write!(formatter, "{value} is no value of {component} for entity {entity}")
            }
            Self::Value { entity: None, component, value } => {
                write!(formatter, "{value} is no value of {component}")
            }
            Self::NotReserved { entity } => {
                write!(
                    formatter,
                    "the handle {entity} is not reserved for an entity to come: reserve one by \
                     `World::reserve_entity`, and spawn it once"
                )
            }
            Self::Taken { entity } => write!(
                formatter,
                "no entity can have the handle {entity} now: index {} holds one, or is kept for \
                 another handle or for command buffers",
                entity.index()
            ),
            Self::EngineOwned { component } => write_engine_owned(formatter, component),
            Self::Memory(error) => error.fmt(formatter),
            Self::Entities => formatter
                .write_str("all 4,007,362,558 entity slots of the world are taken or reserved"),
            Self::PartialReplica => formatter.write_str(PARTIAL_REPLICA),
        }
    }
}

impl fmt::Display for EntityError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAlive { entity } => write!(formatter, "entity {entity} is not alive"),
        }
    }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAlive { entity } => write!(formatter, "entity {entity} is not alive"),
            Self::Missing { entity, component } => {
                write!(formatter, "entity {entity} has no {component}")
            }
            Self::NotReadable { component } => write_not_readable(formatter, component),
            Self::NotToggle { component } => write_not_toggle(formatter, component),
            Self::NotAnyBytes { component } => write!(
                formatter,
                "not all bytes are values of {component}: set them by `set_bytes`, which checks them"
            ),
            Self::Unknown { id } => write_unknown(formatter, *id),
            Self::EngineOwned { component } => write_engine_owned(formatter, component),
            Self::PartialReplica => formatter.write_str(PARTIAL_REPLICA),
            Self::Bundle(error) => error.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Register(error) => Some(error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl std::error::Error for EntityError {}

impl std::error::Error for ComponentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bundle(error) => Some(error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RegisterError> for SpawnError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<SpawnRowsError> for SpawnError {
    fn from(error: SpawnRowsError) -> Self {
        match error {
            SpawnRowsError::TooMany => Self::Entities,
            SpawnRowsError::Memory(error) => Self::Memory(error),
        }
    }
}

impl From<MemoryError> for SpawnError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<MemoryError> for ComponentError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<SpawnError> for ComponentError {
    fn from(error: SpawnError) -> Self {
        match error {
            SpawnError::Memory(error) => Self::Memory(error),
            SpawnError::PartialReplica => Self::PartialReplica,
            SpawnError::Unknown { id } => Self::Unknown { id },
            SpawnError::EngineOwned { component } => Self::EngineOwned { component },
            other => Self::Bundle(other),
        }
    }
}

impl From<EntityError> for ComponentError {
    fn from(error: EntityError) -> Self {
        match error {
            EntityError::NotAlive { entity } => Self::NotAlive { entity },
        }
    }
}

impl From<ReadError> for ComponentError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotAlive { entity } => Self::NotAlive { entity },
            ReadError::Missing { entity, component } => Self::Missing { entity, component },
            ReadError::Unknown { id } => Self::Unknown { id },
            ReadError::NotToggle { component } => Self::NotToggle { component },
            ReadError::NotReadable { component }
            | ReadError::NoResource { resource: component } => Self::NotReadable { component },
        }
    }
}

/// Panics for the caller, whose function is tracked as this one is.
#[cold]
#[track_caller]
pub(crate) fn fail(action: &str, error: &dyn fmt::Display) -> ! {
    panic!("{action}: {error}")
}
