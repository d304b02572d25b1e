//! Why a query can't run.

use std::fmt;

use crate::storage::ComponentId;

/// Why a query or a look-up on some tables can't run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The component is not among those that were captured, synced, or declared by the reader.
    NotCaptured {
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
    /// The mark of changes was made by another world.
    ForeignMark,
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
            Self::NotCaptured { component } => write!(
                formatter,
                "{component} can't be read here: it was not captured, or not declared by the reader"
            ),
            Self::Conflict { component } => {
                write!(formatter, "the query writes {component} and uses it once more")
            }
            Self::Unknown { id } => write!(formatter, "no component has the id {}", id.index()),
            Self::EngineOwned { component } => write!(
                formatter,
                "{component} is written by the engine only: change the hierarchy by setting parents"
            ),
            Self::ForeignMark => formatter.write_str("the mark of changes is another world's"),
            Self::WritesEntity => formatter.write_str("entity handles can't be written"),
        }
    }
}

impl std::error::Error for QueryError {}
