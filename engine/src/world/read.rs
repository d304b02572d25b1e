//! Looking entities up, and reading and writing their components one by one.

use std::any::TypeId;

use crate::storage::component::{Component, Kind};
use crate::storage::links::engine_owns;
use crate::storage::names::name_of;
use crate::storage::{ComponentId, Entity};

use super::core::World;
use super::error::{ComponentError, EntityError};
use super::index::Location;
use super::read_error::{ReadError, not_readable};

/// # Reading and writing components
impl World {
    /// The component `T` of `entity`.
    ///
    /// # Errors
    ///
    /// When the handle is stale or `entity` has no `T`.
    #[inline]
    pub fn get<T: Component>(&self, entity: Entity) -> Result<&T, ReadError> {
        // Random access waits for memory, and the fewer instructions it has, the more of it waits
        // at one time. So errors are told apart only where there is one.
        match self.find(entity) {
            Some(value) => Ok(value),
            None => Err(self.why_unreadable::<T>(entity)),
        }
    }

    /// The component `T` of `entity`, for writing. Its chunk is copied first when a snapshot
    /// shares it.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` has no `T`, `T` is written by the engine only, or memory
    /// runs out.
    #[inline]
    pub fn get_mut<T: Component>(&mut self, entity: Entity) -> Result<&mut T, ComponentError> {
        let at = self.locate(entity)?;
        if engine_owns(TypeId::of::<T>()) {
            return Err(ComponentError::EngineOwned { component: name_of::<T>() });
        }
        let id = self.catalog.registry.id_of::<T>(Kind::Component);
        let table = &mut self.state.tables[at.archetype.index()];
        let id = id.filter(|&id| id != ComponentId::ENTITY);
        match id.and_then(|id| Some((id, table.position(id)?))) {
            Some((id, position)) if self.role.may_read(id) => {
                let value = table.own_value(position, at.row as usize, &mut self.memory)?;
                Ok(value.into_mut())
            }
            Some(_) => Err(not_synced::<T>()),
            None => Err(missing::<T>(entity)),
        }
    }
}

impl World {
    #[inline]
    pub(crate) fn locate(&self, entity: Entity) -> Result<Location, EntityError> {
        self.state.index.locate(entity).ok_or(EntityError::NotAlive { entity })
    }

    #[inline]
    fn find<T: Component>(&self, entity: Entity) -> Option<&T> {
        let (table, row) = self.state.index.place_of(entity)?;
        let id = self.catalog.registry.component_of::<T>()?;
        if !self.role.may_read(id) {
            return None;
        }
        Some(self.state.tables.get(table)?.column(id)?.get(row as usize))
    }

    /// Why [`World::get`] found nothing.
    #[cold]
    #[inline(never)]
    fn why_unreadable<T: Component>(&self, entity: Entity) -> ReadError {
        self.store().get::<T>(entity).err().unwrap_or_else(not_readable::<T>)
    }
}

#[cold]
fn missing<T: Component>(entity: Entity) -> ComponentError {
    ComponentError::Missing { entity, component: name_of::<T>() }
}

#[cold]
fn not_synced<T: Component>() -> ComponentError {
    ComponentError::NotReadable { component: name_of::<T>() }
}
