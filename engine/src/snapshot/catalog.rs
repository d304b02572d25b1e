//! What a view tells of types, and where the next events begin: as its world does, at the capture.

use crate::storage::component::{Component, ComponentInfo, Kind};
use crate::storage::{ComponentId, ComponentMask};
use crate::world::EventCursor;

use super::view::View;

impl View {
    /// The id of the component `T`, if it was registered, as [`World::component_id`](crate::World).
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let id = world.register::<u32>().unwrap();
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// let later = world.register::<u64>().unwrap();
    /// assert_eq!((view.component_id::<u32>(), view.component_id_by_name("u32")), (Some(id), Some(id)));
    /// assert_eq!(view.component_info(id).unwrap().size(), 4);
    /// assert!(view.component_id::<u64>().is_none() && view.component_info(later).is_none());
    /// ```
    pub fn component_id<T: Component>(&self) -> Option<ComponentId> {
        self.frozen().catalog().registry.id_of::<T>(Kind::Component)
    }

    /// The id of the component of this name, if one was registered, as
    /// [`World::component_id_by_name`](crate::World).
    pub fn component_id_by_name(&self, name: &str) -> Option<ComponentId> {
        self.frozen().catalog().registry.id_by_name(name)
    }

    /// Name, size and chunk shape of a type; `None` when none had the id at the capture.
    pub fn component_info(&self, id: ComponentId) -> Option<&ComponentInfo> {
        self.frozen().catalog().registry.get(id)
    }

    /// Whether there was a resource of type `T` that this view may read.
    pub fn contains_resource<T: Component>(&self) -> bool {
        self.resource::<T>().is_ok()
    }

    /// A cursor that starts with the first event of type `T` after the capture, for reading the
    /// world or a later view; with the oldest one where this view can't read the log.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.send_event(1_u32);
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// world.send_event(2_u32);
    /// assert!(world.events(&mut view.event_cursor::<u32>()).eq([2]));
    /// ```
    pub fn event_cursor<T: Component>(&self) -> EventCursor<T> {
        let id = self.frozen().catalog().registry.id_of::<T>(Kind::Event);
        let log = id.filter(|&id| self.mask().contains(id)).and_then(|id| self.frozen().log(id));
        EventCursor::starting_at(log.map_or(0, |(rows, first, _)| first + rows.len() as u64))
    }

    /// Bytes of the rows in the columns of `mask` that this view may read, and of its resources:
    /// what one packed copy of them would take, as [`World::row_bytes`](crate::World).
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// world.spawn((1_u32, 2_u64));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// assert_eq!(view.row_bytes(&ComponentMask::ALL), 8 + 4 + 8);
    /// assert_eq!(view.row_bytes(&ComponentMask::ALL), world.row_bytes(&ComponentMask::ALL));
    /// ```
    pub fn row_bytes(&self, mask: &ComponentMask) -> usize {
        let (frozen, catalog) = (self.frozen(), self.frozen().catalog());
        let mask = self.mask().intersection(mask);
        let tables = catalog.archetypes()[..frozen.table_count()].iter().enumerate();
        let columns = tables.flat_map(|(table, archetype)| {
            let ids = archetype.mask().intersection(&mask).iter();
            ids.filter_map(move |id| frozen.column(table, id))
        });
        let ids = catalog.registry.ids_of(Kind::Resource).filter(|&id| mask.contains(id));
        let resources = ids.filter_map(|id| frozen.resource(id));
        columns.chain(resources).map(|rows| rows.size() * rows.len()).sum()
    }
}
