//! Lists: one change to many entities at once, by runs of rows.
//!
//! A list is looked up once, sorted by table and row, and joined to runs of consecutive rows
//! ([`run`](crate::storage::run)). Then everything that can fail is done for the whole list, and
//! only then rows move: one copy of memory per run, column and chunk. A list in the order of rows,
//! as a query gives it, makes few runs; a shuffled one adds a sort to the cost of single
//! operations.

use std::ops::Range;

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Component;
use crate::storage::epoch::Now;
use crate::storage::history::{Memory, Returns};
use crate::storage::run::{Incoming, RowRun, RowRuns, row_count, survivors};
use crate::storage::table::Table;

use super::bundle::{Bundle, ColumnPositions, ComponentSink, Flat};
use super::core::World;
use super::edges::Direction;
use super::error::{ComponentError, SpawnError};
use super::index::{EntityIndex, Location};
use super::parts::Plans;
use super::state::State;

/// The outcome for the entities of a list. The sum is the length of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ListReport {
    /// Entities that were changed.
    pub changed: usize,
    /// Handles that were skipped: stale ones, repeated ones, and entities that lacked the
    /// components to be removed.
    pub skipped: usize,
}

/// # Lists of entities
impl World {
    /// Inserts `bundle` into every entity of a list, in any order. Stale and repeated handles are
    /// skipped and counted.
    ///
    /// Entities that move keep the order of their rows, not that of the list.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let entities: Vec<_> = world.spawn_batch((0..9_u32).map(|n| (n,))).unwrap().collect();
    /// let report = world.insert_many(&entities[2..6], (0.5_f32,)).unwrap();
    /// assert_eq!((report.changed, report.skipped), (4, 0));
    /// assert_eq!(world.remove_many::<(f32,)>(&entities).unwrap().changed, 4);
    /// assert_eq!(world.despawn_many(&entities).unwrap().changed, 9);
    /// ```
    ///
    /// # Errors
    ///
    /// When the bundle can't be used, or memory runs out. The world is unchanged.
    pub fn insert_many<B: Bundle>(
        &mut self,
        entities: &[Entity],
        bundle: B,
    ) -> Result<ListReport, ComponentError> {
        self.insert_list(entities, &bundle)
    }

    /// [`World::insert_many`] of a bundle that may be large.
    pub(crate) fn insert_list<B: Bundle>(
        &mut self,
        entities: &[Entity],
        bundle: &B,
    ) -> Result<ListReport, ComponentError> {
        self.check_whole()?;
        self.all_or_nothing(|world| world.insert_into_list(entities, bundle))
    }

    fn insert_into_list<B: Bundle>(
        &mut self,
        entities: &[Entity],
        bundle: &B,
    ) -> Result<ListReport, ComponentError> {
        self.bundle::<B>()?;
        self.with_runs(entities, |world, runs| {
            world.prepare_change::<B>(runs, Direction::Insert)?;
            for runs in runs.tables() {
                let archetype = runs[0].archetype();
                let number = world.edge::<B>(archetype, Direction::Insert)?;
                let target = world.plans.edges.get(number).target;
                let moved = (target != archetype).then(|| world.leave(runs, number));
                let edge = world.plans.edges.get(number);
                let (positions, enabled) = (&edge.positions, edge.enabled());
                let (table, now) = (&mut world.state.tables[target.index()], world.memory.now());
                match moved {
                    Some(rows) => {
                        table.enable(enabled, rows.clone(), now);
                        let runs = std::iter::once(rows);
                        bundle.put(&mut RunSink { table, positions, runs, now });
                    }
                    None => {
                        let runs = runs.iter().map(RowRun::rows);
                        runs.clone().for_each(|rows| table.enable(enabled, rows, now));
                        bundle.put(&mut RunSink { table, positions, runs, now });
                    }
                }
            }
            Ok(0)
        })
    }

    /// Removes the components of `B` from every entity of a list that has all of them, in any
    /// order. Stale and repeated handles and entities that lack a component are skipped and
    /// counted.
    ///
    /// # Errors
    ///
    /// As [`World::insert_many`].
    pub fn remove_many<B: Bundle>(
        &mut self,
        entities: &[Entity],
    ) -> Result<ListReport, ComponentError> {
        self.check_whole()?;
        self.all_or_nothing(|world| world.remove_from_list::<B>(entities))
    }

    fn remove_from_list<B: Bundle>(
        &mut self,
        entities: &[Entity],
    ) -> Result<ListReport, ComponentError> {
        let number = self.bundle::<B>()?;
        let removed = self.plans.bundles.get(number).mask;
        self.with_runs(entities, |world, runs| {
            let catalog = &world.catalog;
            let lacking = runs
                .retain_tables(|archetype| removed.is_subset(catalog.archetype(archetype).mask()));
            world.prepare_change::<B>(runs, Direction::Remove)?;
            for runs in runs.tables() {
                let archetype = runs[0].archetype();
                let number = world.edge::<B>(archetype, Direction::Remove)?;
                if world.plans.edges.get(number).target != archetype {
                    world.leave(runs, number);
                }
            }
            Ok(lacking)
        })
    }

    /// Despawns every entity of a list, in any order. Stale and repeated handles are skipped and
    /// counted. Entities that have a parent or children come first, one by one as by
    /// [`World::despawn`].
    ///
    /// # Errors
    ///
    /// When memory runs out for copying a chunk that a snapshot shares. The world is unchanged,
    /// but for entities with a parent or children that are gone already.
    pub fn despawn_many(&mut self, entities: &[Entity]) -> Result<ListReport, ComponentError> {
        self.check_whole()?;
        let linked = self.despawn_all_linked(entities)?;
        let mut report = self.despawn_runs(entities)?;
        report.changed += linked;
        report.skipped -= linked;
        Ok(report)
    }

    /// Despawns the entities of a list that have a parent or children now. Returns how many.
    fn despawn_all_linked(&mut self, entities: &[Entity]) -> Result<usize, ComponentError> {
        if !self.state.tables.iter().any(|table| table.is_linked() && table.rows() > 0) {
            return Ok(0);
        }
        let mut despawned = 0;
        for &entity in entities {
            let at = self.state.index.locate(entity);
            if at.is_some_and(|at| self.state.tables[at.archetype.index()].is_linked()) {
                self.despawn(entity)?;
                despawned += 1;
            }
        }
        Ok(despawned)
    }

    fn despawn_runs(&mut self, entities: &[Entity]) -> Result<ListReport, ComponentError> {
        self.with_runs(entities, |world, runs| {
            world.attempt(|world| {
                let Self { state: State { tables, index, .. }, memory, .. } = world;
                runs.tables().try_for_each(|runs| {
                    let table = &mut tables[runs[0].archetype().index()];
                    prepare_slots(table, runs, index, memory)?;
                    table.prepare_holes(runs, memory)
                })
            })?;
            let Self { state: State { tables, index, .. }, memory, .. } = world;
            for runs in runs.tables() {
                let table = &mut tables[runs[0].archetype().index()];
                for handles in runs.iter().flat_map(|run| table.entities().runs(run.rows())) {
                    handles.iter().for_each(|&entity| index.free(entity, memory.now()));
                }
                close_holes(table, runs, index, memory);
            }
            Ok(0)
        })
    }

    /// Calls `change` with the runs of a list; it returns how many rows it skipped.
    fn with_runs(
        &mut self,
        entities: &[Entity],
        change: impl FnOnce(&mut Self, &mut RowRuns) -> Result<usize, ComponentError>,
    ) -> Result<ListReport, ComponentError> {
        let mut runs = std::mem::take(&mut self.scratch.runs);
        let mut skipped = self.collect_runs(entities, &mut runs);
        let result = change(self, &mut runs);
        self.scratch.runs = runs;
        skipped += result?;
        Ok(ListReport { changed: entities.len() - skipped, skipped })
    }

    /// Finds the rows of a list. Returns how many handles are stale or repeated.
    fn collect_runs(&self, entities: &[Entity], runs: &mut RowRuns) -> usize {
        runs.clear();
        let mut skipped = 0;
        let mut next = 0;
        while next < entities.len() {
            let Some(at) = self.state.index.locate(entities[next]) else {
                skipped += 1;
                next += 1;
                continue;
            };
            // The rows that follow hold the entities that follow, as far as they are equal. That
            // is cheaper to see than each entity's location.
            let first = at.row as usize;
            let table = &self.state.tables[at.archetype.index()];
            let handles = table.entities().chunk_from::<Entity>(first);
            let same =
                handles.iter().zip(&entities[next..]).take_while(|(row, entity)| row == entity);
            let count = same.count();
            runs.push(at.archetype, first..first + count);
            next += count;
        }
        skipped + runs.arrange()
    }

    /// Does everything that can fail in moving the runs along their edges, or in writing the rows
    /// of those that stay.
    fn prepare_change<B: Bundle>(
        &mut self,
        runs: &mut RowRuns,
        direction: Direction,
    ) -> Result<(), ComponentError> {
        for runs in runs.tables() {
            self.edge::<B>(runs[0].archetype(), direction)?;
        }
        let (groups, incoming) = runs.split();
        self.attempt(|world| world.prepare_runs::<B>(groups, incoming, direction))
    }

    fn prepare_runs<'r, B: Bundle>(
        &mut self,
        groups: impl Iterator<Item = &'r [RowRun]>,
        incoming: &mut Incoming,
        direction: Direction,
    ) -> Result<(), ComponentError> {
        for runs in groups {
            let archetype = runs[0].archetype();
            let edge = self.edge::<B>(archetype, direction)?;
            let Self {
                plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, ..
            } = self;
            let edge = edges.get(edge);
            if edge.target == archetype {
                let written = if direction == Direction::Insert { B::LEN } else { 0 };
                let table = &mut tables[archetype.index()];
                prepare_write(table, runs, &edge.positions[..written], memory)?;
                prepare_write(table, runs, edge.enabled(), memory)?;
                continue;
            }
            let incoming = incoming.add(edge.target, row_count(runs));
            let target = &mut tables[edge.target.index()];
            target.prepare_append_run(incoming, memory).map_err(SpawnError::from)?;
            let source = &mut tables[archetype.index()];
            prepare_slots(source, runs, index, memory)?;
            source.prepare_holes(runs, memory)?;
        }
        Ok(())
    }

    /// Moves prepared runs along an edge. Returns where they are now in the target.
    fn leave(&mut self, runs: &[RowRun], edge: usize) -> Range<usize> {
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        let (archetype, edge) = (runs[0].archetype(), edges.get(edge));
        let pair = tables.get_disjoint_mut([archetype.index(), edge.target.index()]);
        let [source, target] = pair.expect("an edge leads to another table of the world");
        let append = target.append(row_count(runs), memory.now());
        let rows = append.first()..append.first() + row_count(runs);
        source.copy_runs_to(runs, append, &edge.targets);
        relocate(target, rows.clone(), edge.target, index, memory.now());
        close_holes(source, runs, index, memory);
        rows
    }
}

/// Makes the rows of the runs writable in the columns at `positions`.
fn prepare_write(
    table: &mut Table,
    runs: &[RowRun],
    positions: &[u16],
    memory: &mut Memory,
) -> Result<(), MemoryError> {
    for &position in positions {
        for run in runs {
            table.own_values(usize::from(position), run.rows(), memory)?;
        }
    }
    Ok(())
}

/// Makes the slots of the entities that leave a table, and of those that take their places,
/// writable.
fn prepare_slots(
    table: &Table,
    runs: &[RowRun],
    index: &mut EntityIndex,
    memory: &mut Memory,
) -> Result<(), MemoryError> {
    let handles = table.entities();
    let end = table.rows() - row_count(runs);
    let leaving = runs.iter().map(RowRun::rows);
    for rows in leaving.chain(survivors(runs, end..table.rows())) {
        for handles in handles.runs(rows) {
            for &entity in handles {
                index.prepare_move(entity, memory)?;
            }
        }
    }
    Ok(())
}

/// Closes the holes that runs leave, and corrects the locations of the rows moved into them.
fn close_holes(table: &mut Table, runs: &[RowRun], index: &mut EntityIndex, memory: &mut Returns) {
    let archetype = runs[0].archetype();
    table
        .close_holes(runs, memory, |table, rows, now| relocate(table, rows, archetype, index, now));
}

/// Notes where the entities of some rows are now.
fn relocate(
    table: &Table,
    rows: Range<usize>,
    archetype: ArchetypeId,
    index: &mut EntityIndex,
    now: Now<'_>,
) {
    let mut location = Location { archetype, row: rows.start as u32 };
    for handles in table.entities().runs(rows) {
        index.relocate_run(handles, location, now);
        location.row += handles.len() as u32;
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
