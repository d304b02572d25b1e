//! What a view tells of types, archetypes and entities, and where the next events begin: as its
//! world does, at the capture.

use std::fmt;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::{Component, ComponentInfo, Kind};
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::archetypes::write_table;
use crate::world::{ArchetypeStatistics, Components, EventCursor};

use super::view::{ReadError, View};

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

    /// The components that `entity` had, with their ids, names and shapes: also those that this view
    /// may not read.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let ship = world.spawn((7_u32, 0.5_f64));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// world.remove::<(f64,)>(ship).unwrap();
    /// let sizes = view.components_of(ship).unwrap().map(|(_, info)| info.size());
    /// assert!(sizes.eq([4, 8]));
    /// ```
    ///
    /// # Errors
    ///
    /// When the handle was stale, or [`Entity`] is not among what this view may read.
    pub fn components_of(&self, entity: Entity) -> Result<Components<'_>, ReadError> {
        let at = self.locate(entity)?.ok_or(ReadError::NotAlive { entity })?;
        Ok(Components::new(self.frozen().catalog(), at.archetype))
    }

    /// The archetypes at the capture, as [`World::archetypes`](crate::World::archetypes), with what
    /// the columns take that this view may read.
    ///
    /// ```
    /// # use convoy_engine::{ComponentMask, SnapshotPool, World};
    /// # let (mut world, pool) = (World::new(), SnapshotPool::default());
    /// let ship = world.spawn((7_u32, 0.5_f64));
    /// let view = world.capture(ComponentMask::ALL, &pool);
    /// world.despawn(ship).unwrap();
    /// let ships = view.archetypes().last().unwrap();
    /// assert_eq!((ships.rows, ships.bytes_used), (1, 8 + 4 + 8));
    /// println!("{view:#?}"); // all archetypes, as a table
    /// ```
    pub fn archetypes(&self) -> impl ExactSizeIterator<Item = ArchetypeStatistics<'_>> {
        let (frozen, readable) = (self.frozen(), self.readable());
        (0..frozen.table_count()).map(move |table| {
            let archetype = ArchetypeId::new(table);
            let ids = frozen.catalog().archetype(archetype).mask().intersection(readable);
            let columns = ids.iter().filter_map(|id| {
                let (chunks, bytes) = frozen.column(table, id)?.chunk_use();
                Some((id, chunks, bytes))
            });
            ArchetypeStatistics::new(frozen.catalog(), archetype, frozen.table(table).0, columns)
        })
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

/// In short, or with `{:#?}` a table of all archetypes that have rows, as that of a
/// [`World`](crate::World).
impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tick, entities, readers) = (self.tick(), self.entity_count(), self.readers());
        if formatter.alternate() {
            writeln!(
                formatter,
                "View of tick {tick} with {entities} entities, one of {readers} readers"
            )?;
            return write_table(formatter, &self.frozen().catalog().registry, self.archetypes());
        }
        formatter
            .debug_struct("View")
            .field("tick", &tick)
            .field("entities", &entities)
            .field("readers", &readers)
            .finish_non_exhaustive()
    }
}
