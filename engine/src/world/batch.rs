//! Batches: many entities in one operation, moved by runs of rows.

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Component;
use crate::storage::names::name_of;
use crate::storage::rows::Rows;
use crate::storage::table::rows_mut::Append;
use crate::tuples::for_tuples;

use super::bundle::{Bundle, Flat};
use super::core::World;
use super::edge_kind::{EdgeKind, Inserting, Removing};
use super::error::{ComponentError, SpawnError};
use super::parts::Plans;
use super::state::State;

/// A tuple of slices, one per component, for [`World::spawn_columns`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of slices of components",
    label = "not a tuple of slices",
    note = "the values of each component are one slice: `(&numbers[..], &positions[..])`"
)]
pub trait ColumnBundle: sealed::Sealed {
    /// The tuple of the components themselves.
    type Bundle: Bundle;
}

mod sealed {
    use super::{Append, SpawnError};

    pub trait Sealed {
        /// How many values each slice has.
        #[doc(hidden)]
        fn rows(&self) -> Result<usize, SpawnError>;

        /// Writes all values into as many appended rows; `positions` has the column of each component.
        #[doc(hidden)]
        fn write(self, append: &mut Append<'_>, positions: &[u16]);
    }
}

macro_rules! tuple_columns {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Component),+> ColumnBundle for ($(&[$name],)+) {
            type Bundle = ($($name,)+);
        }

        impl<$($name: Component),+> sealed::Sealed for ($(&[$name],)+) {
            fn rows(&self) -> Result<usize, SpawnError> {
                let expected = self.0.len();
                $(
                    let found = self.$index.len();
                    if found != expected {
                        let component = name_of::<$name>();
                        return Err(SpawnError::Lengths { component, expected, found });
                    }
                )+
                Ok(expected)
            }

            fn write(self, append: &mut Append<'_>, positions: &[u16]) {
                $(
                    let rows = 0..self.$index.len();
                    append.run_mut(usize::from(positions[$index]), rows).write_run(self.$index);
                )+
            }
        }
    };
}

for_tuples!(tuple_columns);

/// The entities that a batch has spawned, in the order of its values.
#[derive(Clone)]
pub struct SpawnedEntities<'w> {
    rows: Rows<'w>,
    next: usize,
}

impl Iterator for SpawnedEntities<'_> {
    type Item = Entity;

    fn next(&mut self) -> Option<Entity> {
        if self.next == self.rows.len() {
            return None;
        }
        self.next += 1;
        Some(*self.rows.get(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rows.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for SpawnedEntities<'_> {}

/// # Many entities at once
impl World {
    /// Spawns an entity for every value of the slices, which must have one length. One copy of
    /// memory per component and chunk.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let (heights, counts) = ([1.0_f32, 2.0, 3.0], [1_u8, 2, 3]);
    /// let spawned = world.spawn_columns((&heights[..], &counts[..])).unwrap();
    /// let entities: Vec<_> = spawned.collect();
    /// assert_eq!(*world.get::<f32>(entities[2]).unwrap(), 3.0);
    /// ```
    ///
    /// # Errors
    ///
    /// When the slices differ in length, and as [`World::try_spawn`]. The world is unchanged.
    pub fn spawn_columns<C: ColumnBundle>(
        &mut self,
        columns: C,
    ) -> Result<SpawnedEntities<'_>, SpawnError> {
        let (archetype, first) = self.all_or_nothing(|world| world.append_columns(columns))?;
        Ok(SpawnedEntities { rows: self.state.tables[archetype.index()].entities(), next: first })
    }

    /// Spawns an entity for every bundle of `bundles`.
    ///
    /// When the iterator panics, nothing has been spawned.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let spawned = world.spawn_batch((0..100_u32).map(|number| (number, 0.5_f32))).unwrap();
    /// assert_eq!(spawned.len(), 100);
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::try_spawn`]. The world is unchanged.
    pub fn spawn_batch<B: Bundle>(
        &mut self,
        bundles: impl IntoIterator<Item = B>,
    ) -> Result<SpawnedEntities<'_>, SpawnError> {
        let bundles = bundles.into_iter();
        let (archetype, first) = self.all_or_nothing(|world| world.append_batch(bundles))?;
        Ok(SpawnedEntities { rows: self.state.tables[archetype.index()].entities(), next: first })
    }

    /// Inserts `bundle` into every entity of an archetype: all rows move at once.
    pub(crate) fn insert_into_table<B: Bundle>(
        &mut self,
        archetype: ArchetypeId,
        bundle: &B,
    ) -> Result<(), ComponentError> {
        self.check_whole()?;
        self.all_or_nothing(|world| world.insert_into_rows(archetype, bundle))
    }

    fn insert_into_rows<B: Bundle>(
        &mut self,
        archetype: ArchetypeId,
        bundle: &B,
    ) -> Result<(), ComponentError> {
        self.prepare_table::<Inserting<B>>(archetype)?;
        self.change_table::<Inserting<B>>(archetype, bundle);
        Ok(())
    }

    /// Removes the components of `B` from every entity of an archetype that has all of them. Tells
    /// whether it has.
    pub(crate) fn remove_from_table<B: Bundle>(
        &mut self,
        archetype: ArchetypeId,
    ) -> Result<bool, ComponentError> {
        self.check_whole()?;
        self.all_or_nothing(|world| world.remove_from_rows::<B>(archetype))
    }

    fn remove_from_rows<B: Bundle>(
        &mut self,
        archetype: ArchetypeId,
    ) -> Result<bool, ComponentError> {
        let number = self.bundle::<B>()?;
        let held = self.catalog.archetype(archetype).mask();
        if !self.plans.bundles.get(number).mask.is_subset(held) {
            return Ok(false);
        }
        self.prepare_table::<Removing<B>>(archetype)?;
        self.change_table::<Removing<B>>(archetype, &());
        Ok(true)
    }

    /// Despawns every entity of an archetype. Chunks go back in bulk.
    pub(crate) fn despawn_table(&mut self, archetype: ArchetypeId) -> Result<(), ComponentError> {
        self.check_whole()?;
        self.attempt(|world| {
            let Self { state: State { tables, index, .. }, memory, .. } = world;
            let table = &tables[archetype.index()];
            (0..table.rows()).try_for_each(|row| index.prepare_free(table.entity(row), memory))
        })?;
        let Self { state: State { tables, index, .. }, memory, .. } = self;
        let table = &mut tables[archetype.index()];
        for row in (0..table.rows()).rev() {
            index.free(table.entity(row), memory.now());
        }
        table.clear(memory);
        Ok(())
    }

    /// Does everything that can fail in moving every row of an archetype along the edge of `K`, or in
    /// replacing components where the rows stay.
    fn prepare_table<K: EdgeKind>(&mut self, archetype: ArchetypeId) -> Result<(), ComponentError> {
        self.edge::<K>(archetype)?;
        self.attempt(|world| {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = world;
            let edge = edges.find::<K>(archetype).expect("the edge was just worked out");
            let table = &mut tables[archetype.index()];
            let count = table.rows();
            if edge.target == archetype {
                let mut written = edge.positions[..K::Inserted::LEN].iter().chain(edge.enabled());
                return Ok(written.try_for_each(|&position| {
                    table.own_values(usize::from(position), 0..count, memory)
                })?);
            }
            (0..count).try_for_each(|row| index.prepare_move(table.entity(row), memory))?;
            let target = &mut tables[edge.target.index()];
            Ok(target.prepare_append_run(count, memory).map_err(SpawnError::from)?)
        })
    }
}
