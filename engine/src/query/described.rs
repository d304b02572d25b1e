//! Queries by component id: the rows of components as bytes, for code that learns at run time
//! which components there are.
//!
//! A plan finds the runs, as for typed queries. Described and typed components are reached alike: a
//! column has no other type than the size of its values. A query that writes lends the bytes of a
//! run out where all of them are values, and elsewhere checks the values that it is given.

use std::fmt;
use std::ops::Range;

use crate::storage::component::Registry;
use crate::storage::epoch::Epoch;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::store::Store;
use crate::world::{ComponentError, World};

use super::cursor::{count, next_range};
use super::error::QueryError;
use super::plan::{Choice, Plan};
use super::requirements::Requirements;

/// The requirements of a query by ids.
#[derive(Clone, Copy)]
struct Asked<'a> {
    ids: &'a [ComponentId],
    requirements: Requirements,
    required: ComponentMask,
    excluded: ComponentMask,
    /// log2 of the rows of a run.
    log2: u8,
}

impl<'a> Asked<'a> {
    fn new(
        store: &Store<'_>,
        ids: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<Self, QueryError> {
        let registry = &store.catalog().registry;
        let required = known(registry, ids)?;
        let excluded = known(registry, excluded)?;
        if let Some(id) = required.difference(store.readable()).iter().next() {
            return Err(QueryError::NotReadable { component: registry.info(id).name() });
        }
        if let Some(id) = required.iter().find(|&id| registry.info(id).list().is_some()) {
            return Err(QueryError::List { component: registry.info(id).name() });
        }
        let mut requirements = Requirements::NONE;
        required.iter().try_for_each(|id| requirements.require(registry, id))?;
        // The handles bound runs also where they may not be read, so that a run is the same on a
        // world and on its snapshots.
        let bounds = ids.iter().copied().chain([ComponentId::ENTITY]);
        let log2 = bounds.map(|id| registry.info(id).rows_log2()).fold(u8::MAX, u8::min);
        Ok(Self { ids, requirements, required, excluded, log2 })
    }

    /// Calls `ask` with the plan for a store.
    fn with_plan<R>(&self, store: &Store<'_>, ask: impl FnOnce(&Plan<'_, '_, ()>) -> R) -> R {
        let choice = Choice::scan_for((), self.requirements, Some(&self.excluded));
        ask(&Plan::of_nothing(store, &choice))
    }

    /// The next run from a row of a table on: its table and its rows.
    fn next(&self, store: &Store<'_>, from: (usize, usize)) -> Option<(usize, Range<usize>)> {
        self.with_plan(store, |plan| next_range(plan, from, self.log2))
    }
}

/// The set of `ids`, which must all be components.
fn known(registry: &Registry, ids: &[ComponentId]) -> Result<ComponentMask, QueryError> {
    match ids.iter().find(|id| registry.component(**id).is_none()) {
        Some(&id) => Err(QueryError::Unknown { id }),
        None => Ok(ids.iter().copied().collect()),
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, excluded, .. } = self;
        let mut debug = formatter.debug_struct("DescribedQuery");
        debug.field("required", required).field("excluded", excluded).finish_non_exhaustive()
    }
}

/// A query by component ids that only reads. Made by [`World::query_described`] and by a view's
/// `query_described`.
#[derive(Clone, Copy)]
pub struct DescribedQuery<'a> {
    store: Store<'a>,
    asked: Asked<'a>,
}

impl<'a> DescribedQuery<'a> {
    pub(crate) fn new(
        store: Store<'a>,
        ids: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<Self, QueryError> {
        Ok(Self { store, asked: Asked::new(&store, ids, excluded)? })
    }

    /// How many entities the query finds. The cost grows with archetypes, and with entities only
    /// where a required component can be switched off.
    pub fn count(&self) -> usize {
        self.asked.with_plan(&self.store, |plan| count::<(), ()>(plan, Epoch::BEFORE_ALL))
    }

    /// The runs, in the order of archetypes and rows.
    pub fn iter(&self) -> DescribedRuns<'a> {
        DescribedRuns { query: *self, table: 0, row: 0 }
    }
}

impl<'a> IntoIterator for &DescribedQuery<'a> {
    type Item = DescribedRun<'a>;
    type IntoIter = DescribedRuns<'a>;

    fn into_iter(self) -> DescribedRuns<'a> {
        self.iter()
    }
}

impl fmt::Debug for DescribedQuery<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(formatter)
    }
}

/// The runs of a [`DescribedQuery`].
pub struct DescribedRuns<'a> {
    query: DescribedQuery<'a>,
    table: usize,
    row: usize,
}

impl<'a> Iterator for DescribedRuns<'a> {
    type Item = DescribedRun<'a>;

    fn next(&mut self) -> Option<DescribedRun<'a>> {
        let DescribedQuery { store, asked } = &self.query;
        let (table, rows) = asked.next(store, (self.table, self.row))?;
        (self.table, self.row) = (table, rows.end);
        Some(DescribedRun { store: *store, ids: asked.ids, table, rows })
    }
}

/// Rows that lie in one chunk of every column of a [`DescribedQuery`].
pub struct DescribedRun<'a> {
    store: Store<'a>,
    ids: &'a [ComponentId],
    table: usize,
    rows: Range<usize>,
}

impl<'a> DescribedRun<'a> {
    /// How many rows the run has; never zero.
    #[allow(clippy::len_without_is_empty, reason = "a run is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The handles of the rows; `None` on a snapshot or replica without the bit of [`Entity`].
    pub fn entities(&self) -> Option<&'a [Entity]> {
        let rows = self.store.rows(self.table, ComponentId::ENTITY)?;
        Some(rows.run(self.rows.clone()))
    }

    /// The rows of the component at `position` of the ids that the query requires: the bytes of
    /// one value after the other, aligned for them.
    ///
    /// # Panics
    ///
    /// When the query requires fewer components.
    #[track_caller]
    pub fn column(&self, position: usize) -> &'a [u8] {
        let rows = self.store.rows(self.table, self.ids[position]);
        rows.expect("a matching table has the components").bytes(self.rows.clone())
    }

    /// The columns in the order of the ids that the query requires, each as by
    /// [`DescribedRun::column`].
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (0..self.ids.len()).map(|position| self.column(position))
    }
}

impl fmt::Debug for DescribedRun<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DescribedRun").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A query by component ids that may write. Made by [`World::query_described_mut`].
pub struct DescribedQueryMut<'a> {
    world: &'a mut World,
    asked: Asked<'a>,
}

impl DescribedQueryMut<'_> {
    /// How many entities the query finds, as [`DescribedQuery::count`].
    pub fn count(&self) -> usize {
        let store = self.world.store();
        DescribedQuery { store, asked: self.asked }.count()
    }

    /// Calls `each` for every run, in the order of archetypes and rows.
    pub fn for_each_run(&mut self, mut each: impl FnMut(DescribedRunMut<'_>)) {
        let (mut from, asked) = ((0, 0), self.asked);
        while let Some((table, rows)) = asked.next(&self.world.store(), from) {
            from = (table, rows.end);
            each(DescribedRunMut { world: self.world, ids: asked.ids, table, rows });
        }
    }
}

impl fmt::Debug for DescribedQueryMut<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.asked.fmt(formatter)
    }
}

/// Rows that lie in one chunk of every column of a [`DescribedQueryMut`].
pub struct DescribedRunMut<'a> {
    world: &'a mut World,
    ids: &'a [ComponentId],
    table: usize,
    rows: Range<usize>,
}

impl DescribedRunMut<'_> {
    /// The run for reading, with all that it offers.
    pub fn as_run(&self) -> DescribedRun<'_> {
        let Self { ids, table, .. } = *self;
        DescribedRun { store: self.world.store(), ids, table, rows: self.rows.clone() }
    }

    /// How many rows the run has; never zero.
    #[allow(clippy::len_without_is_empty, reason = "a run is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows of the component at `position`, as [`DescribedRun::column`], for writing. A chunk that a
    /// snapshot shares is copied first.
    ///
    /// # Errors
    ///
    /// When not all bytes are values of the component: see [`DescribedRunMut::set_bytes`]. When only the
    /// engine writes the component, or memory runs out.
    ///
    /// # Panics
    ///
    /// When the query requires fewer components.
    #[track_caller]
    pub fn column_mut(&mut self, position: usize) -> Result<&mut [u8], ComponentError> {
        self.world.own_run_bytes((self.table, self.rows.clone()), self.ids[position])
    }

    /// Overwrites the component at `position` in one row of the run, if the bytes are a value of it.
    ///
    /// # Errors
    ///
    /// As [`World::set_bytes`]. Nothing has changed.
    ///
    /// # Panics
    ///
    /// When the query requires fewer components, or the run has fewer rows.
    #[track_caller]
    pub fn set_bytes(
        &mut self,
        position: usize,
        row: usize,
        bytes: &[u8],
    ) -> Result<(), ComponentError> {
        assert!(row < self.rows.len(), "the run has {} rows, and no row {row}", self.rows.len());
        self.world.set_row_bytes((self.table, self.rows.start + row), self.ids[position], bytes)
    }
}

impl fmt::Debug for DescribedRunMut<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DescribedRunMut").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// # Queries by id that write
impl World {
    /// A query by component ids that may write: runs of bytes, mutable where all bytes are values.
    ///
    /// ```
    /// # use convoy_engine::World;
    /// let mut world = World::new();
    /// let speed = world.register::<f32>().unwrap();
    /// let armed = world.register::<bool>().unwrap();
    /// world.spawn((1.5_f32, false));
    /// world.query_described_mut(&[speed, armed], &[]).unwrap().for_each_run(|mut run| {
    ///     for value in run.column_mut(0).unwrap().chunks_exact_mut(4) {
    ///         value.copy_from_slice(&2.5_f32.to_ne_bytes());
    ///     }
    ///     assert!(run.column_mut(1).is_err(), "not every byte is a bool");
    ///     assert!(run.set_bytes(1, 0, &[7]).is_err());
    ///     run.set_bytes(1, 0, &[1]).unwrap();
    /// });
    /// assert_eq!(world.query::<(&f32, &bool)>().single(), Some((&2.5, &true)));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`World::query_described`].
    pub fn query_described_mut<'a>(
        &'a mut self,
        required: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<DescribedQueryMut<'a>, QueryError> {
        let asked = Asked::new(&self.store(), required, excluded)?;
        Ok(DescribedQueryMut { world: self, asked })
    }
}
