//! Resources: values, one per type in a world.
//!
//! The type's id shares the range of the components, so a mask with it captures the value, a
//! module declares that it reads it, and a sync copies it. A type may be a component, an event and
//! a resource at once, under three ids.
//!
//! Local resources are of any type and belong to the world's owner alone: snapshots and replicas
//! leave them out.

use std::fmt;
use std::sync::Arc;

use convoy_pool::MemoryError;

use crate::storage::component::{Component, Kind};
use crate::storage::names::name_of;
use crate::storage::{ComponentId, RegisterError};

use super::core::World;
use super::error::RefusedBytes;

/// Why a resource can't be read or changed. The world is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResourceError {
    /// The world has no value of this type.
    Missing {
        /// The type.
        resource: &'static str,
    },
    /// The world is a replica that was synced without the resource.
    NotReadable {
        /// The type.
        resource: &'static str,
    },
    /// No resource of this world has the id.
    Unknown {
        /// The id.
        id: ComponentId,
    },
    /// The bytes are not as many as the value has.
    Bytes {
        /// The type.
        resource: &'static str,
        /// Bytes of a value.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// Bytes are no value of the type, as not all are.
    Value {
        /// The type.
        resource: &'static str,
        /// The bytes that were given.
        value: RefusedBytes,
    },
    /// The type can't be registered.
    Register(RegisterError),
    /// No memory to write the value.
    Memory(MemoryError),
}

impl fmt::Display for ResourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { resource } => write!(
                formatter,
                "the world has no {resource}: give it one by `World::insert_resource`"
            ),
            Self::NotReadable { resource } => write!(
                formatter,
                "{resource} was not synced into this replica: add it to the mask of the sync"
            ),
            Self::Unknown { id } => write!(
                formatter,
                "no resource has the id {} here: ids are of the world that registered them",
                id.index()
            ),
            Self::Bytes { resource, expected, found } => {
                write!(formatter, "a value of {resource} has {expected} bytes, not {found}")
            }
            Self::Value { resource, value } => {
                write!(formatter, "{value} is no value of {resource}")
            }
            Self::Register(error) => error.fmt(formatter),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ResourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Register(error) => Some(error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RegisterError> for ResourceError {
    fn from(error: RegisterError) -> Self {
        Self::Register(error)
    }
}

impl From<MemoryError> for ResourceError {
    fn from(error: MemoryError) -> Self {
        Self::Memory(error)
    }
}

/// # Resources
impl World {
    /// Registers `T` as a resource, or finds it registered. Its id shares the range of the
    /// components, and a mask with it captures the value.
    ///
    /// # Errors
    ///
    /// As [`World::register`].
    pub fn register_resource<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        if let Some(id) = self.catalog.registry.id_of::<T>(Kind::Resource) {
            return Ok(id);
        }
        let id = Arc::make_mut(&mut self.catalog)
            .registry
            .register::<T>(Kind::Resource, &|_, _| true)?;
        self.state.grow(&self.catalog, self.event_retention);
        Ok(id)
    }

    /// Sets the resource of type `T` and returns the value before. [`World::clear`] keeps it.
    /// Constant time; a chunk that a snapshot shares is copied first.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.insert_resource(9.81_f32).unwrap();
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// *world.resource_mut::<f32>().unwrap() = 1.62;
    /// assert_eq!(*view.resource::<f32>().unwrap(), 9.81);
    /// assert_eq!(world.remove_resource::<f32>().unwrap(), 1.62);
    /// ```
    ///
    /// # Errors
    ///
    /// When the type can't be registered, when the world is a replica that was synced without it,
    /// or when memory runs out. The value is unchanged.
    pub fn insert_resource<T: Component>(&mut self, value: T) -> Result<Option<T>, ResourceError> {
        if self.role.is_partial() && !self.is_readable::<T>() {
            return Err(not_synced::<T>());
        }
        self.all_or_nothing(|world| {
            let id = world.register_resource::<T>()?;
            let resource = world.state.resource_mut(id);
            let resource = resource.expect("a registered resource type has a column");
            Ok(resource.insert(value, &mut world.memory)?)
        })
    }

    /// The resource of type `T`, for writing. A chunk that a snapshot shares is copied first.
    ///
    /// # Errors
    ///
    /// As [`World::resource`], and when memory runs out.
    pub fn resource_mut<T: Component>(&mut self) -> Result<&mut T, ResourceError> {
        let id = self.find_resource::<T>()?;
        let resource = self.state.resource_mut(id).ok_or_else(missing::<T>)?;
        resource.get_mut(&mut self.memory)?.ok_or_else(missing::<T>)
    }

    /// Takes the resource of type `T` out. Its memory stays for the next value, until
    /// [`World::compact`].
    ///
    /// # Errors
    ///
    /// As [`World::resource`].
    pub fn remove_resource<T: Component>(&mut self) -> Result<T, ResourceError> {
        let id = self.find_resource::<T>()?;
        let resource = self.state.resource_mut(id).ok_or_else(missing::<T>)?;
        resource.remove(&mut self.memory).ok_or_else(missing::<T>)
    }

    /// Sets the local resource of type `T`, which no snapshot and no replica sees, and returns the
    /// value before. Allocates for the first value of a type only; [`World::clear`] keeps it.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// assert_eq!(world.insert_local(vec!["north"]), None);
    /// world.local_mut::<Vec<&str>>().unwrap().push("south");
    /// assert_eq!(world.local::<Vec<&str>>().unwrap().len(), 2);
    /// assert_eq!(world.remove_local::<Vec<&str>>(), Some(vec!["north", "south"]));
    /// assert!(world.local::<Vec<&str>>().is_none());
    /// ```
    pub fn insert_local<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        self.locals.insert(value)
    }

    /// The local resource of type `T`.
    pub fn local<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.locals.get()
    }

    /// The local resource of type `T`, for writing.
    pub fn local_mut<T: Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        self.locals.slot_mut()?.as_mut()
    }

    /// Takes the local resource of type `T` out.
    pub fn remove_local<T: Send + Sync + 'static>(&mut self) -> Option<T> {
        self.locals.slot_mut()?.take()
    }

    /// The id of the resource type `T`, whose value may be read if there is one.
    fn find_resource<T: Component>(&self) -> Result<ComponentId, ResourceError> {
        if !self.is_readable::<T>() {
            return Err(not_synced::<T>());
        }
        self.catalog.registry.id_of::<T>(Kind::Resource).ok_or_else(missing::<T>)
    }

    /// Whether the resource of type `T` may be read, should it exist. A replica of some columns
    /// can't tell of a type that its source did not know.
    fn is_readable<T: Component>(&self) -> bool {
        match self.catalog.registry.id_of::<T>(Kind::Resource) {
            Some(id) => self.role.may_read(id),
            None => self.role.readable().is_all(),
        }
    }
}

#[cold]
fn missing<T: Component>() -> ResourceError {
    ResourceError::Missing { resource: name_of::<T>() }
}

#[cold]
fn not_synced<T: Component>() -> ResourceError {
    ResourceError::NotReadable { resource: name_of::<T>() }
}
