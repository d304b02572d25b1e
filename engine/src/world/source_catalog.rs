//! How a replica comes to know the types and archetypes of its source.
//!
//! A replica whose catalog is the beginning of its source's shares that. Another one keeps its own:
//! types that are new get ids of their own, as ids never change, and a map ([`SourceIds`]) leads from
//! the source's to them; archetypes come to stand in the source's order, because the entity index speaks of them
//! by number and passes visit them in order. Tables move along with their archetypes, so that no row
//! is copied for it. Archetypes that the source lacks follow, as snapshots may hold rows of them.

use std::mem;
use std::sync::Arc;

use crate::storage::archetype::Catalog;
use crate::storage::component::registry::adopt::AdoptError;
use crate::storage::state_hash::StateHashes;
use crate::storage::table::Table;

use super::core::World;
use super::parts::Plans;
use super::source_ids::{CatalogStamps, SourceIds};
use super::types::rows_pass;

impl World {
    /// Makes the types of `source` known, and its archetypes the first ones, in its order. Tells
    /// whether that moved a table: then the entity index and caches speak of other ones, until the
    /// index is that of the source and [`World::close_catalog`] has emptied the caches. On an error
    /// nothing has changed.
    pub(crate) fn follow_catalog(&mut self, source: &World) -> Result<bool, AdoptError> {
        let (own, theirs) = (Arc::clone(&self.catalog), &source.catalog);
        let count = theirs.archetypes().len();
        let stamps = |own: &Catalog| {
            Some([CatalogStamps::of(own, count)?, CatalogStamps::of(theirs, count)?])
        };
        if self.source_ids.hold_for(stamps(&own)) {
            return Ok(false);
        }
        if own.is_prefix_of(theirs) {
            self.source_ids = SourceIds::default();
            self.take_catalog(theirs);
            return Ok(false);
        }
        let mut registry = own.registry.clone();
        let in_use = |id| own.archetypes().iter().any(|each| each.mask().contains(id));
        let ids = registry.adopt(&theirs.registry, in_use, &|id, check| {
            rows_pass(&self.state.tables, id, check)
        })?;
        if !self.source_ids.agrees_with(&ids) {
            // Columns are those of other types now.
            self.role.forget_mark();
        }
        self.source_ids = SourceIds::new(ids);
        let ids = &self.source_ids;
        let order = theirs.archetypes().iter().map(|archetype| ids.known(archetype.mask()));
        let arranged = own.arranged(registry, order);
        self.source_ids.note(stamps(&arranged));
        Ok(self.arrange(Arc::new(arranged)))
    }

    /// Takes over a catalog that has at least the types and archetypes of this world.
    pub(crate) fn take_catalog(&mut self, catalog: &Arc<Catalog>) {
        if Arc::ptr_eq(&self.catalog, catalog) {
            return;
        }
        self.catalog = Arc::clone(catalog);
        self.state.grow(&self.catalog, self.event_retention);
    }

    /// Puts the archetypes in the order that `catalog` has, the one of an earlier capture: there tables
    /// stood elsewhere where a sync has moved them since.
    pub(crate) fn return_to_order(&mut self, catalog: &Catalog) {
        if !self.catalog.begins_with(catalog) {
            let order = catalog.archetypes().iter().map(|archetype| *archetype.mask());
            let arranged = self.catalog.arranged(self.catalog.registry.clone(), order);
            let is_rearranged = self.arrange(Arc::new(arranged));
            self.close_catalog(is_rearranged);
        }
    }

    /// Takes over a catalog that has the types of this world in another order of archetypes. Tables
    /// move to where their archetypes stand, and those of archetypes that it lacks are given back.
    /// Tells whether a table moved.
    pub(crate) fn arrange(&mut self, catalog: Arc<Catalog>) -> bool {
        let own = mem::replace(&mut self.catalog, catalog);
        let count = self.catalog.archetypes().len();
        let tables = Vec::with_capacity(count.max(self.state.tables.capacity()));
        let tables = mem::replace(&mut self.state.tables, tables);
        let mut held: Vec<_> = tables.into_iter().map(Some).collect();
        let mut is_moved = false;
        for (number, archetype) in self.catalog.archetypes().iter().enumerate() {
            let known = own.find(archetype.mask()).map(|id| id.index());
            is_moved |= known.is_some_and(|known| known != number);
            let table = known.and_then(|known| held[known].take());
            let table = table.unwrap_or_else(|| Table::new(archetype, &self.catalog.registry));
            self.state.tables.push(table);
        }
        held.iter_mut().flatten().for_each(|table| table.clear(&mut self.memory));
        self.state.grow(&self.catalog, self.event_retention);
        is_moved
    }

    /// Forgets the plans and hashes for another order of archetypes, if there was one.
    pub(crate) fn close_catalog(&mut self, is_rearranged: bool) {
        self.plans.bundles.close(&self.catalog.registry);
        if is_rearranged {
            self.plans = Plans::default();
            self.hashes = StateHashes::default();
            self.progress.compact_next = 0;
        }
    }

    /// Goes back to the catalog that there was before [`World::follow_catalog`].
    pub(crate) fn go_back_to_catalog(&mut self, catalog: Arc<Catalog>) {
        if Arc::ptr_eq(&catalog, &self.catalog) {
            return;
        }
        let types = catalog.registry.len();
        self.arrange(catalog);
        self.state.shrink(self.state.tables.len(), types, &mut self.memory);
        self.source_ids = SourceIds::default();
    }
}
