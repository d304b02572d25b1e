//! Queries that write, on an exclusive world.
//!
//! Writing makes each chunk writable when its run opens: one compare where no snapshot shares
//! it. A shared chunk is copied in the same pass by [`QueryMut::for_each`], and before the rows
//! are handed out by the iterator, whose items may outlive the step that made them.

#![allow(unsafe_code, reason = "makes passes over rows that are borrowed exclusively")]

use std::fmt;
use std::marker::PhantomData;

use convoy_pool::MemoryError;

use crate::storage::Entity;
use crate::storage::epoch::Epoch;
use crate::world::World;
use crate::world::change_mark::ChangeMark;

use super::access::Access;
use super::cursor::count;
use super::error::{GetError, QueryError, or_panic};
use super::filter::Filter;
use super::iter::QueryIter;
use super::pass::Pass;
use super::plan::{Choice, Plan};
use super::query::epoch_of;
use super::random::{check_distinct, items};
use super::terms::Terms;
use super::writing::writing_methods;

/// A query that may write. Made by [`World::query_mut`] and by
/// [`PreparedQuery::query_mut`](crate::query::PreparedQuery::query_mut); iterate it with `for`,
/// [`QueryMut::iter`] or, fastest, [`QueryMut::for_each`].
///
/// ```
/// # use convoy_engine::{With, World};
/// let mut world = World::new();
/// world.spawn((1.0_f32, 2_u32));
/// world.spawn((5.0_f32,));
/// world.query_mut::<&mut f32>().filter::<With<u32>>().for_each(|value| *value += 0.5);
/// for (value, number) in world.query_mut::<(&mut f32, Option<&u32>)>() {
///     *value += number.map_or(0.0, |number| *number as f32);
/// }
/// let mut values: Vec<f32> = world.query::<&f32>().iter().copied().collect();
/// values.sort_by(f32::total_cmp);
/// assert_eq!(values, [3.5, 5.0]);
/// ```
pub struct QueryMut<'a, Q: Terms, F = ()> {
    pub(super) world: &'a mut World,
    choice: Choice<'a, Q>,
    since: Epoch,
    filter: PhantomData<fn() -> F>,
}

/// # Queries that write
impl World {
    /// A query that may write.
    ///
    /// # Panics
    ///
    /// Where [`World::try_query_mut`] returns an error.
    #[inline]
    #[track_caller]
    pub fn query_mut<Q: Terms>(&mut self) -> QueryMut<'_, Q> {
        or_panic(self.try_query_mut())
    }

    /// A query that may write.
    ///
    /// # Errors
    ///
    /// When the query writes a component and uses it a second time, registered or not, wants to
    /// write [`Entity`](crate::Entity) or a link of the hierarchy, or, in a replica, names a
    /// component that was not synced.
    pub fn try_query_mut<Q: Terms>(&mut self) -> Result<QueryMut<'_, Q>, QueryError> {
        let choice = Choice::scan(&self.store())?;
        Ok(QueryMut { world: self, choice, since: Epoch::BEFORE_ALL, filter: PhantomData })
    }
}

impl<'a, Q: Terms, F: Filter> QueryMut<'a, Q, F> {
    /// # Safety
    ///
    /// The choice was made for the world.
    #[inline]
    pub(super) unsafe fn resumed(world: &'a mut World, choice: Choice<'a, Q>) -> Self {
        Self { world, choice, since: Epoch::BEFORE_ALL, filter: PhantomData }
    }

    /// The plan, and the epoch after which changes count.
    pub(super) fn plan(&self) -> (Plan<'_, '_, Q>, Epoch) {
        // SAFETY: the choice was made for this world, which is borrowed since.
        (unsafe { Plan::new(self.world.store(), &self.choice) }, self.since)
    }

    #[inline]
    fn pass(&mut self) -> Pass<'_, '_, Q, F> {
        let (store, parts) = self.world.store_to_write();
        // SAFETY: the choice was made for this world, which is borrowed since.
        let plan = unsafe { Plan::new(store, &self.choice) };
        // SAFETY: the world is borrowed exclusively, and the access is its own.
        unsafe { Pass::new(plan, self.since, Access::exclusive(parts)) }
    }

    #[inline]
    fn items<const N: usize>(
        &mut self,
        distinct: [Entity; N],
    ) -> Result<[Q::Item<'_>; N], GetError> {
        let (store, parts) = self.world.store_to_write();
        // SAFETY: the choice was made for this world, which is borrowed since.
        let plan = unsafe { Plan::new(store, &self.choice) };
        // SAFETY: the world is borrowed exclusively, the access is its own, and the entities are
        // distinct.
        unsafe { items::<Q, F, N>(&plan, self.since, Access::exclusive(parts), distinct) }
    }

    writing_methods!(QueryMut);

    /// Restricts the query to the entities that pass `G` as well.
    ///
    /// # Errors
    ///
    /// In a replica, when `G` looks at a column that was not synced.
    pub fn try_filter<G: Filter>(self) -> Result<QueryMut<'a, Q, (F, G)>, QueryError> {
        let Self { world, choice, since, .. } = self;
        G::check(&world.catalog.registry, world.role.readable())?;
        Ok(QueryMut { world, choice: choice.filtered(), since, filter: PhantomData })
    }

    /// Counts only rows written after `mark` as changed or added, for the filters
    /// [`Changed`](crate::query::Changed) and [`Added`](crate::query::Added). Without a mark everything counts.
    ///
    /// Rows that this query writes itself count for later ones, and not while it runs.
    ///
    /// # Panics
    ///
    /// Where [`QueryMut::try_since`] returns an error.
    #[must_use]
    #[track_caller]
    pub fn since(self, mark: ChangeMark) -> Self {
        or_panic(self.try_since(mark))
    }

    /// Counts only rows written after `mark`, as [`QueryMut::since`].
    ///
    /// # Errors
    ///
    /// When another world made the mark.
    pub fn try_since(mut self, mark: ChangeMark) -> Result<Self, QueryError> {
        self.since = epoch_of(mark, &self.world.store())?;
        Ok(self)
    }
}

impl<'a, Q: Terms, F: Filter> IntoIterator for QueryMut<'a, Q, F> {
    type Item = Q::Item<'a>;
    type IntoIter = QueryIter<'a, Q, F>;

    fn into_iter(self) -> QueryIter<'a, Q, F> {
        let (store, parts) = self.world.store_to_write();
        // SAFETY: as in `pass`.
        let plan = unsafe { Plan::new(store, &self.choice) };
        // SAFETY: as in `pass`.
        unsafe { Pass::new(plan, self.since, Access::exclusive(parts)) }.iter()
    }
}

impl<Q: Terms, F> fmt::Debug for QueryMut<'_, Q, F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("QueryMut").finish_non_exhaustive()
    }
}
