//! Toggles: components that are switched off and on in place, without moving a row.
//!
//! A component that is registered as a toggle has a hidden column beside it, one byte a row, in
//! every table that has the component. It is a column like any other: rows carry it along when
//! they move, snapshots and replicas capture it, and it is copied on write. Masks never part the
//! two, so every reader of the component can tell where it is switched off.
//!
//! Where the column is written: inserting the component switches it on, everything else goes
//! through [`Toggles::set`].

use std::marker::PhantomData;
use std::mem;
use std::sync::Arc;

use crate::storage::component::{Component, DISABLED, ENABLED, Kind};
use crate::storage::history::Memory;
use crate::storage::names::name_of;
use crate::storage::rows::TypedRows;
use crate::storage::table::Table;
use crate::storage::{ComponentId, Entity, RegisterError};

use super::core::World;
use super::error::{ComponentError, EntityError};
use super::index::Slot;
use super::state::State;
use super::types::rows_pass;

/// # Switching components off
impl World {
    /// Registers `T` as a component that can be switched off, or finds it registered as one. That
    /// must come before the first entity that has a `T`.
    ///
    /// It takes two of the [`COMPONENTS_MAX`](crate::component::COMPONENTS_MAX) ids, and one byte more for
    /// each entity with a `T`. Entities that get a `T` have it switched on. Switching is an
    /// operation on one byte: the entity keeps its row, its archetype and the value. The operations
    /// that look at the switch, and those that do not:
    ///
    /// | | where `T` is switched off |
    /// |---|---|
    /// | `&T`, `&mut T`, [`With<T>`](crate::With) | the entity is skipped |
    /// | [`Without<T>`](crate::Without) | the entity is found, as if it lacked `T` |
    /// | `Option<&T>` | the entity is found, with `None` |
    /// | [`Changed<T>`](crate::query::Changed), [`Added<T>`](crate::query::Added) | the entity is found: they look at the value, which switching does not change. Together with `&T` it is skipped |
    /// | [`Or`](crate::query::Or), tuples of filters | as their parts |
    /// | [`Has<T>`](crate::query::Has) | `true`: it looks at the archetype |
    /// | [`World::query_described`] | skipped where the component is required; `excluded` looks at the archetype |
    /// | `get` and `get_many` of a query | [`GetError::Filtered`](crate::query::GetError::Filtered) where the loop skips the entity |
    /// | `count`, `len`, `single` and batches over a query | go by the rows that the query finds |
    /// | [`World::get`], [`World::get_mut`], bytes by id | the value is reached |
    /// | [`World::insert`], also in place | switches `T` on |
    /// | [`World::remove`], [`World::exchange`], [`World::despawn`] | take `T` away |
    /// | snapshots, replicas | have the switches of the capture or sync |
    ///
    /// A query that skips rows looks at 64 of them at once; queries over other tables are not
    /// slowed down.
    ///
    /// ```
    /// # use convoy_engine::{With, Without, World};
    /// # use bytemuck::{Pod, Zeroable};
    /// #[derive(Clone, Copy, Pod, Zeroable)]
    /// #[repr(C)]
    /// struct Engine(f32);
    ///
    /// let mut world = World::new();
    /// world.register_toggle::<Engine>().unwrap();
    /// let ships = [1_u32, 2, 3].map(|number| world.spawn((number, Engine(0.5))));
    /// world.disable::<Engine>(ships[1]).unwrap();
    ///
    /// let running: Vec<u32> =
    ///     world.query::<(&u32, &Engine)>().iter().map(|(number, _)| *number).collect();
    /// assert_eq!(running, [1, 3]);
    /// assert_eq!(world.query::<&u32>().filter::<Without<Engine>>().single(), Some(&2));
    /// assert_eq!(world.query::<&u32>().count(), 3);
    /// assert_eq!(world.get::<Engine>(ships[1]).unwrap().0, 0.5);
    ///
    /// world.enable::<Engine>(ships[1]).unwrap();
    /// assert_eq!(world.query::<()>().filter::<With<Engine>>().count(), 3);
    /// ```
    ///
    /// # Errors
    ///
    /// When an archetype with `T` exists already, when the engine alone writes `T`, when the world
    /// has no two ids left, and as [`World::register`]. The world is unchanged.
    pub fn register_toggle<T: Component>(&mut self) -> Result<ComponentId, RegisterError> {
        let known = self.catalog.registry.id_or_described::<T>();
        let in_use = |id| self.catalog.archetypes().iter().any(|each| each.mask().contains(id));
        let in_use = known.is_some_and(in_use);
        let registry = &mut Arc::make_mut(&mut self.catalog).registry;
        let tables = &self.state.tables;
        let rows_pass = |id, check| rows_pass(tables, id, check);
        let id = registry.register_toggle::<T>(|_| in_use, &rows_pass)?;
        self.plans.bundles.close(registry);
        Ok(id)
    }

    /// Switches `T` of `entity` on. Returns whether it was off.
    ///
    /// # Errors
    ///
    /// As [`Toggles::set`], and when `T` is no toggle.
    pub fn enable<T: Component>(&mut self, entity: Entity) -> Result<bool, ComponentError> {
        self.toggles::<T>()?.set(entity, true)
    }

    /// Switches `T` of `entity` off. Returns whether it was on.
    ///
    /// # Errors
    ///
    /// As [`World::enable`].
    pub fn disable<T: Component>(&mut self, entity: Entity) -> Result<bool, ComponentError> {
        self.toggles::<T>()?.set(entity, false)
    }

    /// The toggle of `T`, looked up once for switching many entities.
    ///
    /// # Errors
    ///
    /// When `T` is no toggle; in a replica, when `T` was not synced.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.register_toggle::<u8>().unwrap();
    /// let entities: Vec<_> = world.spawn_batch((0..9_u8).map(|n| (n,))).unwrap().collect();
    /// let mut toggles = world.toggles::<u8>().unwrap();
    /// for entity in &entities[3..] {
    ///     toggles.set(*entity, false).unwrap();
    /// }
    /// assert!(toggles.is_enabled(entities[0]).unwrap());
    /// assert_eq!(world.query::<&u8>().count(), 3);
    /// ```
    pub fn toggles<T: Component>(&mut self) -> Result<Toggles<'_, T>, ComponentError> {
        let id = self.toggle_of::<T>()?;
        let Self { state: State { tables, index, .. }, memory, .. } = self;
        let slots = index.column().rows(index.len()).typed();
        let (table, component) = (usize::MAX, PhantomData);
        Ok(Toggles { tables, slots, memory, id, table, position: 0, component })
    }

    fn toggle_of<T: Component>(&self) -> Result<ComponentId, ComponentError> {
        let registry = &self.catalog.registry;
        let id = registry.id_of::<T>(Kind::Component);
        let toggle = id.and_then(|id| registry.info(id).toggle());
        let not_toggle = || ComponentError::NotToggle { component: name_of::<T>() };
        let toggle = toggle.ok_or_else(not_toggle)?;
        if self.role.may_read(toggle) {
            Ok(toggle)
        } else {
            Err(ComponentError::NotReadable { component: name_of::<T>() })
        }
    }
}

/// The toggle of `T`. Made by [`World::toggles`].
pub struct Toggles<'w, T> {
    tables: &'w mut [Table],
    slots: TypedRows<'w, Slot>,
    memory: &'w mut Memory,
    id: ComponentId,
    /// The table that was looked at last, and where its column is.
    table: usize,
    position: usize,
    component: PhantomData<fn() -> T>,
}

impl<T: Component> Toggles<'_, T> {
    /// Switches `T` of `entity` on or off. Returns whether that changed anything; a switch that is
    /// as wanted already is not written.
    ///
    /// Constant time, and no row moves. The chunk of switches is copied first when a snapshot
    /// shares it.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` has no `T`, or memory runs out. The world is unchanged.
    // Always: a call is a twentieth of a switch, and whether it is one has changed with other code in the crate.
    #[inline(always)]
    pub fn set(&mut self, entity: Entity, enabled: bool) -> Result<bool, ComponentError> {
        let (table, row) = self.find(entity)?;
        let table = &mut self.tables[table];
        let wanted = if enabled { ENABLED } else { DISABLED };
        if let Some(value) = table.owned_value::<u8>(self.position, row, self.memory.now()) {
            return Ok(mem::replace(value, wanted) != wanted);
        }
        set_shared(table, (self.position, row), wanted, self.memory)
    }

    /// The table and row of an entity that has the component. `position` is right for the table.
    #[inline]
    fn find(&mut self, entity: Entity) -> Result<(usize, usize), ComponentError> {
        let slot = self.slots.get(entity.index() as usize);
        let Some((table, row)) = slot.and_then(|slot| slot.place_of(entity.generation())) else {
            return Err(not_alive(entity));
        };
        if table != self.table {
            self.turn_to(table, entity)?;
        }
        Ok((table, row as usize))
    }

    /// Finds the column of another table.
    #[inline(never)]
    fn turn_to(&mut self, table: usize, entity: Entity) -> Result<(), ComponentError> {
        // A slot without an entity names a table past all others.
        let found = self.tables.get(table).ok_or(EntityError::NotAlive { entity })?;
        self.position = found.position(self.id).ok_or_else(|| missing::<T>(entity))?;
        self.table = table;
        Ok(())
    }

    /// Whether `T` of `entity` is switched on.
    ///
    /// # Errors
    ///
    /// As [`World::is_enabled`].
    #[inline]
    pub fn is_enabled(&mut self, entity: Entity) -> Result<bool, ComponentError> {
        let (table, row) = self.find(entity)?;
        Ok(*self.tables[table].column_at(self.position).get::<u8>(row) == ENABLED)
    }
}

/// Switches a row whose chunk a snapshot may share. A row that is switched as wanted is left alone.
#[cold]
fn set_shared(
    table: &mut Table,
    (position, row): (usize, usize),
    wanted: u8,
    memory: &mut Memory,
) -> Result<bool, ComponentError> {
    if *table.column_at(position).get::<u8>(row) == wanted {
        return Ok(false);
    }
    table.own_value(position, row, memory)?.write(wanted);
    Ok(true)
}

#[cold]
fn not_alive(entity: Entity) -> ComponentError {
    ComponentError::NotAlive { entity }
}

#[cold]
fn missing<T: Component>(entity: Entity) -> ComponentError {
    ComponentError::Missing { entity, component: name_of::<T>() }
}
