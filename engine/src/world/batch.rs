//! Batches: many entities in one operation, moved by runs of rows.

use std::ops::Range;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Component;
use crate::storage::names::name_of;
use crate::storage::rows::Rows;
use crate::storage::table::DROPPED;
use crate::storage::table::rows_mut::Append;
use crate::tuples::for_tuples;

use super::bundle::{AppendSink, Bundle, Flat, RowSink};
use super::core::World;
use super::edges::Direction;
use super::error::{ComponentError, SpawnError};
use super::index::Location;
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

/// How many rows a batch prepares at once at the beginning, independent of its iterator's size hint.
const AHEAD_MAX: usize = 65_536;

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

    /// Spawns the entities of a column batch. Returns their archetype and the row of the first.
    fn append_columns<C: ColumnBundle>(
        &mut self,
        columns: C,
    ) -> Result<(ArchetypeId, usize), SpawnError> {
        let count = columns.rows()?;
        let (archetype, number) = self.target::<C::Bundle>()?;
        let slots = self.attempt(|world| {
            world.state.tables[archetype.index()].prepare_append_run(count, &mut world.memory)?;
            world.state.index.prepare_many(count, &mut world.memory)
        })?;
        let now = self.memory.now();
        let mut append = self.state.tables[archetype.index()].append(count, now);
        let first = append.first();
        columns.write(&mut append, self.plans.bundles.get(number).own_positions());
        self.state.index.occupy_many(slots, archetype, &mut append, now);
        append.finish_new();
        Ok((archetype, first))
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

    /// Spawns the entities of a batch. Returns their archetype and the row of the first.
    fn append_batch<B: Bundle>(
        &mut self,
        mut bundles: impl Iterator<Item = B>,
    ) -> Result<(ArchetypeId, usize), SpawnError> {
        let (archetype, number) = self.target::<B>()?;
        let (count, slots) = self.attempt(|world| {
            let Self {
                state: State { tables, index, .. },
                plans: Plans { bundles: known, .. },
                memory,
                ..
            } = world;
            let positions = known.get(number).own_positions();
            let table = &mut tables[archetype.index()];
            // Rows past the last one belong to no entity: they are filled first and added last.
            let mut count = 0;
            let expected = bundles.size_hint().0;
            while let Some(bundle) = bundles.next() {
                let ready = count.max(expected.clamp(1, AHEAD_MAX)) + count;
                table.prepare_append_rest(count, ready, memory)?;
                let mut append = table.append(ready, memory.now());
                bundle.put(&mut AppendSink { row: append.row(count), positions });
                count += 1;
                while count < ready {
                    let rows = count..append.run_end(count, ready);
                    let put = B::put_run(&mut bundles, &mut append, positions, rows.clone());
                    count += put;
                    if put < rows.len() {
                        break;
                    }
                }
                if count < ready {
                    break;
                }
            }
            Ok::<_, SpawnError>((count, index.prepare_many(count, memory)?))
        })?;
        let now = self.memory.now();
        let mut append = self.state.tables[archetype.index()].append(count, now);
        let first = append.first();
        self.state.index.occupy_many(slots, archetype, &mut append, now);
        append.finish_new();
        Ok((archetype, first))
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
        let number = self.edge::<B>(archetype, Direction::Insert)?;
        let target = self.plans.edges.get(number).target;
        let rows = if target == archetype {
            self.attempt(|world| {
                let Self {
                    plans: Plans { edges, .. }, state: State { tables, .. }, memory, ..
                } = world;
                let (table, edge) = (&mut tables[archetype.index()], edges.get(number));
                let mut written = edge.positions[..B::LEN].iter().chain(edge.enabled());
                let rows = 0..table.rows();
                written.try_for_each(|&position| {
                    table.own_values(usize::from(position), rows.clone(), memory)
                })
            })?;
            0..self.state.tables[archetype.index()].rows()
        } else {
            self.move_table(archetype, number)?
        };
        let edge = self.plans.edges.get(number);
        let (positions, enabled) = (&edge.positions, edge.enabled());
        let (table, now) = (&mut self.state.tables[target.index()], self.memory.now());
        table.enable(enabled, rows.clone(), now);
        for row in rows {
            bundle.put(&mut RowSink { table, positions, row, now });
        }
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
        let number = self.edge::<B>(archetype, Direction::Remove)?;
        if self.plans.edges.get(number).target != archetype {
            self.move_table(archetype, number)?;
        }
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

    /// Moves every row of a table along an edge. Returns where the rows are now.
    fn move_table(
        &mut self,
        archetype: ArchetypeId,
        edge: usize,
    ) -> Result<Range<usize>, SpawnError> {
        self.attempt(|world| {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = world;
            let count = tables[archetype.index()].rows();
            tables[edges.get(edge).target.index()].prepare_append_run(count, memory)?;
            let source = &tables[archetype.index()];
            let moved =
                (0..count).try_for_each(|row| index.prepare_move(source.entity(row), memory));
            Ok::<_, SpawnError>(moved?)
        })?;
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        let edge = edges.get(edge);
        let pair = tables.get_disjoint_mut([archetype.index(), edge.target.index()]);
        let [source, target] = pair.expect("an edge leads to another table of the world");
        let count = source.rows();
        let mut append = target.append(count, memory.now());
        let first = append.first();
        for (column, &position) in source.columns().iter().zip(&edge.targets) {
            if position != DROPPED {
                append.run_mut(usize::from(position), 0..count).copy_from(column, 0);
            }
        }
        append.finish();
        source.clear(memory);
        for row in first..first + count {
            let location = Location { archetype: edge.target, row: row as u32 };
            index.relocate(target.entity(row), location, memory.now());
        }
        Ok(first..first + count)
    }
}
