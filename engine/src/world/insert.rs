//! Inserting and removing components: an entity moves its row along an edge of the archetype graph.

use std::any::TypeId;

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::{Component, Registry};
use crate::storage::epoch::Now;
use crate::storage::table::Table;
use crate::storage::table::rows_mut::{NextRow, Removal};

use super::bundle::{Bundle, BundleInfo, ComponentSource, Flat, RowSink, Values};
use super::core::World;
use super::edges::{Direction, Edge, EdgeName};
use super::error::{ComponentError, SpawnError};
use super::index::{EntityIndex, Location};
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
        self.insert_values::<B>(entity, &bundle)
    }

    /// Removes the components of `B` from `entity` and returns them. Constant time, and one copy
    /// of the row.
    ///
    /// # Errors
    ///
    /// When the handle is stale, `entity` lacks one of the components, or memory runs out. The
    /// world is unchanged.
    pub fn remove<B: Bundle>(&mut self, entity: Entity) -> Result<B, ComponentError> {
        let (from, number) = self.find_removal::<B>(entity)?;
        let edge = self.plans.edges.get(number);
        let table = &self.state.tables[from.archetype.index()];
        let bundle = B::take(&mut RowSource {
            table,
            positions: edge.positions.iter(),
            row: from.row as usize,
        });
        if edge.target != from.archetype {
            self.move_row(number, (entity, from))?;
        }
        Ok(bundle)
    }
}

impl World {
    pub(crate) fn insert_values<B: Bundle>(
        &mut self,
        entity: Entity,
        values: &impl Values<B>,
    ) -> Result<(), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let number =
            match self.plans.edges.find(from.archetype, TypeId::of::<B>(), Direction::Insert) {
                Some(number) => number,
                None => self.first_edge::<B>((entity, from), Direction::Insert)?,
            };
        let to = self.reach::<B>(number, (entity, from))?;
        self.put_along(number, to, |sink, _| values.put_row(sink));
        Ok(())
    }

    /// Fills the components that an edge inserts into a row that [`World::reach`] made writable.
    #[inline]
    pub(crate) fn put_along(
        &mut self,
        number: usize,
        at: Location,
        put: impl FnOnce(&mut RowSink<'_>, &Registry),
    ) {
        let Self {
            plans: Plans { edges, .. }, state: State { tables, .. }, catalog, memory, ..
        } = self;
        let (edge, row, now) = (edges.get(number), at.row as usize, memory.now());
        let table = &mut tables[at.archetype.index()];
        table.enable(edge.enabled(), row..row + 1, now);
        put(&mut RowSink { table, positions: &edge.positions, row, now }, &catalog.registry);
    }

    /// Moves an entity along an edge that inserts a `B`, or, where it stays, makes the values
    /// writable that the bundle replaces. Returns where it is.
    #[inline]
    pub(crate) fn reach<B: Bundle>(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<Location, MemoryError> {
        let edge = self.plans.edges.get(number);
        if edge.target != from.archetype {
            return self.move_row(number, (entity, from));
        }
        let (table, row) = (&self.state.tables[from.archetype.index()], from.row as usize);
        let mut written = edge.positions[..B::LEN].iter().chain(edge.enabled());
        let now = self.memory.now();
        if !written.all(|&position| table.owns_value(usize::from(position), row, now)) {
            self.own_written(number, B::LEN, from)?;
        }
        Ok(from)
    }

    /// Makes the values writable that an edge to the same archetype writes.
    #[cold]
    fn own_written(
        &mut self,
        number: usize,
        positions: usize,
        at: Location,
    ) -> Result<(), MemoryError> {
        self.attempt(|world| {
            let Self { plans: Plans { edges, .. }, state: State { tables, .. }, memory, .. } =
                world;
            let (edge, table) = (edges.get(number), &mut tables[at.archetype.index()]);
            let mut written = edge.positions[..positions].iter().chain(edge.enabled());
            written.try_for_each(|&position| {
                table.own_value(usize::from(position), at.row as usize, memory).map(drop)
            })
        })
    }

    /// [`World::remove`] without a look at the values.
    pub(crate) fn remove_unseen<B: Bundle>(
        &mut self,
        entity: Entity,
    ) -> Result<(), ComponentError> {
        let (from, number) = self.find_removal::<B>(entity)?;
        if self.plans.edges.get(number).target != from.archetype {
            self.move_row(number, (entity, from))?;
        }
        Ok(())
    }

    /// Where `entity` is, and the number of the edge that it takes without the components of `B`.
    #[inline]
    fn find_removal<B: Bundle>(
        &mut self,
        entity: Entity,
    ) -> Result<(Location, usize), ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        let number =
            match self.plans.edges.find(from.archetype, TypeId::of::<B>(), Direction::Remove) {
                Some(number) => number,
                None => {
                    self.check_held::<B>(entity, from.archetype)?;
                    self.first_edge::<B>((entity, from), Direction::Remove)?
                }
            };
        Ok((from, number))
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

    /// The number of an edge that is new, and along which `entity` can move: memory that it needs for
    /// that runs out here, if it does.
    #[cold]
    fn first_edge<B: Bundle>(
        &mut self,
        (entity, from): (Entity, Location),
        direction: Direction,
    ) -> Result<usize, ComponentError> {
        self.all_or_nothing(|world| {
            let number = world.add_bundle_edge::<B>(from.archetype, direction)?;
            world.prepare_edge(number, (entity, from))?;
            Ok(number)
        })
    }

    /// The number of the edge that `B` leads along, worked out now if it is new. An archetype
    /// that a removal starts from has every component of `B`.
    #[inline]
    pub(crate) fn edge<B: Bundle>(
        &mut self,
        source: ArchetypeId,
        direction: Direction,
    ) -> Result<usize, SpawnError> {
        match self.plans.edges.find(source, TypeId::of::<B>(), direction) {
            Some(number) => Ok(number),
            None => self.add_bundle_edge::<B>(source, direction),
        }
    }

    #[cold]
    fn add_bundle_edge<B: Bundle>(
        &mut self,
        source: ArchetypeId,
        direction: Direction,
    ) -> Result<usize, SpawnError> {
        let number = self.bundle::<B>()?;
        let bundle = *self.plans.bundles.get(number);
        let name = EdgeName::Type(TypeId::of::<B>());
        Ok(self.add_edge(source, (name, direction), direction.ends(bundle)))
    }

    /// Works out the edge from `source` along which the components of one bundle go and those of
    /// another come. The archetype at its end is created if it is new. Returns the edge's number.
    #[cold]
    pub(crate) fn add_edge(
        &mut self,
        source: ArchetypeId,
        name: (EdgeName, Direction),
        (removed, inserted): (BundleInfo, BundleInfo),
    ) -> usize {
        let mask = *self.catalog.archetype(source).mask();
        let target = self.archetype_of(&mask.difference(&removed.mask).union(&inserted.mask));
        let Self { plans: Plans { edges, .. }, catalog, .. } = self;
        let target = (target, catalog.archetype(target).mask());
        let edge = Edge::new(&mask, target, (&removed, &inserted), catalog.registry.toggles());
        edges.add(source, name, edge)
    }

    /// Moves an entity's row to the table at the other end of an edge, without the values of an
    /// inserted bundle. Returns where it is now; on an error nothing has moved.
    #[inline]
    pub(crate) fn move_row(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<Location, MemoryError> {
        loop {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = self;
            let (edge, now) = (edges.get(number), memory.now());
            let pair = tables.get_disjoint_mut([from.archetype.index(), edge.target.index()]);
            let [source, target] = pair.expect("an edge leads to another table of the world");
            let last = source.entity(source.rows() - 1);
            if let Some(next) = target.next_row(now)
                && index.owns(entity, now)
                && index.owns(last, now)
                && let Some(removal) = source.removal(from.row as usize, now)
            {
                let to = finish_move((edge, entity, from), removal, next, index, now);
                source.release_empty(memory);
                return Ok(to);
            }
            self.prepare_edge(number, (entity, from))?;
        }
    }

    /// Makes everything writable that moving `entity` along an edge will write.
    #[cold]
    pub(crate) fn prepare_edge(
        &mut self,
        number: usize,
        (entity, from): (Entity, Location),
    ) -> Result<(), MemoryError> {
        if self.plans.edges.get(number).target == from.archetype {
            return Ok(());
        }
        self.attempt(|world| {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = world;
            tables[edges.get(number).target.index()].prepare_append(memory)?;
            let source = &mut tables[from.archetype.index()];
            index.prepare_move(entity, memory)?;
            index.prepare_move(source.entity(source.rows() - 1), memory)?;
            source.prepare_remove(from.row as usize, memory)
        })
    }
}

/// Moves an entity's row along an edge; the slots of both entities that change their rows were made
/// writable. Chunks stay. Returns where the entity is now.
#[inline]
pub(crate) fn finish_move(
    (edge, entity, from): (&Edge, Entity, Location),
    removal: Removal<'_>,
    next: NextRow<'_>,
    index: &mut EntityIndex,
    now: Now<'_>,
) -> Location {
    let to = Location { archetype: edge.target, row: next.row() as u32 };
    if let Some(moved) = removal.finish_move(next, &edge.targets) {
        index.relocate(moved, from, now);
    }
    index.relocate(entity, to, now);
    to
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
