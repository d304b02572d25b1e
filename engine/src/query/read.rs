//! Queries that only read: on a shared world, on a snapshot, on any [`Tables`].

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::marker::PhantomData;
use std::ptr;

use crate::storage::archetype::Catalog;
use crate::storage::epoch::Epoch;
use crate::storage::rows::Rows;
use crate::storage::world_id::WorldId;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::index::Location;
use crate::world::{ChangeMark, World};

use super::error::{GetError, QueryError};
use super::fetch::{Access, ReadOnly, Terms, Visit};
use super::filter::Filter;
use super::sealed::SealedTables;
use super::selection::{Selection, next_run, run_end};
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
    pub(super) access: Access,
    pub(super) since: Epoch,
    filter: PhantomData<fn() -> F>,
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly> Query<'a, S, Q> {
    pub(crate) fn new(tables: &'a S) -> Result<Self, QueryError> {
        let mut access = Access::of::<Q>()?;
        let resolved = Q::resolve(tables, &mut access)?;
        Ok(Self { tables, resolved, access, since: Epoch::ZERO, filter: PhantomData })
    }
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> Query<'a, S, Q, F> {
    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Panics
    ///
    /// Where [`Query::try_filter`] returns an error.
    #[track_caller]
    pub fn filter<G: Filter>(self) -> Query<'a, S, Q, (F, G)> {
        match self.try_filter() {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Errors
    ///
    /// When `G` looks at a column that may not be read: one that was not captured, synced, or
    /// declared by the reader. [`With`](crate::With) and [`Without`](crate::Without) look at none.
    pub fn try_filter<G: Filter>(self) -> Result<Query<'a, S, Q, (F, G)>, QueryError> {
        G::check(&self.tables.catalog().registry, self.tables.readable())?;
        let Self { tables, resolved, access, since, .. } = self;
        Ok(Query { tables, resolved, access, since, filter: PhantomData })
    }

    /// Counts only what was written after `mark` as changed or added, for the filters
    /// [`Changed`](crate::Changed) and [`Added`](crate::Added). Without a mark everything counts.
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, self.tables)?;
        Ok(self)
    }

    pub(super) fn visits(&self, table: &TableRef<'_>) -> bool {
        table.rows() > 0
            && self.access.matches(table.mask())
            && F::passes(&self.tables.catalog().registry, table.mask())
    }

    fn visited(&self) -> impl Iterator<Item = TableRef<'a>> {
        let tables = self.tables;
        (0..tables.table_count()).map(|index| tables.table(index)).filter(|each| self.visits(each))
    }

    /// What decides on the rows of a table that is visited, where not all of them are.
    pub(super) fn selection(&self, table: &TableRef<'_>) -> Option<Selection<F>> {
        Selection::bind(table, &self.tables.catalog().registry, &self.access, self.since)
    }

    /// How many entities the query finds. The cost grows with archetypes, and with rows only where
    /// a filter decides on each of them.
    pub fn count(&self) -> usize {
        let rows = self.visited().map(|table| match self.selection(&table) {
            // SAFETY: the tables are borrowed.
            Some(selection) => unsafe { selection.count() },
            None => table.rows(),
        });
        rows.sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    pub fn for_each(&self, mut each: impl FnMut(Q::Item<'a>)) {
        self.visit_runs(|run, rows| {
            for index in 0..rows {
                // SAFETY: the index is in the run, and terms that only read may coexist.
                each(unsafe { Q::item(run, index) });
            }
        });
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
        self.visit_runs(|run, rows| {
            // SAFETY: the run has these rows, and terms that only read may coexist.
            each(unsafe { Q::slices(run, rows) });
        });
    }

    /// Hands every run to `visit`, with its number of rows.
    #[inline]
    fn visit_runs(&self, mut visit: impl FnMut(Q::Run, usize)) {
        for table in self.visited() {
            let place = Q::place(self.resolved, &table);
            // SAFETY: the place was found in this table.
            unsafe { visit_table::<Q, F>(place, table, self.selection(&table), &mut visit) };
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
    pub fn iter(&self) -> QueryIter<'a, S, Q, F> {
        QueryIter {
            tables: self.tables,
            resolved: self.resolved,
            access: self.access,
            since: self.since,
            next_table: 0,
            bound: None,
            selection: None,
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
    type IntoIter = QueryIter<'a, S, Q, F>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Hands every run of a table to `visit`, with its number of rows.
///
/// # Safety
///
/// `place` was found in a table of the same archetype, in a store of the same layout, and the
/// selection is the table's.
#[inline]
pub(super) unsafe fn visit_table<Q: ReadOnly, F: Filter>(
    place: Q::Place,
    table: TableRef<'_>,
    mut selection: Option<Selection<F>>,
    visit: &mut impl FnMut(Q::Run, usize),
) {
    // SAFETY: the caller's contract.
    let bound = unsafe { Q::bind(place, &Visit::Read(table)) };
    let log2 = Q::run_log2(&bound);
    let mut row = 0;
    // SAFETY: the tables are borrowed.
    while let Some(rows) = unsafe { next_run(row, log2, table.rows(), &mut selection) } {
        row = rows.end;
        let count = rows.len();
        // SAFETY: the run lies in one chunk of every column; reading needs no memory.
        let run = unsafe { Q::start(&bound, rows, table.rows(), Q::NO_SPARES, ptr::null_mut()) };
        visit(run, count);
    }
}

/// The item of one row; `None` where the selection leaves it out.
///
/// # Safety
///
/// As [`visit_table`], and the table has the row.
#[inline]
pub(super) unsafe fn item<'a, Q: ReadOnly, F: Filter>(
    place: Q::Place,
    table: TableRef<'a>,
    selection: Option<Selection<F>>,
    row: usize,
) -> Option<Q::Item<'a>> {
    // SAFETY: the table is borrowed and has the row.
    if selection.is_some_and(|selection| !unsafe { selection.selects(row) }) {
        return None;
    }
    // SAFETY: the caller's contract.
    let bound = unsafe { Q::bind(place, &Visit::Read(table)) };
    // SAFETY: the run of one row lies in one chunk of every column; reading needs no memory.
    let run =
        unsafe { Q::start(&bound, row..row + 1, table.rows(), Q::NO_SPARES, ptr::null_mut()) };
    // SAFETY: the run has a row, and terms that only read may coexist.
    Some(unsafe { Q::item(run, 0) })
}

/// Places and binds the terms in a table.
///
/// # Safety
///
/// The table matches.
#[inline]
pub(super) unsafe fn bind<Q: ReadOnly>(resolved: Q::Resolved, table: TableRef<'_>) -> Q::Bound {
    let place = Q::place(resolved, &table);
    // SAFETY: the place was found in this table.
    unsafe { Q::bind(place, &Visit::Read(table)) }
}

/// Iterates over the entities of a [`Query`].
pub struct QueryIter<'a, S: ?Sized, Q: Terms, F: Filter = ()> {
    tables: &'a S,
    resolved: Q::Resolved,
    access: Access,
    since: Epoch,
    next_table: usize,
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

impl<S: Tables + ?Sized, Q: ReadOnly, F: Filter> QueryIter<'_, S, Q, F> {
    /// Goes to the next run that has rows; `false` when there is none.
    ///
    /// Inlined, and lends none of the iterator's fields to a function that is not: so a loop that
    /// owns the iterator keeps them in registers.
    #[inline(always)]
    fn advance(&mut self) -> bool {
        loop {
            while self.row == self.rows {
                if self.next_table == self.tables.table_count() {
                    return false;
                }
                let table = self.tables.table(self.next_table);
                let catalog = self.tables.catalog();
                self.next_table += 1;
                if !visits::<F>(&table, &self.access, catalog) {
                    continue;
                }
                // SAFETY: the table was checked to match.
                self.bound = Some(unsafe { bind::<Q>(self.resolved, table) });
                self.selection = select(&table, catalog, self.access, self.since);
                (self.row, self.rows) = (0, table.rows());
            }
            let bound = self.bound.expect("a table with rows is bound");
            let log2 = Q::run_log2(&bound);
            let mut rows = self.row..run_end(self.row, log2, self.rows);
            if let Some(selection) = self.selection {
                // SAFETY: the tables are borrowed.
                let (selection, selected) = unsafe { selection.stepped(self.row, log2) };
                (self.selection, rows) = (Some(selection), selected);
            }
            self.row = rows.end;
            if rows.is_empty() {
                continue;
            }
            (self.index, self.len) = (0, rows.len());
            self.later -= self.len;
            // SAFETY: the run lies in one chunk of every column; reading needs no memory.
            let run = unsafe { Q::start(&bound, rows, self.rows, Q::NO_SPARES, ptr::null_mut()) };
            self.run = Some(run);
            return true;
        }
    }
}

/// What decides on the rows of a table at which an iterator stops.
#[inline(never)]
fn select<F: Filter>(
    table: &TableRef<'_>,
    catalog: &Catalog,
    access: Access,
    since: Epoch,
) -> Option<Selection<F>> {
    Selection::bind(table, &catalog.registry, &access, since)
}

/// Whether an iterator stops at `table`.
#[inline(never)]
fn visits<F: Filter>(table: &TableRef<'_>, access: &Access, catalog: &Catalog) -> bool {
    table.rows() > 0 && access.matches(table.mask()) && F::passes(&catalog.registry, table.mask())
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> Iterator for QueryIter<'a, S, Q, F> {
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

    /// Goes run by run, so `for_each`, `sum` and the like are as fast as the loops of a query.
    #[inline]
    fn fold<B, G: FnMut(B, Self::Item) -> B>(mut self, start: B, mut each: G) -> B {
        let mut folded = start;
        loop {
            for index in self.index..self.len {
                // SAFETY: rows are left, so there is a run.
                let run = unsafe { self.run.unwrap_unchecked() };
                // SAFETY: the index is in the run, and terms that only read may coexist.
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

impl<S: Tables + ?Sized, Q: ReadOnly, F: Filter> ExactSizeIterator for QueryIter<'_, S, Q, F> {}

/// The epoch after which changes count, when `mark` is of the world of `tables`.
pub(super) fn epoch_of<S: Tables + ?Sized>(
    mark: ChangeMark,
    tables: &S,
) -> Result<Epoch, QueryError> {
    if mark.world == tables.world_id() { Ok(mark.epoch) } else { Err(QueryError::ForeignMark) }
}

impl SealedTables for World {}

impl Tables for World {
    #[inline]
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    #[inline]
    fn readable(&self) -> &ComponentMask {
        &self.readable
    }

    fn world_id(&self) -> WorldId {
        self.id
    }

    #[inline]
    fn layout(&self) -> Option<&ComponentMask> {
        None
    }

    #[inline]
    fn table_count(&self) -> usize {
        self.tables.len()
    }

    #[inline]
    fn table(&self, index: usize) -> TableRef<'_> {
        TableRef::live(&self.tables[index])
    }

    #[inline]
    fn locate(&self, entity: Entity) -> Result<Option<Location>, GetError> {
        Ok(self.index.locate(entity))
    }

    fn rows(&self, index: usize, id: ComponentId) -> Option<Rows<'_>> {
        let table = &self.tables[index];
        let column = table.column(id).filter(|_| self.readable.contains(id))?;
        Some(column.rows(table.rows()))
    }

    fn slots(&self) -> Option<Rows<'_>> {
        let readable = self.readable.contains(ComponentId::ENTITY);
        readable.then(|| self.index.slots())
    }
}

impl World {
    /// A query that only reads.
    ///
    /// # Panics
    ///
    /// Where [`World::try_query`] returns an error.
    #[track_caller]
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
