//! Batches over a query: whole tables move, not rows. Where a filter decides row by row, the
//! entities that it finds are listed first, and then moved by runs of rows.

use crate::storage::archetype::ArchetypeId;
use crate::storage::{ComponentId, Entity};
use crate::world::bundle::Bundle;
use crate::world::{ComponentError, World};

use super::cursor::{for_each_range, selects_rows};
use super::filter::Filter;
use super::query_mut::QueryMut;
use super::terms::Terms;

impl<Q: Terms, F: Filter> QueryMut<'_, Q, F> {
    /// Inserts `bundle` into every entity that the query finds: one copy of memory per column and
    /// chunk. Returns how many entities there were.
    ///
    /// ```
    /// # use convoy_engine::{With, World};
    /// let mut world = World::new();
    /// world.spawn_columns((&[1_u32, 2, 3][..],)).unwrap();
    /// let tagged = world.query_mut::<&u32>().insert((0.5_f32,)).unwrap();
    /// assert_eq!((tagged, world.query::<&f32>().count()), (3, 3));
    /// world.query_mut::<()>().filter::<With<f32>>().remove::<(f32,)>().unwrap();
    /// assert_eq!(world.query::<&f32>().count(), 0);
    /// assert_eq!(world.query_mut::<&u32>().despawn().unwrap(), 3);
    /// assert_eq!(world.entity_count(), 0);
    /// ```
    ///
    /// # Errors
    ///
    /// When the bundle can't be used, or when memory runs out; archetypes before that have been
    /// changed, none is changed in part.
    pub fn insert<B: Bundle>(mut self, bundle: B) -> Result<usize, ComponentError> {
        // Before any row is looked at, as a partial replica may lack the handles or the toggles.
        self.world.check_whole()?;
        if let Some(found) = self.listed() {
            let report = self.world.insert_list(&found, &bundle);
            self.world.keep_entity_list(found);
            return Ok(report?.changed);
        }
        let known = self.world.catalog_counts();
        let result = self.insert_into_tables(bundle);
        if result.is_err() {
            self.world.forget_catalog(known);
        }
        result
    }

    fn insert_into_tables<B: Bundle>(&mut self, bundle: B) -> Result<usize, ComponentError> {
        let number = self.world.bundle::<B>()?;
        let bundle_mask = self.world.plans.bundles.get(number).mask;
        let mut inserted = 0;
        // First the archetypes that have all components already and stay where they are: rows
        // that move to one of them later must not be visited again.
        for stays in [true, false] {
            inserted += self.for_each_table(|world, archetype| {
                let held = *world.catalog.archetype(archetype).mask();
                if bundle_mask.is_subset(&held) != stays {
                    return Ok(false);
                }
                world.insert_into_table(archetype, &bundle).map(|()| true)
            })?;
        }
        Ok(inserted)
    }

    /// Removes the components of `B` from every entity that the query finds and that has all of
    /// them. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`QueryMut::insert`].
    pub fn remove<B: Bundle>(mut self) -> Result<usize, ComponentError> {
        self.world.check_whole()?;
        if let Some(found) = self.listed() {
            let report = self.world.remove_many::<B>(&found);
            self.world.keep_entity_list(found);
            return Ok(report?.changed);
        }
        self.for_each_table(|world, archetype| world.remove_from_table::<B>(archetype))
    }

    /// Despawns every entity that the query finds. Returns how many there were.
    ///
    /// Whole tables go at once, but for entities that have a parent or children, which are
    /// despawned one by one as by [`World::despawn`].
    ///
    /// # Errors
    ///
    /// As [`QueryMut::insert`]; of entities with a parent or children, those before that are gone.
    pub fn despawn(mut self) -> Result<usize, ComponentError> {
        self.world.check_whole()?;
        if let Some(found) = self.listed() {
            let report = self.world.despawn_many(&found);
            self.world.keep_entity_list(found);
            return Ok(report?.changed);
        }
        let mut linked = self.world.take_entity_list();
        let despawned = self.for_each_table(|world, archetype| {
            let table = &world.state.tables[archetype.index()];
            if table.is_linked() {
                // Mending links moves rows from table to table, so it waits until all are found.
                linked.extend((0..table.rows()).map(|row| table.entity(row)));
                return Ok(true);
            }
            world.despawn_table(archetype).map(|()| true)
        });
        let world = self.world;
        let despawned = despawned.and_then(|count| {
            linked.iter().try_for_each(|&entity| world.despawn(entity)).map(|()| count)
        });
        world.keep_entity_list(linked);
        despawned
    }

    /// All entities that the query finds, if it finds only some rows of a table.
    fn listed(&mut self) -> Option<Vec<Entity>> {
        let (plan, since) = self.plan();
        if !selects_rows::<Q, F>(&plan, since) {
            return None;
        }
        let mut found = self.world.take_entity_list();
        let (plan, since) = self.plan();
        for_each_range::<Q, F>(&plan, since, |table, rows| {
            let handles = plan.store().rows(table, ComponentId::ENTITY);
            let handles = handles.expect("a whole world has handles");
            handles.runs::<Entity>(rows).for_each(|handles| found.extend_from_slice(handles));
        });
        Some(found)
    }

    /// Calls `change` for each archetype that the query finds, of those that exist now, and adds
    /// up the entities of those that it changed.
    fn for_each_table(
        &mut self,
        mut change: impl FnMut(&mut World, ArchetypeId) -> Result<bool, ComponentError>,
    ) -> Result<usize, ComponentError> {
        let mut changed = 0;
        for position in 0..self.plan().0.len() {
            let (plan, _) = self.plan();
            let Some(table) = plan.table::<F>(position) else { continue };
            let (rows, archetype) = (table.rows(), plan.archetype(position));
            changed += if change(self.world, archetype)? { rows } else { 0 };
        }
        Ok(changed)
    }
}
