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
use crate::storage::epoch::Now;
use crate::storage::history::{Memory, Returns};
use crate::storage::run::{Incoming, RowRun, RowRuns, row_count, survivors};
use crate::storage::table::Table;

use super::bundle::{Bundle, Flat};
use super::core::World;
use super::edge_kind::{EdgeKind, Inserting, Removing};
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
            world.prepare_change::<Inserting<B>>(runs)?;
            for runs in runs.tables() {
                world.change_runs::<Inserting<B>>(runs, bundle);
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
            world.prepare_change::<Removing<B>>(runs)?;
            for runs in runs.tables() {
                world.change_runs::<Removing<B>>(runs, &());
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
    fn prepare_change<K: EdgeKind>(&mut self, runs: &mut RowRuns) -> Result<(), ComponentError> {
        for runs in runs.tables() {
            self.edge::<K>(runs[0].archetype())?;
        }
        let (groups, incoming) = runs.split();
        self.attempt(|world| world.prepare_runs::<K>(groups, incoming))
    }

    fn prepare_runs<'r, K: EdgeKind>(
        &mut self,
        groups: impl Iterator<Item = &'r [RowRun]>,
        incoming: &mut Incoming,
    ) -> Result<(), ComponentError> {
        let Self { plans: Plans { edges, .. }, state: State { tables, index, .. }, memory, .. } =
            self;
        for runs in groups {
            let archetype = runs[0].archetype();
            let edge = edges.find::<K>(archetype).expect("the edge was just worked out");
            if edge.target == archetype {
                let table = &mut tables[archetype.index()];
                prepare_write(table, runs, &edge.positions[..K::Inserted::LEN], memory)?;
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
pub(crate) fn close_holes(
    table: &mut Table,
    runs: &[RowRun],
    index: &mut EntityIndex,
    memory: &mut Returns,
) {
    let archetype = runs[0].archetype();
    table
        .close_holes(runs, memory, |table, rows, now| relocate(table, rows, archetype, index, now));
}

/// Notes where the entities of some rows are now.
pub(crate) fn relocate(
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
