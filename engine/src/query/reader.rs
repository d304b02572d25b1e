//! [`Reader`]: one component of many entities by handle.
//!
//! Random access waits for memory, and a processor overlaps as many accesses as fit into its window
//! of instructions. So facts that are the same for every entity are found out once: the id of the
//! component, and the rows of its column in every table.

use std::any::type_name;
use std::fmt;

use crate::storage::component::{Component, Kind};
use crate::storage::names::public_name;
use crate::storage::rows::{TableRows, TypedRows};
use crate::storage::{ComponentId, Entity};
use crate::world::index::Slot;
use crate::world::store::Store;

use super::error::{QueryError, not_readable};

/// Reads the component `T` of entities by handle, in a world or in a snapshot. Made by
/// [`World::reader`](crate::World::reader) and by a view's `reader`, for loops that follow many handles.
///
/// ```
/// # use convoy_engine::World;
/// let mut world = World::new();
/// let (tower, gone) = (world.spawn((7.5_f32,)), world.spawn((8.0_f32,)));
/// world.despawn(gone).unwrap();
/// let heights = world.reader::<f32>().unwrap();
/// assert_eq!(heights.get(tower), Some(&7.5));
/// assert_eq!(heights.get(gone), None);
/// ```
pub struct Reader<'a, T> {
    store: Store<'a>,
    slots: TypedRows<'a, Slot>,
    columns: TableRows<'a, T>,
    /// `None` while no component has the type.
    id: Option<ComponentId>,
}

impl<'a, T: Component> Reader<'a, T> {
    pub(crate) fn new(store: Store<'a>) -> Result<Self, QueryError> {
        let slots = store.slots().ok_or_else(not_readable::<Entity>)?;
        let id = store.catalog().registry.id_of::<T>(Kind::Component);
        if id.is_some_and(|id| !store.readable().contains(id)) {
            return Err(not_readable::<T>());
        }
        let rows = |table| Some(store.rows(table, id?)?.typed());
        let columns = TableRows::new((0..store.table_count()).map(rows));
        Ok(Self { store, slots: slots.typed(), columns, id })
    }

    /// The component `T` of `entity`; `None` when the handle is stale or the entity has no `T`.
    #[inline]
    pub fn get(&self, entity: Entity) -> Option<&'a T> {
        let slot = self.slots.get(entity.index() as usize)?;
        let (table, row) = slot.place_of(entity.generation())?;
        match self.columns.covers(table) {
            true => self.columns.get(table, row),
            false => self.get_far(table, row),
        }
    }

    /// From a table beyond those that are side by side, or from none.
    #[inline(never)]
    fn get_far(&self, table: usize, row: u32) -> Option<&'a T> {
        if table >= self.store.table_count() {
            return None;
        }
        self.store.rows(table, self.id?)?.typed().get(row as usize)
    }
}

impl<T> fmt::Debug for Reader<'_, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reader<{}>", public_name(type_name::<T>()))
    }
}
