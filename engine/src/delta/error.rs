//! [`DeltaError`]: why there is no delta, or it was not applied.

use std::fmt;

use convoy_pool::MemoryError;

use crate::storage::TextError;
use crate::world::ComponentError;

use super::mark::DeltaMark;

/// Why a delta was not written, or not applied. The world is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeltaError {
    /// The view lacks a type that its world knew: capture with
    /// [`ComponentMask::ALL`](crate::ComponentMask::ALL) what a delta is made of.
    NotCaptured {
        /// The first type that is missing.
        component: &'static str,
    },
    /// The two views are of worlds with other types, or the same ones in another order.
    DifferentTypes,
    /// The bytes are no delta: they begin as none does.
    NotDelta,
    /// The delta is of a version of the format that this one does not read.
    Version {
        /// The version.
        found: u32,
    },
    /// There are fewer or more bytes than the delta has.
    Length {
        /// Bytes of the delta.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The bytes are not those that were written.
    Damaged,
    /// The bytes say what no world can be, though nothing has damaged them.
    Malformed {
        /// The part of the delta at fault.
        part: DeltaPart,
    },
    /// The world has other types than the one that the delta was made of, or in another order, or chunks
    /// of another size: make both of one [`Schema`](crate::schema::Schema) and one configuration.
    Schema {
        /// The fingerprint of the delta's types.
        expected: u64,
        /// The fingerprint of as many of the world's; zero where it has fewer.
        found: u64,
    },
    /// The world is not in the state that the delta begins with.
    Base {
        /// The mark of that state.
        expected: DeltaMark,
        /// The mark of the world's.
        found: DeltaMark,
    },
    /// The world has archetypes in another order than the base of the delta: only a whole world can be
    /// applied to it.
    Archetypes,
    /// Bytes are no value of the type, as not all are.
    Value {
        /// The type.
        component: &'static str,
    },
    /// A text can't be kept.
    Text(TextError),
    /// The world is a replica of some columns only.
    PartialReplica,
    /// The world of [`World::apply_mapped`](crate::World::apply_mapped) lacks a type of the source, or has
    /// another one under its name.
    UnknownType {
        /// The type.
        component: &'static str,
    },
    /// An entity can't be changed as [`World::apply_mapped`](crate::World::apply_mapped) has to.
    Entities(ComponentError),
    /// No memory for the rows.
    Memory(MemoryError),
}

/// The parts of a delta.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DeltaPart {
    /// The head, or the order of the parts.
    Head,
    /// New archetypes.
    Archetypes,
    /// The entity index: slots, and which handles come next.
    Index,
    /// The rows of tables.
    Tables,
    /// The elements of lists.
    Lists,
    /// The links of the hierarchy in them.
    Hierarchy,
    /// Event logs.
    Events,
    /// Resources.
    Resources,
    /// The contents of texts.
    Texts,
}

impl fmt::Display for DeltaPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Head => "head",
            Self::Archetypes => "archetypes",
            Self::Index => "entity index",
            Self::Tables => "tables",
            Self::Lists => "lists",
            Self::Hierarchy => "hierarchy",
            Self::Events => "events",
            Self::Resources => "resources",
            Self::Texts => "texts",
        })
    }
}

impl fmt::Display for DeltaError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCaptured { component } => write!(
                formatter,
                "the view can't read {component}: make deltas of views that were captured with \
                 `ComponentMask::ALL`"
            ),
            Self::DifferentTypes => formatter
                .write_str("the two views are of worlds with other types, or in another order"),
            Self::NotDelta => formatter.write_str("the bytes are no delta"),
            Self::Version { found } => {
                write!(formatter, "the delta is of version {found} of the format")
            }
            Self::Length { expected, found } => {
                write!(formatter, "the delta has {expected} bytes, not {found}")
            }
            Self::Damaged => formatter.write_str("the delta is damaged"),
            Self::Malformed { part } => {
                write!(formatter, "the {part} of the delta are of no world")
            }
            Self::Schema { expected, found } => write!(
                formatter,
                "the delta is of a world with other types ({expected:016x}, not {found:016x}): make \
                 both of one schema and one configuration"
            ),
            Self::Base { expected, found } => write!(
                formatter,
                "the delta is from state {expected} on, and the world has state {found}"
            ),
            Self::Archetypes => formatter.write_str(
                "the world has archetypes in another order than the base of the delta: apply a whole \
                 world",
            ),
            Self::Value { component } => {
                write!(formatter, "some bytes of the delta are no value of {component}")
            }
            Self::Text(error) => error.fmt(formatter),
            Self::PartialReplica => {
                formatter.write_str("the world is a replica of some columns only")
            }
            Self::UnknownType { component } => {
                write!(formatter, "the world knows no {component} as the source does: register it")
            }
            Self::Entities(error) => error.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for DeltaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Text(error) => Some(error),
            Self::Entities(error) => Some(error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<MemoryError> for DeltaError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}
