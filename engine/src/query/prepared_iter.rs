//! Iterators over prepared queries.

#![allow(unsafe_code, reason = "hands out fetched rows")]

use std::mem;
use std::ptr;
use std::slice;

use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::table::Table;
use crate::world::World;

use super::ahead::Match;
use super::fetch::{ReadOnly, Terms, Visit, WriteTable};
use super::filter::Filter;
use super::prepared::{PreparedMut, PreparedQuery, PreparedRef};
use super::selection::{Selection, run_end};
use super::tables::{TableRef, Tables};
use super::write_iter::open_run;

/// Iterates over the entities of a [`PreparedRef`].
pub struct PreparedIter<'q, 'a, S: ?Sized, Q: Terms, F: Filter = ()> {
    tables: &'a S,
    query: &'q PreparedQuery<Q, F>,
    matches: slice::Iter<'q, Match<Q::Place>>,
    since: Epoch,
    bound: Option<Q::Bound>,
    at: Progress<F>,
    run: Option<Q::Run>,
}

/// Iterates over the entities of a [`PreparedMut`].
pub struct PreparedIterMut<'q, 'w, Q: Terms, F: Filter = ()> {
    /// The tables that were not visited yet, and how many came before them.
    tables: &'w mut [Table],
    passed: usize,
    memory: &'w mut Memory,
    registry: &'w Registry,
    query: &'q PreparedQuery<Q, F>,
    matches: slice::Iter<'q, Match<Q::Place>>,
    since: Epoch,
    bound: Option<Q::Bound>,
    at: Progress<F>,
    run: Option<Q::Run>,
}

/// How far an iterator has come.
struct Progress<F: Filter> {
    selection: Option<Selection<F>>,
    /// Rows in the table.
    rows: usize,
    /// The first row after the run.
    row: usize,
    /// The next row of the run, and how many it has.
    index: usize,
    len: usize,
    /// Rows after the run that are visited, in this table and in those that follow.
    later: usize,
}

impl<F: Filter> Progress<F> {
    fn new(later: usize) -> Self {
        Self { selection: None, rows: 0, row: 0, index: 0, len: 0, later }
    }

    /// Begins a table.
    fn enter(&mut self, selection: Option<Selection<F>>, rows: usize) {
        (self.selection, self.row, self.rows) = (selection, 0, rows);
    }

    /// The next run of the table, to be started and then begun; `None` when the rest of the table
    /// is not selected.
    ///
    /// # Safety
    ///
    /// The table is borrowed.
    #[inline]
    unsafe fn next_run(&mut self, log2: u8) -> Option<std::ops::Range<usize>> {
        let mut run = self.row..run_end(self.row, log2, self.rows);
        if let Some(selection) = self.selection {
            // SAFETY: the caller's contract.
            let (selection, selected) = unsafe { selection.stepped(self.row, log2) };
            (self.selection, run) = (Some(selection), selected);
        }
        self.row = run.end;
        if run.is_empty() {
            return None;
        }
        self.later -= run.len();
        Some(run)
    }

    /// Begins a run of `rows` rows that was started. Where memory runs out before that, no row of
    /// it is left to be handed out.
    #[inline]
    fn begin(&mut self, rows: usize) {
        (self.index, self.len) = (0, rows);
    }

    fn left(&self) -> usize {
        self.len - self.index + self.later
    }
}

impl<'q, 'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> PreparedRef<'q, 'a, S, Q, F> {
    /// An iterator of known length over every entity, in the order of archetypes and rows.
    pub fn iter(&self) -> PreparedIter<'q, 'a, S, Q, F> {
        PreparedIter {
            tables: self.tables,
            query: self.query,
            matches: self.query.matches().iter(),
            since: self.since,
            bound: None,
            at: Progress::new(self.count()),
            run: None,
        }
    }

    /// The one entity that the query finds; `None` when there is none or more than one.
    pub fn single(&self) -> Option<Q::Item<'a>> {
        let mut iter = self.iter();
        if iter.len() == 1 { iter.next() } else { None }
    }

    /// All items, sorted by a key. Allocates the list that it returns.
    pub fn sorted_by_key<K: Ord>(&self, key: impl FnMut(&Q::Item<'a>) -> K) -> Vec<Q::Item<'a>> {
        let mut items: Vec<_> = self.iter().collect();
        items.sort_by_key(key);
        items
    }
}

impl<'q, 'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> IntoIterator
    for PreparedRef<'q, 'a, S, Q, F>
{
    type Item = Q::Item<'a>;
    type IntoIter = PreparedIter<'q, 'a, S, Q, F>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<S: Tables + ?Sized, Q: ReadOnly, F: Filter> PreparedIter<'_, '_, S, Q, F> {
    /// Goes to the next run that has rows; `false` when there is none.
    #[inline]
    fn advance(&mut self) -> bool {
        loop {
            while self.at.row == self.at.rows {
                let Some(each) = self.matches.next() else { return false };
                let table = self.tables.table(each.archetype.index());
                // SAFETY: the query was up to date when the iterator was made, and the tables are
                // borrowed since: the place was found in this archetype and layout.
                self.bound = Some(unsafe { Q::bind(each.place, &Visit::Read(table)) });
                let registry = &self.tables.catalog().registry;
                let selection = self.query.selection(&table, registry, self.since);
                self.at.enter(selection, table.rows());
            }
            let bound = self.bound.expect("a table with rows is bound");
            // SAFETY: the tables are borrowed.
            if let Some(rows) = unsafe { self.at.next_run(Q::run_log2(&bound)) } {
                self.at.begin(rows.len());
                // SAFETY: the run lies in one chunk of every column; reading needs no memory.
                let run =
                    unsafe { Q::start(&bound, rows, self.at.rows, Q::NO_SPARES, ptr::null_mut()) };
                self.run = Some(run);
                return true;
            }
        }
    }
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> Iterator for PreparedIter<'_, 'a, S, Q, F> {
    type Item = Q::Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Q::Item<'a>> {
        if self.at.index == self.at.len && !self.advance() {
            return None;
        }
        let run = self.run.expect("an iterator with rows left in its run has one");
        // SAFETY: the index is in the run, and terms that only read may coexist.
        let item = unsafe { Q::item(run, self.at.index) };
        self.at.index += 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.at.left(), Some(self.at.left()))
    }
}

impl<S: Tables + ?Sized, Q: ReadOnly, F: Filter> ExactSizeIterator
    for PreparedIter<'_, '_, S, Q, F>
{
}

impl<'q, Q: Terms, F: Filter> PreparedMut<'q, '_, Q, F> {
    /// An iterator of known length over every entity, in the order of archetypes and rows.
    ///
    /// ```
    /// # use convoy_engine::{PreparedQuery, World};
    /// let mut world = World::new();
    /// world.spawn_columns((&[3_u32, 1, 2][..],)).unwrap();
    /// let mut numbers = PreparedQuery::<&mut u32>::new();
    /// for number in numbers.query_mut(&mut world).iter() {
    ///     *number += 1;
    /// }
    /// assert_eq!(world.query::<&u32>().sorted_by_key(|&&number| number), [&2, &3, &4]);
    /// ```
    ///
    /// # Panics
    ///
    /// The iterator panics when memory runs out for copying a chunk that a snapshot shares.
    pub fn iter(&mut self) -> PreparedIterMut<'q, '_, Q, F> {
        let (later, since) = (self.count(), self.since);
        let query = self.query;
        let World { tables, memory, catalog, .. } = &mut *self.world;
        PreparedIterMut {
            tables,
            passed: 0,
            memory,
            registry: &catalog.registry,
            query,
            matches: query.matches().iter(),
            since,
            bound: None,
            at: Progress::new(later),
            run: None,
        }
    }

    /// The one entity that the query finds; `None` when there is none or more than one.
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares.
    #[track_caller]
    pub fn single(&mut self) -> Option<Q::Item<'_>> {
        let mut iter = self.iter();
        if iter.len() == 1 { iter.next() } else { None }
    }

    /// All items, sorted by a key. Allocates the list that it returns.
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares.
    #[track_caller]
    pub fn sorted_by_key<K: Ord>(
        &mut self,
        key: impl FnMut(&Q::Item<'_>) -> K,
    ) -> Vec<Q::Item<'_>> {
        let iter = self.iter();
        let mut items = Vec::with_capacity(iter.len());
        // Not by `collect`, in which a panic would be a panic of the standard library.
        for item in iter {
            items.push(item);
        }
        items.sort_by_key(key);
        items
    }
}

impl<'w, Q: Terms, F: Filter> PreparedIterMut<'_, 'w, Q, F> {
    /// The table of a number that is larger than that of the last one.
    #[inline]
    fn table(&mut self, index: usize) -> &'w mut Table {
        let (visited, later) = mem::take(&mut self.tables).split_at_mut(index + 1 - self.passed);
        (self.tables, self.passed) = (later, index + 1);
        visited.last_mut().expect("the table is one of those that were not visited")
    }

    /// Goes to the next run that has rows; `false` when there is none.
    #[inline]
    #[track_caller]
    fn advance(&mut self) -> bool {
        loop {
            while self.at.row == self.at.rows {
                let Some(each) = self.matches.next() else { return false };
                let table = self.table(each.archetype.index());
                let live = TableRef::live(table);
                let selection = self.query.selection(&live, self.registry, self.since);
                self.at.enter(selection, table.rows());
                let visit = Visit::Write(WriteTable::new(table));
                // SAFETY: the query was up to date when the iterator was made, so the place was
                // found in this archetype; the table is the iterator's for good.
                self.bound = Some(unsafe { Q::bind(each.place, &visit) });
            }
            let bound = self.bound.expect("a table with rows is bound");
            // SAFETY: the table is borrowed.
            if let Some(rows) = unsafe { self.at.next_run(Q::run_log2(&bound)) } {
                let (count, memory) = (rows.len(), ptr::from_mut(&mut *self.memory));
                // SAFETY: the bound table has these rows, which lie in one chunk of every column,
                // and is borrowed exclusively, as is the memory.
                let (bound, run) = unsafe { open_run::<Q>(bound, rows, self.at.rows, memory) };
                (self.bound, self.run) = (Some(bound), Some(run));
                self.at.begin(count);
                return true;
            }
        }
    }
}

impl<'w, Q: Terms, F: Filter> Iterator for PreparedIterMut<'_, 'w, Q, F> {
    type Item = Q::Item<'w>;

    #[inline]
    #[track_caller]
    fn next(&mut self) -> Option<Q::Item<'w>> {
        if self.at.index == self.at.len && !self.advance() {
            return None;
        }
        let run = self.run.expect("an iterator with rows left in its run has one");
        // SAFETY: the index is in the run, which was copied if it was shared, and each index is
        // handed out once.
        let item = unsafe { Q::item(run, self.at.index) };
        self.at.index += 1;
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.at.left(), Some(self.at.left()))
    }
}

impl<Q: Terms, F: Filter> ExactSizeIterator for PreparedIterMut<'_, '_, Q, F> {}
