//! Iterators over queries that write. Their items may outlive the step that made them, so that a
//! shared chunk is copied whole before its rows are handed out.

#![allow(unsafe_code, reason = "hands out fetched rows")]

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use crate::storage::archetype::Catalog;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::world::World;

use super::fetch::{Access, Terms, Visit, WriteTable};
use super::filter::Filter;
use super::selection::{Selection, run_end};
use super::tables::TableRef;
use super::write::{QueryMut, copy_timed, start};

impl<Q: Terms, F: Filter> QueryMut<'_, Q, F> {
    /// An iterator of known length over every entity, in the order of archetypes and rows.
    ///
    /// # Panics
    ///
    /// The iterator panics when memory runs out for copying a chunk that a snapshot shares.
    pub fn iter(&mut self) -> QueryIterMut<'_, Q, F> {
        let (access, since) = (self.access, self.since);
        let again: QueryMut<'_, Q, F> = QueryMut {
            world: &mut *self.world,
            resolved: self.resolved,
            access,
            since,
            filter: PhantomData,
        };
        again.into_iter()
    }
}

/// Iterates over the entities of a [`QueryMut`].
pub struct QueryIterMut<'w, Q: Terms, F: Filter = ()> {
    tables: std::slice::IterMut<'w, Table>,
    memory: &'w mut Memory,
    catalog: &'w Catalog,
    resolved: Q::Resolved,
    access: Access,
    since: Epoch,
    bound: Option<Q::Bound>,
    selection: Option<Selection<F>>,
    rows: usize,
    /// The first row after the run.
    row: usize,
    run: Option<Q::Run>,
    /// The next row of the run, and how many it has.
    index: usize,
    len: usize,
    /// Rows after the run that are visited, in this table and in those that follow.
    later: usize,
}

impl<'w, Q: Terms, F: Filter> QueryIterMut<'w, Q, F> {
    /// Goes to the next run that has rows; `false` when there is none.
    ///
    /// Inlined, and lends none of the iterator's fields to a function that is not: so a loop that
    /// owns the iterator keeps them in registers.
    #[inline(always)]
    #[track_caller]
    fn advance(&mut self) -> bool {
        loop {
            while self.row == self.rows {
                let Some(table) = self.tables.next() else { return false };
                if !visits::<F>(table, &self.access, self.catalog) {
                    continue;
                }
                self.selection = select(table, self.catalog, self.access, self.since);
                (self.row, self.rows) = (0, table.rows());
                // SAFETY: the table was checked to match, and is borrowed exclusively.
                self.bound = Some(unsafe { bind::<Q>(self.resolved, table) });
            }
            let bound = self.bound.expect("a table with rows is bound");
            let log2 = Q::run_log2(&bound);
            let mut rows = self.row..run_end(self.row, log2, self.rows);
            if let Some(selection) = self.selection {
                // SAFETY: the table is borrowed.
                let (selection, selected) = unsafe { selection.stepped(self.row, log2) };
                (self.selection, rows) = (Some(selection), selected);
            }
            self.row = rows.end;
            if rows.is_empty() {
                continue;
            }
            let len = rows.len();
            self.later -= len;
            let memory = ptr::from_mut(&mut *self.memory);
            // SAFETY: the bound table has these rows, which lie in one chunk of every column, and
            // is borrowed exclusively, as is the memory.
            let (bound, run) = unsafe { open_run::<Q>(bound, rows, self.rows, memory) };
            (self.bound, self.run) = (Some(bound), Some(run));
            // Only now: where memory ran out, the iterator has no rows of a run that never began.
            (self.index, self.len) = (0, len);
            return true;
        }
    }
}

/// Places and binds the terms in a table.
///
/// # Safety
///
/// The table matches, and is borrowed for as long as the result is used.
#[inline]
pub(super) unsafe fn bind<Q: Terms>(resolved: Q::Resolved, table: &mut Table) -> Q::Bound {
    let place = Q::place(resolved, &TableRef::live(table));
    // SAFETY: the place was found in this table, which is borrowed exclusively.
    unsafe { Q::bind(place, &Visit::Write(WriteTable::new(table))) }
}

/// What decides on the rows of a table at which an iterator stops.
#[inline(never)]
fn select<F: Filter>(
    table: &Table,
    catalog: &Catalog,
    access: Access,
    since: Epoch,
) -> Option<Selection<F>> {
    Selection::bind(&TableRef::live(table), &catalog.registry, &access, since)
}

/// Whether an iterator stops at `table`.
#[inline(never)]
pub(super) fn visits<F: Filter>(table: &Table, access: &Access, catalog: &Catalog) -> bool {
    table.rows() > 0 && access.matches(table.mask()) && F::passes(&catalog.registry, table.mask())
}

/// Starts a run and copies it if a snapshot shares it.
///
/// # Safety
///
/// As [`start`].
#[inline(never)]
#[track_caller]
pub(super) unsafe fn open_run<Q: Terms>(
    bound: Q::Bound,
    run: Range<usize>,
    rows: usize,
    memory: *mut Memory,
) -> (Q::Bound, Q::Run) {
    let count = run.len();
    // SAFETY: the caller's contract.
    let run = match unsafe { start::<Q>(&bound, run, rows, memory) } {
        Ok(run) => run,
        Err(error) => panic!("{error}"),
    };
    if Q::is_shared(&run) {
        // SAFETY: the run was just started, and has these rows.
        unsafe { copy_timed::<Q>(run, count, memory) };
    }
    (bound, run)
}

impl<'w, Q: Terms, F: Filter> Iterator for QueryIterMut<'w, Q, F> {
    type Item = Q::Item<'w>;

    #[inline]
    #[track_caller]
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

    /// Goes run by run, so `for_each`, `sum` and the like are as fast as the loops of a query.
    #[inline]
    fn fold<B, G: FnMut(B, Self::Item) -> B>(mut self, start: B, mut each: G) -> B {
        let mut folded = start;
        loop {
            for index in self.index..self.len {
                // SAFETY: rows are left, so there is a run.
                let run = unsafe { self.run.unwrap_unchecked() };
                // SAFETY: the index is in the run, which was copied if it was shared, and each
                // index is handed out once.
                folded = each(folded, unsafe { Q::item(run, index) });
            }
            self.index = self.len;
            if !self.advance() {
                return folded;
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.len - self.index + self.later;
        (left, Some(left))
    }
}

impl<Q: Terms, F: Filter> ExactSizeIterator for QueryIterMut<'_, Q, F> {}

impl<'w, Q: Terms, F: Filter> IntoIterator for QueryMut<'w, Q, F> {
    type Item = Q::Item<'w>;
    type IntoIter = QueryIterMut<'w, Q, F>;

    fn into_iter(self) -> QueryIterMut<'w, Q, F> {
        let later = self.count();
        let Self { world, resolved, access, since, .. } = self;
        let World { tables, memory, catalog, .. } = world;
        QueryIterMut {
            tables: tables.iter_mut(),
            memory,
            catalog,
            resolved,
            access,
            since,
            bound: None,
            selection: None,
            rows: 0,
            row: 0,
            run: None,
            index: 0,
            len: 0,
            later,
        }
    }
}
