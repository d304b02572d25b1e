//! Rows that become part of a table: each is written in every column first.
//!
//! Tables take the word of their callers for that ([`Append::finish`]), and this file is where it is
//! given, for bundles, for columns and for components by their ids: whoever fills a row here finds the plan
//! for it as well, so that the columns of the plan and the values are those of one type.

#![allow(unsafe_code, reason = "vouches for rows that were just filled")]

use std::any::TypeId;
use std::iter;
use std::ops::Range;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::{Component, Registry};
use crate::storage::epoch::Now;
use crate::storage::run::{RowRun, row_count};
use crate::storage::table::Table;
use crate::storage::table::rows_mut::{Append, NextRow, Removal};
use crate::storage::{ComponentId, ComponentMask, Entity};

use super::batch::ColumnBundle;
use super::bundle::{AppendSink, Bundle, ColumnPositions, ComponentSink, Flat, RowSink, Values};
use super::core::World;
use super::edge_kind::EdgeKind;
use super::edges::{Direction, Edge, UntypedName};
use super::error::{ComponentError, SpawnError};
use super::index::{EntityIndex, Location};
use super::insert::RowSource;
use super::list::{close_holes, relocate};
use super::parts::Plans;
use super::state::State;

/// How many rows a batch prepares at once at the beginning, independent of its iterator's size hint.
const AHEAD_MAX: usize = 65_536;

/// # Rows of new entities
impl World {
    /// Appends a row of the bundle `B` for the entity that `occupy` puts into the index there. `None` where
    /// the bundle or its archetype is not known yet, the row after the last one is not writable, or there is
    /// no such entity: then nothing has changed.
    // Always: a bundle that is lent has to be in memory.
    #[inline(always)]
    pub(crate) fn append_row<B: Bundle>(
        &mut self,
        values: &impl Values<B>,
        occupy: impl FnOnce(&mut EntityIndex, Location, Now<'_>) -> Option<Entity>,
    ) -> Option<Entity> {
        let Self {
            state: State { tables, index, .. }, plans: Plans { bundles, .. }, memory, ..
        } = self;
        let number = bundles.find(TypeId::of::<B>())?;
        let (bundle, now) = (bundles.get(number), memory.now());
        let archetype = bundle.archetype?;
        let mut next = tables[archetype.index()].next_row(now)?;
        let entity = occupy(index, Location { archetype, row: next.row() as u32 }, now)?;
        let mut row = next.columns();
        row.column_mut(0).write(entity);
        values.put_row(&mut AppendSink { row, positions: bundle.own_positions() });
        // SAFETY: the columns of the bundle's own archetype are the entities, one for each component of the
        // bundle, which the lines above wrote, and toggles.
        unsafe { next.finish_new() };
        Some(entity)
    }

    /// [`World::append_row`] of components given as ids and bytes, which were checked and are all that the
    /// archetype has, but for toggles.
    pub(crate) fn append_described(
        &mut self,
        archetype: ArchetypeId,
        components: &[(ComponentId, &[u8])],
    ) -> Option<Entity> {
        let Self { state: State { tables, index, .. }, catalog, memory, .. } = self;
        let now = memory.now();
        let mut next = tables[archetype.index()].next_row(now)?;
        let mask = described_mask(&catalog.registry, components);
        let has_all =
            *next.table().mask() == mask.union(&ComponentMask::from_iter([ComponentId::ENTITY]));
        assert!(has_all, "the archetype has the components");
        let entity = index.occupy_next(Location { archetype, row: next.row() as u32 }, now)?;
        next.columns().column_mut(0).write(entity);
        write_described(&mut next, &catalog.registry, components);
        // SAFETY: the columns are the entities, those of the components, which are all written, and toggles.
        unsafe { next.finish_new() };
        Some(entity)
    }

    /// Spawns the entities of a column batch. Returns their archetype and the row of the first.
    pub(crate) fn append_columns<C: ColumnBundle>(
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
        // SAFETY: the slices have `count` values of each component, and the index wrote the entities.
        unsafe { append.finish_new() };
        Ok((archetype, first))
    }

    /// Spawns the entities of a batch. Returns their archetype and the row of the first.
    pub(crate) fn append_batch<B: Bundle>(
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
        // SAFETY: the loop wrote the components of the first `count` rows, chunks that had to be replaced took
        // them along, and the index wrote the entities.
        unsafe { append.finish_new() };
        Ok((archetype, first))
    }
}

/// # Rows that change their archetype
impl World {
    /// Moves an entity's row along the edge of `K`, and writes the components that come; where the entity stays
    /// in its archetype, replaces them. Returns what `take` reads of the components that go, before they do. On
    /// an error nothing has changed.
    #[inline]
    pub(crate) fn change_row<K: EdgeKind, R>(
        &mut self,
        entity: Entity,
        values: &impl Values<K::Inserted>,
        take: impl Fn(&mut RowSource<'_>) -> R,
    ) -> Result<R, ComponentError> {
        let from = self.locate(entity)?;
        self.check_whole()?;
        loop {
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = self;
            let Some(edge) = edges.find::<K>(from.archetype) else {
                self.first_edge::<K>((entity, from))?;
                continue;
            };
            let (now, row) = (memory.now(), from.row as usize);
            let table = &mut tables[from.archetype.index()];
            let positions = edge.removed().iter();
            let removed = take(&mut RowSource { table, positions, row });
            if edge.target == from.archetype {
                let mut written = edge.positions[..K::Inserted::LEN].iter().chain(edge.enabled());
                if written.all(|&position| table.owns_value(usize::from(position), row, now)) {
                    table.enable(edge.enabled(), row..row + 1, now);
                    values.put_row(&mut RowSink { table, positions: &edge.positions, row, now });
                    return Ok(removed);
                }
                self.own_written::<K>(from)?;
                continue;
            }
            let [source, target] = both(tables, from.archetype, edge);
            if let Some(next) = target.next_row(now)
                && let Some(removal) = source.removal(row, now)
                // SAFETY: the edge was found as one of `K` from this archetype.
                && unsafe { move_row::<K>((edge, entity, from), removal, next, values, (index, now)) }
            {
                source.release_empty(memory);
                return Ok(removed);
            }
            self.prepare_edge::<K>((entity, from))?;
        }
    }

    /// [`World::change_row`] of an entity whose move was prepared. Chunks stay.
    pub(crate) fn take_step<K: EdgeKind>(&mut self, entity: Entity, values: &K::Inserted) {
        let from = self.state.index.locate(entity).expect("a listed entity is alive");
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        let now = memory.now();
        let edge = edges.find::<K>(from.archetype).expect("the edge was planned");
        let [source, target] = both(tables, from.archetype, edge);
        let removal = source.removal(from.row as usize, now).expect("the move was prepared");
        let (step, next) = ((edge, entity, from), target.append_row(now));
        // SAFETY: the edge was found as one of `K` from this archetype.
        let is_moved = unsafe { move_row::<K>(step, removal, next, values, (index, now)) };
        assert!(is_moved, "the move was prepared");
    }

    /// Moves an entity's row along a known edge that no type stands for, and writes `inserted`, which has all
    /// components that come, with checked bytes. On an error nothing has changed.
    pub(crate) fn move_untyped(
        &mut self,
        (entity, from): (Entity, Location),
        name: UntypedName,
        inserted: &[(ComponentId, &[u8])],
    ) -> Result<(), ComponentError> {
        let mask = described_mask(&self.catalog.registry, inserted);
        let has_all = match name.0 {
            Direction::Insert => mask == name.1,
            Direction::Remove => mask == ComponentMask::NONE,
        };
        assert!(has_all, "the components of an edge come along it");
        loop {
            let Self {
                plans: Plans { edges, .. },
                state: State { tables, index, .. },
                catalog,
                memory,
                ..
            } = self;
            let edge = edges.find_untyped(from.archetype, name).expect("the edge was planned");
            let now = memory.now();
            let [source, target] = both(tables, from.archetype, edge);
            if let Some(mut next) = target.next_row(now)
                && let Some(removal) = source.removal(from.row as usize, now)
            {
                write_described(&mut next, &catalog.registry, inserted);
                next.enable(edge.enabled());
                // SAFETY: the edge was found by the components that come along it, from this archetype. They
                // and their toggles are written.
                if unsafe { finish_move((edge, entity, from), removal, next, (index, now)) } {
                    source.release_empty(memory);
                    return Ok(());
                }
            }
            let target = edge.target;
            self.prepare_move_to(target, (entity, from))?;
        }
    }

    /// Moves the rows of some runs, which were prepared, along the edge of `K`, and writes the components that
    /// come; where they stay in their archetype, replaces them.
    pub(crate) fn change_runs<K: EdgeKind>(&mut self, runs: &[RowRun], values: &K::Inserted) {
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        let (archetype, now) = (runs[0].archetype(), memory.now());
        let edge = edges.find::<K>(archetype).expect("the edge was planned");
        let rows = runs.iter().map(RowRun::rows);
        if edge.target == archetype {
            replace(&mut tables[archetype.index()], edge, rows, values, now);
            return;
        }
        let [source, target] = both(tables, archetype, edge);
        let append = target.append(row_count(runs), now);
        let to = append.first()..append.first() + row_count(runs);
        // SAFETY: the edge was found as one of `K` from this archetype.
        unsafe { append_changed::<K>(append, source, rows, edge, values) };
        relocate(target, to, edge.target, index, now);
        close_holes(source, runs, index, memory);
    }

    /// [`World::change_runs`] of all rows of an archetype.
    pub(crate) fn change_table<K: EdgeKind>(
        &mut self,
        archetype: ArchetypeId,
        values: &K::Inserted,
    ) {
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        let edge = edges.find::<K>(archetype).expect("the edge was planned");
        let (now, count) = (memory.now(), tables[archetype.index()].rows());
        let rows = iter::once(0..count);
        if edge.target == archetype {
            replace(&mut tables[archetype.index()], edge, rows, values, now);
            return;
        }
        let [source, target] = both(tables, archetype, edge);
        let append = target.append(count, now);
        let to = append.first()..append.first() + count;
        // SAFETY: the edge was found as one of `K` from this archetype.
        unsafe { append_changed::<K>(append, source, rows, edge, values) };
        relocate(target, to, edge.target, index, now);
        source.clear(memory);
    }
}

/// An entity that moves along an edge from its location.
type Step<'a> = (&'a Edge, Entity, Location);

/// The tables at both ends of an edge.
#[inline]
fn both<'t>(tables: &'t mut [Table], source: ArchetypeId, edge: &Edge) -> [&'t mut Table; 2] {
    let pair = tables.get_disjoint_mut([source.index(), edge.target.index()]);
    pair.expect("an edge leads to another table of the world")
}

/// Moves a row and writes the components that come. Returns whether it did: both slots have to be writable.
///
/// # Safety
///
/// The edge is one of `K`, from the table of `removal` to that of `next`.
#[inline]
unsafe fn move_row<K: EdgeKind>(
    step: Step<'_>,
    removal: Removal<'_>,
    mut next: NextRow<'_>,
    values: &impl Values<K::Inserted>,
    index: (&mut EntityIndex, Now<'_>),
) -> bool {
    let edge = step.0;
    values.put_row(&mut AppendSink { row: next.columns(), positions: &edge.positions });
    next.enable(edge.enabled());
    // SAFETY: the columns of the edge's end are those that come from its source, those of the bundle that it
    // inserts, and the toggles of that bundle. Those of the bundle and the toggles are written.
    unsafe { finish_move(step, removal, next, index) }
}

/// Moves a row along an edge, after the components that come were written. Returns whether it did, as
/// [`move_row`].
///
/// # Safety
///
/// The edge leads from the table of `removal` to that of `next`. In `next` each column is written that no
/// column of the other table is copied to.
#[inline(always)]
unsafe fn finish_move(
    (edge, entity, from): Step<'_>,
    removal: Removal<'_>,
    next: NextRow<'_>,
    (index, now): (&mut EntityIndex, Now<'_>),
) -> bool {
    let to = Location { archetype: edge.target, row: next.row() as u32 };
    if !index.exchange((entity, to), (removal.moved(), from), now) {
        return false;
    }
    // SAFETY: the caller's contract: the edge names the columns that are copied.
    unsafe { removal.finish_move(next, &edge.targets) };
    true
}

/// Copies rows of a table to appended ones of another, and writes the components that come.
///
/// # Safety
///
/// The edge is one of `K`, from `source` to the table of `append`, and the rows are as many.
unsafe fn append_changed<K: EdgeKind>(
    mut append: Append<'_>,
    source: &Table,
    rows: impl Iterator<Item = Range<usize>> + Clone,
    edge: &Edge,
    values: &K::Inserted,
) {
    append.copy_runs(source, rows, &edge.targets);
    values.put(&mut FillSink { append: &mut append, positions: &edge.positions });
    append.enable(edge.enabled());
    // SAFETY: as in `move_row`, in every row.
    unsafe { append.finish() };
}

/// Replaces the components of a bundle in some rows, which were made writable.
fn replace<B: Bundle>(
    table: &mut Table,
    edge: &Edge,
    runs: impl Iterator<Item = Range<usize>> + Clone,
    values: &B,
    now: Now<'_>,
) {
    runs.clone().for_each(|rows| table.enable(edge.enabled(), rows, now));
    values.put(&mut RunSink { table, positions: &edge.positions, runs, now });
}

/// The components of these ids, with their toggles.
fn described_mask(registry: &Registry, components: &[(ComponentId, &[u8])]) -> ComponentMask {
    registry.with_toggles(&components.iter().map(|&(id, _)| id).collect())
}

/// Writes components given as ids and bytes.
fn write_described(
    next: &mut NextRow<'_>,
    registry: &Registry,
    components: &[(ComponentId, &[u8])],
) {
    for &(id, bytes) in components {
        let position = next.table().position(id).expect("the table has the component");
        let value = registry.value(id, bytes).expect("the bytes were checked");
        next.columns().column_mut(position).write_bytes(value);
    }
}

/// Writes a bundle into all of some rows that are appended.
struct FillSink<'a, 't> {
    append: &'a mut Append<'t>,
    positions: &'a ColumnPositions,
}

impl ComponentSink for FillSink<'_, '_> {
    fn put<T: Component>(&mut self, position: usize, value: &T) {
        let position = usize::from(self.positions[position]);
        let rows = 0..self.append.count();
        self.append.run_mut(position, rows).fill(value);
    }
}

/// Writes a bundle into every row of some runs, which were made writable.
struct RunSink<'a, I> {
    table: &'a mut Table,
    positions: &'a ColumnPositions,
    runs: I,
    now: Now<'a>,
}

impl<I: Iterator<Item = Range<usize>> + Clone> ComponentSink for RunSink<'_, I> {
    fn put<T: Component>(&mut self, position: usize, value: &T) {
        let position = usize::from(self.positions[position]);
        for run in self.runs.clone() {
            self.table.run_mut(position, run, self.now).fill(value);
        }
    }
}
