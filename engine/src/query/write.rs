//! Queries that write, on an exclusive world.
//!
//! Writing makes each chunk writable when its run starts: one compare where no snapshot shares
//! it. A shared chunk is copied in the same pass by [`QueryMut::for_each`], and before the rows
//! are handed out by the iterator, whose items may outlive the step that made them.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::marker::PhantomData;
use std::ops::Range;
use std::time::Instant;

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::storage::{ComponentMask, Entity};
use crate::world::{Bundle, ChangeMark, SpawnError, World};

use super::error::QueryError;
use super::fetch::{Access, RUN_LOG2_MAX, Terms, Visit, WriteTable};
use super::filter::Filter;
use super::read::epoch_of;
use super::selection::{Selection, next_run};
use super::tables::TableRef;

/// A query that may write. Made by [`World::query_mut`]; iterate it with `for`,
/// [`QueryMut::iter`] or, fastest, [`QueryMut::for_each`].
///
/// ```
/// # use convoy_engine::{With, World};
/// let mut world = World::new();
/// world.spawn((1.0_f32, 2_u32));
/// world.spawn((5.0_f32,));
/// world.query_mut::<&mut f32>().filter::<With<u32>>().for_each(|value| *value += 0.5);
/// for (value, number) in world.query_mut::<(&mut f32, &u32)>() {
///     *value += *number as f32;
/// }
/// let mut values: Vec<f32> = world.query::<&f32>().iter().copied().collect();
/// values.sort_by(f32::total_cmp);
/// assert_eq!(values, [3.5, 5.0]);
/// ```
pub struct QueryMut<'w, Q: Terms, F = ()> {
    pub(super) world: &'w mut World,
    pub(super) resolved: Q::Resolved,
    pub(super) access: Access,
    pub(super) since: Epoch,
    pub(super) filter: PhantomData<fn() -> F>,
}

impl World {
    /// A query that may write.
    ///
    /// # Panics
    ///
    /// Where [`World::try_query_mut`] returns an error.
    #[track_caller]
    pub fn query_mut<Q: Terms>(&mut self) -> QueryMut<'_, Q> {
        match self.try_query_mut() {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// A query that may write.
    ///
    /// # Errors
    ///
    /// When the query writes a component and uses it a second time, registered or not, wants to
    /// write [`Entity`](crate::Entity) or a link of the hierarchy, or, in a replica, names a
    /// component that was not synced.
    pub fn try_query_mut<Q: Terms>(&mut self) -> Result<QueryMut<'_, Q>, QueryError> {
        let mut access = Access::of::<Q>()?;
        let resolved = Q::resolve(self, &mut access)?;
        Ok(QueryMut { world: self, resolved, access, since: Epoch::ZERO, filter: PhantomData })
    }
}

impl<'w, Q: Terms, F: Filter> QueryMut<'w, Q, F> {
    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Panics
    ///
    /// Where [`QueryMut::try_filter`] returns an error.
    #[track_caller]
    pub fn filter<G: Filter>(self) -> QueryMut<'w, Q, (F, G)> {
        match self.try_filter() {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Errors
    ///
    /// In a replica, when `G` looks at a column that was not synced.
    pub fn try_filter<G: Filter>(self) -> Result<QueryMut<'w, Q, (F, G)>, QueryError> {
        G::check(&self.world.catalog.registry, &self.world.readable)?;
        let Self { world, resolved, access, since, .. } = self;
        Ok(QueryMut { world, resolved, access, since, filter: PhantomData })
    }

    /// Counts only what was written after `mark` as changed or added, for the filters
    /// [`Changed`](crate::Changed) and [`Added`](crate::Added). Without a mark everything counts.
    ///
    /// What this query writes itself counts for later ones, and not while it runs.
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, &*self.world)?;
        Ok(self)
    }

    /// The world, and what the query touches of it.
    pub(super) fn parts(&mut self) -> (&mut World, Access) {
        (self.world, self.access)
    }

    /// The components of `B`, which are registered if they are new.
    pub(super) fn bundle_mask<B: Bundle>(&mut self) -> Result<ComponentMask, SpawnError> {
        let number = self.world.bundle::<B>()?;
        Ok(self.world.bundles.get(number).mask)
    }

    fn visits(&self, table: &Table) -> bool {
        table.rows() > 0
            && self.access.matches(table.mask())
            && F::passes(&self.world.catalog.registry, table.mask())
    }

    /// What decides on the rows of a table that is visited, where not all of them are.
    fn selection(&self, table: &Table) -> Option<Selection<F>> {
        let registry = &self.world.catalog.registry;
        Selection::bind(&TableRef::live(table), registry, &self.access, self.since)
    }

    /// Whether there is a table of which the query visits only some rows.
    pub(super) fn finds_parts(&self) -> bool {
        let mut visited = self.world.tables.iter().filter(|table| self.visits(table));
        visited.any(|table| self.selection(table).is_some())
    }

    /// Adds every entity that the query finds to a list.
    pub(super) fn list(&self, found: &mut Vec<Entity>) {
        for table in self.world.tables.iter().filter(|table| self.visits(table)) {
            let (handles, rows) = (table.entities(), table.rows());
            let mut selection = self.selection(table);
            let mut row = 0;
            // SAFETY: the query borrows the world.
            while let Some(run) = unsafe { next_run(row, RUN_LOG2_MAX, rows, &mut selection) } {
                row = run.end;
                handles.runs::<Entity>(run).for_each(|handles| found.extend_from_slice(handles));
            }
        }
    }

    /// How many entities the query finds. The cost grows with archetypes, and with rows only where
    /// a filter decides on each of them.
    pub fn count(&self) -> usize {
        let visited = self.world.tables.iter().filter(|table| self.visits(table));
        let rows = visited.map(|table| match self.selection(table) {
            // SAFETY: the query borrows the world.
            Some(selection) => unsafe { selection.count() },
            None => table.rows(),
        });
        rows.sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    ///
    /// When `each` panics, the row that it had is left as it was if a snapshot shared the chunk,
    /// all others are whole, and nothing leaks.
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares; see
    /// [`QueryMut::try_for_each`].
    #[track_caller]
    pub fn for_each(self, each: impl FnMut(Q::Item<'_>)) {
        if let Err(error) = self.try_for_each(each) {
            panic!("{error}");
        }
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    ///
    /// # Errors
    ///
    /// When memory runs out for copying a chunk that a snapshot shares. The rows before that
    /// chunk have been visited; no row is torn.
    pub fn try_for_each(self, mut each: impl FnMut(Q::Item<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows, memory| {
            // SAFETY: the run was just started, and has these rows.
            unsafe { visit_items::<Q>(run, rows, memory, &mut each) };
        })
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// of the query, for loops written by hand. A chunk that a snapshot shares is copied first.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[[1.0_f32; 3]; 10][..],)).unwrap();
    /// world
    ///     .query_mut::<&mut [f32; 3]>()
    ///     .for_each_run(|positions| {
    ///         for number in bytemuck::cast_slice_mut::<_, f32>(positions) {
    ///             *number += 0.5;
    ///         }
    ///     })
    ///     .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`QueryMut::try_for_each`].
    pub fn for_each_run(self, mut each: impl FnMut(Q::Slices<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows, memory| {
            // SAFETY: the run was just started, and has these rows.
            unsafe { visit_slices::<Q>(run, rows, memory, &mut each) };
        })
    }

    /// Starts every run and hands it to `visit`, with its number of rows and the world's memory.
    #[inline]
    fn visit_runs(
        self,
        mut visit: impl FnMut(Q::Run, usize, *mut Memory),
    ) -> Result<(), MemoryError> {
        let memory: *mut Memory = &raw mut self.world.memory;
        for index in 0..self.world.tables.len() {
            if !self.visits(&self.world.tables[index]) {
                continue;
            }
            let selection = self.selection(&self.world.tables[index]);
            let table = &mut self.world.tables[index];
            let place = Q::place(self.resolved, &TableRef::live(table));
            // SAFETY: the place was found in this table, the selection is its own, and the memory
            // is the world's, which is borrowed exclusively.
            unsafe { visit_table::<Q, F>(place, table, selection, memory, &mut visit)? };
        }
        Ok(())
    }
}

/// Starts every run of a table and hands it to `visit`, with its number of rows and the memory.
///
/// # Safety
///
/// `place` was found in a live table of the same archetype, the selection is the table's, and
/// `memory` is the table's and exclusive.
#[inline]
pub(super) unsafe fn visit_table<Q: Terms, F: Filter>(
    place: Q::Place,
    table: &mut Table,
    mut selection: Option<Selection<F>>,
    memory: *mut Memory,
    visit: &mut impl FnMut(Q::Run, usize, *mut Memory),
) -> Result<(), MemoryError> {
    let rows = table.rows();
    // SAFETY: the caller's contract, and the table is borrowed exclusively.
    let bound = unsafe { Q::bind(place, &Visit::Write(WriteTable::new(table))) };
    let log2 = Q::run_log2(&bound);
    let mut row = 0;
    // SAFETY: the table is borrowed.
    while let Some(selected) = unsafe { next_run(row, log2, rows, &mut selection) } {
        row = selected.end;
        let count = selected.len();
        // SAFETY: the caller's contract, and the run lies in one chunk of every column.
        let run = unsafe { start::<Q>(&bound, selected, rows, memory)? };
        visit(run, count, memory);
    }
    Ok(())
}

/// Makes one row writable and returns where it is.
///
/// # Safety
///
/// `place` was found in a live table of the same archetype, which has the row, and `memory` is the
/// table's and exclusive.
#[inline]
pub(super) unsafe fn own_row<Q: Terms>(
    place: Q::Place,
    table: &mut Table,
    row: usize,
    memory: *mut Memory,
) -> Result<Q::Run, MemoryError> {
    let rows = table.rows();
    // SAFETY: the caller's contract, and the table is borrowed exclusively.
    let bound = unsafe { Q::bind(place, &Visit::Write(WriteTable::new(table))) };
    // SAFETY: the caller's contract; a run of one row lies in one chunk of every column.
    let run = unsafe { start::<Q>(&bound, row..row + 1, rows, memory)? };
    if Q::is_shared(&run) {
        // SAFETY: the run was just started, and has one row.
        unsafe { copy_timed::<Q>(run, 1, memory) };
    }
    Ok(run)
}

/// Prepares and starts one run.
///
/// # Safety
///
/// `bound` is bound to a table with `rows` rows, `run` lies in one chunk of every column, and
/// `memory` is the table's and exclusive.
#[inline]
pub(super) unsafe fn start<Q: Terms>(
    bound: &Q::Bound,
    run: Range<usize>,
    rows: usize,
    memory: *mut Memory,
) -> Result<Q::Run, MemoryError> {
    // SAFETY: the caller's contract.
    let epoch = unsafe { &*memory }.epoch();
    // SAFETY: the caller's contract.
    if let Some(run) = unsafe { Q::start_owned(bound, run.start, epoch) } {
        return Ok(run);
    }
    // A copy, so that the loop's own need not be in memory.
    // SAFETY: the caller's contract.
    unsafe { start_older::<Q>(*bound, run, rows, memory) }
}

/// Starts one run that has chunks of earlier epochs.
///
/// # Safety
///
/// As [`start`].
#[cold]
#[inline(never)]
pub(super) unsafe fn start_older<Q: Terms>(
    bound: Q::Bound,
    run: Range<usize>,
    rows: usize,
    memory: *mut Memory,
) -> Result<Q::Run, MemoryError> {
    let mut spares = Q::NO_SPARES;
    // SAFETY: the caller's contract.
    if let Err(error) = unsafe { Q::prepare(&bound, run.start, &mut spares, memory) } {
        // SAFETY: the caller's contract.
        Q::abandon(spares, unsafe { &mut *memory });
        return Err(error);
    }
    // SAFETY: the caller's contract, and `prepare` succeeded for this row.
    Ok(unsafe { Q::start(&bound, run, rows, spares, memory) })
}

/// Hands the items of a run to `each`, one by one.
///
/// # Safety
///
/// `run` has `rows` rows and was just started; `memory` is the table's and exclusive.
#[inline]
pub(super) unsafe fn visit_items<Q: Terms>(
    run: Q::Run,
    rows: usize,
    memory: *mut Memory,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    if Q::is_shared(&run) {
        // SAFETY: the caller's contract.
        unsafe { visit_shared::<Q>(run, rows, memory, each) };
        return;
    }
    for index in 0..rows {
        // SAFETY: the index is in the run, and the last item was dropped.
        each(unsafe { Q::item(run, index) });
    }
}

/// Hands the slices of a run to `each`.
///
/// # Safety
///
/// As [`visit_items`].
#[inline]
pub(super) unsafe fn visit_slices<Q: Terms>(
    run: Q::Run,
    rows: usize,
    memory: *mut Memory,
    each: &mut impl FnMut(Q::Slices<'_>),
) {
    if Q::is_shared(&run) {
        // SAFETY: the caller's contract.
        unsafe { copy_timed::<Q>(run, rows, memory) };
    }
    // SAFETY: the run has these rows, they were copied, and the last slices were dropped.
    each(unsafe { Q::slices(run, rows) });
}

/// Visits a run of which a chunk was replaced, and counts the time of the copy if that is wanted.
///
/// # Safety
///
/// `run` has `rows` rows and was just started; `memory` is the table's and exclusive.
#[inline(never)]
unsafe fn visit_shared<Q: Terms>(
    run: Q::Run,
    rows: usize,
    memory: *mut Memory,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    // SAFETY: the caller's contract.
    if unsafe { &*memory }.history.timing {
        // SAFETY: the caller's contract.
        unsafe { copy_timed::<Q>(run, rows, memory) };
        // SAFETY: the rows were copied, and nothing is reclaimed before the pass goes on.
        unsafe { visit_copied::<Q>(run, rows, each) };
        return;
    }
    // SAFETY: the caller's contract.
    unsafe { visit_fused::<Q>(run, rows, each) };
}

/// Bytes of a row beyond which a loop is not fused. A row in flight is on the stack of whichever
/// thread runs the loop; and what is copied twice on its way costs more than a second pass.
const LOCAL_BYTES_MAX: usize = 1024;

/// Visits a run of which a chunk was replaced. Also when `each` panics, all rows of the run are
/// copied afterwards, and the row that it had is as it was.
///
/// # Safety
///
/// `run` has `rows` rows, none of which has been copied or visited, and the replaced chunks hold
/// them until the loop ends.
#[inline]
pub(super) unsafe fn visit_fused<Q: Terms>(
    run: Q::Run,
    rows: usize,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    if const { size_of::<Q::Local>() > LOCAL_BYTES_MAX } {
        // SAFETY: the rows are in the run, and no item of them is alive.
        unsafe { Q::copy(run, 0, rows) };
        // SAFETY: the caller's contract, and the rows were copied.
        unsafe { visit_copied::<Q>(run, rows, each) };
    } else {
        // SAFETY: the caller's contract.
        unsafe { visit_local::<Q>(run, rows, each) };
    }
}

/// Visits a run in place after its rows were copied from a replaced chunk. When `each` panics, the
/// row that it had is copied once more.
///
/// # Safety
///
/// `run` has `rows` rows that were copied and that nobody has visited, and the replaced chunks hold
/// them until the loop ends.
#[inline]
pub(super) unsafe fn visit_copied<Q: Terms>(
    run: Q::Run,
    rows: usize,
    each: &mut impl FnMut(Q::Item<'_>),
) {
    let mut undo = CopyRest::<Q> { run, next: 0, rows: 0 };
    for index in 0..rows {
        (undo.next, undo.rows) = (index, index + 1);
        // SAFETY: the index is in the run, its rows were copied, and the last item is gone.
        each(unsafe { Q::item(run, index) });
        undo.rows = 0;
    }
}

/// Reads each row of a run from the replaced chunk, lends it out and writes it to the new one.
///
/// # Safety
///
/// As [`visit_fused`]. A row fits the stack.
#[inline]
unsafe fn visit_local<Q: Terms>(run: Q::Run, rows: usize, each: &mut impl FnMut(Q::Item<'_>)) {
    let mut rest = CopyRest::<Q> { run, next: 0, rows };
    while rest.next < rows {
        let index = rest.next;
        // SAFETY: the index is in the run.
        let mut local = unsafe { Q::load(run, index) };
        // SAFETY: the item is dropped when `each` returns.
        each(unsafe { Q::lend(&raw mut local) });
        // SAFETY: the index is in the run, and its item was dropped.
        unsafe { Q::store(run, index, local) };
        rest.next += 1;
    }
}

/// Copies a run that was just started, and counts the time.
///
/// # Safety
///
/// `run` has `rows` rows and was just started; `memory` is the table's and exclusive.
pub(super) unsafe fn copy_timed<Q: Terms>(run: Q::Run, rows: usize, memory: *mut Memory) {
    let began = Instant::now();
    // SAFETY: the rows are in the run, and no item of them is alive.
    unsafe { Q::copy(run, 0, rows) };
    // SAFETY: the caller's contract.
    let memory = unsafe { &mut *memory };
    memory.history.statistics.copy_time += began.elapsed();
}

/// Completes the copy of a run when its loop ends early by a panic: the rows from `next` on, and
/// before `rows`, keep their old values.
struct CopyRest<Q: Terms> {
    run: Q::Run,
    next: usize,
    rows: usize,
}

impl<Q: Terms> Drop for CopyRest<Q> {
    fn drop(&mut self) {
        if self.next < self.rows {
            // SAFETY: the rows are in the run, and the panic dropped the item of the last one.
            unsafe { Q::copy(self.run, self.next, self.rows) };
        }
    }
}
