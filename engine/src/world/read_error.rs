//! [`ReadError`]: why something can't be read, on worlds, views, branches and replicas alike.

use std::fmt;

use crate::storage::names::name_of;
use crate::storage::{Component, ComponentId, Entity};

/// Why something can't be read. In a view, all of it is told as it was at the capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The component, event type or resource, or [`Entity`] for look-ups, was not captured, not synced,
    /// or not declared by the reader.
    NotReadable {
        /// The component.
        component: &'static str,
    },
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
    /// No component, event type or resource has the id.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// The component can't be switched off.
    NotToggle {
        /// The component.
        component: &'static str,
    },
    /// The world has no value of the resource.
    NoResource {
        /// The type of the resource.
        resource: &'static str,
    },
}

/// Writes the remedy for a component that may not be read.
pub(crate) fn write_not_readable(
    formatter: &mut fmt::Formatter<'_>,
    component: &str,
) -> fmt::Result {
    // Of the handles it is not obvious that they are like a component.
    let added = if component == name_of::<Entity>() { "Entity" } else { "it" };
    write!(
        formatter,
        "{component} can't be read here: add {added} to the mask of the capture or sync, and to what \
         the module or view reads"
    )
}

/// Writes the remedy for an unknown id.
pub(crate) fn write_unknown(formatter: &mut fmt::Formatter<'_>, id: ComponentId) -> fmt::Result {
    write!(
        formatter,
        "no component, event or resource has the id {} here: ids are of the world that registered them",
        id.index()
    )
}

/// Writes the remedy for a component that is no toggle.
pub(crate) fn write_not_toggle(formatter: &mut fmt::Formatter<'_>, component: &str) -> fmt::Result {
    write!(
        formatter,
        "{component} can't be switched off: it is a toggle after `World::register_toggle`, before the \
         first entity has it"
    )
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReadable { component } => write_not_readable(formatter, component),
            Self::NotAlive { entity } => write!(formatter, "entity {entity} is not alive"),
            Self::Missing { entity, component } => {
                write!(formatter, "entity {entity} has no {component}")
            }
            Self::Unknown { id } => write_unknown(formatter, *id),
            Self::NotToggle { component } => write_not_toggle(formatter, component),
            Self::NoResource { resource } => write!(
                formatter,
                "the world has no {resource}: give it one by `World::insert_resource`"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

/// The error of reading `T` where it may not be read.
#[cold]
pub(crate) fn not_readable<T: Component>() -> ReadError {
    ReadError::NotReadable { component: name_of::<T>() }
}
