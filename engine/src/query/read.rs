//! Queries that only read: on a shared world, on a snapshot, on any [`Tables`].

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::marker::PhantomData;
use std::ptr;

use crate::storage::archetype::Schema;
use crate::storage::component::Registry;
use crate::storage::rows::Rows;
use crate::storage::{ComponentId, ComponentMask};
use crate::world::World;

use super::error::QueryError;
use super::fetch::{Access, ReadOnly, Terms, Visit};
use super::filter::Filter;
use super::tables::{TableRef, Tables};

/// A query over `S` that only reads. Made by [`World::query`] and by a view's `query`; iterate it
/// with `for`, [`Query::iter`] or, fastest, [`Query::for_each`].
///
/// ```
/// # use convoy_engine::{Entity, World};
/// let mut world = World::new();
/// let entity = world.spawn((2_u32, 0.5_f32));
/// world.spawn((3_u32,));
/// let query = world.query::<(Entity, &u32, Option<&f32>)>();
/// assert_eq!(query.iter().len(), 2);
/// let rows: Vec<_> = query.iter().collect();
/// assert!(rows.contains(&(entity, &2, Some(&0.5))));
/// let mut sum = 0;
/// query.for_each(|(_, number, _)| sum += number);
/// assert_eq!(sum, 5);
/// ```
pub struct Query<'a, S: ?Sized, Q: Terms, F = ()> {
    pub(super) tables: &'a S,
    pub(super) resolved: Q::Resolved,
    access: Access,
    filter: PhantomData<fn() -> F>,
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly> Query<'a, S, Q> {
    pub(crate) fn new(tables: &'a S) -> Result<Self, QueryError> {
        let mut access = Access::default();
        let resolved = Q::resolve(tables, &mut access)?;
        Ok(Self { tables, resolved, access, filter: PhantomData })
    }
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> Query<'a, S, Q, F> {
    /// Restricts the query to the archetypes that pass `G` as well.
    pub fn filter<G: Filter>(self) -> Query<'a, S, Q, (F, G)> {
        let Self { tables, resolved, access, .. } = self;
        Query { tables, resolved, access, filter: PhantomData }
    }

    pub(super) fn visits(&self, table: &TableRef<'_>) -> bool {
        table.rows() > 0
            && self.access.matches(table.mask())
            && F::passes(&self.tables.schema().registry, table.mask())
    }

    fn visited(&self) -> impl Iterator<Item = TableRef<'a>> {
        let tables = self.tables;
        (0..tables.table_count()).map(|index| tables.table(index)).filter(|each| self.visits(each))
    }

    /// How many entities the query finds. The cost grows with archetypes, not entities.
    pub fn count(&self) -> usize {
        self.visited().map(|table| table.rows()).sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    pub fn for_each(&self, mut each: impl FnMut(Q::Item<'a>)) {
        for table in self.visited() {
            // SAFETY: the table was checked to match.
            let mut bound = unsafe { Q::bind(self.resolved, &Visit::Read(table)) };
            let log2 = Q::run_log2(&bound);
            let mut row = 0;
            while row < table.rows() {
                let end = run_end(row, log2, table.rows());
                // SAFETY: the run lies in one chunk of every column; reading needs no memory.
                let run = unsafe { Q::start(&mut bound, row..end, table.rows(), ptr::null_mut()) };
                for index in 0..end - row {
                    // SAFETY: the index is in the run, and terms that only read may coexist.
                    each(unsafe { Q::item(run, index) });
                }
                row = end;
            }
        }
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// the query reads, for loops written by hand. Runs come in the order of archetypes and rows.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[1.0_f32; 5000][..], &[2.0_f64; 5000][..])).unwrap();
    /// let mut rows = 0;
    /// world.query::<(&f32, &f64)>().for_each_run(|(narrow, wide)| {
    ///     assert_eq!(narrow.len(), wide.len());
    ///     rows += narrow.len();
    /// });
    /// assert_eq!(rows, 5000);
    /// ```
    pub fn for_each_run(&self, mut each: impl FnMut(Q::Slices<'a>)) {
        for table in self.visited() {
            // SAFETY: the table was checked to match.
            let mut bound = unsafe { Q::bind(self.resolved, &Visit::Read(table)) };
            let log2 = Q::run_log2(&bound);
            let mut row = 0;
            while row < table.rows() {
                let end = run_end(row, log2, table.rows());
                // SAFETY: the run lies in one chunk of every column; reading needs no memory.
                let run = unsafe { Q::start(&mut bound, row..end, table.rows(), ptr::null_mut()) };
                // SAFETY: the run has these rows, and terms that only read may coexist.
                each(unsafe { Q::slices(run, end - row) });
                row = end;
            }
        }
    }

    /// The one entity that the query finds; `None` when there is none or more than one.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn((7_u32,));
    /// assert_eq!(world.query::<&u32>().single(), Some(&7));
    /// world.spawn((8_u32,));
    /// assert_eq!(world.query::<&u32>().single(), None);
    /// ```
    pub fn single(&self) -> Option<Q::Item<'a>> {
        let mut iter = self.iter();
        if iter.len() == 1 { iter.next() } else { None }
    }

    /// All items, sorted by a key. Allocates the list that it returns.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// world.spawn_columns((&[3_u32, 1, 2][..],)).unwrap();
    /// assert_eq!(world.query::<&u32>().sorted_by_key(|&&number| number), [&1, &2, &3]);
    /// ```
    pub fn sorted_by_key<K: Ord>(&self, key: impl FnMut(&Q::Item<'a>) -> K) -> Vec<Q::Item<'a>> {
        let mut items: Vec<_> = self.iter().collect();
        items.sort_by_key(key);
        items
    }

    /// An iterator of known length over every entity, in the order of archetypes and rows.
    pub fn iter(&self) -> QueryIter<'a, S, Q> {
        let filter = F::passes;
        QueryIter {
            tables: self.tables,
            resolved: self.resolved,
            matching: Matching { access: self.access, filter },
            next_table: 0,
            bound: None,
            rows: 0,
            row: 0,
            run: None,
            index: 0,
            len: 0,
            later: self.count(),
        }
    }
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> IntoIterator for Query<'a, S, Q, F> {
    type Item = Q::Item<'a>;
    type IntoIter = QueryIter<'a, S, Q>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where a run that starts at `row` ends.
#[inline]
pub(crate) fn run_end(row: usize, run_log2: u8, rows: usize) -> usize {
    let run_rows = 1 << run_log2;
    rows.min((row & !(run_rows - 1)) + run_rows)
}

/// Which tables an iterator visits.
#[derive(Clone, Copy)]
struct Matching {
    access: Access,
    filter: fn(&Registry, &ComponentMask) -> bool,
}

/// Iterates over the entities of a [`Query`].
pub struct QueryIter<'a, S: ?Sized, Q: Terms> {
    tables: &'a S,
    resolved: Q::Resolved,
    matching: Matching,
    next_table: usize,
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

impl<S: Tables + ?Sized, Q: ReadOnly> QueryIter<'_, S, Q> {
    /// Goes to the next run that has rows; `false` when there is none.
    ///
    /// Inlined, and lends none of the iterator's fields to a function that is not: so a loop that
    /// owns the iterator keeps them in registers.
    #[inline(always)]
    fn advance(&mut self) -> bool {
        while self.row == self.rows {
            if self.next_table == self.tables.table_count() {
                return false;
            }
            let table = self.tables.table(self.next_table);
            self.next_table += 1;
            if !visits(&table, self.matching, self.tables.schema()) {
                continue;
            }
            // SAFETY: the table was checked to match.
            self.bound = Some(unsafe { Q::bind(self.resolved, &Visit::Read(table)) });
            (self.row, self.rows) = (0, table.rows());
        }
        let mut bound = self.bound.expect("a table with rows is bound");
        let end = run_end(self.row, Q::run_log2(&bound), self.rows);
        // SAFETY: the run lies in one chunk of every column; reading needs no memory.
        let run = unsafe { Q::start(&mut bound, self.row..end, self.rows, ptr::null_mut()) };
        self.run = Some(run);
        (self.index, self.len) = (0, end - self.row);
        self.later -= self.len;
        self.row = end;
        true
    }
}

/// Whether an iterator stops at `table`.
#[inline(never)]
fn visits(table: &TableRef<'_>, matching: Matching, schema: &Schema) -> bool {
    table.rows() > 0
        && matching.access.matches(table.mask())
        && (matching.filter)(&schema.registry, table.mask())
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly> Iterator for QueryIter<'a, S, Q> {
    type Item = Q::Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Q::Item<'a>> {
        if self.index == self.len && !self.advance() {
            return None;
        }
        // SAFETY: an iterator with rows left in its run has one.
        let run = unsafe { self.run.unwrap_unchecked() };
        // SAFETY: the index is in the run, and terms that only read may coexist.
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

impl<S: Tables + ?Sized, Q: ReadOnly> ExactSizeIterator for QueryIter<'_, S, Q> {}

impl Tables for World {
    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn readable(&self) -> ComponentMask {
        self.readable
    }

    fn table_count(&self) -> usize {
        self.tables.len()
    }

    fn table(&self, index: usize) -> TableRef<'_> {
        TableRef::live(&self.tables[index])
    }

    fn rows(&self, index: usize, id: ComponentId) -> Option<Rows<'_>> {
        let table = &self.tables[index];
        let column = table.column(id).filter(|_| self.readable.contains(id))?;
        Some(column.rows(table.rows()))
    }
}

impl World {
    /// A query that only reads.
    ///
    /// # Panics
    ///
    /// Where [`World::try_query`] returns an error.
    pub fn query<Q: ReadOnly>(&self) -> Query<'_, Self, Q> {
        match self.try_query() {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// A query that only reads.
    ///
    /// # Errors
    ///
    /// In a replica, when a component was not synced.
    pub fn try_query<Q: ReadOnly>(&self) -> Result<Query<'_, Self, Q>, QueryError> {
        Query::new(self)
    }
}
