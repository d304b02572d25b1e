//! Inserting and removing components: an entity moves its row along an edge of the archetype graph.

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Component;
use crate::storage::table::Table;

use super::bundle::{Bundle, BundleInfo, ComponentSource, Flat};
use super::core::World;
use super::edge_kind::{EdgeKind, Inserting, Removing};
use super::edges::Edge;
use super::error::{ComponentError, SpawnError};
use super::index::Location;
use super::parts::Plans;
use super::state::State;

/// # Inserting and removing components
impl World {
    /// Inserts the components of `bundle`, replacing those that `entity` has already.
    ///
    /// Moves the entity's row to another table unless it has all of them. Constant time, and one
    /// copy of the row.
    ///
    /// # Errors
    ///
    /// When the handle is stale, the bundle can't be used, or memory runs out. The world is
    /// unchanged.
    #[inline]
    pub fn insert<B: Bundle>(&mut self, entity: Entity, bundle: B) -> Result<(), ComponentError> {
        self.change_row::<Inserting<B>, _>(entity, &bundle, |_| ())
    }

    /// Removes the components of `B` from `entity` and returns them. Constant time, and one copy
    /// of the row.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` lacks one of the components, or memory runs out. The
    /// world is unchanged.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) -> Result<B, ComponentError> {
        self.change_row::<Removing<B>, _>(entity, &(), |source| B::take(source))
    }
}

impl World {
    /// Makes the values writable that an edge to the same archetype writes.
    #[cold]
    pub(crate) fn own_written<K: EdgeKind>(&mut self, at: Location) -> Result<(), MemoryError> {
        self.attempt(|world| {
            let Self { plans: Plans { edges, .. }, state: State { tables, .. }, memory, .. } =
                world;
            let edge = edges.find::<K>(at.archetype).expect("the edge was worked out");
            let table = &mut tables[at.archetype.index()];
            let mut written = edge.positions[..K::Inserted::LEN].iter().chain(edge.enabled());
            written.try_for_each(|&position| {
                table.own_value(usize::from(position), at.row as usize, memory).map(drop)
            })
        })
    }

    /// Checks that the entities of `archetype` have every component of `B`.
    #[cold]
    pub(crate) fn check_held<B: Bundle>(
        &self,
        entity: Entity,
        archetype: ArchetypeId,
    ) -> Result<(), ComponentError> {
        let held = self.catalog.archetype(archetype).mask();
        let (missing, _) = self.look_at_types::<B, _, SpawnError>(|registry| {
            let missing = BundleInfo::new::<B>(registry)?.mask.difference(held).iter().next();
            Ok(missing.map(|id| registry.info(id).name()))
        })?;
        match missing {
            None => Ok(()),
            Some(component) => Err(ComponentError::Missing { entity, component }),
        }
    }

    /// Works an edge out along which `entity` can move then, which has the components that go: memory that it
    /// needs for that runs out here, if it does.
    #[cold]
    pub(crate) fn first_edge<K: EdgeKind>(
        &mut self,
        (entity, from): (Entity, Location),
    ) -> Result<(), ComponentError> {
        self.check_held::<K::Removed>(entity, from.archetype)?;
        self.all_or_nothing(|world| {
            world.edge::<K>(from.archetype)?;
            Ok(world.prepare_edge::<K>((entity, from))?)
        })
    }

    /// The end of the edge of `K`, worked out now if it is new. An archetype that components go from has all
    /// of them.
    pub(crate) fn edge<K: EdgeKind>(
        &mut self,
        source: ArchetypeId,
    ) -> Result<ArchetypeId, SpawnError> {
        if let Some(edge) = self.plans.edges.find::<K>(source) {
            return Ok(edge.target);
        }
        let removed = self.edge_end::<K::Removed>(K::LINKS)?;
        let inserted = self.edge_end::<K::Inserted>(K::LINKS)?;
        let edge = self.new_edge(source, (&removed, &inserted));
        let target = edge.target;
        self.plans.edges.add::<K>(source, edge);
        Ok(target)
    }

    /// Works out the edge from `source` along which the components of one bundle go and those of
    /// another come. The archetype at its end is created if it is new.
    #[cold]
    pub(crate) fn new_edge(
        &mut self,
        source: ArchetypeId,
        (removed, inserted): (&BundleInfo, &BundleInfo),
    ) -> Edge {
        let mask = *self.catalog.archetype(source).mask();
        let target = self.archetype_of(&mask.difference(&removed.mask).union(&inserted.mask));
        let target = (target, self.catalog.archetype(target).mask());
        Edge::new(&mask, target, (removed, inserted), self.catalog.registry.toggles())
    }

    /// Makes everything writable that moving `entity` along the edge of `K` will write.
    #[cold]
    pub(crate) fn prepare_edge<K: EdgeKind>(
        &mut self,
        (entity, from): (Entity, Location),
    ) -> Result<(), MemoryError> {
        let edge = self.plans.edges.find::<K>(from.archetype).expect("the edge was worked out");
        let target = edge.target;
        self.prepare_move_to(target, (entity, from))
    }

    /// Makes everything writable that moving `entity` to another archetype will write.
    #[cold]
    pub(crate) fn prepare_move_to(
        &mut self,
        target: ArchetypeId,
        (entity, from): (Entity, Location),
    ) -> Result<(), MemoryError> {
        if target == from.archetype {
            return Ok(());
        }
        self.attempt(|world| {
            let Self { state: State { tables, index, .. }, memory, .. } = world;
            tables[target.index()].prepare_append(memory)?;
            let source = &mut tables[from.archetype.index()];
            index.prepare_move(entity, memory)?;
            index.prepare_move(source.entity(source.rows() - 1), memory)?;
            source.prepare_remove(from.row as usize, memory)
        })
    }
}

/// Reads a bundle from one row of a table.
pub(crate) struct RowSource<'a> {
    pub(crate) table: &'a Table,
    pub(crate) positions: std::slice::Iter<'a, u16>,
    pub(crate) row: usize,
}

impl ComponentSource for RowSource<'_> {
    #[inline]
    fn take<T: Component>(&mut self) -> T {
        let position = self.positions.next().expect("a bundle has at most BUNDLE_MAX components");
        *self.table.columns()[usize::from(*position)].get(self.row)
    }
}
