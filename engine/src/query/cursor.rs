//! [`Cursor`]: goes through the rows of a query, table by table and run by run.
//!
//! It is the only loop over tables and runs: passes, iterators, parallel passes and queries by ids
//! drive it, and each opens the runs that it finds by the access that it has.
//!
//! To reach the rows of a small table the processor follows a chain of loads, and each waits for the one
//! before: table, columns, list of chunks, chunk. Where all that is near, it follows some chains at once by itself,
//! and nothing is faster than a loop that visits each run as soon as it is found ([`open_small`]). Where there are so
//! many tables that they are not ([`TABLES_NEAR`]), such a loop has little else to do while it waits. There runs are
//! opened by the dozen ([`Ahead`]), which lets the processor follow many chains at once, and visited
//! then, in a loop that is as plain as one over slices. A run that has to be copied is not opened ahead:
//! it comes alone, so that it is complete before anything else is asked of the world's memory.

#![allow(unsafe_code, reason = "binds terms to tables, and opens runs")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::slice;

use convoy_pool::MemoryError;

use crate::storage::epoch::Epoch;

use super::access::{Access, open_owned};
use super::filter::Filter;
use super::plan::{Plan, Tables};
use super::selection::{Selection, next_run, run_end};
use super::terms::{RUN_LOG2_MAX, Terms};

/// Where a pass over the rows of a query is, and the selection of the table that it is in.
pub(super) struct Cursor<Q: Terms, F: Filter> {
    since: Epoch,
    pub(super) at: Progress<Q>,
    selection: Option<Selection<F>>,
    log2_max: u8,
    /// A run that was found and waits to be opened alone.
    pending: Option<Range<usize>>,
    filter: PhantomData<fn() -> F>,
}

/// Where a pass is: all that changes where all rows of the tables are visited. Small, and passed by value.
pub(super) struct Progress<Q: Terms> {
    /// The position in the plan of the next table.
    position: usize,
    bound: Option<Q::Bound>,
    /// log2 of the rows that a run of the table has at the most.
    log2: u8,
    /// Rows in the table.
    rows: usize,
    /// The first row after the last run.
    row: usize,
}

impl<Q: Terms> Clone for Progress<Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Terms> Copy for Progress<Q> {}

impl<Q: Terms> Progress<Q> {
    /// Before the first table.
    const START: Self = Self { position: 0, bound: None, log2: 0, rows: 0, row: 0 };

    /// Goes to the first row of a table.
    #[inline(always)]
    fn enter(&mut self, bound: Q::Bound, log2: u8, rows: usize) {
        (self.bound, self.log2, self.row, self.rows) = (Some(bound), log2, 0, rows);
    }

    /// The next run, where all rows of the tables are visited and it can be written as it is, and its rows. `None`
    /// where it can't, or there is none: [`Cursor::step`] and [`Cursor::enter`] go on.
    ///
    /// # Safety
    ///
    /// As [`Cursor::new`] of the store of the tables, whose access it is, and all runs that were opened before have
    /// been copied.
    #[inline(always)]
    pub(super) unsafe fn open_next<F: Filter>(
        &mut self,
        tables: &Tables<'_, '_, Q>,
        access: &Access<'_>,
    ) -> Option<(Q::Run, usize)> {
        loop {
            if self.row < self.rows
                && let Some(bound) = &self.bound
            {
                let (row, end) = (self.row, run_end(self.row, self.log2, self.rows));
                // SAFETY: a run begins at the row.
                let run = unsafe { access.open_owned::<Q>(bound, row)? };
                self.row = end;
                return Some((run, end - row));
            }
            let position = self.position;
            if position >= tables.len() {
                return None;
            }
            self.position += 1;
            let Some(table) = tables.table::<F>(position) else { continue };
            // SAFETY: the caller's contract.
            let bound = unsafe { tables.bind(position, &table) };
            self.enter(bound, Q::run_log2(&bound), table.rows());
        }
    }

    /// Rows that are visited after the last run, where all rows of the tables are.
    pub(super) fn rows_left<F: Filter>(&self, tables: &Tables<'_, '_, Q>) -> usize {
        let later = (self.position..tables.len()).filter_map(|at| tables.table::<F>(at));
        self.rows - self.row + later.map(|table| table.rows()).sum::<usize>()
    }

    /// The position of the next table, where the pass is between two.
    #[inline(always)]
    pub(super) fn next_position(&mut self) -> Option<&mut usize> {
        (self.row == self.rows).then_some(&mut self.position)
    }
}

impl<Q: Terms, F: Filter> Cursor<Q, F> {
    /// A cursor before the first table.
    ///
    /// # Safety
    ///
    /// The cursor is driven by one plan, whose store is borrowed as long as the cursor is used. As far as
    /// the terms write, the store is live, and its columns are the cursor's exclusively.
    #[inline]
    pub(super) unsafe fn new(since: Epoch) -> Self {
        Self {
            since,
            at: Progress::START,
            selection: None,
            log2_max: u8::MAX,
            pending: None,
            filter: PhantomData,
        }
    }

    /// The same cursor, with runs of at most so many rows.
    #[cfg(feature = "rayon")]
    pub(super) fn with_runs_of(mut self, rows_log2: u8) -> Self {
        self.log2_max = rows_log2;
        self
    }

    /// Calls `each` for every run of all tables, with the cursor in its table.
    #[cfg(feature = "rayon")]
    pub(super) fn for_each_run(
        &mut self,
        plan: &Plan<'_, '_, Q>,
        mut each: impl FnMut(&Self, Range<usize>) -> Result<(), MemoryError>,
    ) -> Result<(), MemoryError> {
        self.at.position = 0;
        while self.enter(plan) {
            while let Some(run) = self.step() {
                each(self, run)?;
            }
        }
        Ok(())
    }

    /// Goes to the next table that is visited; `false` when there is none.
    #[inline]
    pub(super) fn enter(&mut self, plan: &Plan<'_, '_, Q>) -> bool {
        let positions = plan.len();
        while self.at.position < positions {
            let position = self.at.position;
            self.at.position += 1;
            if self.enter_at(plan, position) {
                return true;
            }
        }
        false
    }

    /// Goes to the table at a position of the plan; `false` when it is not visited.
    #[inline]
    pub(super) fn enter_at(&mut self, plan: &Plan<'_, '_, Q>, position: usize) -> bool {
        let tables = plan.tables();
        let Some(table) = tables.table::<F>(position) else { return false };
        // SAFETY: the contract of `new`; the table was found at this position.
        let bound = unsafe { tables.bind(position, &table) };
        self.at.enter(bound, Q::run_log2(&bound).min(self.log2_max), table.rows());
        // Without a selection there is nothing to write: it is large.
        if plan.may_select::<F>() {
            self.selection = plan.selection(&table, self.since);
        }
        true
    }

    /// The rows of the next run of the table; `None` after the last one.
    #[inline]
    pub(super) fn step(&mut self) -> Option<Range<usize>> {
        // SAFETY: the table is borrowed.
        let run =
            unsafe { next_run(self.at.row, self.at.log2, self.at.rows, &mut self.selection)? };
        self.at.row = run.end;
        Some(run)
    }

    /// The columns of the table.
    #[inline]
    pub(super) fn bound(&self) -> &Q::Bound {
        self.at.bound.as_ref().expect("a cursor in a table has bound its columns")
    }

    /// Rows in the table.
    #[inline]
    pub(super) fn rows(&self) -> usize {
        self.at.rows
    }

    /// Goes through these rows of the table only.
    #[cfg(feature = "rayon")]
    pub(super) fn narrow(&mut self, rows: Range<usize>) {
        (self.at.row, self.at.rows) = (rows.start, self.at.rows.min(rows.end));
    }

    /// Whether the pass visits only some of the table's rows.
    #[cfg(feature = "rayon")]
    pub(super) fn selects_rows(&self) -> bool {
        self.selection.is_some()
    }

    /// log2 of the rows that a run of the table has at the most.
    #[cfg(feature = "rayon")]
    pub(super) fn run_log2(&self) -> u8 {
        self.at.log2
    }

    /// Opens the next runs: some that are writable as they are, or one that has to be copied. There
    /// are none left when `ahead` is empty then.
    ///
    /// # Safety
    ///
    /// The access is that of the plan's store, all runs that were opened before have been visited, and the
    /// cursor is driven by this function only.
    #[inline]
    pub(super) unsafe fn open_ahead(
        &mut self,
        plan: &Plan<'_, '_, Q>,
        access: &Access<'_>,
        ahead: &mut Ahead<Q::Run>,
    ) -> Result<(), MemoryError> {
        if plan.may_select::<F>() {
            // SAFETY: the caller's contract.
            return unsafe { self.open_selected(plan, access, ahead) };
        }
        if self.at.row > 0 {
            // SAFETY: the caller's contract.
            unsafe { self.open_rest(access, ahead)? };
            if !ahead.is_empty() {
                return Ok(());
            }
        }
        // SAFETY: the caller's contract, and the cursor is before a table.
        unsafe { self.open_tables(&plan.tables(), access, ahead) }
    }

    /// The position in the plan of the next table, where the cursor is before one.
    #[inline]
    pub(super) fn next_table(&mut self) -> Option<&mut usize> {
        (self.at.row == 0).then_some(&mut self.at.position)
    }

    /// [`Cursor::open_ahead`] where all rows of the tables are visited, and the cursor is before a table.
    ///
    /// # Safety
    ///
    /// As [`Cursor::open_ahead`].
    #[inline(never)]
    unsafe fn open_tables(
        &mut self,
        tables: &Tables<'_, '_, Q>,
        access: &Access<'_>,
        ahead: &mut Ahead<Q::Run>,
    ) -> Result<(), MemoryError> {
        // All that changes is in locals: no write to the list can alias them.
        let (mut len, mut position, positions) = (0, self.at.position, tables.len());
        let bound = loop {
            if position == positions || len == RUNS {
                (ahead.len, self.at.position) = (len, position);
                return Ok(());
            }
            let Some(table) = tables.table::<F>(position) else {
                position += 1;
                continue;
            };
            // SAFETY: the contract of `new`; the table was found at this position.
            let bound = unsafe { tables.bind(position, &table) };
            let rows = table.rows();
            if rows <= 1 << Q::run_log2(&bound) {
                // The usual small table, of one run: there is nothing to work out.
                // SAFETY: a run begins at the first row.
                if let Some(run) = unsafe { access.open_owned::<Q>(&bound, 0) } {
                    ahead.put(len, run, rows);
                    (len, position) = (len + 1, position + 1);
                    continue;
                }
            }
            if len > 0 {
                (ahead.len, self.at.position) = (len, position);
                return Ok(());
            }
            self.at.rows = rows;
            break bound;
        };
        (self.at.bound, self.at.position) = (Some(bound), position);
        // SAFETY: the caller's contract.
        unsafe { self.open_rest(access, ahead) }
    }

    /// Opens the next runs of the table at the position, which is bound.
    ///
    /// # Safety
    ///
    /// As [`Cursor::open_ahead`].
    #[inline(never)]
    unsafe fn open_rest(
        &mut self,
        access: &Access<'_>,
        ahead: &mut Ahead<Q::Run>,
    ) -> Result<(), MemoryError> {
        let (bound, rows, mut row, mut len) = (*self.bound(), self.at.rows, self.at.row, 0);
        let run_rows = 1 << Q::run_log2(&bound);
        while row < rows && len < RUNS {
            let end = rows.min(row + run_rows);
            // SAFETY: a run begins at the row.
            match unsafe { access.open_owned::<Q>(&bound, row) } {
                Some(run) => ahead.put(len, run, end - row),
                None if len > 0 => break,
                None => {
                    // SAFETY: the run lies in one chunk of every column, and nothing is open.
                    let run = unsafe { access.open_older::<Q>(bound, row..end, rows)? };
                    ahead.put(0, run, end - row);
                    (len, row) = (1, end);
                    break;
                }
            }
            (len, row) = (len + 1, end);
        }
        if row == rows {
            (self.at.position, row) = (self.at.position + 1, 0);
        }
        (ahead.len, self.at.row) = (len, row);
        Ok(())
    }

    /// [`Cursor::open_ahead`] where something may decide on rows.
    ///
    /// # Safety
    ///
    /// As [`Cursor::open_ahead`].
    #[inline(never)]
    unsafe fn open_selected(
        &mut self,
        plan: &Plan<'_, '_, Q>,
        access: &Access<'_>,
        ahead: &mut Ahead<Q::Run>,
    ) -> Result<(), MemoryError> {
        ahead.len = 0;
        while ahead.len < RUNS {
            let Some(run) = self.pending.take().or_else(|| self.step()) else {
                if !self.enter(plan) {
                    return Ok(());
                }
                continue;
            };
            let rows = run.len();
            // SAFETY: the run lies in one chunk of every column of the table.
            match unsafe { access.open_owned::<Q>(self.bound(), run.start) } {
                Some(run) => ahead.put(ahead.len, run, rows),
                None if ahead.len > 0 => {
                    // It comes alone.
                    self.pending = Some(run);
                    return Ok(());
                }
                None => {
                    let (bound, live) = (*self.bound(), self.at.rows);
                    // SAFETY: as above; nothing is open.
                    ahead.put(0, unsafe { access.open_older::<Q>(bound, run, live)? }, rows);
                    ahead.len = 1;
                    return Ok(());
                }
            }
            ahead.len += 1;
        }
        Ok(())
    }
}

/// Opens the next table of a plan that visits all rows of tables, if it is one run that can be written as it is, and
/// goes on to the one after it. `None` where it is not, or there is none.
///
/// # Safety
///
/// The epoch is that of the access to the store of the tables, for which the contract of [`Cursor::new`] holds as
/// well, and all runs that were opened before have been visited.
#[inline(always)]
pub(super) unsafe fn open_small<Q: Terms, F: Filter>(
    position: &mut usize,
    tables: &Tables<'_, '_, Q>,
    epoch: Epoch,
) -> Option<(Q::Run, usize)> {
    while *position < tables.len() {
        let Some(table) = tables.table::<F>(*position) else {
            *position += 1;
            continue;
        };
        // SAFETY: the caller's contract.
        let bound = unsafe { tables.bind(*position, &table) };
        if table.rows() > 1 << Q::run_log2(&bound) {
            return None;
        }
        // SAFETY: a run begins at the first row.
        let run = unsafe { open_owned::<Q>(&bound, 0, epoch)? };
        *position += 1;
        return Some((run, table.rows()));
    }
    None
}

/// [`open_small`] by value.
///
/// # Safety
///
/// As there.
#[inline(never)]
pub(super) unsafe fn next_small<Q: Terms, F: Filter>(
    mut position: usize,
    tables: Tables<'_, '_, Q>,
    epoch: Epoch,
) -> (usize, Option<(Q::Run, usize)>) {
    let opened = tables.apart(|tables| {
        // SAFETY: the caller's contract.
        unsafe { open_small::<Q, F>(&mut position, tables, epoch) }
    });
    (position, opened)
}

/// How many tables are near enough to be visited as they are found. With a thousand, either way takes the same time;
/// with 26, opening their runs ahead takes twice as long, and with 4,096 three fifths.
pub(super) const TABLES_NEAR: usize = 512;

/// How many runs are opened ahead: enough for the loads of one to hide behind those of others.
/// With two terms that write, they take a kilobyte of stack.
const RUNS: usize = 32;

/// Some runs that were opened and wait to be visited, each with its number of rows.
pub(super) struct Ahead<R> {
    runs: [MaybeUninit<(R, usize)>; RUNS],
    len: usize,
}

impl<R: Copy> Ahead<R> {
    #[inline]
    pub(super) fn new() -> Self {
        Self { runs: [const { MaybeUninit::uninit() }; RUNS], len: 0 }
    }

    #[inline]
    fn put(&mut self, index: usize, run: R, rows: usize) {
        self.runs[index].write((run, rows));
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn runs(&self) -> &[(R, usize)] {
        // SAFETY: so many were put, from the first on.
        unsafe { slice::from_raw_parts(self.runs.as_ptr().cast(), self.len) }
    }
}

/// How many rows a query visits: by table, and by row only where something decides on each of them.
pub(super) fn count<Q: Terms, F: Filter>(plan: &Plan<'_, '_, Q>, since: Epoch) -> usize {
    let tables = (0..plan.len()).filter_map(|position| plan.table::<F>(position));
    let rows = tables.map(|table| match plan.selection::<F>(&table, since) {
        // SAFETY: the store is borrowed.
        Some(selection) => unsafe { selection.count() },
        None => table.rows(),
    });
    rows.sum()
}

/// Whether a query visits only some rows of any table.
pub(super) fn selects_rows<Q: Terms, F: Filter>(plan: &Plan<'_, '_, Q>, since: Epoch) -> bool {
    let mut tables = (0..plan.len()).filter_map(|at| plan.table::<F>(at));
    tables.any(|table| plan.selection::<F>(&table, since).is_some())
}

/// Calls `each` for the rows that a query visits, with the number of their table.
pub(super) fn for_each_range<Q: Terms, F: Filter>(
    plan: &Plan<'_, '_, Q>,
    since: Epoch,
    mut each: impl FnMut(usize, Range<usize>),
) {
    for position in 0..plan.len() {
        let Some(table) = plan.table::<F>(position) else { continue };
        let mut selection = plan.selection::<F>(&table, since);
        let mut row = 0;
        // SAFETY: the store is borrowed.
        while let Some(rows) = unsafe { next_run(row, RUN_LOG2_MAX, table.rows(), &mut selection) }
        {
            row = rows.end;
            each(plan.archetype(position).index(), rows);
        }
    }
}

/// The rows that a query visits next, from `row` of the table at `position` of the plan on, and their
/// position: in one chunk of every column whose chunks have `1 << log2` rows or more.
pub(super) fn next_range<Q: Terms>(
    plan: &Plan<'_, '_, Q>,
    (position, mut row): (usize, usize),
    log2: u8,
) -> Option<(usize, Range<usize>)> {
    for position in position..plan.len() {
        if let Some(table) = plan.table::<()>(position) {
            let mut selection = plan.selection::<()>(&table, Epoch::BEFORE_ALL);
            // SAFETY: the store is borrowed.
            let rows = unsafe { next_run(row, log2, table.rows(), &mut selection) };
            if let Some(rows) = rows {
                return Some((position, rows));
            }
        }
        row = 0;
    }
    None
}
