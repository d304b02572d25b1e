//! [`PreparedQuery`]: a query that keeps which archetypes it visits, and where their columns are.
//!
//! A plain query asks every table of the world whether it matches, and then looks its columns up.
//! A prepared one has done both before. It notices by the catalog's stamps what is new since: of
//! archetypes only those that were added are looked at, and when types were registered, or on
//! another world, it starts anew. Stamps are unique in the process and travel with copies of a
//! catalog, so nothing that merely looks alike, such as another world with as many archetypes, can
//! pass for what the query was prepared for.

#![allow(unsafe_code, reason = "runs the loops over fetched rows")]

use std::marker::PhantomData;

use convoy_pool::MemoryError;

use crate::storage::archetype::ArchetypeId;
use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::storage::history::Memory;
use crate::storage::stamp::Stamp;
use crate::storage::{ComponentMask, Entity};
use crate::world::{ChangeMark, World};

use super::ahead::{Ahead, Match, Pending};
use super::error::{GetError, QueryError};
use super::fetch::{Access, ReadOnly, Terms, not_visited};
use super::filter::Filter;
use super::read::{self, epoch_of};
use super::selection::Selection;
use super::tables::{TableRef, Tables};
use super::write;

/// A query that is made once and run often, on any world or view: it keeps its matches.
///
/// [`PreparedQuery::query`] and [`PreparedQuery::query_mut`] bring it up to date, which costs a few
/// compares when nothing is new, and then visit only the archetypes that match. It pays where
/// archetypes are many and small, and for [`PreparedRef::get`] and [`PreparedMut::get`] in loops.
/// Its lists grow with the archetypes and never shrink; in the
/// steady state nothing is allocated.
///
/// Changing between worlds, between a world and its views, or between views of different masks
/// makes it start anew each time: keep one for each.
///
/// ```
/// # use convoy_engine::{PreparedQuery, With, World};
/// let mut world = World::new();
/// let mut moving = PreparedQuery::<(&mut f32, &u32), With<u8>>::new();
/// world.spawn((1.0_f32, 2_u32, 3_u8));
/// moving.query_mut(&mut world).for_each(|(value, number)| *value += *number as f32);
/// world.spawn((1.0_f32, 4_u32, 5_u8, 6_u64)); // a new archetype, noticed by itself
/// moving.query_mut(&mut world).for_each(|(value, number)| *value += *number as f32);
///
/// let mut values = PreparedQuery::<&f32>::new();
/// values.query(&world).for_each(|&value| assert_eq!(value, 5.0));
/// assert_eq!(values.query(&world).count(), 2);
/// ```
pub struct PreparedQuery<Q: Terms, F = ()> {
    /// `None` before the first use, and after an error.
    source: Option<Source<Q>>,
    /// The archetypes that match, in their order.
    matches: Vec<Match<Q::Place>>,
    /// For each archetype the number of its match, or `NO_MATCH`.
    numbers: Vec<u32>,
    filter: PhantomData<fn() -> F>,
}

/// What a query was prepared for.
struct Source<Q: Terms> {
    registry: Stamp,
    /// The stamp of the last archetype that was looked at.
    last: Stamp,
    readable: ComponentMask,
    layout: Option<ComponentMask>,
    resolved: Q::Resolved,
    access: Access,
}

/// Marks an archetype that does not match.
const NO_MATCH: u32 = u32::MAX;

impl<Q: Terms, F> Default for PreparedQuery<Q, F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Q: Terms, F> PreparedQuery<Q, F> {
    /// A query that is not prepared for anything yet.
    pub const fn new() -> Self {
        Self { source: None, matches: Vec::new(), numbers: Vec::new(), filter: PhantomData }
    }
}

impl<Q: Terms, F: Filter> PreparedQuery<Q, F> {
    /// The query on a world or a view, to read.
    ///
    /// # Panics
    ///
    /// Where [`PreparedQuery::try_query`] returns an error.
    #[inline]
    #[track_caller]
    pub fn query<'q, 'a, S>(&'q mut self, tables: &'a S) -> PreparedRef<'q, 'a, S, Q, F>
    where
        S: Tables + ?Sized,
        Q: ReadOnly,
    {
        match self.try_query(tables) {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// The query on a world or a view, to read. The cost is that of the archetypes that are new.
    ///
    /// # Errors
    ///
    /// When a component was not captured, not synced, or is not among what a view may read.
    #[inline]
    pub fn try_query<'q, 'a, S>(
        &'q mut self,
        tables: &'a S,
    ) -> Result<PreparedRef<'q, 'a, S, Q, F>, QueryError>
    where
        S: Tables + ?Sized,
        Q: ReadOnly,
    {
        self.update(tables)?;
        Ok(PreparedRef { tables, query: self, since: Epoch::ZERO })
    }

    /// The query on an exclusive world, to read and write.
    ///
    /// # Panics
    ///
    /// Where [`PreparedQuery::try_query_mut`] returns an error.
    #[inline]
    #[track_caller]
    pub fn query_mut<'q, 'w>(&'q mut self, world: &'w mut World) -> PreparedMut<'q, 'w, Q, F> {
        match self.try_query_mut(world) {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        }
    }

    /// The query on an exclusive world, to read and write. The cost is that of the archetypes
    /// that are new.
    ///
    /// # Errors
    ///
    /// As [`World::try_query_mut`].
    #[inline]
    pub fn try_query_mut<'q, 'w>(
        &'q mut self,
        world: &'w mut World,
    ) -> Result<PreparedMut<'q, 'w, Q, F>, QueryError> {
        self.update(world)?;
        Ok(PreparedMut { world, query: self, since: Epoch::ZERO })
    }

    #[inline]
    fn update<S: Tables + ?Sized>(&mut self, tables: &S) -> Result<(), QueryError> {
        let count = tables.table_count();
        match &self.source {
            Some(source) if self.numbers.len() == count && source.covers(tables, count) => Ok(()),
            _ => self.prepare(tables),
        }
    }

    /// Looks at the archetypes that are new, or at all of them if not only archetypes are.
    #[cold]
    #[inline(never)]
    fn prepare<S: Tables + ?Sized>(&mut self, tables: &S) -> Result<(), QueryError> {
        let (known, count) = (self.numbers.len(), tables.table_count());
        let kept = self.source.take().filter(|old| known <= count && old.covers(tables, known));
        let (resolved, access) = match kept {
            Some(source) => (source.resolved, source.access),
            None => {
                self.matches.clear();
                self.numbers.clear();
                let mut access = Access::of::<Q>()?;
                F::check(&tables.catalog().registry, tables.readable())?;
                (Q::resolve(tables, &mut access)?, access)
            }
        };
        let catalog = tables.catalog();
        for index in self.numbers.len()..count {
            let table = tables.table(index);
            let is_match =
                access.matches(table.mask()) && F::passes(&catalog.registry, table.mask());
            self.numbers.push(if is_match { self.matches.len() as u32 } else { NO_MATCH });
            if is_match {
                let place = Q::place(resolved, &table);
                self.matches.push(Match { archetype: ArchetypeId::new(index), place });
            }
        }
        let Some(last) = catalog.archetypes()[..count].last() else { return Ok(()) };
        self.source = Some(Source {
            registry: catalog.registry.stamp(),
            last: last.stamp(),
            readable: *tables.readable(),
            layout: tables.layout().copied(),
            resolved,
            access,
        });
        Ok(())
    }
}

impl<Q: Terms, F: Filter> PreparedQuery<Q, F> {
    /// The archetypes that match, in their order.
    #[inline]
    pub(super) fn matches(&self) -> &[Match<Q::Place>] {
        &self.matches
    }

    /// Where the columns are in an archetype that matches.
    #[inline]
    pub(super) fn place_in(&self, archetype: ArchetypeId) -> Option<Q::Place> {
        let number = *self.numbers.get(archetype.index())?;
        self.matches.get(number as usize).map(|each| each.place)
    }

    /// What decides on the rows of a table that matches, where not all of them are visited.
    #[inline]
    pub(super) fn selection(
        &self,
        table: &TableRef<'_>,
        registry: &Registry,
        since: Epoch,
    ) -> Option<Selection<F>> {
        if !Selection::<F>::is_needed(registry) {
            return None;
        }
        let source = self.source.as_ref().expect("a query with matches was prepared");
        Selection::bind(table, registry, &source.access, since)
    }

    /// Why an entity is in no table that the query visits.
    #[cold]
    pub(super) fn not_visited<S: Tables + ?Sized>(
        &self,
        tables: &S,
        table: &TableRef<'_>,
        entity: Entity,
    ) -> GetError {
        match &self.source {
            Some(source) => not_visited(&source.access, &tables.catalog().registry, table, entity),
            None => GetError::Filtered { entity },
        }
    }
}

impl<Q: Terms> Source<Q> {
    /// Whether what was found in `known` archetypes holds for the first ones of `tables`.
    #[inline]
    fn covers<S: Tables + ?Sized>(&self, tables: &S, known: usize) -> bool {
        let catalog = tables.catalog();
        let last = known.checked_sub(1).and_then(|last| catalog.archetypes().get(last));
        last.is_some_and(|last| last.stamp() == self.last)
            && catalog.registry.stamp() == self.registry
            && *tables.readable() == self.readable
            && tables.layout() == self.layout.as_ref()
    }
}

impl<Q: Terms, F> std::fmt::Debug for PreparedQuery<Q, F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PreparedQuery")
            .field("prepared", &self.source.is_some())
            .field("archetypes", &self.matches.len())
            .finish_non_exhaustive()
    }
}

/// A [`PreparedQuery`] on a world or a view, to read.
pub struct PreparedRef<'q, 'a, S: ?Sized, Q: Terms, F = ()> {
    pub(super) tables: &'a S,
    /// Up to date with the tables.
    pub(super) query: &'q PreparedQuery<Q, F>,
    pub(super) since: Epoch,
}

impl<'a, S: Tables + ?Sized, Q: ReadOnly, F: Filter> PreparedRef<'_, 'a, S, Q, F> {
    /// Counts only what was written after `mark`, as [`Query::since`](crate::Query::since).
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, self.tables)?;
        Ok(self)
    }

    /// What decides on the rows of a table that is visited, where not all of them are.
    #[inline]
    pub(super) fn selection(&self, table: &TableRef<'_>) -> Option<Selection<F>> {
        let registry = &self.tables.catalog().registry;
        self.query.selection(table, registry, self.since)
    }

    /// How many entities the query finds. The cost grows with matching archetypes, and with rows
    /// only where a filter decides on each of them.
    pub fn count(&self) -> usize {
        let tables =
            self.query.matches.iter().map(|each| self.tables.table(each.archetype.index()));
        let rows = tables.map(|table| match self.selection(&table) {
            // SAFETY: the tables are borrowed.
            Some(selection) => unsafe { selection.count() },
            None => table.rows(),
        });
        rows.sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows.
    #[inline]
    pub fn for_each(&self, mut each: impl FnMut(Q::Item<'a>)) {
        self.visit_runs(|run, rows| {
            for index in 0..rows {
                // SAFETY: the index is in the run, and terms that only read may coexist.
                each(unsafe { Q::item(run, index) });
            }
        });
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// the query reads, as [`Query::for_each_run`](crate::Query::for_each_run).
    #[inline]
    pub fn for_each_run(&self, mut each: impl FnMut(Q::Slices<'a>)) {
        self.visit_runs(|run, rows| {
            // SAFETY: the run has these rows, and terms that only read may coexist.
            each(unsafe { Q::slices(run, rows) });
        });
    }

    #[inline]
    fn visit_runs(&self, mut visit: impl FnMut(Q::Run, usize)) {
        if Selection::<F>::is_needed(&self.tables.catalog().registry) {
            for each in &self.query.matches {
                let table = self.tables.table(each.archetype.index());
                let selection = self.selection(&table);
                // SAFETY: the query is up to date, so the place was found in a table of this
                // archetype and layout; the selection is the table's.
                unsafe { read::visit_table::<Q, F>(each.place, table, selection, &mut visit) };
            }
            return;
        }
        let (mut pending, mut ahead) = (Pending::new(&self.query.matches), Ahead::new());
        loop {
            // SAFETY: the query is up to date, so the places were found in tables of these
            // archetypes and this layout.
            unsafe { pending.read::<Q, S>(self.tables, &mut ahead) };
            for &(run, rows) in ahead.runs() {
                visit(run, rows);
            }
            if ahead.runs().is_empty() {
                return;
            }
        }
    }
}

/// A [`PreparedQuery`] on an exclusive world, to read and write.
pub struct PreparedMut<'q, 'w, Q: Terms, F = ()> {
    pub(super) world: &'w mut World,
    /// Up to date with the world.
    pub(super) query: &'q PreparedQuery<Q, F>,
    pub(super) since: Epoch,
}

impl<Q: Terms, F: Filter> PreparedMut<'_, '_, Q, F> {
    /// Counts only what was written after `mark`, as [`QueryMut::since`](crate::QueryMut::since).
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, &*self.world)?;
        Ok(self)
    }

    /// How many entities the query finds. The cost grows with matching archetypes, and with rows
    /// only where a filter decides on each of them.
    pub fn count(&self) -> usize {
        let registry = &self.world.catalog.registry;
        let tables = self.query.matches.iter().map(|each| self.world.table(each.archetype.index()));
        let rows = tables.map(|table| match self.query.selection(&table, registry, self.since) {
            // SAFETY: the query borrows the world.
            Some(selection) => unsafe { selection.count() },
            None => table.rows(),
        });
        rows.sum()
    }

    /// Calls `each` for every entity, in the order of archetypes and rows. When `each` panics,
    /// all is as for [`QueryMut::for_each`](crate::QueryMut::for_each).
    ///
    /// # Panics
    ///
    /// When memory runs out for copying a chunk that a snapshot shares; see
    /// [`PreparedMut::try_for_each`].
    #[inline]
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
    #[inline]
    pub fn try_for_each(self, mut each: impl FnMut(Q::Item<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows, memory| {
            // SAFETY: the run was just started, and has these rows.
            unsafe { write::visit_items::<Q>(run, rows, memory, &mut each) };
        })
    }

    /// Calls `each` for every run: the slices of the rows that lie in one chunk of every column
    /// of the query, as [`QueryMut::for_each_run`](crate::QueryMut::for_each_run).
    ///
    /// # Errors
    ///
    /// As [`PreparedMut::try_for_each`].
    #[inline]
    pub fn for_each_run(self, mut each: impl FnMut(Q::Slices<'_>)) -> Result<(), MemoryError> {
        self.visit_runs(|run, rows, memory| {
            // SAFETY: the run was just started, and has these rows.
            unsafe { write::visit_slices::<Q>(run, rows, memory, &mut each) };
        })
    }

    #[inline]
    fn visit_runs(
        self,
        mut visit: impl FnMut(Q::Run, usize, *mut Memory),
    ) -> Result<(), MemoryError> {
        if Selection::<F>::is_needed(&self.world.catalog.registry) {
            return self.visit_selected(&mut visit);
        }
        let World { tables, memory, .. } = self.world;
        let memory: *mut Memory = memory;
        let (mut pending, mut ahead) = (Pending::new(&self.query.matches), Ahead::new());
        loop {
            // SAFETY: the query is up to date, so the places were found in these archetypes; the
            // memory is the world's and exclusive, and the runs before have been visited.
            unsafe { pending.write::<Q>(tables, memory, &mut ahead)? };
            for &(run, rows) in ahead.runs() {
                visit(run, rows, memory);
            }
            if ahead.runs().is_empty() {
                return Ok(());
            }
        }
    }

    /// [`PreparedMut::visit_runs`] where something may decide row by row.
    #[inline(never)]
    fn visit_selected(
        self,
        visit: &mut impl FnMut(Q::Run, usize, *mut Memory),
    ) -> Result<(), MemoryError> {
        let World { tables, memory, catalog, .. } = self.world;
        let memory: *mut Memory = memory;
        for each in &self.query.matches {
            let table = &mut tables[each.archetype.index()];
            let live = TableRef::live(table);
            let selection = self.query.selection(&live, &catalog.registry, self.since);
            // SAFETY: the query is up to date, so the place was found in this archetype; the
            // selection is the table's, and the memory the world's, which is borrowed exclusively.
            unsafe { write::visit_table::<Q, F>(each.place, table, selection, memory, visit)? };
        }
        Ok(())
    }
}
