//! Why a query can't run, and why it does not find an entity.

use std::fmt;

use convoy_pool::MemoryError;

use crate::storage::names::name_of;
use crate::storage::{Component, ComponentId, Entity};
use crate::world::read_error::{write_not_readable, write_unknown};

/// How many toggles the terms of a query look at, at the most.
pub(super) const TOGGLES_MAX: usize = 8;

/// Why a query or a look-up on some tables can't run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The component was not captured, not synced, or not declared by the reader.
    NotReadable {
        /// The component.
        component: &'static str,
    },
    /// The query writes a component and reads or writes it a second time.
    Conflict {
        /// The component.
        component: &'static str,
    },
    /// No component has the id.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// The terms look at more than eight components that can be switched off.
    TooManyToggles {
        /// The component that is one too many.
        component: &'static str,
    },
    /// The mark of changes was made by another world.
    ForeignMark,
    /// Another query of a [`SharedWorld`](crate::query::SharedWorld) uses the component, and one of the
    /// two writes it.
    Borrowed {
        /// The component.
        component: &'static str,
    },
    /// The rows of lists are no values of one size: read them by a term, or one by one by id.
    List {
        /// The component.
        component: &'static str,
    },
    /// The query wants to write the entity handles.
    WritesEntity,
    /// The query wants to write a link of the hierarchy, which only the engine writes.
    EngineOwned {
        /// The link.
        component: &'static str,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReadable { component } => write_not_readable(formatter, component),
            Self::List { component } => write!(
                formatter,
                "the rows of {component} are lists and have no size: read them by the term `&List<T>`, or by \
                 `get_bytes`"
            ),
            Self::Conflict { component } => write!(
                formatter,
                "the query writes {component} and uses it once more: leave one of the terms out"
            ),
            Self::Unknown { id } => write_unknown(formatter, *id),
            Self::EngineOwned { component } => write!(
                formatter,
                "{component} is written by the engine only: change the hierarchy by setting parents"
            ),
            Self::TooManyToggles { component } => {
                write!(
                    formatter,
                    "{component} is one toggle too many: a query looks at {TOGGLES_MAX} at the most"
                )
            }
            Self::ForeignMark => formatter.write_str(
                "the mark of changes is another world's: make one by `change_mark` of this world",
            ),
            Self::Borrowed { component } => write!(
                formatter,
                "another query is alive that uses {component}, and one of the two writes it: \
                 drop that one first"
            ),
            Self::WritesEntity => formatter
                .write_str("entity handles can't be written: take `Entity` for `&mut Entity`"),
        }
    }
}

impl std::error::Error for QueryError {}

/// The error of reading `T` where it may not be read.
#[cold]
pub(super) fn not_readable<T: Component>() -> QueryError {
    QueryError::NotReadable { component: name_of::<T>() }
}

/// Why a query does not hand out the row of an entity. Nothing has changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The handle is stale, or never named an entity here.
    NotAlive {
        /// The handle.
        entity: Entity,
    },
    /// The entity lacks a component that a term of the query needs.
    Missing {
        /// The entity.
        entity: Entity,
        /// The component that it lacks.
        component: &'static str,
    },
    /// The entity has the components, and a filter leaves it out, or one of them is switched off.
    Filtered {
        /// The entity.
        entity: Entity,
    },
    /// The entity was asked for twice at once, in a query that writes.
    Duplicate {
        /// The entity.
        entity: Entity,
    },
    /// The entity handles, without which no entity can be looked up, were not captured, not synced, or
    /// not declared by the reader.
    NotReadable {
        /// [`Entity`], as a component.
        component: &'static str,
    },
    /// No memory for copying a chunk that a snapshot shares.
    Memory(MemoryError),
}

impl fmt::Display for GetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAlive { entity } => write!(formatter, "entity {entity} is not alive"),
            Self::Missing { entity, component } => {
                write!(formatter, "entity {entity} has no {component}")
            }
            Self::Filtered { entity } => {
                write!(formatter, "entity {entity} is left out by a filter or a toggle")
            }
            Self::Duplicate { entity } => {
                write!(formatter, "entity {entity} is asked for twice, by a query that writes")
            }
            Self::NotReadable { component } => QueryError::NotReadable { component }.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for GetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MemoryError> for GetError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

impl From<QueryError> for GetError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotReadable { component } => Self::NotReadable { component },
            _ => unreachable!("look-ups are refused for what may not be read only"),
        }
    }
}

/// The value, or a panic with the error that points at the caller.
#[inline]
#[track_caller]
pub(crate) fn or_panic<T, E: fmt::Display>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
