//! Queries by component id: the rows of components as bytes, for code that learns at run time
//! which components there are.
//!
//! A run is the rows that lie in one chunk of every column that is asked for, as for typed
//! queries. Described and typed components are read alike: a column has no other type than the
//! size of its values.

use std::fmt;
use std::ops::Range;

use crate::storage::component::Registry;
use crate::storage::{ComponentId, ComponentMask, Entity};
use crate::world::World;

use super::error::QueryError;
use super::fetch::Access;
use super::selection::EnabledRows;
use super::tables::Tables;

/// A query over `S` by component ids. Made by [`World::query_described`] and by a view's
/// `query_described`.
pub struct DescribedQuery<'a, S: ?Sized> {
    tables: &'a S,
    ids: &'a [ComponentId],
    required: ComponentMask,
    excluded: ComponentMask,
    access: Access,
}

impl<S: ?Sized> Clone for DescribedQuery<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: ?Sized> Copy for DescribedQuery<'_, S> {}

impl<'a, S: Tables + ?Sized> DescribedQuery<'a, S> {
    pub(crate) fn new(
        tables: &'a S,
        ids: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<Self, QueryError> {
        let registry = &tables.catalog().registry;
        let required = known(registry, ids)?;
        let excluded = known(registry, excluded)?;
        if let Some(id) = required.difference(tables.readable()).iter().next() {
            return Err(QueryError::NotCaptured { component: registry.info(id).name() });
        }
        let mut access = Access::of::<()>()?;
        for id in required.iter() {
            access.require_enabled(registry, id)?;
        }
        Ok(Self { tables, ids, required, excluded, access })
    }

    /// How many entities the query finds. The cost grows with archetypes, and with entities only
    /// where a required component can be switched off.
    pub fn count(&self) -> usize {
        let tables = 0..self.tables.table_count();
        let rows = tables.map(|table| match self.enabled(table) {
            Some(enabled) => enabled.count(),
            None => self.rows_of(table),
        });
        rows.sum()
    }

    /// The rows of a table that have everything required switched on, where that is not sure.
    fn enabled(&self, table: usize) -> Option<EnabledRows<'a>> {
        if self.rows_of(table) == 0 {
            return None;
        }
        EnabledRows::bind(&self.tables.table(table), &self.tables.catalog().registry, &self.access)
    }

    /// The runs, in the order of archetypes and rows.
    pub fn iter(&self) -> DescribedRuns<'a, S> {
        DescribedRuns { query: *self, table: 0, row: 0, enabled: self.enabled(0) }
    }

    /// Rows of a table, none where it does not match.
    fn rows_of(&self, table: usize) -> usize {
        let table = self.tables.table(table);
        let held = table.mask();
        let matches = self.required.is_subset(held) && !self.excluded.intersects(held);
        if matches { table.rows() } else { 0 }
    }

    /// Where the run that starts at `row` ends.
    fn run_end(&self, table: usize, row: usize, rows: usize) -> usize {
        let mut end = rows;
        for id in self.ids.iter().copied().chain([ComponentId::ENTITY]) {
            // The handles bound runs also where they were not captured, so that a run is the same
            // on a world and on its snapshots.
            let rows_log2 = self.tables.catalog().registry.info(id).rows_log2();
            end = end.min(((row >> rows_log2) + 1) << rows_log2);
        }
        debug_assert!(row < end && self.rows_of(table) == rows, "a run has rows");
        end
    }
}

/// The set of `ids`, which must all be components.
fn known(registry: &Registry, ids: &[ComponentId]) -> Result<ComponentMask, QueryError> {
    match ids.iter().find(|id| registry.component(**id).is_none()) {
        Some(&id) => Err(QueryError::Unknown { id }),
        None => Ok(ids.iter().copied().collect()),
    }
}

impl<'a, S: Tables + ?Sized> IntoIterator for &DescribedQuery<'a, S> {
    type Item = DescribedRun<'a, S>;
    type IntoIter = DescribedRuns<'a, S>;

    fn into_iter(self) -> DescribedRuns<'a, S> {
        self.iter()
    }
}

impl<S: Tables + ?Sized> fmt::Debug for DescribedQuery<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, excluded, .. } = self;
        let mut debug = formatter.debug_struct("DescribedQuery");
        debug.field("required", required).field("excluded", excluded).finish_non_exhaustive()
    }
}

/// The runs of a [`DescribedQuery`].
pub struct DescribedRuns<'a, S: ?Sized> {
    query: DescribedQuery<'a, S>,
    table: usize,
    row: usize,
    enabled: Option<EnabledRows<'a>>,
}

impl<'a, S: Tables + ?Sized> Iterator for DescribedRuns<'a, S> {
    type Item = DescribedRun<'a, S>;

    fn next(&mut self) -> Option<DescribedRun<'a, S>> {
        while self.table < self.query.tables.table_count() {
            let rows = self.query.rows_of(self.table);
            while self.row < rows {
                let (query, table) = (self.query, self.table);
                let mut rows = self.row..query.run_end(table, self.row, rows);
                if let Some(enabled) = &mut self.enabled {
                    rows = enabled.first_in(rows);
                }
                self.row = rows.end;
                if !rows.is_empty() {
                    return Some(DescribedRun { query, table, rows });
                }
            }
            (self.table, self.row) = (self.table + 1, 0);
            if self.table < self.query.tables.table_count() {
                self.enabled = self.query.enabled(self.table);
            }
        }
        None
    }
}

/// Rows that lie in one chunk of every column of a [`DescribedQuery`].
pub struct DescribedRun<'a, S: ?Sized> {
    query: DescribedQuery<'a, S>,
    table: usize,
    rows: Range<usize>,
}

impl<'a, S: Tables + ?Sized> DescribedRun<'a, S> {
    /// How many rows the run has; never zero.
    #[allow(clippy::len_without_is_empty, reason = "a run is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The handles of the rows; `None` on a snapshot or replica without the bit of [`Entity`].
    pub fn entities(&self) -> Option<&'a [Entity]> {
        let rows = self.query.tables.rows(self.table, ComponentId::ENTITY)?;
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
        let rows = self.query.tables.rows(self.table, self.query.ids[position]);
        rows.expect("a matching table has the components").bytes(self.rows.clone())
    }

    /// The columns in the order of the ids that the query requires, each as by
    /// [`DescribedRun::column`].
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (0..self.query.ids.len()).map(|position| self.column(position))
    }
}

impl<S: Tables + ?Sized> fmt::Debug for DescribedRun<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DescribedRun").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl World {
    /// A query by component ids: every entity that has all components of `required`, none of them
    /// switched off, and none of `excluded`, run by run, with the values of `required` as bytes.
    ///
    /// ```
    /// # use convoy_engine::{ComponentDescription, World};
    /// let mut world = World::new();
    /// let wind = ComponentDescription { name: "wind", size: 2, align: 1 };
    /// let wind = world.register_described(wind).unwrap();
    /// world.spawn_described(&[(wind, &[1, 2])]).unwrap();
    /// world.spawn_described(&[(wind, &[3, 4])]).unwrap();
    /// let mut bytes = Vec::new();
    /// for run in &world.query_described(&[wind], &[]).unwrap() {
    ///     assert_eq!(run.entities().unwrap().len(), run.len());
    ///     bytes.extend_from_slice(run.column(0));
    /// }
    /// assert_eq!(bytes, [1, 2, 3, 4]);
    /// ```
    ///
    /// # Errors
    ///
    /// When no component has an id of `required` or `excluded`, or, in a replica, one of
    /// `required` was not synced.
    pub fn query_described<'a>(
        &'a self,
        required: &'a [ComponentId],
        excluded: &[ComponentId],
    ) -> Result<DescribedQuery<'a, Self>, QueryError> {
        DescribedQuery::new(self, required, excluded)
    }
}
