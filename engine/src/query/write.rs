//! Queries that write, on an exclusive world.
//!
//! Writing makes each chunk writable when its run starts: one compare where no snapshot shares
//! it. A shared chunk is copied in the same pass by [`QueryMut::for_each`], and before the rows
//! are handed out by the iterator, whose items may outlive the step that made them.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::marker::PhantomData;
use std::ptr;
use std::time::Instant;

use convoy_pool::MemoryError;

use crate::storage::ComponentMask;
use crate::storage::archetype::Schema;
use crate::storage::component::Registry;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::world::{Bundle, SpawnError, World};

use super::error::QueryError;
use super::fetch::{Access, Terms, Visit, WriteTable};
use super::filter::Filter;
use super::read::run_end;

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
    filter: PhantomData<fn() -> F>,
}

impl World {
    /// A query that may write.
    ///
    /// # Panics
    ///
    /// Where [`World::try_query_mut`] returns an error.
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
    /// When the query writes a component and uses it a second time, wants to write
    /// [`Entity`](crate::Entity), or, in a replica, names a component that was not synced.
    pub fn try_query_mut<Q: Terms>(&mut self) -> Result<QueryMut<'_, Q>, QueryError> {
        let mut access = Access::default();
        let resolved = Q::resolve(self, &mut access)?;
        Ok(QueryMut { world: self, resolved, access, filter: PhantomData })
    }
}

impl<'w, Q: Terms, F: Filter> QueryMut<'w, Q, F> {
    /// Restricts the query to the archetypes that pass `G` as well.
    pub fn filter<G: Filter>(self) -> QueryMut<'w, Q, (F, G)> {
        let Self { world, resolved, access, .. } = self;
        QueryMut { world, resolved, access, filter: PhantomData }
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
            && F::passes(&self.world.schema.registry, table.mask())
    }

    /// How many entities the query finds. The cost grows with archetypes, not entities.
    pub fn count(&self) -> usize {
        let visited = self.world.tables.iter().filter(|table| self.visits(table));
        visited.map(Table::rows).sum()
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
            if Q::is_shared(&run) {
                // SAFETY: the run was just started.
                unsafe { visit_shared::<Q>(run, rows, memory, &mut each) };
                return;
            }
            for index in 0..rows {
                // SAFETY: the index is in the run, and the last item was dropped.
                each(unsafe { Q::item(run, index) });
            }
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
            if Q::is_shared(&run) {
                // SAFETY: the run was just started, and has these rows.
                unsafe { copy_timed::<Q>(run, rows, memory) };
            }
            // SAFETY: the run has these rows, they were copied, and the last slices were dropped.
            each(unsafe { Q::slices(run, rows) });
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
            let table = &mut self.world.tables[index];
            let rows = table.rows();
            // SAFETY: the table was checked to match, and is borrowed exclusively.
            let mut bound =
                unsafe { Q::bind(self.resolved, &Visit::Write(WriteTable::new(table))) };
            let log2 = Q::run_log2(&bound);
            let mut row = 0;
            while row < rows {
                let end = run_end(row, log2, rows);
                // SAFETY: the run lies in one chunk of every column, and the memory is the
                // world's, which is borrowed exclusively.
                let run = unsafe { start::<Q>(&mut bound, row, end, rows, memory)? };
                visit(run, end - row, memory);
                row = end;
            }
        }
        Ok(())
    }

    /// An iterator of known length over every entity, in the order of archetypes and rows.
    ///
    /// # Panics
    ///
    /// The iterator panics when memory runs out for copying a chunk that a snapshot shares.
    pub fn iter(&mut self) -> QueryIterMut<'_, Q> {
        let access = self.access;
        let again: QueryMut<'_, Q, F> = QueryMut {
            world: &mut *self.world,
            resolved: self.resolved,
            access,
            filter: PhantomData,
        };
        again.into_iter()
    }
}

/// Prepares and starts one run.
///
/// # Safety
///
/// `bound` is bound to a table with `rows` rows, `row..end` lies in one chunk of every column, and
/// `memory` is the table's and exclusive.
#[inline]
unsafe fn start<Q: Terms>(
    bound: &mut Q::Bound,
    row: usize,
    end: usize,
    rows: usize,
    memory: *mut Memory,
) -> Result<Q::Run, MemoryError> {
    // SAFETY: the caller's contract.
    if let Err(error) = unsafe { Q::prepare(bound, row, memory) } {
        // SAFETY: the caller's contract, and `prepare` failed for this row.
        unsafe { Q::abandon(bound, row, memory) };
        return Err(error);
    }
    // SAFETY: the caller's contract, and `prepare` succeeded for this row.
    Ok(unsafe { Q::start(bound, row..end, rows, memory) })
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
    if unsafe { (*memory).history.timing } {
        // SAFETY: the caller's contract.
        unsafe { copy_timed::<Q>(run, rows, memory) };
        for index in 0..rows {
            // SAFETY: the index is in the run, its rows were copied, and the last item is gone.
            each(unsafe { Q::item(run, index) });
        }
        return;
    }
    // SAFETY: the caller's contract.
    unsafe { visit_fused::<Q>(run, rows, each) };
}

/// Visits a run of which a chunk was replaced: reads from the old chunk, writes to the new one.
/// Also when `each` panics, all rows of the run are copied afterwards.
///
/// # Safety
///
/// `run` has `rows` rows, none of which has been copied or visited.
#[inline]
pub(super) unsafe fn visit_fused<Q: Terms>(
    run: Q::Run,
    rows: usize,
    each: &mut impl FnMut(Q::Item<'_>),
) {
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
unsafe fn copy_timed<Q: Terms>(run: Q::Run, rows: usize, memory: *mut Memory) {
    let began = Instant::now();
    // SAFETY: the rows are in the run, and no item of them is alive.
    unsafe { Q::copy(run, 0, rows) };
    // SAFETY: the caller's contract.
    let statistics = unsafe { &mut (*memory).history.statistics };
    statistics.copy_time += began.elapsed();
}

/// Completes the copy of a run when its loop ends early by a panic: the rows from `next` on keep
/// their old values.
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

/// Iterates over the entities of a [`QueryMut`].
pub struct QueryIterMut<'w, Q: Terms> {
    tables: std::slice::IterMut<'w, Table>,
    memory: &'w mut Memory,
    schema: &'w Schema,
    resolved: Q::Resolved,
    access: Access,
    filter: fn(&Registry, &ComponentMask) -> bool,
    bound: Option<Q::Bound>,
    rows: usize,
    /// The first row after the run.
    row: usize,
    run: Option<Q::Run>,
    /// The next row of the run, and how many it has.
    index: usize,
    len: usize,
    /// Rows after the run, in this table and in those that follow.
    later: usize,
}

impl<'w, Q: Terms> QueryIterMut<'w, Q> {
    /// Goes to the next run that has rows; `false` when there is none.
    ///
    /// Inlined, and lends none of the iterator's fields to a function that is not: so a loop that
    /// owns the iterator keeps them in registers.
    #[inline(always)]
    fn advance(&mut self) -> bool {
        while self.row == self.rows {
            let Some(table) = self.tables.next() else { return false };
            if !visits(table, self.access, self.filter, self.schema) {
                continue;
            }
            (self.row, self.rows) = (0, table.rows());
            // SAFETY: the table was checked to match, and is borrowed exclusively.
            let bound = unsafe { Q::bind(self.resolved, &Visit::Write(WriteTable::new(table))) };
            self.bound = Some(bound);
        }
        let bound = self.bound.expect("a table with rows is bound");
        let memory = ptr::from_mut(&mut *self.memory);
        // SAFETY: the bound table has these rows and is borrowed exclusively, as is the memory.
        let (bound, run, end) = unsafe { open_run::<Q>(bound, self.row, self.rows, memory) };
        (self.bound, self.run) = (Some(bound), Some(run));
        (self.index, self.len) = (0, end - self.row);
        self.later -= self.len;
        self.row = end;
        true
    }
}

/// Whether an iterator stops at `table`.
#[inline(never)]
pub(super) fn visits(
    table: &Table,
    access: Access,
    filter: fn(&Registry, &ComponentMask) -> bool,
    schema: &Schema,
) -> bool {
    table.rows() > 0 && access.matches(table.mask()) && filter(&schema.registry, table.mask())
}

/// Starts the run at `row` and copies it if a snapshot shares it. Returns where it ends.
///
/// # Safety
///
/// `bound` is bound to a table with `rows` rows, of which `row` is one, and `memory` is the
/// table's and exclusive.
#[inline(never)]
unsafe fn open_run<Q: Terms>(
    mut bound: Q::Bound,
    row: usize,
    rows: usize,
    memory: *mut Memory,
) -> (Q::Bound, Q::Run, usize) {
    let end = run_end(row, Q::run_log2(&bound), rows);
    // SAFETY: the caller's contract, and the run lies in one chunk of every column.
    let run = match unsafe { start::<Q>(&mut bound, row, end, rows, memory) } {
        Ok(run) => run,
        Err(error) => panic!("{error}"),
    };
    if Q::is_shared(&run) {
        // SAFETY: the run was just started, and has these rows.
        unsafe { copy_timed::<Q>(run, end - row, memory) };
    }
    (bound, run, end)
}

impl<'w, Q: Terms> Iterator for QueryIterMut<'w, Q> {
    type Item = Q::Item<'w>;

    #[inline]
    fn next(&mut self) -> Option<Q::Item<'w>> {
        if self.index == self.len && !self.advance() {
            return None;
        }
        // SAFETY: an iterator with rows left in its run has one.
        let run = unsafe { self.run.unwrap_unchecked() };
        // SAFETY: the index is in the run, which was copied if it was shared, and each index is
        // handed out once.
        let item = unsafe { Q::item(run, self.index) };
        self.index += 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len - self.index + self.later;
        (left, Some(left))
    }
}

impl<Q: Terms> ExactSizeIterator for QueryIterMut<'_, Q> {}

impl<'w, Q: Terms, F: Filter> IntoIterator for QueryMut<'w, Q, F> {
    type Item = Q::Item<'w>;
    type IntoIter = QueryIterMut<'w, Q>;

    fn into_iter(self) -> QueryIterMut<'w, Q> {
        let later = self.count();
        let Self { world, resolved, access, .. } = self;
        let World { tables, memory, schema, .. } = world;
        QueryIterMut {
            tables: tables.iter_mut(),
            memory,
            schema,
            resolved,
            access,
            filter: F::passes,
            bound: None,
            rows: 0,
            row: 0,
            run: None,
            index: 0,
            len: 0,
            later,
        }
    }
}
